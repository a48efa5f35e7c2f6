"""Triggers that wait for sessions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.paging import UPDATED
from airflow_provider_wtschat.api.types import Session
from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting import SessionHasReply, SessionHasStatus, SessionsHaveArrived

if TYPE_CHECKING:
    from airflow_provider_wtschat.triggers.feed import Waiter


class SessionStatusTrigger(WtsChatBaseTrigger):
    """
    Wait until a session reaches a status.

    :param session_id: id of the session
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless
    :param since: instant as of which the session was known to be in neither
    """

    def __init__(
        self,
        *,
        session_id: str,
        target_statuses: list[str],
        failure_statuses: list[str],
        since: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses
        self.since = since

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger beside those of its base."""
        return {
            "session_id": self.session_id,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
            "since": self.since,
        }

    def condition(self) -> SessionHasStatus:
        """Build what is waited for."""
        return SessionHasStatus(
            session_id=self.session_id,
            target_statuses=self.target_statuses,
            failure_statuses=self.failure_statuses,
        )

    def waiter(self) -> Waiter:
        """Build what waits on the feed: the list says all there is to know."""
        from airflow_provider_wtschat.triggers.feed import Waiter

        condition = self.condition()
        return Waiter(
            condition=condition,
            poll_interval=self.poll_interval,
            since=instants.parse("since", self.since),
            key=UPDATED,
            session_id=condition.id,
            notice=condition.judge,
        )


class SessionReplyTrigger(WtsChatBaseTrigger):
    """
    Wait until the contact writes into a session.

    Whether a message of the contact changes a session's ``updatedAt`` is not known, so this follows the list by its
    last interaction.

    :param session_id: id of the session
    :param since: instant after which a message counts
    """

    def __init__(self, *, session_id: str, since: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.since = since

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger beside those of its base."""
        return {"session_id": self.session_id, "since": self.since}

    def condition(self) -> SessionHasReply:
        """Build what is waited for."""
        return SessionHasReply(session_id=self.session_id, since=self.since)

    def waiter(self) -> Waiter:
        """Build what waits on the feed: the list tells when it is worth to ask for messages."""
        from airflow_provider_wtschat.triggers.feed import INTERACTED, Waiter

        condition = self.condition()
        known: datetime | None = None

        def notice(session: Session) -> bool:
            nonlocal known
            moment = condition.last_word(session)
            news = moment is not None and (known is None or moment > known)
            known = moment if news else known
            return news

        return Waiter(
            condition=condition,
            poll_interval=self.poll_interval,
            since=condition.since,
            key=INTERACTED,
            session_id=condition.id,
            notice=notice,
        )


class NewSessionsTrigger(WtsChatBaseTrigger):
    """
    Wait until so many sessions that fit a filter exist which were created since a moment.

    :param since: the moment
    :param count: how many
    :param statuses: statuses. Default: all
    :param department_id: id of the department. Default: all
    :param user_id: ``userId`` of the agent. Default: all
    :param channel_ids: ids of channels. Default: all
    :param contact_id: id of the contact. Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP``. Default: both
    """

    def __init__(
        self,
        *,
        since: str,
        count: int = 1,
        statuses: list[str] | None = None,
        department_id: str | None = None,
        user_id: str | None = None,
        channel_ids: list[str] | None = None,
        contact_id: str | None = None,
        session_type: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.since = since
        self.count = count
        self.statuses = statuses
        self.department_id = department_id
        self.user_id = user_id
        self.channel_ids = channel_ids
        self.contact_id = contact_id
        self.session_type = session_type

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger beside those of its base."""
        return {
            "since": self.since,
            "count": self.count,
            "statuses": self.statuses,
            "department_id": self.department_id,
            "user_id": self.user_id,
            "channel_ids": self.channel_ids,
            "contact_id": self.contact_id,
            "session_type": self.session_type,
        }

    def condition(self) -> SessionsHaveArrived:
        """Build what is waited for."""
        return SessionsHaveArrived(**self.arguments())

    def waiter(self) -> Waiter:
        """Build what waits on the feed: the list tells when it is worth to count."""
        from airflow_provider_wtschat.triggers.feed import Waiter

        condition = self.condition()
        known: set[str] = set()

        def notice(session: Session) -> bool:
            news = session["id"] not in known and condition.may_count(session)
            if news:
                known.add(session["id"])
            return news

        return Waiter(
            condition=condition,
            poll_interval=self.poll_interval,
            since=condition.since,
            key=UPDATED,
            notice=notice,
        )
