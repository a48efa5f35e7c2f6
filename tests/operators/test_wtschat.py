"""The operator for whatever has none of its own."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatUncertainError
from airflow_provider_wtschat.operators.wtschat import WtsChatOperator
from tests.operators.account import Account
from tests.operators.conftest import Tries


def run(action: Any, arguments: Any = None, **more: Any) -> WtsChatOperator:
    return WtsChatOperator(task_id="run", action=action, arguments=arguments, **more)


def test_actions_and_arguments_from_text(account: Account, once: Tries):
    card = account.card()
    result = once(run(" panels.get_card ", f'{{"card_id": "{card["id"]}"}}'))
    assert result["id"] == card["id"]


@pytest.mark.parametrize(
    ("action", "arguments", "named"),
    [
        ("departments.make", {}, "action.*departments.list, departments.get, departments.create"),
        ("teams.list", {}, "action.*sessions.list.*panels.get_card"),
        ("", {}, "action"),
        (None, {}, "action"),
        ("tags.create", {"nome": "x"}, "arguments: nome is unknown; tags.create takes name"),
        ("panels.get_card", None, "arguments: card_id is missing; panels.get_card takes card_id, include_details"),
        ("panels.get_card", "[1]", "arguments"),
        ("panels.get_card", {"card_id": "7"}, "card_id"),
    ],
)
def test_both_are_checked_before_any_request(account: Account, once: Tries, action: Any, arguments: Any, named: str):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=named):
        once(run(action, arguments))
    assert account.requests == before


def test_lists_follow_the_rules_of_lists(account: Account, once: Tries):
    arguments = {"sequence_id": account.sequence("Recuperação")}
    with pytest.raises(WtsChatFailedError, match="max_rows"):
        once(run("sequences.list_contacts", arguments, max_rows=3))
    rows = once(run("sequences.list_contacts", arguments, page_size=2, max_pages=2, fields=["id"]))
    assert {frozenset(row) for row in rows} == {frozenset(("id",))}
    assert 2 < len(rows) <= 4
    assert once.ti.pushed["truncated"] is True


def test_plain_lists_come_as_they_are(account: Account, once: Tries):
    assert [row["id"] for row in once(run("departments.list"))] == [row.id for row in account.world.departments]


def test_sends_are_at_most_once(account: Account, tries: Tries):
    session_id = account.session()
    operator = run("sessions.send", {"session_id": session_id, "text": "Oi"})
    account.simulator.inject("lost_after", on="POST /chat/v1/session/{id}/message")
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    with pytest.raises(WtsChatFailedError, match="may_repeat"):
        tries(operator)
    assert len(account.sent_to(session_id)) == 1


def test_deletions_can_be_run_again(account: Account, tries: Tries):
    tag = account.post("/core/v1/tag", {"name": f"Etiqueta {account.phone()}"})
    operator = run("tags.delete", {"tag_id": tag["id"]})
    tries(operator)
    assert tries(operator) is None
    assert tag["id"] not in [row["id"] for row in account.items("/core/v1/tag")]


def test_every_operation_has_a_name_that_says_module_and_function():
    for name, function in OPERATIONS.items():
        module = function.__module__.rpartition(".")[2]
        assert name == f"{module}.{function.__name__.removesuffix('_')}"
