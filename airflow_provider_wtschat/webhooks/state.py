"""How the inbox of webhooks does, for whoever looks at it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, get_inbox

__all__ = ["inbox_state"]

log = logging.getLogger(__name__)


def inbox_state() -> dict[str, Any]:
    """
    Tell when the last event of each connection came, and how far behind its readers are.

    :return: the connections, or why there are none; no event
    """
    try:
        if not webhook_address.secrets():
            return {"connections": [], "why": "off"}
        inbox = get_inbox()
        cursors = inbox.cursors()
        return {"connections": [_connection(inbox, conn_id, cursors) for conn_id in inbox.connections()], "why": None}
    except (InboxError, WtsChatArgumentError) as error:
        log.warning("The inbox of webhooks cannot be shown: %s", error)
        return {"connections": [], "why": "unreadable"}


def _connection(inbox: Inbox, conn_id: str, cursors: dict[str, str]) -> dict[str, Any]:
    newest = inbox.newest(conn_id)
    return {
        "connection": conn_id,
        "newest": instants.write_or_none(newest),
        "readers": [
            {"reader": name.removeprefix(f"{conn_id}:"), "lag": _lag(inbox, conn_id, place)}
            for name, place in sorted(cursors.items())
            if name.startswith(f"{conn_id}:")
        ],
    }


def _lag(inbox: Inbox, conn_id: str, place: str) -> float:
    """Return for how many seconds the oldest event that a reader has not read is there; 0 if there is none."""
    unread = inbox.read(conn_id, after=place, limit=1)
    age = (datetime.now(UTC) - unread[0].received).total_seconds() if unread else 0.0
    return round(max(0.0, age), 1)
