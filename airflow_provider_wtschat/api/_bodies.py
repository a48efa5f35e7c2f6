"""Parts of bodies that several operations share, from arguments of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.exceptions import WtsChatArgumentError


def message(
    text: Any = None,
    file_url: Any = None,
    file_id: Any = None,
    template_id: Any = None,
    template_parameters: Any = None,
    ref_id: Any = None,
) -> dict[str, Any]:
    """Build a message, refusing one that is nothing, or two things at once."""
    convert.not_both("text", text, "template_id", template_id)
    convert.not_both("file_url", file_url, "file_id", file_id)
    body = convert.given(
        text=convert.text("text", text),
        fileUrl=convert.url("file_url", file_url),
        fileId=convert.uuid("file_id", file_id),
        templateId=None if template_id is None else convert.identifier("template_id", template_id),
        parameters=convert.template_parameters("template_parameters", template_parameters),
        refId=convert.uuid("ref_id", ref_id),
    )
    if not {"text", "templateId", "fileUrl", "fileId"} & set(body):
        msg = "nothing to send; give one of them"
        raise WtsChatArgumentError("text, template_id, file_url, file_id", msg)
    if "parameters" in body and "templateId" not in body:
        msg = "were given without a template"
        raise WtsChatArgumentError("template_parameters", msg)
    return body


def recipient(to: Any, session_id: Any, phone_country: Any, *, name: str = "") -> dict[str, Any]:
    """
    Build the destination of a message: a phone number or Instagram user, a session, or a session and who is in it.

    :param to: phone number, or Instagram user such as ``@maria``
    :param phone_country: calling code of a number written without one
    :param name: item of a list that they are keys of, for the error. Default: they are arguments
    """
    to_name, session_name = (f"{name}['to']", f"{name}['session_id']") if name else ("to", "session_id")
    if _is_id(to):
        raise WtsChatArgumentError(
            to_name, f"an id was given; a phone number, or an Instagram user, is wanted. {_SESSION}"
        )
    body = convert.given(
        to=convert.address(to_name, to, phone_country, users=True), sessionId=convert.uuid(session_name, session_id)
    )
    if not body:
        reason = "no recipient; give 'to' or 'session_id'" if name else "no recipient; give one of them"
        raise WtsChatArgumentError(name or "to, session_id", reason)
    return body


def phone_recipient(name: str, to: Any, phone_country: Any) -> str | None:
    """Build the destination of a message that goes to phone numbers only; an error names the argument ``name``."""
    if _is_id(to) or str(to).strip().startswith("@"):
        what = "an id" if _is_id(to) else "an Instagram user"
        reason = f"{what} was given; this goes to phone numbers only. {_SESSION}, with a text or a file"
        raise WtsChatArgumentError(name, reason)
    return convert.phone(name, to, phone_country)


_SESSION = "A contact of any channel is reached by session_id, the id of its session"


def _is_id(to: Any) -> bool:
    return to is not None and convert.only_id(str(to)) is not None


def channel(from_channel: Any, phone_country: Any) -> str | None:
    """Convert the channel of the account that sends, by phone number, id or Instagram user."""
    return convert.address("from_channel", from_channel, phone_country, ids=True, users=True)


def department(department_id: Any, department_name: Any) -> dict[str, Any] | None:
    """Build a department by id or name, ``None`` where neither is given."""
    return (
        convert.given(
            id=convert.uuid("department_id", department_id), name=convert.text("department_name", department_name)
        )
        or None
    )


def contact(
    *, contact_id: Any = None, phone_number: Any = None, phone_country: Any = phones.DEFAULT_COUNTRY
) -> dict[str, Any]:
    """Build what one contact is known by: its id, or its phone number."""
    convert.not_both("contact_id", contact_id, "phone_number", phone_number)
    body = convert.given(
        contactId=convert.uuid("contact_id", contact_id),
        phoneNumber=convert.phone("phone_number", phone_number, phone_country),
    )
    if not body:
        msg = "no contact was given; give one of them"
        raise WtsChatArgumentError("contact_id, phone_number", msg)
    return body


def contacts(
    *, contact_ids: Any = None, phone_numbers: Any = None, phone_country: Any = phones.DEFAULT_COUNTRY
) -> dict[str, Any]:
    """Build what contacts are known by: their ids, their phone numbers, or both."""
    body = convert.given(
        contactIds=convert.uuids("contact_ids", contact_ids),
        phoneNumbers=convert.list_of(
            "phone_numbers", phone_numbers, lambda name, item: convert.phone(name, item, phone_country)
        ),
    )
    if not any(body.values()):
        # The API calls this a filter: what it does when the filter is empty, nobody should find out.
        msg = "no contacts were given; give at least one"
        raise WtsChatArgumentError("contact_ids, phone_numbers", msg)
    return body


def memberships(name: str, value: Any, key: str, take: Callable[[str, Any], str]) -> list[dict[str, Any]] | None:
    """
    Build who belongs where, from mappings of an id, ``is_agent`` and ``is_supervisor``.

    :param key: name of the id, such as ``user_id``
    :param take: takes the id
    """
    rows = convert.rows(name, value, (key, "is_agent", "is_supervisor"))
    if rows is None:
        return None
    return [
        convert.given(
            **{f"{key.removesuffix('_id')}Id": take(f"{name}[{i}]['{key}']", row.get(key))},
            isAgent=convert.boolean(f"{name}[{i}]['is_agent']", row.get("is_agent")),
            isSupervisor=convert.boolean(f"{name}[{i}]['is_supervisor']", row.get("is_supervisor")),
        )
        for i, row in enumerate(rows)
    ]


def options(
    *,
    enable_bot: Any = None,
    hidden_session: Any = None,
    force_start_session: Any = None,
    user_id: Any = None,
    user_phone: Any = None,
    user_email: Any = None,
    department_id: Any = None,
    department_name: Any = None,
    phone_country: Any = phones.DEFAULT_COUNTRY,
) -> dict[str, Any] | None:
    """Build what a send does to its session, and who gets a new one; ``None`` where nothing is given."""
    user = convert.given(
        id=convert.uuid("user_id", user_id),
        phoneNumber=convert.phone("user_phone", user_phone, phone_country),
        email=convert.email("user_email", user_email),
    )
    return (
        convert.given(
            enableBot=convert.boolean("enable_bot", enable_bot),
            hiddenSession=convert.boolean("hidden_session", hidden_session),
            forceStartSession=convert.boolean("force_start_session", force_start_session),
            user=user or None,
            department=department(department_id, department_name),
        )
        or None
    )


def chatbot_options(
    skip_if_bot_in_execution: Any = None,
    skip_if_in_progress: Any = None,
    force_start_session: Any = None,
    hidden_session: Any = None,
    phone_country: Any = None,
) -> dict[str, Any] | None:
    """Build what a chatbot that is sent does to its session, ``None`` where nothing is given."""
    return (
        convert.given(
            skipIfBotInExecution=convert.boolean("skip_if_bot_in_execution", skip_if_bot_in_execution),
            skipIfInProgress=convert.boolean("skip_if_in_progress", skip_if_in_progress),
            forceStartSession=convert.boolean("force_start_session", force_start_session),
            hiddenSession=convert.boolean("hidden_session", hidden_session),
        )
        or None
    )


def chatbot(
    bot_key: Any,
    *,
    to: Any = None,
    from_channel: Any = None,
    session_id: Any = None,
    session_metadata: Any = None,
    contact_metadata: Any = None,
    sender_id: Any = None,
    callback_url: Any = None,
    phone_country: Any = phones.DEFAULT_COUNTRY,
    **session: Any,
) -> dict[str, Any]:
    """Build the sending of a chatbot."""
    # First, because it is here that a misspelt argument is found.
    options = chatbot_options(**session)
    return {
        "botKey": convert.required_uuid("bot_key", bot_key),
        **recipient(to, session_id, phone_country),
        **convert.given(
            **{"from": channel(from_channel, phone_country)},
            options=options,
            sessionMetadata=convert.json_mapping("session_metadata", session_metadata),
            contactMetadata=convert.json_mapping("contact_metadata", contact_metadata),
            senderId=convert.text("sender_id", sender_id),
            callbackUrl=convert.url("callback_url", callback_url),
        ),
    }
