"""Waiting in the worker, and going on after a trigger, as operators do that send and wait."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_wtschat.exceptions import (
    WtsChatAuthenticationError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatServerError,
)
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.waiting import MessageHasStatus, complete, wait


@pytest.fixture
def message_id(simulator: Simulator) -> str:
    """Id of a message that is queued."""
    sent = simulator.world.add_inbound_message(simulator.world.create_session(status="PENDING").id)
    simulator.world.set_message_status(sent.id, "QUEUED")
    return sent.id


def wait_for(message_id: str, target: str = "DELIVERED", **how: Any) -> Any:
    condition = MessageHasStatus(message_id=message_id, target_statuses=target)
    return wait(WtsChatHook(max_retries=0), condition, **{"poll_interval": 5, "timeout": 60, **how})


def test_it_looks_at_each_interval_until_it_is_there(simulator: Simulator, message_id: str) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            simulator.world.set_message_status(message_id, "DELIVERED")

    assert wait_for(message_id, sleep=sleep)["status"] == "DELIVERED"
    assert slept == [5, 5, 5]


def test_it_looks_a_last_time_when_time_is_up(simulator: Simulator, message_id: str) -> None:
    with pytest.raises(AirflowSensorTimeout, match=message_id):
        wait_for(message_id, timeout=0)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        simulator.world.set_message_status(message_id, "READ")

    assert wait_for(message_id, timeout=2, sleep=sleep)["status"] == "READ"
    assert slept == pytest.approx([2], abs=0.5)


def test_what_failed_says_why(simulator: Simulator, message_id: str) -> None:
    simulator.world.set_message_status(message_id, "FAILED", "Janela fechada")
    with pytest.raises(WtsChatFailedError, match="Janela fechada"):
        wait_for(message_id)


def test_a_fault_when_time_is_up_is_not_a_timeout(simulator: Simulator, message_id: str) -> None:
    simulator.inject("502", times=None)
    with pytest.raises(WtsChatServerError):
        wait_for(message_id, timeout=0)


@pytest.mark.parametrize(
    ("event", "kind", "retryable"),
    [
        ({"status": "timeout"}, AirflowSensorTimeout, None),
        ({"status": "failed", "found": "FAILED"}, WtsChatFailedError, False),
        (
            {"status": "error", "error": "WtsChatAuthenticationError", "http_status": 401, "retryable": False},
            WtsChatAuthenticationError,
            False,
        ),
        ({"status": "error", "error": "WtsChatServerError", "retryable": True}, WtsChatServerError, True),
        ({"status": "error", "error": "SomethingNew", "retryable": True}, WtsChatError, True),
        ({"status": "unheard of"}, WtsChatError, True),
        ({}, WtsChatError, True),
        (None, WtsChatError, True),
    ],
)
def test_every_event_has_a_meaning(
    simulator: Simulator, message_id: str, event: Any, kind: type[Exception], retryable: bool | None
) -> None:
    condition = MessageHasStatus(message_id=message_id, target_statuses="READ")
    with pytest.raises(kind) as raised:
        complete(WtsChatHook(), condition, event, timeout=3)
    assert type(raised.value) is kind
    assert message_id in str(raised.value)
    assert getattr(raised.value, "retryable", None) is retryable
