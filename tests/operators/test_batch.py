"""Any number of things, a hundred per request: how far it got, and that nothing goes out twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError, WtsChatRateLimitError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.contact import BatchSaveContactsOperator
from airflow_provider_wtschat.operators.message import SendTemplateBatchOperator
from tests.operators.account import Account
from tests.operators.conftest import Store, Tries

SEND = "POST /chat/v1/send/template/batch"
SAVE = "POST /core/v2/contact/batch"


def to_many(account: Account, count: int, **arguments: Any) -> SendTemplateBatchOperator:
    parameters = account.parameters("boas_vindas")
    messages = [{"to": account.phone(), "parameters": parameters} for _ in range(count)]
    return SendTemplateBatchOperator(
        task_id="send",
        **{"from_channel": "551133330001", "template_name": "boas_vindas", "messages": messages, **arguments},
    )


def recipients(operator: SendTemplateBatchOperator) -> list[str]:
    return [message["to"] for message in operator.messages]


def sent(account: Account, operator: SendTemplateBatchOperator) -> list[str]:
    wanted = set(recipients(operator))
    return [to for send in account.simulator.sends if (to := (send.recipient or "").replace("+55|", "55")) in wanted]


@pytest.mark.parametrize("count", [1, 100, 101, 250])
def test_each_recipient_once_in_order(account: Account, once: Tries, count: int):
    operator = to_many(account, count)
    before = len([request for request in account.simulator.requests if request.operation == SEND])
    results = once(operator)
    assert [row["to"] for row in results] == recipients(operator) == sent(account, operator)
    assert len({row["id"] for row in results}) == count
    requests = [request for request in account.simulator.requests if request.operation == SEND]
    assert len(requests) - before == -(-count // 100)


def test_an_empty_list_is_nothing_to_do(account: Account, once: Tries):
    before = account.requests
    assert once(to_many(account, 0)) == []
    assert account.requests == before


def test_a_mistake_in_one_sends_none(account: Account, once: Tries):
    operator = to_many(account, 150)
    operator.messages[120]["to"] = "12"
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=r"messages\[120\]\['to'\]"):
        once(operator)
    assert account.requests == before


@pytest.mark.parametrize("fault", ["lost_after", "502_acted", "cut_json"])
def test_a_cut_says_how_far_it_got_and_is_not_sent_again(account: Account, tries: Tries, fault: str):
    operator = to_many(account, 250)
    account.simulator.inject(fault, on=SEND, skip=1)
    with pytest.raises(WtsChatFailedError) as failed:
        tries(operator)
    said = str(failed.value)
    assert "Of 250 messages: messages[0:100] are done" in said
    assert "messages[100:200] may be done" in said
    assert "messages[200:250] were not tried" in said
    assert [row["to"] for row in tries.ti.pushed["partial_results"]] == recipients(operator)[:100]
    with pytest.raises(WtsChatFailedError):
        tries(operator)
    assert sent(account, operator) == recipients(operator)[:200]


def test_what_was_not_sent_is_sent_by_a_later_try(account: Account):
    operator, tries = to_many(account, 250), Tries(Store())
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=SEND, skip=1, times=None, retry_after="0.05")
    with pytest.raises(WtsChatRateLimitError, match="a retry goes on from there"):
        tries(operator)
    account.simulator.application.faults.clear()
    operator.__dict__["hook"] = WtsChatHook()
    results = tries(operator)
    assert [row["to"] for row in results] == recipients(operator) == sent(account, operator)


def test_without_memory_the_rest_is_left_to_the_user(account: Account):
    operator, tries = to_many(account, 150), Tries(None)
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=SEND, skip=1, times=None, retry_after="0.05")
    with pytest.raises(WtsChatFailedError, match=r"messages\[100:150\] are not done; run what is not done"):
        tries(operator)
    account.simulator.application.faults.clear()
    with pytest.raises(WtsChatFailedError, match="may_repeat=True"):
        tries(operator)
    assert sent(account, operator) == recipients(operator)[:100]


@pytest.mark.parametrize("may_repeat", [True, False])
def test_without_memory_a_retry_is_left_to_airflow_only_where_it_would_send(account: Account, may_repeat: bool):
    operator, tries = to_many(account, 50, may_repeat=may_repeat), Tries(None)
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=SEND, times=None, retry_after="0.05")
    with pytest.raises(WtsChatRateLimitError if may_repeat else WtsChatFailedError):
        tries(operator)
    account.simulator.application.faults.clear()
    operator.__dict__["hook"] = WtsChatHook()
    if may_repeat:
        tries(operator)
    assert sent(account, operator) == (recipients(operator) if may_repeat else [])


def test_other_recipients_in_a_later_try_are_refused(account: Account):
    operator, tries = to_many(account, 120), Tries(Store())
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=SEND, skip=1, times=None, retry_after="0.05")
    with pytest.raises(WtsChatRateLimitError):
        tries(operator)
    account.simulator.application.faults.clear()
    operator.__dict__["hook"] = WtsChatHook()
    first = sent(account, operator)
    operator.messages.insert(0, {"to": account.phone()})
    with pytest.raises(WtsChatFailedError, match=r"Try 1 .*something else.*messages\[0:100\] may be done"):
        tries(operator)
    del operator.messages[0]
    messages: Any = operator.messages
    messages[3], parameters = {**messages[3], "parameters": {"nome": "Eva"}}, messages[3]
    with pytest.raises(WtsChatFailedError, match=r"Try 1 .*something else"):
        tries(operator)
    operator.messages[3] = parameters
    assert [row["to"] for row in tries(operator)] == recipients(operator) == sent(account, operator)
    assert len(first) == 100


def test_may_repeat_sends_the_uncertain_ones_again(account: Account):
    operator, tries = to_many(account, 150, may_repeat=True), Tries(Store())
    account.simulator.inject("lost_after", on=SEND)
    with pytest.raises(WtsChatError):
        tries(operator)
    assert [row["to"] for row in tries(operator)] == recipients(operator)
    assert len(sent(account, operator)) == 250


@pytest.mark.parametrize("order", ["shuffled", "partial"])
def test_results_belong_to_their_recipients(account: Account, once: Tries, order: str):
    object.__setattr__(account.world.options, "batch_results", order)
    try:
        operator = to_many(account, 8)
        results = once(operator)
    finally:
        object.__setattr__(account.world.options, "batch_results", "ordered")
    assert [row["to"] for row in results] == recipients(operator)
    by_recipient = {account.sent_to(to)[0].message_id: to for to in recipients(operator)}
    known = [row for row in results if "id" in row]
    assert all(by_recipient[row["id"]] == row["to"] for row in known)
    assert len(known) == (8 if order == "shuffled" else 6)
    assert {row["status"] for row in results if "id" not in row} <= {"UNKNOWN"}


def test_a_message_that_fails_at_once_has_its_reason(account: Account, once: Tries, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(account.world, "options", replace(account.world.options, message_step_s=0.0))
    operator = to_many(account, 2)
    operator.messages[0] |= {"sender_id": "order-17"}
    account.world.failing_recipients.add(f"+55|{recipients(operator)[1][2:]}")
    results = once(operator)
    assert results[0]["senderId"] == "order-17"
    assert [(row["status"] == "FAILED", row["failedReason"]) for row in results] == [
        (False, None), (True, "Número não está no WhatsApp"),
    ]  # fmt: skip
    assert account.sent_to(recipients(operator)[0])[0].sender_id == "order-17"


def test_messages_may_be_text(account: Account, once: Tries):
    to = account.phone()
    parameters = account.parameters("boas_vindas")
    for messages in (f"[{{'to': '{to}', 'parameters': {parameters}}}]",):
        (row,) = once(to_many(account, 0, messages=messages))
        assert row["to"] == to


# Contacts


def contacts(account: Account, count: int) -> list[dict[str, Any]]:
    return [{"name": f"Cliente {n}", "phone_number": account.phone()} for n in range(count)]


def test_contacts_are_saved_again_without_harm(account: Account, tries: Tries):
    operator = BatchSaveContactsOperator(
        task_id="save", contacts=contacts(account, 130), upsert=True, fields=["id", "name"]
    )
    account.simulator.inject("lost_after", on=SAVE)
    first = tries(operator)
    assert [row["name"] for row in first] == [row["name"] for row in operator.contacts]
    assert tries(operator) == first


def test_contacts_that_nothing_finds_again_are_saved_once(account: Account, tries: Tries):
    names = [f"Nome {account.phone()}" for _ in range(130)]
    operator = BatchSaveContactsOperator(task_id="save", contacts=[{"name": name, "instagram": None} for name in names])
    given: Any = operator.contacts
    given[5] = {
        **given[5],
        "phone_number": account.phone(),
        "sequence_ids": [account.sequence("Pós-venda")],
    }
    for row in operator.contacts:
        row.setdefault("phone_number", account.phone())
    account.simulator.inject("lost_after", on=SAVE)
    with pytest.raises(WtsChatFailedError, match=r"contacts\[0:100\] may be done"):
        tries(operator)
    with pytest.raises(WtsChatFailedError):
        tries(operator)
    saved = [contact.name for contact in account.world.contacts if contact.name in set(names)]
    assert sorted(saved) == sorted(names[:100])


def test_custom_fields_of_contacts_are_checked_first(account: Account, once: Tries):
    rows = contacts(account, 101)
    rows[100]["custom_fields"] = {"pointos": 3}
    books = len(account.simulator.books)
    with pytest.raises(WtsChatFailedError, match=r"pointos.*pontos"):
        once(BatchSaveContactsOperator(task_id="save", contacts=rows, upsert=True))
    assert len(account.simulator.books) == books


def test_fields_are_checked_before_anything_is_saved(account: Account, once: Tries):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match="fields"):
        once(BatchSaveContactsOperator(task_id="save", contacts=contacts(account, 1), fields=[""]))
    assert account.requests == before
