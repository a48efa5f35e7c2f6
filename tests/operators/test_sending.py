"""At most once: what must not be done twice, over the tries of a task."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_wtschat.exceptions import (
    WtsChatConnectionError,
    WtsChatFailedError,
    WtsChatRateLimitError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.base import ANY_ID
from airflow_provider_wtschat.operators.chatbot import SendChatbotOperator
from airflow_provider_wtschat.operators.contact import CreateContactOperator, UpdateContactOperator
from airflow_provider_wtschat.operators.memory import STATE_KEY, State
from airflow_provider_wtschat.operators.message import SendFileOperator, SendTemplateOperator, SendTextOperator
from airflow_provider_wtschat.operators.panel import CreateCardOperator
from airflow_provider_wtschat.operators.scheduled_message import ScheduleMessageOperator
from airflow_provider_wtschat.operators.session import SendSessionFileOperator, SendSessionTextOperator
from tests.conftest import AIRFLOW_2
from tests.operators.account import Account
from tests.operators.conftest import Store, TaskInstance, Tries, new_dag

SEND = "POST /chat/v1/session/{id}/message"
CARD = "POST /crm/v2/panel/card"


def send(account: Account, **arguments: Any) -> SendSessionTextOperator:
    return SendSessionTextOperator(task_id="send", session_id=account.session(), text="Oi", **arguments)


def sent(account: Account, operator: Any) -> int:
    return len(account.sent_to(operator.session_id))


def test_a_later_try_returns_what_was_sent(account: Account):
    operator, tries = send(account), Tries(Store())
    first = tries(operator)
    assert tries(operator) == first
    assert sent(account, operator) == 1


def test_without_memory_a_later_try_refuses(account: Account):
    operator, tries = send(account), Tries(None)
    tries(operator)
    with pytest.raises(WtsChatFailedError, match=r"Try 2.*before 3.3.*may_repeat=True"):
        tries(operator)
    assert sent(account, operator) == 1


@pytest.mark.parametrize("fault", ["lost_after", "lost_before", "502_acted", "truncated", "empty", "500_acted"])
def test_what_may_be_out_is_not_sent_again(account: Account, tries: Tries, fault: str):
    operator = send(account)
    account.simulator.inject(fault, on=SEND)
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    with pytest.raises(WtsChatFailedError, match="may_repeat=True"):
        tries(operator)
    assert sent(account, operator) == (0 if fault == "lost_before" else 1)


def test_may_repeat_sends_again(account: Account, tries: Tries):
    operator = send(account, may_repeat="true")
    account.simulator.inject("lost_after", on=SEND)
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    tries(operator)
    assert sent(account, operator) == 2


def test_what_is_known_not_to_be_out_is_sent_by_a_later_try(account: Account):
    operator, tries = send(account), Tries(Store())
    operator.__dict__["hook"] = WtsChatHook(max_wait=0.2)
    account.simulator.inject("429", on=SEND, times=None, retry_after="0.05")
    with pytest.raises(WtsChatRateLimitError):
        tries(operator)
    account.simulator.application.faults.clear()
    operator.__dict__["hook"] = WtsChatHook()
    tries(operator)
    assert sent(account, operator) == 1


def test_a_refused_send_fails_for_good_and_is_known_as_not_sent(account: Account):
    operator, store = send(account), Store()
    account.simulator.inject("entity_error_save", on=SEND)
    with pytest.raises(WtsChatFailedError):
        Tries(store)(operator)
    assert store.get(STATE_KEY)["state"] == State.NOT_SENT


def test_a_refused_argument_is_no_send(account: Account, tries: Tries):
    operator = SendSessionTextOperator(task_id="send", session_id=account.session(), text="None")
    before = account.requests
    with pytest.raises(WtsChatFailedError, match="text"):
        tries(operator)
    assert account.requests == before
    assert tries.store is None or tries.store.get(STATE_KEY)["state"] == State.NOT_SENT


def test_a_killed_try_may_have_sent(account: Account):
    operator, store = send(account), Store()

    class Killed(BaseException):
        pass

    class Hook(WtsChatHook):
        def run(self, request: Any, **how: Any) -> Any:
            raise Killed

    operator.__dict__["hook"] = Hook()
    tries = Tries(store)
    with pytest.raises(Killed):
        tries(operator)
    del operator.__dict__["hook"]
    with pytest.raises(WtsChatFailedError, match=r"Try 1 .*was interrupted"):
        tries(operator)
    assert sent(account, operator) == 0


def test_a_state_that_cannot_be_kept_is_no_failure(account: Account):
    class Forgetful(Store):
        def set(self, key: str, value: Any) -> None:
            if value["state"] == State.SENT:
                message = "out of order"
                raise RuntimeError(message)
            super().set(key, value)

    operator, tries = send(account), Tries(Forgetful())
    assert tries(operator)["id"] == account.sent_to(operator.session_id)[0].message_id
    with pytest.raises(WtsChatFailedError, match="was interrupted"):
        tries(operator)
    assert sent(account, operator) == 1


def test_what_was_sent_needs_its_file_no_more(account: Account, tmp_path: Path):
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.4")
    operator = SendSessionFileOperator(task_id="send", session_id=account.session(), file_path=str(file))
    tries = Tries(Store())
    answer = tries(operator)
    file.unlink()
    before = account.requests
    assert tries(operator) == answer
    assert account.requests == before


def test_a_mistake_in_may_repeat_asks_nothing(account: Account, tries: Tries):
    operator = CreateCardOperator(
        task_id="create", step_name="Lead", panel_name="Vendas", title="x", may_repeat="perhaps"
    )
    before = account.requests
    with pytest.raises(WtsChatFailedError, match="may_repeat"):
        tries(operator)
    assert account.requests == before


def test_creations_are_guarded_too(account: Account, tries: Tries):
    operator = CreateCardOperator(task_id="create", step_id=account.step("Vendas", "Lead"), title=account.phone())
    account.simulator.inject("lost_after", on=CARD)
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    with pytest.raises(WtsChatFailedError, match="may_repeat=True"):
        tries(operator)
    assert [card["title"] for card in account.world.cards].count(operator.title) == 1


def test_what_finds_itself_again_is_repeated(account: Account, tries: Tries):
    operator = CreateContactOperator(task_id="create", phone_number=account.phone(), name="Eva", upsert=True)
    account.simulator.inject("lost_after", on="POST /core/v1/contact")
    first = tries(operator)
    assert tries(operator)["id"] == first["id"]


def test_an_update_that_writes_to_the_contact_is_guarded(account: Account, tries: Tries):
    operator = UpdateContactOperator(
        task_id="update", contact_id=account.contact().id, sequence_ids=[account.sequence("Pós-venda")]
    )
    account.simulator.inject("lost_after", on="PUT /core/v2/contact/{id}")
    with pytest.raises(WtsChatUncertainError):
        tries(operator)
    with pytest.raises(WtsChatFailedError):
        tries(operator)


def test_an_interrupted_read_is_repeated(account: Account, tries: Tries):
    operator = UpdateContactOperator(task_id="update", contact_id=account.contact().id, name="Eva")
    account.simulator.inject("lost_after", on="PUT /core/v2/contact/{id}")
    assert tries(operator)["name"] == tries(operator)["name"] == "Eva"


@pytest.mark.airflow
def test_retries_in_a_real_dag(account: Account, run_dag: Any, monkeypatch: pytest.MonkeyPatch):
    """The first try cannot connect and the second can: 3.3 knows that nothing was sent, 2.11 does not."""
    attempts = []
    answer = WtsChatHook.answer

    def fail_once(self: WtsChatHook, request: Any, **how: Any) -> Any:
        attempts.append(request)
        if len(attempts) == 1:
            message = "no connection"
            raise WtsChatConnectionError(message, retryable=True)
        return answer(self, request, **how)

    monkeypatch.setattr(WtsChatHook, "answer", fail_once)
    session_id = account.session()
    with new_dag() as dag:
        SendSessionTextOperator(
            task_id="send", session_id=session_id, text="Oi", retries=2, retry_delay=timedelta(seconds=0)
        )
    run = run_dag(dag)
    if AIRFLOW_2:
        assert run.states == {"send": "failed"}
        assert "before 3.3 keeps no memory" in str(run.error("send"))
        assert account.sent_to(session_id) == []
    else:
        assert run.states == {"send": "success"}
        assert len(account.sent_to(session_id)) == 1
    assert len(attempts) == (1 if AIRFLOW_2 else 2)


@pytest.mark.airflow
def test_a_failure_after_the_send_does_not_send_again_in_a_real_dag(account: Account, run_dag: Any):
    """The task fails after it has sent, and Airflow tries it again."""

    class Clumsy(SendSessionTextOperator):
        def execute(self, context: Any) -> Any:
            result = super().execute(context)
            if context["ti"].try_number == 1:
                message = "stumbled"
                raise ValueError(message)
            return result

    session_id = account.session()
    with new_dag() as dag:
        Clumsy(task_id="send", session_id=session_id, text="Oi", retries=1, retry_delay=timedelta(seconds=0))
    run = run_dag(dag)
    assert run.states == {"send": "failed" if AIRFLOW_2 else "success"}
    assert len(account.sent_to(session_id)) == 1


# Waiting


def text(account: Account, **arguments: Any) -> SendTextOperator:
    contact = account.contact()
    account.session(contact_id=contact.id)
    return SendTextOperator(
        task_id="send",
        **{"to": contact.phone, "text": "Oi", "wait_for_status": "READ", "poll_interval": 0.01} | arguments,
    )


def resumed(message_id: str) -> dict[str, Any]:
    ti = TaskInstance()
    ti.xcom_push("message_id", message_id)
    return {"ti": ti}


def test_a_message_that_fails_fails_the_task_with_the_reason(account: Account, once: Tries):
    operator = text(account)
    contact = account.world.contact_by_phone(operator.to)
    account.world.failing_recipients.add(contact.phone)
    with pytest.raises(WtsChatFailedError, match="FAILED: Número não está no WhatsApp"):
        once(operator)
    assert len(account.sent_to(operator.to)) == 1
    assert once.ti.pushed["message_id"] == account.sent_to(operator.to)[0].message_id


def test_a_wait_that_runs_out_fails_for_good(account: Account, tries: Tries):
    operator = text(account, wait_timeout=0)
    with pytest.raises(WtsChatFailedError, match=r"was sent, and will not be sent again.*0 s"):
        tries(operator)
    with suppress(AirflowFailException):  # by now it may have been read
        tries(operator)
    assert len(account.sent_to(operator.to)) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"wait_for_status": "ARRIVED"}, "^wait_for_status.*SENT"),
        ({"wait_for_status": []}, "^wait_for_status"),
        ({"wait_timeout": "soon"}, "wait_timeout"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"deferrable": "perhaps"}, "deferrable"),
    ],
)
def test_a_mistake_about_the_wait_sends_nothing(account: Account, tries: Tries, arguments: Any, named: str):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=named):
        tries(text(account, **arguments))
    assert account.requests == before


def test_deferring_happens_after_the_send_and_the_message_id(account: Account, once: Tries):
    operator = text(account, deferrable=True, wait_for_status=["DELIVERED"], wait_timeout=90)
    with pytest.raises(TaskDeferred) as deferred:
        once(operator)
    (message,) = account.sent_to(operator.to)
    assert once.ti.pushed["message_id"] == message.message_id
    _, arguments = deferred.value.trigger.serialize()
    assert (arguments["message_id"], arguments["target_statuses"]) == (message.message_id, ["DELIVERED"])
    assert deferred.value.timeout > timedelta(seconds=90)
    assert operator.to not in str(arguments)


@pytest.mark.parametrize(
    ("next_method", "next_kwargs", "said"),
    [
        ("__fail__", {"error": "Trigger failure", "traceback": ["boom"]}, "Trigger failure"),
        ("__fail__", {"error": "Trigger timeout"}, "Trigger timeout"),
        ("execute_complete", {"event": {"status": "timeout"}}, "600 s"),
        (
            "execute_complete",
            {"event": {"status": "error", "error": "WtsChatServerError", "retryable": True}},
            "failed",
        ),
        ("execute_complete", {"event": None}, "without an event"),
    ],
)
def test_whatever_ends_a_deferral_does_not_send_again(
    account: Account, next_method: str, next_kwargs: dict[str, Any], said: str
):
    operator = text(account)
    message_id = account.message(account.session())["id"]
    with pytest.raises(WtsChatFailedError, match=said) as failed:
        operator.resume_execution(next_method, next_kwargs, resumed(message_id))
    assert message_id in str(failed.value)
    assert account.sent_to(operator.to) == []


def test_a_connection_that_is_gone_after_the_send_fails_for_good(account: Account, monkeypatch: pytest.MonkeyPatch):
    operator = text(account)
    monkeypatch.delenv("AIRFLOW_CONN_WTSCHAT_DEFAULT")
    with pytest.raises(WtsChatFailedError, match="will not be sent again") as failed:
        operator.resume_execution("execute_complete", {"event": {"status": "reached"}}, resumed(account.session()))
    assert isinstance(failed.value.__cause__, AirflowException)


@pytest.mark.airflow
def test_send_and_wait_deferred_in_a_real_dag(account: Account, run_dag: Any):
    with new_dag() as dag:
        operator = text(account, deferrable=True, wait_for_status="DELIVERED", poll_interval=5)
    run = run_dag(dag)
    assert run.states == {"send": "success"}
    (message,) = account.sent_to(operator.to)
    assert run.xcom("send")["id"] == run.xcom("send", key="message_id") == message.message_id
    assert run.xcom("send")["status"] in ("DELIVERED", "READ")


@pytest.mark.parametrize(
    ("operator", "content"),
    [
        (SendTextOperator, {"text": "Oi"}),
        (SendFileOperator, {"file_url": "https://example.com/a.png"}),
        (SendFileOperator, {"file_url": "https://example.com/a.ogg"}),
        (SendChatbotOperator, {"bot_name": "Triagem"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_an_instagram_user_is_written_to_by_name(account: Account, once: Tries, operator: type, content: Any):
    channel, person = account.channel("@exemplo"), f"maria.{account.phone()}"
    contact = account.world.create_contact(name="Maria", instagram=person)
    session = account.world.create_session(contact_id=contact.id, channel_id=channel).id
    once(operator(task_id="send", to=f" @{person}", from_channel="@exemplo", **content))
    assert [send.session_id for send in account.sent_to(session)] == [session]


@pytest.mark.parametrize(("to", "what"), [("@maria", "an Instagram user"), (ANY_ID, "an id")])
@pytest.mark.parametrize(
    ("operator", "content"),
    [
        (SendTemplateOperator, {"template_id": ANY_ID, "from_channel": "5511900000001"}),
        (SendTextOperator, {"text": "Oi", "bot_key": ANY_ID, "from_channel": "5511900000001"}),
        (SendTextOperator, {"text": "Oi", "synchronous": True, "from_channel": "5511900000001"}),
        (ScheduleMessageOperator, {"template_id": ANY_ID, "scheduling": "2031-01-01", "from_channel": "5511900000001"}),
    ],
    ids=["template", "bot_key", "synchronous", "scheduled"],
)
def test_who_cannot_be_reached_is_refused_with_what_can(
    account: Account, once: Tries, operator: type, content: Any, to: str, what: str
):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=f"^to: {what} was given; this goes to phone numbers only.*session_id"):
        once(operator(task_id="send", to=to, **content))
    assert account.requests == before
