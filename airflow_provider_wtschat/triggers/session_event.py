"""Sessions as asset events: a trigger for asset watchers, Airflow 3 and later."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_wtschat._compat import BaseEventTrigger
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.types import Session, SessionStatus
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.waiting import SessionFilter

MOST_PER_EVENT = 100


class SessionChange(StrEnum):
    """What happens to a session."""

    NEW = "new"
    CHANGED = "changed"
    CONCLUDED = "concluded"


_MOMENT = {SessionChange.NEW: "createdAt", SessionChange.CHANGED: "updatedAt", SessionChange.CONCLUDED: "endAt"}


class SessionEventTrigger(BaseEventTrigger):
    """
    Make asset events of sessions that are new, change, or are concluded, for an ``AssetWatcher``.

    An event carries ``{"sessions": [{"id", "status", "updated_at"}, ...]}``, up to 100 of what one reading showed;
    names, phones and texts are left out, because Airflow logs and stores events in the clear. It reads on the feed that
    all triggers of the connection share.

    **Restarts.** On Airflow 3.3 and later the place reached is kept in the asset's state: nothing is lost, and what the
    last reading and the two minutes before it showed may come again; ``id`` and ``updated_at`` tell. Before 3.3, and
    where one watcher serves several assets, nothing keeps the place: what changes between the end of a triggerer and
    the start of the next makes no event.

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
        """Read without end, and yield what each reading showed."""
        from airflow_provider_wtschat.triggers.feed import PACE, Stream, get_feed

        pick = self._picker()
        kept = await self._load()
        since = datetime.now(UTC) if kept is None else kept - timedelta(seconds=PACE.overlap)
        while True:
            stream = Stream(poll_interval=self.poll_interval, since=since, pick=pick)
            try:
                async with get_feed(self.wtschat_conn_id).subscribe(stream):
                    async for batch in stream.batches():
                        # One reading behind, since Airflow may lose events that it was given just now.
                        kept = await self._keep(since, kept)
                        since = batch.position
                        for start in range(0, len(batch.rows), MOST_PER_EVENT):
                            rows = batch.rows[start : start + MOST_PER_EVENT]
                            yield TriggerEvent({"sessions": rows})  # type: ignore[no-untyped-call]  # no types
            except WtsChatError as error:
                pause = PACE.longest_pause * (1 if error.retryable else 10)
                self.log.error("Reading sessions failed; trying again in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)

    def _picker(self) -> Any:
        event = SessionChange(convert.required("event", convert.choice("event", self.event, SessionChange)))
        wanted = SessionFilter(**self._filter_arguments())
        moment = _MOMENT[event]

        def pick(session: Session) -> tuple[datetime, dict[str, Any]] | None:
            if event is SessionChange.CONCLUDED and session.get("status") != SessionStatus.COMPLETED:
                return None
            if not wanted.fits(session):
                return None
            shown = {"id": session["id"], "status": session.get("status"), "updated_at": session.get("updatedAt")}
            return instants.read(str(session.get(moment) or session["updatedAt"])), shown

        return pick

    def _filter_arguments(self) -> dict[str, Any]:
        return {
            "statuses": self.statuses,
            "department_id": self.department_id,
            "user_id": self.user_id,
            "channel_ids": self.channel_ids,
            "contact_id": self.contact_id,
            "session_type": self.session_type,
        }

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
