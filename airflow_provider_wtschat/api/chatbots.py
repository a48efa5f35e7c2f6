"""Chatbots: listing them, and starting one in a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from airflow_provider_wtschat.api import _bodies
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Chatbot as _Chatbot
from airflow_provider_wtschat.api._shared import ChatbotSession, Listed, Metadata, Recipient, taking
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    Chatbot,
    ChatbotAutomationUsage,
    ChatbotPublishStatus,
    ChatbotType,
    SessionV1,
)

__all__ = ["list_", "send"]


@taking(Listed)
def list_(
    *,
    name: str | None = None,
    types: Sequence[str] | str | None = None,
    channel_ids: Sequence[str] | str | None = None,
    default_department_ids: Sequence[str] | str | None = None,
    publish_statuses: Sequence[str] | str | None = None,
    automation_usages: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
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
    return build.listing(
        "/chat/v1/chatbot",
        Chatbot,
        shared,
        query=convert.query(
            Name=convert.text("name", name),
            Types=kinds,
            ChannelIds=channels,
            DefaultDepartmentIds=departments,
            PublishStatuses=statuses,
            AutomationUsages=usages,
        ),
        filters=convert.filters(
            type=kinds,
            channelIds=channels,
            defaultDepartmentId=departments,
            publishStatus=statuses,
            automationUsage=usages,
        ),
        may_be_null=("channelIds", "publishStatus", "automationUsage"),
    )


@taking(Recipient, Metadata, ChatbotSession)
def send(bot_key: str, **shared: Unpack[_Chatbot]) -> Request[SessionV1]:
    """
    Start a chatbot in a conversation: ``POST /chat/v1/chatbot/send``.

    The answer is the session; :func:`airflow_provider_wtschat.api.sends.send_chatbot` answers with something to follow.

    :param bot_key: key of the chatbot, which is not its id
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return build.post("/chat/v1/chatbot/send", SessionV1, body=_bodies.chatbot(bot_key, **shared), safe_to_repeat=False)
