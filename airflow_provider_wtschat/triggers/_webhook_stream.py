"""The inbox as a stream that Airflow acknowledges, Airflow 3.3 and later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.webhooks.inbox import InboxError

try:
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer
except ModuleNotFoundError:  # before Airflow 3.3, which never asks for the stream
    AdvanceItem, SharedStreamProducer = Any, object  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    from airflow_provider_wtschat.triggers.webhook_event import WebhookEventTrigger


@dataclass
class Reading:
    """
    What one look into the inbox showed.

    :param payload: what to ring, ``None`` if there is nothing to ring for
    :param place: the place that it reached
    :param taken: whether the trigger has handed it to Airflow
    """

    payload: dict[str, Any] | None
    place: str
    taken: bool = False


class InboxStream(SharedStreamProducer):
    """
    Reads the inbox, and moves the place of a trigger when Airflow has stored what it was given.

    :param trigger: the trigger
    """

    def __init__(self, trigger: WebhookEventTrigger) -> None:
        self._trigger = trigger

    async def open_stream(self) -> AsyncIterator[tuple[Reading, Reading]]:
        """Read from the place that was reached."""
        reached: str | None = None
        async for payload, place in self._trigger.follow():
            if payload is not None or place != reached:
                reached = place
                reading = Reading(payload, place)
                yield reading, reading

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """
        Move the place past what was stored, and no further.

        :param batch: what Airflow is done with, in order
        :raises InboxError: if something was not stored: the stream begins again from the place reached
        """
        stored = None
        for item in batch:
            reading: Reading = item.broker_payload
            if not (item.outcome.is_clean and reading.taken):
                break
            stored = reading
        if stored is not None:
            await self._trigger.move(stored.place)
        if stored is not batch[-1].broker_payload:
            msg = "Airflow has not stored an event; it is read again"
            raise InboxError(msg)
