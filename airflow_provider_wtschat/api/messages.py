"""Messages: reading them, and writing to a phone number."""

from __future__ import annotations

from typing import Any, Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Content, Listed, NewSession, taking
from airflow_provider_wtschat.api._shared import Message as _Message
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import Message, MessageDelivery, QueuedMessage

__all__ = ["delete", "get", "get_status", "list_", "send", "send_sync"]


@taking(Listed)
def list_(session_id: str, **shared: Unpack[Listed]) -> PagedRequest[Message]:
    """
    List the messages of a session: ``GET /chat/v1/message``.

    :param session_id: id of the session
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Message`
    :raises WtsChatArgumentError: if an argument is refused
    """
    session = convert.required_uuid("session_id", session_id)
    return build.listing(
        "/chat/v1/message", Message, shared, query=convert.query(SessionId=session), filters={"sessionId": (session,)}
    )


def get(message_id: str) -> Request[Message]:
    """
    Get a message: ``GET /chat/v1/message/{id}``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/message/{id}", Message, _id(message_id))


def delete(message_id: str) -> Request[Message]:
    """
    Delete a message: ``DELETE /chat/v1/message/{id}``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.delete("/chat/v1/message/{id}", Message, _id(message_id))


def get_status(message_id: str) -> Request[MessageDelivery]:
    """
    Get what became of a message: ``GET /chat/v1/message/{id}/status``.

    ``failureReason`` of the answer says why a message is ``FAILED``.

    :param message_id: id of the message
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/message/{id}/status", MessageDelivery, _id(message_id))


@taking(Content, NewSession)
def send(
    *,
    to: str | int,
    from_channel: str | int | None = None,
    bot_key: str | None = None,
    **shared: Unpack[_Message],
) -> Request[QueuedMessage]:
    """
    Send a message to a phone number: ``POST /chat/v1/message/send``.

    The API queues it; what became of it shows :func:`get_status`. An unknown number becomes a contact. Department and
    agent are used only if the message starts a session.

    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param bot_key: key of the chatbot that answers the reply
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    body = _body(to, from_channel, bot_key, **shared)
    return build.post("/chat/v1/message/send", QueuedMessage, body=body, safe_to_repeat=False)


@taking(Content, NewSession)
def send_sync(
    *,
    to: str | int,
    from_channel: str | int | None = None,
    bot_key: str | None = None,
    **shared: Unpack[_Message],
) -> Request[Message]:
    """
    Send a message to a phone number and wait for the channel: ``POST /chat/v1/message/send-sync``.

    The API waits 25 s at most and then answers with the last status it knows. Department and agent are used only if the
    message starts a session.

    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param bot_key: key of the chatbot that answers the reply
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    body = _body(to, from_channel, bot_key, **shared)
    return build.post("/chat/v1/message/send-sync", Message, body=body, safe_to_repeat=False)


def _id(message_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("message_id", message_id)}


def _body(
    to: Any,
    from_channel: Any,
    bot_key: Any,
    *,
    text: Any = None,
    file_url: Any = None,
    file_id: Any = None,
    template_id: Any = None,
    template_parameters: Any = None,
    ref_id: Any = None,
    phone_country: Any = phones.DEFAULT_COUNTRY,
    **session: Any,
) -> dict[str, Any]:
    # What it does to its session stands beside the options here, and inside of them in the newer sends.
    options = _bodies.options(phone_country=phone_country, **session) or {}
    beside = {name: options.pop(name, None) for name in ("department", "user")}
    return convert.given(
        **{"from": _bodies.channel(from_channel, phone_country)},
        to=_bodies.phone_recipient("to", convert.required("to", to), phone_country),
        botKey=convert.uuid("bot_key", bot_key),
        body=_bodies.message(text, file_url, file_id, template_id, template_parameters, ref_id),
        **beside,
        options=options or None,
    )
