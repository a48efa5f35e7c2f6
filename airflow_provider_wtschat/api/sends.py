"""
Sending, on the API's newer paths, which have a request limit of their own.

An unknown number becomes a contact. A WhatsApp conversation can only be started with a template.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import converters as convert
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


class _SendArguments(TypedDict, total=False):
    """
    What the sends of a text and of a file have in common.

    :param to: phone number of the recipient in any spelling, or Instagram user such as ``@maria``
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param session_id: id of a session to send into; a completed one is not reopened
    :param ref_id: id of the message that this one replies to
    :param delay_typing: seconds for which the contact sees someone typing before the message comes, at most 25
    :param callback_url: URL that the API calls when the message is sent or fails
    :param sender_id: an id of your own to track the message by
    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    """

    to: str | int | None
    from_channel: str | int | None
    session_id: str | None
    ref_id: str | None
    delay_typing: int | None
    callback_url: str | None
    sender_id: str | None
    enable_bot: bool | None
    hidden_session: bool | None
    force_start_session: bool | None
    user_id: str | None
    user_phone: str | int | None
    user_email: str | None
    department_id: str | None
    department_name: str | None
    phone_country: str


_F = TypeVar("_F", bound=Callable[..., Any])


def _taking(shared: type) -> Callable[[_F], _F]:
    """
    Show the arguments of a TypedDict in signature and docstring, as if each were written there.

    :param shared: the type of the function's keyword arguments, in whose docstring they are described
    """
    described = (shared.__doc__ or "").partition("    :param")
    defaults = {"phone_country": phones.DEFAULT_COUNTRY}
    arguments = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=hint.__forward_arg__
        )
        for name, hint in shared.__annotations__.items()
    ]

    def showing(function: _F) -> _F:
        signature = inspect.signature(function)
        own = [given for given in signature.parameters.values() if given.kind is not given.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=[*own, *arguments])  # type: ignore[attr-defined]
        before, raises, after = (function.__doc__ or "").partition("    :raises")
        function.__doc__ = before + "".join(described[1:]).rstrip(" ") + raises + after
        return function

    return showing


@_taking(_SendArguments)
def send_text(
    *,
    text: str,
    **shared: Unpack[_SendArguments],
) -> Request[SentMessage]:
    """
    Send a text: ``POST /chat/v1/send/text``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param text: the text. WhatsApp takes free text only while its 24 h window is open
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct(
        "/chat/v1/send/text",
        {"text": convert.required_text("text", text)},
        **shared,
    )


@_taking(_SendArguments)
def send_image(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[_SendArguments],
) -> Request[SentMessage]:
    """
    Send an image: ``POST /chat/v1/send/image``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct(
        "/chat/v1/send/image",
        {"fileIdOrUrl": convert.file("file", convert.required("file", file)), "text": convert.text("text", text)},
        **shared,
    )


@_taking(_SendArguments)
def send_audio(
    *,
    file: str,
    **shared: Unpack[_SendArguments],
) -> Request[SentMessage]:
    """
    Send an audio recording: ``POST /chat/v1/send/audio``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct(
        "/chat/v1/send/audio",
        {"fileIdOrUrl": convert.file("file", convert.required("file", file))},
        **shared,
    )


@_taking(_SendArguments)
def send_video(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[_SendArguments],
) -> Request[SentMessage]:
    """
    Send a video: ``POST /chat/v1/send/video``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct(
        "/chat/v1/send/video",
        {"fileIdOrUrl": convert.file("file", convert.required("file", file)), "text": convert.text("text", text)},
        **shared,
    )


@_taking(_SendArguments)
def send_document(
    *,
    file: str,
    text: str | None = None,
    **shared: Unpack[_SendArguments],
) -> Request[SentMessage]:
    """
    Send a document: ``POST /chat/v1/send/document``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Instagram or Messenger. Agent and department are
    for a session that is new. What became of the message shows :func:`get_message_status`.

    :param file: public URL of the file, or id of an uploaded file
    :param text: caption; whether it is shown depends on the channel
    :raises WtsChatArgumentError: if an argument is refused, or neither ``to`` nor ``session_id`` is given
    """
    return _direct(
        "/chat/v1/send/document",
        {"fileIdOrUrl": convert.file("file", convert.required("file", file)), "text": convert.text("text", text)},
        **shared,
    )


def send_template(
    template_id: str,
    *,
    to: str | int,
    from_channel: str | int,
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
    file: str | None = None,
    session_id: str | None = None,
    session_metadata: Mapping[str, Any] | str | None = None,
    callback_url: str | None = None,
    sender_id: str | None = None,
    enable_bot: bool | None = None,
    hidden_session: bool | None = None,
    force_start_session: bool | None = None,
    user_id: str | None = None,
    user_phone: str | int | None = None,
    user_email: str | None = None,
    department_id: str | None = None,
    department_name: str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
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
    :param callback_url: URL that the API calls when the message is sent or fails
    :param sender_id: an id of your own to track the message by
    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return _send(
        "/chat/v1/send/template",
        templateId=convert.identifier("template_id", template_id),
        **_addressed(to, from_channel, phone_country),
        parameters=convert.template_parameters("template_parameters", template_parameters),
        fileIdOrUrl=convert.file("file", file),
        sessionId=convert.uuid("session_id", session_id),
        sessionMetadata=convert.json_mapping("session_metadata", session_metadata),
        callbackUrl=convert.url("callback_url", callback_url),
        senderId=convert.text("sender_id", sender_id),
        options=_session(
            enable_bot=enable_bot,
            hidden_session=hidden_session,
            force_start_session=force_start_session,
            user_id=user_id,
            user_phone=user_phone,
            user_email=user_email,
            department_id=department_id,
            department_name=department_name,
            phone_country=phone_country,
        ),
    )


def send_template_batch(
    template_id: str,
    *,
    from_channel: str | int,
    messages: Sequence[Mapping[str, Any]] | str,
    enable_bot: bool | None = None,
    hidden_session: bool | None = None,
    force_start_session: bool | None = None,
    user_id: str | None = None,
    user_phone: str | int | None = None,
    user_email: str | None = None,
    department_id: str | None = None,
    department_name: str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[SentMessages]:
    """
    Send a template to many: ``POST /chat/v1/send/template/batch``.

    ``results`` of the answer holds a message for each, with its own status.

    :param template_id: id of the template
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param messages: 1 to 100 mappings with ``to`` and, where wanted, ``parameters``, ``file``, ``sender_id``,
        ``callback_url`` and ``session_metadata``, which mean what they mean in :func:`send_template`
    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return Request(
        method="POST",
        route="/chat/v1/send/template/batch",
        body=convert.given(
            **{"from": _bodies.channel(convert.required("from_channel", from_channel), phone_country)},
            templateId=convert.identifier("template_id", template_id),
            options=_session(
                enable_bot=enable_bot,
                hidden_session=hidden_session,
                force_start_session=force_start_session,
                user_id=user_id,
                user_phone=user_phone,
                user_email=user_email,
                department_id=department_id,
                department_name=department_name,
                phone_country=phone_country,
            ),
            messages=[
                _template_item(f"messages[{i}]", item, phone_country)
                for i, item in enumerate(convert.batch("messages", messages, _TEMPLATE_ITEM))
            ],
        ),
        result=SentMessages,
        safe_to_repeat=False,
    )


def send_chatbot(
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
) -> Request[SentMessage]:
    """
    Send a chatbot: ``POST /chat/v1/send/chatbot``.

    What became of it shows :func:`get_chatbot_status`.

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
        route="/chat/v1/send/chatbot",
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
        result=SentMessage,
        safe_to_repeat=False,
    )


def send_chatbot_batch(
    bot_key: str,
    *,
    messages: Sequence[Mapping[str, Any]] | str,
    from_channel: str | int | None = None,
    skip_if_bot_in_execution: bool | None = None,
    skip_if_in_progress: bool | None = None,
    force_start_session: bool | None = None,
    hidden_session: bool | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[SentMessages]:
    """
    Send a chatbot to many: ``POST /chat/v1/send/chatbot/batch``.

    ``results`` of the answer holds an entry for each, with its own status.

    :param bot_key: key of the chatbot, which is not its id
    :param messages: 1 to 100 mappings with ``to`` or ``session_id`` and, where wanted, ``sender_id``, ``callback_url``,
        ``session_metadata`` and ``contact_metadata``, which mean what they mean in :func:`send_chatbot`
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is
    :param skip_if_bot_in_execution: do not send while another chatbot runs
    :param skip_if_in_progress: do not send while a session is in progress
    :param force_start_session: end a session in progress and start a new one
    :param hidden_session: hide a session that is new until the contact replies
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return Request(
        method="POST",
        route="/chat/v1/send/chatbot/batch",
        body=convert.given(
            **{"from": _bodies.channel(from_channel, phone_country)},
            botKey=convert.required_uuid("bot_key", bot_key),
            options=_bodies.chatbot_options(
                skip_if_bot_in_execution, skip_if_in_progress, force_start_session, hidden_session
            ),
            messages=[
                _chatbot_item(f"messages[{i}]", item, phone_country)
                for i, item in enumerate(convert.batch("messages", messages, _CHATBOT_ITEM))
            ],
        ),
        result=SentMessages,
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
    return Request(
        method="POST",
        route="/chat/v1/send/otp",
        body=convert.given(
            **_addressed(to, from_channel, phone_country),
            templateId=None if template_id is None else convert.identifier("template_id", template_id),
            code=convert.text("code", code),
            callbackUrl=convert.url("callback_url", callback_url),
            senderId=convert.text("sender_id", sender_id),
        ),
        result=SentOtp,
        safe_to_repeat=False,
    )


def send_typing(session_id: str) -> Request[None]:
    """
    Show the contact of a session that someone is typing: ``POST /chat/v1/send/typing``.

    :param session_id: id of the session, which must be an active one
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="POST",
        route="/chat/v1/send/typing",
        body={"sessionId": convert.required_uuid("session_id", session_id)},
        result=type(None),
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
    return Request(
        method="GET",
        route="/chat/v1/send/message/{id}",
        path_params={"id": convert.identifier("message_id", message_id)},
        result=SentMessage,
        safe_to_repeat=True,
    )


def get_chatbot_status(send_id: str) -> Request[SentMessage]:
    """
    Get what became of a chatbot that was sent: ``GET /chat/v1/send/chatbot/{id}``.

    :param send_id: id that the sending answered with
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="GET",
        route="/chat/v1/send/chatbot/{id}",
        path_params={"id": convert.identifier("send_id", send_id)},
        result=SentMessage,
        safe_to_repeat=True,
    )


def get_otp_status(otp_id: str) -> Request[OtpDelivery]:
    """
    Get what became of a one-time code: ``GET /chat/v1/send/otp/{id}``.

    :param otp_id: id that the sending answered with, or the ``sender_id`` it was given
    :raises WtsChatArgumentError: if it is not an id
    """
    return Request(
        method="GET",
        route="/chat/v1/send/otp/{id}",
        path_params={"id": convert.identifier("otp_id", otp_id)},
        result=OtpDelivery,
        safe_to_repeat=True,
    )


def _send(route: str, **values: Any) -> Request[SentMessage]:
    return Request(method="POST", route=route, body=convert.given(**values), result=SentMessage, safe_to_repeat=False)


def _direct(
    route: str,
    content: dict[str, Any],
    *,
    to: Any = None,
    from_channel: Any = None,
    session_id: Any = None,
    ref_id: Any = None,
    delay_typing: Any = None,
    callback_url: Any = None,
    sender_id: Any = None,
    phone_country: Any = phones.DEFAULT_COUNTRY,
    **session: Any,
) -> Request[SentMessage]:
    # First, because it is here that a misspelt argument is found.
    options = _session(phone_country=phone_country, **session)
    return _send(
        route,
        **{"from": _bodies.channel(from_channel, phone_country)},
        **_bodies.recipient(to, session_id, phone_country),
        **content,
        refId=convert.uuid("ref_id", ref_id),
        delayTyping=convert.integer("delay_typing", delay_typing, minimum=0, maximum=_LONGEST_TYPING),
        callbackUrl=convert.url("callback_url", callback_url),
        senderId=convert.text("sender_id", sender_id),
        options=options,
    )


def _addressed(to: Any, from_channel: Any, phone_country: Any) -> dict[str, Any]:
    return {
        "to": _bodies.phone_recipient("to", convert.required("to", to), phone_country),
        "from": _bodies.channel(convert.required("from_channel", from_channel), phone_country),
    }


def _session(
    *,
    enable_bot: Any = None,
    hidden_session: Any = None,
    force_start_session: Any = None,
    user_id: Any = None,
    user_phone: Any = None,
    user_email: Any = None,
    department_id: Any = None,
    department_name: Any = None,
    phone_country: Any,
) -> dict[str, Any] | None:
    """Build what a send does to its session, and who gets a new one; ``None`` where nothing is given."""
    options = _bodies.session_options(enable_bot, hidden_session, force_start_session)
    user = _bodies.user(user_id, user_phone, user_email, phone_country)
    department = _bodies.department(department_id, department_name)
    return {**options, **convert.given(user=user, department=department)} or None


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
