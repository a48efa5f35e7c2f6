"""
Load the sessions of past months, a task for each month.

What: the time between ``since`` and ``until`` is cut into months, and each is loaded by a task of its own, which can
fail and be tried again by itself. Windows that are given never move the watermark of the table, so this can run beside
the hourly load. A month holds the sessions that changed last in it: a session that changed since comes with its month.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` to PostgreSQL, MySQL or SQLite.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_wtschat import extraction
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

with DAG(
    dag_id="example_wtschat_backfill_months",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"since": "2026-01-01", "until": "2026-07-01", "timezone": "America/Sao_Paulo"},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def months() -> list[dict[str, str]]:
        """Cut the time into months of the local calendar."""
        params = get_current_context()["params"]
        return extraction.windows(params["since"], params["until"], by="month", timezone=params["timezone"])

    WtsChatToSqlOperator.partial(
        task_id="load",
        resource="sessions",
        sql_conn_id="warehouse",
        table="wtschat_sessions",
        # All tasks share the account's limit, so more of them at once would be no faster.
        max_active_tis_per_dagrun=2,
    ).expand_kwargs(months())
