from __future__ import annotations

import pytest

from airflow_provider_wtschat.simulator.openapi import load_contract
from airflow_provider_wtschat.simulator.routes.call import HANDLERS
from airflow_provider_wtschat.simulator.server import Application  # noqa: F401  registers the handlers
from tests.api.contract import operations

CONTRACT = load_contract()
SESSIONS = CONTRACT.operations["GET /chat/v2/session"]
UUID = "0f0e0d0c-0b0a-4009-8807-060504030201"


def test_every_operation_of_the_contract_has_a_handler_and_no_other() -> None:
    assert len(CONTRACT.operations) == len(operations())
    assert set(HANDLERS) == set(CONTRACT.operations)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/core/v1/tag/color", "GET /core/v1/tag/color"),
        ("DELETE", f"/core/v1/tag/{UUID}", "DELETE /core/v1/tag/{id}"),
        ("GET", "/core/v1/contact/custom-field", "GET /core/v1/contact/custom-field"),
        ("GET", "/core/v1/contact/phonenumber/5511900000001", "GET /core/v1/contact/phonenumber/{phone}"),
        ("GET", f"/chat/v1/session/note/{UUID}", "GET /chat/v1/session/note/{id}"),
        ("GET", f"/chat/v1/session/{UUID}/note", "GET /chat/v1/session/{id}/note"),
        ("GET", f"/crm/v2/panel/card/{UUID}", "GET /crm/v2/panel/card/{id}"),
        ("POST", "/chat/v1/scheduled-message/batch-cancel", "POST /chat/v1/scheduled-message/batch-cancel"),
    ],
)
def test_fixed_segments_win_over_placeholders(method: str, path: str, operation: str) -> None:
    found, _, _ = CONTRACT.match(method, path)
    assert found is not None
    assert found.key == operation


def test_a_wrong_method_is_told_from_an_unknown_path() -> None:
    assert CONTRACT.match("POST", "/chat/v2/session") == (None, {}, frozenset({"GET"}))
    assert CONTRACT.match("GET", "/chat/v9/session") == (None, {}, frozenset())


@pytest.mark.parametrize(
    ("pairs", "values"),
    [
        ([("Status", "PENDING"), ("Status", "STARTED")], {"Status": ["PENDING", "STARTED"]}),
        ([("DepartmentId", UUID.upper())], {"DepartmentId": UUID}),
        ([("UpdatedAt.After", "2026-01-02T03:04:05.678901Z")], {"UpdatedAt.After": 1767323045678901}),
        ([("UpdatedAt.After", "2026-01-02T00:04:05-03:00")], {"UpdatedAt.After": 1767323045000000}),
        ([("PageSize", "100"), ("PageNumber", "2")], {"PageSize": 100, "PageNumber": 2}),
        ([("Metadata[order]", "7"), ("Metadata.shop", "A")], {"Metadata": {"order": "7", "shop": "A"}}),
    ],
)
def test_a_query_in_order_binds(pairs: list[tuple[str, str]], values: dict[str, object]) -> None:
    query = SESSIONS.read_query(pairs)
    assert query.values == values
    assert not query.problems
    assert not query.errors


@pytest.mark.parametrize(
    ("pair", "bound", "refused"),
    [
        (("contactId", UUID), {}, False),
        (("Status[]", "PENDING"), {}, False),
        (("Status", "PENDING,STARTED"), {}, False),
        (("ChannelsId", f"{UUID},{UUID}"), {}, False),
        (("Status", ""), {}, False),
        (("Status", "pending"), {"Status": ["PENDING"]}, False),
        (("UpdatedAt.After", "2026-01-02T03:04:05"), {"UpdatedAt.After": 1767323045000000}, False),
        (("Status", "OPEN"), {}, True),
        (("DepartmentId", "None"), {}, True),
        (("UpdatedAt.After", "yesterday"), {}, True),
        (("PageSize", "ten"), {}, True),
    ],
)
def test_a_query_out_of_order_is_noted(pair: tuple[str, str], bound: dict[str, object], refused: bool) -> None:
    query = SESSIONS.read_query([pair])
    assert query.values == bound
    assert query.problems
    assert bool(query.errors) is refused


def test_what_is_required_must_be_there() -> None:
    query = CONTRACT.operations["GET /crm/v2/panel/card"].read_query([])
    assert set(query.errors) == {"PanelId"}


@pytest.mark.parametrize(
    ("operation", "body", "places"),
    [
        ("PUT /chat/v1/session/{id}/status", {"newStatus": "PENDING"}, set()),
        ("PUT /chat/v1/session/{id}/status", {}, {"$"}),
        ("PUT /chat/v1/session/{id}/status", {"newStatus": "OPEN"}, {"newStatus"}),
        ("PUT /chat/v1/session/{id}/status", {"newStatus": "PENDING", "status": "X"}, {"$"}),
        ("PUT /chat/v1/session/{id}/status", {"newStatus": "PENDING", "options": None}, set()),
        ("PUT /chat/v1/session/{id}/assignee", {"userId": "7"}, {"userId"}),
        ("POST /core/v1/agent", {"name": "A", "profile": "Agent", "email": "nobody"}, {"email"}),
        ("POST /core/v1/tag", {"name": ""}, {"name"}),
        ("POST /core/v1/contact/filter", {"pageSize": 101}, {"pageSize"}),
        ("PUT /chat/v2/session/{id}/partial", {"fields": ["EndAt"], "endAt": "2026-01-02T03:04:05"}, {"endAt"}),
        ("PUT /chat/v2/session/{id}/partial", {"fields": ["EndAt"], "endAt": "2026-01-02T03:04:05Z"}, set()),
        ("POST /chat/v1/scheduled-message/batch-cancel", [UUID], set()),
        ("POST /chat/v1/scheduled-message/batch-cancel", {"ids": [UUID]}, {"$"}),
    ],
)
def test_bodies_are_held_against_their_schema(operation: str, body: object, places: set[str]) -> None:
    assert set(CONTRACT.operations[operation].body_errors(body)) == places
