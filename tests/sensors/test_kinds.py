"""What each sensor waits for, and what it returns, in the worker and deferred."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.links import SESSION_URL_KEY
from airflow_provider_wtschat.sensors.message import MessageStatusSensor
from airflow_provider_wtschat.sensors.panel import CardStepSensor
from airflow_provider_wtschat.sensors.scheduled_message import ScheduledMessageStatusSensor
from airflow_provider_wtschat.sensors.session import NewSessionsSensor, SessionReplySensor, SessionStatusSensor
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.waiting import Poller
from tests.waiting import Ending, make_context, run_sensor

TIMES = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20}
WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def run(sensor: Any, monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object], **how: Any) -> Ending:
    return run_sensor(sensor, monkeypatch, meanwhile=lambda: happen() and None, **how)


@pytest.fixture
def session_id(simulator: Simulator) -> str:
    """Id of a session that waits."""
    return simulator.world.create_session(status="PENDING").id


@WAYS
def test_a_session_and_its_link(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str, deferrable: bool
) -> None:
    context = make_context()
    # As a template leaves it.
    sensor = SessionStatusSensor(
        session_id=f" {session_id} ", target_statuses="['completed']", deferrable=deferrable, **TIMES
    )
    ending = run(sensor, monkeypatch, lambda: simulator.world.conclude_session(session_id), context=context)
    assert (ending.state, ending.value["id"]) == ("success", session_id)
    assert context["ti"].xcoms[SESSION_URL_KEY] == ending.value["previewUrl"]


@WAYS
def test_replies_since_the_run_began(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str, deferrable: bool
) -> None:
    simulator.world.add_inbound_message(session_id, "before")
    sensor = SessionReplySensor(session_id=session_id, deferrable=deferrable, **TIMES)
    ending = run(sensor, monkeypatch, lambda: simulator.world.add_inbound_message(session_id, "after"))
    assert [message["text"] for message in ending.value] == ["after"]
    assert ending.pokes >= 1


def test_replies_since_a_moment(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str) -> None:
    simulator.world.add_inbound_message(session_id, "before")
    local = (datetime.now(UTC) - timedelta(hours=4, minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
    sensor = SessionReplySensor(session_id=session_id, since=local, timezone="America/Cuiaba", **TIMES)
    assert [message["text"] for message in run(sensor, monkeypatch, lambda: None).value] == ["before"]


@WAYS
def test_so_many_new_sessions(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool) -> None:
    world = simulator.world
    department = next(iter(world.departments)).id
    world.create_session(department_id=department)
    new: list[str] = []

    def happen() -> None:
        world.create_session(status="PENDING")
        new.extend(world.create_session(status="PENDING", department_id=department).id for _ in range(2))

    sensor = NewSessionsSensor(department_id=department, statuses="PENDING", count="2", deferrable=deferrable, **TIMES)
    ending = run(sensor, monkeypatch, happen)
    assert sorted(ending.value) == sorted(new)


@WAYS
@pytest.mark.parametrize(("target", "status"), [("SENT", "DELIVERED"), ("DELIVERED", "READ"), ("READ", "READ")])
def test_a_message_that_passed_what_was_waited_for(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str, deferrable: bool, target: str, status: str
) -> None:
    message_id = simulator.world.add_inbound_message(session_id).id
    simulator.world.set_message_status(message_id, "QUEUED")
    sensor = MessageStatusSensor(message_id=message_id, target_statuses=target, deferrable=deferrable, **TIMES)
    ending = run(sensor, monkeypatch, lambda: simulator.world.set_message_status(message_id, status))
    assert (ending.value["id"], ending.value["status"]) == (message_id, status)


@WAYS
def test_a_message_that_failed_fails_with_the_reason(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str, deferrable: bool
) -> None:
    message_id = simulator.world.add_inbound_message(session_id).id
    simulator.world.set_message_status(message_id, "QUEUED")
    reason = "Número não é do WhatsApp"
    sensor = MessageStatusSensor(message_id=message_id, deferrable=deferrable, **TIMES)
    ending = run(sensor, monkeypatch, lambda: simulator.world.set_message_status(message_id, "FAILED", reason))
    assert isinstance(ending.error, WtsChatFailedError)
    assert ending.state == "failed"
    assert reason in str(ending.error)
    assert reason not in str(ending.event)


@WAYS
@pytest.mark.parametrize(("status", "state"), [("PROCESSED", "success"), ("CANCELED", "failed")])
def test_a_scheduled_message(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool, status: str, state: str
) -> None:
    world = simulator.world
    row = world.record(
        world.scheduled, contactId=next(iter(world.contacts)).id, userId=next(iter(world.agents))["userId"],
        channelId=next(iter(world.channels)).id, departmentId=None, scheduling=world.now() + 10**10, type="TEMPLATE",
        active=True, companyId=world.company_id, templateId=next(iter(world.templates)).id, botId=None,
        hiddenSession=False, _status="SCHEDULED", _failure=None, _message=None, _parameters=None, _file=None,
    )  # fmt: skip
    sensor = ScheduledMessageStatusSensor(
        scheduled_message_id=row.id, target_statuses=["PROCESSED"], deferrable=deferrable, **TIMES
    )
    ending = run(
        sensor, monkeypatch, lambda: world.change(world.scheduled, world.scheduled.get(row.id), _status=status)
    )
    assert ending.state == state
    if state == "success":
        assert (ending.value["id"], ending.value["status"]) == (row.id, status)


@WAYS
@pytest.mark.parametrize("wanted", ["step", "status"])
def test_a_card(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool, wanted: str) -> None:
    world = simulator.world
    card = next(card for card in world.cards if card["status"] == "OPEN")
    step = next(step.id for step in world.panels.get(card["panelId"])["_steps"] if step.id != card["stepId"])
    arguments = {"step_ids": [step]} if wanted == "step" else {"target_statuses": "WON"}
    change = {"stepId": step} if wanted == "step" else {"status": "WON"}
    sensor = CardStepSensor(card_id=card.id, deferrable=deferrable, **arguments, **TIMES)
    ending = run(sensor, monkeypatch, lambda: world.change(world.cards, world.cards.get(card.id), **change))
    assert ending.value["id"] == card.id
    assert ending.value["stepId" if wanted == "step" else "status"] == next(iter(change.values()))


ID = "00000000-0000-4000-8000-0000000000aa"
REFUSED = [
    (SessionStatusSensor, {"session_id": "None", "target_statuses": ["COMPLETED"]}, "session_id"),
    (SessionStatusSensor, {"session_id": ID, "target_statuses": []}, "target_statuses"),
    (SessionStatusSensor, {"session_id": ID, "target_statuses": ["UNDEFINED"]}, "target_statuses"),
    (
        SessionStatusSensor,
        {"session_id": ID, "target_statuses": ["PENDING"], "failure_statuses": ["PENDING"]},
        "failure_statuses",
    ),
    (SessionReplySensor, {"session_id": ID, "since": "soon"}, "since"),
    (SessionReplySensor, {"session_id": ID, "since": "2026-09-01", "timezone": "Mars"}, "timezone"),
    (NewSessionsSensor, {"count": 0}, "count"),
    (NewSessionsSensor, {"statuses": "OPEN"}, "statuses"),
    (NewSessionsSensor, {"user_id": "undefined"}, "user_id"),
    (MessageStatusSensor, {"message_id": " "}, "message_id"),
    (MessageStatusSensor, {"message_id": ID, "target_statuses": "ARRIVED"}, "target_statuses"),
    (ScheduledMessageStatusSensor, {"scheduled_message_id": "null"}, "scheduled_message_id"),
    # What was given and is nothing when the task runs must not wait for anything else.
    (NewSessionsSensor, {"contact_id": "None"}, "contact_id"),
    (NewSessionsSensor, {"channel_ids": []}, "channel_ids"),
    (NewSessionsSensor, {"statuses": " "}, "statuses"),
    (CardStepSensor, {"card_id": ID, "target_statuses": ["WON"], "step_ids": "None"}, "step_ids"),
    (SessionReplySensor, {"session_id": ID, "since": ""}, "since"),
    (CardStepSensor, {"card_id": ID}, "step_ids"),
    (CardStepSensor, {"card_id": ID, "step_ids": ["Lead"]}, "step_ids"),
]


@pytest.mark.parametrize(("cls", "arguments", "name"), REFUSED)
def test_a_refused_argument_is_named_before_any_request(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, cls: type, arguments: dict[str, Any], name: str
) -> None:
    seen = len(simulator.requests)
    ending = run_sensor(cls(**TIMES, **arguments), monkeypatch)
    assert ending.state == "failed"
    assert name in str(ending.error)
    assert len(simulator.requests) == seen


@pytest.mark.parametrize("argument", ["contact_id", "user_id", "department_id", "statuses", "channel_ids", "since"])
def test_a_filter_that_becomes_none_is_refused(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    sensor = NewSessionsSensor(**{argument: "{{ nothing }}"}, **TIMES)
    setattr(sensor, argument, None)  # as native rendering leaves the output of a task that returned None
    ending = run_sensor(sensor, monkeypatch)
    assert (ending.state, ending.pokes) == ("failed", 1)
    assert argument in str(ending.error)


def test_no_failure_status_at_all_is_allowed(simulator: Simulator, session_id: str, monkeypatch: Any) -> None:
    message_id = simulator.world.add_inbound_message(session_id).id
    simulator.world.set_message_status(message_id, "READ")
    sensor = MessageStatusSensor(message_id=message_id, failure_statuses=[], **TIMES)
    assert run_sensor(sensor, monkeypatch).state == "success"


def test_faults_are_counted_in_a_row(simulator: Simulator, session_id: str) -> None:
    from airflow_provider_wtschat.exceptions import WtsChatServerError
    from airflow_provider_wtschat.waiting import SessionHasStatus
    from airflow_provider_wtschat.waiting.polling import MAX_FAULTS

    poller = Poller(WtsChatHook(max_retries=0), SessionHasStatus(session_id=session_id, target_statuses="COMPLETED"))
    for _ in range(3):
        simulator.inject("502", times=MAX_FAULTS)
        assert [poller.look() for _ in range(MAX_FAULTS)] == [None] * MAX_FAULTS
        assert isinstance(poller.fault, WtsChatServerError)
        assert poller.look() is None
        assert poller.fault is None
    simulator.inject("502", times=None)
    for _ in range(MAX_FAULTS):
        poller.look()
    with pytest.raises(WtsChatServerError):
        poller.look()
