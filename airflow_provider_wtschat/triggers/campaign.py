"""The trigger of a dispatch that follows its messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_wtschat.api import instants

__all__ = ["CampaignTrigger"]


class CampaignTrigger(BaseTrigger):
    """
    Wait in the triggerer until a dispatch has something to do, such as to look at its messages.

    The worker does it, because what it finds goes into a table. So the triggerer needs neither a database's driver nor
    a part of the account's limit, and a restart repeats nothing. The one event says ``{"status": "due"}``, and what the
    dispatch waited for.

    :param look_at: instant at which to go on
    :param purpose: what the dispatch waits for; it comes back in the event. Default: ``look``
    """

    def __init__(self, *, look_at: str, purpose: str = "look") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.look_at = look_at
        self.purpose = purpose

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "look_at": self.look_at,
            "purpose": self.purpose,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield that it is time."""
        moment = instants.parse("look_at", self.look_at)
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        yield TriggerEvent({"status": "due", "purpose": self.purpose})  # type: ignore[no-untyped-call]  # Airflow has no types for it
