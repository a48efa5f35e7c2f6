"""A table in a database: staging, merging, and what was loaded so far."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from airflow_provider_wtschat._compat import BaseHook, get_database_hook
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError
from airflow_provider_wtschat.warehouse.dialects import Dialect, dialect_of, duckdb_connection
from airflow_provider_wtschat.warehouse.rows import Values
from airflow_provider_wtschat.warehouse.tables import Column, Kinds, Table

log = logging.getLogger(__name__)

LOADS = "wtschat_loads"
PARENTS = "wtschat_parents"
LEASE = 120.0
"""Seconds after which a run that shows no sign of life is taken for dead."""

_LOOK_EVERY = 1.0
_LONGEST_NAME = 40
_KEY = ("destination", "source", "resource", "filter_digest")
_SEQ = Column("seq", Kinds.INTEGER)


@dataclass(frozen=True)
class Load:
    """
    What is loaded, and where to. Each has a watermark of its own.

    :param destination: name of the table
    :param source: id of the connection that it is read by
    :param resource: name of the resource
    :param filters: what was asked for
    :param window: the window where it was given; there is no watermark then
    """

    destination: str
    source: str
    resource: str
    filters: Mapping[str, Any]
    window: str = ""

    @property
    def digest(self) -> str:
        """Tells sources, filters and windows apart."""
        told = json.dumps([self.source, self.filters, self.window], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key of its row."""
        return (self.destination, self.source, self.resource, self.digest)


class Database:
    """
    A database that rows are loaded into, open within its ``with`` block.

    :param sql_conn_id: id of the connection
    :param schema: schema of its tables, where it is not the connection's own
    """

    def __init__(self, sql_conn_id: str, schema: str | None = None) -> None:
        described = BaseHook.get_connection(sql_conn_id)
        self.dialect: Dialect = dialect_of(described.conn_type or "", sql_conn_id)
        self._schema = schema
        if self.dialect.name == "duckdb":
            if not described.host:
                msg = f"sql_conn_id: the connection {sql_conn_id!r} has no path of a DuckDB file (host)"
                raise WtsChatArgumentError(msg)
            self.connection = duckdb_connection(described.host, described.extra_dejson.get("memory_limit"))
        else:
            self.connection = get_database_hook(sql_conn_id).get_conn()
        self.dialect.prepare(self.connection)

    def __enter__(self) -> Database:
        """Return the database."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction; it is committed unless the block fails."""
        with self.dialect.cursor(self.connection) as cursor:
            self.dialect.begin(cursor)
            try:
                yield cursor
                self.connection.commit()
            except BaseException:
                # What failed matters more than that the connection is gone, too.
                with suppress(Exception):
                    self.connection.rollback()
                raise

    def named(self, name: str) -> str:
        """
        Return the name of a table, with its schema.

        :param name: the name alone
        """
        return f"{self._schema}.{name}" if self._schema else name

    def ask(self, cursor: Any, sql: str, values: Sequence[Any] = ()) -> list[Values]:
        """
        Run a query, or a statement.

        :param cursor: a cursor
        :param sql: the statement, with ``?`` for each bound value
        :param values: the values
        :return: its rows, none for a statement
        """
        cursor.execute(sql.replace("?", self.dialect.mark), tuple(values))
        return [tuple(row) for row in cursor.fetchall()] if sql.lstrip().upper().startswith("SELECT") else []

    def ensure(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        indexes: Iterable[str] = (),
        *,
        own: bool = False,
    ) -> None:
        """
        Make a table, or add to it the columns that it does not have.

        :param table: name of the table, with its schema
        :param columns: its columns
        :param key: names of the columns of its key
        :param indexes: columns to index
        :param own: whether it is of the load's own
        :raises WtsChatArgumentError: if there is another table of that name
        """
        quote, kinds = self.dialect.quote, self.dialect.kinds
        with self.transaction() as cursor:
            there = self.dialect.columns(cursor, table)
        if not there:
            parts = []
            for column in columns:
                # Keys of MySQL have to be short, and texts of a key are ids or names.
                short = self.dialect.name == "mysql" and column.name in key and column.kind is Kinds.TEXT
                parts.append(f"{quote(column.name)} {'VARCHAR(190)' if short else kinds[column.kind]}")
            parts.append(f"PRIMARY KEY ({', '.join(map(quote, key))})")
            statements = [f"CREATE TABLE {quote(table)} ({', '.join(parts)}){self.dialect.table_options}"]
            for name in indexes:
                # Of the table's schema, whose name an index cannot have.
                index = quote(f"{table.rpartition('.')[2][:_LONGEST_NAME]}_{name}")
                statements.append(f"CREATE INDEX {index} ON {quote(table)} ({quote(name)})")
            self._define(table, statements)
            return
        needed = {column.name for column in columns if column.name in (*key, "payload", "hash")}
        if not own and not needed <= there:
            msg = f"table: {table} is there, but was not made for this: it has no {', '.join(sorted(needed - there))}"
            raise WtsChatArgumentError(msg)
        for column in columns:
            if column.name not in there:
                log.info("Adding the column %s to %s", column.name, table)
                self._define(table, [self.dialect.add_column(table, column)], column.name)

    def _define(self, table: str, statements: Sequence[str], column: str | None = None) -> None:
        try:
            with self.transaction() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except Exception:
            # Another run may have done the same in this moment.
            with self.transaction() as cursor:
                there = self.dialect.columns(cursor, table)
            if not there or (column is not None and column not in there):
                raise

    def ensure_state(self) -> None:
        """Make the tables that keep what was loaded."""
        texts = ("filters", "watermark", "settled_on", "loaded_at", "locked_by", "staging")
        loads = [*(Column(name, Kinds.TEXT) for name in (*_KEY, *texts)), Column("locked_until", Kinds.NUMBER)]
        self.ensure(self.named(LOADS), loads, _KEY, own=True)
        parents = ("destination", "source", "resource", "parent_id", "version")
        self.ensure(self.named(PARENTS), [Column(name, Kinds.TEXT) for name in parents], parents[:-1], own=True)


class Run:
    """
    One attempt at a load: it holds the load's row while it runs, stages rows, and merges them.

    Use it in a ``with`` block, which gives the row back.

    :param database: the database
    :param load: what is loaded
    :param tables: the tables that rows go to; the first one is the resource's own
    :param holder: who runs, for those who wait
    :param wait: seconds to wait for another run of the same load
    :param history: whether to keep every version of a row, too
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
    ) -> None:
        self.database = database
        self.load = load
        self.watermark: datetime | None = None
        """The end of what was loaded before."""
        self.settled_on = ""
        """The day on which what had ended was last read again."""
        self.written = 0
        """Rows that were new or had changed."""
        self._tables = tables
        self._wait = wait
        self._history = history
        self._attempt = f"{time.time_ns():x}"[-12:]
        self._holder = f"{holder} ({self._attempt})"
        self._renewed = 0.0
        self._sequence = 0
        self._staged = 0
        self._loads = database.dialect.quote(database.named(LOADS))
        self._parents = database.named(PARENTS)
        self._where = " AND ".join(f"{name} = ?" for name in _KEY)

    def __enter__(self) -> Run:
        """Take the load's row, waiting for whoever has it."""
        self.database.ensure_state()
        for name, table in self._tables.items():
            self.database.ensure(name, table.stored, ("id",), table.indexes)
            if self._history:
                self.database.ensure(self._history_of(name), (*table.loaded, _LOADED), ("id", "updated_at", "hash"))
        self._claim()
        try:
            for name, table in self._tables.items():
                self._make_staging(name, table)
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the row back."""
        if kind is None:
            self._give_back()
            return
        with suppress(Exception):
            self._give_back()

    @property
    def staged(self) -> int:
        """Rows staged and not merged yet."""
        return self._staged

    def staging(self, table: str) -> str:
        """
        Return the name of the staging table of a table.

        :param table: name of the table
        """
        return self._staging_of(table, self._attempt)

    def stage(self, table: str, rows: Sequence[Values]) -> None:
        """
        Put rows into the staging table.

        :param table: name of the table that they are for
        :param rows: values of its ``loaded`` columns
        :raises WtsChatError: if another run has taken over
        """
        columns = (_SEQ, *self._tables[table].loaded)
        with self.database.transaction() as cursor:
            self._renew(cursor)
            if rows:
                numbered = [(self._sequence + number, *row) for number, row in enumerate(rows)]
                self.database.dialect.insert(cursor, self.staging(table), columns, numbered)
        self._sequence += len(rows)
        self._staged += len(rows)

    def keep(self) -> None:
        """
        Show a sign of life, if it is time. Call it while rows are read.

        :raises WtsChatError: if another run has taken over
        """
        if time.monotonic() - self._renewed > LEASE / 4:
            with self.database.transaction() as cursor:
                self._renew(cursor)

    def merge(
        self,
        *,
        since: datetime | None = None,
        until_reached: datetime | None = None,
        whole: datetime | None = None,
        settled_on: str | None = None,
        parents: Mapping[str, str] | None = None,
    ) -> int:
        """
        Bring what is staged into the tables, and move the watermark, in one short transaction.

        :param since: start of the window that was read
        :param until_reached: its end, to move the watermark to; ``None`` leaves it
        :param whole: when all rows were read, where they were: others of a dimension are missing since then
        :param settled_on: the day on which what had ended was read again
        :param parents: versions of parents whose children are complete with this
        :return: rows that were new or had changed
        """
        moment = instants.write(datetime.now(UTC))
        for name in self._tables:
            self._supersede(name)
        written = 0
        with self.database.transaction() as cursor:
            self._lock(cursor)
            self._renew(cursor)
            for name, table in self._tables.items():
                if self._history:
                    self._keep_versions(cursor, name, table, moment)
                written += self._merge(cursor, name, table, moment)
                if whole and table.dimension:
                    self._mark_missing(cursor, name, instants.write(whole))
            if parents:
                columns = (*_KEY[:3], "parent_id", "version")
                sql = self.database.dialect.upsert(self._parents, columns, columns[:-1])
                cursor.executemany(sql, [(*self.load.key[:3], *parent) for parent in parents.items()])
            if settled_on:
                self._set(cursor, "settled_on", settled_on)
            if until_reached is not None:
                self._move(cursor, since, until_reached)
            self._set(cursor, "loaded_at", moment)
            for name in self._tables:
                cursor.execute(f"DELETE FROM {self.database.dialect.quote(self.staging(name))}")  # noqa: S608
        self._staged = 0
        self.written += written
        return written

    def known(self, ids: Sequence[str]) -> dict[str, str]:
        """
        Return the versions of parents whose children were loaded.

        :param ids: ids of parents
        """
        if not ids:
            return {}
        marks = ", ".join("?" * len(ids))
        with self.database.transaction() as cursor:
            rows = self.database.ask(
                cursor,
                f"SELECT parent_id, version FROM {self.database.dialect.quote(self._parents)} "  # noqa: S608
                f"WHERE destination = ? AND source = ? AND resource = ? AND parent_id IN ({marks})",
                (*self.load.key[:3], *ids),
            )
        return {str(parent): str(version) for parent, version in rows}

    # The row of the load

    def _claim(self) -> None:
        database, dialect = self.database, self.database.dialect
        columns = (*_KEY, "filters")
        if_new = dialect.insert_if_new(database.named(LOADS), columns)
        deadline = time.monotonic() + self._wait
        with database.transaction() as cursor:
            cursor.execute(if_new, (*self.load.key, json.dumps(dict(self.load.filters), default=str)))
            # One row that all merges into the table wait for.
            cursor.execute(if_new, (self.load.destination, "", "", "", "null"))
        told = False
        while True:
            with database.transaction() as cursor:
                asked = (
                    f"SELECT watermark, settled_on, staging, locked_by FROM {self._loads} "  # noqa: S608
                    f"WHERE {self._where}{dialect.for_update}"
                )
                (found,) = database.ask(cursor, asked, self.load.key)
                watermark, settled_on, leftover, holder = found
                database.ask(
                    cursor,
                    f"UPDATE {self._loads} SET locked_by = ?, staging = ?, "  # noqa: S608
                    f"locked_until = {dialect.clock} + ? WHERE {self._where} "
                    f"AND (locked_until IS NULL OR locked_until < {dialect.clock})",
                    (self._holder, self._attempt, LEASE, *self.load.key),
                )
                if dialect.count(cursor):
                    break
            if time.monotonic() >= deadline:
                msg = (
                    f"{self.load.resource} is being loaded into {self.load.destination} by {holder}. Let one run at a "
                    "time load a table (max_active_runs=1), or wait for it longer (lock_timeout)"
                )
                raise WtsChatError(msg, retryable=True)
            if not told:
                log.info("Waiting for %s, which is loading %s", holder, self.load.destination)
                told = True
            time.sleep(_LOOK_EVERY)
        self.watermark = instants.read(watermark) if watermark else None
        self.settled_on = settled_on or ""
        if leftover:
            self._drop_staging(leftover)

    def _renew(self, cursor: Any) -> None:
        dialect = self.database.dialect
        self.database.ask(
            cursor,
            f"UPDATE {self._loads} SET locked_until = {dialect.clock} + ? "  # noqa: S608
            f"WHERE {self._where} AND locked_by = ?",
            (LEASE, *self.load.key, self._holder),
        )
        if not dialect.count(cursor):
            msg = f"Another run has taken over the load of {self.load.destination}: this one was silent for too long"
            raise WtsChatError(msg, retryable=True)
        self._renewed = time.monotonic()

    def _give_back(self) -> None:
        self._drop_staging(self._attempt)
        with self.database.transaction() as cursor:
            mine = (*self.load.key, self._holder)
            if self.load.window:
                statement = f"DELETE FROM {self._loads} WHERE {self._where} AND locked_by = ?"  # noqa: S608
            else:
                statement = (
                    f"UPDATE {self._loads} SET locked_by = NULL, locked_until = NULL, staging = NULL "  # noqa: S608
                    f"WHERE {self._where} AND locked_by = ?"
                )
            self.database.ask(cursor, statement, mine)

    def _lock(self, cursor: Any) -> None:
        self.database.ask(
            cursor,
            f"SELECT 1 FROM {self._loads} WHERE {self._where}{self.database.dialect.for_update}",  # noqa: S608
            (self.load.destination, "", "", ""),
        )

    def _set(self, cursor: Any, column: str, value: str) -> None:
        sql = f"UPDATE {self._loads} SET {column} = ? WHERE {self._where}"  # noqa: S608
        self.database.ask(cursor, sql, (value, *self.load.key))

    def _move(self, cursor: Any, since: datetime | None, until_reached: datetime) -> None:
        """Move the mark forward only, and never past what was not read."""
        mark = instants.write(until_reached)
        least = "" if since is None else instants.write(since)
        self.database.ask(
            cursor,
            f"UPDATE {self._loads} SET watermark = ? WHERE {self._where} "  # noqa: S608
            "AND (watermark IS NULL OR (watermark < ? AND watermark >= ?))",
            (mark, *self.load.key, mark, least),
        )
        if self.watermark is None or until_reached > self.watermark:
            self.watermark = until_reached

    # Staging

    def _make_staging(self, name: str, table: Table) -> None:
        dialect = self.database.dialect
        staging = self.staging(name)
        parts = [f"{dialect.quote(column.name)} {dialect.kinds[column.kind]}" for column in table.loaded]
        seq = f"seq {dialect.kinds[Kinds.INTEGER]}" + (" PRIMARY KEY" if dialect.keyed else "")
        with self.database.transaction() as cursor:
            cursor.execute(
                f"{dialect.staging_prefix} {dialect.quote(staging)} "
                f"({seq}, superseded {dialect.kinds[Kinds.INTEGER]} DEFAULT 0, {', '.join(parts)})"
                f"{dialect.table_options}"
            )

    def _drop_staging(self, attempt: str) -> None:
        for name in self._tables:
            with self.database.transaction() as cursor:
                staging = self.database.dialect.quote(self._staging_of(name, attempt))
                cursor.execute(f"DROP TABLE IF EXISTS {staging}")

    def _staging_of(self, table: str, attempt: str) -> str:
        # Names of databases are short, and those of two tables may begin alike.
        schema, dot, alone = table.rpartition(".")
        return f"{schema}{dot}{alone[:_LONGEST_NAME]}_{attempt}_{list(self._tables).index(table)}"

    def _supersede(self, name: str) -> None:
        """Mark older versions of a row (1) and copies of one version (2), before anybody has to wait for it."""
        staging = self.database.dialect.quote(self.staging(name))
        newest = "ORDER BY updated_at DESC, read_at DESC, seq DESC"
        for mark, partition in ((1, "id"), (2, "id, updated_at, hash")):
            if mark == 2 and not self._history:
                continue
            with self.database.transaction() as cursor:
                # Whoever wants to take over waits until this has ended.
                self._renew(cursor)
                cursor.execute(
                    f"UPDATE {staging} SET superseded = {mark} WHERE seq IN (SELECT seq FROM ("  # noqa: S608
                    f"SELECT seq, ROW_NUMBER() OVER (PARTITION BY {partition} {newest}) AS place FROM {staging}"
                    ") AS ranked WHERE place > 1)"
                )

    # Merging

    def _merge(self, cursor: Any, name: str, table: Table, moment: str) -> int:
        dialect = self.database.dialect
        at = dialect.value(Kinds.INSTANT, moment)
        columns = sorted(table.loaded, key=lambda column: column.name != "id")
        written = 0
        for statement in dialect.merge(name, self.staging(name), columns):
            cursor.execute(statement, (at,))
            written += dialect.count(cursor)
        mark, t, s = dialect.quote(table.mark.name), dialect.quote(name), dialect.quote(self.staging(name))
        seen = f"SELECT 1 FROM {s} AS s WHERE s.id = {t}.id AND s.read_at >= {t}.{mark}"  # noqa: S608
        cursor.execute(f"UPDATE {t} SET {mark} = NULL WHERE {mark} IS NOT NULL AND EXISTS ({seen})")  # noqa: S608
        return written

    def _mark_missing(self, cursor: Any, name: str, moment: str) -> None:
        dialect = self.database.dialect
        mark, t, s = dialect.quote("missing_since"), dialect.quote(name), dialect.quote(self.staging(name))
        # An answer without a single row is no news of all being gone.
        cursor.execute(
            f"UPDATE {t} SET {mark} = {dialect.cast(Kinds.INSTANT)} WHERE {mark} IS NULL "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {s} AS s WHERE s.id = {t}.id) AND EXISTS (SELECT 1 FROM {s})",
            (dialect.value(Kinds.INSTANT, moment),),
        )

    def _keep_versions(self, cursor: Any, name: str, table: Table, moment: str) -> None:
        dialect = self.database.dialect
        history, s = dialect.quote(self._history_of(name)), dialect.quote(self.staging(name))
        names = [dialect.quote(column.name) for column in table.loaded]
        same = "h.id = s.id AND h.updated_at = s.updated_at AND h.hash = s.hash"
        cursor.execute(
            f"INSERT INTO {history} ({', '.join(names)}, loaded_at) "  # noqa: S608
            f"SELECT {', '.join(f's.{column}' for column in names)}, {dialect.cast(Kinds.INSTANT)} FROM {s} AS s "
            f"LEFT JOIN {history} AS h ON {same} WHERE s.superseded < 2 AND h.id IS NULL",
            (dialect.value(Kinds.INSTANT, moment),),
        )

    @staticmethod
    def _history_of(name: str) -> str:
        return f"{name}_history"


_LOADED = Column("loaded_at", Kinds.INSTANT)
