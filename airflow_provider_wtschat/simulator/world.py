"""The state of the simulated account, and everything that may happen to it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from random import Random
from threading import RLock
from typing import Any
from uuid import UUID

from airflow_provider_wtschat.simulator.books import Books
from airflow_provider_wtschat.simulator.churn import Churn
from airflow_provider_wtschat.simulator.deliveries import Deliveries
from airflow_provider_wtschat.simulator.history import History
from airflow_provider_wtschat.simulator.instants import DAY, SECOND, Clock, datetime_of, instant_text
from airflow_provider_wtschat.simulator.lives import Times, Turn
from airflow_provider_wtschat.simulator.options import Options
from airflow_provider_wtschat.simulator.phones import stored_phone
from airflow_provider_wtschat.simulator.records import OPEN_STATUSES, Contact, Message, Record, Row, Session
from airflow_provider_wtschat.simulator.seed import populate
from airflow_provider_wtschat.simulator.sending import send_scheduled
from airflow_provider_wtschat.simulator.tables import Changes, Manners, Table


class World:
    """Everything there is in the account.

    Hold ``lock`` around several calls that belong together; each call for itself does so.
    """

    def __init__(self, options: Options) -> None:
        """Make an account and fill it.

        :param options: how large it is and how it behaves.
        """
        self.options = options
        self.token: str | None = options.token
        self.lock = RLock()
        self.clock = Clock(options.skew)
        self.clock.freeze(
            options.start
        )  # a large account takes seconds to make, yet its rows must not depend on how many
        self.books = Books()
        self.rng = Random(f"{options.seed}/live")
        self.ties = Random(f"{options.seed}/ties")
        self.base_url = "http://127.0.0.1"
        self.company_id = self.new_id()
        self.manners = Manners(
            inclusive=options.bounds == "inclusive",
            arbitrary_ties=options.tie_order == "arbitrary",
            ignore_bounds=options.ignore_bounds,
        )
        self._seq = 0
        changes = Changes()  # shared, because what a filter finds may hang on the rows of another table
        self.sessions: Table[Session] = Table(
            {
                "createdat": lambda row: row.created,
                "updatedat": lambda row: row.updated,
                "lastinteractionat": lambda row: row.interaction,
            },
            changes=changes,
        )
        self.contacts: Table[Contact] = Table(changes=changes)
        self.agents: Table[Record] = Table(changes=changes)
        self.departments: Table[Record] = Table(changes=changes)
        self.channels: Table[Record] = Table(changes=changes)
        self.tags: Table[Record] = Table(changes=changes)
        self.templates: Table[Record] = Table(changes=changes)
        self.chatbots: Table[Record] = Table(changes=changes)
        self.custom_fields: Table[Record] = Table(changes=changes)
        self.files: Table[Record] = Table(changes=changes)
        self.sequences: Table[Record] = Table(changes=changes)
        self.sequence_contacts: Table[Record] = Table(changes=changes)
        self.portfolios: Table[Record] = Table(changes=changes)
        self.portfolio_contacts: Table[Record] = Table(changes=changes)
        self.webhooks: Table[Record] = Table(changes=changes)
        self.panels: Table[Record] = Table(changes=changes)
        self.cards: Table[Record] = Table(changes=changes)
        self.card_notes: Table[Record] = Table(changes=changes)
        self.scheduled: Table[Record] = Table(changes=changes)
        self.one_time_passwords: Table[Record] = Table(changes=changes)
        self.uploads: dict[str, dict[str, Any]] = {}
        self.messages_by_sender: dict[str, str] = {}
        self.failing_recipients: set[str] = set()
        """Phones, as stored, to which every message fails after it was accepted."""
        self.history = History(self)
        self.may_hide = False
        """Whether there has ever been a hidden session; while there has not, lists need not look for them."""
        self._open_sessions: dict[tuple[str, str], str] = {}
        self._contacts_by_phone: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._turns: dict[str, list[Turn]] = {}
        self._due: list[tuple[int, str]] = []
        populate(self)
        for contact in self.contacts:
            self._note_contact(contact)
        for session in self.sessions:
            self._note_session(session)
        self.churn = Churn(self, options.changes_per_s)
        self.deliveries = Deliveries(self)
        if options.start is None:
            self.clock = Clock(options.skew)
        else:
            self.clock.resume()

    # Small things that everything needs

    def now(self) -> int:
        """Return the server's time in microseconds since the epoch."""
        return self.clock.now()

    def new_id(self) -> str:
        """Return a fresh id; the same ones in the same order for the same seed."""
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def next_seq(self) -> int:
        """Return the next position among all rows."""
        self._seq += 1
        return self._seq

    def fresh(self, at: int) -> dict[str, Any]:
        """Return what a new row begins with."""
        return {"seq": self.next_seq(), "id": self.new_id(), "created": at, "updated": at}

    def record(self, table: Table[Record], *, at: int | None = None, row_id: str | None = None, **data: Any) -> Record:
        """Create a row of a table."""
        now = self.now() if at is None else at
        row = Record(self.next_seq(), row_id or self.new_id(), now, now, data)
        table.put(row)
        return row

    def change(self, table: Table[Record], row: Record, **data: Any) -> Record:
        """Store the next version of a row."""
        changed = row.changed(self.now(), **data)
        table.put(changed)
        return changed

    def settle(self) -> None:
        """Let everything happen that is due by now: churn, scheduled messages, rows that become visible."""
        with self.lock:
            now = self.now()
            self.churn.run(now)
            while self._due and self._due[0][0] <= now:
                send_scheduled(self, heapq.heappop(self._due)[1])
            self.sessions.settle(now)

    def truth(self, table: str) -> dict[str, str]:
        """Return what really is: the last change of every row by id, whatever lists show.

        :param table: e.g. ``sessions`` or ``contacts``.
        """
        with self.lock:
            self.settle()
            rows: Iterable[Row] = getattr(self, table)
            return {row.id: instant_text(row.updated) for row in rows}

    # Sessions

    def create_session(
        self,
        *,
        status: str = "PENDING",
        contact_id: str | None = None,
        channel_id: str | None = None,
        department_id: str | None = None,
        user_id: str | None = None,
        window: str = "ACTIVE",
        at: int | None = None,
        **values: Any,
    ) -> Session:
        """Open a session.

        :param window: ``ACTIVE`` if the contact has just written, ``EXPIRED`` if that is two days ago, ``NOT_STARTED``.
        :param at: when; now by default.
        """
        with self.lock:
            now = self.now() if at is None else at
            contact = self.contacts.get(contact_id) or self.contacts.pick(self.rng) or self.create_contact()
            channel = self.channels.get(channel_id) or next(iter(self.channels))
            last_in = {"ACTIVE": now, "EXPIRED": now - 2 * DAY, "NOT_STARTED": None}[window]
            session = Session(
                **self.fresh(now),
                start=now,
                interaction=now,
                status=status,
                contact_id=contact.id,
                channel_id=channel.id,
                number=self._next_number(now),
                department_id=department_id,
                user_id=user_id,
                last_in=values.pop("last_in", last_in),
                times=Times().then(now, status),
                **values,
            )
            self._turns[session.id] = [Turn(now, status)]
            self.history.begin(session.id)
            return self.save_session(session)

    def change_session(self, session_id: str, *, late_s: float | None = None, **values: Any) -> Session:
        """Change fields of a session.

        :param late_s: after how many seconds lists show it; by the options if not given.
        """
        with self.lock:
            session, now = self._session(session_id), self.now()
            if "status" in values:
                session = self.turn(session, now, values.pop("status"))
            return self.save_session(session.changed(now, **values), late_s=late_s)

    def turn(self, session: Session, at: int, status: str, **values: Any) -> Session:
        """Return a session's version with another status: its waiting and service times and its end follow from it.

        :param at: from when on.
        """
        if status != session.status:
            self._turns.setdefault(session.id, []).append(Turn(at, status))
        times = session.times.then(at, status)
        ended: dict[str, Any] = {"end": None}
        if status == "COMPLETED":
            times, ended = times._replace(served=times.served or 0), {"end": at, "unread": 0}
        return session.changed(at, **{"status": status, "times": times, **ended, **values})

    def turns(self, session_id: str) -> list[Turn]:
        """Return all statuses that a session has had, in order: what no list of the API tells."""
        with self.lock:
            return [*self.history.turns(session_id), *self._turns.get(session_id, ())]

    def take_session(self, session_id: str, *, at: int | None = None) -> Session:
        """Let an agent take a session out of the queue."""
        with self.lock:
            session, now = self._session(session_id), self.now() if at is None else at
            user_id = session.user_id or self.rng.choice(list(self.agents))["userId"]
            return self.save_session(self.turn(session, now, "IN_PROGRESS", user_id=user_id))

    def conclude_session(self, session_id: str, *, at: int | None = None, reactivate: bool = False) -> Session:
        """Conclude a session."""
        with self.lock:
            now = self.now() if at is None else at
            return self.save_session(self.turn(self._session(session_id), now, "COMPLETED", reactivate=reactivate))

    def delete_session(self, session_id: str) -> None:
        """Remove a session, its messages and its notes."""
        with self.lock:
            session = self._session(session_id)
            self.sessions.delete(session_id)
            self.history.forget(session_id)
            self._turns.pop(session_id, None)
            if self._open_sessions.get((session.contact_id, session.channel_id)) == session_id:
                del self._open_sessions[session.contact_id, session.channel_id]

    def save_session(self, session: Session, *, late_s: float | None = None) -> Session:
        """Store a version of a session."""
        if late_s is None and self.options.late_rows and self.rng.random() < self.options.late_rows:
            late_s = self.options.late_s
        listed_at = None if not late_s else self.now() + round(late_s * SECOND)
        self.sessions.put(session, listed_at=listed_at)
        self._note_session(session)
        return session

    def open_session(self, contact_id: str, channel_id: str) -> Session | None:
        """Return the session that goes on between a contact and a channel."""
        session = self.sessions.get(self._open_sessions.get((contact_id, channel_id)))
        return session if session is not None and session.status in OPEN_STATUSES else None

    def window_status(self, session: Session, now: int) -> str:
        """Return the status of a session's window, which says whether free text may be sent."""
        channel = self.channels.get(session.channel_id)
        if channel is not None and not channel["_official"]:
            return "ACTIVE"
        if session.last_in is None:
            return "NOT_STARTED"
        return "ACTIVE" if now - session.last_in < DAY else "EXPIRED"

    # Messages

    def add_inbound_message(self, session_id: str, text: str = "Olá", *, at: int | None = None) -> Message:
        """Let the contact write.

        A hidden session shows up again; a completed one is taken up again if it was concluded so, else a new one opens.
        """
        with self.lock:
            session = self._session(session_id)
            now = self.now() if at is None else at
            status = session.status
            if status == "COMPLETED" and not session.reactivate:
                session = self.create_session(
                    contact_id=session.contact_id,
                    channel_id=session.channel_id,
                    department_id=session.department_id,
                    at=now,
                )
            elif status in ("COMPLETED", "HIDDEN"):
                session = self.turn(session, now, "PENDING")
            message = Message(
                **self.fresh(now),
                session_id=session.id,
                direction="FROM_HUB",
                origin="GATEWAY",
                text=text,
                course=((now, "READ"),),
            )
            self.history.add(message)
            moved = now if self.options.reply_moves_updated or session.status != status else session.updated
            self.save_session(
                session.changed(moved, last_in=now, interaction=now, last_text=text, unread=session.unread + 1)
            )
            return message

    def add_agent_message(self, session_id: str, text: str = "Olá", *, at: int | None = None) -> Message:
        """Let the session's agent write; the first message after one of the contact is the first response."""
        with self.lock:
            session = self._session(session_id)
            now = self.now() if at is None else at
            message = Message(
                **self.fresh(now),
                session_id=session.id,
                origin="DEFAULT",
                text=text,
                user_id=session.user_id,
                course=((now, "QUEUED"), (now + SECOND, "SENT"), (now + 3 * SECOND, "DELIVERED")),
            )
            self.history.add(message)
            first = session.first_response
            if first is None and session.last_in is not None:
                first = now
            self.save_session(
                session.changed(now, last_out=now, interaction=now, last_text=text, first_response=first, unread=0)
            )
            return message

    def set_message_status(self, message_id: str, status: str, reason: str | None = None) -> Message:
        """Fix the status of a message from now on."""
        with self.lock:
            message = self.history.find(message_id)
            if message is None:
                raise KeyError(f"there is no message {message_id}")
            now = self.now()
            past = tuple(step for step in message.course if step[0] < now)
            changed = message.changed(now, course=(*past, (now, status)), failed_reason=reason)
            return self.history.replace(changed)

    # Contacts

    def create_contact(self, *, phone: str | None = None, at: int | None = None, **values: Any) -> Contact:
        """Create a contact."""
        with self.lock:
            now = self.now() if at is None else at
            stored = None if phone is None else stored_phone(phone)
            return self.save_contact(Contact(**self.fresh(now), phone=stored, **values))

    def change_contact(self, contact_id: str, **values: Any) -> Contact:
        """Change fields of a contact."""
        with self.lock:
            contact = self.contacts.get(contact_id)
            if contact is None:
                raise KeyError(f"there is no contact {contact_id}")
            changed = contact.changed(self.now(), **values)
            if contact.phone and changed.phone != contact.phone:
                self._contacts_by_phone.pop(contact.phone, None)
            return self.save_contact(changed)

    def save_contact(self, contact: Contact) -> Contact:
        """Store a version of a contact."""
        self.contacts.put(contact)
        self._note_contact(contact)
        return contact

    def contact_by_phone(self, phone: str) -> Contact | None:
        """Find a contact by its phone in any spelling."""
        stored = stored_phone(phone)
        return None if stored is None else self.contacts.get(self._contacts_by_phone.get(stored))

    # What others point at

    def agent_of(self, user_id: str | None) -> Record | None:
        """Return the agent with a ``userId``; its ``id`` is another."""
        return next((agent for agent in self.agents if agent["userId"] == user_id), None)

    def step(self, step_id: str | None) -> tuple[Record, Record] | None:
        """Return a panel's step and the panel."""
        for panel in self.panels:
            for step in panel["_steps"]:
                if step.id == step_id:
                    return step, panel
        return None

    def schedule(self, row: Record) -> None:
        """Remember to send a scheduled message."""
        heapq.heappush(self._due, (row["scheduling"], row.id))

    # Inside

    def _session(self, session_id: str) -> Session:
        session = self.sessions.get(session_id)
        if session is None:
            raise KeyError(f"there is no session {session_id}")
        return session

    def _note_session(self, session: Session) -> None:
        self.may_hide = self.may_hide or session.status == "HIDDEN"
        if session.status in OPEN_STATUSES:
            self._open_sessions[session.contact_id, session.channel_id] = session.id

    def _note_contact(self, contact: Contact) -> None:
        if contact.phone:
            self._contacts_by_phone[contact.phone] = contact.id

    def _next_number(self, at: int) -> str:
        day = f"{datetime_of(at):%Y%m%d}"
        self._numbers[day] = self._numbers.get(day, 50_000) + 1
        return f"{day}{self._numbers[day] % 100_000:05}"
