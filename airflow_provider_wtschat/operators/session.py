"""Operators on sessions (conversations)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Session, SessionStatus
from airflow_provider_wtschat.exceptions import WtsChatRefusedError
from airflow_provider_wtschat.operators._arguments import (
    FileSessionSendArguments,
    OnceArguments,
    OperatorArguments,
    PeriodListArguments,
    SessionChangeArguments,
    SessionSendArguments,
)
from airflow_provider_wtschat.operators.base import WtsChatPeriodListOperator, WtsChatSessionBaseOperator
from airflow_provider_wtschat.operators.sending import WtsChatFileOperator, WtsChatOnceOperator, WtsChatSendOperator

__all__ = [
    "AssignSessionOperator",
    "ConcludeSessionOperator",
    "CreateSessionNoteOperator",
    "GetSessionOperator",
    "ListSessionsOperator",
    "SendSessionFileOperator",
    "SendSessionTemplateOperator",
    "SendSessionTextOperator",
    "TransferSessionOperator",
    "UpdateSessionOperator",
    "UpdateSessionStatusOperator",
]


class ListSessionsOperator(WtsChatPeriodListOperator[Session]):
    """
    List sessions: ``GET /chat/v2/session``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListSessionsOperator(
            task_id="waiting", status=["PENDING"], department_name="Vendas", created_after="{{ ds }}", fields=["id"]
        )

    :param status: statuses to list (templated): ``STARTED``, ``PENDING``, ``IN_PROGRESS``, ``COMPLETED``, ``HIDDEN``.
        Default: all
    :param department_id: id of the department (templated)
    :param department_name: name of the department, in place of its id (templated)
    :param user_id: ``userId`` of the agent, which is not the agent's ``id`` (templated)
    :param user_name: name or e-mail of the agent, in place of the id (templated)
    :param tag_ids: ids of tags of the contact (templated)
    :param tag_names: names of tags of the contact (templated)
    :param channel_ids: ids of channels (templated)
    :param channel_names: names or numbers of channels, in place of their ids (templated)
    :param contact_id: id of the contact (templated)
    :param session_type: ``INDIVIDUAL`` or ``GROUP`` (templated). Default: both
    :param metadata: keys and values of the session's metadata (templated)
    :param ended_after: lower bound of the conclusion (templated)
    :param ended_before: upper bound of the conclusion (templated)
    :param active_after: lower bound of the API's ``ActiveAt`` (templated)
    :param active_before: upper bound of the API's ``ActiveAt`` (templated)
    :param last_interaction_after: lower bound of the last interaction (templated)
    :param last_interaction_before: upper bound of the last interaction (templated)
    :param include_details: what to add to ids (templated): ``AgentDetails``, ``DepartmentsDetails``,
        ``ContactDetails``, ``ChannelDetails``, ``ChannelTypeDetails``, ``ClassificationDetails``. Default: ids only
    """

    operation = staticmethod(sessions.list_)
    named: ClassVar = {"department_id": "department", "user_id": "agent"}
    named_lists: ClassVar = {"channel_ids": "channel"}

    def __init__(
        self,
        *,
        status: Sequence[str] | str | None = None,
        department_id: str | None = None,
        department_name: str | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        tag_ids: Sequence[str] | str | None = None,
        tag_names: Sequence[str] | str | None = None,
        channel_ids: Sequence[str] | str | None = None,
        channel_names: Sequence[str] | str | None = None,
        contact_id: str | None = None,
        session_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        ended_after: When | None = None,
        ended_before: When | None = None,
        active_after: When | None = None,
        active_before: When | None = None,
        last_interaction_after: When | None = None,
        last_interaction_before: When | None = None,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[PeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.department_id = department_id
        self.department_name = department_name
        self.user_id = user_id
        self.user_name = user_name
        self.tag_ids = tag_ids
        self.tag_names = tag_names
        self.channel_ids = channel_ids
        self.channel_names = channel_names
        self.contact_id = contact_id
        self.session_type = session_type
        self.metadata = metadata
        self.ended_after = ended_after
        self.ended_before = ended_before
        self.active_after = active_after
        self.active_before = active_before
        self.last_interaction_after = last_interaction_after
        self.last_interaction_before = last_interaction_before
        self.include_details = include_details


class GetSessionOperator(WtsChatSessionBaseOperator):
    """
    Get a session: ``GET /chat/v2/session/{id}``.

    Returns the session, as the API sent it.

    .. code-block:: python

        GetSessionOperator(
            task_id="session", session_id="{{ params.session_id }}", include_details=["ContactDetails"]
        )

    :param session_id: id of the session (templated)
    :param include_details: what to add to ids (templated): ``AgentDetails``, ``DepartmentsDetails``,
        ``ContactDetails``, ``ChannelDetails``, ``ChannelTypeDetails``, ``ClassificationDetails``. Default: ids only
    """

    operation = staticmethod(sessions.get)

    def __init__(
        self,
        *,
        session_id: str,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.include_details = include_details


class WtsChatSessionChangeOperator(WtsChatSessionBaseOperator):
    """
    Change a session.

    :param session_id: id of the session (templated)
    :param stop_bot_in_execution: stop a chatbot that is running in the session (templated). Default of the API: false
    """

    def __init__(self, *, session_id: str, stop_bot_in_execution: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.stop_bot_in_execution = stop_bot_in_execution


class ConcludeSessionOperator(WtsChatSessionChangeOperator):
    """
    Conclude a session: ``PUT /chat/v1/session/{id}/complete``.

    A session that is concluded already is returned as it is, so that a task can be run again.

    Returns the session, as the API sent it.

    .. code-block:: python

        stale = ListSessionsOperator(task_id="stale", status="PENDING", fields=["id"])
        ConcludeSessionOperator.partial(task_id="conclude").expand(
            session_id=stale.output.map(lambda session: session["id"])
        )

    :param reactivate_on_new_message: reopen the session when the contact writes again (templated).
        Default of the API: false
    """

    operation = staticmethod(sessions.conclude)

    def __init__(
        self,
        *,
        reactivate_on_new_message: bool | None = None,
        **kwargs: Unpack[SessionChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.reactivate_on_new_message = reactivate_on_new_message

    def send(self, request: Request[Any]) -> Any:
        """
        Conclude the session.

        :param request: the request
        :return: the session, as the API sent it
        """
        try:
            return super().send(request)
        except WtsChatRefusedError as refused:
            if refused.key != "ENTITY_ERROR_SAVE":
                raise
            session = self.hook.run(sessions.get(self.session_id))
            if session.get("status") != SessionStatus.COMPLETED:
                raise
            self.log.info("Session %s is concluded already", self.session_id)
            return session


class UpdateSessionStatusOperator(WtsChatSessionChangeOperator):
    """
    Change the status of a session: ``PUT /chat/v1/session/{id}/status``.

    Returns the session, as the API sent it.

    .. code-block:: python

        UpdateSessionStatusOperator(task_id="wait", session_id="{{ params.session_id }}", status="PENDING")

    :param status: the new status (templated): ``STARTED``, ``PENDING``, ``IN_PROGRESS``, ``COMPLETED`` or ``HIDDEN``
    """

    operation = staticmethod(sessions.change_status)

    def __init__(self, *, status: str, **kwargs: Unpack[SessionChangeArguments]) -> None:
        super().__init__(**kwargs)
        self.status = status


class UpdateSessionOperator(WtsChatSessionChangeOperator):
    """
    Update fields of a session: ``PUT /chat/v2/session/{id}/partial``.

    Only what is given changes.

    Returns the session, as the API sent it.

    .. code-block:: python

        UpdateSessionOperator(
            task_id="classify", session_id="{{ params.session_id }}", classification={"category": "WON", "amount": 50}
        )

    :param company_id: id of the company, which the API takes along without changing it (templated)
    :param status: the new status (templated)
    :param end_at: when the session was concluded (templated)
    :param number: identification code (protocol) of the session (templated)
    :param department_id: id of the department (templated)
    :param department_name: name of the department, in place of its id (templated)
    :param user_id: ``userId`` of the agent, which is not the agent's ``id`` (templated)
    :param user_name: name or e-mail of the agent, in place of the id (templated)
    :param classification: any of ``category`` (``WON``, ``LOST``, ``INFO``, ``OTHER``), ``amount`` and ``text``
        (templated)
    :param metadata: keys and values that are added to the session's metadata (templated)
    :param clear: fields to empty (templated): ``end_at``, ``number``, ``department_id``, ``user_id``,
        ``classification``, ``metadata``
    :param autocomplete: true names the field ``Autocomplete`` in the mask (templated). The contract has it in the mask
        and no value for it in the body, so what the API makes of it is the API's decision
    :param reactivate_disabled: true names the field ``ReactivateDisabled`` in the mask, likewise without a value
        (templated)
    :param timezone: IANA time zone of ``end_at`` if it has none (templated). Default: UTC
    """

    operation = staticmethod(sessions.update)
    named: ClassVar = {"department_id": "department", "user_id": "agent"}

    def __init__(
        self,
        *,
        company_id: str | None = None,
        status: str | None = None,
        end_at: When | None = None,
        number: str | None = None,
        department_id: str | None = None,
        department_name: str | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        classification: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        clear: Sequence[str] | str | None = None,
        autocomplete: bool | None = None,
        reactivate_disabled: bool | None = None,
        timezone: str = "UTC",
        **kwargs: Unpack[SessionChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.company_id = company_id
        self.status = status
        self.end_at = end_at
        self.number = number
        self.department_id = department_id
        self.department_name = department_name
        self.user_id = user_id
        self.user_name = user_name
        self.classification = classification
        self.metadata = metadata
        self.clear = clear
        self.autocomplete = autocomplete
        self.reactivate_disabled = reactivate_disabled
        self.timezone = timezone


class TransferSessionOperator(WtsChatSessionChangeOperator):
    """
    Transfer a session to a department, or to an agent of it: ``PUT /chat/v1/session/{id}/transfer``.

    Returns the session, as the API sent it.

    .. code-block:: python

        TransferSessionOperator(task_id="transfer", session_id="{{ params.session_id }}", department_name="Vendas")

    :param department_id: id of the department that receives it (templated)
    :param department_name: name of the department, in place of its id (templated)
    :param user_id: ``userId`` of the agent of that department who receives it (templated). Default: the department
    :param user_name: name or e-mail of the agent, in place of the id (templated)
    """

    operation = staticmethod(sessions.transfer)
    named: ClassVar = {"department_id": "department", "user_id": "agent"}

    def __init__(
        self,
        *,
        department_id: str | None = None,
        department_name: str | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        **kwargs: Unpack[SessionChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.department_id = department_id
        self.department_name = department_name
        self.user_id = user_id
        self.user_name = user_name


class AssignSessionOperator(WtsChatSessionChangeOperator):
    """
    Assign a session to an agent: ``PUT /chat/v1/session/{id}/assignee``.

    Returns the session, as the API sent it.

    .. code-block:: python

        AssignSessionOperator(task_id="assign", session_id="{{ params.session_id }}", user_name="ana@example.com")

    :param user_id: ``userId`` of the agent, which is not the agent's ``id`` (templated)
    :param user_name: name or e-mail of the agent, in place of the id (templated)
    """

    operation = staticmethod(sessions.assign)
    named: ClassVar = {"user_id": "agent"}

    def __init__(
        self,
        *,
        user_id: str | None = None,
        user_name: str | None = None,
        **kwargs: Unpack[SessionChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.user_id = user_id
        self.user_name = user_name


class WtsChatSessionSendOperator(WtsChatSendOperator):
    """
    Send something into a session: ``POST /chat/v1/session/{id}/message``.

    :param session_id: id of the session (templated)
    :param ref_id: id of the message that this one replies to (templated)
    :param synchronous: let the API wait up to 25 s for the channel, and answer with the message
        (``POST /chat/v1/session/{id}/message/sync``, templated). Default: false, it queues the message
    """

    operation = staticmethod(sessions.send)

    def __init__(
        self,
        *,
        session_id: str,
        ref_id: str | None = None,
        synchronous: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.ref_id = ref_id
        self.synchronous = synchronous

    def build(self, **values: Any) -> Request[Any]:
        """Build the request."""
        send = sessions.send_sync if convert.boolean("synchronous", self.synchronous) else sessions.send
        return self.checking(send, **values)


class SendSessionTextOperator(WtsChatSessionSendOperator):
    """
    Send a text into a session: ``POST /chat/v1/session/{id}/message``.

    WhatsApp takes free text only while its 24 h window is open (``windowStatus`` of the session is ``ACTIVE``).

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendSessionTextOperator(task_id="send", session_id="{{ params.session_id }}", text="We are on it")

    :param text: the text (templated)
    """

    def __init__(self, *, text: str, **kwargs: Unpack[SessionSendArguments]) -> None:
        super().__init__(**kwargs)
        self.text = text

    def given(self) -> dict[str, Any]:
        """Return the operation's values."""
        return super().given() | {"text": convert.required_text("text", self.text)}


class SendSessionFileOperator(WtsChatFileOperator, WtsChatSessionSendOperator):
    """
    Send a file into a session: ``POST /chat/v1/session/{id}/message``.

    Give the file in one of three ways.

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendSessionFileOperator(
            task_id="send", session_id="{{ params.session_id }}", file_url="https://example.com/invoice.pdf"
        )

    :param text: caption (templated)
    """

    file_required = True

    def __init__(self, *, text: str | None = None, **kwargs: Unpack[FileSessionSendArguments]) -> None:
        super().__init__(**kwargs)
        self.text = text


class SendSessionTemplateOperator(WtsChatFileOperator, WtsChatSessionSendOperator):
    """
    Send a template into a session: ``POST /chat/v1/session/{id}/message``.

    Returns the queued message; with ``wait_for_status`` the status that the message reached.

    .. code-block:: python

        SendSessionTemplateOperator(
            task_id="send", session_id="{{ params.session_id }}", template_name="boas_vindas",
            template_parameters={"nome": "Maria"},
        )

    :param template_id: id of the template (templated)
    :param template_name: name of the template, in place of its id (templated)
    :param template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3 (templated).
        Each is flattened to one line and cut to the 1,024 characters that WhatsApp takes
    """

    named: ClassVar = {"template_id": "template"}

    def __init__(
        self,
        *,
        template_id: str | None = None,
        template_name: str | None = None,
        template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        **kwargs: Unpack[FileSessionSendArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.template_id = template_id
        self.template_name = template_name
        self.template_parameters = template_parameters

    def given(self) -> dict[str, Any]:
        """Return the operation's values."""
        given = super().given()
        convert.required("template_id, template_name", given["template_id"])
        return given


class CreateSessionNoteOperator(WtsChatOnceOperator):
    """
    Write an internal note into a session, which the contact does not see: ``POST /chat/v1/session/{id}/note``.

    Returns the note, as the API sent it.

    .. code-block:: python

        CreateSessionNoteOperator(task_id="note", session_id="{{ params.session_id }}", text="Paid on Friday")

    :param session_id: id of the session (templated)
    :param text: text of the note (templated)
    :param file_urls: public URLs of files (templated)
    :param file_ids: ids of uploaded files (templated)
    """

    operation = staticmethod(sessions.create_note)

    def __init__(
        self,
        *,
        session_id: str,
        text: str | None = None,
        file_urls: Sequence[str] | str | None = None,
        file_ids: Sequence[str] | str | None = None,
        **kwargs: Unpack[OnceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.session_id = session_id
        self.text = text
        self.file_urls = file_urls
        self.file_ids = file_ids
