"""
What can be waited for.

A condition says what to ask and judges the answer; it does no I/O. So the worker, which asks with
:class:`~airflow_provider_wtschat.hooks.wtschat.WtsChatHook`, and the triggerer, which asks from its event loop, wait
for the same. Its constructor is the one description of its arguments: its sensor and its trigger take theirs from it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, messages, panels, scheduled_messages, sessions
from airflow_provider_wtschat.api.exchange import Exchange, call, pages, rows
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.paging import UPDATED, Paginator
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    Card,
    CardStatus,
    Message,
    MessageDelivery,
    MessageStatus,
    ScheduledMessage,
    ScheduledMessageStatus,
    Session,
    SessionStatus,
    SessionType,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

T = TypeVar("T")

INTERACTED = "LastInteractionAt"
"""The field of sessions that a reply is sure to change."""
FROM_CONTACT = "FROM_HUB"
"""Direction of a message that the contact wrote."""

_NEVER_A_SESSION_STATUS = (SessionStatus.UNDEFINED,)
_SENT_AND_BEYOND = ("SENT", "DELIVERED", "READ")


SESSION_NEW, SESSION_UPDATE, SESSION_COMPLETE = "SESSION_NEW", "SESSION_UPDATE", "SESSION_COMPLETE"
"""Types of webhook events."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    How a wait ended.

    :param reached: whether it is what was waited for; else it is a failure
    :param status: the status found, or the step of a card
    :param updated_at: when the API says it came to be so
    :param reason: the API's own words on a failure. They may quote a person, so they stay in the worker
    """

    reached: bool
    status: str
    updated_at: str | None = None
    reason: str | None = None


class Condition(ABC, Generic[T]):
    """Something to wait for."""

    list_key: ClassVar[str | None] = None
    """The field of sessions whose changes may bring it about; ``None`` if no list tells of it."""

    subject: str | None = None
    """Id of the one thing that it is about."""

    @property
    def told_by(self) -> frozenset[str]:
        """Types of the webhook events without which it could come about unheard; empty if no event tells of it."""
        return frozenset()

    @property
    def session_id(self) -> str | None:
        """Id of the one session whose changes may bring it about; ``None`` for any session."""
        return self.subject if self.list_key else None

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of its arguments."""
        return list(inspect.signature(cls).parameters)

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""

    @abstractmethod
    def describe(self) -> str:
        """Describe what is waited for, without personal data."""

    @abstractmethod
    def read(self) -> Exchange[T]:
        """Read what a task that waited for it returns."""

    @abstractmethod
    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""

    def notice(self, session: Session) -> Outcome | Hashable | None:
        """
        Judge a session that changed.

        :return: the outcome, if the session tells it; ``None`` if the change does not matter; anything else stands for
            the news that make it worth to look, the same for the same news
        """
        return None


class _HasStatus(Condition[T]):
    """Something with an id reaches one of some statuses."""

    subject: str
    argument: ClassVar[str]
    statuses: ClassVar[type[Enum]]
    never: ClassVar[Collection[Enum]] = ()
    noun: ClassVar[str]

    def __init__(self, identity: Any, target_statuses: Any, failure_statuses: Any) -> None:
        self.subject = convert.required_uuid(self.argument, identity)
        self.target_statuses = self._choices("target_statuses", convert.required("target_statuses", target_statuses))
        self.failure_statuses = self._choices("failure_statuses", failure_statuses)
        if not self.target_statuses:
            raise WtsChatArgumentError(
                argument="target_statuses", reason="an empty list was given; name at least one status to wait for"
            )
        _refuse_both(self.target_statuses, self.failure_statuses)

    def _choices(self, name: str, value: Any) -> list[str]:
        return list(dict.fromkeys(convert.choices(name, value, self.statuses, never=self.never) or ()))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {
            self.argument: self.subject,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def describe(self) -> str:
        """Describe what is waited for, without personal data."""
        return f"{self.noun} {self.subject} to be {' or '.join(self.target_statuses)}"

    @abstractmethod
    def request(self) -> Request[T]:
        """Return the request that reads it."""

    def read(self) -> Exchange[T]:
        """Read what a task that waited for it returns."""
        return call(self.request())

    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""
        return self.judge((yield self.request()))

    def judge(self, row: Mapping[str, Any]) -> Outcome | None:
        """Judge what the API says of it."""
        status = str(row.get("status"))
        if status in self.failure_statuses:
            reason = row.get("failureReason") or row.get("failedReason")
            return Outcome(reached=False, status=status, updated_at=row.get("updatedAt"), reason=reason)
        if status in self._fulfilling():
            return Outcome(reached=True, status=status, updated_at=row.get("updatedAt"))
        return None

    def _fulfilling(self) -> Iterable[str]:
        return self.target_statuses


class SessionHasStatus(_HasStatus[Session]):
    """
    A session reaches one of some statuses.

    :param failure_statuses: statuses that make waiting pointless. Default: none
    """

    argument = "session_id"
    statuses = SessionStatus
    never = _NEVER_A_SESSION_STATUS
    noun = "session"
    list_key = UPDATED

    def __init__(self, *, session_id: Any, target_statuses: Any, failure_statuses: Any = None) -> None:
        super().__init__(session_id, target_statuses, failure_statuses)

    @property
    def told_by(self) -> frozenset[str]:
        """Types of the webhook events without which it could come about unheard."""
        wanted = {*self.target_statuses, *self.failure_statuses}
        return frozenset({SESSION_COMPLETE} if wanted == {"COMPLETED"} else {SESSION_COMPLETE, SESSION_UPDATE})

    def request(self) -> Request[Session]:
        """Return the request that reads it."""
        return sessions.get(self.subject)

    def notice(self, session: Session) -> Outcome | None:
        """Judge a session that changed: the list says all there is to know."""
        return self.judge(session)


class _HasPassed(_HasStatus[T]):
    """A status that is passed on the way to a later one counts as reached: looks are too far apart to see each."""

    def _fulfilling(self) -> Iterable[str]:
        places = [_SENT_AND_BEYOND.index(status) for status in self.target_statuses if status in _SENT_AND_BEYOND]
        return {*self.target_statuses, *(_SENT_AND_BEYOND[min(places) :] if places else ())}


class MessageHasStatus(_HasPassed[MessageDelivery]):
    """
    A message reaches one of some statuses, or has passed it: a message that is READ was DELIVERED.

    :param failure_statuses: statuses that make waiting pointless. Default: FAILED and DELETED
    """

    argument = "message_id"
    statuses = MessageStatus
    noun = "message"
    told_by = frozenset({"MESSAGE_UPDATED"})

    def __init__(self, *, message_id: Any, target_statuses: Any, failure_statuses: Any = ("FAILED", "DELETED")) -> None:
        super().__init__(message_id, target_statuses, failure_statuses)

    def request(self) -> Request[MessageDelivery]:
        """Return the request that reads it."""
        return messages.get_status(self.subject)


class ScheduledMessageHasStatus(_HasPassed[ScheduledMessage]):
    """
    A scheduled message reaches one of some statuses, or has passed it.

    :param failure_statuses: statuses that make waiting pointless. Default: FAILED and CANCELED
    """

    argument = "scheduled_message_id"
    statuses = ScheduledMessageStatus
    noun = "scheduled message"

    def __init__(
        self, *, scheduled_message_id: Any, target_statuses: Any, failure_statuses: Any = ("FAILED", "CANCELED")
    ) -> None:
        super().__init__(scheduled_message_id, target_statuses, failure_statuses)

    def request(self) -> Request[ScheduledMessage]:
        """Return the request that reads it."""
        return scheduled_messages.get(self.subject)


class CardHasMoved(Condition[Card]):
    """
    A card reaches one of some steps, or one of some statuses.

    :param step_ids: ids of steps to wait for. Default: none
    :param target_statuses: statuses to wait for. Default: none
    :param failure_statuses: statuses that make waiting pointless. Default: none
    :raises WtsChatArgumentError: if an argument is refused, or there is nothing to wait for
    """

    subject: str

    def __init__(
        self, *, card_id: Any, step_ids: Any = None, target_statuses: Any = None, failure_statuses: Any = None
    ) -> None:
        self.subject = convert.required_uuid("card_id", card_id)
        self.step_ids = convert.uuids("step_ids", step_ids) or []
        self.target_statuses = convert.choices("target_statuses", target_statuses, CardStatus) or []
        self.failure_statuses = convert.choices("failure_statuses", failure_statuses, CardStatus) or []
        if not (self.step_ids or self.target_statuses):
            raise WtsChatArgumentError(
                argument="step_ids, target_statuses", reason="neither was given; name a step or a status to wait for"
            )
        _refuse_both(self.target_statuses, self.failure_statuses)

    @property
    def told_by(self) -> frozenset[str]:
        """Types of the webhook events without which it could come about unheard."""
        steps = {"PANEL_CARD_STEP_CHANGE"} if self.step_ids else set()
        statuses = {"PANEL_CARD_UPDATE"} if self.target_statuses or self.failure_statuses else set()
        return frozenset(steps | statuses)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {
            "card_id": self.subject,
            "step_ids": self.step_ids,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def describe(self) -> str:
        """Describe what is waited for, without personal data."""
        wanted = [f"in step {step}" for step in self.step_ids] + self.target_statuses
        return f"card {self.subject} to be {' or '.join(wanted)}"

    def read(self) -> Exchange[Card]:
        """Read what a task that waited for it returns."""
        return call(panels.get_card(self.subject))

    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""
        card = yield from self.read()
        status, step, moment = str(card.get("status")), str(card.get("stepId")).lower(), card.get("updatedAt")
        if status in self.target_statuses:
            return Outcome(reached=True, status=status, updated_at=moment)
        if status in self.failure_statuses:
            return Outcome(reached=False, status=status, updated_at=moment)
        return Outcome(reached=True, status=step, updated_at=moment) if step in self.step_ids else None


class SessionHasReply(Condition[list[Message]]):
    """
    The contact writes into a session.

    Whether a message of the contact changes a session's ``updatedAt`` is not known, so this follows the list by its
    last interaction.

    :param since: the moment after which a message counts
    """

    subject: str
    list_key = INTERACTED
    told_by = frozenset({"MESSAGE_RECEIVED"})

    def __init__(self, *, session_id: Any, since: When) -> None:
        self.subject = convert.required_uuid("session_id", session_id)
        self.since = instants.parse("since", convert.required("since", since))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {"session_id": self.subject, "since": instants.write(self.since)}

    def describe(self) -> str:
        """Describe what is waited for, without personal data."""
        return f"a reply in session {self.subject} after {instants.write(self.since)}"

    def read(self) -> Exchange[list[Message]]:
        """Read what a task that waited for it returns."""
        found = yield from rows(self._request())
        return [message for message in found if self._is_reply(message)]

    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""

        def first(found: list[Message]) -> Outcome | None:
            for message in found:
                if self._is_reply(message):
                    return Outcome(reached=True, status="REPLIED", updated_at=message.get("createdAt"))
            return None

        return (yield from pages(self._request(), first))

    def notice(self, session: Session) -> datetime | None:
        """Return from a session when somebody last wrote, ``None`` if nobody has since."""
        moments = [
            instants.read(text) for text in (session.get("lastMessageIn"), session.get("lastInteractionDate")) if text
        ]
        return max((moment for moment in moments if moment > self.since), default=None)

    def _request(self) -> PagedRequest[Message]:
        return sessions.list_messages(self.subject, created_after=self.since)

    def _is_reply(self, message: Message) -> bool:
        return message.get("direction") == FROM_CONTACT and instants.read(message["createdAt"]) > self.since


class ContactHasReplied(SessionHasReply):
    """
    The contact writes into a session, or into another one on the same channel.

    A session may be concluded while an answer is awaited, and then the contact's message begins another one.

    :param since: the moment after which a message counts
    :param contact_id: id of the contact. Default: only the session counts
    :param channel_id: id of the channel on which other sessions count. Default: any
    """

    def __init__(self, *, session_id: Any, since: When, contact_id: Any = None, channel_id: Any = None) -> None:
        super().__init__(session_id=session_id, since=since)
        self.contact_id = convert.uuid("contact_id", contact_id)
        self.channel_id = convert.uuid("channel_id", channel_id)

    @property
    def session_id(self) -> str | None:
        """Id of the one session whose changes may bring it about; ``None`` for any session."""
        return self.subject if self.contact_id is None else None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {**super().arguments(), "contact_id": self.contact_id, "channel_id": self.channel_id}

    def describe(self) -> str:
        """Describe what is waited for, without personal data."""
        return f"{super().describe()}, or in another one of its contact"

    def read(self) -> Exchange[list[Message]]:
        """Read what a task that waited for it returns."""
        found = yield from super().read()
        for session in (yield from self._others()):
            listed = yield from rows(sessions.list_messages(session["id"], created_after=self.since))
            found.extend(message for message in listed if self._is_reply(message))
        return found

    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""
        found = yield from self.read()
        if not found:
            return None
        first = min((message.get("createdAt") for message in found), key=str)
        return Outcome(reached=True, status="REPLIED", updated_at=first)

    def notice(self, session: Session) -> datetime | None:
        """Return from a session of the contact when somebody last wrote, ``None`` if nobody has since."""
        ours = session["id"] == self.subject or (
            self.contact_id is not None and str(session.get("contactId")).lower() == self.contact_id
        )
        return super().notice(session) if ours else None

    def _others(self) -> Exchange[list[Session]]:
        if self.contact_id is None:
            return []
        found = yield from rows(
            sessions.list_(contact_id=self.contact_id, channel_ids=self.channel_id, last_interaction_after=self.since)
        )
        return [session for session in found if session["id"] != self.subject]


class SessionFilter:
    """
    The sessions that somebody wants to know about.

    :param statuses: statuses. Default: all
    :param department_id: id of the department. Default: all
    :param user_id: ``userId`` of the agent. Default: all
    :param channel_ids: ids of channels. Default: all
    :param contact_id: id of the contact. Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP``. Default: both
    """

    _FIELDS: ClassVar = {
        "statuses": "status",
        "department_id": "departmentId",
        "user_id": "userId",
        "channel_ids": "channelId",
        "contact_id": "contactId",
        "session_type": "type",
    }
    """By argument, the field of a session that it is about."""

    def __init__(
        self,
        *,
        statuses: Any = None,
        department_id: Any = None,
        user_id: Any = None,
        channel_ids: Any = None,
        contact_id: Any = None,
        session_type: Any = None,
    ) -> None:
        self.statuses = convert.choices("statuses", statuses, SessionStatus, never=_NEVER_A_SESSION_STATUS)
        self.department_id = convert.uuid("department_id", department_id)
        self.user_id = convert.uuid("user_id", user_id)
        self.channel_ids = convert.uuids("channel_ids", channel_ids)
        self.contact_id = convert.uuid("contact_id", contact_id)
        self.session_type = convert.choice("session_type", session_type, SessionType)

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of its arguments."""
        return list(cls._FIELDS)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same filter, as plain JSON."""
        return dict(vars(self))

    def request(self, *, created_after: datetime) -> PagedRequest[Session]:
        """Return the request for the sessions that fit."""
        arguments = self.arguments()
        return sessions.list_(status=arguments.pop("statuses"), created_after=created_after, **arguments)

    def fits(self, session: Session) -> bool:
        """Return whether a session fits."""
        for argument, wanted in self.arguments().items():
            if wanted is not None:
                values = [wanted] if isinstance(wanted, str) else wanted
                if str(session.get(self._FIELDS[argument])).lower() not in {value.lower() for value in values}:
                    return False
        return True


class SessionsHaveArrived(Condition[list[str]]):
    """
    So many sessions that fit a filter exist which were created since a moment.

    :param count: how many are waited for. Default: 1
    :param filters: arguments of :class:`SessionFilter`
    """

    list_key = UPDATED

    def __init__(self, *, since: When, count: Any = 1, **filters: Any) -> None:
        self.since = instants.parse("since", convert.required("since", since))
        self.count = convert.required("count", convert.integer("count", count, minimum=1))
        self.filter = SessionFilter(**filters)

    @property
    def told_by(self) -> frozenset[str]:
        """Types of the webhook events without which it could come about unheard."""
        # One that is there already may come to fit a filter.
        filtered = any(value is not None for value in self.filter.arguments().values())
        return frozenset({SESSION_NEW, SESSION_UPDATE} if filtered else {SESSION_NEW})

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of its arguments."""
        return ["since", "count", *SessionFilter.argument_names()]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {"since": instants.write(self.since), "count": self.count, **self.filter.arguments()}

    def describe(self) -> str:
        """Describe what is waited for, without personal data."""
        return f"{self.count} new sessions since {instants.write(self.since)}"

    def read(self) -> Exchange[list[str]]:
        """Read what a task that waited for it returns."""
        found = yield from rows(self.filter.request(created_after=self.since))
        return [session["id"] for session in found]

    def look(self) -> Exchange[Outcome | None]:
        """Look whether it has come about, or cannot any more."""
        paginator = Paginator(self.filter.request(created_after=self.since), page_size=1)
        while not paginator.answered and (step := paginator.next()) is not None:
            paginator.accept((yield step))
        found = paginator.total or 0
        return Outcome(reached=True, status=str(found)) if found >= self.count else None

    def notice(self, session: Session) -> str | None:
        """Return the id of a session that may be one of those, so that it is worth to count them; else ``None``."""
        created = session.get("createdAt")
        fits = created is not None and instants.read(created) >= self.since and self.filter.fits(session)
        return session["id"] if fits else None


def _refuse_both(target_statuses: list[str], failure_statuses: list[str]) -> None:
    both = [status for status in target_statuses if status in failure_statuses]
    if both:
        raise WtsChatArgumentError(
            argument="failure_statuses", reason=f"{', '.join(both)} is waited for as well; name it in one of the two"
        )
