"""Loading what changed in WTS Chat into a table of a database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import BaseHook
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.extraction import Batch, Changes, Kind, Reading, Resource, read
from airflow_provider_wtschat.operators._progress import DONE, Progress
from airflow_provider_wtschat.transfers.outbound import (
    Window,
    WtsChatLoadingBaseOperator,
    check_rejects,
    check_watermark,
    finished,
    holder,
    table_name,
)
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.leases import KEY, LEASE, LOADS, Load
from airflow_provider_wtschat.warehouse.rows import Shaping, Tally
from airflow_provider_wtschat.warehouse.runs import Family, Run
from airflow_provider_wtschat.warehouse.tables import table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatToSqlOperator"]

LOCK_TIMEOUT = LEASE + 60
"""Seconds to wait for another run: long enough to outlive one that was killed."""

_KEPT_ROWS = 20_000
"""Rows after which they are merged, with how far the reading came: a later try goes on from there."""
_CHILD_ROWS = 20_000
_PARENTS = 500
"""Rows of children, or parents complete, after which the latter are recorded: a later try goes on from there."""


class WtsChatToSqlOperator(WtsChatLoadingBaseOperator):
    """
    Load what changed in WTS Chat into a table of PostgreSQL, MySQL, MariaDB, SQLite or DuckDB.

    Pages go to a staging table of this attempt; one short transaction merges it into the table and moves the
    watermark, which is kept in the table ``wtschat_loads`` beside it. Of more than 20,000 rows each 20,000 are merged
    with how far the reading came, so that a later try goes on from there. There is one row for each id, in its newest
    version by ``updated_at``, then ``read_at``; a row is written only if it differs from the one that is there, and
    ``loaded_at`` moves only then. A rerun does no harm: it brings the newest version of each row and removes none.

    The table is made if it is missing, with a column for each field of the contract and the whole row in ``payload``;
    columns that are missing are added, and none is changed. Instants are in UTC. Of agents, departments, channels,
    tags, custom fields and panels all rows are read each time; those which are gone get ``missing_since`` and stay,
    because others point at them. Panels bring their steps in a second table, ``<table>_steps``.

    A window given by ``since`` or ``until`` never moves the watermark, so a backfill can run beside the schedule.

    Returns figures: rows read and written, requests, the window, how far it went, and the watermark.

    .. code-block:: python

        WtsChatToSqlOperator(
            task_id="sessions", resource="sessions", sql_conn_id="warehouse", initial_since="2026-01-01"
        )

    :param sql_conn_id: connection of the type ``postgres``, ``mysql``, ``sqlite`` or ``duckdb``, whose host is the path
        of its file (templated)
    :param table: name of the table, with or without its schema (templated). Default: ``wtschat_`` and the
        resource
    :param history: also append every version that is seen to ``<table>_history``, and make the view
        ``<table>_periods`` that tells from when to when each was valid (templated). Default: no
    :param lock_timeout: seconds to wait for another run of the same load before failing (templated). Default: 180
    """

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str | None = None,
        history: bool | str = False,
        lock_timeout: float | str = LOCK_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.history = history
        self.lock_timeout = lock_timeout

    def act(self, context: Context) -> dict[str, Any]:
        """
        Load what changed.

        :return: figures: rows read and written, requests, the window, how far it went, and the watermark
        """
        resource = self.checked_resource()
        filters = self.checked_filters(resource)
        given = self.checked_window()
        schema, name = table_name("table", self.table if self.table is not None else f"wtschat_{resource.name}")
        tally = Tally()
        tables, shaping = self.shaping(resource, name, tally)
        max_rejects = self.reject_limit()
        history = bool(convert.boolean("history", self.history))
        wait = convert.required("lock_timeout", convert.seconds("lock_timeout", self.lock_timeout))
        arguments = self.reading_arguments()
        conn_id = convert.required_text("sql_conn_id", self.sql_conn_id)
        self.hook.resolve()
        started = time.monotonic()
        load = Load(name, self.wtschat_conn_id, resource.name, filters, given.label if given else "", self.account())
        with (
            Database(conn_id, schema, wait=wait) as database,
            Run(database, load, tables, holder=holder(context), wait=wait, history=history, shaping=shaping) as run,
        ):
            if given is None:
                self._check_watermark(run)
            window = self.window(run.lease.watermark)
            if tables[name].dimension:
                window = Window(None, None, given=False)
            reading = self._read(resource, filters, window, run, arguments)
            progress = Progress(
                context, "load", resource=resource.name, destination=name, given=window.given,
                since=instants.write_or_none(window.since), complete_until=instants.write_or_none(run.lease.watermark),
            )  # fmt: skip
            progress.push(rows=0, requests=0)
            sink = _Sink(run, shaping, tally, max_rejects, progress)
            self._say(resource, window, name)
            sink.take(reading)
            figures = self._finish(resource, filters, window, run, reading, tally)
        figures["seconds"] = round(time.monotonic() - started, 3)
        progress.push(DONE, **finished(figures, given=window.given))
        self.log.info(
            "Loaded %s into %s: %d rows read, %d new or changed, %d requests, %.1f s",
            resource.name, name, figures["rows"], figures["written"], figures["requests"], figures["seconds"],
        )  # fmt: skip
        self.tell(context, _uri(conn_id, name), resource.name, figures)
        return figures

    def _read(
        self, resource: Resource, filters: Mapping[str, Any], window: Window, run: Run, arguments: Mapping[str, Any]
    ) -> Reading[Any]:
        settle = None
        if resource.kind is Kind.CHILDREN and not window.given and resource.parent == "sessions":
            settle = self.settling() if run.lease.settled_on != _today() else None
        return read(
            self.hook,
            resource.name,
            window.since,
            window.until,
            filters=filters,
            known=run.known if resource.kind is Kind.CHILDREN else None,
            settle=settle,
            resume=run.lease.position,
            **arguments,
        )

    def _check_watermark(self, run: Run) -> None:
        of = " AND ".join(f"{name} = '{value}'" for name, value in zip(KEY, run.load.key, strict=True))
        mend = (
            f"Set it back to where rows may be missing from: UPDATE {run.database.named(LOADS)} SET watermark = "  # noqa: S608
            f"'2026-01-01T00:00:00.000000Z' WHERE {of}"
        )
        check_watermark(run.lease.watermark, mend)

    def _say(self, resource: Resource, window: Window, name: str) -> None:
        low, high = (instants.write_or_none(end) for end in (window.since, window.until))
        if table(resource.name).dimension:
            self.log.info("Loading all %s into %s", resource.name, name)
        else:
            self.log.info(
                "Loading %s into %s, from %s to %s", resource.name, name, low or "the beginning", high or "now"
            )

    def _finish(
        self,
        resource: Resource,
        filters: Mapping[str, Any],
        window: Window,
        run: Run,
        reading: Reading[Any],
        tally: Tally,
    ) -> dict[str, Any]:
        dimension = table(resource.name).dimension
        moves = reading.verified and not window.given and not dimension
        if not reading.verified:
            self.log.warning(
                "The reading is not verified (%s), so the next one begins where this one did",
                "; ".join(reading.reasons),
            )
        whole = None
        if dimension and not filters and reading.verified:
            whole = reading.started_at
            if not reading.clock.known:
                self.log.warning(
                    "The server's answers have no Date header, so missing_since of rows that are gone is told by this "
                    "worker's clock. A proxy on the way may strip the header"
                )
        run.merge(
            since=window.since,
            until_reached=reading.until_reached if moves else None,
            whole=whole,
            settled_on=_today() if resource.kind is Kind.CHILDREN and not window.given else None,
        )
        if tally.cleaned or tally.misfits or tally.rejected:
            self.log.warning(
                "%d rows had characters that databases refuse, which were replaced; %d values did not fit their column "
                "and are in the payload only; %d rows were left out",
                tally.cleaned, tally.misfits, tally.rejected,
            )  # fmt: skip
        return {
            "resource": resource.name,
            "table": run.load.destination,
            "rows": reading.rows,
            "written": run.written,
            "gone": run.gone,
            "cleaned": tally.cleaned,
            "misfits": tally.misfits,
            "rejected": tally.rejected,
            "requests": reading.requests,
            "since": instants.write_or_none(window.since),
            "until": instants.write_or_none(window.until),
            "until_reached": instants.write_or_none(reading.until_reached),
            "verified": reading.verified,
            "watermark": None if window.given or dimension else instants.write_or_none(run.lease.watermark),
        }


class _Sink:
    """Puts batches of a reading into the staging tables, and children into their table as parents are complete."""

    def __init__(self, run: Run, shaping: Shaping, tally: Tally, max_rejects: int, progress: Progress) -> None:
        self._progress = progress
        self._run = run
        self._shaping = shaping
        self._tally = tally
        self._max_rejects = max_rejects
        self._begun: dict[str, Family] = {}
        self._complete: dict[str, Family] = {}

    def take(self, reading: Reading[Any]) -> None:
        """Put all batches there."""
        try:
            for batch in reading:
                self._take(batch, verified=reading.verified)
                if isinstance(reading, Changes) and self._run.waiting >= _KEPT_ROWS:
                    # What was read unverified is to be read again, by a later try, too.
                    self._run.merge(position=reading.position if reading.verified else None)
                    self._run.database.rest()
                self._run.lease.keep()
                if self._progress.due:
                    self._progress.push(rows=reading.rows, requests=reading.requests)
                if len(self._complete) >= _PARENTS or (self._complete and self._run.waiting >= _CHILD_ROWS):
                    self._record()
                    self._run.database.rest()
            if self._complete:
                self._record()
        finally:
            reading.close()

    def _take(self, batch: Batch[Any], *, verified: bool) -> None:
        for name, values in self._shaping.make(batch.rows, batch.read_at).items():
            self._run.stage(name, values)
        check_rejects(self._tally, self._max_rejects)
        if batch.parent is not None:
            family = self._begun.setdefault(batch.parent.id, Family(batch.parent.version, batch.read_at))
            family.ids.update(row["id"] for row in batch.rows if isinstance(row, Mapping) and "id" in row)
            if batch.complete:
                del self._begun[batch.parent.id]
                if verified:
                    self._complete[batch.parent.id] = family

    def _record(self) -> None:
        self._run.merge(families=self._complete)
        self._complete = {}


def _uri(conn_id: str, name: str) -> str | None:
    """Return the address of a table, without a user or a password."""
    found = BaseHook.get_connection(conn_id)
    if found.conn_type in ("sqlite", "duckdb"):
        return f"file://{found.host}/{name}"
    schema, _, alone = name.rpartition(".")
    port = found.port or {"postgres": 5432, "mysql": 3306}.get(found.conn_type or "")
    inside = f"/{schema or 'public'}" if found.conn_type == "postgres" else ""
    return f"{found.conn_type}://{found.host}:{port}/{found.schema}{inside}/{alone}"


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
