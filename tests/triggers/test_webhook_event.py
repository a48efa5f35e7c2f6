"""The doorbell of webhooks: nothing that came is left untold, over restarts too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.triggers import webhook_event
from airflow_provider_wtschat.triggers.webhook_event import WebhookEventTrigger
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, get_inbox
from tests.conftest import AIRFLOW_2
from tests.waiting import until
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


def trigger(**arguments: Any) -> WebhookEventTrigger:
    made = WebhookEventTrigger(poll_interval=0.2, **arguments)
    path, kwargs = made.serialize()
    assert path.endswith(".WebhookEventTrigger")
    return WebhookEventTrigger(**json.loads(json.dumps(kwargs)))


@asynccontextmanager
async def ringing(**arguments: Any) -> AsyncIterator[list[Any]]:
    """What a trigger rings within the block, as one triggerer sees it; it has begun when the block does."""
    rung: list[Any] = []
    made = trigger(**arguments)

    async def run() -> None:
        async for ring in made.run():
            rung.append(json.loads(json.dumps(ring.payload)))

    task = asyncio.create_task(run())
    await until(lambda: get_inbox().cursor(made._name) is not None)
    try:
        yield rung
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_kept(inbox: Inbox, **arguments: Any) -> None:
    """Wait until all that came has been read, and the place behind it is kept."""
    await until(lambda: inbox.cursor(trigger(**arguments)._name) == inbox.end(CONN_ID))


def told(rung: list[Any]) -> list[int]:
    return [number for payload in rung for number in numbers(payload)]


async def test_one_event_for_each_reading_and_all_are_told(inbox: Inbox) -> None:
    put(inbox, 1)  # before it was there
    async with ringing() as rung:
        put(inbox, 10)
        await until(lambda: told(rung) == [10])
        for number in range(12, 30, 2):  # what comes within the pause is told together
            put(inbox, number, number + 1)
        put(inbox, 99, conn_id="other")
        await until(lambda: told(rung) == [10, *range(12, 30)])
    assert [payload["count"] for payload in rung] == [len(numbers(payload)) for payload in rung]
    assert len(rung) <= 3
    assert "Maria" not in json.dumps(rung)


async def test_a_burst_is_one_event_with_the_first_hundred(inbox: Inbox) -> None:
    async with ringing() as rung:
        put(inbox, *range(2500))
        await until_kept(inbox)
    assert [(payload["count"], payload["complete"]) for payload in rung] == [(2500, False)]
    assert numbers(rung[0]) == list(range(100))
    assert rung[0]["since"] <= rung[0]["until"]


async def test_restarts_lose_nothing_and_repeat_little(inbox: Inbox) -> None:
    async with ringing() as rung:
        pass
    assert rung == []
    for number in range(5):
        put(inbox, number)  # while no triggerer runs
        async with ringing() as rung:
            await until(lambda number=number, rung=rung: number in told(rung))
    async with ringing() as rung:
        await until_kept(inbox)
    assert len(rung) <= 1
    async with ringing() as rung:
        put(inbox, 9)
        await until(lambda: bool(rung))
    assert told(rung) == [9]


async def test_other_types_do_not_ring(inbox: Inbox) -> None:
    async with ringing(events=["SESSION_NEW"]) as rung:
        put(inbox, 1)
        await until_kept(inbox, events=["SESSION_NEW"])
    assert rung == []


async def test_an_inbox_that_is_away_is_waited_for(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []
    read = type(inbox).read

    def noted(self: Any, conn_id: str, **how: Any) -> Any:
        try:
            return read(self, conn_id, **how)
        except InboxError:
            failed.append(conn_id)
            raise

    monkeypatch.setattr(type(inbox), "read", noted)
    put(inbox, 1)
    async with ringing() as rung:
        (tmp_path / "inbox").rename(tmp_path / "away")
        (tmp_path / "inbox").touch()
        await until(lambda: bool(failed))
        (tmp_path / "inbox").unlink()
        (tmp_path / "away").rename(tmp_path / "inbox")
        put(inbox, 2)
        await until(lambda: bool(rung))
    assert [numbers(payload) for payload in rung] == [[2]]
