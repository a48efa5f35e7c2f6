"""
Where webhook events are kept: in a directory of this machine, or in Redis for several machines.

An inbox keeps each event once for each connection and tells which are new, gives them in the order in which they were
stored, and remembers how far each reader has read.
"""

from __future__ import annotations

from airflow_provider_wtschat.webhooks.inbox._base import BEGINNING, Inbox, InboxError, Stored
from airflow_provider_wtschat.webhooks.inbox._registry import get_inbox

__all__ = ["BEGINNING", "Inbox", "InboxError", "Stored", "get_inbox"]
