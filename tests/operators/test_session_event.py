"""Reading what asset events announce: each change once, whichever events a run was started by."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators import session_event
from airflow_provider_wtschat.operators.session_event import ReadSessionEventsOperator
from airflow_provider_wtschat.simulator import Simulator
from tests.conftest import FinishedRun

RunDag = Callable[..., FinishedRun]


class Variables:
    """Variables of Airflow, as tasks read and write them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, name: str, default: Any = None, *, deserialize_json: bool = False) -> Any:
        """Return a value."""
        assert deserialize_json
        return json.loads(self.values[name]) if name in self.values else default

    def set(self, name: str, value: Any, *, serialize_json: bool = False) -> None:
        """Keep a value."""
        assert serialize_json
        self.values[name] = json.dumps(value)


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, no_limits: None) -> Iterator[Simulator]:
    with Simulator(sessions=0, seed=3, limits=False, strict=True) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        yield simulator


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    made = Variables()
    monkeypatch.setattr(session_event, "Variable", made)
    return made


class TaskInstance:
    """As much of a task instance as the operator sees."""

    dag_id, task_id, map_index = "d", "read", -1

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


def run(run_id: str, events: dict[str, Any] | None = None, **arguments: Any) -> list[str]:
    """Run the operator in a run, and return the ids that it read."""
    operator = ReadSessionEventsOperator(task_id="read", **{"event": "new", **arguments})
    context: Any = {"ti": TaskInstance(run_id), "triggering_asset_events": events}
    rows = operator.execute(context)
    assert json.loads(json.dumps(rows)) == rows
    assert all(set(row) == {"id", "status", "updated_at"} for row in rows)
    return [row["id"] for row in rows]


def new(simulator: Simulator, count: int, **how: Any) -> list[str]:
    return [simulator.world.create_session(**how).id for _ in range(count)]


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_run_reads_what_no_run_before_it_has_read(simulator: Simulator, variables: Variables) -> None:
    first = new(simulator, 350)
    assert run("1") == first
    assert run("2") == []
    second = new(simulator, 3)
    assert run("3") == second
    # A change of a session that was read is no new session.
    simulator.world.change_session(first[0], status="IN_PROGRESS")
    assert run("4") == []
    assert list(variables.values) == ["wtschat_place_of_d.read"]


@pytest.mark.parametrize("event", ["new", "changed", "concluded"])
def test_each_kind_reads_its_own(simulator: Simulator, variables: Variables, event: str) -> None:
    world = simulator.world
    old, other = new(simulator, 2, at=world.now() - 10 * 3600 * 10**6, status="PENDING")
    run("1", event=event)
    (made,) = new(simulator, 1, status="PENDING")
    world.change_session(old, status="IN_PROGRESS")
    world.conclude_session(other)
    assert run("2", event=event) == {"new": [made], "changed": [made, old, other], "concluded": [other]}[event]
    world.change_session(other, title="changed after it was concluded")
    assert run("3", event=event) == {"new": [], "changed": [other], "concluded": []}[event]


def test_a_run_that_failed_or_is_cleared_reads_the_same_again(
    simulator: Simulator, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("1")
    lost = new(simulator, 3)
    assert run("2") == lost
    later = new(simulator, 2)
    assert run("3") == later
    # Its task is cleared: it reads everything since it began, and the runs after it go on where they were.
    assert run("2")[-5:] == [*lost, *later]
    assert run("4") == []
    # A try that dies before its end has moved nothing.
    dead = new(simulator, 2)
    simulator.inject("401", times=1)
    with pytest.raises(Exception, match="token"):
        run("5")
    assert run("6") == dead


def test_a_try_that_follows_reads_what_the_one_before_had_read(simulator: Simulator, variables: Variables) -> None:
    run("1")
    made = new(simulator, 2)
    assert run("2") == made
    assert run("2") == made


def test_what_becomes_visible_late_is_read_once(simulator: Simulator, variables: Variables) -> None:
    (late,) = new(simulator, 1, at=simulator.world.now() - 10 * 3600 * 10**6)
    assert run("1", event="changed") == []
    simulator.world.change_session(late, late_s=0.5, title="shown later")
    on_time = new(simulator, 1)
    assert run("2", event="changed") == on_time
    wait_until(lambda: bool(read := run("3", event="changed")) and read == [late])
    assert run("4", event="changed") == []


def test_the_first_run_begins_with_its_events_or_where_it_is_told_to(
    simulator: Simulator, variables: Variables
) -> None:
    world = simulator.world
    (old,) = new(simulator, 1, at=world.now() - 5 * 3600 * 10**6)
    since = (datetime.now(UTC) - timedelta(hours=5, minutes=1)).isoformat()

    class Event:
        extra = {"from_trigger": True, "payload": {"count": 1, "since": since, "sessions": []}}

    assert old not in run("1")
    variables.values.clear()
    assert old in run("1", events={"asset": [Event()]})
    variables.values.clear()
    assert old in run("1", initial_since=since)


def test_a_first_run_that_fails_loses_nothing(simulator: Simulator, variables: Variables) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    made = new(simulator, 2)
    simulator.inject("401", times=1)
    with pytest.raises(Exception, match="token"):
        run("1", initial_since=since)
    assert set(run("2", initial_since=datetime.now(UTC) + timedelta(days=1))) >= set(made)


@pytest.mark.parametrize("broken", ["soon", "[]", "{}", '{"read_up_to": "soon"}', '{"read_up_to": 3, "began": 4}'])
def test_a_place_that_somebody_broke_is_named(simulator: Simulator, variables: Variables, broken: str) -> None:
    variables.values["wtschat_place_of_d.read"] = broken
    with pytest.raises(WtsChatFailedError, match=r"^Variable wtschat_place_of_d.read: .*delete it"):
        run("1")


def test_long_ids_have_a_place_each(simulator: Simulator, variables: Variables, monkeypatch: Any) -> None:
    for ending in "ab":
        monkeypatch.setattr(TaskInstance, "dag_id", "d" * 249 + ending)
        run("1")
    assert len(variables.values) == 2
    assert max(map(len, variables.values)) <= 250


def test_filters_hold(simulator: Simulator, variables: Variables) -> None:
    department = next(iter(simulator.world.departments)).id
    run("1")
    (wanted,) = new(simulator, 1, department_id=department, status="PENDING")
    new(simulator, 1, status="PENDING")
    new(simulator, 1, department_id=department, status="IN_PROGRESS")
    assert run("2", department_id=department, statuses="['PENDING']") == [wanted]


@pytest.mark.parametrize(
    "wrong", [{"event": "gone"}, {"statuses": "OPEN"}, {"overlap": "soon"}, {"initial_since": "soon"}]
)
def test_a_refused_argument_is_named_before_any_request(
    simulator: Simulator, variables: Variables, wrong: dict[str, Any]
) -> None:
    asked = len(simulator.requests)
    with pytest.raises(Exception, match=next(iter(wrong))):
        run("1", **wrong)
    assert len(simulator.requests) == asked


@pytest.mark.parametrize("argument", ["contact_id", "statuses", "channel_ids", "initial_since"])
def test_a_filter_that_becomes_none_is_refused(simulator: Simulator, variables: Variables, argument: str) -> None:
    operator = ReadSessionEventsOperator(task_id="read", **{argument: "{{ nothing }}"})
    setattr(operator, argument, None)
    with pytest.raises(Exception, match=argument):
        operator.execute({"ti": TaskInstance("1")})  # type: ignore[typeddict-item]


class KeepOperator(BaseOperator):
    """Takes the ids of a task before it."""

    template_fields = ("ids",)

    def __init__(self, *, ids: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ids = ids

    def execute(self, context: Any) -> Any:
        return self.ids


@pytest.mark.airflow
def test_in_real_runs_of_a_dag(simulator: Simulator, run_dag: RunDag) -> None:
    with DAG("reads_events", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        read = ReadSessionEventsOperator(task_id="read", event="new")
        KeepOperator(task_id="keep", ids=read.output)
    run_dag(dag, logical_date=datetime(2026, 3, 1, tzinfo=UTC))
    made = new(simulator, 120)
    second = run_dag(dag, logical_date=datetime(2026, 3, 2, tzinfo=UTC))
    third = run_dag(dag, logical_date=datetime(2026, 3, 3, tzinfo=UTC))
    assert [second.state, third.state] == ["success", "success"]
    assert [row["id"] for row in second.xcom("keep")] == made
    assert third.xcom("read") == []
