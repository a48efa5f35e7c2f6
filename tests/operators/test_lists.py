"""What the list operators put into XCom, and what they refuse to."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.contact import FilterContactsOperator
from airflow_provider_wtschat.operators.message import GetMessageOperator
from airflow_provider_wtschat.operators.session import ListSessionsOperator
from tests.operators.account import Account
from tests.operators.conftest import Tries, new_dag

LIST = "GET /chat/v2/session"


@pytest.fixture
def contact_id(account: Account) -> str:
    """A contact with seven sessions."""
    contact = account.contact()
    for _ in range(7):
        account.session(contact_id=contact.id)
    return str(contact.id)


def listing(contact_id: str, **arguments: Any) -> ListSessionsOperator:
    return ListSessionsOperator(task_id="list", contact_id=contact_id, **arguments)


def reads(account: Account) -> int:
    return len([request for request in account.simulator.requests if request.operation == LIST])


@pytest.mark.parametrize(
    ("arguments", "rows", "truncated"),
    [
        ({}, 7, False),
        ({"page_size": 3}, 7, False),
        ({"page_size": "3", "max_pages": "2"}, 5, True),
        ({"page_size": "4", "max_pages": "2"}, 7, False),
        ({"page_size": 6, "max_pages": 1}, 6, True),
        ({"page_size": 3, "max_pages": 3}, 7, False),
        ({"page_size": 7, "max_pages": 1}, 7, False),
        ({"max_rows": 7}, 7, False),
        ({"page_size": 2, "max_pages": 1, "max_rows": 2}, 2, True),
        ({"page_size": 2, "order_by": "CreatedAt", "order_direction": "DESCENDING"}, 7, False),
    ],
)
def test_rows_and_truncation(
    contact_id: str, once: Tries, arguments: Any, rows: int, truncated: bool, monkeypatch: pytest.MonkeyPatch
):
    log = create_autospec(logging.Logger)
    monkeypatch.setattr(ListSessionsOperator, "log", log, raising=False)
    operator = listing(contact_id, **arguments)
    result = once(operator)
    assert len({row["id"] for row in result}) == rows
    assert once.ti.pushed["truncated"] is truncated
    assert any("max_pages" in call.args[0] for call in log.warning.call_args_list) is truncated


@pytest.mark.parametrize(
    ("number", "size", "rows", "truncated"), [(1, 3, 3, True), (3, 3, 1, True), (4, 3, 0, True), (1, 7, 7, False)]
)
def test_one_page(account: Account, contact_id: str, once: Tries, number: int, size: int, rows: int, truncated: bool):
    before = reads(account)
    assert len(once(listing(contact_id, page_number=number, page_size=size))) == rows
    assert reads(account) == before + 1
    assert once.ti.pushed == {"truncated": truncated, "total_items": 7}


@pytest.mark.parametrize("number", [1, None])
def test_a_filter_that_the_server_ignores_is_told(
    account: Account, contact_id: str, once: Tries, monkeypatch: pytest.MonkeyPatch, number: int | None
):
    operator = listing(contact_id, page_number=number)
    run = WtsChatHook.run

    def ignoring(hook: WtsChatHook, request: Request[Any], **how: Any) -> Any:
        query = tuple(pair for pair in request.query if pair[0] != "ContactId")
        return run(hook, replace(request, query=query), **how)

    monkeypatch.setattr(WtsChatHook, "run", ignoring)
    with pytest.raises(WtsChatFailedError, match="ignored the filter on contactId"):
        once(operator)


def test_too_many_rows_are_refused_by_the_first_page(account: Account, contact_id: str, once: Tries):
    before = reads(account)
    with pytest.raises(WtsChatFailedError) as refused:
        once(listing(contact_id, page_size=2, max_rows=6))
    assert reads(account) == before + 1
    for word in ("max_rows", "7 rows", "at most 6", "max_pages", "fields", "iterate", "WtsChatToSqlOperator"):
        assert word in str(refused.value)


def test_fields_keep_only_what_is_asked_for(contact_id: str, once: Tries):
    rows = once(listing(contact_id, fields=["id", "status"]))
    assert {frozenset(row) for row in rows} == {frozenset(("id", "status"))}
    assert {frozenset(row) for row in once(listing(contact_id, fields="id", page_number=1))} == {frozenset(("id",))}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 101}, "page_size"),
        ({"page_number": 0}, "page_number"),
        ({"page_number": "two"}, "page_number"),
        ({"max_rows": 0}, "max_rows"),
        ({"max_rows": None}, "max_rows"),
        ({"max_pages": -1}, "max_pages"),
        ({"max_pages": 1, "page_number": 1}, "page_number, max_pages"),
        ({"fields": [""]}, "fields"),
        ({"status": ["OPEN"]}, "status.*PENDING"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_after": "2026-02-01", "created_before": "2026-01-01"}, "created_after.*created_before"),
        ({"timezone": "Nowhere/City", "created_after": "2026-02-01"}, "Nowhere/City"),
        ({"order_direction": "UP"}, "order_direction.*ASCENDING"),
        ({"department_id": "None"}, "department_id"),
        ({"tag_ids": []}, "^tag_ids: "),
    ],
)
def test_bad_input_is_refused_before_any_request(account: Account, once: Tries, arguments: Any, named: str):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=named):
        once(ListSessionsOperator(task_id="list", **arguments))
    assert account.requests == before


@pytest.mark.airflow
def test_rows_are_ready_to_expand(account: Account, run_dag: Any):
    session_id = account.session()
    messages = {account.message(session_id)["id"] for _ in range(3)}
    name = f"Cliente {account.phone()}"
    for _ in range(2):
        account.contact(name=name)
    with new_dag() as dag:
        from airflow_provider_wtschat.operators.message import ListMessagesOperator

        rows = ListMessagesOperator(task_id="list", session_id=session_id)
        GetMessageOperator.partial(task_id="get").expand_kwargs(rows.output.map(lambda row: {"message_id": row["id"]}))
        FilterContactsOperator(task_id="filter", name=name, fields=["id"])
    run = run_dag(dag)
    assert run.state == "success", run.errors
    assert {run.xcom("get", map_index=n)["id"] for n in range(3)} == messages
    assert run.xcom("list", key="truncated") is False
    assert len(run.xcom("filter")) == 2
