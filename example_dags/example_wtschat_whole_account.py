"""
Load every resource of one or more accounts into a warehouse, each row marked with its account.

What: a group of tasks per account, in the order in which resources point at each other: names, sessions and contacts,
cards, then messages and notes. Each table keeps a watermark per account, so accounts do not stand in each other's way,
and a comparison finds what was deleted. The first task of a group tells what a first load costs. Each load tells of its
table by an asset, and ``example_wtschat_cosmos`` runs once all were loaded.

Needs: a connection for each account in ``ACCOUNTS``, and a connection ``warehouse`` to PostgreSQL, MySQL, SQLite or
DuckDB; in ``WTSCHAT_ASSETS`` what the names of assets begin with, which is where the tables are.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task_group

from airflow_provider_wtschat.transfers.wtschat_account import wtschat_account

ACCOUNTS = ["wtschat_default"]
ASSETS = os.environ.get("WTSCHAT_ASSETS", "postgres://127.0.0.1:5432/warehouse/public")
"""``postgres://<host>:<port>/<database>/<schema>``, as Cosmos and OpenLineage spell a table of PostgreSQL."""

with DAG(
    dag_id="example_wtschat_whole_account",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task_group
    def account(wtschat_conn_id: str) -> None:
        """Load one account."""
        wtschat_account(
            "warehouse",
            wtschat_conn_id=wtschat_conn_id,
            asset_prefix=ASSETS,
            # An hour of the account's limit.
            per_resource={"messages": {"max_requests": 10_000}},
        )

    account.expand(wtschat_conn_id=ACCOUNTS)
