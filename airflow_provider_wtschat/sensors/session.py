"""Sensors that wait for sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.links import WtsChatSessionLink, push_session_url
from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.session import NewSessionsTrigger, SessionReplyTrigger, SessionStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["NewSessionsSensor", "SessionReplySensor", "SessionStatusSensor"]


class SessionStatusSensor(WtsChatBaseSensor):
    """
    Wait until a session reaches a status: ``GET /chat/v2/session/{id}``.

    Returns the session. Deferred, it waits on the feed that all triggers of the connection share.

    .. code-block:: python

        SessionStatusSensor(
            task_id="talk", session_id="{{ params.session_id }}", target_statuses=["COMPLETED"], deferrable=True
        )

    :param session_id: id of the session (templated)
    :param target_statuses: statuses to wait for, such as ``["COMPLETED"]`` (templated)
    :param failure_statuses: statuses that fail the task at once (templated). Default: none
    """

    trigger_class = SessionStatusTrigger
    operator_extra_links = (WtsChatSessionLink(),)

    def __init__(
        self,
        *,
        session_id: str,
        target_statuses: Sequence[str] | str,
        failure_statuses: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses

    def _succeeded(self, context: Context, result: Any) -> None:
        push_session_url(context, result)


class SessionReplySensor(WtsChatBaseSensor):
    """
    Wait until the contact writes into a session: ``GET /chat/v1/session/{id}/message``.

    Returns the contact's messages since the moment given.

    .. code-block:: python

        SessionReplySensor(
            task_id="reply", session_id="{{ params.session_id }}", since="{{ ts }}", timeout=3600, deferrable=True
        )

    :param session_id: id of the session (templated)
    :param since: moment after which a message counts: datetime, or text such as ``2026-09-01 08:30`` (templated).
        Default: when the Dag run started
    :param timezone: IANA time zone of ``since`` if it has none (templated). Default: UTC
    """

    trigger_class = SessionReplyTrigger

    def __init__(self, *, session_id: str, since: When | None = None, timezone: str = "UTC", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.since = since
        self.timezone = timezone


class NewSessionsSensor(WtsChatBaseSensor):
    """
    Wait until so many new sessions fit a filter: ``GET /chat/v2/session``.

    Returns their ids.

    .. code-block:: python

        NewSessionsSensor(task_id="rush", since="{{ ds }}", count=50, poke_interval=60, deferrable=True)

    :param since: moment from which on a session is new: datetime, or text such as ``2026-09-01 08:30`` (templated).
        Default: when the Dag run started
    :param count: how many to wait for, at least (templated). Default: 1
    :param statuses: statuses (templated). Default: all
    :param department_id: id of the department (templated). Default: all
    :param user_id: ``userId`` of the agent, which is not the agent's ``id`` (templated). Default: all
    :param channel_ids: ids of channels (templated). Default: all
    :param contact_id: id of the contact (templated). Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP`` (templated). Default: both
    :param timezone: IANA time zone of ``since`` if it has none (templated). Default: UTC
    """

    trigger_class = NewSessionsTrigger

    def __init__(
        self,
        *,
        since: When | None = None,
        count: int = 1,
        statuses: Sequence[str] | str | None = None,
        department_id: str | None = None,
        user_id: str | None = None,
        channel_ids: Sequence[str] | str | None = None,
        contact_id: str | None = None,
        session_type: str | None = None,
        timezone: str = "UTC",
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
        self.timezone = timezone
