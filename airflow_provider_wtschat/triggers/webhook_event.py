"""Webhook events as asset events: a trigger for asset watchers, Airflow 3 and later."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_wtschat._compat import BaseEventTrigger, Stats
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.webhooks.inbox import InboxError, Stored, get_inbox

__all__ = ["WebhookEventTrigger"]

MOST_REFERENCES = 100
"""An event holds so many references at most."""
BETWEEN_EVENTS = 5.0
"""Seconds between two events, at least."""
LAG = 10.0
"""Seconds after which Airflow has surely stored an event that it was given."""
PAUSE = 30.0
GAUGE_EVERY = 10.0
_AT_ONCE = 1000
ACKNOWLEDGES = hasattr(BaseEventTrigger, "create_shared_stream_producer")
"""Whether Airflow tells that it has stored an event."""


class Ring:
    """What one reading of the inbox showed, however much that is."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Stored] = []
        self._last: Stored | None = None

    def add(self, rows: Iterable[Stored]) -> None:
        """
        Count events.

        :param rows: the events, in order
        """
        for row in rows:
            self.count += 1
            self._last = row
            if len(self._first) < MOST_REFERENCES:
                self._first.append(row)

    def payload(self) -> dict[str, Any]:
        """Write the asset event."""
        last = self._last or self._first[-1]
        return {
            "count": self.count,
            "since": instants.write(self._first[0].received),
            "until": instants.write(last.received),
            "events": [row.event.reference() for row in self._first],
            "complete": self.count == len(self._first),
        }


class WebhookEventTrigger(BaseEventTrigger):
    """
    Ring when webhook events have come: asset events for an ``AssetWatcher``.

    An event is a **doorbell**, as that of
    :class:`~airflow_provider_wtschat.triggers.session_event.SessionEventTrigger`: whoever it starts reads what there
    is, with :class:`~airflow_provider_wtschat.operators.webhook.ReadWebhooksOperator`, because Airflow starts no run
    for an event that comes while an earlier one waits for its run.

    One reading of the inbox makes one event, and two events are at least 5 seconds apart. An event carries ``count``,
    ``since`` and ``until`` (when the first and the last were stored), ``events`` (type, ids, status and instants of the
    first 100) and ``complete`` (whether these are all).

    The place reached is kept in the inbox, so that a restart of the triggerer loses nothing. It moves when Airflow says
    that it has stored what was rung (Airflow 3.3 and later), or 10 seconds after that (before): what came in those
    seconds rings again after a restart. The first start rings for what comes from then on.

    :param wtschat_conn_id: id of the connection whose events ring. Default: ``wtschat_default``
    :param events: types of events such as ``MESSAGE_RECEIVED``. Default: all
    :param poll_interval: seconds between two looks into the inbox, which cost no request; 0.2 at least. Default: 1
    """

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        events: list[str] | None = None,
        poll_interval: float = 1.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.wtschat_conn_id = wtschat_conn_id
        self.events = events
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "wtschat_conn_id": self.wtschat_conn_id,
            "events": self.events,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look into the inbox without end, and ring for each reading that showed something."""
        rung: deque[tuple[float, str]] = deque()
        async for payload, place in self.follow():
            if payload is not None:
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow has no types
            if not rung or rung[-1][1] != place:
                rung.append((time.monotonic(), place))
            while rung and time.monotonic() - rung[0][0] > LAG:
                with suppress(InboxError):  # it moves further the next time
                    await self.move(rung[0][1])
                rung.popleft()

    def shared_stream_key(self) -> Hashable | None:
        """
        Let Airflow acknowledge what it has stored, where it does so.

        Each watcher has a key of its own: of several with one key, those that come later would miss events.
        """
        return (type(self).__qualname__, self._name, self.poll_interval) if ACKNOWLEDGES else None

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """Return what reads the inbox, and moves the place when Airflow has stored what it was given."""
        from airflow_provider_wtschat.triggers._webhook_stream import InboxStream

        return InboxStream(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Ring for what the stream shows."""
        async for reading in shared_stream:
            if reading.payload is not None:
                yield TriggerEvent(reading.payload)  # type: ignore[no-untyped-call]  # Airflow has no types
            # Not before it was taken: a watcher that is cancelled in the middle has given Airflow nothing to store.
            reading.taken = True

    async def follow(self) -> AsyncIterator[tuple[dict[str, Any] | None, str]]:
        """
        Look into the inbox without end.

        :return: for each look, what to ring if it showed something, and the place that it reached
        """
        inbox = get_inbox()
        place: str | None = None
        told = float("-inf")
        while True:
            ring = Ring()
            waited = 0.0
            try:
                if place is None:
                    place = await asyncio.to_thread(inbox.cursor, self._name)
                if place is None:
                    place = await asyncio.to_thread(inbox.end, self.wtschat_conn_id)
                    # At once, so that a restart before the first event begins here.
                    await self.move(place)
                while rows := await asyncio.to_thread(inbox.read, self.wtschat_conn_id, after=place, limit=_AT_ONCE):
                    place = rows[-1].place
                    waited = max(waited, (datetime.now(UTC) - rows[0].received).total_seconds())
                    ring.add(row for row in rows if self.events is None or row.event.type in self.events)
            except InboxError as error:
                self.log.error("The inbox of webhooks cannot be read; trying again in %.0f s: %s", PAUSE, error)
                if place is None or not ring.count:
                    await asyncio.sleep(PAUSE)
                    continue
            if time.monotonic() - told >= GAUGE_EVERY or waited > GAUGE_EVERY:
                told = time.monotonic()
                Stats.gauge("wtschat.webhooks.lag", waited, tags={"connection": self.wtschat_conn_id})
            yield (ring.payload() if ring.count else None), place
            # What comes meanwhile is told together.
            await asyncio.sleep(BETWEEN_EVENTS if ring.count else max(0.2, self.poll_interval))

    async def move(self, place: str) -> None:
        """
        Remember that what lies before a place was rung, and stored by Airflow.

        :param place: the place
        :raises InboxError: if it cannot be remembered now
        """
        await asyncio.to_thread(get_inbox().move, self._name, place)

    @property
    def _name(self) -> str:
        """Name of the place reached: watchers with other arguments have their own."""
        arguments = json.dumps([self.wtschat_conn_id, sorted(self.events or ())])
        return f"{self.wtschat_conn_id}:trigger:{hashlib.sha256(arguments.encode()).hexdigest()[:12]}"
