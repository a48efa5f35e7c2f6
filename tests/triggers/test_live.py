"""Waiting under a real scheduler and triggerer: two minutes on Airflow 2, which runs one task at a time on SQLite."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections, wait_for
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow

EXAMPLES = Path(__file__).parents[2] / "example_dags"
WAIT, EVENTS = "example_wtschat_wait_for_sessions", "example_wtschat_session_events"


@pytest.mark.airflow
@pytest.mark.soak
def test_deferred_sensors_sends_and_asset_events(tmp_path: Path) -> None:
    home = tmp_path / "airflow"
    home.mkdir()
    dags = []
    for name in (WAIT, EVENTS)[: 1 if AIRFLOW_2 else 2]:
        # As they stand, but at the pace of a test.
        path = tmp_path / f"{name}.py"
        source = (EXAMPLES / path.name).read_text()
        path.write_text(
            source.replace("poll_interval=30", "poll_interval=5").replace("poke_interval=10", "poke_interval=5")
        )
        dags.append(path)
    account = Simulator(sessions=200, seed=4, spread_days=1, strict=True, message_step_s=4.0)
    airflow = LiveAirflow(home, dags, {})

    def rows(query: str) -> list[str]:
        return [str(next(iter(row.values()))) for row in airflow.query(query)]

    with account:
        airflow.connections = connections(account, tmp_path / "warehouse.db")
        with airflow:
            airflow.wait_for_dag(WAIT)
            airflow.cli("dags", "trigger", WAIT, "--conf", json.dumps({"conclude": False, "sessions": 3}))
            deferred = "SELECT count(*) FROM task_instance WHERE task_id = 'wait' AND state = 'deferred'"
            wait_for(lambda: rows(deferred) == ["3"] or None, "Deferred sensors", airflow.processes, 150)
            # A task that resumes before the scheduler has heard of its deferral is one that Airflow fails.
            wait_for(lambda: heard_of(home, "wait") >= 3 or None, "The scheduler", airflow.processes)
            kwargs = rows("SELECT next_kwargs FROM task_instance WHERE next_kwargs IS NOT NULL")
            waited_for = rows("SELECT rendered_fields FROM rendered_task_instance_fields WHERE task_id = 'wait'")
            for fields in waited_for:
                account.world.conclude_session(json.loads(fields)["session_id"])
            run = airflow.wait_for_run(WAIT, "manual")
            assert run["state"] == "success", run["states"]

            # Each message went out once, and nothing that Airflow keeps or logs in the triggerer tells of it.
            assert len(account.sends) == 3
            logs = triggerer_logs(home)
            assert {"ask", "wait"} <= {
                part.partition("=")[2] for log in logs for part in log.parts if "task_id=" in part
            }
            kept = "\n".join([*kwargs, *(path.read_text(errors="replace") for path in logs)])
            if not AIRFLOW_2:
                events = wait_for(
                    lambda: rows("SELECT extra FROM asset_event") or None, "Asset events", airflow.processes
                )
                told = [row["id"] for event in events for row in json.loads(event)["payload"]["sessions"]]
                assert set(told) <= {json.loads(fields)["session_id"] for fields in waited_for}
                assert airflow.wait_for_run(EVENTS, "asset_triggered")["state"] == "success"
                kept += "\n".join(events)
            for session in account.world.sessions:
                contact = account.world.contacts.get(session.contact_id)
                assert contact is None or not contact.phone or contact.phone.split("|")[-1] not in kept
            assert "anything left" not in kept
            assert account.token not in kept


def heard_of(home: Path, task_id: str) -> int:
    """Count the ends of processes of a task that the scheduler has heard of."""
    log = (home / "logs" / "scheduler.log").read_text(errors="replace")
    return sum("Received executor event" in line and f"task_id='{task_id}'" in line for line in log.splitlines())


def triggerer_logs(home: Path) -> list[Path]:
    """Return the triggerer's own log, and those of the tasks that it waits for."""
    deadline = time.monotonic() + 5
    while not (found := list(home.rglob("*.trigger.*.log"))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [home / "logs" / "triggerer.log", *found]
