"""Comparing a table with the account that it was loaded from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import contacts, instants, panels, scheduled_messages, sessions, types
from airflow_provider_wtschat.api.paging import CREATED
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatNotFoundError
from airflow_provider_wtschat.extraction import (
    Kind,
    Reading,
    Resource,
    Snapshot,
    choose_parents,
    find,
    read_changes,
    read_children,
    windows,
)
from airflow_provider_wtschat.extraction.reading import succeeded
from airflow_provider_wtschat.extraction.windows import Unit
from airflow_provider_wtschat.extraction.workers import Workers
from airflow_provider_wtschat.warehouse.rows import Shaping
from airflow_provider_wtschat.warehouse.runs import Family, Run
from airflow_provider_wtschat.warehouse.tables import Kinds, table

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

log = logging.getLogger(__name__)

Span = tuple[datetime | None, datetime]

_OPEN = {
    "sessions": ("status", ["STARTED", "PENDING", "IN_PROGRESS"]),
    "cards": ("statuses", ["OPEN"]),
}
"""How to ask for what is not finished, and what its status is in a table."""
_BY_WINDOWS = ("sessions", "contacts", "cards")
"""What can be many rows: they are counted by windows first, and only where the counts differ ids are read."""
_ROWS_AT_ONCE = 20_000


_ONE: Mapping[str, Callable[[str], Request[Any]]] = {
    "sessions": partial(sessions.get, include_details=[types.SessionDetail.CLASSIFICATION_DETAILS]),
    "contacts": partial(contacts.get, include_details=list(types.ContactDetail)),
    "cards": partial(panels.get_card, include_details=list(types.CardDetail)),
    "scheduled_messages": scheduled_messages.get,
}
"""How to ask for a row by its id, with what the lists add to it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    What to compare, and what to refuse.

    :param since: start of the creation to compare, ``None`` for the beginning
    :param until: its end. ``None`` for that of what was loaded: what the account got since is not missing
    :param by: length of a window
    :param timezone: IANA time zone in which windows are cut
    :param full: whether to read the ids of windows whose counts agree, too
    :param min_share: the share of the table's rows that the account has to show
    :param max_deletes: rows that may be marked as deleted
    :param unchanged: rows that are not finished are compared if they did not change for this long
    :param max_requests: for what is read by parent: requests allowed
    :param workers: threads at most
    :param check: is called after rows were shaped; it fails if too many had to be left out
    """

    since: datetime | None
    until: datetime | None
    by: Unit
    timezone: str
    full: bool
    min_share: float
    max_deletes: int
    unchanged: timedelta | None
    max_requests: int | None
    workers: int
    check: Callable[[], None]


@dataclass
class Findings:
    """
    What a comparison found.

    :param account: rows of the account in the windows compared
    :param stored: rows of the table in them
    :param differing: windows whose ids were read
    :param missing: rows of the account that the table should have had
    :param reloaded: rows that were missing or out of date, and are not any more
    :param deleted: rows of the table that the account has no more
    :param gone: ids of rows to mark as deleted
    """

    account: int = 0
    stored: int = 0
    windows: int = 0
    differing: int = 0
    missing: int = 0
    reloaded: int = 0
    deleted: int = 0
    requests: int = 0
    gone: list[str] = field(default_factory=list, repr=False)

    @property
    def share(self) -> float:
        """The share of the account's rows that the table had."""
        return 1.0 - self.missing / self.account if self.account else 1.0


class Comparison:
    """
    One comparison of a table with the account.

    :param run: holds the table
    :param shaping: makes rows
    """

    def __init__(self, hook: WtsChatHook, run: Run, shaping: Shaping, options: Options) -> None:
        self.found = Findings()
        self._hook = hook
        self._run = run
        self._database = run.database
        self._resource: Resource = find(run.load.resource)
        self._shaping = shaping
        self._options = options
        self._name = run.load.destination
        self._made = table(self._resource.name)
        self._now = datetime.now(UTC)
        self._until = options.until or run.lease.complete_until()

    def compare(self) -> Findings:
        """
        Compare, load what is missing, and mark what is gone.

        :return: what was found
        :raises WtsChatFailedError: if one of the bounds was crossed; nothing is marked then
        """
        options = self._options
        if self._resource.kind is Kind.CHILDREN:
            self._compare_children()
        elif self._resource.name in _BY_WINDOWS:
            requests = self._lists()
            counted = self._count(requests, list(self._cuts(requests)))
            for cut, account, stored in counted:
                if options.full or account is None or account != stored:
                    self._compare_window(requests, *cut)
            if options.unchanged is not None and self._resource.name in _OPEN:
                self._compare_open(options.unchanged)
        else:
            self._compare_whole()
        self._refuse_many(self.found.gone)
        self.found.deleted += self._run.mark(self.found.gone, self._now)
        return self.found

    # By windows of creation

    def _lists(self, filters: Mapping[str, Any] | None = None) -> list[PagedRequest[Any]]:
        requests = self._resource.requests(self._hook, filters)
        return [request for request in requests if isinstance(request, PagedRequest)]

    def _cuts(self, requests: Sequence[PagedRequest[Any]]) -> Iterator[Span]:
        """Cut what is compared into windows; the first one has no start unless it was given."""
        low, high = self._options.since, self._until
        if requests:
            answer = self._hook.answer(requests[0].page(1, 1), bulk=True)
            self.found.requests += 1
            self._now = answer.server_time or self._now
        end = high or self._now
        first = low or self._first()
        if first is None or first >= end:
            yield low, end
            return
        cuts = windows(first, end, by=self._options.by, timezone=self._options.timezone)
        for number, window in enumerate(cuts):
            start = instants.read(window["since"])
            yield (low if number == 0 else start), instants.read(window["until"])

    def _count(self, requests: Sequence[PagedRequest[Any]], cuts: Sequence[Span]) -> list[tuple[Span, int | None, int]]:
        """Count the rows of all windows on both sides; ``None`` where the server does not say."""
        self._database.rest()
        totals: dict[int, int | None] = dict.fromkeys(range(len(cuts)), 0)
        with Workers[int](self._hook, self._options.workers, bulk=True) as workers:
            asked = (
                (number, request.page(1, 1, bounds=_bounds(*cut)))
                for number, cut in enumerate(cuts)
                for request in requests
            )
            for answered in workers.answers(asked):
                total, before = succeeded(answered).value.get("totalItems"), totals[answered.tag]
                totals[answered.tag] = None if total is None or before is None else before + int(total)
            self.found.requests += workers.requests
        counted = [(cut, totals[number], self._there(*cut)) for number, cut in enumerate(cuts)]
        self.found.windows = len(cuts)
        self.found.account = sum(account or 0 for _, account, _ in counted)
        self.found.stored = sum(there for _, _, there in counted)
        if all(account is not None for _, account, _ in counted):
            self._refuse_little()
        return counted

    def _compare_window(self, requests: Sequence[PagedRequest[Any]], low: datetime | None, high: datetime) -> None:
        """Compare the ids of a window, load what is missing, and find what is gone."""
        where, values = self._within(low, high)

        def read() -> Reading[Any]:
            return read_changes(self._hook, requests, low, high, key=CREATED, workers=self._options.workers)

        self._compare_ids(read, where, values)

    def _compare_ids(self, read: Callable[[], Reading[Any]], where: str, values: Sequence[Any]) -> None:
        self.found.differing += 1
        verified = self._stage(read())
        self.found.missing += self._unknown(where, values)
        if verified and self._absent(where, values):
            # A row can slip past one reading.
            verified = self._stage(read())
        if not verified:
            log.warning("The reading is not verified, so nothing is taken for deleted")
        absent = self._absent(where, values) if verified else []
        self._merge()
        self._refuse_many([*self.found.gone, *absent], perhaps=True)
        self._look_for(absent)

    def _compare_open(self, unchanged: timedelta) -> None:
        """Compare rows that are not finished and have not changed for long."""
        argument, statuses = _OPEN[self._resource.name]
        until = self._now - unchanged
        requests = self._lists({argument: statuses})
        self._stage(read_changes(self._hook, requests, None, until, workers=self._options.workers))
        listed = ", ".join("?" * len(statuses))
        where = f"t.status IN ({listed}) AND t.updated_at < {self._database.dialect.cast(Kinds.INSTANT)}"
        # Most of these have changed since, unseen by the load.
        absent = self._absent(where, (*statuses, self._database.instant(until)))
        self._merge()
        self._look_for(absent)

    # All at once

    def _compare_whole(self) -> None:
        """Compare all rows of what is not too many."""
        requests = self._resource.requests(self._hook)
        low, high = self._options.since, self._until
        self.found.windows = 1
        self.found.stored = self._there(low, high)

        def read() -> Reading[Any]:
            if self._resource.kind is Kind.SNAPSHOT:
                return Snapshot(self._hook, requests, rows=self._resource.rows)
            lists = [request for request in requests if isinstance(request, PagedRequest)]
            return read_changes(
                self._hook, lists, low, high, key=CREATED, unfiltered=self._resource.comparisons(lists),
                workers=self._options.workers,
            )  # fmt: skip

        self._compare_ids(read, *self._within(low, high))

    def _compare_children(self) -> None:
        """Read the children of all parents of the account, and of those that the table has and the account has not."""
        options = self._options
        created = {"created_after": options.since, "created_before": options.until}
        filters = {name: value for name, value in created.items() if value is not None}
        parents = choose_parents(self._hook, self._resource, None, None, filters=filters, workers=options.workers)
        if not filters:
            known = {parent.id for parent in parents.chosen}
            parents.chosen.add((row_id, "") for row_id in self._parents_there() if row_id not in known)
        self.found.windows = len(parents.chosen)
        reading = read_children(
            self._hook, self._resource, parents, max_requests=options.max_requests, workers=options.workers
        )
        begun: dict[str, Family] = {}
        complete: dict[str, Family] = {}
        try:
            for batch in reading:
                self._shape(batch.rows, batch.read_at)
                self._run.lease.keep()
                if batch.parent is None:
                    continue
                family = begun.setdefault(batch.parent.id, Family(batch.parent.version, batch.read_at))
                family.ids.update(row["id"] for row in batch.rows)
                if batch.complete:
                    complete[batch.parent.id] = begun.pop(batch.parent.id)
                if self._run.waiting >= _ROWS_AT_ONCE:
                    self._settle(complete, verified=reading.verified)
                    complete = {}
            self._settle(complete, verified=reading.verified)
        finally:
            reading.close()
        self.found.requests += reading.requests
        if not reading.verified:
            log.warning("The reading is not verified, so nothing is taken for deleted")
            self.found.gone.clear()
        self.found.account = reading.rows
        self._refuse_little()

    def _settle(self, complete: Mapping[str, Family], *, verified: bool) -> None:
        self._run.flush()
        # Of a session that goes on, too.
        self.found.missing += self._unknown(*self._within(None, self._until))
        if verified:
            self.found.gone += self._run.absent(complete)
        self.found.stored += self._run.count_children(list(complete))
        self.found.differing += len(complete)
        self._merge()

    # What both have in common

    def _look_for(self, ids: Sequence[str]) -> None:
        """Ask for rows by their ids: what is there is loaded, what the API does not know is gone."""
        one = _ONE.get(self._resource.name)
        if one is None:
            # It missed two readings.
            self.found.gone += ids
            return
        with Workers[str](self._hook, self._options.workers, bulk=True) as workers:
            for answered in workers.answers((row_id, one(row_id)) for row_id in ids):
                answer = answered.answer
                # A page of a proxy that says 404 has no key, and says nothing about a row.
                if isinstance(answer, WtsChatNotFoundError) and answer.key:
                    self.found.gone.append(answered.tag)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    self._shape([answer.value], answer.server_time or datetime.now(UTC))
            self.found.requests += workers.requests
        self._run.flush()
        self._merge()

    def _refuse_little(self) -> None:
        if self.found.account < self._options.min_share * self.found.stored:
            message = (
                f"min_share: the account shows {self.found.account} rows, {self._name} has {self.found.stored} of it. "
                "Either the token sees a part of the account only, or the connection is of another account; nothing "
                "was marked"
            )
            raise WtsChatFailedError(message)

    def _refuse_many(self, ids: Sequence[str], *, perhaps: bool = False) -> None:
        limit = self._options.max_deletes
        if len(ids) > limit:
            message = (
                f"max_deletes: {len(ids)} rows of {self._name} {'may be' if perhaps else 'are'} gone from the account, "
                f"and {limit} may be marked as deleted at once; none was. Allow more if that is right"
            )
            raise WtsChatFailedError(message)

    def _stage(self, reading: Reading[Any]) -> bool:
        """Stage the rows of a reading; tell whether the server kept to what the reading relies on."""
        whole = self._resource.name not in _BY_WINDOWS
        rows = 0
        try:
            for batch in reading:
                rows += len(batch.rows)
                self._shape(batch.rows, batch.read_at)
                self._run.lease.keep()
        finally:
            reading.close()
        self._run.flush()
        self.found.requests += reading.requests
        if whole:
            self._now = reading.started_at or self._now
            self.found.account = self._staged()
            self._refuse_little()
        return reading.verified

    def _shape(self, rows: Sequence[Any], read_at: datetime) -> None:
        made = self._shaping.make(rows, read_at)
        self._options.check()
        for name, values in made.items():
            self._run.stage(name, values)

    def _merge(self) -> None:
        if self._run.waiting:
            self.found.reloaded += self._run.merge()

    # The table's side

    @property
    def _table(self) -> str:
        return self._database.dialect.quote(self._name)

    @property
    def _ours(self) -> str:
        """The rows of this account that are not marked; binds the account."""
        return f"t.{self._made.mark.name} IS NULL AND t.account = ?"

    def _within(self, low: datetime | None, high: datetime | None) -> tuple[str, tuple[Any, ...]]:
        bound = self._database.dialect.cast(Kinds.INSTANT)
        conditions = [(">=", low), ("<", high)]
        given = [(operator, self._database.instant(moment)) for operator, moment in conditions if moment is not None]
        where = " AND ".join(f"t.created_at {operator} {bound}" for operator, _ in given)
        return where or "1 = 1", tuple(value for _, value in given)

    def _there(self, low: datetime | None, high: datetime | None) -> int:
        where, values = self._within(low, high)
        return self._ask_count(
            f"SELECT COUNT(*) FROM {self._table} AS t WHERE {self._ours} AND {where}",  # noqa: S608
            self._run.account, *values,
        )  # fmt: skip

    def _staged(self) -> int:
        return self._ask_count(f"SELECT COUNT(DISTINCT id) FROM {self._run.staging.quoted(self._name)}")  # noqa: S608

    def _unknown(self, where: str, values: Sequence[Any]) -> int:
        """Count the staged rows that the table does not have."""
        return self._ask_count(
            f"SELECT COUNT(DISTINCT t.id) FROM {self._run.staging.quoted(self._name)} AS t "  # noqa: S608
            f"WHERE {where} AND NOT EXISTS (SELECT 1 FROM {self._table} AS own WHERE own.id = t.id)",
            *values,
        )

    def _absent(self, where: str, values: Sequence[Any]) -> list[str]:
        """Return the ids of rows of the table that were not staged."""
        query = (
            f"SELECT t.id FROM {self._table} AS t WHERE {self._ours} AND {where} "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {self._run.staging.quoted(self._name)} AS s WHERE s.id = t.id)"
        )
        return [str(row_id) for (row_id,) in self._database.query(query, self._run.account, *values)]

    def _parents_there(self) -> list[str]:
        query = f"SELECT DISTINCT t.{self._made.parent} FROM {self._table} AS t WHERE {self._ours}"  # noqa: S608
        return [str(row_id) for (row_id,) in self._database.query(query, self._run.account) if row_id is not None]

    def _first(self) -> datetime | None:
        """Return the first day of the table's rows of this account."""
        query = f"SELECT CAST(MIN(t.created_at) AS CHAR(10)) FROM {self._table} AS t WHERE t.account = ?"  # noqa: S608
        ((text,),) = self._database.query(query, self._run.account)
        return None if text is None else instants.parse("created_at", str(text)[:10])

    def _ask_count(self, query: str, *values: Any) -> int:
        ((number,),) = self._database.query(query, *values)
        return int(number)


def _bounds(low: datetime | None, high: datetime) -> dict[str, str]:
    # Whether the server includes them is not known: only a row in the very microsecond would show it.
    bounds = {f"{CREATED}.Before": instants.write(high)}
    if low is not None:
        bounds[f"{CREATED}.After"] = instants.write(low - timedelta(microseconds=1))
    return bounds
