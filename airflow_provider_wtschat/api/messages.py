"""Messages: reading them, and writing to a phone number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import Message, MessageDelivery, QueuedMessage

__all__ = ["delete", "get", "get_status", "list_", "send", "send_sync"]


def list_(
    session_id: str,
    *,
    created_after: When | None = None,
    created_before: When | None = None,
    updated_after: When | None = None,
    updated_before: When | None = None,
    timezone: str = "UTC",
    order_by: str | None = None,
    order_direction: str | None = None,
) -> PagedRequest[Message]:
    """
    List the messages of a session: ``GET /chat/v1/message``.

    :param session_id: id of the session
    :param created_after: lower bound of the creation
    :param created_before: upper bound of the creation
    :param updated_after: lower bound of the last change
    :param updated_before: upper bound of the last change
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param order_by: order of your own, read by page number. Default: read by key
    :param order_direction: ``ASCENDING`` or ``DESCENDING``
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Message`
    :raises WtsChatArgumentError: if an argument is refused
    """
    session = convert.required_uuid("session_id", session_id)
    return PagedRequest(
        method="GET",
        route="/chat/v1/message",
        query=convert.query(SessionId=session)
        + convert.period(created_after, created_before, updated_after, updated_before, timezone),
        result=Message,
        safe_to_repeat=True,
        bounds=("CreatedAt", "UpdatedAt"),
        filters={"sessionId": (session,)},
        **convert.order(order_by, order_direction),
    )


def get(message_id: str) -> Request[Message]:
    """
    Get a message: ``GET /chat/v1/message/{id}``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="GET",
        route="/chat/v1/message/{id}",
        path_params={"id": convert.required_uuid("message_id", message_id)},
        result=Message,
        safe_to_repeat=True,
    )


def delete(message_id: str) -> Request[Message]:
    """
    Delete a message: ``DELETE /chat/v1/message/{id}``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="DELETE",
        route="/chat/v1/message/{id}",
        path_params={"id": convert.required_uuid("message_id", message_id)},
        result=Message,
        safe_to_repeat=True,
    )


def get_status(message_id: str) -> Request[MessageDelivery]:
    """
    Get what became of a message: ``GET /chat/v1/message/{id}/status``.

    ``failureReason`` of the answer says why a message is ``FAILED``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="GET",
        route="/chat/v1/message/{id}/status",
        path_params={"id": convert.required_uuid("message_id", message_id)},
        result=MessageDelivery,
        safe_to_repeat=True,
    )


def send(
    *,
    to: str | int,
    from_channel: str | int | None = None,
    text: str | None = None,
    file_url: str | None = None,
    file_id: str | None = None,
    template_id: str | None = None,
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
    ref_id: str | None = None,
    bot_key: str | None = None,
    department_id: str | None = None,
    department_name: str | None = None,
    user_id: str | None = None,
    user_phone: str | int | None = None,
    user_email: str | None = None,
    enable_bot: bool | None = None,
    hidden_session: bool | None = None,
    force_start_session: bool | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[QueuedMessage]:
    """
    Send a message to a phone number: ``POST /chat/v1/message/send``.

    The API queues it; what became of it shows :func:`get_status`. An unknown number becomes a contact. Department and
    agent are used only if the message starts a session.

    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param text: text, or caption of a file. WhatsApp takes free text only while its 24 h window is open
    :param file_url: public URL of a file
    :param file_id: id of an uploaded file
    :param template_id: id of a template, the only thing that starts a WhatsApp conversation
    :param template_parameters: parameters of the template, see
        :func:`airflow_provider_wtschat.api.converters.template_parameters`
    :param ref_id: id of the message that this one replies to
    :param bot_key: key of the chatbot that answers the reply
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    return Request(
        method="POST",
        route="/chat/v1/message/send",
        body=_body(
            to=to,
            from_channel=from_channel,
            message=_bodies.message(text, file_url, file_id, template_id, template_parameters, ref_id),
            bot_key=bot_key,
            department=_bodies.department(department_id, department_name),
            user=_bodies.user(user_id, user_phone, user_email, phone_country),
            options=_bodies.session_options(enable_bot, hidden_session, force_start_session),
            phone_country=phone_country,
        ),
        result=QueuedMessage,
        safe_to_repeat=False,
    )


def send_sync(
    *,
    to: str | int,
    from_channel: str | int | None = None,
    text: str | None = None,
    file_url: str | None = None,
    file_id: str | None = None,
    template_id: str | None = None,
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
    ref_id: str | None = None,
    bot_key: str | None = None,
    department_id: str | None = None,
    department_name: str | None = None,
    user_id: str | None = None,
    user_phone: str | int | None = None,
    user_email: str | None = None,
    enable_bot: bool | None = None,
    hidden_session: bool | None = None,
    force_start_session: bool | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Message]:
    """
    Send a message to a phone number and wait for the channel: ``POST /chat/v1/message/send-sync``.

    The API waits 25 s at most and then answers with the last status it knows. Department and agent are used only if the
    message starts a session.

    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param text: text, or caption of a file. WhatsApp takes free text only while its 24 h window is open
    :param file_url: public URL of a file
    :param file_id: id of an uploaded file
    :param template_id: id of a template, the only thing that starts a WhatsApp conversation
    :param template_parameters: parameters of the template, see
        :func:`airflow_provider_wtschat.api.converters.template_parameters`
    :param ref_id: id of the message that this one replies to
    :param bot_key: key of the chatbot that answers the reply
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    return Request(
        method="POST",
        route="/chat/v1/message/send-sync",
        body=_body(
            to=to,
            from_channel=from_channel,
            message=_bodies.message(text, file_url, file_id, template_id, template_parameters, ref_id),
            bot_key=bot_key,
            department=_bodies.department(department_id, department_name),
            user=_bodies.user(user_id, user_phone, user_email, phone_country),
            options=_bodies.session_options(enable_bot, hidden_session, force_start_session),
            phone_country=phone_country,
        ),
        result=Message,
        safe_to_repeat=False,
    )


def _body(
    *,
    to: Any,
    from_channel: Any,
    message: dict[str, Any],
    bot_key: Any,
    department: dict[str, Any] | None,
    user: dict[str, Any] | None,
    options: dict[str, Any],
    phone_country: Any,
) -> dict[str, Any]:
    return convert.given(
        **{"from": _bodies.channel(from_channel, phone_country)},
        to=_bodies.phone_recipient("to", convert.required("to", to), phone_country),
        botKey=convert.uuid("bot_key", bot_key),
        body=message,
        department=department,
        user=user,
        options=options or None,
    )
