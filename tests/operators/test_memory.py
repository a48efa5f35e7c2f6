"""What a later try of a task does: each cell of the table in docs/sending.md."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError, WtsChatUncertainError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators import memory
from airflow_provider_wtschat.operators.contact import CreateContactOperator
from airflow_provider_wtschat.operators.message import SendFileOperator, SendTemplateBatchOperator
from airflow_provider_wtschat.operators.panel import CreateCardOperator
from airflow_provider_wtschat.operators.session import SendSessionFileOperator, SendSessionTextOperator
from tests.operators.account import Account
from tests.operators.conftest import Store, Tries

PAGE = Path(__file__).parents[2] / "docs" / "sending.md"
SEND = "POST /chat/v1/session/{id}/message"
BATCH = "POST /chat/v1/send/template/batch"
SERIES = ("3.3", "3.4 cleared", "2.11")


@dataclass
class Story:
    """An earlier try, and the arguments of the later one."""

    operator: Any
    fault: str | None = None
    skip: int = 0
    change: Callable[[Any], None] = lambda operator: None
    raises: type[Exception] = WtsChatError


def text(account: Account, **arguments: Any) -> SendSessionTextOperator:
    return SendSessionTextOperator(task_id="send", session_id=account.session(), text="Oi", **arguments)


def batch(account: Account) -> SendTemplateBatchOperator:
    parameters = account.parameters("boas_vindas")
    return SendTemplateBatchOperator(
        task_id="send",
        from_channel="551133330001",
        template_name="boas_vindas",
        messages=[{"to": account.phone(), "parameters": parameters} for _ in range(150)],
    )


def setting(**values: Any) -> Callable[[Any], None]:
    def change(operator: Any) -> None:
        for name, value in values.items():
            setattr(operator, name, value)

    return change


def another_message(operator: Any) -> None:
    operator.messages = [{**message, "parameters": {"nome": "x"}} for message in operator.messages]


def failed_before(account: Account) -> Story:
    operator = text(account)
    operator.synchronous = "perhaps"  # type: ignore[assignment]
    return Story(operator, raises=WtsChatFailedError, change=setting(synchronous=False))


STORIES: list[Callable[[Account], Story]] = [
    lambda account: Story(text(account)),
    lambda account: Story(text(account), change=setting(text="Olá")),
    lambda account: Story(text(account), fault="entity_error_save"),
    failed_before,
    lambda account: Story(text(account), fault="lost_after"),
    lambda account: Story(batch(account)),
    lambda account: Story(batch(account), fault="429", skip=1),
    lambda account: Story(batch(account), fault="429", skip=1, change=another_message),
    lambda account: Story(text(account), change=setting(may_repeat=True)),
    lambda account: Story(text(account), fault="lost_after", change=setting(may_repeat=True)),
    lambda account: Story(batch(account), fault="429", skip=1, change=setting(may_repeat=True)),
    lambda account: Story(batch(account), change=setting(may_repeat=True)),
]
"""In the order of the table's rows."""


def table() -> list[list[str]]:
    rows = re.findall(r"^\| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    head = next(number for number, row in enumerate(rows) if row.startswith("An earlier try"))
    return [row.split(" | ") for row in rows[head + 2 : head + 2 + len(STORIES)]]


CELLS = [
    pytest.param(story, series, cell, id=f"{row[0]}-{series}")
    for story, row in zip(STORIES, table(), strict=True)
    for series, cell in zip(SERIES, row[1:], strict=True)
]


def test_the_table_has_a_row_for_each_story():
    rows = [
        row for row in PAGE.read_text().splitlines() if row.startswith(("| sent", "| was", "| failed", "| of a batch"))
    ]
    assert len(rows) == len(STORIES)


@pytest.mark.parametrize(("story", "series", "cell"), CELLS)
def test_a_later_try_does_what_the_table_says(
    account: Account, caplog: pytest.LogCaptureFixture, story: Any, series: str, cell: str
):
    told = story(account)
    operator, store = told.operator, None if series == "2.11" else Store()
    tries = Tries(store)
    operation = BATCH if isinstance(operator, SendTemplateBatchOperator) else SEND
    if told.fault:
        operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
        how = {"retry_after": "0.05", "times": None} if told.fault == "429" else {}
        account.simulator.inject(told.fault, on=operation, skip=told.skip, **how)
    first: Any = None
    if told.fault or told.raises is WtsChatFailedError:
        with pytest.raises(told.raises):
            tries(operator)
    else:
        first = tries(operator)
    account.simulator.application.faults.clear()
    operator.__dict__.pop("hook", None)
    if series == "3.4 cleared":
        store.values.clear()
    told.change(operator)
    before = len(account.simulator.sends)
    caplog.clear()
    caplog.set_level(logging.INFO, logger=memory.__name__)
    if cell == "refused":
        with pytest.raises(WtsChatFailedError, match="may_repeat=True"):
            tries(operator)
        assert len(account.simulator.sends) == before
        return
    again = tries(operator)
    total = 150 if operation == BATCH else 1
    sent = {"returned": 0, "the rest is sent": 50, "sent": total}[cell]
    assert len(account.simulator.sends) - before == sent
    said = [record for record in caplog.records if "is not sent again" in record.getMessage()]
    assert len(said) == {"returned": 2 if operation == BATCH else 1, "the rest is sent": 1, "sent": 0}[cell]
    if cell == "returned":
        assert again == first


def test_a_batch_that_is_repeated_goes_on_where_it_was_cut_off(account: Account):
    """With may_repeat all are sent again once, and those of that round are not sent a third time."""
    operator, tries = batch(account), Tries(Store())
    tries(operator)
    operator.may_repeat = True
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=BATCH, skip=1, times=None, retry_after="0.05")
    with pytest.raises(WtsChatError):
        tries(operator)
    account.simulator.application.faults.clear()
    del operator.__dict__["hook"]
    before = len(account.simulator.sends)
    tries(operator)
    assert len(account.simulator.sends) - before == 50


def test_a_refused_repetition_does_not_forget_what_was_sent(account: Account):
    operator, tries = text(account), Tries(Store())
    answer = tries(operator)
    operator.may_repeat = True
    account.simulator.inject("entity_error_save", on=SEND)
    with pytest.raises(WtsChatFailedError):
        tries(operator)
    operator.may_repeat = False
    assert tries(operator) == answer
    assert len(account.sent_to(operator.session_id)) == 1


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda account: text(account), lambda account, operator: setattr(operator, "session_id", account.session())),
        (
            lambda account: CreateCardOperator(task_id="t", panel_name="Vendas", step_name="Lead", title="x"),
            lambda account, operator: setattr(operator, "step_name", "Proposta"),
        ),
        (
            lambda account: CreateContactOperator(task_id="t", name="Eva", phone_number=account.phone()),
            lambda account, operator: setattr(operator, "phone_number", account.phone()),
        ),
    ],
    ids=["session", "step by name", "phone"],
)
def test_another_recipient_is_refused(account: Account, make: Any, change: Any):
    operator, tries = make(account), Tries(Store())
    tries(operator)
    change(account, operator)
    before = account.requests
    with pytest.raises(WtsChatFailedError, match="something else, or to another recipient"):
        tries(operator)
    assert account.requests == before


def test_another_spelling_is_the_same(account: Account):
    phone = account.phone()
    operator, tries = CreateContactOperator(task_id="t", name="Eva", phone_number=phone), Tries(Store())
    answer = tries(operator)
    operator.phone_number = f"+55 ({phone[2:4]}) {phone[4:]}"
    assert tries(operator) == answer


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_counts_by_its_content(account: Account, tmp_path: Path, gone: bool):
    path = tmp_path / "report.pdf"
    path.write_bytes(b"one")
    operator = SendSessionFileOperator(task_id="t", session_id=account.session(), file_path=str(path))
    tries = Tries(Store())
    answer = tries(operator)
    if gone:
        path.unlink()
        assert tries(operator) == answer
        return
    path.write_bytes(b"one")
    assert tries(operator) == answer
    path.write_bytes(b"two")
    with pytest.raises(WtsChatFailedError, match="something else"):
        tries(operator)


def test_a_missing_connection_is_nothing_sent(account: Account, monkeypatch: pytest.MonkeyPatch):
    operator, tries = text(account), Tries(Store())
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_WTSCHAT_DEFAULT")
        with pytest.raises(Exception):  # noqa: B017  # Airflow's own, which differs by release series
            tries(operator)
    tries(operator)
    assert len(account.sent_to(operator.session_id)) == 1


def test_the_state_shows_no_recipient_and_no_content(account: Account):
    contact = account.contact()
    account.session(contact_id=contact.id)
    operator = SendFileOperator(
        task_id="t", to=contact.phone, text="Segredo", file_url="https://example.com/private.pdf"
    )
    stores = [Store(), Store()]
    for store in stores:
        Tries(store)(operator)
    kept = [json.loads(store.values[memory.STATE_KEY]) for store in stores]
    said = json.dumps(kept)
    assert [word for word in (contact.phone, contact.phone[-8:], "Segredo", "private") if word in said] == []
    assert kept[0]["salt"] != kept[1]["salt"]
    assert kept[0]["request"] != kept[1]["request"]


def test_an_uncertain_try_stays_uncertain_whatever_is_sent_then(account: Account):
    operator, tries = text(account), Tries(Store())
    account.simulator.inject("lost_after", on=SEND)
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    operator.text = "Olá"
    with pytest.raises(WtsChatFailedError, match="was interrupted"):
        tries(operator)
