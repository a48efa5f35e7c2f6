"""Example Dags under a real scheduler."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import micros_of
from scripts.local import connections
from tests.conftest import AIRFLOW_2
from tests.example_dags.conftest import EXAMPLES, Warehouse
from tests.live import LiveAirflow

pytestmark = pytest.mark.airflow

SESSIONS = "example_wtschat_sessions_to_warehouse"
HOUR = timedelta(hours=1)


def test_scheduled_manual_and_backfill_run_load_their_interval(tmp_path: Path):
    home = tmp_path / "airflow"
    home.mkdir()
    warehouse = Warehouse(tmp_path / "warehouse.db")
    account = Simulator(sessions=1500, seed=4, spread_days=1, strict=True)
    airflow = LiveAirflow(home, [EXAMPLES / f"{SESSIONS}.py"], {})

    def loads(run_type: str) -> tuple[datetime, datetime]:
        """Make sure that a run has loaded what it has to, and empty the table; return the run's interval."""
        run = airflow.wait_for_run(SESSIONS, run_type)
        assert run["state"] == "success", run["states"]
        if run["data_interval_start"]:
            texts = run["data_interval_start"], run["data_interval_end"]
            start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts)
        else:  # triggered on Airflow 3
            start, end = last_hour(datetime.fromisoformat(run["run_after"]).replace(tzinfo=UTC))
        assert sorted(row["id"] for row in warehouse.rows()) == sorted(changed_in(account, start, end))
        with closing(sqlite3.connect(warehouse.path)) as database:
            database.execute("DELETE FROM sessions")
            database.commit()
        return start, end

    with account:
        airflow.connections = connections(account, warehouse.path)
        with airflow:
            last = last_hour(datetime.now(UTC))
            assert loads("scheduled") >= last

            airflow.cli("dags", "trigger", SESSIONS)
            assert loads("manual") >= last

            start = last[0] - 8 * HOUR
            dates = [start.isoformat()] * 2
            if AIRFLOW_2:
                airflow.cli("dags", "backfill", SESSIONS, "--start-date", dates[0], "--end-date", dates[1])
            else:
                airflow.cli("backfill", "create", "--dag-id", SESSIONS, "--from-date", dates[0], "--to-date", dates[1])
            assert loads("backfill") == (start, start + HOUR)


def last_hour(moment: datetime) -> tuple[datetime, datetime]:
    """Return the last full hour before a moment."""
    end = moment.replace(minute=0, second=0, microsecond=0)
    return end - HOUR, end


def changed_in(account: Simulator, start: datetime, end: datetime) -> list[str]:
    """Return the sessions that the Dag has to load: what changed in the interval, or in the hour before it."""
    first, last = micros_of(start - HOUR), micros_of(end)
    found = [session.id for session in account.world.sessions if first <= session.updated <= last]
    assert len(found) > 20
    return found
