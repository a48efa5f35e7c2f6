"""The outcomes as Airflow's own task runner sees them, in one Dag."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import metadata
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.sensors.session import SessionStatusSensor
from airflow_provider_wtschat.simulator import Simulator
from tests.conftest import FinishedRun

# In Airflow 3.0 the runner of ``dag.test()``, unlike the real one, gives a sensor the date of its first look as text.
DATES_ARE_TEXTS = metadata.version("apache-airflow").startswith("3.0.")
MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}
if DATES_ARE_TEXTS:
    del MODES["reschedule"]
EXPECTED = {
    "reached": "success",
    "timeout": "failed",
    "timeout_soft": "skipped",
    "failure": "failed",
    "failure_soft": "skipped",
    "refused": "failed",
    "refused_soft": "failed",
}


@pytest.mark.airflow
def test_states_and_tries(
    simulator: Simulator, run_dag: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.loads(simulator.connection_json) | {"password": "pn_wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(wrong))
    waits, ended, hidden = (
        simulator.world.create_session(status=status).id for status in ("PENDING", "COMPLETED", "HIDDEN")
    )
    sessions = {"reached": ended, "failure": hidden}
    with DAG("outcomes", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        for mode, how in MODES.items():
            for outcome in EXPECTED:
                kind = outcome.partition("_")[0]
                arguments: dict[str, Any] = {"wtschat_conn_id": "wrong"} if kind == "refused" else {}
                SessionStatusSensor(
                    task_id=f"{mode}.{outcome}",
                    session_id=sessions.get(kind, waits),
                    target_statuses=["COMPLETED"],
                    failure_statuses=["HIDDEN"],
                    poke_interval=0.1,
                    timeout=0.3,
                    soft_fail=outcome.endswith("_soft"),
                    retries=1,
                    retry_delay=timedelta(0),
                    **how,
                    **arguments,
                )
    run = run_dag(dag)
    assert run.states == {f"{mode}.{outcome}": state for mode in MODES for outcome, state in EXPECTED.items()}
    tries = Counter(task_id for task_id, _, _ in run.errors)
    assert set(tries.values()) == {1}
