"""What the tests of the operators share: a simulated account, and the Dags that act on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pendulum
import pytest

from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.simulator import Simulator
from tests.operators.account import Account


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Simulator]:
    """An account that the tests of a module share; each leaves no fault behind."""
    with Simulator(sessions=60, seed=7, latency_ms=0, limits=False, strict=True, message_step_s=0.02) as simulator:
        yield simulator


@pytest.fixture
def account(shared_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """A simulated account behind the connection ``wtschat_default``, with short back-offs."""
    yield connect(shared_simulator, monkeypatch)
    shared_simulator.application.faults.clear()
    shared_simulator.check()


def connect(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Let the connection ``wtschat_default`` lead to a simulator, until the patch is undone."""
    # A name of its own: a 429 holds the budget of its account, past the end of a test.
    connection = {**json.loads(simulator.connection_json), "extra": {"account": uuid4().hex}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
    return Account(simulator)


class TaskInstance:
    """As much of a task instance as the operators use outside a Dag."""

    task_id = "task"
    map_index = -1

    def __init__(self, try_number: int = 1) -> None:
        self.try_number = try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what was pushed, through JSON as Airflow does."""
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """Return what was pushed."""
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.pushed.get(key)


class Store:
    """A task's state as Airflow 3.3 keeps it: JSON by key, from one try to the next."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.values.pop(key, None)


class Tries:
    """Runs an operator as one try of a task after another."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.number = 0
        self.ti = TaskInstance()

    def __call__(self, operator: Any) -> Any:
        """Run the next try; XCom is empty at its beginning, as in Airflow."""
        self.number += 1
        self.ti = TaskInstance(self.number)
        return operator.execute({"ti": self.ti} | ({"task_state_store": self.store} if self.store else {}))


@pytest.fixture(params=["remembering", "forgetful"])
def tries(request: pytest.FixtureRequest) -> Tries:
    """Tries of a task on Airflow 3.3, which remembers, and on an earlier line, which does not."""
    return Tries(Store() if request.param == "remembering" else None)


@pytest.fixture
def once() -> Tries:
    """Tries of a task that is asked to do one thing."""
    return Tries(Store())


@pytest.fixture
def dag() -> Any:
    """An empty Dag with a name of its own."""
    return new_dag()


def render(task: Any, name: str, context: dict[str, Any]) -> None:
    """Render one argument of a task, as Airflow does; compiling the others, which are no templates, takes longer."""
    task.template_fields = (name,)
    task.render_template_fields(context)
    del task.template_fields


def new_dag(**arguments: Any) -> Any:
    """Make an empty Dag with a name of its own."""
    from airflow.providers.common.compat.sdk import DAG

    return DAG(f"test_{uuid4().hex}", schedule=None, start_date=pendulum.datetime(2026, 1, 1), **arguments)
