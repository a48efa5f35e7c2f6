"""
Keep sessions, their messages, and the names that they point at in a warehouse, hour by hour.

What: each task goes on where the last complete load of its table ended, less 48 hours, since rows can become visible
late. So the schedule need not tell which hour it is, a run that was missed is made up for, and a rerun does no harm.
Messages cost a request for each session, so only those of sessions that changed are read.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` to PostgreSQL, MySQL, SQLite or DuckDB.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

WAREHOUSE = "warehouse"
FIRST_LOAD = "2026-01-01"

with DAG(
    dag_id="example_wtschat_sessions_messages_hourly",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    sessions = WtsChatToSqlOperator(
        task_id="sessions",
        resource="sessions",
        sql_conn_id=WAREHOUSE,
        table="wtschat_sessions",
        initial_since=FIRST_LOAD,
        outlets=[Asset("warehouse://wtschat/sessions")],
    )

    messages = WtsChatToSqlOperator(
        task_id="messages",
        resource="messages",
        sql_conn_id=WAREHOUSE,
        table="wtschat_messages",
        initial_since=FIRST_LOAD,
        # An hour of the account's limit: a first load of more is better cut into windows.
        max_requests=10_000,
        execution_timeout=timedelta(hours=2),
        outlets=[Asset("warehouse://wtschat/messages")],
    )

    for resource in ("agents", "departments", "channels", "tags"):
        names = WtsChatToSqlOperator(
            task_id=resource, resource=resource, sql_conn_id=WAREHOUSE, table=f"wtschat_{resource}"
        )
        names >> sessions

    sessions >> messages
