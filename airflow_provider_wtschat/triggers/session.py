"""Triggers that wait for sessions."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting.conditions import (
    ContactHasReplied,
    SessionHasReply,
    SessionHasStatus,
    SessionsHaveArrived,
)

__all__ = ["ContactReplyTrigger", "NewSessionsTrigger", "SessionReplyTrigger", "SessionStatusTrigger"]


class SessionStatusTrigger(WtsChatBaseTrigger):
    """
    Wait until a session reaches a status.

    :param session_id: id of the session
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless
    :param since: instant as of which the session was known to be in neither
    """

    waits_for = SessionHasStatus

    def __init__(
        self,
        *,
        session_id: str,
        target_statuses: list[str],
        failure_statuses: list[str],
        since: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            session_id=session_id,
            target_statuses=target_statuses,
            failure_statuses=failure_statuses,
            since=since,
            **kwargs,
        )


class SessionReplyTrigger(WtsChatBaseTrigger):
    """
    Wait until the contact writes into a session.

    Whether a message of the contact changes a session's ``updatedAt`` is not known, so this follows the list by its
    last interaction.

    :param session_id: id of the session
    :param since: instant after which a message counts
    """

    waits_for = SessionHasReply

    def __init__(self, *, session_id: str, since: str, **kwargs: Any) -> None:
        super().__init__(session_id=session_id, since=since, **kwargs)


class ContactReplyTrigger(WtsChatBaseTrigger):
    """
    Wait until the contact writes into a session, or into another one on the same channel.

    :param session_id: id of the session
    :param since: instant after which a message counts
    :param contact_id: id of the contact. Default: only the session counts
    :param channel_id: id of the channel on which other sessions count. Default: any
    """

    waits_for = ContactHasReplied

    def __init__(
        self,
        *,
        session_id: str,
        since: str,
        contact_id: str | None = None,
        channel_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(session_id=session_id, since=since, contact_id=contact_id, channel_id=channel_id, **kwargs)


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

    waits_for = SessionsHaveArrived

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
        super().__init__(
            since=since,
            count=count,
            statuses=statuses,
            department_id=department_id,
            user_id=user_id,
            channel_ids=channel_ids,
            contact_id=contact_id,
            session_type=session_type,
            **kwargs,
        )
