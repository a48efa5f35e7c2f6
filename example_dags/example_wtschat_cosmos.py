"""
Build the models of the dbt package ``wtschat`` with Cosmos, each as a task, whenever the whole account was loaded.

What: ``example_wtschat_whole_account`` tells by an asset of each table that it has loaded, and this Dag runs once it
has told of all. Each model is a task, and the tests of all are the last one. Cosmos tells of each model by an asset.

Needs: a connection ``warehouse`` to PostgreSQL, with a password; ``pip install astronomer-cosmos``; dbt in an
environment of its own, since its pins and Airflow's exclude each other: the path of its program in ``WTSCHAT_DBT`` (by
default that of ``make models``); and in ``WTSCHAT_ASSETS`` what the names of assets begin with, which is where the
tables are. Where something of it is missing the tasks are skipped, and the log of the first one says why.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Asset, BaseHook, task

from airflow_provider_wtschat.extraction import RESOURCES

PROJECT = Path(__file__).resolve().parents[1]
DBT = os.environ.get("WTSCHAT_DBT", str(PROJECT / ".venv-dbt" / "bin" / "dbt"))
PACKAGE = os.environ.get("WTSCHAT_DBT_PACKAGE", str(PROJECT / "dbt_wtschat"))
ASSETS = os.environ.get("WTSCHAT_ASSETS", "postgres://127.0.0.1:5432/warehouse/public")
"""``postgres://<host>:<port>/<database>/<schema>``, as in ``example_wtschat_whole_account``."""

MISSING = [
    *([] if find_spec("cosmos") else ["Cosmos is not installed: pip install astronomer-cosmos"]),
    *([] if os.access(DBT, os.X_OK) else [f"there is no dbt at {DBT}: name its program in WTSCHAT_DBT"]),
]

with DAG(
    dag_id="example_wtschat_cosmos",
    schedule=[Asset(f"{ASSETS}/wtschat_{resource}") for resource in RESOURCES],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def check() -> None:
        """Skip the models where they cannot be built."""
        missing = [*MISSING]
        kind = BaseHook.get_connection("warehouse").conn_type
        if kind != "postgres":
            missing.append(f"the warehouse is {kind}, and a file or another database needs another profile")
        if missing:
            raise AirflowSkipException("; ".join(missing))

    checked = check()
    if not MISSING:
        from cosmos import (
            DbtTaskGroup,
            DbtTestLocalOperator,
            ExecutionConfig,
            ProfileConfig,
            ProjectConfig,
            RenderConfig,
        )
        from cosmos.constants import InvocationMode, LoadMode, TestBehavior
        from cosmos.profiles import PostgresUserPasswordProfileMapping

        profile = ProfileConfig(
            profile_name="wtschat",
            target_name="warehouse",
            profile_mapping=PostgresUserPasswordProfileMapping(
                conn_id="warehouse", profile_args={"schema": ASSETS.rpartition("/")[2]}
            ),
        )
        models = DbtTaskGroup(
            group_id="models",
            project_config=ProjectConfig(PACKAGE, install_dbt_deps=False),
            profile_config=profile,
            execution_config=ExecutionConfig(dbt_executable_path=DBT, invocation_mode=InvocationMode.SUBPROCESS),
            # Files are read: dbt itself takes many seconds each time that Airflow parses this one.
            render_config=RenderConfig(load_method=LoadMode.CUSTOM, test_behavior=TestBehavior.NONE),
        )
        # One task for all, since some tests compare models with each other.
        tests = DbtTestLocalOperator(
            task_id="tests", project_dir=PACKAGE, profile_config=profile, dbt_executable_path=DBT,
            invocation_mode=InvocationMode.SUBPROCESS, install_deps=False,
        )  # fmt: skip
        checked >> models >> tests
