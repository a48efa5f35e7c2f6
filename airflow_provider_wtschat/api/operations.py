"""
Every operation of the API by name.

A name is the module's and the function's; the underscore that keeps ``list_`` off Python's own ``list`` is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_wtschat.api import (
    sessions,
)
from airflow_provider_wtschat.api.request import Request

OPERATIONS: dict[str, Callable[..., Request[Any]]] = {
    # chat
    "sessions.list": sessions.list_,
    "sessions.get": sessions.get,
    "sessions.conclude": sessions.conclude,
    "sessions.change_status": sessions.change_status,
    "sessions.update": sessions.update,
    "sessions.transfer": sessions.transfer,
    "sessions.assign": sessions.assign,
    "sessions.send": sessions.send,
    "sessions.send_sync": sessions.send_sync,
    "sessions.list_messages": sessions.list_messages,
    "sessions.list_notes": sessions.list_notes,
    "sessions.create_note": sessions.create_note,
    "sessions.get_note": sessions.get_note,
    "sessions.delete_note": sessions.delete_note,
    # core
    # crm
}
