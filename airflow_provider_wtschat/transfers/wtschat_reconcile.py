"""Comparing a table with the account that it was loaded from."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError
from airflow_provider_wtschat.extraction import Kind, Resource, find
from airflow_provider_wtschat.extraction.windows import Unit
from airflow_provider_wtschat.transfers.outbound import (
    WtsChatReadingBaseOperator,
    check_rejects,
    holder,
    table_name,
)
from airflow_provider_wtschat.transfers.wtschat_to_sql import LOCK_TIMEOUT
from airflow_provider_wtschat.warehouse.comparison import Comparison, Options
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.leases import Load
from airflow_provider_wtschat.warehouse.rows import Tally
from airflow_provider_wtschat.warehouse.runs import Run
from airflow_provider_wtschat.warehouse.tables import table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatReconcileOperator"]

UNCHANGED = timedelta(days=7)


class WtsChatReconcileOperator(WtsChatReadingBaseOperator):
    """
    Compare a table that ``WtsChatToSqlOperator`` loads with the account.

    Over windows of the creation, which never changes, rows are counted first; only where the counts differ are ids
    read. What is missing in the table is loaded. What misses two readings is asked for by its id, and only if the API
    says that there is no such row it gets ``deleted_at``; a later sighting clears that. Rows that are not finished and
    have not changed for a week are compared, too.

    Sessions, contacts and cards are compared so. Of everything else all rows are read: what misses
    two readings is marked. Messages and notes take a request for each session or card.

    Only rows of the connection's own account are compared, where a table holds several.

    Give the arguments about personal data as the load has them.

    Returns counts, and the share of the account's rows that the table had.

    .. code-block:: python

        WtsChatReconcileOperator(task_id="compare", resource="sessions", sql_conn_id="warehouse")

    :param resource: any of the resources (templated)
    :param since: start of the creation to compare, included; of messages and notes that of their session or card
        (templated). Default: the beginning
    :param until: end of the creation to compare, excluded (templated). Default: the watermark of the load of this
        connection without filters, since what the account got later is the next load's; now, if there is none
    :param sql_conn_id: connection of the database (templated)
    :param table: name of the table (templated). Default: ``wtschat_`` and the resource
    :param by: length of a window: ``day``, ``week``, ``month`` or ``year`` (templated). Default: ``month``
    :param full: read the ids of all windows, also where the counts agree (templated). Default: no
    :param min_share: refuse to compare an account that shows less than this share of the table's rows
        (templated). Default: 0.9
    :param max_deletes: refuse to mark more rows than this as deleted (templated). Default: 100
    :param fail_below: fail, after everything was loaded, if the table had less than this share of the account's rows
        (templated). Default: 0.99
    :param unchanged_for: compare rows that are not finished and unchanged for this long: timedelta or seconds;
        ``None`` for none (templated). Default: 7 days
    :param max_requests: for messages and notes: refuse more requests than this (templated). Default: no bound
    :param lock_timeout: seconds to wait for another comparison of the same table (templated). Default: 180
    """

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
        max_requests: int | str | None = None,
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
        self.max_requests = max_requests
        self.lock_timeout = lock_timeout

    def act(self, context: Context) -> dict[str, Any]:
        """
        Compare, load what is missing, and mark what is gone.

        :return: counts, and the share of the account's rows that the table had
        """
        resource = find(convert.required_text("resource", self.resource))
        tally = Tally()
        options = self._options(resource, tally)
        bound = convert.required("fail_below", convert.number("fail_below", self.fail_below, minimum=0, maximum=1))
        wait = convert.required("lock_timeout", convert.seconds("lock_timeout", self.lock_timeout))
        schema, name = table_name("table", self.table if self.table is not None else f"wtschat_{resource.name}")
        tables, shaping = self.shaping(resource, name, tally)
        conn_id = convert.required_text("sql_conn_id", self.sql_conn_id)
        self.hook.resolve()
        load = Load(name, self.wtschat_conn_id, resource.name, {}, "reconcile", self.account())
        with (
            Database(conn_id, schema, wait=wait) as database,
            Run(database, load, tables, holder=holder(context), wait=wait, shaping=shaping) as run,
        ):
            found = Comparison(self.hook, run, shaping, options).compare()
        figures = {**asdict(found), "share": round(found.share, 6), "resource": resource.name, "table": name}
        del figures["gone"]
        self.log.info("Compared %s with the account: %s", name, figures)
        self.tell(context, None, resource.name, figures)
        if found.share < bound:
            msg = (
                f"fail_below: {name} had {found.share:.2%} of the {found.account} rows of the account; the "
                f"{found.missing} that were missing are loaded now. Look why the load missed them"
            )
            raise WtsChatFailedError(msg)
        return figures

    def _options(self, resource: Resource, tally: Tally) -> Options:
        given = self.checked_window()
        if given is not None and (resource.kind is Kind.SNAPSHOT or table(resource.name).dimension):
            raise WtsChatArgumentError(
                "since, until", f"{resource.name} has no window, all rows are compared each time"
            )
        by = convert.required_text("by", self.by).strip()
        if by not in get_args(Unit):
            convert.refuse("by", self.by, f"one of {', '.join(get_args(Unit))} is wanted")
        unchanged = convert.seconds("unchanged_for", self.unchanged_for)
        rejects = self.reject_limit()
        return Options(
            since=given.since if given else None,
            until=given.until if given else None,
            by=cast("Unit", by),
            timezone=self.checked_zone(),
            full=bool(convert.boolean("full", self.full)),
            min_share=convert.required("min_share", convert.number("min_share", self.min_share, minimum=0, maximum=1)),
            max_deletes=convert.required("max_deletes", convert.integer("max_deletes", self.max_deletes, minimum=0)),
            unchanged=None if unchanged is None else timedelta(seconds=unchanged),
            max_requests=convert.integer("max_requests", self.max_requests, minimum=1),
            workers=self.worker_count(),
            check=lambda: check_rejects(tally, rejects),
        )
