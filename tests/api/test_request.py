"""A call as a value: where it goes, what it shows of itself, and its pages."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from airflow_provider_wtschat.api import contacts, messages, portfolios, sends, sessions
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Paging, Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

ID = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"


def request(**changes):
    return Request(**{"method": "GET", "route": "/chat/v1/x/{id}", "result": dict, "safe_to_repeat": True, **changes})


def test_it_cannot_be_changed_and_survives_copying():
    one = sessions.conclude(ID)
    with pytest.raises(FrozenInstanceError):
        one.method = "GET"
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (ID, f"/chat/v1/x/{ID}"),
        ("a/b?c#d&é {id}", "/chat/v1/x/a%2Fb%3Fc%23d%26%C3%A9%20%7Bid%7D"),
        ("%2e", "/chat/v1/x/%252e"),
    ],
)
def test_path_quotes_what_it_is_filled_with(value, path):
    assert request(path_params={"id": value}).path == path


def test_target_carries_the_query_as_it_is():
    one = request(route="/chat/v1/x", query=(("Status", "A"), ("Status", "B"), ("Name", "ç &=")))
    assert one.target == "/chat/v1/x?Status=A&Status=B&Name=%C3%A7+%26%3D"
    assert request(route="/chat/v1/x").target == "/chat/v1/x"


def test_label_shows_ids_and_hides_the_rest():
    assert sessions.get(ID).label == f"GET /chat/v2/session/{ID}"
    assert contacts.get_by_phone("11900000001").label == "GET /core/v1/contact/phonenumber/{phone}"
    assert sends.get_otp_status("pedido-1").label == "GET /chat/v1/send/otp/{id}"


@pytest.mark.parametrize(
    "one",
    [
        contacts.get_by_phone("11900000001"),
        sends.send_text(to="11900000001", text="Olá Maria"),
        messages.send(to="11900000001", text="Olá Maria"),
        contacts.filter(name="Maria", phone_number="11900000001"),
        sessions.list_(metadata={"nome": "Maria"}),
    ],
)
def test_repr_shows_neither_numbers_nor_texts(one):
    for text in (repr(one), str(one), f"{one}"):
        assert "90000" not in text
        assert "Maria" not in text
        assert one.label in text


def test_sends_have_a_limit_of_their_own():
    assert sends.send_typing(ID).is_send
    assert sends.get_message_status(ID).is_send
    assert not messages.send(to="11900000001", text="x").is_send
    assert not sessions.send(ID, text="x").is_send


def test_content_is_json_in_utf_8():
    assert request(body={"text": "Olá"}).content == '{"text": "Olá"}'.encode()
    assert request().content is None
    assert json.loads(request(body=[]).content) == []


@pytest.mark.parametrize("value", [object(), float("nan"), b"", {1, 2}, "\ud800"])
def test_content_refuses_what_has_no_json(value):
    with pytest.raises(WtsChatArgumentError, match=r"^body: a value in the body of GET /chat/v1/x/\{id\} has no JSON"):
        _ = request(path_params={"id": "secret"}, body={"x": value}).content


# ------------------------------------------------------------------------------------------------------------ pages

AFTER, BEFORE = "2026-09-01T00:00:00.000000Z", "2026-09-02T00:00:00.000000Z"


def test_pages_in_the_query():
    one = sessions.list_(status="PENDING", created_after=AFTER)
    page = one.page(3, 50, order_by="UpdatedAt", order_direction="ASCENDING")
    assert page.query == (
        ("Status", "PENDING"),
        ("CreatedAt.After", AFTER),
        ("PageNumber", "3"),
        ("PageSize", "50"),
        ("OrderBy", "UpdatedAt"),
        ("OrderDirection", "ASCENDING"),
    )
    assert not isinstance(page, PagedRequest)
    assert (page.method, page.path, page.safe_to_repeat) == ("GET", "/chat/v2/session", True)


def test_the_callers_own_order_stands_unless_the_reading_has_one():
    one = sessions.list_(order_by="LastInteractionAt", order_direction="descending")
    assert dict(one.page().query) == {
        "PageNumber": "1",
        "PageSize": str(MAX_PAGE_SIZE),
        "OrderBy": "LastInteractionAt",
        "OrderDirection": "DESCENDING",
    }
    assert dict(one.page(order_by="CreatedAt", order_direction="ASCENDING").query)["OrderBy"] == "CreatedAt"


def test_bounds_of_a_reading_replace_the_requests_own():
    one = sessions.list_(created_after=AFTER, created_before=BEFORE)
    later = "2026-09-01T12:00:00.000000Z"
    page = one.page(bounds={"CreatedAt.After": later})
    assert page.query.count(("CreatedAt.After", later)) == 1
    assert ("CreatedAt.After", AFTER) not in page.query
    assert ("CreatedAt.Before", BEFORE) in page.query
    assert one.bound("CreatedAt.After") == AFTER
    assert one.bound("UpdatedAt.After") is None


def test_pages_in_the_body():
    one = contacts.filter(name="Maria", created_after=AFTER, created_before=BEFORE)
    assert one.paging is Paging.BODY
    later = "2026-09-01T12:00:00.000000Z"
    page = one.page(2, 10, order_by="CreatedAt", order_direction="ASCENDING", bounds={"CreatedAt.After": later})
    assert page.query == ()
    assert page.body == {
        "name": "Maria",
        "createdAt": {"after": later, "before": BEFORE},
        "pageNumber": 2,
        "pageSize": 10,
        "orderBy": "CreatedAt",
        "orderDirection": "ASCENDING",
    }
    assert one.body == {"name": "Maria", "createdAt": {"after": AFTER, "before": BEFORE}}
    assert one.bound("CreatedAt.Before") == BEFORE
    assert one.bound("UpdatedAt.Before") is None


def test_pages_of_portfolios():
    one = portfolios.list_contacts(ID)
    assert one.paging is Paging.PORTFOLIO
    assert {"Page", "PageSize"} == {name for name, _ in one.page(2, 10).query}


@pytest.mark.parametrize(("number", "size"), [(0, 10), (-1, 10), (1, 0), (1, 101)])
@pytest.mark.parametrize("one", [sessions.list_(), contacts.filter(), portfolios.list_contacts(ID)], ids=repr)
def test_a_page_that_cannot_be_is_refused(one, number, size):
    with pytest.raises(WtsChatArgumentError, match="one has 1 to 100 rows"):
        one.page(number, size)


def test_having_is_a_copy():
    one = sessions.list_()
    assert one.having(order_by="CreatedAt").order_by == "CreatedAt"
    assert one.order_by is None


# ---------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("rows", "mismatch"),
    [
        ([], None),
        ([{"contactId": ID, "status": "PENDING"}], None),
        ([{"contactId": ID.upper(), "status": "started"}], None),
        ([{"id": OTHER}], None),
        ([{"contactId": ID, "status": "PENDING"}, {"contactId": OTHER, "status": "PENDING"}], "contactId"),
        ([{"contactId": None}], "contactId"),
        ([{"contactId": ID, "status": "COMPLETED"}], "status"),
    ],
)
def test_a_filter_that_the_api_ignored_is_noticed(rows, mismatch):
    assert sessions.list_(contact_id=ID, status=["PENDING", "STARTED"]).mismatch(rows) == mismatch


def test_lists_below_another_thing_expect_its_id():
    assert messages.list_(ID).mismatch([{"sessionId": OTHER}]) == "sessionId"
    assert sessions.list_().mismatch([{"contactId": OTHER}]) is None
