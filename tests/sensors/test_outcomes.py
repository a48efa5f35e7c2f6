"""The same outcome in every mode, on every Airflow line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.sensors.session import SessionStatusSensor
from airflow_provider_wtschat.simulator import Simulator
from tests.waiting import Ending, run_sensor

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}

# What happens, and how the task ends: without soft_fail, and with it.
OUTCOMES = {
    "reached": ("success", "success"),
    "reached at once": ("success", "success"),
    "timeout": ("failed", "skipped"),
    "failure status": ("failed", "skipped"),
    "refused token": ("failed", "failed"),
    "token refused later": ("failed", "failed"),
    "unknown session": ("failed", "failed"),
    "refused argument": ("failed", "failed"),
    "passing fault": ("success", "success"),
    "lasting fault": ("up_for_retry", "up_for_retry"),
    "crashed trigger": ("up_for_retry", "up_for_retry"),
    "ended deferral": ("failed", "skipped"),
}
DEFERRED_ONLY = ("crashed trigger", "ended deferral")


def happening(simulator: Simulator, outcome: str, session_id: str) -> Callable[[], object] | None:
    world = simulator.world
    if outcome in ("reached", "passing fault"):
        return lambda: world.conclude_session(session_id) and None
    if outcome == "failure status":
        return lambda: world.change_session(session_id, status="HIDDEN") and None
    if outcome == "token refused later":
        return lambda: simulator.inject("401", times=None)
    if outcome == "lasting fault":
        return lambda: simulator.inject("502", times=None)
    return None


@pytest.mark.airflow
@pytest.mark.parametrize("soft_fail", [False, True], ids=["", "soft_fail"])
@pytest.mark.parametrize(
    ("mode", "outcome"),
    [(mode, outcome) for mode in MODES for outcome in OUTCOMES if mode == "deferred" or outcome not in DEFERRED_ONLY],
)
def test_outcome(
    simulator: Simulator,
    airflow_db: Any,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    outcome: str,
    soft_fail: bool,
) -> None:
    monkeypatch.setattr("airflow_provider_wtschat.waiting.polling.MAX_FAULTS", 4)
    session_id = simulator.world.create_session(status="PENDING").id
    if outcome == "reached at once":
        simulator.world.conclude_session(session_id)
    elif outcome == "refused token":
        simulator.inject("401", times=None)
    elif outcome == "unknown session":
        session_id = "00000000-0000-4000-8000-0000000000aa"
    sensor = SessionStatusSensor(
        task_id="wait",
        session_id=session_id,
        target_statuses="COMPLETE" if outcome == "refused argument" else "COMPLETED",
        failure_statuses=["HIDDEN"],
        poke_interval=0.05,
        timeout=0.4 if outcome in ("timeout", "lasting fault") else 20,
        soft_fail=soft_fail,
        **MODES[mode],
    )
    sensor.hook.max_retries = 1
    if outcome == "passing fault":
        simulator.inject("502", times=3, skip=1)

    ending = run_sensor(
        sensor,
        monkeypatch,
        meanwhile=happening(simulator, outcome, session_id),
        crash={"crashed trigger": "Trigger failure", "ended deferral": "Trigger timeout"}.get(outcome),
    )

    assert ending.state == OUTCOMES[outcome][soft_fail], ending
    if ending.state == "success":
        assert ending.value["id"] == session_id
        assert ending.value["status"] == "COMPLETED"
    else:
        check_words(ending, outcome, session_id)
    if mode == "deferred" and ending.deferred is not None:
        check_what_airflow_keeps(ending)


def check_words(ending: Ending, outcome: str, session_id: str) -> None:
    """Make sure that the error says what happened, and to what."""
    words = {
        "timeout": "0.4 s",
        "ended deferral": "20 s",
        "failure status": "HIDDEN",
        "refused token": "token is wrong",
        "token refused later": "token",
        "refused argument": "target_statuses",
        "crashed trigger": "crashed",
    }.get(outcome, "")
    error = ending.error.__cause__ if ending.state == "skipped" and ending.error.__cause__ else ending.error
    assert words in f"{ending.error} {error}"
    if outcome in ("timeout", "failure status", "crashed trigger") and ending.deferred is not None:
        assert session_id in str(error)
    if ending.state == "failed":
        expected = AirflowSensorTimeout if outcome in ("timeout", "ended deferral") else WtsChatFailedError
        assert isinstance(ending.error, expected)
        assert isinstance(ending.error, AirflowFailException | AirflowSensorTimeout)


def check_what_airflow_keeps(ending: Ending) -> None:
    """Make sure that neither event nor arguments hold more than ids, statuses and instants."""
    kept = json.dumps([ending.event, ending.deferred.kwargs, ending.deferred.trigger.serialize()])
    assert "phone" not in kept.lower()
    assert set(ending.event or {}) <= {
        "status", "id", "found", "updated_at", "error", "http_status", "retryable"
    }  # fmt: skip


def test_backoff_is_said_not_to_apply_while_deferred(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    session_id = simulator.world.create_session(status="PENDING").id
    sensor = SessionStatusSensor(
        task_id="wait", session_id=session_id, target_statuses="COMPLETED", exponential_backoff=True, deferrable=True,
        poke_interval=0.05, timeout=20,
    )  # fmt: skip
    ending = run_sensor(sensor, monkeypatch, meanwhile=lambda: simulator.world.conclude_session(session_id) and None)
    assert ending.state == "success"
    assert "exponential_backoff does not apply" in capfd.readouterr().out + caplog.text


def test_nothing_is_deferred_where_the_first_look_is_enough(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = simulator.world.create_session(status="PENDING").id
    sensor = SessionStatusSensor(
        task_id="wait", session_id=session_id, target_statuses=["PENDING"], deferrable=True, poke_interval=0.05
    )
    ending = run_sensor(sensor, monkeypatch)
    assert (ending.state, ending.deferred) == ("success", None)
    no_time = SessionStatusSensor(
        task_id="wait", session_id=session_id, target_statuses=["COMPLETED"], deferrable=True, timeout=0
    )
    ending = run_sensor(no_time, monkeypatch)
    assert (ending.state, ending.deferred) == ("failed", None)


@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_never_fail_makes_a_skip_of_everything(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    simulator.inject("401", times=None)
    sensor = SessionStatusSensor(
        task_id="wait", session_id="00000000-0000-4000-8000-0000000000aa", target_statuses=["COMPLETED"],
        never_fail=True, **MODES[mode],
    )  # fmt: skip
    assert run_sensor(sensor, monkeypatch).state == "skipped"
