"""Sessions (conversations): reading them, acting on them, and writing into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from airflow_provider_wtschat.api import _bodies
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Content, Listed, taking
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    ClassificationCategory,
    Message,
    QueuedMessage,
    Session,
    SessionDetail,
    SessionStatus,
    SessionType,
    SessionV1,
    TransferType,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = [
    "assign",
    "change_status",
    "conclude",
    "create_note",
    "delete_note",
    "get",
    "get_note",
    "list_",
    "list_messages",
    "list_notes",
    "send",
    "send_sync",
    "transfer",
    "update",
]

_NEVER_A_STATUS = (SessionStatus.UNDEFINED,)
_CLEARABLE = {
    "end_at": "endAt",
    "number": "number",
    "department_id": "departmentId",
    "user_id": "userId",
    "classification": "classification",
    "metadata": "metadata",
}
_CLASSIFICATION = ("category", "amount", "text")


@taking(Listed)
def list_(
    *,
    status: Sequence[str] | str | None = None,
    department_id: str | None = None,
    user_id: str | None = None,
    tag_ids: Sequence[str] | str | None = None,
    tag_names: Sequence[str] | str | None = None,
    channel_ids: Sequence[str] | str | None = None,
    contact_id: str | None = None,
    session_type: str | None = None,
    metadata: Mapping[str, str] | str | None = None,
    ended_after: When | None = None,
    ended_before: When | None = None,
    active_after: When | None = None,
    active_before: When | None = None,
    last_interaction_after: When | None = None,
    last_interaction_before: When | None = None,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Session]:
    """
    List sessions: ``GET /chat/v2/session``. It can be ordered by ``CreatedAt``, ``UpdatedAt`` or ``LastInteractionAt``.

    Without a filter these are the sessions of the account, groups included. Hidden ones are sure to come only if their
    status is named.

    :param status: statuses, see :class:`~airflow_provider_wtschat.api.types.SessionStatus`
    :param department_id: id of the department
    :param user_id: ``userId`` of the agent, which is not the agent's ``id``
    :param tag_ids: ids of tags of the contact
    :param tag_names: names of tags of the contact
    :param channel_ids: ids of channels
    :param contact_id: id of the contact
    :param session_type: ``INDIVIDUAL`` or ``GROUP``. Default: both
    :param metadata: keys and values of the session's metadata
    :param ended_after: lower bound of the conclusion
    :param ended_before: upper bound of the conclusion
    :param active_after: lower bound of the API's ``ActiveAt``
    :param active_before: upper bound of the API's ``ActiveAt``
    :param last_interaction_after: lower bound of the last interaction
    :param last_interaction_before: upper bound of the last interaction
    :param include_details: what to add to ids, see :class:`~airflow_provider_wtschat.api.types.SessionDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Session`
    :raises WtsChatArgumentError: if an argument is refused
    """
    timezone = shared.get("timezone", "UTC")
    statuses = convert.some("status", convert.choices("status", status, SessionStatus, never=_NEVER_A_STATUS))
    department = convert.uuid("department_id", department_id)
    user = convert.uuid("user_id", user_id)
    channels = convert.some("channel_ids", convert.uuids("channel_ids", channel_ids))
    contact = convert.uuid("contact_id", contact_id)
    kind = convert.choice("session_type", session_type, SessionType)
    pairs = convert.texts_by_key("metadata", metadata)
    return build.listing(
        "/chat/v2/session",
        Session,
        shared,
        query=convert.query(
            Status=statuses,
            DepartmentId=department,
            UserId=user,
            TagsId=convert.some("tag_ids", convert.uuids("tag_ids", tag_ids)),
            TagsName=convert.some("tag_names", convert.texts("tag_names", tag_names)),
            ChannelsId=channels,
            ContactId=contact,
            IncludeDetails=_details(include_details),
            Metadata=pairs,
            Type=kind,
            **convert.window("EndAt", ended_after, ended_before, timezone, argument="ended"),
            **convert.window("ActiveAt", active_after, active_before, timezone, argument="active"),
            **convert.window(
                "LastInteractionAt",
                last_interaction_after,
                last_interaction_before,
                timezone,
                argument="last_interaction",
            ),
        ),
        bounds=("CreatedAt", "UpdatedAt", "LastInteractionAt", "EndAt", "ActiveAt"),
        # A session does not tell its tags.
        filters=convert.filters(
            departmentId=department,
            userId=user,
            contactId=contact,
            status=statuses,
            channelId=channels,
            type=kind,
            metadata=pairs,
        ),
        may_be_null=("type", "metadata"),
    )


def get(session_id: str, *, include_details: Sequence[str] | str | None = None) -> Request[Session]:
    """
    Get a session: ``GET /chat/v2/session/{id}``.

    :param session_id: id of the session
    :param include_details: what to add to ids, see :class:`~airflow_provider_wtschat.api.types.SessionDetail`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get("/chat/v2/session/{id}", Session, _id(session_id), includeDetails=_details(include_details))


def conclude(
    session_id: str,
    *,
    reactivate_on_new_message: bool | None = None,
    stop_bot_in_execution: bool | None = None,
) -> Request[SessionV1]:
    """
    Conclude a session: ``PUT /chat/v1/session/{id}/complete``.

    :param session_id: id of the session
    :param reactivate_on_new_message: reopen the session when the contact writes again. Default of the API: false
    :param stop_bot_in_execution: stop a chatbot that is running in the session. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.put(
        "/chat/v1/session/{id}/complete",
        SessionV1,
        _id(session_id),
        body=convert.given(
            reactivateOnNewMessage=convert.boolean("reactivate_on_new_message", reactivate_on_new_message),
            stopBotInExecution=convert.boolean("stop_bot_in_execution", stop_bot_in_execution),
        ),
    )


def change_status(session_id: str, status: str, *, stop_bot_in_execution: bool | None = None) -> Request[SessionV1]:
    """
    Change the status of a session: ``PUT /chat/v1/session/{id}/status``.

    :param session_id: id of the session
    :param status: the new status; ``UNDEFINED`` is never valid
    :param stop_bot_in_execution: stop a chatbot that is running in the session. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.put(
        "/chat/v1/session/{id}/status",
        SessionV1,
        _id(session_id),
        body=convert.given(
            newStatus=_status(convert.required("status", status)),
            options=_options(stop_bot_in_execution),
        ),
    )


def update(
    session_id: str,
    *,
    company_id: str | None = None,
    status: str | None = None,
    end_at: When | None = None,
    number: str | None = None,
    department_id: str | None = None,
    user_id: str | None = None,
    classification: Mapping[str, Any] | str | None = None,
    metadata: Mapping[str, Any] | str | None = None,
    clear: Sequence[str] | str | None = None,
    autocomplete: bool | None = None,
    reactivate_disabled: bool | None = None,
    stop_bot_in_execution: bool | None = None,
    timezone: str = "UTC",
) -> Request[SessionV1]:
    """
    Update fields of a session: ``PUT /chat/v2/session/{id}/partial``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param session_id: id of the session
    :param company_id: id of the company, which the API takes along without changing it
    :param status: the new status; ``UNDEFINED`` is never valid
    :param end_at: when the session was concluded
    :param number: identification code (protocol) of the session
    :param department_id: id of the department
    :param user_id: ``userId`` of the agent, which is not the agent's ``id``
    :param classification: any of ``category`` (``WON``, ``LOST``, ``INFO``, ``OTHER``), ``amount`` and ``text``
    :param metadata: keys and values that are added to the session's metadata; ``None`` as a value removes the key
    :param clear: fields to empty: ``end_at``, ``number``, ``department_id``, ``user_id``, ``classification``,
        ``metadata``
    :param autocomplete: true names the field ``Autocomplete`` in the mask. The contract has it in the mask and no value
        for it in the body, so what the API makes of it is the API's decision
    :param reactivate_disabled: true names the field ``ReactivateDisabled`` in the mask, likewise without a value
    :param stop_bot_in_execution: stop a chatbot that is running in the session. Default of the API: false
    :param timezone: IANA time zone of ``end_at`` if it has none. Default: UTC
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    values = convert.given(
        status=_status(status),
        endAt=convert.instant("end_at", end_at, timezone),
        number=convert.text("number", number),
        departmentId=convert.uuid("department_id", department_id),
        userId=convert.uuid("user_id", user_id),
        classification=_classification(classification),
        metadata=convert.json_mapping("metadata", metadata),
    )
    flags = {
        "Autocomplete": convert.boolean("autocomplete", autocomplete),
        "ReactivateDisabled": convert.boolean("reactivate_disabled", reactivate_disabled),
    }
    on = [name for name, value in flags.items() if value]
    changes = convert.changes(values, clear, _CLEARABLE, left_out=("classification",), flags=on)
    beside = convert.given(companyId=convert.uuid("company_id", company_id), options=_options(stop_bot_in_execution))
    return build.put("/chat/v2/session/{id}/partial", SessionV1, _id(session_id), body=beside | changes)


def transfer(
    session_id: str,
    *,
    department_id: str,
    user_id: str | None = None,
    stop_bot_in_execution: bool | None = None,
) -> Request[SessionV1]:
    """
    Transfer a session: ``PUT /chat/v1/session/{id}/transfer``.

    :param session_id: id of the session
    :param department_id: id of the department that receives it
    :param user_id: ``userId`` of the agent of that department who receives it. Default: the department
    :param stop_bot_in_execution: stop a chatbot that is running in the session. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused, or no department is given
    """
    if department_id is None:
        msg = "a transfer needs its destination: a department, or a department and a user of it"
        raise WtsChatArgumentError("department_id", msg)
    user = convert.uuid("user_id", user_id)
    return build.put(
        "/chat/v1/session/{id}/transfer",
        SessionV1,
        _id(session_id),
        body=convert.given(
            type=(TransferType.USER if user else TransferType.DEPARTMENT).value,
            newDepartmentId=convert.uuid("department_id", department_id),
            newUserId=user,
            options=_options(stop_bot_in_execution),
        ),
    )


def assign(session_id: str, user_id: str, *, stop_bot_in_execution: bool | None = None) -> Request[SessionV1]:
    """
    Assign a session to an agent: ``PUT /chat/v1/session/{id}/assignee``.

    :param session_id: id of the session
    :param user_id: ``userId`` of the agent, which is not the agent's ``id``
    :param stop_bot_in_execution: stop a chatbot that is running in the session. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.put(
        "/chat/v1/session/{id}/assignee",
        SessionV1,
        _id(session_id),
        body=convert.given(
            userId=convert.required_uuid("user_id", user_id),
            options=_options(stop_bot_in_execution),
        ),
    )


@taking(Content)
def send(session_id: str, **shared: Unpack[Content]) -> Request[QueuedMessage]:
    """
    Send a message into a session: ``POST /chat/v1/session/{id}/message``.

    The API queues it; what became of it shows :func:`airflow_provider_wtschat.api.messages.get_status`.

    :param session_id: id of the session
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    return build.post(
        "/chat/v1/session/{id}/message",
        QueuedMessage,
        _id(session_id),
        body=_bodies.message(**shared),
        safe_to_repeat=False,
    )


@taking(Content)
def send_sync(session_id: str, **shared: Unpack[Content]) -> Request[Message]:
    """
    Send a message into a session and wait for the channel: ``POST /chat/v1/session/{id}/message/sync``.

    The API waits 25 s at most and then answers with the last status it knows.

    :param session_id: id of the session
    :raises WtsChatArgumentError: if an argument is refused, or text, file and template are not one message
    """
    return build.post(
        "/chat/v1/session/{id}/message/sync",
        Message,
        _id(session_id),
        body=_bodies.message(**shared),
        safe_to_repeat=False,
    )


@taking(Listed)
def list_messages(session_id: str, **shared: Unpack[Listed]) -> PagedRequest[Message]:
    """
    List the messages of a session: ``GET /chat/v1/session/{id}/message``.

    :param session_id: id of the session
    :raises WtsChatArgumentError: if an argument is refused
    """
    return _children("/chat/v1/session/{id}/message", session_id, shared)


@taking(Listed)
def list_notes(session_id: str, **shared: Unpack[Listed]) -> PagedRequest[Message]:
    """
    List the internal notes of a session: ``GET /chat/v1/session/{id}/note``.

    :param session_id: id of the session
    :raises WtsChatArgumentError: if an argument is refused
    """
    return _children("/chat/v1/session/{id}/note", session_id, shared)


def create_note(
    session_id: str,
    *,
    text: str | None = None,
    file_urls: Sequence[str] | str | None = None,
    file_ids: Sequence[str] | str | None = None,
) -> Request[Message]:
    """
    Write an internal note into a session, which the contact does not see: ``POST /chat/v1/session/{id}/note``.

    :param session_id: id of the session
    :param text: text of the note
    :param file_urls: public URLs of files
    :param file_ids: ids of uploaded files
    :raises WtsChatArgumentError: if an argument is refused, or nothing is given
    """
    body = convert.given(
        text=convert.text("text", text),
        filesUrls=convert.list_of("file_urls", file_urls, convert.url),
        filesIds=convert.uuids("file_ids", file_ids),
    )
    if not any(body.values()):
        msg = "a note needs one of them"
        raise WtsChatArgumentError("text, file_urls, file_ids", msg)
    return build.post("/chat/v1/session/{id}/note", Message, _id(session_id), body=body, safe_to_repeat=False)


def get_note(note_id: str) -> Request[Message]:
    """
    Get an internal note: ``GET /chat/v1/session/note/{id}``.

    :param note_id: id of the note
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/chat/v1/session/note/{id}", Message, {"id": convert.required_uuid("note_id", note_id)})


def delete_note(note_id: str) -> Request[Message]:
    """
    Delete an internal note: ``DELETE /chat/v1/session/note/{id}``.

    :param note_id: id of the note
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.delete("/chat/v1/session/note/{id}", Message, {"id": convert.required_uuid("note_id", note_id)})


def _id(session_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("session_id", session_id)}


def _details(value: Any) -> list[str] | None:
    return convert.choices("include_details", value, SessionDetail, never=(SessionDetail.UNDEFINED,))


def _status(value: Any) -> str | None:
    return convert.choice("status", value, SessionStatus, never=_NEVER_A_STATUS)


def _options(stop_bot_in_execution: Any) -> dict[str, bool] | None:
    stop = convert.boolean("stop_bot_in_execution", stop_bot_in_execution)
    return None if stop is None else {"stopBotInExecution": stop}


def _classification(value: Any) -> dict[str, Any] | None:
    given = convert.mapping("classification", value)
    if given is None:
        return None
    unknown = set(given) - set(_CLASSIFICATION)
    if unknown or not given:
        wanted = f"any of {', '.join(_CLASSIFICATION)} are wanted"
        convert.refuse("classification", value, wanted)
    return convert.given(
        category=convert.choice("classification['category']", given.get("category"), ClassificationCategory),
        amount=convert.number("classification['amount']", given.get("amount")),
        description=convert.text("classification['text']", given.get("text")),
    )


def _children(route: str, session_id: str, listed: Listed) -> PagedRequest[Message]:
    path_params = _id(session_id)
    return build.listing(route, Message, listed, path_params, filters={"sessionId": (path_params["id"],)})
