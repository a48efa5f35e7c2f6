"""An event that was posted wakes whoever waits for what it names, long before the next reading."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed
from airflow_provider_wtschat.triggers.hints import Hint, hints_for
from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.triggers.test_hints import ended, pending, started, status_trigger
from tests.waiting import QUICK, until

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
