"""The example Dags as a newcomer meets them: all switched on in one Airflow, and triggered by hand at once."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections
from tests.example_dags.conftest import EXAMPLES
from tests.live import LiveAirflow

pytestmark = [pytest.mark.airflow, pytest.mark.soak]

FAILING = {"example_wtschat_failure_alert"}
"""Those that are about a failure, as their names say."""
WAITING = {"example_wtschat_session_events"}
"""Those that only an event starts."""
LONGEST = 900


def test_every_example_succeeds_by_schedule_and_by_hand(tmp_path: Path):
    home = tmp_path / "airflow"
    home.mkdir()
    files = sorted(EXAMPLES.glob("example_*.py"))
    names = {path.stem for path in files} - WAITING
    account = Simulator(sessions=200, spread_days=20, message_step_s=0.2)
    folders = {name: f"file://{tmp_path / name}" for name in ("WTSCHAT_FILES", "WTSCHAT_LAKE")}
    environment = {**folders, "AIRFLOW__CORE__PARALLELISM": "4"}
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as warehouse:
        warehouse.execute("CREATE TABLE replies (phone TEXT, text TEXT)")  # which example_wtschat_opt_out needs
    with account:
        airflow = LiveAirflow(home, files, connections(account, tmp_path / "warehouse.db"), **environment)
        with airflow:
            for name in sorted(names):
                airflow.wait_for_dag(name)
                airflow.cli("dags", "trigger", name)
            deadline = time.monotonic() + LONGEST
            while open_runs(airflow) and time.monotonic() < deadline:
                time.sleep(1)
            runs = airflow.query("SELECT dag_id, run_type, state, run_id FROM dag_run")
            failed = airflow.query(
                "SELECT dag_id, task_id, map_index, state, try_number FROM task_instance "
                "WHERE state NOT IN ('success', 'skipped')"
            )
    manual = {run["dag_id"]: run["state"] for run in runs if run["run_type"] == "manual"}
    wanted = {name: "failed" if name in FAILING else "success" for name in names}
    assert manual == wanted, failed
    others = {run["dag_id"]: run["state"] for run in runs if run["run_type"] == "scheduled"}
    assert set(others.values()) == {"success"}, failed


def open_runs(airflow: LiveAirflow) -> bool:
    return bool(airflow.query("SELECT 1 FROM dag_run WHERE state NOT IN ('success', 'failed')"))
