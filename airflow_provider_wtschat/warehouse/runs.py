"""One attempt at a load: rows are staged, merged, and what is gone is marked."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError
from airflow_provider_wtschat.sql.dialects import SAME, Merge
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.leases import KEY, PARENTS, Lease, Load, ensure_state
from airflow_provider_wtschat.warehouse.rows import Shaper, Shaping, Tally, Values
from airflow_provider_wtschat.warehouse.staging import Staging
from airflow_provider_wtschat.warehouse.tables import ACCOUNT, HASH, LOADED_AT, Column, Kinds, Table

log = logging.getLogger(__name__)

_AT_ONCE = 2_000
"""Rows of a table that are looked at at once."""
_ROWS = 1_000
"""Rows that go to the database at once."""
_BOUND = 500
"""Values that a statement binds at most."""
_PROBE = UUID("00000000-0000-4000-8000-00000000feed")


@dataclass
class Family:
    """
    The children of one parent, read completely.

    :param version: version of the parent at which they were read
    :param begun: when their reading began, on the server's clock
    """

    version: str
    begun: datetime
    ids: set[str] = field(default_factory=set)


class Run:
    """
    One attempt at a load: it holds the load's row while it runs, stages rows, and merges them.

    Use it in a ``with`` block, which gives the row back.

    :param tables: the tables that rows go to; the first one is the resource's own
    :param holder: who runs, for those who wait
    :param wait: seconds to wait for another run of the same load
    :param history: whether to keep every version of a row, too
    :param shaping: makes rows, where lists inside of them are tables of their own
    """

    def __init__(
        self,
        database: Database,
        load: Load,
        tables: Mapping[str, Table],
        *,
        holder: str,
        wait: float,
        history: bool = False,
        shaping: Shaping | None = None,
    ) -> None:
        self.database = database
        self.load = load
        self.lease = Lease(database, load, holder=holder, wait=wait)
        self.staging = Staging(database, tables, self.lease.attempt)
        self.account = load.account or load.source
        self.written = 0
        """Rows that were new or had changed."""
        self.gone = 0
        """Rows that were marked, because the account does not have them any more."""
        self._tables = tables
        self._waiting: dict[str, list[Values]] = {name: [] for name in tables}
        self._own = next(iter(tables))
        self._shaping = shaping
        self._history = history
        self._parents = database.named(PARENTS)

    def __enter__(self) -> Run:
        """Take the load's row, waiting for whoever has it, and make the tables ready."""
        ensure_state(self.database)
        for attempt in self.lease.claim():
            self.staging.drop(attempt)
        try:
            before = {}
            for name, table in self._tables.items():
                before[name] = self.database.ensure(name, table.stored, ("id",), table.indexes)
                if self._keeps_versions(table):
                    self._ensure_history(name, table)
            self.staging.create()
            for name in self._tables:
                self._probe(name)
            self._fill(before)
            self._describe(before)
            self.database.rest()
        except BaseException:
            with suppress(Exception):
                self._give_back()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Give the row back."""
        try:
            self._give_back()
        except Exception:
            # What ended the block matters more.
            if kind is None:
                raise

    def stage(self, table: str, rows: Sequence[Values]) -> None:
        """
        Collect rows for the staging table, and put them there if there are enough of them.

        :param rows: values of its ``loaded`` columns
        :raises WtsChatDestinationError: if another run has taken over; retryable
        """
        self._waiting[table] += rows
        if sum(map(len, self._waiting.values())) >= _ROWS:
            self.flush()
            self.database.rest()

    def flush(self) -> None:
        """
        Put all rows that were taken into the staging tables.

        :raises WtsChatDestinationError: if another run has taken over; retryable
        """
        with self.database.transaction() as cursor:
            self.lease.renew(cursor)
            for table, rows in self._waiting.items():
                self.staging.add(cursor, table, rows)
                self._waiting[table] = []

    @property
    def waiting(self) -> int:
        """Rows that were taken and are not merged yet."""
        return self.staging.rows + sum(map(len, self._waiting.values()))

    def merge(
        self,
        *,
        since: datetime | None = None,
        until_reached: datetime | None = None,
        whole: datetime | None = None,
        settled_on: str | None = None,
        families: Mapping[str, Family] | None = None,
        position: Mapping[str, Any] | None = None,
    ) -> int:
        """
        Bring what is staged into the tables, and move the watermark, in one short transaction.

        Where memory bounds a transaction (DuckDB), most of the rows are merged by transactions before the last one.

        :param until_reached: its end, to move the watermark to; ``None`` leaves it
        :param whole: when all rows were read, where they were: others of the account are gone since then
        :param settled_on: the day on which what had ended was read again
        :param families: by id of their parent, children that are complete with this: others of these parents are gone
        :param position: how far the reading came, where it goes on. Default: it has ended
        :return: rows that were new or had changed
        """
        now = datetime.now(UTC)
        moment = self.database.instant(now)
        self.flush()
        self._supersede()
        written = 0
        limit = self.database.dialect.at_once
        parts = 1 if limit is None else -(-self.staging.rows // limit)
        if parts > 1:
            for name in self._tables:
                for number in range(parts):
                    with self.database.transaction() as cursor:
                        self.lease.renew(cursor)
                        written += self._bring(cursor, name, moment, (number, parts))
        with self.database.transaction() as cursor:
            self.lease.lock_table(cursor)
            self.lease.renew(cursor)
            if parts <= 1:
                written += sum(self._bring(cursor, name, moment, (0, 1)) for name in self._tables)
            for name, table in self._tables.items():
                self._adopt(cursor, name)
                self._unmark(cursor, name, table, moment)
                if table.child is not None:
                    self._mark_taken_out(cursor, name, table, moment)
                if whole:
                    self._mark_unseen(cursor, name, table, whole, moment)
            if families:
                since_then = min(family.begun for family in families.values())
                self.gone += self._mark(cursor, self._absent(cursor, families), since_then, moment)
                columns = (*KEY[:3], "parent_id", "version")
                sql = self.database.dialect.upsert(self._parents, columns, columns[:-1])
                versions = [(*self.load.key[:3], parent, family.version) for parent, family in families.items()]
                cursor.executemany(sql, versions)
            if settled_on:
                self.lease.set(cursor, "settled_on", settled_on)
            if until_reached is not None:
                self.lease.move(cursor, since, until_reached)
            if not families:
                self.lease.set(cursor, "position", None if position is None else json.dumps(position))
            self.lease.set(cursor, "loaded_at", instants.write(now))
            self.staging.clear(cursor)
        self.written += written
        return written

    def _ensure_history(self, name: str, table: Table) -> None:
        columns, quote = (*table.loaded, LOADED_AT), self.database.dialect.quote
        there = self.database.ensure(_history_of(name), columns, ("id", "updated_at", "hash"))
        periods = f"{name}_periods"
        if there >= {column.name for column in columns} and self.database.columns(quote(periods)):
            return
        listed = ", ".join(f"h.{quote(column.name)}" for column in columns)
        following = "LEAD(h.updated_at) OVER (PARTITION BY h.id ORDER BY h.updated_at, h.read_at)"
        query = (
            f"SELECT h.updated_at AS valid_from, COALESCE({following}, t.{table.mark.name}) AS valid_to, "  # noqa: S608
            f"{listed} FROM {quote(_history_of(name))} AS h LEFT JOIN {quote(name)} AS t ON t.id = h.id"
        )
        try:
            with self.database.transaction() as cursor:
                cursor.execute(f"DROP VIEW IF EXISTS {quote(periods)}")
                cursor.execute(f"CREATE VIEW {quote(periods)} AS {query}")
        except WtsChatDestinationError as error:
            if error.retryable:
                raise
            log.warning("The view %s is not made anew, so it may lack columns: %s", periods, error)

    def _keeps_versions(self, table: Table) -> bool:
        return self._history and table.child is None

    def mark(self, ids: Sequence[str], since: datetime) -> int:
        """
        Mark rows of the first table as gone.

        :param since: since when, on the server's clock
        :return: rows that were not marked before
        """
        moment = self.database.instant(datetime.now(UTC))
        with self.database.transaction() as cursor:
            self.lease.lock_table(cursor)
            self.lease.renew(cursor)
            return self._mark(cursor, ids, since, moment)

    def known(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the versions of parents whose children were loaded."""
        if not ids:
            return {}
        rows = self.database.query(
            f"SELECT parent_id, version FROM {self.database.dialect.quote(self._parents)} "  # noqa: S608
            "WHERE destination = ? AND source = ? AND resource = ? AND parent_id IN ({many})",
            *self.load.key[:3], many=ids,
        )  # fmt: skip
        self.database.rest()
        return {str(parent): str(version) for parent, version in rows}

    def _give_back(self) -> None:
        self.staging.drop()
        self.lease.give_back()

    # Making ready

    def _probe(self, name: str) -> None:
        """Put a row into the table and take it back: a table that does not fit shows before anything is read."""
        table = self._tables[name]
        instant = "2000-01-01T00:00:00.000000Z"
        values = {
            Kinds.ID: str(_PROBE), Kinds.TEXT: "x", Kinds.INSTANT: instant, Kinds.INTEGER: 1, Kinds.NUMBER: 1.5,
            Kinds.MONEY: 1.5, Kinds.BOOLEAN: True, Kinds.JSON: "{}", Kinds.HASH: "0" * 64,
        }  # fmt: skip
        dialect = self.database.dialect
        moment = dialect.value(Kinds.INSTANT, instant)
        try:
            with suppress(_TakenBackError), self.database.transaction() as cursor:
                self.staging.add(cursor, name, [tuple(values[column.kind] for column in table.loaded)])
                dialect.merge(cursor, Merge(name, self.staging.name(name), _by_id(table.loaded), moment))
                raise _TakenBackError
            if dialect.name == "mysql":
                # Of an engine without transactions it was not taken back.
                probe = values[table.columns[0].kind]
                self.database.change(f"DELETE FROM {dialect.quote(name)} WHERE id = ?", probe)  # noqa: S608
        except WtsChatDestinationError as error:
            if error.retryable:
                raise
            reason = f"{name} does not take rows of {table.resource}, so nothing was read. {error}"
            raise WtsChatArgumentError("table", reason) from None
        finally:
            self.staging.rows = 0

    def _fill(self, before: Mapping[str, set[str]]) -> None:
        """Fill columns that are new to a table out of the payloads, whoever added them and was killed meanwhile."""
        kept = self.lease.of_tables("filled")
        filled = dict(kept)
        new = [name for name, table in self._tables.items() if table.child and before[self._own] and name not in kept]
        if new:
            self._fill_children(new)
        for name, table in self._tables.items():
            there = before[name]
            done = set(filled.get(name, there)) & there
            pending = [column for column in table.columns if there and not table.child and column.name not in done]
            adopt = bool(there) and ACCOUNT.name not in done
            if pending or adopt:
                # Kept before anything is filled, so that the next run goes on if this one is killed.
                filled[name] = sorted(done)
                self.lease.keep_of_tables("filled", filled)
                kept = dict(filled)
            if pending:
                self._fill_table(name, table, pending)
            if adopt and self.lease.only_source():
                self._adopt_all(name)
            filled[name] = sorted({column.name for column in table.loaded} | done)
        if filled != kept:
            self.lease.keep_of_tables("filled", filled)

    def _describe(self, before: Mapping[str, set[str]]) -> None:
        """Give tables of an earlier release indexes and comments, once: a load does not ask for them each time."""
        described = self.lease.of_tables("described")
        given = dict(described)
        for name, table in self._tables.items():
            told = [sorted(table.indexes), *((column.name, column.comment) for column in table.stored)]
            given[name] = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
            new = bool(before[name]) and described.get(name) != given[name]
            if new and not self.database.describe(name, table.stored, table.indexes):
                del given[name]
        if given != described:
            self.lease.keep_of_tables("described", given)

    def _fill_table(self, name: str, table: Table, pending: Sequence[Column]) -> None:
        log.info("Filling %s of %s out of the payloads", ", ".join(column.name for column in pending), name)
        shaper = Shaper(table, Tally())
        places = [table.columns.index(column) for column in pending]
        id_column = next(column for column in table.columns if column.name == "id")
        columns = (id_column, HASH, *pending)

        def fill(cursor: Any, found: Sequence[tuple[str, str, Any]], moment: Any) -> None:
            rows = []
            for row_id, digest, row in found:
                values = shaper.values(row) if isinstance(row, Mapping) else [None] * len(table.columns)
                rows.append((row_id, digest, *(values[place] for place in places)))
            self.staging.add(cursor, name, rows, columns)
            self.database.dialect.merge(cursor, Merge(name, self.staging.name(name), columns, moment, when=SAME))

        self._each_stored(name, "hash", fill)

    def _fill_children(self, names: Sequence[str]) -> None:
        """Fill tables of lists inside of rows that are new beside a table which is not."""
        if self._shaping is None:
            return
        splitters = self._shaping.splitters
        log.info("Filling %s out of the payloads of %s", ", ".join(names), self._own)

        def fill(cursor: Any, found: Sequence[tuple[str, str, Any]], moment: Any) -> None:
            changed = [(row, account) for _, account, row in found if isinstance(row, Mapping) and row.get("updatedAt")]
            for name in names:
                split = [splitters[name].split(row, row["updatedAt"], account) for row, account in changed]
                self.staging.add(cursor, name, list(chain.from_iterable(split)))
                columns = _by_id(self._tables[name].loaded)
                self.database.dialect.merge(cursor, Merge(name, self.staging.name(name), columns, moment))

        self._each_stored(self._own, "account", fill)

    def _each_stored(
        self, name: str, column: str, fill: Callable[[Any, Sequence[tuple[str, str, Any]], Any], None]
    ) -> None:
        """
        Fill something out of all rows of a table, some in each transaction.

        :param fill: is given a cursor; the id, the column and the payload of each row; and the moment
        """
        last = ""
        query = (
            f"SELECT id, {column}, payload FROM {self.database.dialect.quote(name)} "  # noqa: S608
            f"WHERE id > ? ORDER BY id LIMIT {_AT_ONCE}"
        )
        while True:
            with self.database.transaction() as cursor:
                self.lease.renew(cursor)
                found = self.database.ask(cursor, query, last)
                if not found:
                    return
                last = str(found[-1][0])
                rows = [
                    (row_id, told, json.loads(payload) if isinstance(payload, (str, bytes)) else payload)
                    for row_id, told, payload in found
                ]
                fill(cursor, rows, self.database.instant(datetime.now(UTC)))
                self.staging.clear(cursor)

    def _adopt_all(self, name: str) -> None:
        """Give rows from before there was a column for it to the only account that was ever loaded."""
        sql = f"UPDATE {self.database.dialect.quote(name)} SET account = ? WHERE account IS NULL"  # noqa: S608
        self.database.change(sql, self.account)

    # Merging

    def _supersede(self) -> None:
        """Mark older versions of a row (1) and copies of one version (2), before anybody has to wait for it."""
        for name in self._tables:
            levels = [(1, "id"), *([(2, "id, updated_at, hash")] if self._keeps_versions(self._tables[name]) else [])]
            for level, key in levels:
                with self.database.transaction() as cursor:
                    # Whoever wants to take over waits until this has ended.
                    self.lease.renew(cursor)
                    self.staging.supersede(cursor, name, level, key)

    def _bring(self, cursor: Any, name: str, moment: Any, part: tuple[int, int]) -> int:
        table, dialect = self._tables[name], self.database.dialect
        if self._keeps_versions(table):
            self._keep_versions(cursor, name, table, moment, part)
        if table.child is not None and part[0] == 0:
            # Of older versions of their rows, which were merged before.
            s, t = self.staging.quoted(name), dialect.quote(self._own)
            newer = f"SELECT 1 FROM {t} AS t WHERE t.id = {s}.{table.parent} AND t.updated_at > {s}.updated_at"  # noqa: S608
            cursor.execute(f"DELETE FROM {s} WHERE EXISTS ({newer})")  # noqa: S608
        written = dialect.merge(cursor, Merge(name, self.staging.name(name), _by_id(table.loaded), moment, part=part))
        return 0 if table.child else written

    def _keep_versions(self, cursor: Any, name: str, table: Table, moment: Any, part: tuple[int, int]) -> None:
        dialect = self.database.dialect
        history, s = dialect.quote(_history_of(name)), self.staging.quoted(name)
        names = [dialect.quote(column.name) for column in table.loaded]
        known = f"LEFT JOIN {history} AS h ON h.id = s.id AND h.hash = s.hash AND h.updated_at"
        if table.untimed:
            # It is when a version was read first, so that of the row counts which is there.
            joins = f"LEFT JOIN {dialect.quote(name)} AS t ON t.id = s.id {known} = t.updated_at"
        else:
            joins = f"{known} = s.updated_at"
        sliced = "" if part[1] == 1 else f" AND hash(s.id) % {part[1]} = {part[0]}"
        cursor.execute(
            f"INSERT INTO {history} ({', '.join(names)}, loaded_at) "  # noqa: S608
            f"SELECT {', '.join(f's.{column}' for column in names)}, {dialect.cast(Kinds.INSTANT)} FROM {s} AS s "
            f"{joins} WHERE s.superseded < 2 AND h.id IS NULL{sliced}",
            (moment,),
        )

    def _adopt(self, cursor: Any, name: str) -> None:
        """Have rows that were read be of the account that they were read from."""
        dialect = self.database.dialect
        t, s = dialect.quote(name), self.staging.quoted(name)
        read = f"EXISTS (SELECT 1 FROM {s} AS s WHERE s.id = {t}.id)"  # noqa: S608
        others = f"SELECT COUNT(*) FROM {t} WHERE account <> ? AND {read}"  # noqa: S608
        ((number,),) = self.database.ask(cursor, others, self.account)
        if number:
            log.warning(
                "%d rows of %s were loaded as of another account than %r before. If these are connections to one "
                "account, give both the same extra 'account'",
                number, name, self.account,
            )  # fmt: skip
        adopt = f"UPDATE {t} SET account = ? WHERE (account IS NULL OR account <> ?) AND {read}"  # noqa: S608
        self.database.execute(cursor, adopt, self.account, self.account)

    # Marks of what is gone

    def _unmark(self, cursor: Any, name: str, table: Table, moment: Any) -> None:
        dialect = self.database.dialect
        mark, t, s = dialect.quote(table.mark.name), dialect.quote(name), self.staging.quoted(name)
        # Of lists only what the newest version of a row holds is staged still.
        since = "" if table.child else f" AND s.read_at >= {t}.{mark}"
        seen = f"SELECT 1 FROM {s} AS s WHERE s.id = {t}.id{since}"  # noqa: S608
        cursor.execute(
            f"UPDATE {t} SET {mark} = NULL, loaded_at = {dialect.cast(Kinds.INSTANT)} "  # noqa: S608
            f"WHERE {mark} IS NOT NULL AND EXISTS ({seen})",
            (moment,),
        )

    def _mark_unseen(self, cursor: Any, name: str, table: Table, since: datetime, moment: Any) -> None:
        dialect = self.database.dialect
        mark, t, s = dialect.quote(table.mark.name), dialect.quote(name), self.staging.quoted(name)
        any_row = self.staging.quoted(self._own if table.child else name)
        at = dialect.cast(Kinds.INSTANT)
        # An answer without a single row is no news of all being gone.
        self.database.execute(
            cursor,
            f"UPDATE {t} SET {mark} = {at}, loaded_at = {at} WHERE {mark} IS NULL AND account = ? "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {s} AS s WHERE s.id = {t}.id) AND EXISTS (SELECT 1 FROM {any_row})",
            self.database.instant(since), moment, self.account,
        )  # fmt: skip
        if not table.child:
            self.gone += dialect.count(cursor)

    def _mark_taken_out(self, cursor: Any, name: str, table: Table, moment: Any) -> None:
        """Mark what the newest version of a row does not hold any more."""
        dialect = self.database.dialect
        c, s = dialect.quote(name), self.staging.quoted(name)
        t, p = dialect.quote(self._own), self.staging.quoted(self._own)
        newest = (
            f"FROM {p} AS p JOIN {t} AS t ON t.id = p.id WHERE p.id = {c}.{table.parent} AND p.superseded = 0 "
            "AND p.updated_at >= t.updated_at"
        )
        self.database.execute(
            cursor,
            f"UPDATE {c} SET missing_since = (SELECT MAX(p.read_at) {newest}), loaded_at = "  # noqa: S608
            f"{dialect.cast(Kinds.INSTANT)} WHERE missing_since IS NULL AND account = ? "
            f"AND EXISTS (SELECT 1 {newest}) AND NOT EXISTS (SELECT 1 FROM {s} AS s WHERE s.id = {c}.id)",
            moment, self.account,
        )  # fmt: skip

    def absent(self, families: Mapping[str, Family]) -> list[str]:
        """
        Return the ids of rows of the first table that are not among the children of their parents any more.

        :param families: by id of their parent, children that were read completely
        """
        with self.database.transaction() as cursor:
            return self._absent(cursor, families)

    def count_children(self, parents: Sequence[str]) -> int:
        """Count the rows of parents that are not marked."""
        table = self._tables[self._own]
        sql = (
            f"SELECT COUNT(*) FROM {self.database.dialect.quote(self._own)} AS t "  # noqa: S608
            f"WHERE t.{table.mark.name} IS NULL AND t.account = ? AND t.{table.parent} IN ({{many}})"
        )
        with self.database.transaction() as cursor:
            found = [self.database.ask(cursor, sql, self.account, many=some) for some in _slices(parents)]
        return sum(int(number) for ((number,),) in found)

    def _absent(self, cursor: Any, families: Mapping[str, Family]) -> list[str]:
        table, dialect = self._tables[self._own], self.database.dialect
        if table.parent is None or not families:
            return []
        # A row that another run saw after this reading had begun may be newer than it.
        begun = self.database.instant(min(family.begun for family in families.values()))
        sql = (
            f"SELECT t.id, t.{table.parent} FROM {dialect.quote(self._own)} AS t "  # noqa: S608
            f"WHERE t.{table.mark.name} IS NULL AND t.account = ? AND t.read_at < {dialect.cast(Kinds.INSTANT)} "
            f"AND t.{table.parent} IN ({{many}})"
        )
        gone: list[str] = []
        for some in _slices(list(families)):
            found = self.database.ask(cursor, sql, self.account, begun, many=some)
            gone += [str(row_id) for row_id, parent in found if row_id not in families[parent].ids]
        return gone

    def _mark(self, cursor: Any, ids: Sequence[str], since: datetime, moment: Any) -> int:
        """Mark rows of the first table, and what is inside of them; tell how many of the former there were."""
        dialect, marked = self.database.dialect, 0
        mark, at = dialect.quote(self._tables[self._own].mark.name), dialect.cast(Kinds.INSTANT)
        given = (self.database.instant(since), moment, self.account)
        inside = [(child, made.parent) for child, made in self._tables.items() if made.child is not None]
        for some in _slices(ids):
            self.database.execute(
                cursor,
                f"UPDATE {dialect.quote(self._own)} SET {mark} = {at}, loaded_at = {at} "  # noqa: S608
                f"WHERE {mark} IS NULL AND account = ? AND id IN ({{many}})",
                *given, many=some,
            )  # fmt: skip
            marked += dialect.count(cursor)
            for child, parent in inside:
                self.database.execute(
                    cursor,
                    f"UPDATE {dialect.quote(child)} SET missing_since = {at}, loaded_at = {at} "  # noqa: S608
                    f"WHERE missing_since IS NULL AND account = ? AND {parent} IN ({{many}})",
                    *given, many=some,
                )  # fmt: skip
        return marked


class _TakenBackError(Exception):
    """Ends the transaction of a probe, so that nothing of it stays."""


def _slices(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut values into as many as a statement may bind."""
    return (values[start : start + _BOUND] for start in range(0, len(values), _BOUND))


def _by_id(columns: Sequence[Column]) -> list[Column]:
    return sorted(columns, key=lambda column: column.name != "id")


def _history_of(name: str) -> str:
    return f"{name}_history"
