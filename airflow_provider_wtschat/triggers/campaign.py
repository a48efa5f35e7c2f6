"""The trigger of a dispatch that follows its messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_wtschat.api import instants


class CampaignTrigger(BaseTrigger):
    """
    Wait in the triggerer for the next look at the messages of a dispatch.

    The worker looks, because what it finds goes into a table. So the triggerer needs neither a database's driver nor
    a part of the account's limit, and a restart repeats nothing. The one event says ``{"status": "due"}``.

    :param look_at: instant of the look
    """

    def __init__(self, *, look_at: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.look_at = look_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"look_at": self.look_at}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield that it is time."""
        moment = instants.parse("look_at", self.look_at)
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        yield TriggerEvent({"status": "due"})  # type: ignore[no-untyped-call]  # Airflow has no types for it
