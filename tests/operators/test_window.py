"""A text that WhatsApp would not deliver, because its 24 h window is not open, is not sent."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatUncertainError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.base import ANY_ID
from airflow_provider_wtschat.operators.message import SendTextOperator
from tests.operators.account import Account
from tests.operators.conftest import Store, Tries, new_dag

pytestmark = pytest.mark.airflow

DAY = 24 * 3600
TEXT = "POST /chat/v1/send/text"
CHANNEL = "Matriz"
TEMPLATE = {
    "when_window_closed": "template",
    "fallback_template_name": "boas_vindas",
    "fallback_template_parameters": {"nome": "Maria"},
}


def nobody(account: Account) -> dict[str, Any]:
    return {"to": account.phone()}


def contact_without_session(account: Account) -> dict[str, Any]:
    return {"to": account.contact().phone}


def written_to(account: Account, *, window: str = "ACTIVE", **values: Any) -> Any:
    contact = account.contact()
    channel = account.channel(CHANNEL)
    session = account.world.create_session(contact_id=contact.id, channel_id=channel, window=window, **values)
    return contact, session


def open_by_number(account: Account) -> dict[str, Any]:
    return {"to": written_to(account)[0].phone}


def open_by_session(account: Account) -> dict[str, Any]:
    return {"session_id": written_to(account)[1].id}


def closed_by_number(account: Account) -> dict[str, Any]:
    return {"to": written_to(account, window="EXPIRED")[0].phone}


def closed_by_session(account: Account) -> dict[str, Any]:
    return {"session_id": written_to(account, window="NOT_STARTED")[1].id}


def open_but_concluded(account: Account) -> dict[str, Any]:
    contact, session = written_to(account)
    account.world.conclude_session(session.id)
    return {"to": contact.phone}


def open_on_another_channel(account: Account) -> dict[str, Any]:
    contact = account.contact()
    other = next(row.id for row in account.world.channels if row.id != account.channel(CHANNEL) and row["number"])
    account.world.create_session(contact_id=contact.id, channel_id=other)
    return {"to": contact.phone}


OPEN = [open_by_number, open_by_session]
CLOSED = [
    nobody, contact_without_session, closed_by_number, closed_by_session, open_but_concluded, open_on_another_channel,
]  # fmt: skip


def text(recipient: dict[str, Any], **arguments: Any) -> SendTextOperator:
    channel = {} if "session_id" in recipient else {"from_channel_name": CHANNEL}
    return SendTextOperator(task_id="send", text="Oi", **recipient, **{**channel, **arguments})


def sent(account: Account, recipient: dict[str, Any]) -> list[str]:
    """Return the text, or the template, of each message that went out."""
    account.simulator.world.settle()
    return ["template" if send.template_id else "text" for send in account.sent_to(next(iter(recipient.values())))]


@pytest.mark.parametrize("way", ["template", "skip", "fail"])
@pytest.mark.parametrize("recipient", OPEN, ids=lambda make: make.__name__)
def test_an_open_window_takes_the_text(account: Account, once: Tries, recipient: Any, way: str):
    to = recipient(account)
    once(text(to, **{**(TEMPLATE if way == "template" else {}), "when_window_closed": way.upper()}))
    assert sent(account, to) == ["text"]


@pytest.mark.parametrize("recipient", CLOSED, ids=lambda make: make.__name__)
def test_a_window_that_is_not_open(account: Account, recipient: Any):
    to = recipient(account)
    with pytest.raises(AirflowSkipException, match="not sent"):
        Tries(Store())(text(to, when_window_closed="skip"))
    with pytest.raises(WtsChatFailedError, match="has to write first"):
        Tries(Store())(text(to, when_window_closed="fail"))
    assert sent(account, to) == []
    answer = Tries(Store())(text(to, **TEMPLATE))
    assert answer["id"]
    assert sent(account, to) == ["template"]


@pytest.mark.parametrize("way", [{"synchronous": True}, {"bot_name": "Triagem"}], ids=["synchronous", "bot"])
def test_the_other_ways_to_send(account: Account, once: Tries, way: dict[str, Any]):
    to = nobody(account)
    once(text(to, **TEMPLATE, **way))
    assert sent(account, to) == ["template"]
    assert account.sent_to(to["to"])[0].operation.startswith("POST /chat/v1/message/send")


@pytest.mark.parametrize("from_channel", ["id", "number"])
def test_the_channel_in_other_ways(account: Account, once: Tries, from_channel: str):
    to, channel = open_by_number(account), account.world.channels.get(account.channel(CHANNEL))
    given = {"id": channel.id, "number": str(channel["number"])}[from_channel]
    once(text(to, from_channel_name=None, from_channel=given, when_window_closed="fail"))
    assert sent(account, to) == ["text"]


@pytest.mark.parametrize("recipient", [closed_by_number, closed_by_session], ids=lambda make: make.__name__)
def test_at_most_once(account: Account, recipient: Any):
    """What a later try sends is the same, whatever the window is like by then."""
    to, tries = recipient(account), Tries(Store())
    operator = text(to, **TEMPLATE)
    first = tries(operator)
    session = to.get("session_id") or next(
        row["id"] for row in account.items("/chat/v2/session") if row["id"] == account.sent_to(to["to"])[0].session_id
    )
    account.world.add_inbound_message(session)
    assert tries(operator) == first
    assert sent(account, to) == ["template"]
    operator.fallback_template_parameters = {"nome": "Ana"}
    with pytest.raises(WtsChatFailedError, match="something else"):
        tries(operator)


def test_a_lost_answer_to_the_template(account: Account):
    to, tries = nobody(account), Tries(Store())
    operator = text(to, **TEMPLATE)
    account.simulator.inject("lost_after", on="POST /chat/v1/send/template")
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    operator.__dict__["hook"] = WtsChatHook()
    with pytest.raises(WtsChatFailedError, match="interrupted"):
        tries(operator)
    assert sent(account, to) == ["template"]


def test_a_skip_is_no_send(account: Account):
    """The window is open by the next try."""
    contact, session = written_to(account, window="EXPIRED")
    to, tries = {"to": contact.phone}, Tries(Store())
    with pytest.raises(AirflowSkipException):
        tries(text(to, when_window_closed="skip"))
    account.world.add_inbound_message(session.id)
    tries(text(to, when_window_closed="skip"))
    assert sent(account, to) == ["text"]


def test_without_it_nothing_is_asked(account: Account, once: Tries):
    to, before = open_by_session(account), account.requests
    once(text(to))
    assert account.requests == before + 1


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"when_window_closed": "wait"}, "when_window_closed"),
        ({"when_window_closed": "template"}, "fallback_template_id, fallback_template_name"),
        ({**TEMPLATE, "fallback_template_id": ANY_ID}, "fallback_template_id, fallback_template_name"),
        ({**TEMPLATE, "when_window_closed": "skip"}, "fallback_template_name, fallback_template_parameters"),
        ({**TEMPLATE, "when_window_closed": None}, "fallback_template_name, fallback_template_parameters"),
        ({**TEMPLATE, "fallback_template_parameters": {"nome": " "}}, "fallback_template_parameters"),
        ({"when_window_closed": "skip", "from_channel_name": None}, "from_channel, from_channel_name"),
        ({"when_window_closed": "skip", "to": "@maria"}, "to"),
        ({**TEMPLATE, "to": None, "session_id": ANY_ID, "sender_id": "x"}, "sender_id"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_request(
    account: Account, once: Tries, arguments: dict[str, Any], refused: str
):
    before = account.requests
    with pytest.raises(WtsChatFailedError) as error:
        once(text({}, **{"to": "11 90000-0001", **arguments}))
    assert str(error.value).startswith(refused)
    assert account.requests == before


def test_in_a_dag(account: Account, run_dag: Any):
    opened, closed, other = open_by_number(account), closed_by_number(account), nobody(account)
    with new_dag() as dag:
        common = {"text": "Oi", "from_channel_name": CHANNEL}
        SendTextOperator(task_id="open", **common, **opened, when_window_closed="{{ 'skip' }}")
        SendTextOperator(task_id="skipped", **common, **closed, when_window_closed="skip")
        SendTextOperator(task_id="template", **common, **other, **TEMPLATE, wait_for_status="SENT", poll_interval=0.1)
    run = run_dag(dag)
    assert run.errors == []
    assert run.states == {"open": "success", "skipped": "skipped", "template": "success"}
    assert [sent(account, to) for to in (opened, closed, other)] == [["text"], [], ["template"]]
