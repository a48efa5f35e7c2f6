"""
What can be waited for, and waiting for it in the worker.

A condition says what to ask and judges the answer; it does no I/O. So the worker, which asks with
:class:`~airflow_provider_wtschat.hooks.wtschat.WtsChatHook`, and the triggerer, which asks from its event loop, wait
for the same.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from airflow_provider_wtschat import exceptions
from airflow_provider_wtschat._compat import AirflowSensorTimeout
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, messages, panels, scheduled_messages, sessions
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.paging import Paginator
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
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatFailedError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

T = TypeVar("T")
V = TypeVar("V")
Asking = Generator[Request[Any], Any, V]
"""Yields requests, is sent what they were answered with, and returns what came out."""

log = logging.getLogger(__name__)

FROM_CONTACT = "FROM_HUB"
"""Direction of a message that the contact wrote."""
MAX_FAULTS = 5
"""So many looks in a row may meet a passing fault before a wait in the worker fails of it."""

_NEVER_A_SESSION_STATUS = (SessionStatus.UNDEFINED,)
_SENT_AND_BEYOND = ("SENT", "DELIVERED", "READ")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    What ended a wait.

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

    @property
    def subject(self) -> str | None:
        """Id of the one thing that it is about."""
        return None

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""

    @abstractmethod
    def describe(self) -> str:
        """Say what is waited for, without personal data."""

    @abstractmethod
    def read(self) -> Asking[T]:
        """Read what a task that waited for it returns."""

    @abstractmethod
    def look(self) -> Asking[Finding | None]:
        """Look whether it has come about, or cannot any more."""


class _HasStatus(Condition[T]):
    """Something with an id reaches one of some statuses."""

    argument: ClassVar[str]
    statuses: ClassVar[type[Enum]]
    never: ClassVar[Collection[Enum]] = ()
    noun: ClassVar[str]

    def __init__(self, identity: Any, target_statuses: Any, failure_statuses: Any) -> None:
        self.id = convert.required_uuid(self.argument, identity)
        self.target_statuses = self._choices("target_statuses", convert.required("target_statuses", target_statuses))
        self.failure_statuses = self._choices("failure_statuses", failure_statuses)
        if not self.target_statuses:
            msg = "target_statuses: an empty list was given; name at least one status to wait for"
            raise WtsChatArgumentError(msg)
        both = [status for status in self.target_statuses if status in self.failure_statuses]
        if both:
            msg = f"failure_statuses: {', '.join(both)} is waited for as well; name it in one of the two"
            raise WtsChatArgumentError(msg)

    def _choices(self, name: str, value: Any) -> list[str]:
        return list(dict.fromkeys(convert.choices(name, value, self.statuses, never=self.never) or ()))

    @property
    def subject(self) -> str:
        """Id of the one thing that it is about."""
        return self.id

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {
            self.argument: self.id,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def describe(self) -> str:
        """Say what is waited for, without personal data."""
        return f"{self.noun} {self.id} to be {' or '.join(self.target_statuses)}"

    @abstractmethod
    def request(self) -> Request[T]:
        """Return the request that reads it."""

    def read(self) -> Asking[T]:
        """Read what a task that waited for it returns."""
        answer: T = yield self.request()
        return answer

    def look(self) -> Asking[Finding | None]:
        """Look whether it has come about, or cannot any more."""
        return self.judge((yield self.request()))

    def judge(self, row: Mapping[str, Any]) -> Finding | None:
        """
        Judge what the API says of it.

        :param row: the thing, as the API sent it
        """
        status = str(row.get("status"))
        if status in self.failure_statuses:
            reason = row.get("failureReason") or row.get("failedReason")
            return Finding(reached=False, status=status, updated_at=row.get("updatedAt"), reason=reason)
        if status in self._fulfilling():
            return Finding(reached=True, status=status, updated_at=row.get("updatedAt"))
        return None

    def _fulfilling(self) -> Iterable[str]:
        return self.target_statuses


class SessionHasStatus(_HasStatus[Session]):
    """
    A session reaches one of some statuses.

    :param session_id: id of the session
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless. Default: none
    :raises WtsChatArgumentError: if an argument is refused
    """

    argument = "session_id"
    statuses = SessionStatus
    never = _NEVER_A_SESSION_STATUS
    noun = "session"

    def __init__(self, *, session_id: Any, target_statuses: Any, failure_statuses: Any = None) -> None:
        super().__init__(session_id, target_statuses, failure_statuses)

    def request(self) -> Request[Session]:
        """Return the request that reads it."""
        return sessions.get(self.id)


class _HasPassed(_HasStatus[T]):
    """A status that is passed on the way to a later one counts as reached: looks are too far apart to see each."""

    def _fulfilling(self) -> Iterable[str]:
        places = [_SENT_AND_BEYOND.index(status) for status in self.target_statuses if status in _SENT_AND_BEYOND]
        return {*self.target_statuses, *(_SENT_AND_BEYOND[min(places) :] if places else ())}


class MessageHasStatus(_HasPassed[MessageDelivery]):
    """
    A message reaches one of some statuses, or has passed it: a message that is READ was DELIVERED.

    :param message_id: id of the message
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless. Default: FAILED and DELETED
    :raises WtsChatArgumentError: if an argument is refused
    """

    argument = "message_id"
    statuses = MessageStatus
    noun = "message"

    def __init__(self, *, message_id: Any, target_statuses: Any, failure_statuses: Any = ("FAILED", "DELETED")) -> None:
        super().__init__(message_id, target_statuses, failure_statuses)

    def request(self) -> Request[MessageDelivery]:
        """Return the request that reads it."""
        return messages.get_status(self.id)


class ScheduledMessageHasStatus(_HasPassed[ScheduledMessage]):
    """
    A scheduled message reaches one of some statuses, or has passed it.

    :param scheduled_message_id: id of the scheduled message
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless. Default: FAILED and CANCELED
    :raises WtsChatArgumentError: if an argument is refused
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
        return scheduled_messages.get(self.id)


class CardHasMoved(Condition[Card]):
    """
    A card reaches one of some steps, or one of some statuses.

    :param card_id: id of the card
    :param step_ids: ids of steps to wait for. Default: none
    :param target_statuses: statuses to wait for. Default: none
    :param failure_statuses: statuses that make waiting pointless. Default: none
    :raises WtsChatArgumentError: if an argument is refused, or there is nothing to wait for
    """

    def __init__(
        self, *, card_id: Any, step_ids: Any = None, target_statuses: Any = None, failure_statuses: Any = None
    ) -> None:
        self.id = convert.required_uuid("card_id", card_id)
        self.step_ids = convert.uuids("step_ids", step_ids) or []
        self.target_statuses = convert.choices("target_statuses", target_statuses, CardStatus) or []
        self.failure_statuses = convert.choices("failure_statuses", failure_statuses, CardStatus) or []
        if not (self.step_ids or self.target_statuses):
            msg = "step_ids, target_statuses: neither was given; name a step or a status to wait for"
            raise WtsChatArgumentError(msg)
        both = [status for status in self.target_statuses if status in self.failure_statuses]
        if both:
            msg = f"failure_statuses: {', '.join(both)} is waited for as well; name it in one of the two"
            raise WtsChatArgumentError(msg)

    @property
    def subject(self) -> str:
        """Id of the one thing that it is about."""
        return self.id

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {
            "card_id": self.id,
            "step_ids": self.step_ids,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def describe(self) -> str:
        """Say what is waited for, without personal data."""
        wanted = [f"in step {step}" for step in self.step_ids] + self.target_statuses
        return f"card {self.id} to be {' or '.join(wanted)}"

    def read(self) -> Asking[Card]:
        """Read what a task that waited for it returns."""
        answer: Card = yield panels.get_card(self.id)
        return answer

    def look(self) -> Asking[Finding | None]:
        """Look whether it has come about, or cannot any more."""
        card = yield from self.read()
        status, step, moment = str(card.get("status")), str(card.get("stepId")).lower(), card.get("updatedAt")
        if status in self.target_statuses:
            return Finding(reached=True, status=status, updated_at=moment)
        if status in self.failure_statuses:
            return Finding(reached=False, status=status, updated_at=moment)
        return Finding(reached=True, status=step, updated_at=moment) if step in self.step_ids else None


class SessionHasReply(Condition[list[Message]]):
    """
    The contact writes into a session.

    :param session_id: id of the session
    :param since: the moment after which a message counts
    :raises WtsChatArgumentError: if an argument is refused
    """

    def __init__(self, *, session_id: Any, since: When) -> None:
        self.id = convert.required_uuid("session_id", session_id)
        self.since = instants.parse("since", convert.required("since", since))

    @property
    def subject(self) -> str:
        """Id of the one thing that it is about."""
        return self.id

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {"session_id": self.id, "since": instants.write(self.since)}

    def describe(self) -> str:
        """Say what is waited for, without personal data."""
        return f"a reply in session {self.id} after {instants.write(self.since)}"

    def read(self) -> Asking[list[Message]]:
        """Read what a task that waited for it returns."""
        replies = []
        paginator = self._paginator()
        while (step := paginator.next()) is not None:
            replies += [message for message in paginator.accept((yield step)) if self._is_reply(message)]
        return replies

    def look(self) -> Asking[Finding | None]:
        """Look whether it has come about, or cannot any more."""
        paginator = self._paginator()
        while (step := paginator.next()) is not None:
            for message in paginator.accept((yield step)):
                if self._is_reply(message):
                    return Finding(reached=True, status="REPLIED", updated_at=message.get("createdAt"))
        return None

    def last_word(self, session: Session) -> datetime | None:
        """
        Tell from a session when somebody last wrote, ``None`` if nobody has since.

        :param session: the session, as the API sent it
        """
        moments = [
            instants.read(text) for text in (session.get("lastMessageIn"), session.get("lastInteractionDate")) if text
        ]
        return max((moment for moment in moments if moment > self.since), default=None)

    def _paginator(self) -> Paginator[Message]:
        return Paginator(sessions.list_messages(self.id, created_after=self.since))

    def _is_reply(self, message: Message) -> bool:
        return message.get("direction") == FROM_CONTACT and instants.read(message["createdAt"]) > self.since


class SessionFilter:
    """
    The sessions that somebody wants to hear of.

    :param statuses: statuses. Default: all
    :param department_id: id of the department. Default: all
    :param user_id: ``userId`` of the agent. Default: all
    :param channel_ids: ids of channels. Default: all
    :param contact_id: id of the contact. Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP``. Default: both
    :raises WtsChatArgumentError: if an argument is refused
    """

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

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same filter, as plain JSON."""
        return dict(vars(self))

    def request(self, *, created_after: datetime) -> PagedRequest[Session]:
        """
        Return the request for the sessions that fit.

        :param created_after: lower bound of their creation
        """
        return sessions.list_(
            status=self.statuses,
            department_id=self.department_id,
            user_id=self.user_id,
            channel_ids=self.channel_ids,
            contact_id=self.contact_id,
            session_type=self.session_type,
            created_after=created_after,
        )

    def fits(self, session: Session) -> bool:
        """
        Tell whether a session fits.

        :param session: the session, as the API sent it
        """
        wanted = (
            ("status", self.statuses),
            ("departmentId", _only(self.department_id)),
            ("userId", _only(self.user_id)),
            ("channelId", self.channel_ids),
            ("contactId", _only(self.contact_id)),
            ("type", _only(self.session_type)),
        )
        return all(
            values is None or str(session.get(name)).lower() in {value.lower() for value in values}
            for name, values in wanted
        )


def _only(value: str | None) -> list[str] | None:
    return None if value is None else [value]


class SessionsHaveArrived(Condition[list[str]]):
    """
    So many sessions that fit a filter exist which were created since a moment.

    :param since: the moment
    :param count: how many are waited for. Default: 1
    :param filters: arguments of :class:`SessionFilter`
    :raises WtsChatArgumentError: if an argument is refused
    """

    def __init__(self, *, since: When, count: Any = 1, **filters: Any) -> None:
        self.since = instants.parse("since", convert.required("since", since))
        self.count = convert.required("count", convert.integer("count", count, minimum=1))
        self.filter = SessionFilter(**filters)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make the same condition, as plain JSON."""
        return {"since": instants.write(self.since), "count": self.count, **self.filter.arguments()}

    def describe(self) -> str:
        """Say what is waited for, without personal data."""
        return f"{self.count} new sessions since {instants.write(self.since)}"

    def read(self) -> Asking[list[str]]:
        """Read what a task that waited for it returns."""
        ids = []
        paginator = Paginator(self.filter.request(created_after=self.since))
        while (step := paginator.next()) is not None:
            ids += [session["id"] for session in paginator.accept((yield step))]
        return ids

    def look(self) -> Asking[Finding | None]:
        """Look whether it has come about, or cannot any more."""
        paginator = Paginator(self.filter.request(created_after=self.since), page_size=1)
        while not paginator.answered and (step := paginator.next()) is not None:
            paginator.accept((yield step))
        found = paginator.total or 0
        return Finding(reached=True, status=str(found)) if found >= self.count else None

    def may_count(self, session: Session) -> bool:
        """
        Tell whether a session may be one of those, so that it is worth to count there are.

        :param session: the session, as the API sent it
        """
        created = session.get("createdAt")
        return created is not None and instants.read(created) >= self.since and self.filter.fits(session)


def ask(hook: WtsChatHook, asking: Asking[V]) -> V:
    """
    Put the requests of a condition, and return what came out.

    :param hook: the hook to ask with
    :param asking: such as :meth:`Condition.look`
    :raises WtsChatError: as the hook does
    """
    try:
        request = next(asking)
        while True:
            request = asking.send(hook.run(request))
    except StopIteration as end:
        value: V = end.value
        return value


class Looks:
    """
    Looks of one wait: passing faults are tolerated, a few in a row.

    :param hook: the hook to ask with
    :param condition: what is waited for
    """

    def __init__(self, hook: WtsChatHook, condition: Condition[Any]) -> None:
        self.condition = condition
        self.fault: WtsChatError | None = None
        """The fault that the last look met."""
        self._hook = hook
        self._faults = 0

    def look(self) -> Finding | None:
        """
        Look once.

        :return: what was found, ``None`` if nothing yet, or if the look met a passing fault
        :raises WtsChatError: if the fault does not pass
        """
        try:
            finding = ask(self._hook, self.condition.look())
        except WtsChatError as error:
            self._faults += 1
            if not error.retryable or self._faults > MAX_FAULTS:
                raise
            self.fault = error
            log.warning("Waiting for %s: %s; looking again later", self.condition.describe(), type(error).__name__)
            return None
        self._faults, self.fault = 0, None
        return finding


def wait(
    hook: WtsChatHook,
    condition: Condition[T],
    *,
    poll_interval: float,
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """
    Wait in the worker.

    :param hook: the hook to ask with
    :param condition: what is waited for
    :param poll_interval: seconds between two looks
    :param timeout: seconds to wait at most
    :param sleep: how to sleep
    :return: what was waited for
    :raises WtsChatFailedError: if it cannot come about any more
    :raises AirflowSensorTimeout: if time runs out, after a last look; Airflow does not retry it
    :raises WtsChatError: if the API cannot be asked
    """
    looks = Looks(hook, condition)
    deadline = time.monotonic() + timeout
    while (finding := looks.look()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            if looks.fault is not None:
                raise looks.fault
            raise timed_out(condition, timeout)
        sleep(min(poll_interval, left))
    if not finding.reached:
        raise failed(condition, finding)
    return ask(hook, condition.read())


def complete(
    hook: WtsChatHook,
    condition: Condition[T],
    event: Mapping[str, Any] | None,
    *,
    timeout: float,
) -> T:
    """
    Go on in the worker after a trigger has waited.

    :param hook: the hook to ask with
    :param condition: what was waited for
    :param event: the trigger's event
    :param timeout: seconds that were waited at most
    :return: what was waited for
    :raises WtsChatFailedError: if it cannot come about any more
    :raises AirflowSensorTimeout: if time ran out; Airflow does not retry it
    :raises WtsChatError: if the trigger could not ask the API, or the worker cannot
    """
    kind = (event or {}).get("status")
    if kind == "reached":
        return ask(hook, condition.read())
    if event is not None and kind == "failed":
        raise failed(condition, _reread(hook, condition, event))
    if kind == "timeout":
        raise timed_out(condition, timeout)
    if event is not None and kind == "error":
        raise _told(condition, event)
    msg = f"Waiting for {condition.describe()}: the trigger ended without an event that says how"
    raise WtsChatError(msg, retryable=True)


def failed(condition: Condition[Any], finding: Finding) -> WtsChatFailedError:
    """
    Build the error for a wait that ended in a failure.

    :param condition: what was waited for
    :param finding: what came instead
    """
    msg = f"Waited for {condition.describe()}, but it is {finding.status}" + (
        f": {finding.reason}" if finding.reason else ""
    )
    return WtsChatFailedError(msg, text=finding.reason)


def timed_out(condition: Condition[Any], timeout: float) -> AirflowSensorTimeout:
    """
    Build the error for a wait that took too long.

    :param condition: what was waited for
    :param timeout: seconds that were waited at most
    """
    return AirflowSensorTimeout(f"Waited {timeout:g} s for {condition.describe()} in vain")


def deadline(timeout: float) -> str:
    """
    Say when a wait that begins now ends.

    :param timeout: seconds to wait at most
    :return: the instant, as a trigger takes it
    """
    return instants.write(datetime.now(UTC) + timedelta(seconds=timeout))


def _reread(hook: WtsChatHook, condition: Condition[Any], event: Mapping[str, Any]) -> Finding:
    # The API's reason does not travel in events, since Airflow logs and stores them in the clear.
    try:
        finding = ask(hook, condition.look())
    except WtsChatError as error:
        log.warning("Reading the reason failed: %s", type(error).__name__)
        finding = None
    if finding is not None and not finding.reached:
        return finding
    return Finding(reached=False, status=str(event.get("found")))


_WORDS: Sequence[tuple[type[WtsChatError], str]] = (
    (
        exceptions.WtsChatAuthenticationError,
        "the API refuses the token: it is wrong, revoked, was unused for 15 days, or lacks the permission for this",
    ),
    (exceptions.WtsChatNotFoundError, "the API does not know it"),
    (exceptions.WtsChatRefusedError, "the API refuses to answer"),
    (exceptions.WtsChatArgumentError, "an argument or the connection is refused"),
    (exceptions.WtsChatRateLimitError, "the account's request limit left no room for too long"),
    (exceptions.WtsChatConnectionError, "the API could not be reached, repeatedly"),
    (exceptions.WtsChatServerError, "the API failed repeatedly"),
)


def _told(condition: Condition[Any], event: Mapping[str, Any]) -> WtsChatError:
    name, status = event.get("error"), event.get("http_status")
    kind, words = next((pair for pair in _WORDS if pair[0].__name__ == name), (WtsChatError, str(name)))
    said = f" (HTTP {status})" if status else ""
    msg = f"Waiting for {condition.describe()}: {words}{said}. The triggerer's log says more"
    return kind(msg, status=status, retryable=bool(event.get("retryable")))
