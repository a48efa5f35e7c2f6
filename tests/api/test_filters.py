"""
Every filter of every list: the rows that come back are held against it, or the table says why they cannot be.

The API ignores a filter that it does not know, without an error, and answers with the whole account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatServerError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator
from tests.api.arguments import parameters
from tests.api.test_refusals import built, required

ID = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"
NO_FILTER = {"timezone", "include_details", "order_by", "order_direction", "phone_country"}

SEARCH = "how the API compares the text is not known"
NOT_IN_ROW = "a row does not say it"
PAGING = "it is how the list is paged, not which rows it has"
BOUND = "the reader compares the bounds that it reads by; whether others include their ends is not known"

HELD: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    # filter: (value, a row that fits, a row that does not)
    "sessions.list.status": (["PENDING"], {"status": "PENDING"}, {"status": "COMPLETED"}),
    "sessions.list.department_id": (ID, {"departmentId": ID.upper()}, {"departmentId": None}),
    "sessions.list.user_id": (ID, {"userId": ID}, {"userId": OTHER}),
    "sessions.list.channel_ids": ([ID], {"channelId": ID}, {"channelId": OTHER}),
    "sessions.list.contact_id": (ID, {"contactId": ID}, {"contactId": OTHER}),
    "sessions.list.session_type": ("GROUP", {"type": "GROUP"}, {"type": "INDIVIDUAL"}),
    "sessions.list.metadata": ({"a.b": 1}, {"metadata": {"a.b": "1", "c": 2}}, {"metadata": {"a.b": 2}}),
    "messages.list.session_id": (ID, {"sessionId": ID}, {"sessionId": OTHER}),
    "sessions.list_messages.session_id": (ID, {"sessionId": ID}, {"sessionId": OTHER}),
    "sessions.list_notes.session_id": (ID, {"sessionId": ID}, {"sessionId": OTHER}),
    "templates.list.archived": (False, {"archived": False}, {"archived": True}),
    "templates.list.channel_id": (ID, {"channelId": ID}, {"channelId": OTHER}),
    "templates.list.approved_only": (True, {"status": "APPROVED"}, {"status": "Draft"}),
    "chatbots.list.types": (["Reactive"], {"type": "Reactive"}, {"type": "Automation"}),
    "chatbots.list.channel_ids": ([ID], {"channelIds": [OTHER, ID]}, {"channelIds": []}),
    "chatbots.list.default_department_ids": ([ID], {"defaultDepartmentId": ID}, {"defaultDepartmentId": None}),
    "chatbots.list.publish_statuses": (["Ready"], {"publishStatus": "READY"}, {"publishStatus": "Failed"}),
    "chatbots.list.automation_usages": (["Api"], {"automationUsage": ["Api"]}, {"automationUsage": ["Manual"]}),
    "scheduled_messages.list.status": ("SENT", {"status": "SENT"}, {"status": "READ"}),
    "scheduled_messages.list.message_type": ("CHATBOT", {"type": "CHATBOT"}, {"type": "TEMPLATE"}),
    "scheduled_messages.list.from_channel": (ID, {"channelId": ID}, {"channelId": OTHER}),
    "scheduled_messages.list.to": (ID, {"contactId": ID}, {"contactId": OTHER}),
    "scheduled_messages.list.user": (ID, {"userId": ID}, {"userId": OTHER}),
    "scheduled_messages.list.department": (ID, {"departmentId": ID}, {"departmentId": OTHER}),
    "sequences.list_contacts.sequence_id": (ID, {"sequenceId": ID}, {"sequenceId": OTHER}),
    "sequences.list_contacts.contact_id": (ID, {"contactId": ID}, {"contactId": OTHER}),
    "sequences.list_contacts.phone_number": (
        "(11) 98000-0001",
        {"contactDetails": {"phonenumber": "+55|1180000001"}},
        {"contactDetails": {"phonenumber": "+55|11980000002"}},
    ),
    "contacts.list.status": ("BLOCKED", {"status": "BLOCKED"}, {"status": "ACTIVE"}),
    "contacts.filter.status": ("BLOCKED", {"status": "BLOCKED"}, {"status": "ACTIVE"}),
    "contacts.filter.origin": ("IMPORTED", {"origin": "IMPORTED"}, {"origin": "CREATED_FROM_HUB"}),
    "contacts.filter.phone_number": ("11 90000-0001", {"phoneNumber": "+55|11900000001"}, {"phoneNumber": None}),
    "contacts.filter.email": ("a@b.com", {"email": "A@b.com"}, {"email": "c@b.com"}),
    "contacts.filter.instagram": ("@maria", {"instagram": "maria"}, {"instagram": "ana"}),
    "contacts.filter.tag_ids": ([ID], {"tagIds": [OTHER, ID]}, {"tagIds": [OTHER]}),
    "contacts.filter.tag_names": (["VIP"], {"tagNames": ["vip"]}, {"tagNames": []}),
    "contacts.filter.portfolio_ids": ([ID], {"portfolioIds": [ID]}, {"portfolioIds": [OTHER]}),
    "contacts.filter.portfolio_names": (["A"], {"portfolioNames": ["A"]}, {"portfolioNames": ["B"]}),
    "contacts.filter.metadata": ({"a": "1"}, {"metadata": {"a": 1}}, {"metadata": {}}),
    "portfolios.list_contacts.portfolio_id": (ID, {"portfolioId": ID}, {"portfolioId": OTHER}),
    "portfolios.list_contacts.contact_ids": ([ID], {"contactId": ID}, {"contactId": OTHER}),
    "panels.list.panel_type": ("SALES", {"type": "SALES"}, {"type": "MANAGEMENT"}),
    "panels.list_cards.panel_id": (ID, {"panelId": ID}, {"panelId": OTHER}),
    "panels.list_cards.step_id": (ID, {"stepId": ID}, {"stepId": OTHER}),
    "panels.list_cards.contact_id": (ID, {"contactIds": [ID]}, {"contactIds": [OTHER]}),
    "panels.list_cards.responsible_user_id": (ID, {"responsibleUserId": ID}, {"responsibleUserId": None}),
    "panels.list_cards.statuses": (["WON"], {"status": "WON"}, {"status": "OPEN"}),
    "panels.list_card_notes.card_id": (ID, {"cardId": ID}, {"cardId": OTHER}),
}

NOT_HELD: dict[str, str] = {
    "sessions.list.tag_ids": NOT_IN_ROW,
    "sessions.list.tag_names": NOT_IN_ROW,
    "templates.list.name": SEARCH,
    "templates.list.searchable_text": SEARCH,
    "templates.list.template_type": "the contract has other types in the rows than in the filter",
    "chatbots.list.name": SEARCH,
    "sequences.list.name": SEARCH,
    "sequences.list.contact_id": NOT_IN_ROW,
    "sequences.list_contacts.name": SEARCH,
    "contacts.filter.text_filter": SEARCH,
    "contacts.filter.name": SEARCH,
    "contacts.filter.custom_fields": SEARCH,
    "panels.list.title": SEARCH,
    "panels.list_cards.text_filter": SEARCH,
    "panels.list_lost_reasons.panel_id": NOT_IN_ROW,
    "portfolios.list_contacts.timestamp_field": PAGING,
    "portfolios.list_contacts.timestamp_filter": PAGING,
    "portfolios.list_contacts.next_page_token": PAGING,
    "portfolios.list_contacts.page_type": PAGING,
    "portfolios.list_contacts.skip_count": PAGING,
    "portfolios.list_contacts.created_apply_company_timezone": BOUND,
    "portfolios.list_contacts.created_is_null": BOUND,
    "portfolios.list_contacts.updated_apply_company_timezone": BOUND,
    "portfolios.list_contacts.updated_is_null": BOUND,
}


def lists() -> Iterator[str]:
    return (name for name in OPERATIONS if isinstance(built(name), PagedRequest))


def request(of: str, value: Any) -> PagedRequest[Any]:
    name, _, argument = of.rpartition(".")
    built = OPERATIONS[name](**{**dict.fromkeys(required(name), ID), argument: value})
    assert isinstance(built, PagedRequest)
    return built


def test_every_filter_is_held_or_says_why_not() -> None:
    every = {
        f"{name}.{argument}"
        for name in lists()
        for argument in parameters(name)
        if argument not in NO_FILTER and not argument.endswith(("_after", "_before"))
    }
    assert every == HELD.keys() | NOT_HELD.keys()
    assert HELD.keys() & NOT_HELD.keys() == set()


@pytest.mark.parametrize("of", HELD)
def test_a_row_that_misses_the_filter_is_noticed(of: str) -> None:
    value, fits, strange = HELD[of]
    asked = request(of, value)
    assert asked.mismatch([fits]) is None
    assert asked.mismatch([{}]) is None, "what a row does not say is not held against it"
    noticed = asked.mismatch([fits, strange])
    assert noticed is not None
    assert noticed.partition(".")[0] in strange


@pytest.mark.parametrize(
    "of",
    ["sessions.list.session_type", "sessions.list.metadata", "contacts.filter.tag_ids", "contacts.filter.tag_names",
     "contacts.filter.portfolio_ids", "contacts.filter.metadata", "panels.list_cards.contact_id",
     "templates.list.channel_id", "sequences.list_contacts.phone_number"],
)  # fmt: skip
def test_null_where_the_api_left_it_out_is_no_miss(of: str) -> None:
    value, _, strange = HELD[of]
    assert request(of, value).mismatch([dict.fromkeys(strange)]) is None


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(sessions=300, seed=5, limits=False, strict=True) as simulator:
        yield simulator


@pytest.fixture
def hook(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> WtsChatHook:
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    return WtsChatHook(max_retries=0)


def value_in(row: dict[str, Any], of: str) -> Any:
    """Take what a row says where the filter looks, in the filter's own form."""
    given, fits, _ = HELD[of]
    (field,) = fits
    said = row.get(field)
    if isinstance(given, bool):
        return given
    if isinstance(given, dict) or said is None or isinstance(fits[field], dict):
        return None
    said = said[0] if isinstance(said, list) and said else said
    return ([said] if isinstance(given, list) else said) or None


@pytest.mark.parametrize("of", HELD)
def test_what_a_server_that_filters_answers_is_no_miss(hook: WtsChatHook, simulator: Simulator, of: str) -> None:
    name, _, argument = of.rpartition(".")
    if required(name):
        pytest.skip("a list of one parent, which its path names")
    rows = hook.run(OPERATIONS[name]().page())["items"]
    value = next((value for row in rows if (value := value_in(row, of)) is not None), None)
    if value is None:
        pytest.skip("no row of the simulated account says it")
    assert list(hook.iterate(OPERATIONS[name](**{argument: value})))


def test_a_server_that_ignores_the_filter_is_noticed_over_http(hook: WtsChatHook, simulator: Simulator) -> None:
    asked = OPERATIONS["contacts.filter"](email="nobody@example.com").having(body={})
    with pytest.raises(WtsChatServerError, match="filter on email"):
        list(hook.iterate(asked))
