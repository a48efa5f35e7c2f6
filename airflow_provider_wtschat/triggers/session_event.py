"""Sessions as asset events: a trigger for asset watchers, Airflow 3 and later."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_wtschat._compat import BaseEventTrigger
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.waiting.changes import Change, SessionChange, SessionChanges
from airflow_provider_wtschat.waiting.conditions import SessionFilter

__all__ = ["SessionChange", "SessionEventTrigger"]

MOST_REFERENCES = 100
"""An event holds so many references at most."""
BETWEEN_EVENTS = 5.0
"""Seconds between two events, at least."""


class SessionEventTrigger(BaseEventTrigger):
    """
    Ring when sessions are new, change, or are concluded: asset events for an ``AssetWatcher``.

    An event is a **doorbell**: it says that there is something to read, and whoever it starts reads what there is, with
    :class:`~airflow_provider_wtschat.operators.session_event.ReadSessionEventsOperator` or a load that keeps a
    watermark. It is not the list of what to do, because **Airflow starts no run for an event that comes while an
    earlier one waits for its run**, and hands that event to a later run, if there is one.

    One reading makes one event, and two events are at least 5 seconds apart. An event carries ``count``, ``since`` and
    ``until`` (instants of the first and the last change), ``sessions`` (``id``, ``status`` and ``updated_at`` of the
    first 100) and ``complete`` (whether these are all). Names, phones and texts are left out, because Airflow logs and
    stores events in the clear. It reads on the feed that all triggers of the connection share.

    **Restarts.** On Airflow 3.3 and later the place reached is kept in the asset's state: nothing is lost, and what the
    last reading and the two minutes before it showed may ring again. Before 3.3, and where one watcher serves several
    assets, nothing keeps the place: what changes between the end of a triggerer and the start of the next does not
    ring. Whoever reads from a place of its own finds it at the next ring.

    While the API cannot be read, or refuses the token, it says so in the log and goes on trying.

    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``
    :param event: ``new``, ``changed`` or ``concluded``. Default: ``changed``
    :param poll_interval: seconds between two readings, 5 at least. Default: 60
    :param statuses: statuses that the session then has. Default: all
    :param department_id: id of the department. Default: all
    :param user_id: ``userId`` of the agent. Default: all
    :param channel_ids: ids of channels. Default: all
    :param contact_id: id of the contact. Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP``. Default: both
    """

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        event: str = SessionChange.CHANGED.value,
        poll_interval: float = 60.0,
        statuses: list[str] | None = None,
        department_id: str | None = None,
        user_id: str | None = None,
        channel_ids: list[str] | None = None,
        contact_id: str | None = None,
        session_type: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.wtschat_conn_id = wtschat_conn_id
        self.event = event
        self.poll_interval = poll_interval
        self.statuses = statuses
        self.department_id = department_id
        self.user_id = user_id
        self.channel_ids = channel_ids
        self.contact_id = contact_id
        self.session_type = session_type

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "wtschat_conn_id": self.wtschat_conn_id,
            "event": self.event,
            "poll_interval": self.poll_interval,
            **self._filter_arguments(),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read without end, and ring for each reading that showed something."""
        from airflow_provider_wtschat.triggers.feed import PACE, Stream, get_feed

        wanted = SessionChanges(event=self.event, **self._filter_arguments())
        kept = await self._load()
        since = datetime.now(UTC) if kept is None else kept - timedelta(seconds=PACE.overlap)
        while True:
            stream = Stream(poll_interval=self.poll_interval, since=since, wanted=wanted)
            try:
                async with get_feed(self.wtschat_conn_id).subscribe(stream):
                    while True:
                        batch = await stream.next()
                        # One reading behind, since Airflow may lose events that it was given just now.
                        kept = await self._keep(since, kept)
                        since = batch.position
                        if batch.changes:
                            yield TriggerEvent(event_payload(batch.changes))  # type: ignore[no-untyped-call]  # no types
                            # What comes meanwhile is told together.
                            await asyncio.sleep(BETWEEN_EVENTS)
            except WtsChatError as error:
                pause = PACE.longest_pause * (1 if error.retryable else 10)
                self.log.error("Reading sessions failed; trying again in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)

    def _filter_arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SessionFilter.argument_names()}

    @property
    def _key(self) -> str:
        """Name of the place reached: watchers with other arguments on the same asset have their own."""
        arguments = json.dumps(self.serialize()[1], sort_keys=True)
        return f"wtschat_read_up_to_{hashlib.sha256(arguments.encode()).hexdigest()[:12]}"

    async def _load(self) -> datetime | None:
        store: Any = getattr(self, "asset_state_store", None)
        if store is None:
            return None
        try:
            # Up to 3.3.1 there is only the one that blocks.
            if hasattr(store, "aget"):
                text = await store.aget(self._key)
            else:
                text = await asyncio.to_thread(store.get, self._key)
        except ValueError:
            self.log.warning("The watcher serves several assets, so nothing keeps the place reached over a restart")
            self.asset_state_store = None
            return None
        return instants.read(str(text)) if text else None

    async def _keep(self, moment: datetime, kept: datetime | None) -> datetime | None:
        store: Any = getattr(self, "asset_state_store", None)
        if store is None or (kept is not None and moment <= kept):
            return kept
        if hasattr(store, "aset"):
            await store.aset(self._key, instants.write(moment))
        else:
            await asyncio.to_thread(store.set, self._key, instants.write(moment))
        return moment


def event_payload(changes: Sequence[Change]) -> dict[str, Any]:
    """
    Write the event of a reading.

    :param changes: the changes that it showed, at least one
    """
    moments = [change.moment for change in changes]
    return {
        "count": len(changes),
        "since": instants.write(min(moments)),
        "until": instants.write(max(moments)),
        "sessions": [change.reference() for change in changes[:MOST_REFERENCES]],
        "complete": len(changes) <= MOST_REFERENCES,
    }
