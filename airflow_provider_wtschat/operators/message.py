"""Operators on messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Unpack
from uuid import uuid4

from airflow_provider_wtschat._compat import AirflowSkipException
from airflow_provider_wtschat.api import contacts, files, lookup, messages, sends, sessions
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Message, SessionStatus
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError, WtsChatNotFoundError
from airflow_provider_wtschat.operators._arguments import (
    DirectSendArguments,
    FileDirectSendArguments,
    OpeningOnceArguments,
    OperatorArguments,
    PeriodListArguments,
)
from airflow_provider_wtschat.operators.base import ANY_ID, WtsChatBaseOperator, WtsChatPeriodListOperator
from airflow_provider_wtschat.operators.sending import (
    WtsChatBatchOperator,
    WtsChatFileOperator,
    WtsChatSendOperator,
)

__all__ = [
    "GetMessageOperator",
    "GetMessageStatusOperator",
    "ListMessagesOperator",
    "SendFileOperator",
    "SendTemplateBatchOperator",
    "SendTemplateOperator",
    "SendTextOperator",
]


class FileKind(StrEnum):
    """What a file is sent as."""

    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    DOCUMENT = "DOCUMENT"


_SENDS: Mapping[str, Callable[..., Request[Any]]] = {
    FileKind.IMAGE: sends.send_image,
    FileKind.AUDIO: sends.send_audio,
    FileKind.VIDEO: sends.send_video,
    FileKind.DOCUMENT: sends.send_document,
}


class ListMessagesOperator(WtsChatPeriodListOperator[Message]):
    """
    List the messages of a session: ``GET /chat/v1/message``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListMessagesOperator(task_id="messages", session_id="{{ params.session_id }}", fields=["id", "text"])

    :param session_id: id of the session (templated)
    """

    operation = staticmethod(messages.list_)

    def __init__(
        self,
        *,
        session_id: str,
        **kwargs: Unpack[PeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id


class GetMessageOperator(WtsChatBaseOperator):
    """
    Get a message: ``GET /chat/v1/message/{id}``.

    Returns the message, as the API sent it.

    .. code-block:: python

        GetMessageOperator(task_id="message", message_id="{{ params.message_id }}")

    :param message_id: id of the message (templated)
    """

    operation = staticmethod(messages.get)

    def __init__(self, *, message_id: str, **kwargs: Unpack[OperatorArguments]) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id


class GetMessageStatusOperator(WtsChatBaseOperator):
    """
    Get what became of a message: ``GET /chat/v1/message/{id}/status``.

    Returns the status, as the API sent it. ``failureReason`` says why a message is ``FAILED``.

    .. code-block:: python

        GetMessageStatusOperator(task_id="status", message_id="{{ params.message_id }}")

    :param message_id: id of the message (templated)
    """

    operation = staticmethod(messages.get_status)

    def __init__(self, *, message_id: str, **kwargs: Unpack[OperatorArguments]) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id


class WtsChatOpeningOperator(WtsChatBaseOperator):
    """
    Send from a channel, and say what becomes of a session that this opens.

    :param from_channel: number of the channel that sends, in any spelling, or its id (templated). Default: left to the
        API
    :param from_channel_name: name of the channel, in place of its number (templated)
    :param enable_bot: let a chatbot answer the reply; only for a session that is new (templated)
    :param hidden_session: hide a session that is new until the contact replies (templated)
    :param force_start_session: end a session in progress and start a new one (templated)
    :param user_id: ``userId`` of the agent who gets the session, which is not the agent's ``id`` (templated)
    :param user_name: name or e-mail of that agent, in place of the id (templated)
    :param user_phone: phone number of that agent, which the API looks up (templated)
    :param user_email: e-mail address of that agent, which the API looks up (templated)
    :param department_id: id of the department that gets the session (templated)
    :param department_name: name of that department, in place of its id (templated)
    :param phone_country: calling code of phone numbers written without one (templated). Default: 55 (Brazil)
    """

    named: ClassVar[Mapping[str, str]] = {
        "from_channel": "channel_number",
        "user_id": "agent",
        "department_id": "department",
    }

    def __init__(
        self,
        *,
        from_channel: str | None = None,
        from_channel_name: str | None = None,
        enable_bot: bool | None = None,
        hidden_session: bool | None = None,
        force_start_session: bool | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        user_phone: str | None = None,
        user_email: str | None = None,
        department_id: str | None = None,
        department_name: str | None = None,
        phone_country: str = "55",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.from_channel = from_channel
        self.from_channel_name = from_channel_name
        self.enable_bot = enable_bot
        self.hidden_session = hidden_session
        self.force_start_session = force_start_session
        self.user_id = user_id
        self.user_name = user_name
        self.user_phone = user_phone
        self.user_email = user_email
        self.department_id = department_id
        self.department_name = department_name
        self.phone_country = phone_country


class WtsChatDirectSendOperator(WtsChatOpeningOperator, WtsChatSendOperator):
    """
    Send one message to a phone number, or into a session.

    :param to: phone number of the recipient in any spelling; an unknown one becomes a contact (templated). A text or
        file also goes to an Instagram user such as ``@maria``, who has a session on the channel already
    :param session_id: id of a session to send into; a concluded one is not reopened (templated)
    :param sender_id: an id of your own to track the message by (templated)
    :param callback_url: URL that the API calls when the message is sent or fails (templated)
    :param bot_key: key of the chatbot that answers the reply (templated). The message is sent with
        ``POST /chat/v1/message/send``, which takes a phone number only, and no ``sender_id``, ``callback_url``,
        ``delay_typing`` or ``session_metadata``
    :param bot_name: name of that chatbot, in place of its key (templated)
    :param synchronous: let the API wait up to 25 s for the channel, and answer with the message (templated). It is sent
        with ``POST /chat/v1/message/send-sync``, which takes what ``bot_key`` allows. Default: false: it queues the
        message
    """

    named: ClassVar = {**WtsChatOpeningOperator.named, "bot_key": "chatbot"}

    def __init__(
        self,
        *,
        to: str | None = None,
        session_id: str | None = None,
        sender_id: str | None = None,
        callback_url: str | None = None,
        bot_key: str | None = None,
        bot_name: str | None = None,
        synchronous: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.session_id = session_id
        self.sender_id = sender_id
        self.callback_url = callback_url
        self.bot_key = bot_key
        self.bot_name = bot_name
        self.synchronous = synchronous

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with the chatbot, which only one of the two ways to send takes."""
        return {"bot_key": self.bot_key, **super().given()}

    def build(self, *, bot_key: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request, for the way of sending that takes what was given.

        :param bot_key: key of the chatbot that answers the reply
        """
        synchronous = convert.boolean("synchronous", self.synchronous)
        if bot_key is None and not synchronous:
            return self.build_send(**values)
        way = "synchronous" if synchronous else "bot_key"
        for name in ("session_id", "sender_id", "callback_url", "delay_typing", "session_metadata", "file_kind"):
            if getattr(self, name, None) is not None:
                both = f"{name}, {way}"
                raise WtsChatArgumentError(both, "the API takes one of the two; leave one out")
            values.pop(name, None)
        send = messages.send_sync if synchronous else messages.send
        return self.checking(send, bot_key=bot_key, **values)

    def build_send(self, **values: Any) -> Request[Any]:
        """Build the request of the operation."""
        return self.checking(type(self).operation, **values)


class ClosedWindow(StrEnum):
    """What to do with a text where WhatsApp's 24 h window is not open."""

    TEMPLATE = "template"
    SKIP = "skip"
    FAIL = "fail"


class SendTextOperator(WtsChatDirectSendOperator):
    """
    Send a text: ``POST /chat/v1/send/text``.

    Give ``to``, or ``session_id``, which alone reaches a contact of Messenger. WhatsApp takes free text only while its
    24 h window is open, which the contact opens by writing; a text that is sent later is queued and fails. With
    ``when_window_closed`` the session is asked first (its ``windowStatus``), and a text that would fail is not sent.

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendTextOperator(
            task_id="send", to="11 90000-0001", from_channel_name="Matriz", text="Your order is on its way",
            when_window_closed="template", fallback_template_name="boas_vindas",
            fallback_template_parameters={"nome": "Maria"},
        )

    :param text: the text (templated)
    :param ref_id: id of the message that this one replies to (templated)
    :param delay_typing: seconds for which the contact sees someone typing first, at most 25 (templated)
    :param when_window_closed: what to do where the window is not open: ``template`` sends the template below, ``skip``
        skips the task, ``fail`` fails it without retries (templated). It takes ``session_id``, or a phone number and
        the channel. Default: send the text without asking
    :param fallback_template_id: id of the template (templated)
    :param fallback_template_name: name of the template, in place of its id (templated)
    :param fallback_template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3
        (templated)
    """

    operation = staticmethod(sends.send_text)
    renamed: ClassVar = {
        "template_id": "fallback_template_id",
        "template_parameters": "fallback_template_parameters",
    }

    def __init__(
        self,
        *,
        text: str,
        ref_id: str | None = None,
        delay_typing: int | None = None,
        when_window_closed: str | None = None,
        fallback_template_id: str | None = None,
        fallback_template_name: str | None = None,
        fallback_template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        **kwargs: Unpack[DirectSendArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.ref_id = ref_id
        self.delay_typing = delay_typing
        self.when_window_closed = when_window_closed
        self.fallback_template_id = fallback_template_id
        self.fallback_template_name = fallback_template_name
        self.fallback_template_parameters = fallback_template_parameters

    def checked(self) -> Request[Any]:
        """
        Build the request from what is given, and check what would be done in its place.

        :raises WtsChatArgumentError: if an argument is refused
        """
        checked = super().checked()
        way = self._when_window_closed()
        fallback = [name for name in _FALLBACK if getattr(self, name) is not None]
        if fallback and way != ClosedWindow.TEMPLATE:
            raise WtsChatArgumentError(", ".join(fallback), "give it with when_window_closed='template' only")
        if way is None:
            return checked
        if self.session_id is None:
            if self.from_channel is None and self.from_channel_name is None:
                reason = "is required with when_window_closed and to, since each channel has a window of its own"
                raise WtsChatArgumentError("from_channel, from_channel_name", reason)
            if str(self.to).strip().startswith("@"):
                reason = "who has no phone number is asked for by session_id; give that with when_window_closed"
                raise WtsChatArgumentError("to", reason)
        if way == ClosedWindow.TEMPLATE:
            if (self.fallback_template_id is None) == (self.fallback_template_name is None):
                raise WtsChatArgumentError("fallback_template_id, fallback_template_name", "give one of them")
            convert.text("fallback_template_name", self.fallback_template_name)
            self._template(self.given(), self.fallback_template_id or ANY_ID)
        return checked

    def looked_up(self) -> dict[str, Any]:
        """Return what takes requests to find, with what may be sent in place of the text."""
        own = {name: getattr(self, name) for name in ("when_window_closed", *_FALLBACK)}
        # As it was before these arguments were there, so that a later try knows what an earlier one sent.
        return super().looked_up() | (own if self.when_window_closed is not None else {})

    def prepared(self, checked: Request[Any]) -> Request[Any]:
        """
        Do all that comes before the sending: ask for the window, and decide what is sent.

        :param checked: the request, with any id in place of those that take requests to find
        :raises AirflowSkipException: if the window is not open, and the task is to be skipped then
        :raises WtsChatFailedError: if the window is not open, and the task is to fail then
        """
        way = self._when_window_closed()
        if way is None or self._window_is_open():
            return super().prepared(checked)
        if way == ClosedWindow.TEMPLATE:
            self.log.info("WhatsApp's 24 h window is not open: the template is sent in place of the text")
            template_id = self.fallback_template_id or self.hook.perform(
                lookup.template(str(self.fallback_template_name), argument="fallback_template_name")
            )
            return self._template(self.given() | self.found(), template_id)
        reason = "The text was not sent: WhatsApp's 24 h window is not open, so the contact has to write first"
        if way == ClosedWindow.SKIP:
            raise AirflowSkipException(reason)
        msg = f"{reason}. Send a template, or let when_window_closed='template' do it"
        raise WtsChatFailedError(msg)

    def _when_window_closed(self) -> str | None:
        return convert.choice("when_window_closed", self.when_window_closed, ClosedWindow)

    def _window_is_open(self) -> bool:
        if self.session_id is not None:
            return self.hook.run(sessions.get(self.session_id)).get("windowStatus") == _OPEN
        name = self.from_channel_name or self.from_channel
        channel_id = convert.only_id(str(name)) or self.hook.perform(lookup.channel(str(name), argument="from_channel"))
        number = convert.required("to", self.to)
        try:
            contact = self.hook.run(contacts.get_by_phone(number, phone_country=self.phone_country))
        except WtsChatNotFoundError:
            return False
        # A text that goes into no open session begins one, whose window the contact has not opened.
        return any(
            session.get("windowStatus") == _OPEN and session.get("status") != SessionStatus.COMPLETED
            for session in self.hook.iterate(sessions.list_(contact_id=contact["id"], channel_ids=[channel_id]))
        )

    def _template(self, values: dict[str, Any], template_id: str) -> Request[Any]:
        """Build the request that sends the template in place of the text."""
        template = {"template_id": template_id, "template_parameters": self.fallback_template_parameters}
        if self.to is not None:
            kept = {name: value for name, value in values.items() if name not in ("text", "ref_id", "delay_typing")}
            if values["bot_key"] is None and not convert.boolean("synchronous", self.synchronous):
                del kept["bot_key"]
                return self.checking(sends.send_template, **kept, **template)
            return self.build(**kept, **template)
        for name in ("sender_id", "callback_url"):
            if getattr(self, name) is not None:
                raise WtsChatArgumentError(name, "a template that is sent into a session has none; leave it out")
        return self.checking(sessions.send, session_id=self.session_id, **template)


_OPEN = "ACTIVE"
_FALLBACK = ("fallback_template_id", "fallback_template_name", "fallback_template_parameters")


class SendFileOperator(WtsChatFileOperator, WtsChatDirectSendOperator):
    """
    Send a file: ``POST /chat/v1/send/document``.

    An image is sent with ``POST /chat/v1/send/image``, an audio recording with ``POST /chat/v1/send/audio`` and a video
    with ``POST /chat/v1/send/video``. Give the file in one of three ways, and ``to`` or ``session_id``.

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendFileOperator(task_id="send", to="11 90000-0001", file_path="/data/invoice.pdf", text="Your invoice")

    :param file_kind: ``IMAGE``, ``AUDIO``, ``VIDEO`` or ``DOCUMENT`` (templated). Default: by the extension of path or
        URL, else ``DOCUMENT``
    :param text: caption; an audio recording has none (templated)
    :param ref_id: id of the message that this one replies to (templated)
    :param delay_typing: seconds for which the contact sees someone typing first, at most 25 (templated)
    """

    operation = staticmethod(sends.send_document)
    file_required = True

    def __init__(
        self,
        *,
        file_kind: str | None = None,
        text: str | None = None,
        ref_id: str | None = None,
        delay_typing: int | None = None,
        **kwargs: Unpack[FileDirectSendArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.file_kind = file_kind
        self.text = text
        self.ref_id = ref_id
        self.delay_typing = delay_typing

    def build_send(self, *, file_url: Any = None, file_id: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request.

        :param file_url: public URL of the file
        :param file_id: id of the uploaded file
        :param values: values by the names of the operation's parameters
        """
        kind = convert.choice("file_kind", self.file_kind, FileKind) or self._guessed_kind()
        if kind == FileKind.AUDIO and values["text"] is None:
            del values["text"]
        elif kind == FileKind.AUDIO:
            convert.refuse("text", values["text"], "an audio recording has no caption; leave it out")
        values["file"] = convert.url("file_url", file_url) or convert.uuid("file_id", file_id)
        return self.checking(_SENDS[kind], **values)

    def _guessed_kind(self) -> str:
        kind = (files.media_type(str(self.file_path or self.file_url)) or "").partition("/")[0].upper()
        return kind if kind in _SENDS else FileKind.DOCUMENT


class SendTemplateOperator(WtsChatFileOperator, WtsChatDirectSendOperator):
    """
    Send a template: ``POST /chat/v1/send/template``.

    A template is what starts a WhatsApp conversation. ``to`` and the channel are required.

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendTemplateOperator(
            task_id="welcome", to="11 90000-0001", from_channel_name="Matriz", template_name="boas_vindas",
            template_parameters={"nome": "Maria"}, wait_for_status="DELIVERED",
        )

    :param template_id: id of the template (templated)
    :param template_name: name of the template, in place of its id (templated)
    :param template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3 (templated).
        Each is flattened to one line and cut to the 1,024 characters that WhatsApp takes
    :param session_metadata: keys and values of the session, for chatbots and webhooks (templated)
    """

    operation = staticmethod(sends.send_template)
    named: ClassVar = {**WtsChatDirectSendOperator.named, "template_id": "template"}

    def __init__(
        self,
        *,
        template_id: str | None = None,
        template_name: str | None = None,
        template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        session_metadata: Mapping[str, Any] | str | None = None,
        **kwargs: Unpack[FileDirectSendArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.template_id = template_id
        self.template_name = template_name
        self.template_parameters = template_parameters
        self.session_metadata = session_metadata

    def build_send(self, *, file_url: Any = None, file_id: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request.

        :param file_url: public URL of a file
        :param file_id: id of an uploaded file
        :param values: values by the names of the operation's parameters
        """
        return super().build_send(**values, file=convert.url("file_url", file_url) or convert.uuid("file_id", file_id))


class SendTemplateBatchOperator(WtsChatOpeningOperator, WtsChatBatchOperator):
    """
    Send a template to any number of recipients, a hundred per request: ``POST /chat/v1/send/template/batch``.

    Returns for each recipient ``to`` and ``senderId``, and ``id``, ``sessionId``, ``status`` and ``failedReason`` as
    the API answered; one that the API's answer leaves out has the status ``UNKNOWN``. A message that was accepted can
    still fail: read its status later, or wait with ``MessageStatusSensor``.

    .. code-block:: python

        SendTemplateBatchOperator(
            task_id="remind", template_name="lembrete_pagamento", from_channel_name="Matriz",
            messages=[{"to": "11 90000-0001", "parameters": {"nome": "Maria", "valor": "R$ 10,00"}}],
        )

    :param template_id: id of the template (templated)
    :param template_name: name of the template, in place of its id (templated)
    :param messages: mappings with ``to`` and, where wanted, ``parameters``, ``file`` (a public URL, or id of an
        uploaded file), ``sender_id``, ``callback_url`` and ``session_metadata`` (templated). Without a ``sender_id`` a
        message gets one, by which the answers are told apart
    """

    operation = staticmethod(sends.send_template_batch)
    batch = "messages"
    named: ClassVar = {**WtsChatOpeningOperator.named, "template_id": "template"}

    def __init__(
        self,
        *,
        messages: Sequence[Mapping[str, Any]] | str,
        template_id: str | None = None,
        template_name: str | None = None,
        **kwargs: Unpack[OpeningOnceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.messages = messages
        self.template_id = template_id
        self.template_name = template_name

    def found(self) -> dict[str, Any]:
        """Return the values that take requests to find, and the messages, each with an id to track it by."""
        tracked = [
            thing if thing.get("sender_id") is not None else {**thing, "sender_id": str(uuid4())}
            for thing in self.things()
        ]
        return super().found() | {"messages": tracked}

    def results(self, things: Sequence[dict[str, Any]], answer: Any) -> list[Any]:
        """
        Return what became of each message, told apart by its id of ours, and by its place if the API names none.

        :param things: the messages of one request
        :param answer: what the request was answered with
        """
        rows = (answer or {}).get("results") or []
        by_sender = {row["senderId"]: row for row in rows if row.get("senderId")}
        in_order = rows if len(rows) == len(things) and not by_sender else [{}] * len(things)
        return [
            {
                "to": thing["to"],
                "senderId": str(thing["sender_id"]),
                "status": "UNKNOWN",
                **{name: row[name] for name in ("id", "sessionId", "status", "failedReason") if name in row},
            }
            for thing, row in (
                (thing, by_sender.get(str(thing["sender_id"]), placed))
                for thing, placed in zip(things, in_order, strict=True)
            )
        ]
