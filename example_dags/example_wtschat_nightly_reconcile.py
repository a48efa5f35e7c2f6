"""
Compare the tables of the warehouse with the account, every night.

What: what changed since the last load is loaded, so that the first night begins with a table. Then rows are counted
by month of their creation on both sides, and only where the counts differ are ids read. What is missing is loaded, and
what the account does not know any more gets ``deleted_at``. On Sundays all ids are read. The task fails if the table
had less than 99 % of the account's rows, so that somebody looks why.

Needs: a connection ``wtschat_default``, and a connection ``warehouse``. The table is the one that
``example_wtschat_sessions_messages_hourly`` loads during the day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

with DAG(
    dag_id="example_wtschat_nightly_reconcile",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=15)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    load = WtsChatToSqlOperator(task_id="load", resource="sessions", sql_conn_id="warehouse", table="wtschat_sessions")

    compare = WtsChatReconcileOperator(
        task_id="sessions",
        resource="sessions",
        sql_conn_id="warehouse",
        table="wtschat_sessions",
        full="{{ dag_run.start_date.weekday() == 6 }}",
        min_share=0.9,
        max_deletes=100,
        fail_below=0.99,
    )

    load >> compare
