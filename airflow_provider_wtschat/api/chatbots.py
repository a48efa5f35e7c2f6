"""Chatbots: listing them, and starting one in a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    Chatbot,
    ChatbotAutomationUsage,
    ChatbotPublishStatus,
    ChatbotType,
    SessionV1,
)

__all__ = ["list_", "send"]


def list_(
    *,
    name: str | None = None,
    types: Sequence[str] | str | None = None,
    channel_ids: Sequence[str] | str | None = None,
    default_department_ids: Sequence[str] | str | None = None,
    publish_statuses: Sequence[str] | str | None = None,
    automation_usages: Sequence[str] | str | None = None,
    created_after: When | None = None,
    created_before: When | None = None,
    updated_after: When | None = None,
    updated_before: When | None = None,
    timezone: str = "UTC",
    order_by: str | None = None,
    order_direction: str | None = None,
) -> PagedRequest[Chatbot]:
    """
    List chatbots: ``GET /chat/v1/chatbot``.

    :param name: name of the chatbot
    :param types: kinds, see :class:`~airflow_provider_wtschat.api.types.ChatbotType`
    :param channel_ids: ids of channels
    :param default_department_ids: ids of default departments
    :param publish_statuses: states, see :class:`~airflow_provider_wtschat.api.types.ChatbotPublishStatus`
    :param automation_usages: where an automation can be used, see
        :class:`~airflow_provider_wtschat.api.types.ChatbotAutomationUsage`
    :param created_after: lower bound of the creation
    :param created_before: upper bound of the creation
    :param updated_after: lower bound of the last change
    :param updated_before: upper bound of the last change
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param order_by: order of your own, read by page number. Default: read by key
    :param order_direction: ``ASCENDING`` or ``DESCENDING``
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Chatbot`
    :raises WtsChatArgumentError: if an argument is refused
    """
    kinds = convert.some("types", convert.choices("types", types, ChatbotType))
    channels = convert.some("channel_ids", convert.uuids("channel_ids", channel_ids))
    departments = convert.some(
        "default_department_ids", convert.uuids("default_department_ids", default_department_ids)
    )
    statuses = convert.some(
        "publish_statuses", convert.choices("publish_statuses", publish_statuses, ChatbotPublishStatus)
    )
    usages = convert.some(
        "automation_usages", convert.choices("automation_usages", automation_usages, ChatbotAutomationUsage)
    )
    return PagedRequest(
        method="GET",
        route="/chat/v1/chatbot",
        query=convert.query(
            Name=convert.text("name", name),
            Types=kinds,
            ChannelIds=channels,
            DefaultDepartmentIds=departments,
            PublishStatuses=statuses,
            AutomationUsages=usages,
        )
        + convert.period(created_after, created_before, updated_after, updated_before, timezone),
        result=Chatbot,
        safe_to_repeat=True,
        bounds=("CreatedAt", "UpdatedAt"),
        filters=convert.filters(
            type=kinds,
            channelIds=channels,
            defaultDepartmentId=departments,
            publishStatus=statuses,
            automationUsage=usages,
        ),
        may_be_null=("channelIds", "publishStatus", "automationUsage"),
        **convert.order(order_by, order_direction),
    )


def send(
    bot_key: str,
    *,
    to: str | int | None = None,
    from_channel: str | int | None = None,
    session_id: str | None = None,
    skip_if_bot_in_execution: bool | None = None,
    skip_if_in_progress: bool | None = None,
    force_start_session: bool | None = None,
    hidden_session: bool | None = None,
    session_metadata: Mapping[str, Any] | str | None = None,
    contact_metadata: Mapping[str, Any] | str | None = None,
    sender_id: str | None = None,
    callback_url: str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[SessionV1]:
    """
    Start a chatbot in a conversation: ``POST /chat/v1/chatbot/send``.

    The answer is the session; :func:`airflow_provider_wtschat.api.sends.send_chatbot` answers with something to follow.

    :param bot_key: key of the chatbot, which is not its id
    :param to: phone number, or Instagram user such as ``@maria``, of the recipient
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param session_id: id of a session to send into; a completed one is not reopened
    :param skip_if_bot_in_execution: do not send while another chatbot runs
    :param skip_if_in_progress: do not send while a session is in progress
    :param force_start_session: end a session in progress and start a new one
    :param hidden_session: hide a session that is new until the contact replies
    :param session_metadata: keys and values of the session, for chatbots and webhooks
    :param contact_metadata: keys and values that stay with the contact, for chatbots and webhooks
    :param sender_id: an id of your own to track the sending by
    :param callback_url: URL that the API calls when the chatbot starts or fails
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return Request(
        method="POST",
        route="/chat/v1/chatbot/send",
        body=_bodies.chatbot(
            bot_key,
            to,
            from_channel,
            session_id,
            _bodies.chatbot_options(skip_if_bot_in_execution, skip_if_in_progress, force_start_session, hidden_session),
            session_metadata,
            contact_metadata,
            sender_id,
            callback_url,
            phone_country,
        ),
        result=SessionV1,
        safe_to_repeat=False,
    )
