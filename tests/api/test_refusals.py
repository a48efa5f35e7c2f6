"""Calls that must not go out: refused when they are built, with the argument named and what is allowed shown."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from tests.api.arguments import BY_OPERATION, NOT_BOTH, arguments, parameters

ID = "0b1c2d3e-0000-4000-8000-000000000001"
PHONE = "11900000001"


def required(name: str) -> list[str]:
    return [key for key, value in parameters(name).items() if value.default is inspect.Parameter.empty]


def built(name: str) -> Any:
    """Build a request of which nothing but what is required is known."""
    try:
        return OPERATIONS[name](**dict.fromkeys(required(name), ID))
    except WtsChatArgumentError:
        return None


def refused(name: str, given: dict[str, Any]) -> str:
    with pytest.raises(WtsChatArgumentError) as caught:
        OPERATIONS[name](**given)
    return str(caught.value)


EMPTY: dict[str, tuple[Any, ...]] = {"Sequence": ([], "[]", ()), "Mapping": ({}, "{}")}
UUID_ARGUMENTS = [
    (name, key)
    for name in OPERATIONS
    for key in parameters(name)
    if key.endswith("_id")
    and key not in {"template_id", "sender_id", "send_id", "otp_id"}
    and (name, key) not in {("sends.get_message_status", "message_id"), ("panels.update_card", "card_id")}
]
FREE_IDS = [
    ("sends.get_message_status", "message_id"),
    ("sends.get_chatbot_status", "send_id"),
    ("sends.get_otp_status", "otp_id"),
    ("sends.send_template", "template_id"),
    ("sessions.send", "template_id"),
    ("panels.update_card", "card_id"),
]


@pytest.mark.parametrize(("name", "argument"), UUID_ARGUMENTS)
@settings(max_examples=1, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ids_that_are_none(name, argument, data):
    drawn = data.draw(arguments(name, None if argument in required(name) else argument))
    for bad in ("", "  ", "None", "null", "undefined", "nan", "7", ID[:-1], f"{ID},{ID}", "../x"):
        message = refused(name, {**drawn, argument: bad})
        assert message.startswith(f"{argument}: "), message
        assert "an id such as" in message


@pytest.mark.parametrize(("name", "argument"), FREE_IDS)
@pytest.mark.parametrize("bad", ["", "  ", "None", "null", "undefined", ".", ".."])
def test_ids_of_any_form_that_are_none(name, argument, bad):
    needed = {"to": PHONE, "from_channel": PHONE, "session_id": ID, "title": "x"}
    given = {key: value for key, value in needed.items() if key in required(name) or key == "title"}
    given = {key: value for key, value in given.items() if key in parameters(name)}
    assert refused(name, {**given, argument: bad}).startswith(f"{argument}: ")


@pytest.mark.parametrize(("name", "argument"), [(name, key) for name in OPERATIONS for key in required(name)])
@settings(max_examples=1, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_needed_cannot_be_none(name, argument, data):
    drawn = data.draw(arguments(name))
    assert argument in refused(name, {**drawn, argument: None})


DATES = [
    (name, key)
    for name in OPERATIONS
    for key in parameters(name)
    if re.search(r"_(after|before)$", key) or key in {"scheduling", "due_date", "end_at", "timestamp_filter"}
]


@pytest.mark.parametrize(("name", "argument"), DATES)
@settings(max_examples=1, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_dates_that_are_none(name, argument, data):
    drawn = data.draw(arguments(name, argument if argument not in required(name) else None))
    drawn.pop("timezone", None)
    for bad in ("", "None", "yesterday", "2026-02-30", "01/09/2026", 7):
        assert re.match(rf"{argument}: .* is no date", refused(name, {**drawn, argument: bad}))
    assert "is no IANA time zone" in refused(name, {**drawn, argument: "2026-09-01", "timezone": "Brasília"})


WINDOWS = [(name, key[: -len("_after")]) for name, key in DATES if key.endswith("_after")]


@pytest.mark.parametrize(("name", "stem"), WINDOWS)
def test_windows_that_end_before_they_begin(name, stem):
    given: dict[str, Any] = dict.fromkeys(required(name), ID)
    message = refused(name, {**given, f"{stem}_after": "2026-09-02", f"{stem}_before": "2026-09-01"})
    assert message.startswith(f"{stem}_after: ")
    assert f"{stem}_before" in message


ENUMS: list[tuple[str, str, str, str]] = [
    ("sessions.list", "status", "CLOSED", "STARTED, PENDING, IN_PROGRESS, COMPLETED, HIDDEN"),
    ("sessions.list", "status", "UNDEFINED", "STARTED, PENDING, IN_PROGRESS, COMPLETED, HIDDEN"),
    ("sessions.change_status", "status", "UNDEFINED", "STARTED, PENDING, IN_PROGRESS, COMPLETED, HIDDEN"),
    ("sessions.update", "status", "undefined", "STARTED, PENDING, IN_PROGRESS, COMPLETED, HIDDEN"),
    ("sessions.list", "session_type", "TEAM", "INDIVIDUAL, GROUP"),
    ("sessions.get", "include_details", "Undefined", "AgentDetails, DepartmentsDetails"),
    ("sessions.list", "order_direction", "up", "ASCENDING, DESCENDING"),
    ("scheduled_messages.list", "status", "PENDING", "SCHEDULED, PROCESSED, SENT, DELIVERED, READ, CANCELED, FAILED"),
    ("scheduled_messages.update", "message_type", "TEXT", "TEMPLATE, CHATBOT"),
    ("scheduled_messages.get", "include_details", "All", "Contact, Channel, User, Department, Template, Chatbot"),
    ("templates.list", "template_type", "TEXT", "QUICKREPLY, ATTENDANCE, CAMPAIGN"),
    ("templates.list", "include_details", "Parameters", "All, Params, File, Interactive"),
    ("chatbots.list", "types", "Robot", "Reactive, Automation"),
    ("chatbots.list", "publish_statuses", "Published", "Not_Published, Publishing, Ready, Failed"),
    ("chatbots.list", "automation_usages", "None", "Api, Manual, Campaign, Sequence"),
    ("channels.list", "channel_type", "Telegram", "All, Whatsapp, Messenger, Instagram"),
    ("sequences.list", "include_details", "Contacts", "ContactExecutingCount, ExecutionStats"),
    ("sequences.list_contacts", "include_details", "Contact", "ContactDetails"),
    ("contacts.list", "status", "DELETED", "ACTIVE, ARCHIVED, BLOCKED"),
    ("panels.list_cards", "statuses", "CLOSED", "OPEN, WON, LOST, ARCHIVED"),
    ("panels.list", "panel_type", "OTHER", "MANAGEMENT, SALES"),
    ("agents.change_status", "status", "Undefined", "Active, Blocked"),
    ("departments.create", "restriction_type", "None", "NONE, DEPARTMENT_RESTRICTION, USER_RESTRICTION"),
    ("departments.create", "channels_scope", "none", "ALL, NONE, SELECTED"),
]


@pytest.mark.parametrize(("name", "argument", "bad", "allowed"), ENUMS)
def test_values_that_the_contract_does_not_list(name, argument, bad, allowed):
    message = refused(name, {**dict.fromkeys(required(name), ID), argument: bad})
    assert re.match(rf"{argument}(\[0\])?: '{bad}' was given; one of ", message)
    assert allowed in message


SEND = {"to": PHONE, "from_channel": PHONE}
COMBINATIONS: list[tuple[str, dict[str, Any], str]] = [
    # one message is one thing
    ("sessions.send", {"session_id": ID}, "text, template_id, file_url, file_id: nothing to send"),
    ("sessions.send_sync", {"session_id": ID}, "text, template_id, file_url, file_id: nothing to send"),
    ("messages.send", {"to": PHONE}, "text, template_id, file_url, file_id: nothing to send"),
    ("messages.send_sync", {"to": PHONE, "text": "a", "template_id": "x"}, "text, template_id: both were given"),
    ("messages.send", {"to": PHONE, "file_url": "https://a.b/c", "file_id": ID}, "file_url, file_id: both were given"),
    ("messages.send", {"to": PHONE, "text": "a", "template_parameters": ["x"]}, "template_parameters: were"),
    ("messages.send", {"to": PHONE, "text": " "}, "text: '"),
    ("sessions.create_note", {"session_id": ID}, "text, file_urls, file_ids: a note needs"),
    ("sessions.create_note", {"session_id": ID, "file_ids": []}, "text, file_urls, file_ids: a note needs"),
    # somebody gets it
    ("sends.send_text", {"text": "a"}, "to, session_id: no recipient"),
    ("sends.send_image", {"file": ID}, "to, session_id: no recipient"),
    ("sends.send_chatbot", {"bot_key": ID}, "to, session_id: no recipient"),
    ("chatbots.send", {"bot_key": ID}, "to, session_id: no recipient"),
    ("sends.send_text", {"text": "a", "to": "@ma ria"}, "to: "),
    ("sends.send_text", {"text": "a", "to": ID}, "to: an id was given"),
    ("sends.send_chatbot_batch", {"bot_key": ID, "messages": [{"to": ID}]}, "messages[0]['to']: an id was given"),
    ("sends.send_text", {"text": "a", "to": "90000-0001"}, "to: '99999-9999'"),
    ("sends.send_text", {"text": "a", "to": PHONE, "from_channel": "Vendas"}, "from_channel: 'Vendas'"),
    # values
    ("sends.send_text", {"text": "a", "to": PHONE, "delay_typing": 26}, "delay_typing: 26 was given"),
    ("sends.send_text", {"text": "a", "to": PHONE, "delay_typing": "-1"}, "delay_typing: '-1'"),
    ("sends.send_text", {"text": "a", "to": PHONE, "enable_bot": "maybe"}, "enable_bot: 'maybe'"),
    ("sends.send_text", {"text": "a", "to": PHONE, "callback_url": "a.b/c"}, "callback_url: 'a.b/c'"),
    ("sends.send_text", {"text": "a", "to": PHONE, "sender_id": "None"}, "sender_id: 'None'"),
    ("sends.send_audio", {"file": "voice.mp3", "to": PHONE}, "file: 'voice.mp3'"),
    ("sends.send_template", {**SEND, "template_id": "x", "template_parameters": ["a", ""]}, "template_parameters['2']"),
    # batches
    ("sends.send_template_batch", {"from_channel": PHONE, "template_id": "x", "messages": []}, "messages: 0 items"),
    (
        "sends.send_template_batch",
        {"from_channel": PHONE, "template_id": "x", "messages": [{"to": PHONE}] * 101},
        "messages: 101 items were given; one request takes 1 to 100",
    ),
    (
        "sends.send_template_batch",
        {"from_channel": PHONE, "template_id": "x", "messages": [{"to": PHONE}, {"phone": PHONE}]},
        "messages[1]: 'phone' was given; an item has any of to, parameters, file, sender_id, callback_url,",
    ),
    (
        "sends.send_template_batch",
        {"from_channel": PHONE, "template_id": "x", "messages": [{"to": PHONE}, {"sender_id": "a"}]},
        "messages[1]['to']: is required",
    ),
    (
        "sends.send_template_batch",
        {"from_channel": PHONE, "template_id": "x", "messages": [{"to": PHONE, "parameters": [None]}]},
        "messages[0]['parameters']['1']: is required",
    ),
    ("sends.send_chatbot_batch", {"bot_key": ID, "messages": [{"sender_id": "a"}]}, "messages[0]: no recipient"),
    ("sends.send_chatbot_batch", {"bot_key": ID, "messages": [{"to": "x"}]}, "messages[0]['to']: 'x'"),
    # scheduled messages
    ("scheduled_messages.create", {"to": PHONE, "scheduling": "2026-09-01"}, "bot_key: is required for a message"),
    (
        "scheduled_messages.create",
        {"to": PHONE, "scheduling": "2026-09-01", "template_id": "x", "message_type": ""},
        "message_type: '' was given; one of TEMPLATE, CHATBOT",
    ),
    (
        "scheduled_messages.create",
        {"to": PHONE, "scheduling": "2026-09-01", "message_type": "template", "bot_key": ID},
        "template_id: is required for a message of type TEMPLATE",
    ),
    (
        "scheduled_messages.create",
        {"to": PHONE, "scheduling": "2026-09-01", "bot_key": ID, "template_parameters": ["x"]},
        "template_parameters, file_url, file_id: were given without a template",
    ),
    ("scheduled_messages.update", {"scheduled_message_id": ID}, "clear: nothing to update"),
    ("scheduled_messages.update", {"scheduled_message_id": ID, "clear": "to"}, "clear: 'to' was given; any of"),
    (
        "scheduled_messages.update",
        {"scheduled_message_id": ID, "department_name": "Vendas", "clear": ["department_id"]},
        "department_id: is both set and named in clear",
    ),
    ("scheduled_messages.cancel_batch", {"scheduled_message_ids": []}, "scheduled_message_ids: nothing to cancel"),
    ("scheduled_messages.cancel_batch", {"scheduled_message_ids": "None"}, "scheduled_message_ids: 'None'"),
    # sequences
    ("sequences.add_contact", {"sequence_id": ID}, "contact_id, phone_number: no contact"),
    ("sequences.remove_contact", {"sequence_id": ID, "contact_id": ID, "phone_number": 1}, "contact_id, phone"),
    ("sequences.add_contacts", {"sequence_id": ID}, "contact_ids, phone_numbers: no contacts"),
    ("sequences.remove_contacts", {"sequence_id": ID, "contact_ids": []}, "contact_ids, phone_numbers: no contacts"),
    # sessions
    ("sessions.transfer", {"session_id": ID, "department_id": None}, "department_id: a transfer needs its destination"),
    ("sessions.update", {"session_id": ID}, "clear: nothing to update"),
    ("sessions.update", {"session_id": ID, "user_id": ID, "clear": ["user_id"]}, "user_id: is both set and named"),
    ("sessions.update", {"session_id": ID, "clear": ["status"]}, "clear: 'status' was given; any of end_at, number"),
    ("sessions.update", {"session_id": ID, "classification": {"kind": "WON"}}, "classification"),
    ("sessions.update", {"session_id": ID, "classification": {}}, "classification"),
    # an order that no row has
    ("sessions.list", {"order_by": "banana"}, "order_by: 'banana' was given; a field of a row"),
    ("panels.list", {"order_by": "None"}, "order_by: 'None'"),
    # e-mail addresses
    ("contacts.create", {"name": "x", "email": "maria@"}, "email: 'maria@'"),
    ("sends.send_text", {"text": "a", "to": PHONE, "user_email": "x"}, "user_email: 'x'"),
    # filters that would filter nothing
    *(
        (name, {**dict.fromkeys(required(name), ID), argument: empty}, f"{argument}: an empty filter was given")
        for name in OPERATIONS
        if issubclass(type(built(name)), PagedRequest)
        for argument, parameter in parameters(name).items()
        if argument != "include_details"
        for kind, empties in EMPTY.items()
        if kind in str(parameter.annotation)
        for empty in empties
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "words"), COMBINATIONS)
def test_arguments_that_make_no_call(name, given, words):
    assert refused(name, given).startswith(words)


def test_tables_name_what_exists():
    """A misspelt name in a table would test nothing."""
    for key in BY_OPERATION:
        name, _, argument = key.rpartition(".")
        assert argument in parameters(name)
    known = {key for name in OPERATIONS for key in parameters(name)}
    assert {argument for pair in NOT_BOTH for argument in pair} <= known
