"""An event that was posted wakes whoever waits for what it names, long before the next reading."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed
from airflow_provider_wtschat.triggers.hints import Hint, hints_for
from airflow_provider_wtschat.triggers.session import SessionReplyTrigger
from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.triggers.test_hints import ended, pending, started, status_trigger
from tests.waiting import QUICK, ago, event_of, until

SECRET = "a secret of this deployment"
ID, OTHER = (f"00000000-0000-4000-8000-{number:012d}" for number in (1, 2))


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Inbox]:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setattr(feed, "PACE", dataclasses.replace(QUICK, net=1000.0, hinted_again=0.1))
    inbox = get_inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def looks(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connection of each look into the inbox."""
    made: list[str] = []
    read = type(inbox).read

    def noted(self: Inbox, conn_id: str, **how: Any) -> Any:
        made.append(conn_id)
        return read(self, conn_id, **how)

    monkeypatch.setattr(type(inbox), "read", noted)
    return made


def event(kind: str | None, **content: str) -> WebhookEvent:
    body = {"content": content} | ({} if kind is None else {"eventType": kind})
    return WebhookEvent.parse(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("kind", "content", "hint"),
    [
        (
            "SESSION_COMPLETE",
            {"id": ID, "contactId": OTHER},
            Hint(session_id=ID, contact_id=OTHER, event="SESSION_COMPLETE"),
        ),
        (
            "MESSAGE_UPDATED",
            {"id": ID, "sessionId": OTHER},
            Hint(message_id=ID, session_id=OTHER, event="MESSAGE_UPDATED"),
        ),
        ("PANEL_CARD_STEP_CHANGE", {"id": ID}, Hint(card_id=ID, event="PANEL_CARD_STEP_CHANGE")),
        (None, {"id": ID, "status": "DELIVERED"}, Hint(message_id=ID)),
        ("PAYMENT_NEW", {"id": ID}, Hint(event="PAYMENT_NEW")),
    ],
)
async def test_what_came_after_the_beginning_becomes_hints(
    inbox: Inbox, looks: list[str], kind: str | None, content: dict[str, str], hint: Hint
) -> None:
    inbox.put([("wtschat_default", event("CONTACT_NEW", id=ID))])
    hints = hints_for("wtschat_default")
    assert hints is not None
    first = asyncio.ensure_future(anext(hints))
    await until(lambda: bool(looks))
    inbox.put([("other", event("CONTACT_NEW", id=ID)), ("wtschat_default", event(kind, **content))])
    async with asyncio.timeout(5):
        assert await first == [dataclasses.replace(hint, event=kind)]
    await hints.aclose()


async def test_without_a_secret_nothing_is_followed(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("", "short"):
        monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", secret)
        assert hints_for("wtschat_default") is None


async def test_a_waiter_is_woken_by_its_event(simulator: Simulator, inbox: Inbox, looks: list[str]) -> None:
    """Its next reading would be a thousand seconds away."""
    ids = pending(simulator, 3)
    tasks = await started(*(status_trigger(each) for each in ids))
    await until(lambda: bool(looks))
    for each in ids:
        simulator.world.conclude_session(each)
    await asyncio.to_thread(inbox.put, [("wtschat_default", event("SESSION_COMPLETE", id=each)) for each in ids])
    assert len(await ended(*tasks)) == 3


@pytest.mark.soak
async def test_a_thousand_who_wait_with_a_poll_every_ten_minutes_are_told_within_moments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the pace and within the limits of production: what it costs is the events, and the net."""
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", str(tmp_path / "budget"))
    clock = asyncio.get_running_loop().time
    with Simulator(sessions=0, seed=3, limits=True) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        ids = pending(simulator, 1000)
        since = ago(0)
        triggers = (SessionReplyTrigger(session_id=each, since=since, poll_interval=600.0) for each in ids)
        tasks = [asyncio.create_task(event_of(each)) for each in triggers]
        await until(lambda: sum(len(each._subscribers) for each in feed._feeds.values()) == 1000, 60)
        await asyncio.sleep(5)
        ends: dict[int, float] = {}
        for number, task in enumerate(tasks):
            task.add_done_callback(lambda _, number=number: ends.setdefault(number, clock()))
        before, lags = len(simulator.requests), []
        inbox = get_inbox()
        for number in range(0, 1000, 10):
            message = await asyncio.to_thread(simulator.world.add_inbound_message, ids[number])
            put = clock()
            told = event("MESSAGE_RECEIVED", id=message.id, sessionId=ids[number])
            await asyncio.to_thread(inbox.put, [("wtschat_default", told)])
            await asyncio.sleep(0.6)
            lags.append((number, put))
        await until(lambda: all(number in ends for number, _ in lags), 60)
        asked = len(simulator.requests) - before
        took = [ends[number] - put for number, put in lags]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with capsys.disabled():
        print(
            f"\n1,000 waiters, 100 events: median lag {statistics.median(took):.2f} s, worst {max(took):.2f} s, "
            f"{asked} requests"
        )
    assert statistics.median(took) < 2
    assert asked <= 100 + 5
