from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import datetime_of, micros_of

pytestmark = pytest.mark.airflow

NAME = "sessions_to_warehouse"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def account(simulate) -> Simulator:
    """Sessions of half a day up to noon."""
    return simulate(sessions=900, spread_days=0.5, now=NOON.isoformat())


def text(micros: int | None) -> str | None:
    return None if micros is None else f"{datetime_of(micros):%Y-%m-%dT%H:%M:%S.%fZ}"


def truth(account: Simulator, start: datetime, end: datetime) -> dict[str, dict[str, Any]]:
    """What the table has to hold after a run of an interval: what changed in it and in the hour before, by id."""
    world = account.world
    with world.lock:
        agents = {agent["userId"]: agent["name"] for agent in world.agents}
        departments = {row.id: row["name"] for row in world.departments}
        changed = [s for s in world.sessions if micros_of(start - HOUR) <= s.updated <= micros_of(end)]
    assert changed
    return {
        s.id: {
            "id": s.id,
            "number": s.number,
            "status": s.status,
            "contact_id": s.contact_id,
            "department_name": departments.get(s.department_id),
            "agent_name": agents.get(s.user_id),
            "created_at": text(s.created),
            "updated_at": text(s.updated),
            "ended_at": text(s.end),
        }
        for s in changed
    }


def stored(warehouse) -> dict[str, dict[str, Any]]:
    rows = warehouse.rows()
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def test_manual_run_loads_the_hour_before_it(account, warehouse, run_example):
    run = run_example(NAME, logical_date=NOON - timedelta(minutes=150))
    assert run.state == "success"
    expected = truth(account, NOON - 4 * HOUR, NOON - 3 * HOUR)
    assert stored(warehouse) == expected
    assert run.xcom("copy_sessions") == {"rows": len(expected), "pages": -(-len(expected) // 100)}
    assert run.xcom("count_rows") == len(expected)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_run_loads_its_interval(account, warehouse, run_example, run_type):
    interval = (NOON - 5 * HOUR, NOON - 4 * HOUR)
    run = run_example(NAME, run_type=run_type, interval=interval)
    assert run.state == "success"
    assert str(run.dag_run.run_type) == run_type
    assert stored(warehouse) == truth(account, *interval)


def test_runs_one_after_the_other_load_everything(account, warehouse, run_example):
    for hours in range(4, 0, -1):
        assert run_example(NAME, run_type="backfill", interval=(NOON - hours * HOUR, NOON - hours * HOUR + HOUR)).state
    assert stored(warehouse) == truth(account, NOON - 4 * HOUR, NOON)


def test_rerun_adds_nothing_and_loses_nothing(account, warehouse, run_example):
    interval = (NOON - 3 * HOUR, NOON - 2 * HOUR)
    run_example(NAME, run_type="scheduled", interval=interval)
    before = stored(warehouse)
    # It leaves the interval, and its row stays.
    moved = account.world.change_session(next(iter(before)), status="HIDDEN")
    assert run_example(NAME, run_type="scheduled", interval=interval).state == "success"
    assert stored(warehouse) == before

    now = datetime_of(moved.updated)
    assert run_example(NAME, run_type="scheduled", interval=(NOON, now + HOUR)).state == "success"
    after = stored(warehouse)
    assert after[moved.id] == before[moved.id] | {"status": "HIDDEN", "updated_at": text(moved.updated)}
    assert before.keys() <= after.keys()


def test_empty_interval_is_refused(account, warehouse, run_example):
    def once(dag: Any) -> None:
        dag.task_dict["copy_sessions"].retries = 0

    run = run_example(NAME, run_type="scheduled", interval=(NOON, NOON), change=once)
    assert run.state == "failed"
    assert "CronDataIntervalTimetable" in str(run.error("copy_sessions"))
    assert not account.requests
    assert warehouse.rows() == []
