"""The doorbell of webhooks: nothing that came is left untold, over restarts too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.triggers import webhook_event
from airflow_provider_wtschat.triggers.webhook_event import WebhookEventTrigger
from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.conftest import AIRFLOW_2
from tests.webhooks.test_inbox import event

pytestmark = pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 has no asset watchers")
CONN_ID = "wtschat_default"


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setattr(webhook_event, "BETWEEN_EVENTS", 0.3)
    monkeypatch.setattr(webhook_event, "LAG", 0.5)
    monkeypatch.setattr(webhook_event, "PAUSE", 0.1)
    return get_inbox()


def put(inbox: Inbox, *numbers: int, conn_id: str = CONN_ID) -> None:
    inbox.put([(conn_id, event(number)) for number in numbers])


def numbers(payload: Any) -> list[int]:
    return [int(row["ids"]["contact_id"][-12:]) for row in payload["events"]]


async def rings(trigger: WebhookEventTrigger, seconds: float) -> AsyncIterator[Any]:
    """Yield what a trigger rings until a time has passed, as one triggerer sees it."""
    async with aclosing(trigger.run()) as running:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for ring in running:
                    yield json.loads(json.dumps(ring.payload))


def trigger(**arguments: Any) -> WebhookEventTrigger:
    made = WebhookEventTrigger(poll_interval=0.2, **arguments)
    path, kwargs = made.serialize()
    assert path.endswith(".WebhookEventTrigger")
    return WebhookEventTrigger(**json.loads(json.dumps(kwargs)))


async def test_one_event_for_each_reading_and_all_are_told(inbox: Inbox) -> None:
    put(inbox, 1)  # before it was there
    told: list[Any] = []

    async def watch() -> None:
        told.extend([payload async for payload in rings(trigger(), 3)])

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0.5)
    for number in range(10, 30, 2):
        await asyncio.to_thread(put, inbox, number, number + 1)
        await asyncio.sleep(0.05)
    await asyncio.to_thread(put, inbox, 99, conn_id="other")
    await watching
    assert [each for payload in told for each in numbers(payload)] == list(range(10, 30))
    assert [payload["count"] for payload in told] == [len(numbers(payload)) for payload in told]
    assert len(told) <= 5  # what comes within the pause is told together
    assert "Maria" not in json.dumps(told)


async def test_a_burst_is_one_event_with_the_first_hundred(inbox: Inbox) -> None:
    async for _ in rings(trigger(), 0.5):
        pytest.fail("nothing has come")
    put(inbox, *range(2500))
    told = [payload async for payload in rings(trigger(), 1.5)]
    assert [(payload["count"], payload["complete"]) for payload in told] == [(2500, False)]
    assert numbers(told[0]) == list(range(100))
    assert told[0]["since"] <= told[0]["until"]


async def test_restarts_lose_nothing_and_repeat_little(inbox: Inbox) -> None:
    told: list[int] = []
    async for _ in rings(trigger(), 0.5):
        pytest.fail("nothing has come")
    for number in range(8):
        put(inbox, number)  # while no triggerer runs
        told += [each async for payload in rings(trigger(), 0.4 + number / 5) for each in numbers(payload)]
    assert set(told) == set(range(8))
    assert [payload async for payload in rings(trigger(), 1.5)][1:] == []
    assert [payload async for payload in rings(trigger(), 1)] == []  # by now its place has been kept


async def test_other_types_do_not_ring(inbox: Inbox) -> None:
    async for _ in rings(trigger(events=["SESSION_NEW"]), 0.5):
        pytest.fail("nothing has come")
    put(inbox, 1)
    assert [payload async for payload in rings(trigger(events=["SESSION_NEW"]), 0.7)] == []


async def test_an_inbox_that_is_away_is_waited_for(inbox: Inbox, tmp_path: Path) -> None:
    put(inbox, 1)
    told: list[Any] = []

    async def watch() -> None:
        told.extend([payload async for payload in rings(trigger(), 3)])

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0.5)
    (tmp_path / "inbox").rename(tmp_path / "away")
    (tmp_path / "inbox").touch()
    await asyncio.sleep(0.5)
    (tmp_path / "inbox").unlink()
    (tmp_path / "away").rename(tmp_path / "inbox")
    put(inbox, 2)
    await watching
    assert [numbers(payload) for payload in told] == [[2]]
