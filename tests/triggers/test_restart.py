"""A triggerer restarts: each trigger is made again from what Airflow keeps, ends the same way, and writes nothing."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import message, panel, scheduled_message, session, session_event
from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.triggers.session_event import SessionEventTrigger
from tests.waiting import ago, ahead, event_of, remade, until_followed

Case = tuple[Any, Callable[[], object], dict[str, Any]]


def session_status(simulator: Simulator) -> Case:
    one = simulator.world.create_session(status="PENDING").id
    made = session.SessionStatusTrigger(
        session_id=one, target_statuses=["COMPLETED"], failure_statuses=["HIDDEN"], since=ago(1), poll_interval=0.05,
        timeout_at=ahead(60),
    )  # fmt: skip
    return made, lambda: simulator.world.conclude_session(one), {"status": "reached", "id": one, "found": "COMPLETED"}


def session_failure(simulator: Simulator) -> Case:
    one = simulator.world.create_session(status="PENDING").id
    made = session.SessionStatusTrigger(
        session_id=one, target_statuses=["COMPLETED"], failure_statuses=["HIDDEN"], since=ago(1), poll_interval=0.05
    )
    change = lambda: simulator.world.change_session(one, status="HIDDEN")  # noqa: E731
    return made, change, {"status": "failed", "id": one, "found": "HIDDEN"}


def session_reply(simulator: Simulator) -> Case:
    one = simulator.world.create_session(status="PENDING").id
    made = session.SessionReplyTrigger(session_id=one, since=ago(-0.05), poll_interval=0.05)
    return made, lambda: simulator.world.add_inbound_message(one), {"status": "reached", "id": one, "found": "REPLIED"}


def new_sessions(simulator: Simulator) -> Case:
    made = session.NewSessionsTrigger(
        since=datetime.now(UTC).isoformat(),
        count=2,
        statuses=["PENDING"],
        session_type="INDIVIDUAL",
        poll_interval=0.05,
    )

    def happen() -> None:
        simulator.world.create_session(status="IN_PROGRESS")
        for _ in range(2):
            simulator.world.create_session(status="PENDING")

    return made, happen, {"status": "reached", "id": None, "found": "2"}


def message_status(simulator: Simulator) -> Case:
    one = simulator.world.create_session(status="PENDING").id
    sent = simulator.world.add_inbound_message(one).id
    simulator.world.set_message_status(sent, "QUEUED")
    made = message.MessageStatusTrigger(
        message_id=sent, target_statuses=["DELIVERED"], failure_statuses=["FAILED"], poll_interval=0.05
    )
    # DELIVERED is passed between two poller.
    change = lambda: simulator.world.set_message_status(sent, "READ")  # noqa: E731
    return made, change, {"status": "reached", "id": sent, "found": "READ"}


def message_failure(simulator: Simulator) -> Case:
    made, _, expected = message_status(simulator)
    fail = lambda: simulator.world.set_message_status(made.arguments["message_id"], "FAILED", "Número +5511987654321")  # noqa: E731
    return made, fail, {"status": "failed", "id": expected["id"], "found": "FAILED"}


def card_step(simulator: Simulator) -> Case:
    card = next(card for card in simulator.world.cards if card["status"] == "OPEN")
    steps = [step.id for step in simulator.world.panels.get(card["panelId"])["_steps"]]
    step = next(each for each in steps if each != card["stepId"])
    made = panel.CardStepTrigger(
        card_id=card.id, step_ids=[step], target_statuses=[], failure_statuses=["LOST"], poll_interval=0.05
    )
    move = lambda: simulator.world.change(simulator.world.cards, simulator.world.cards.get(card.id), stepId=step)  # noqa: E731
    return made, move, {"status": "reached", "id": card.id, "found": step}


CASES = (session_status, session_failure, session_reply, new_sessions, message_status, message_failure, card_step)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_trigger_that_is_stopped_and_made_again_ends_the_same_way(
    simulator: Simulator, case: Callable[[Simulator], Case]
) -> None:
    made, happen, expected = case(simulator)
    first = asyncio.create_task(event_of(made))
    await until_followed(first)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    await asyncio.to_thread(happen)
    writes = len(simulator.books)
    again = remade(made)
    async with asyncio.timeout(10):
        event = await event_of(again)
    assert {key: event[key] for key in expected} == expected
    assert len(simulator.books) == writes
    assert "98765" not in json.dumps(event)


def every_trigger() -> list[type]:
    modules = (message, panel, scheduled_message, session, session_event)
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, "serialize")
    ]


@pytest.mark.parametrize("cls", every_trigger())
def test_arguments_are_plain_json_and_stable(cls: type) -> None:
    values: dict[str, Any] = {
        "poll_interval": 7.0, "timeout_at": "2026-09-01T08:30:00Z", "since": "2026-09-01T08:30:00Z", "count": 3,
        "event": "new",
    }  # fmt: skip
    names = {
        name
        for base in cls.__mro__
        if base.__module__.startswith("airflow_provider_wtschat")
        for name in inspect.signature(base.__init__).parameters
    } - {"self", "kwargs"}
    arguments = {name: values.get(name, ["x"] if name.endswith("s") else "x") for name in names}
    made = cls(**arguments)
    path, kept = made.serialize()
    assert kept == arguments
    assert path == f"{cls.__module__}.{cls.__name__}"
    assert remade(made).serialize() == (path, kept)
    assert issubclass(cls, WtsChatBaseTrigger | SessionEventTrigger)
