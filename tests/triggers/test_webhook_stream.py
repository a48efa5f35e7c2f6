"""Airflow's own acknowledgement: the place moves when Airflow has stored what it was given, and not before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.triggers import webhook_event
from airflow_provider_wtschat.triggers.webhook_event import ACKNOWLEDGES, WebhookEventTrigger
from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.waiting import until
from tests.webhooks.test_inbox import event

pytestmark = pytest.mark.skipif(not ACKNOWLEDGES, reason="Airflow acknowledges from version 3.3 on")
CONN_ID = "wtschat_default"


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setattr(webhook_event, "BETWEEN_EVENTS", 0.1)
    return get_inbox()


class Triggerer:
    """What a triggerer does with one watcher, by Airflow's own manager of streams."""

    def __init__(self) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.manager = SharedStreamManager()
        self.trigger = WebhookEventTrigger(poll_interval=0.2, events=["CONTACT_NEW"])
        self.key = self.trigger.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=1, trigger=self.trigger, key=self.key)
        self.events = self.trigger.filter_shared_stream(stream)
        self.next: asyncio.Task[Any] | None = None

    async def ring(self) -> list[int]:
        """Wait for the next event."""
        async with asyncio.timeout(20):
            payload = (await (self.next or asyncio.ensure_future(anext(self.events)))).payload
        self.next = None
        return [int(row["ids"]["contact_id"][-12:]) for row in payload["events"]]

    def take(self) -> int | None:
        """Take the event, and go on to the next."""
        number = self.manager.bind_pending_event(trigger_id=1, key=self.key)
        self.next = asyncio.ensure_future(anext(self.events))
        return number

    async def end(self) -> None:
        """End as a triggerer does that is told to."""
        if self.next is not None:
            self.next.cancel()
            await asyncio.gather(self.next, return_exceptions=True)
        await self.events.aclose()
        await self.manager.unsubscribe(1, self.key)


def place(inbox: Inbox) -> str | None:
    (found,) = inbox.cursors().values() or [None]
    return found


async def begun(inbox: Inbox) -> Triggerer:
    triggerer = Triggerer()
    await until(lambda: place(inbox) is not None)
    return triggerer


async def test_the_place_moves_when_airflow_has_stored_the_event(inbox: Inbox) -> None:
    triggerer = await begun(inbox)
    before = place(inbox)
    inbox.put([(CONN_ID, event(number)) for number in (1, 2)])
    assert await triggerer.ring() == [1, 2]
    number = triggerer.take()
    assert number is not None
    await asyncio.sleep(0.5)
    assert place(inbox) == before
    triggerer.manager.confirm_persisted([number])
    await until(lambda: place(inbox) == inbox.end(CONN_ID))
    await triggerer.end()


@pytest.mark.parametrize("taken", [True, False], ids=["not stored", "cancelled before it was taken"])
async def test_what_airflow_has_not_stored_rings_again(inbox: Inbox, taken: bool) -> None:
    triggerer = await begun(inbox)
    before = place(inbox)
    inbox.put([(CONN_ID, event(1))])
    assert await triggerer.ring() == [1]
    if taken:
        triggerer.take()
    await triggerer.end()
    assert place(inbox) == before
    again = Triggerer()
    assert await again.ring() == [1]
    number = again.take()
    inbox.put([(CONN_ID, event(2))])
    again.manager.confirm_persisted([number] if number is not None else [])
    assert await again.ring() == [2]
    await again.end()


def test_each_watcher_has_a_stream_of_its_own() -> None:
    watchers = [
        WebhookEventTrigger(),
        WebhookEventTrigger(events=["CONTACT_NEW"]),
        WebhookEventTrigger(wtschat_conn_id="other"),
        WebhookEventTrigger(poll_interval=9),
    ]
    assert len({watcher.shared_stream_key() for watcher in watchers}) == len(watchers)
