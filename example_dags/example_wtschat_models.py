"""
Load a whole account, then build the models of the dbt package ``wtschat`` on top: sessions, agents, the backlog by day.

What: the group of tasks that loads the account, and behind it ``dbt build`` of the package ``dbt_wtschat``, which tests
what it builds, too. dbt has an environment of its own, since its pins and Airflow's exclude each other.

Needs: a connection ``wtschat_default``, a connection ``warehouse`` to PostgreSQL or DuckDB, and dbt: the path of its
program in ``WTSCHAT_DBT`` (by default that of ``make models``). Where dbt is not there, or the warehouse is another
database, the task is skipped, and its log says why.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_wtschat.transfers.wtschat_account import wtschat_account

PROJECT = Path(__file__).resolve().parents[1]
DBT = os.environ.get("WTSCHAT_DBT", str(PROJECT / ".venv-dbt" / "bin" / "dbt"))
PACKAGE = os.environ.get("WTSCHAT_DBT_PACKAGE", str(PROJECT / "dbt_wtschat"))
SKIP = 99
"""The exit code by which a Bash task says that it is to be skipped."""

with DAG(
    dag_id="example_wtschat_models",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    account = wtschat_account("warehouse", per_resource={"messages": {"max_requests": 10_000}})

    @task.bash(
        env={
            "WTSCHAT_DBT_TARGET": "{{ conn.warehouse.conn_type }}",
            "WTSCHAT_DUCKDB": "{{ conn.warehouse.host or '' }}",
            "PGHOST": "{{ conn.warehouse.host or '' }}",
            "PGPORT": "{{ conn.warehouse.port or 5432 }}",
            "PGUSER": "{{ conn.warehouse.login or '' }}",
            "PGPASSWORD": "{{ conn.warehouse.password or '' }}",
            "PGDATABASE": "{{ conn.warehouse.schema or '' }}",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        },
        append_env=True,
    )
    def models() -> str:
        """Build and test the models, in the folder that the task has for itself."""
        return f"""
            case "$WTSCHAT_DBT_TARGET" in
                postgres | duckdb) ;;
                *) echo "The warehouse is $WTSCHAT_DBT_TARGET; the models need PostgreSQL or DuckDB"; exit {SKIP} ;;
            esac
            if [ ! -x "{DBT}" ]; then
                echo "There is no dbt at {DBT}: install dbt-core with dbt-postgres or dbt-duckdb into an environment"
                echo "of its own, and name its program in WTSCHAT_DBT"
                exit {SKIP}
            fi
            export DBT_TARGET_PATH="$PWD/target" DBT_LOG_PATH="$PWD/logs"
            "{DBT}" --no-use-colors build --project-dir "{PACKAGE}" --profiles-dir "{PACKAGE}/profiles"
        """

    account >> models()
