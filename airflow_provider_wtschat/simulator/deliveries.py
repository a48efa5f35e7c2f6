"""Webhooks: what happens in the account is posted to its subscriptions, as far as they lead to this machine."""

from __future__ import annotations

import heapq
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.instants import SECOND, instant_text
from airflow_provider_wtschat.simulator.records import Contact, Message, Record, Session

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.world import World

_HERE = ("127.0.0.1", "localhost", "::1")
_TIMEOUT_S = 10.0
_FROZEN_S = 0.05


@dataclass(frozen=True, slots=True)
class Delivery:
    """One post that was tried."""

    event: str
    url: str
    status: int | None
    """What it was answered with; None if there was no answer."""


class Deliveries:
    """Posts events, one after the other, from a thread of its own; nothing leaves this machine."""

    def __init__(self, world: World) -> None:
        """Watch an account.

        :param world: the account, already filled.
        """
        self.made: list[Delivery] = []
        """All posts so far, in order."""
        self._world = world
        self._lose = self._repeat = 0
        self._due: list[tuple[int, int, str, str, Callable[[], Any]]] = []
        self._order = count()
        self._changed = threading.Condition()
        self._closed = False
        self._busy = False
        self._thread: threading.Thread | None = None
        world.sessions.watch = self._session
        world.contacts.watch = self._contact
        world.cards.watch = self._card
        world.card_notes.watch = self._card_note
        world.history.watch = self._message

    def lose(self, times: int = 1) -> None:
        """Do not deliver the next events."""
        self._lose += times

    def repeat(self, times: int = 1) -> None:
        """Deliver the next events twice."""
        self._repeat += times

    def idle(self) -> bool:
        """Return whether everything that is due was delivered."""
        with self._changed:
            return not self._busy and not any(due[0] <= self._world.now() for due in self._due)

    def close(self) -> None:
        """End the thread; what is not delivered yet never will be."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _session(self, old: Session | None, new: Session) -> None:
        completed = new.status == "COMPLETED" and (old is None or old.status != "COMPLETED")
        event = "SESSION_NEW" if old is None else "SESSION_COMPLETE" if completed else "SESSION_UPDATE"
        self._tell(event, lambda: views.session(self._world, new))

    def _contact(self, old: Contact | None, new: Contact) -> None:
        def content() -> dict[str, Any]:
            printed = views.contact(self._world, new)
            # Webhooks spell it unlike the lists.
            return {**printed, "phonenumber": printed.pop("phoneNumber", None)}

        self._tell("CONTACT_NEW" if old is None else "CONTACT_UPDATE", content)
        if old is not None and old.tag_ids != new.tag_ids:
            self._tell("CONTACT_TAG_UPDATE", content)

    def _card(self, old: Record | None, new: Record) -> None:
        moved = old is not None and old["stepId"] != new["stepId"]
        event = "PANEL_CARD_NEW" if old is None else "PANEL_CARD_STEP_CHANGE" if moved else "PANEL_CARD_UPDATE"
        self._tell(event, lambda: views.card(self._world, new, ()))

    def _card_note(self, old: Record | None, new: Record) -> None:
        event = "PANEL_CARD_NOTE_NEW" if old is None else "PANEL_CARD_NOTE_UPDATE"
        self._tell(event, lambda: views.record(new))

    def _message(self, old: Message | None, new: Message) -> None:
        if new.type == "NOTE":
            return
        if old is not None:
            event = "MESSAGE_UPDATED"
        else:
            event = "MESSAGE_RECEIVED" if new.direction == "FROM_HUB" else "MESSAGE_SENT"
        now = self._world.now()
        self._tell(event, lambda: views.message(self._world, new))
        for at, _ in new.course:
            if at > now and old is None:
                self._tell("MESSAGE_UPDATED", lambda: self._current(new, views.message), at=at)
            if at > now and new.callback_url and _is_here(new.callback_url):
                self._put(at, "", new.callback_url, lambda: self._current(new, views.message_status))

    def _current(self, message: Message, view: Callable[[World, Message], Any]) -> Any:
        latest = self._world.history.find(message.id)
        return None if latest is None else view(self._world, latest)

    def _tell(self, event: str, content: Callable[[], Any], *, at: int | None = None) -> None:
        urls = [
            row["url"]
            for row in self._world.webhooks
            if row["enabled"] and event in row["_events"] and _is_here(row["url"])
        ]
        if not urls:
            return
        now = self._world.now()
        # What it is about is printed now, but for what is still to come.
        printed = content() if at is None else None

        def body() -> dict[str, Any] | None:
            what = printed if at is None else content()
            if what is None:
                return None
            moment = instant_text(now if at is None else at)
            return {"eventType": event, "date": moment, "content": what, "changeMetadata": None}

        for url in urls:
            self._put(now if at is None else at, event, url, body)

    def _put(self, at: int, event: str, url: str, body: Callable[[], Any]) -> None:
        with self._changed:
            heapq.heappush(self._due, (at, next(self._order), event, url, body))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wtschat-simulator-webhooks", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                while not self._closed:
                    wait = (self._due[0][0] - self._world.now()) / SECOND if self._due else None
                    if wait is not None and wait <= 0:
                        break
                    # The server's clock may stand still, or be put forward.
                    self._changed.wait(None if wait is None else min(wait, _FROZEN_S))
                if self._closed:
                    return
                _, _, event, url, body = heapq.heappop(self._due)
                self._busy = True
            with self._world.lock:
                content = body()
            if content is None:
                continue
            if self._lose:
                self._lose -= 1
                continue
            times = 1
            if self._repeat:
                self._repeat -= 1
                times = 2
            for _ in range(times):
                self.made.append(Delivery(event, url, _post(url, json.dumps(content).encode())))


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in _HERE


def _post(url: str, body: bytes) -> int | None:
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
