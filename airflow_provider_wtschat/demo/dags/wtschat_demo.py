"""
Load the sessions and contacts of an account into a database, and from then on what changed.

Needs a connection ``wtschat_default`` of the type ``wtschat`` and a connection ``warehouse`` of the type ``postgres``,
``mysql``, ``sqlite`` or ``duckdb``. Each run goes on where the last one ended, and a repeated run makes no second row.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2.11
    from airflow import DAG

with DAG(
    dag_id="wtschat_demo",
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["wtschat"],
    doc_md=__doc__,
):
    for resource in ("contacts", "sessions"):
        WtsChatToSqlOperator(
            task_id=f"load_{resource}",
            resource=resource,
            sql_conn_id="warehouse",
            initial_since="2020-01-01",
        )
