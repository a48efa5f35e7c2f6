"""Comparing a table with the account that it was loaded from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_wtschat.api import contacts, instants, panels, sessions, types
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.paging import CREATED
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatNotFoundError
from airflow_provider_wtschat.extraction import find, read_changes, windows
from airflow_provider_wtschat.extraction.windows import Unit
from airflow_provider_wtschat.extraction.workers import Workers
from airflow_provider_wtschat.operators.base import failing_for_good
from airflow_provider_wtschat.transfers.reading import WtsChatReadingBaseOperator, check_rejects, holder, table_name
from airflow_provider_wtschat.transfers.wtschat_to_sql import LOCK_TIMEOUT
from airflow_provider_wtschat.warehouse.database import Database, Load, Run
from airflow_provider_wtschat.warehouse.rows import Shaper, Tally
from airflow_provider_wtschat.warehouse.tables import Kinds, table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

UNCHANGED = timedelta(days=7)

_OPEN = {
    "sessions": ("status", ["STARTED", "PENDING", "IN_PROGRESS"]),
    "cards": ("statuses", ["OPEN"]),
}
"""How to ask for what is not finished, and what its status is in a table."""


def _session(row_id: str) -> Request[Any]:
    return sessions.get(row_id, include_details=[types.SessionDetail.CLASSIFICATION_DETAILS])


def _contact(row_id: str) -> Request[Any]:
    return contacts.get(row_id, include_details=list(types.ContactDetail))


def _card(row_id: str) -> Request[Any]:
    return panels.get_card(row_id, include_details=list(types.CardDetail))


_ONE: Mapping[str, Callable[[str], Request[Any]]] = {"sessions": _session, "contacts": _contact, "cards": _card}
"""How to ask for a row by its id, with what the lists add to it."""


@dataclass
class Findings:
    """
    What a comparison found.

    :param account: rows of the account in the windows compared
    :param stored: rows of the table in them
    :param windows: windows compared
    :param differing: windows whose ids were read
    :param missing: rows of the account that the table had not
    :param reloaded: rows that were missing or out of date, and are not any more
    :param deleted: rows of the table that the account has no more
    :param requests: requests made
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


class WtsChatReconcileOperator(WtsChatReadingBaseOperator):
    """
    Compare a table that ``WtsChatToSqlOperator`` loads with the account.

    Over windows of the creation, which never changes, rows are counted first; only where the counts differ are ids
    read. What is missing in the table is loaded. What misses two readings is asked for by its id, and only if the API
    says that there is no such row it gets ``deleted_at``; a later sighting clears that. Rows that are not finished and
    have not changed for a week are compared, too.

    Give the arguments about personal data as the load has them.

    :param resource: ``sessions``, ``contacts`` or ``cards`` (templated)
    :param since: start of the creation to compare, included (templated). Default: the beginning
    :param sql_conn_id: connection of the database (templated)
    :param table: name of the table (templated). Default: that of the resource
    :param by: length of a window: ``day``, ``week``, ``month`` or ``year`` (templated). Default: ``month``
    :param full: read the ids of all windows, also where the counts agree (templated). Default: no
    :param min_share: refuse to compare an account that shows less than this share of the table's rows
        (templated). Default: 0.9
    :param max_deletes: refuse to mark more rows than this as deleted (templated). Default: 100
    :param fail_below: fail, after everything was loaded, if the table had less than this share of the account's rows
        (templated). Default: 0.99
    :param unchanged_for: compare rows that are not finished and unchanged for this long: timedelta or seconds;
        ``None`` for none (templated). Default: 7 days
    :param lock_timeout: seconds to wait for another comparison of the same table (templated). Default: 180
    """

    template_fields: Sequence[str] = (
        *WtsChatReadingBaseOperator.template_fields,
        "sql_conn_id",
        "table",
        "by",
        "full",
        "min_share",
        "max_deletes",
        "fail_below",
        "unchanged_for",
        "lock_timeout",
    )

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str | None = None,
        by: str = "month",
        full: bool | str = False,
        min_share: float | str = 0.9,
        max_deletes: int | str = 100,
        fail_below: float | str = 0.99,
        unchanged_for: timedelta | float | str | None = UNCHANGED,
        lock_timeout: float | str = LOCK_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.by = by
        self.full = full
        self.min_share = min_share
        self.max_deletes = max_deletes
        self.fail_below = fail_below
        self.unchanged_for = unchanged_for
        self.lock_timeout = lock_timeout

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Compare, load what is missing, and mark what is gone.

        :param context: context of the task
        :return: counts, and the share of the account's rows that the table had
        :raises WtsChatFailedError: if one of the bounds was crossed, or a retry cannot mend what went wrong
        :raises WtsChatError: if a retry may help
        """
        with failing_for_good():
            resource = find(convert.required_text("resource", self.resource))
            if resource.name not in _ONE:
                convert.refuse("resource", self.resource, f"one of {', '.join(_ONE)} is wanted")
            given = self.checked_window()
            bounds = {
                name: convert.required(name, convert.number(name, getattr(self, name), minimum=0, maximum=1))
                for name in ("min_share", "fail_below")
            }
            limit = convert.required("max_deletes", convert.integer("max_deletes", self.max_deletes, minimum=0))
            full = bool(convert.boolean("full", self.full))
            unchanged = convert.seconds("unchanged_for", self.unchanged_for)
            wait = convert.required("lock_timeout", convert.seconds("lock_timeout", self.lock_timeout))
            schema, name = table_name("table", self.table if self.table is not None else resource.name)
            shaper = Shaper(table(resource.name), tally := Tally(), self.editor(resource.row))
            workers, rejects = self.worker_count(), self.reject_limit()
            by = convert.required_text("by", self.by).strip()
            if by not in get_args(Unit):
                convert.refuse("by", self.by, f"one of {', '.join(get_args(Unit))} is wanted")
            conn_id = convert.required_text("sql_conn_id", self.sql_conn_id)
            self.hook.resolve()
            load = Load(name, self.wtschat_conn_id, resource.name, {}, "reconcile")
            with (
                Database(conn_id, schema) as database,
                Run(database, load, {name: table(resource.name)}, holder=holder(context), wait=wait) as run,
            ):
                comparison = _Comparison(self, run, shaper, tally, rejects, workers)
                low, high = (given.since, given.until) if given else (None, None)
                cuts = list(comparison.cuts(low, high, by))
                comparison.count(cuts, bounds["min_share"])
                for window in comparison.differing(full=full):
                    comparison.compare(*window, limit)
                if unchanged is not None and resource.name in _OPEN:
                    comparison.compare_open(timedelta(seconds=unchanged))
                found = comparison.finish(limit)
        figures = {**asdict(found), "share": round(found.share, 6), "resource": resource.name, "table": name}
        del figures["gone"]
        self.log.info("Compared %s with the account: %s", name, figures)
        self.tell_lineage(None, resource.name, figures)
        self.tell_outlets(context, figures)
        if found.share < bounds["fail_below"]:
            msg = (
                f"fail_below: {name} had {found.share:.2%} of the {found.account} rows of the account; the "
                f"{found.missing} that were missing are loaded now. Look why the load missed them"
            )
            raise WtsChatFailedError(msg)
        return figures


Span = tuple[datetime | None, datetime]


class _Comparison:
    """One comparison of a table with the account."""

    def __init__(
        self,
        operator: WtsChatReconcileOperator,
        run: Run,
        shaper: Shaper,
        tally: Tally,
        rejects: int,
        workers: int,
    ) -> None:
        self.found = Findings()
        self._operator = operator
        self._hook = operator.hook
        self._run = run
        self._database = run.database
        self._resource = find(run.load.resource)
        self._shaper = shaper
        self._tally = tally
        self._rejects = rejects
        self._workers = workers
        self._name = run.load.destination
        self._counts: list[tuple[Span, int, int]] = []
        self._requests = [
            request for request in self._resource.requests(self._hook) if isinstance(request, PagedRequest)
        ]
        self._now = datetime.now(UTC)

    def cuts(self, low: datetime | None, high: datetime | None, by: str) -> Iterator[Span]:
        """Cut what is compared into windows; the first one has no start unless it was given."""
        answer = self._hook.answer(self._requests[0].page(1, 1), bulk=True)
        self.found.requests += 1
        self._now = answer.server_time or self._now
        end = high or self._now
        first = low or self._first()
        if first is None or first >= end:
            yield low, end
            return
        for number, window in enumerate(windows(first, end, by=by, timezone=self._operator.checked_zone())):  # type: ignore[arg-type]  # refused there
            start = instants.read(window["since"])
            yield (low if number == 0 else start), instants.read(window["until"])

    def count(self, cuts: Sequence[Span], min_share: float) -> None:
        """Count the rows of all windows on both sides."""
        with Workers[int](self._hook, self._workers, bulk=True) as workers:
            waiting = [(number, request) for number in range(len(cuts)) for request in self._requests]
            totals = dict.fromkeys(range(len(cuts)), 0)
            while waiting or workers.underway:
                while waiting and workers.idle:
                    number, request = waiting.pop()
                    workers.submit(number, request.page(1, 1, bounds=_bounds(*cuts[number])))
                answered = workers.take(1.0)
                if answered is None:
                    continue
                if isinstance(answered.answer, BaseException):
                    raise answered.answer
                totals[answered.tag] += int(answered.answer.value.get("totalItems") or 0)
            self.found.requests += workers.requests
        self._counts = [(cut, totals[number], self._there(*cut)) for number, cut in enumerate(cuts)]
        self.found.windows = len(cuts)
        self.found.account = sum(account for _, account, _ in self._counts)
        self.found.stored = sum(there for _, _, there in self._counts)
        if self.found.account < min_share * self.found.stored:
            msg = (
                f"min_share: the account shows {self.found.account} rows, {self._name} has {self.found.stored}. Either "
                "the token sees a part of the account only, or the table is of another account; nothing was changed"
            )
            raise WtsChatFailedError(msg)

    def differing(self, *, full: bool) -> list[Span]:
        """Return the windows whose ids are to be read."""
        return [cut for cut, account, there in self._counts if full or account != there]

    def compare(self, low: datetime | None, high: datetime, limit: int) -> None:
        """Compare the ids of a window, load what is missing, and find what is gone."""
        self.found.differing += 1
        where, values = self._within(low, high)
        verified = self._stage(self._requests, low, high, CREATED)
        self.found.missing += self._ask_count(
            f"SELECT COUNT(*) FROM (SELECT DISTINCT id FROM {self._staged}) AS s "  # noqa: S608
            f"LEFT JOIN {self._table} AS t ON t.id = s.id WHERE t.id IS NULL"
        )
        if verified and self._absent(where, values):
            # A row can slip past one reading.
            verified = self._stage(self._requests, low, high, CREATED)
        if not verified:
            self._operator.log.warning("The reading is not verified, so nothing is taken for deleted")
        absent = self._absent(where, values) if verified else []
        self._merge()
        self._refuse_many([*self.found.gone, *absent], limit, perhaps=True)
        self._look_for(absent)

    def compare_open(self, unchanged: timedelta) -> None:
        """Compare rows that are not finished and have not changed for long."""
        argument, statuses = _OPEN[self._resource.name]
        until = self._now - unchanged
        requests = [
            request
            for request in self._resource.requests(self._hook, {argument: statuses})
            if isinstance(request, PagedRequest)
        ]
        self._stage(requests, None, until, None)
        marks = ", ".join("?" * len(statuses))
        where = f"t.status IN ({marks}) AND t.updated_at < {self._database.dialect.cast(Kinds.INSTANT)}"
        # Most of these have changed since, unseen by the load.
        absent = self._absent(where, (*statuses, self._value(until)))
        self._merge()
        self._look_for(absent)

    def finish(self, limit: int) -> Findings:
        """Mark what is gone."""
        self._refuse_many(self.found.gone, limit)
        dialect, mark = self._database.dialect, table(self._resource.name).mark.name
        moment = self._value(self._now)
        with self._database.transaction() as cursor:
            for row_id in self.found.gone:
                self._database.ask(
                    cursor,
                    f"UPDATE {self._table} SET {mark} = {dialect.cast(Kinds.INSTANT)} "  # noqa: S608
                    f"WHERE id = ? AND {mark} IS NULL",
                    (moment, row_id),
                )
                self.found.deleted += dialect.count(cursor)
        return self.found

    def _look_for(self, ids: Sequence[str]) -> None:
        """Ask for rows by their ids: what is there is loaded, what the API does not know is gone."""
        waiting = list(ids)
        with Workers[str](self._hook, self._workers, bulk=True) as workers:
            while waiting or workers.underway:
                while waiting and workers.idle:
                    row_id = waiting.pop()
                    workers.submit(row_id, _ONE[self._resource.name](row_id))
                answered = workers.take(1.0)
                if answered is None:
                    continue
                answer = answered.answer
                # A page of a proxy that says 404 has no key, and is no news of a row.
                if isinstance(answer, WtsChatNotFoundError) and answer.key:
                    self.found.gone.append(answered.tag)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    self._shape([answer.value], answer.server_time or datetime.now(UTC))
            self.found.requests += workers.requests
        self._merge()

    def _refuse_many(self, ids: Sequence[str], limit: int, *, perhaps: bool = False) -> None:
        if len(ids) > limit:
            msg = (
                f"max_deletes: {len(ids)} rows of {self._name} {'may be' if perhaps else 'are'} gone from the account, "
                f"and {limit} may be marked as deleted at once; none was. Allow more if that is right"
            )
            raise WtsChatFailedError(msg)

    def _stage(
        self, requests: Sequence[PagedRequest[Any]], low: datetime | None, high: datetime, key: str | None
    ) -> bool:
        """Stage the rows of a window; tell whether the server kept to what the reading relies on."""
        how = {} if key is None else {"key": key}
        reading = read_changes(self._hook, requests, low, high, workers=self._workers, **how)  # type: ignore[arg-type]  # a key is text
        try:
            for batch in reading:
                self._shape(batch.rows, batch.read_at)
        finally:
            reading.close()
        self.found.requests += reading.requests
        return reading.verified

    def _shape(self, rows: Sequence[Any], read_at: datetime) -> None:
        shaped = self._shaper.shape(rows, read_at)
        check_rejects(self._tally, self._rejects)
        self._run.stage(self._name, shaped)

    def _merge(self) -> None:
        if self._run.staged:
            self.found.reloaded += self._run.merge()

    # The table's side

    @property
    def _table(self) -> str:
        return self._database.dialect.quote(self._name)

    @property
    def _staged(self) -> str:
        return self._database.dialect.quote(self._run.staging(self._name))

    def _value(self, moment: datetime) -> Any:
        return self._database.dialect.value(Kinds.INSTANT, instants.write(moment))

    def _within(self, low: datetime | None, high: datetime) -> tuple[str, tuple[Any, ...]]:
        bound = self._database.dialect.cast(Kinds.INSTANT)
        if low is None:
            return f"t.created_at < {bound}", (self._value(high),)
        return f"t.created_at >= {bound} AND t.created_at < {bound}", (self._value(low), self._value(high))

    def _there(self, low: datetime | None, high: datetime) -> int:
        where, values = self._within(low, high)
        return self._ask_count(
            f"SELECT COUNT(*) FROM {self._table} AS t WHERE t.deleted_at IS NULL AND {where}",  # noqa: S608
            values,
        )

    def _absent(self, where: str, values: Sequence[Any]) -> list[str]:
        """Return the ids of rows of the table that were not staged."""
        query = (
            f"SELECT t.id FROM {self._table} AS t WHERE t.deleted_at IS NULL AND {where} "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {self._staged} AS s WHERE s.id = t.id)"
        )
        with self._database.transaction() as cursor:
            return [str(row_id) for (row_id,) in self._database.ask(cursor, query, values)]

    def _first(self) -> datetime | None:
        """Return the first day of the table."""
        with self._database.transaction() as cursor:
            query = f"SELECT CAST(MIN(created_at) AS CHAR(10)) FROM {self._table}"  # noqa: S608
            ((text,),) = self._database.ask(cursor, query)
        return None if text is None else instants.parse("created_at", str(text)[:10])

    def _ask_count(self, query: str, values: Sequence[Any] = ()) -> int:
        with self._database.transaction() as cursor:
            ((number,),) = self._database.ask(cursor, query, values)
        return int(number)


def _bounds(low: datetime | None, high: datetime) -> dict[str, str]:
    # Whether the server includes them is not known: only a row in the very microsecond would show it.
    bounds = {f"{CREATED}.Before": instants.write(high)}
    if low is not None:
        bounds[f"{CREATED}.After"] = instants.write(low - timedelta(microseconds=1))
    return bounds
