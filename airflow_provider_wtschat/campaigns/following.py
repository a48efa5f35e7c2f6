"""
What became of the messages of a dispatch: delivered, read, answered, or failed.

Statuses come from the inbox of webhooks, where events are received, and from the lists of the sessions that the
messages are in; contacts and answers come from the list of sessions, a hundred with each request. A message is asked
for alone only if nobody knows its session.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, sends, sessions
from airflow_provider_wtschat.api.exchange import Exchange, call, pages, rows
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.types import Message, Session
from airflow_provider_wtschat.budget.limits import SEND
from airflow_provider_wtschat.campaigns.people import SuppressionTable, says_never_again
from airflow_provider_wtschat.campaigns.table import CLOCKS, LONGEST_REASON, CampaignTable, Sent, sender_id
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatNotFoundError
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, Stored, get_inbox

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

log = logging.getLogger(__name__)

T = TypeVar("T")

REPLIES_WITHIN = timedelta(days=7)
"""What somebody writes counts as an answer for so long after the message."""
LOOK_PAUSE = 2 * SEND.seconds / SEND.limit
"""Seconds from one look-up of a single message to the next: half of the limit that sends share with it."""
FAILURE = "failure"
"""Why somebody came into the suppression table: a message failed in a way that says so."""

_AT_ONCE = 500
_ORDER = ("QUEUED", "PROCESSING", "SAVED", "SENT", "DELIVERED", "READ")
"""In which order a message has its statuses; webhooks may come in any."""
_FROM_CONTACT = "FROM_HUB"
_RECEIVED = "MESSAGE_RECEIVED"
_OF_MESSAGES = ("MESSAGE_UPDATED", "MESSAGE_SENT", "UNKNOWN")
"""Types of events that tell the status of a message; what is posted to a ``callbackUrl`` has none."""
_LONGEST_ID = 36
_LONGEST_KEY = 100
_SHORTEST_PRIVATE = 3


class Following:
    """
    Looks what became of the messages of a dispatch, and writes it into the table.

    :param people: the table of people who are never written to: failures may say that somebody belongs there
    :param stop: ends every wait when it is set
    :param check_stop: raises if the dispatch was stopped
    """

    def __init__(
        self,
        table: CampaignTable,
        people: SuppressionTable,
        *,
        hook: WtsChatHook,
        stop: threading.Event,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._table = table
        self._people = people
        self._hook = hook
        self._stop = stop
        self._check_stop = check_stop
        self._due = time.monotonic()

    def look(self, done: Sequence[str], *, since: datetime | None = None, upto: int | None = None) -> bool:
        """
        Look once.

        :param done: statuses of messages that need no further look
        :param since: leave out rows that were claimed before. Default: none
        :param upto: number of the last row to look at. Default: all
        :return: whether everything was seen; ``False`` if the API could not be asked for all of it now
        :raises WtsChatError: if a later look would fare no better, or the dispatch was stopped
        """
        try:
            self._read_inbox()
            seen = self._read_messages(done, since, upto)
            self._read_sessions()
        except WtsChatError as error:
            self._check_stop()
            if not error.retryable:
                raise
            log.warning("Looking at the messages ended early: %s", type(error).__name__)
            return False
        log.info("Looked at %d messages", seen)
        return True

    # Webhooks

    def _read_inbox(self) -> None:
        conn_id = self._hook.wtschat_conn_id
        name = f"{conn_id}:campaign {self._table.table} {sender_id(self._table.campaign)}"
        try:
            inbox = get_inbox()
            for found in _stored(inbox, conn_id, inbox.cursor(name) or ""):
                self._table.follow(self._told_by(found))
                inbox.move(name, found[-1].place)
        except (InboxError, WtsChatArgumentError) as error:
            log.warning("The inbox of webhooks cannot be read: %s", error)

    def _told_by(self, found: Sequence[Stored]) -> dict[int, dict[str, Any]]:
        statuses: dict[str, list[tuple[str, str]]] = {}
        answers: dict[str, list[datetime]] = {}
        for event, received in ((stored.event, stored.received) for stored in found):
            moment = event.moment or event.instants.get("updated_at") or received
            message_id = event.ids.get("message_id") or event.ids.get("id")
            if event.type in _OF_MESSAGES and event.status in _ORDER and message_id is not None:
                statuses.setdefault(message_id, []).append((event.status, instants.write(moment)))
            elif event.type == _RECEIVED and "session_id" in event.ids:
                answers.setdefault(event.ids["session_id"], []).append(moment)
        told: dict[int, dict[str, Any]] = {}
        for row in self._table.sent("message_id", list(statuses)):
            # What failed is left to the lists, which tell why.
            for status, at in sorted(statuses[row.message_id], key=lambda one: _ORDER.index(one[0])):
                if not _is_behind(status, row.delivery):
                    # The instant of an earlier status stays.
                    told[row.seq] = {**_progress(status, at), **told.get(row.seq, {}), "delivery": status}
        for row in self._table.sent("session_id", list(answers)):
            if (answered := _first_after(row.sent_at, answers[str(row.session_id)])) is not None:
                told.setdefault(row.seq, {})["replied_at"] = answered
        return told

    # Lists of messages

    def _read_messages(self, done: Sequence[str], since: datetime | None, upto: int | None) -> int:
        after, number = 0, 0
        while batch := self._table.to_follow(done, after, limit=_AT_ONCE, since=since, upto=upto):
            by_session: dict[str | None, list[Sent]] = {}
            for row in batch:
                by_session.setdefault(row.session_id, []).append(row)
            for session_id, group in by_session.items():
                self._check_stop()
                if session_id is not None:
                    self._record(group, self._listed(session_id, group))
                    continue
                for row in group:
                    self._record([row], self._asked_singly(row))
            after, number = batch[-1].seq, number + len(batch)
        return number

    def _listed(self, session_id: str, group: Sequence[Sent]) -> dict[int, dict[str, Any]]:
        since = min((row.sent_at for row in group if row.sent_at is not None), default=None)
        listing = sessions.list_messages(session_id, created_after=None if since is None else since - CLOCKS)
        found = {str(message["id"]): message for message in self._ask(rows(listing)) or ()}
        answers = [
            moment
            for message in found.values()
            if message.get("direction") == _FROM_CONTACT and (moment := told_instant(message.get("createdAt")))
        ]
        told: dict[int, dict[str, Any]] = {}
        for row in group:
            if (message := found.get(row.message_id)) is not None:
                told[row.seq] = _of_message(message, row.delivery)
            if (answered := _first_after(row.sent_at, answers)) is not None:
                told.setdefault(row.seq, {})["replied_at"] = answered
        return told

    def _asked_singly(self, row: Sent) -> dict[int, dict[str, Any]]:
        """Ask for a message of which nobody knows the session, since the API did not say or it was not kept."""
        self._stop.wait(max(0.0, self._due - time.monotonic()))
        self._check_stop()
        self._due = max(self._due, time.monotonic()) + LOOK_PAUSE
        message = self._ask(call(sends.get_message_status(row.message_id)))
        if message is None:
            return {}
        return {row.seq: {"session_id": told_id(message.get("sessionId")), **_of_message(message, row.delivery)}}

    def _record(self, group: Sequence[Sent], told: Mapping[int, Mapping[str, Any]]) -> None:
        self._table.follow(told)
        reasons = {row.person: told.get(row.seq, {}).get("reason") for row in group}
        never = {who: str(reason) for who, reason in reasons.items() if who is not None and says_never_again(reason)}
        if never:
            self._people.add(never, FAILURE)

    # The list of sessions

    def _read_sessions(self) -> None:
        """Learn from the list of sessions who the contacts are, and who has written since."""
        with closing(_Waiting(self._table.unanswered(datetime.now(UTC) - REPLIES_WITHIN))) as waiting:
            if (since := waiting.since) is None:
                return

            def take(page: list[Session]) -> None:
                self._check_stop()
                self._table.follow(waiting.told_by(page))

            # Hidden ones are sure to come only if their status is named.
            for status in (None, "HIDDEN"):
                self._ask(pages(sessions.list_(status=status, last_interaction_after=since - CLOCKS), take))

    def _ask(self, exchange: Exchange[T]) -> T | None:
        try:
            return self._hook.perform(exchange, bulk=True, stop=self._stop)
        except WtsChatNotFoundError:
            return None
        except TimeoutError:
            self._check_stop()
            raise


class _Waiting:
    """Rows whose contact or answer is not known yet, kept on disk while the list of sessions is read."""

    def __init__(self, unanswered: Iterator[list[Sent]]) -> None:
        # An empty name is a database on disk that goes when it is closed.
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("CREATE TABLE sent (seq INTEGER PRIMARY KEY, session_id, contact_id, sent_at, replied)")
        for name in ("session_id", "contact_id"):
            self._rows.execute(f"CREATE INDEX by_{name} ON sent ({name})")
        for part in unanswered:
            self._rows.executemany(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?)",
                [
                    (row.seq, row.session_id, row.contact_id, instants.write(row.sent_at), row.replied)
                    for row in part
                    if row.sent_at is not None
                ],
            )

    @property
    def since(self) -> datetime | None:
        """When the first of them was sent."""
        ((moment,),) = self._rows.execute("SELECT min(sent_at) FROM sent")
        return instants.read_or_none(moment)

    def told_by(self, page: Sequence[Session]) -> dict[int, dict[str, Any]]:
        told: dict[int, dict[str, Any]] = {}
        for session in page:
            session_id, contact_id = session["id"], told_id(session.get("contactId"))
            if contact_id is not None:
                unknown = "SELECT seq FROM sent WHERE session_id = ? AND contact_id IS NULL"
                for (seq,) in self._rows.execute(unknown, (session_id,)).fetchall():
                    told.setdefault(seq, {})["contact_id"] = contact_id
                    self._rows.execute("UPDATE sent SET contact_id = ? WHERE seq = ?", (contact_id, seq))
            if (moment := told_instant(session.get("lastMessageIn"))) is not None:
                # Whoever answers after the session was concluded begins another one.
                answered = (
                    "SELECT seq FROM sent WHERE (session_id = ? OR contact_id = ?) AND sent_at < ? AND NOT replied"
                )
                text = instants.write(moment)
                for (seq,) in self._rows.execute(answered, (session_id, contact_id, text)).fetchall():
                    told.setdefault(seq, {})["replied_at"] = text
                    self._rows.execute("UPDATE sent SET replied = 1 WHERE seq = ?", (seq,))
        return told

    def close(self) -> None:
        self._rows.close()


def told_instant(value: object) -> datetime | None:
    """Read an instant out of an answer that nothing may go wrong with any more."""
    try:
        return instants.read(str(value)) if value else None
    except (ValueError, OverflowError):
        return None


def told_id(value: object) -> str | None:
    """Read an id out of an answer, such as the table keeps it."""
    text = "" if value is None else str(value).lower()
    return text if 0 < len(text) <= _LONGEST_ID else None


def _stored(inbox: Inbox, conn_id: str, place: str) -> Iterator[list[Stored]]:
    while found := inbox.read(conn_id, after=place):
        yield found
        place = found[-1].place


def _progress(status: str, at: str) -> dict[str, Any]:
    """Return what a status means: a message that was read has been delivered, at that time at the latest."""
    told = {"delivery": status}
    if status in ("DELIVERED", "READ"):
        told["delivered_at"] = at
    if status == "READ":
        told["read_at"] = at
    return told


def _is_behind(status: str, known: str | None) -> bool:
    """Return whether a status comes before the one that is known already; a message never goes back."""
    return (
        status in _ORDER and known is not None and (known not in _ORDER or _ORDER.index(status) < _ORDER.index(known))
    )


def _of_message(message: Mapping[str, Any] | Message, known: str | None) -> dict[str, Any]:
    status = str(message.get("status"))
    if _is_behind(status, known):
        return {}
    moment = told_instant(message.get("readContactAt")) or told_instant(message.get("updatedAt")) or datetime.now(UTC)
    errors = (message.get("details") or {}).get("errors") or [{}]
    key = errors[0].get("key") if status == "FAILED" else None
    return {
        **_progress(status, instants.write(moment)),
        "reason": failure_of(message.get("failedReason")),
        "failed_key": None if key is None else str(key)[:_LONGEST_KEY],
    }


def failure_of(told: object, private: Collection[str] = ()) -> str | None:
    """Write what the API says of a failure into one line, without phone numbers."""
    if not told:
        return None
    text = masked(str(told))
    for value in sorted(private, key=len, reverse=True):
        if len(value) >= _SHORTEST_PRIVATE:
            text = text.replace(value, "...")
    return convert.one_line(text, LONGEST_REASON)


def _first_after(sent_at: datetime | None, moments: Sequence[datetime]) -> str | None:
    if sent_at is None:
        return None
    first = min((moment for moment in moments if sent_at < moment < sent_at + REPLIES_WITHIN), default=None)
    return instants.write_or_none(first)
