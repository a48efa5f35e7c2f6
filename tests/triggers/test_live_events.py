"""Asset events under a real scheduler: a run reads every change, although Airflow starts no run for some events."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections, wait_for
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow

DAG = """
import time
from datetime import datetime

from airflow.sdk import DAG, Asset, AssetWatcher, get_current_context, task

from airflow_provider_wtschat.operators.session_event import ReadSessionEventsOperator
from airflow_provider_wtschat.triggers.session_event import SessionEventTrigger

watcher = AssetWatcher(name="new_sessions", trigger=SessionEventTrigger(event="new", poll_interval=5))
with DAG(
    "doorbell",
    schedule=[Asset("wtschat://api.wts.chat/sessions/new", watchers=[watcher])],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
):

    @task
    def work(rows):
        context = get_current_context()
        time.sleep(6)
        events = [event for each in context["triggering_asset_events"].values() for event in each]
        return [row["id"] for event in events for row in event.extra["payload"]["sessions"]]

    work(ReadSessionEventsOperator(task_id="read", event="new").output)
"""


@pytest.mark.airflow
@pytest.mark.soak
@pytest.mark.skipif(AIRFLOW_2, reason="Airflow has asset watchers from version 3 on")
def test_every_change_is_read_by_a_run(tmp_path: Path) -> None:
    home, dag = tmp_path / "airflow", tmp_path / "doorbell.py"
    home.mkdir()
    dag.write_text(DAG)
    with Simulator(sessions=50, seed=4, spread_days=30, strict=True) as account:
        airflow = LiveAirflow(home, [dag], connections(account, tmp_path / "warehouse.db"))

        def values(task_id: str) -> list[list[str]]:
            query = "SELECT value FROM xcom WHERE task_id = ? AND key = 'return_value'"
            return [json.loads(row["value"]) for row in airflow.query(query, task_id)]

        def read() -> list[str]:
            return [str(row["id"]) for rows in values("read") for row in rows]  # type: ignore[index]

        def events() -> list[dict[str, object]]:
            rows = airflow.query("SELECT extra FROM asset_event ORDER BY id")
            return [json.loads(row["extra"])["payload"] for row in rows]

        with airflow:
            airflow.wait_for_dag("doorbell")
            asked = len(account.requests)
            wait_for(lambda: len(account.requests) > asked + 1 or None, "The watcher", airflow.processes)
            with account.world.lock:
                made = [account.world.create_session().id for _ in range(350)]
            wait_for(lambda: set(made) <= set(read()) or None, "The first burst", airflow.processes)
            for _ in range(5):
                with account.world.lock:
                    made += [account.world.create_session().id for _ in range(20)]
                time.sleep(1.5)  # so far apart do the bursts come
            wait_for(lambda: set(made) <= set(read()) or None, "All bursts", airflow.processes, 120)
            running = "SELECT count(*) AS n FROM dag_run WHERE state NOT IN ('success', 'failed')"
            wait_for(lambda: airflow.query(running)[0]["n"] == 0 or None, "The end of the runs", airflow.processes)
            told = {session_id for ids in values("work") for session_id in ids}
            print(
                f"{len(made)} sessions; {len(events())} events in {len(values('read'))} runs; read {len(set(read()))}, "
                f"the events of the runs alone told of {len(told & set(made))}"
            )
            assert sorted(read()) == sorted(made)
            moments = [row["timestamp"] for row in airflow.query("SELECT timestamp FROM asset_event ORDER BY id")]
            assert len(set(moments)) == len(moments)
            first = events()[0]
            assert (first["count"], first["complete"]) == (350, False) or len(events()) > 1
