"""Scheduled messages: templates and chatbots that the API sends at a time to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed, taking
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    ScheduledMessage,
    ScheduledMessageDetail,
    ScheduledMessageField,
    ScheduledMessageReceipt,
    ScheduledMessageStatus,
    ScheduledMessageType,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["cancel", "cancel_batch", "create", "get", "list_", "update"]

_CLEARABLE = {
    "from_channel": "from",
    "department_id": "department",
    "template_id": "templateId",
    "bot_key": "botKey",
    "template_parameters": "templateParams",
}


@taking(Listed)
def list_(
    *,
    scheduled_after: When | None = None,
    scheduled_before: When | None = None,
    status: str | None = None,
    message_type: str | None = None,
    from_channel: str | int | None = None,
    to: str | int | None = None,
    user: str | None = None,
    department: str | None = None,
    include_details: Sequence[str] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
    **shared: Unpack[Listed],
) -> PagedRequest[ScheduledMessage]:
    """
    List scheduled messages: ``GET /chat/v1/scheduled-message``.

    :param scheduled_after: lower bound of the time to send
    :param scheduled_before: upper bound of the time to send
    :param status: state, see :class:`~airflow_provider_wtschat.api.types.ScheduledMessageStatus`
    :param message_type: ``TEMPLATE`` or ``CHATBOT``. Default: both
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param to: phone number of the recipient, in any spelling, or id of the contact
    :param user: id or name of the agent
    :param department: id or name of the department
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ScheduledMessageDetail`
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.ScheduledMessage`
    :raises WtsChatArgumentError: if an argument is refused
    """
    timezone = shared.get("timezone", "UTC")
    kind = convert.choice("message_type", message_type, ScheduledMessageType)
    state = convert.choice("status", status, ScheduledMessageStatus)
    channel = _bodies.channel(from_channel, phone_country)
    recipient = convert.address("to", to, phone_country, ids=True)
    agent, group = convert.text("user", user), convert.text("department", department)
    return build.listing(
        "/chat/v1/scheduled-message",
        ScheduledMessage,
        shared,
        query=convert.query(
            Status=state,
            Type=kind,
            From=channel,
            To=recipient,
            User=agent,
            Department=group,
            IncludeDetails=_details(include_details),
            **convert.window("ScheduledAt", scheduled_after, scheduled_before, timezone, argument="scheduled"),
        ),
        bounds=("CreatedAt", "UpdatedAt", "ScheduledAt"),
        # A row has ids only, so a filter by a number or a name cannot be held.
        filters=convert.filters(
            type=kind,
            status=state,
            channelId=convert.only_id(channel),
            contactId=convert.only_id(recipient),
            userId=convert.only_id(agent),
            departmentId=convert.only_id(group),
        ),
    )


def get(scheduled_message_id: str, *, include_details: Sequence[str] | str | None = None) -> Request[ScheduledMessage]:
    """
    Get a scheduled message: ``GET /chat/v1/scheduled-message/{id}``.

    :param scheduled_message_id: id of the scheduled message
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ScheduledMessageDetail`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/chat/v1/scheduled-message/{id}",
        ScheduledMessage,
        _id(scheduled_message_id),
        includeDetails=_details(include_details),
    )


class _Fields(TypedDict, total=False):
    """
    Fields of a scheduled message.

    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param bot_key: key of the chatbot that takes over after the contact replies; with ``CHATBOT`` the one to send
    :param template_parameters: parameters of the template, see
        :func:`airflow_provider_wtschat.api.converters.template_parameters`
    :param file_url: public URL of a file for the template
    :param file_id: id of an uploaded file for the template
    :param hidden_session: hide the session until the contact replies. Default of the API: false
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    """

    from_channel: str | int | None
    bot_key: str | None
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None
    file_url: str | None
    file_id: str | None
    hidden_session: bool | None
    department_id: str | None
    department_name: str | None
    timezone: str
    phone_country: str


@taking(_Fields)
def create(
    *,
    to: str | int,
    scheduling: When,
    message_type: str | None = None,
    template_id: str | None = None,
    **shared: Unpack[_Fields],
) -> Request[ScheduledMessageReceipt]:
    """
    Schedule a template or a chatbot: ``POST /chat/v1/scheduled-message``.

    Give a template, or a chatbot, or a template with the chatbot that takes over after the contact replies.

    :param to: phone number of the recipient, in any spelling
    :param scheduling: when to send it
    :param message_type: ``TEMPLATE`` or ``CHATBOT``. Default: ``TEMPLATE`` if there is a template, else ``CHATBOT``
    :param template_id: id of the template to send
    :raises WtsChatArgumentError: if an argument is refused, or template and chatbot do not make a message
    """
    kind = ScheduledMessageType.CHATBOT if template_id is None else ScheduledMessageType.TEMPLATE
    body = _body(
        to=convert.required("to", to),
        scheduling=convert.required("scheduling", scheduling),
        message_type=kind if message_type is None else message_type,
        template_id=template_id,
        **shared,
    )
    needed, argument = ("botKey", "bot_key") if body["type"] == "CHATBOT" else ("templateId", "template_id")
    if needed not in body:
        msg = f"is required for a message of type {body['type']}, but nothing was given"
        raise WtsChatArgumentError(argument, msg)
    if "templateParams" in body and "templateId" not in body:
        msg = "were given without a template"
        raise WtsChatArgumentError("template_parameters, file_url, file_id", msg)
    return build.post("/chat/v1/scheduled-message", ScheduledMessageReceipt, body=body, safe_to_repeat=False)


@taking(_Fields)
def update(
    scheduled_message_id: str,
    *,
    to: str | int | None = None,
    scheduling: When | None = None,
    message_type: str | None = None,
    template_id: str | None = None,
    clear: Sequence[str] | str | None = None,
    **shared: Unpack[_Fields],
) -> Request[ScheduledMessageReceipt]:
    """
    Update fields of a scheduled message: ``PUT /chat/v1/scheduled-message/{id}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param scheduled_message_id: id of the scheduled message
    :param to: phone number of the recipient, in any spelling
    :param scheduling: when to send it
    :param message_type: ``TEMPLATE`` or ``CHATBOT``
    :param template_id: id of the template to send
    :param clear: fields to empty: ``from_channel``, ``department_id``, ``template_id``, ``bot_key``,
        ``template_parameters`` (the file with them)
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    values = _body(to=to, scheduling=scheduling, message_type=message_type, template_id=template_id, **shared)
    return build.put(
        "/chat/v1/scheduled-message/{id}",
        ScheduledMessageReceipt,
        _id(scheduled_message_id),
        body=convert.changes(
            values,
            clear,
            _CLEARABLE,
            masks={"botKey": ScheduledMessageField.BOT_ID.value},
            left_out=("department", "templateParams"),
        ),
    )


def cancel(scheduled_message_id: str) -> Request[None]:
    """
    Cancel a scheduled message: ``POST /chat/v1/scheduled-message/{id}/cancel``.

    :param scheduled_message_id: id of the scheduled message
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.post(
        "/chat/v1/scheduled-message/{id}/cancel", type(None), _id(scheduled_message_id), safe_to_repeat=True
    )


def cancel_batch(scheduled_message_ids: Sequence[str] | str) -> Request[list[ScheduledMessage]]:
    """
    Cancel scheduled messages: ``POST /chat/v1/scheduled-message/batch-cancel``.

    :param scheduled_message_ids: ids of the scheduled messages
    :raises WtsChatArgumentError: if one is not an id, or none is given
    """
    ids = convert.uuids("scheduled_message_ids", scheduled_message_ids)
    if not ids:
        msg = "nothing to cancel; give at least one"
        raise WtsChatArgumentError("scheduled_message_ids", msg)
    return build.post("/chat/v1/scheduled-message/batch-cancel", list[ScheduledMessage], body=ids, safe_to_repeat=True)


def _id(scheduled_message_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("scheduled_message_id", scheduled_message_id)}


def _details(value: Any) -> list[str] | None:
    return convert.choices("include_details", value, ScheduledMessageDetail)


def _body(
    *,
    to: Any,
    scheduling: Any,
    message_type: Any,
    template_id: Any,
    from_channel: Any = None,
    bot_key: Any = None,
    template_parameters: Any = None,
    file_url: Any = None,
    file_id: Any = None,
    hidden_session: Any = None,
    department_id: Any = None,
    department_name: Any = None,
    timezone: str = "UTC",
    phone_country: Any = phones.DEFAULT_COUNTRY,
) -> dict[str, Any]:
    convert.not_both("file_url", file_url, "file_id", file_id)
    template_params = convert.given(
        parameters=convert.template_parameters("template_parameters", template_parameters),
        fileUrl=convert.url("file_url", file_url),
        fileId=convert.uuid("file_id", file_id),
    )
    return convert.given(
        **{"from": _bodies.channel(from_channel, phone_country)},
        to=_bodies.phone_recipient("to", to, phone_country),
        department=_bodies.department(department_id, department_name),
        type=convert.choice("message_type", message_type, ScheduledMessageType),
        templateId=None if template_id is None else convert.identifier("template_id", template_id),
        botKey=convert.uuid("bot_key", bot_key),
        scheduling=convert.instant("scheduling", scheduling, timezone),
        hiddenSession=convert.boolean("hidden_session", hidden_session),
        templateParams=template_params or None,
    )
