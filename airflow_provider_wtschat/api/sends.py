"""
Sending, on the API's newer paths, which have a request limit of their own.

An unknown number becomes a contact. A WhatsApp conversation can only be started with a template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import (
    Chatbot,
    ChatbotSession,
    Direct,
    DirectSend,
    Metadata,
    NewSession,
    Recipient,
    TrackedSend,
    Tracking,
    taking,
)
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import OtpDelivery, SentMessage, SentMessages, SentOtp

__all__ = [
    "get_chatbot_status",
    "get_message_status",
    "get_otp_status",
    "send_audio",
    "send_chatbot",
    "send_chatbot_batch",
    "send_document",
    "send_image",
    "send_otp",
    "send_template",
    "send_template_batch",
    "send_text",
    "send_typing",
    "send_video",
]

_LONGEST_TYPING = 25
_TEMPLATE_ITEM = ("to", "parameters", "file", "sender_id", "callback_url", "session_metadata")
_CHATBOT_ITEM = ("to", "session_id", "sender_id", "callback_url", "session_metadata", "contact_metadata")


@taking(Recipient, Direct, Tracking, NewSession)
def send_text(*, text: str, **shared: Unpack[DirectSend]) -> Request[SentMessage]:
    """
    Send a text: ``POST /chat/v1/send/text``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param text: the text. WhatsApp takes free text only while its 24 h window is open
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct("/chat/v1/send/text", {"text": convert.required_text("text", text)}, **shared)


@taking(Recipient, Direct, Tracking, NewSession)
def send_image(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[DirectSend],
) -> Request[SentMessage]:
    """
    Send an image: ``POST /chat/v1/send/image``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct("/chat/v1/send/image", _file(file, text), **shared)


@taking(Recipient, Direct, Tracking, NewSession)
def send_audio(*, file: str, **shared: Unpack[DirectSend]) -> Request[SentMessage]:
    """
    Send an audio recording: ``POST /chat/v1/send/audio``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct("/chat/v1/send/audio", _file(file), **shared)


@taking(Recipient, Direct, Tracking, NewSession)
def send_video(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[DirectSend],
) -> Request[SentMessage]:
    """
    Send a video: ``POST /chat/v1/send/video``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct("/chat/v1/send/video", _file(file, text), **shared)


@taking(Recipient, Direct, Tracking, NewSession)
def send_document(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[DirectSend],
) -> Request[SentMessage]:
    """
    Send a document: ``POST /chat/v1/send/document``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct("/chat/v1/send/document", _file(file, text), **shared)


@taking(Tracking, NewSession)
def send_template(
    template_id: str,
    *,
    to: str | int,
    from_channel: str | int,
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
    file: str | None = None,
    session_id: str | None = None,
    session_metadata: Mapping[str, Any] | str | None = None,
    **shared: Unpack[TrackedSend],
) -> Request[SentMessage]:
    """
    Send a template: ``POST /chat/v1/send/template``.

    Agent and department are for a session that is new. What became of the message shows :func:`get_message_status`.

    :param template_id: id of the template
    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param template_parameters: parameters of the template, see
        :func:`airflow_provider_wtschat.api.converters.template_parameters`
    :param file: file to send along: a public URL, or id of an uploaded file
    :param session_id: id of a session to send into
    :param session_metadata: keys and values of the session, for chatbots and webhooks
    :raises WtsChatArgumentError: if an argument is refused
    """
    phone_country = shared.get("phone_country", phones.DEFAULT_COUNTRY)
    return _send(
        "/chat/v1/send/template",
        {
            "to": _bodies.phone_recipient("to", convert.required("to", to), phone_country),
            "templateId": convert.identifier("template_id", template_id),
            "parameters": convert.template_parameters("template_parameters", template_parameters),
            "fileIdOrUrl": convert.file("file", file),
            "sessionId": convert.uuid("session_id", session_id),
            "sessionMetadata": convert.json_mapping("session_metadata", session_metadata),
        },
        from_channel=convert.required("from_channel", from_channel),
        **shared,
    )


@taking(NewSession)
def send_template_batch(
    template_id: str,
    *,
    from_channel: str | int,
    messages: Sequence[Mapping[str, Any]] | str,
    **shared: Unpack[NewSession],
) -> Request[SentMessages]:
    """
    Send a template to many: ``POST /chat/v1/send/template/batch``.

    ``results`` of the answer holds a message for each, with its own status.

    :param template_id: id of the template
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param messages: 1 to 100 mappings with ``to`` and, where wanted, ``parameters``, ``file``, ``sender_id``,
        ``callback_url`` and ``session_metadata``, which mean what they mean in :func:`send_template`
    :raises WtsChatArgumentError: if an argument is refused
    """
    # First, because it is here that a misspelt argument is found.
    options = _bodies.options(**shared)
    phone_country = shared.get("phone_country", phones.DEFAULT_COUNTRY)
    return build.post(
        "/chat/v1/send/template/batch",
        SentMessages,
        body=convert.given(
            **{"from": _bodies.channel(convert.required("from_channel", from_channel), phone_country)},
            templateId=convert.identifier("template_id", template_id),
            options=options,
            messages=[
                _template_item(f"messages[{i}]", item, phone_country)
                for i, item in enumerate(convert.batch("messages", messages, _TEMPLATE_ITEM))
            ],
        ),
        safe_to_repeat=False,
    )


@taking(Recipient, Metadata, ChatbotSession)
def send_chatbot(bot_key: str, **shared: Unpack[Chatbot]) -> Request[SentMessage]:
    """
    Send a chatbot: ``POST /chat/v1/send/chatbot``.

    What became of it shows :func:`get_chatbot_status`.

    :param bot_key: key of the chatbot, which is not its id
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return build.post(
        "/chat/v1/send/chatbot", SentMessage, body=_bodies.chatbot(bot_key, **shared), safe_to_repeat=False
    )


@taking(ChatbotSession)
def send_chatbot_batch(
    bot_key: str,
    *,
    messages: Sequence[Mapping[str, Any]] | str,
    from_channel: str | int | None = None,
    **shared: Unpack[ChatbotSession],
) -> Request[SentMessages]:
    """
    Send a chatbot to many: ``POST /chat/v1/send/chatbot/batch``.

    ``results`` of the answer holds an entry for each, with its own status.

    :param bot_key: key of the chatbot, which is not its id
    :param messages: 1 to 100 mappings with ``to`` or ``session_id`` and, where wanted, ``sender_id``, ``callback_url``,
        ``session_metadata`` and ``contact_metadata``, which mean what they mean in :func:`send_chatbot`
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :raises WtsChatArgumentError: if an argument is refused
    """
    # First, because it is here that a misspelt argument is found.
    options = _bodies.chatbot_options(**shared)
    phone_country = shared.get("phone_country", phones.DEFAULT_COUNTRY)
    return build.post(
        "/chat/v1/send/chatbot/batch",
        SentMessages,
        body=convert.given(
            **{"from": _bodies.channel(from_channel, phone_country)},
            botKey=convert.required_uuid("bot_key", bot_key),
            options=options,
            messages=[
                _chatbot_item(f"messages[{i}]", item, phone_country)
                for i, item in enumerate(convert.batch("messages", messages, _CHATBOT_ITEM))
            ],
        ),
        safe_to_repeat=False,
    )


def send_otp(
    *,
    to: str | int,
    from_channel: str | int,
    template_id: str | None = None,
    code: str | None = None,
    callback_url: str | None = None,
    sender_id: str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[SentOtp]:
    """
    Send a one-time code by WhatsApp: ``POST /chat/v1/send/otp``.

    The answer holds the code: keep it out of logs and XCom. What became of it shows :func:`get_otp_status`.

    :param to: phone number of the recipient, in any spelling
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param template_id: id of a template of the kind ``AUTHENTICATION``. Default: left to the API
    :param code: the code, as text because of leading zeros. Default: the API draws one
    :param callback_url: URL that the API calls when the message is sent or fails
    :param sender_id: an id of your own to track the message by
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.post(
        "/chat/v1/send/otp",
        SentOtp,
        body=convert.given(
            **{"from": _bodies.channel(convert.required("from_channel", from_channel), phone_country)},
            to=_bodies.phone_recipient("to", convert.required("to", to), phone_country),
            templateId=None if template_id is None else convert.identifier("template_id", template_id),
            code=convert.text("code", code),
            callbackUrl=convert.url("callback_url", callback_url),
            senderId=convert.text("sender_id", sender_id),
        ),
        safe_to_repeat=False,
    )


def send_typing(session_id: str) -> Request[None]:
    """
    Show the contact of a session that someone is typing: ``POST /chat/v1/send/typing``.

    :param session_id: id of the session, which must be an active one
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.post(
        "/chat/v1/send/typing",
        type(None),
        body={"sessionId": convert.required_uuid("session_id", session_id)},
        # Nothing reaches the contact but a sign that fades by itself.
        safe_to_repeat=True,
    )


def get_message_status(message_id: str) -> Request[SentMessage]:
    """
    Get what became of a message: ``GET /chat/v1/send/message/{id}``.

    ``failedReason`` of the answer says why a message is ``FAILED``.

    :param message_id: id that the sending answered with
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/send/message/{id}", SentMessage, {"id": convert.identifier("message_id", message_id)})


def get_chatbot_status(send_id: str) -> Request[SentMessage]:
    """
    Get what became of a chatbot that was sent: ``GET /chat/v1/send/chatbot/{id}``.

    :param send_id: id that the sending answered with
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/send/chatbot/{id}", SentMessage, {"id": convert.identifier("send_id", send_id)})


def get_otp_status(otp_id: str) -> Request[OtpDelivery]:
    """
    Get what became of a one-time code: ``GET /chat/v1/send/otp/{id}``.

    :param otp_id: id that the sending answered with, or the ``sender_id`` it was given
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/send/otp/{id}", OtpDelivery, {"id": convert.identifier("otp_id", otp_id)})


def _file(file: Any, text: Any = None) -> dict[str, Any]:
    return {"fileIdOrUrl": convert.file("file", convert.required("file", file)), "text": convert.text("text", text)}


def _direct(
    route: str,
    content: dict[str, Any],
    *,
    to: Any = None,
    session_id: Any = None,
    ref_id: Any = None,
    delay_typing: Any = None,
    **shared: Any,
) -> Request[SentMessage]:
    content |= {
        "refId": convert.uuid("ref_id", ref_id),
        "delayTyping": convert.integer("delay_typing", delay_typing, minimum=0, maximum=_LONGEST_TYPING),
    }
    request = _send(route, content, **shared)
    recipient = _bodies.recipient(to, session_id, shared.get("phone_country", phones.DEFAULT_COUNTRY))
    return request.having(body=recipient | request.body)


def _send(
    route: str,
    content: dict[str, Any],
    *,
    from_channel: Any = None,
    callback_url: Any = None,
    sender_id: Any = None,
    phone_country: Any = phones.DEFAULT_COUNTRY,
    **session: Any,
) -> Request[SentMessage]:
    # First, because it is here that a misspelt argument is found.
    options = _bodies.options(phone_country=phone_country, **session)
    body = convert.given(
        **{"from": _bodies.channel(from_channel, phone_country)},
        **content,
        callbackUrl=convert.url("callback_url", callback_url),
        senderId=convert.text("sender_id", sender_id),
        options=options,
    )
    return build.post(route, SentMessage, body=body, safe_to_repeat=False)


def _template_item(name: str, item: Mapping[str, Any], phone_country: Any) -> dict[str, Any]:
    to = convert.required(f"{name}['to']", item.get("to"))
    return convert.given(
        to=_bodies.phone_recipient(f"{name}['to']", to, phone_country),
        parameters=convert.template_parameters(f"{name}['parameters']", item.get("parameters")),
        fileIdOrUrl=convert.file(f"{name}['file']", item.get("file")),
        senderId=convert.text(f"{name}['sender_id']", item.get("sender_id")),
        callbackUrl=convert.url(f"{name}['callback_url']", item.get("callback_url")),
        sessionMetadata=convert.json_mapping(f"{name}['session_metadata']", item.get("session_metadata")),
    )


def _chatbot_item(name: str, item: Mapping[str, Any], phone_country: Any) -> dict[str, Any]:
    return _bodies.recipient(item.get("to"), item.get("session_id"), phone_country, name=name) | convert.given(
        senderId=convert.text(f"{name}['sender_id']", item.get("sender_id")),
        callbackUrl=convert.url(f"{name}['callback_url']", item.get("callback_url")),
        sessionMetadata=convert.json_mapping(f"{name}['session_metadata']", item.get("session_metadata")),
        contactMetadata=convert.json_mapping(f"{name}['contact_metadata']", item.get("contact_metadata")),
    )
