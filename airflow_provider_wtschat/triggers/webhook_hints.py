"""Hints out of the inbox of webhooks: whoever waits is woken when an event names what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection

from airflow_provider_wtschat.api.webhook_events import UNKNOWN, WebhookEvent
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.triggers.hints import Hint
from airflow_provider_wtschat.webhooks.inbox import get_inbox

__all__ = ["follow_inbox"]

LOOK_EVERY = 0.25
"""Seconds between two looks into the inbox, which cost no request."""
_AT_ONCE = 1000


def follow_inbox(wtschat_conn_id: str) -> AsyncGenerator[Collection[Hint], None] | None:
    """
    Follow the events of a connection: a source for :func:`~airflow_provider_wtschat.triggers.hints.use_hints`.

    :return: hints as they come, ``None`` if this deployment receives no webhooks
    """
    try:
        return _follow(wtschat_conn_id) if webhook_address.secrets() else None
    except WtsChatArgumentError:
        return None


async def _follow(wtschat_conn_id: str) -> AsyncGenerator[Collection[Hint], None]:
    inbox = get_inbox()
    place = await asyncio.to_thread(inbox.end, wtschat_conn_id)
    while True:
        rows = await asyncio.to_thread(inbox.read, wtschat_conn_id, after=place, limit=_AT_ONCE)
        if rows:
            place = rows[-1].place
            yield [_hint(row.event) for row in rows]
        else:
            await asyncio.sleep(LOOK_EVERY)


def _hint(event: WebhookEvent) -> Hint:
    ids = event.ids
    # What is posted to the callback address of one message does not say that it is about one.
    message_id = ids.get("message_id") or (ids.get("id") if event.type == UNKNOWN else None)
    return Hint(
        session_id=ids.get("session_id"),
        message_id=message_id,
        card_id=ids.get("card_id"),
        contact_id=ids.get("contact_id"),
        event=None if event.type == UNKNOWN else event.type,
    )
