"""What the tests of the example Dags share: the connections that the Dags name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from tests.conftest import AIRFLOW_2, FinishedRun, load_dag

EXAMPLES = Path(__file__).parents[2] / "example_dags"


class Warehouse:
    """The database behind the connection ``warehouse``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, query: str = "SELECT * FROM sessions") -> list[dict[str, Any]]:
        """Return what a query finds."""
        with closing(sqlite3.connect(self.path)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty SQLite database behind the connection ``warehouse``."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return Warehouse(path)


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, no_limits: None) -> Iterator[Callable[..., Simulator]]:
    """Put a simulated account behind ``wtschat_default``; a request against the contract fails the test."""
    running = []

    def start(**options: Any) -> Simulator:
        simulator = Simulator(**{"seed": 11, "limits": False, "strict": True, "message_step_s": 0.05, **options})
        running.append(simulator.start())
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        return simulator

    yield start
    for simulator in running:
        simulator.stop()
        simulator.check()


@pytest.fixture
def run_example(run_dag: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch) -> Callable[..., FinishedRun]:
    """Run an example Dag as it stands: ``run_example("conclude_stale_sessions", conf={...})``.

    With ``run_type`` and ``interval`` it becomes the run that a scheduler or a backfill would have made of it.
    """

    def run(
        name: str,
        *,
        change: Callable[[Any], None] = lambda dag: None,
        run_type: str = "manual",
        interval: tuple[datetime, datetime] | None = None,
        **arguments: Any,
    ) -> FinishedRun:
        dag = load_dag(EXAMPLES / f"example_wtschat_{name}.py")
        change(dag)
        if interval is None:
            return run_dag(dag, **arguments)
        with monkeypatch.context() as patch:
            _make_runs(patch, run_type, interval)
            return run_dag(dag, logical_date=interval[0], **arguments)

    return run


def _make_runs(monkeypatch: pytest.MonkeyPatch, run_type: str, interval: tuple[datetime, datetime]) -> None:
    """Let ``dag.test()`` make runs of another type than manual, which is all that it knows."""
    from airflow.utils.types import DagRunType

    if AIRFLOW_2:
        from airflow.models.dag import DAG as Scheduled
    else:
        from airflow.serialization.definitions.dag import SerializedDAG as Scheduled
    create = Scheduled.create_dagrun
    kind = DagRunType(run_type)
    own = {"run_type": kind, "run_id": f"{kind.value}__{interval[0].isoformat()}", "data_interval": interval}
    monkeypatch.setattr(Scheduled, "create_dagrun", lambda dag, **given: create(dag, **{**given, **own}))
