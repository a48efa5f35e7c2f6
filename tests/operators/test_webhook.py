"""Subscriptions are made once and kept as wanted; what came is read once, whoever starts the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatServerError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.webhook import (
    DeleteWebhookOperator,
    EnsureWebhookOperator,
    ReadWebhooksOperator,
)
from airflow_provider_wtschat.webhooks.inbox import InboxError, get_inbox
from tests.operators.account import Account
from tests.operators.conftest import TaskInstance
from tests.webhooks.test_inbox import event

SECRET = "a secret of this deployment"
CREATE = "POST /core/v1/webhook/subscription"


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_BASE_URL", "https://airflow.example")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))


def ensure(name: str, **arguments: Any) -> Any:
    given = {"events": ["SESSION_NEW", "MESSAGE_RECEIVED"], **arguments}
    return EnsureWebhookOperator(task_id="ensure", name=name, **given).execute({"ti": TaskInstance()})


def named(account: Account, name: str) -> list[Any]:
    return [row for row in account.get("/core/v1/webhook/subscription") if row["name"] == name]


def test_a_subscription_is_made_once_and_posts_here(account: Account) -> None:
    name = account.contact().id
    first = ensure(name)
    (row,) = named(account, name)
    assert row["url"] == webhook_address.url("wtschat_default")
    assert first == {
        "id": row["id"], "name": name, "events": ["SESSION_NEW", "MESSAGE_RECEIVED"], "enabled": True,
    }  # fmt: skip
    assert webhook_address.token(SECRET, "wtschat_default") not in json.dumps(first)
    writes = len(account.simulator.books)
    assert ensure(name, events="['MESSAGE_RECEIVED', 'SESSION_NEW']")["id"] == first["id"]
    assert len(account.simulator.books) == writes


@pytest.mark.parametrize("changes", [{"events": ["CONTACT_NEW"]}, {"enabled": False}, {"url": "https://other.example"}])
def test_what_differs_is_updated(account: Account, changes: dict[str, Any]) -> None:
    name = account.contact().id
    first = ensure(name)
    assert ensure(name, **changes)["id"] == first["id"]
    (row,) = named(account, name)
    shown = {**row, "events": [each["event"] for each in row["events"]]}
    assert {key: shown[key] for key in changes} == changes


@pytest.mark.parametrize("fault", ["lost_after", "lost_before", "504_acted", "502"])
def test_a_lost_answer_makes_no_second_subscription(account: Account, fault: str) -> None:
    name = account.contact().id
    account.simulator.inject(fault, on=CREATE)
    try:
        ensure(name)
    except WtsChatServerError:  # which Airflow retries
        ensure(name)
    assert len(named(account, name)) == 1


def test_without_a_secret_there_is_no_address(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", "")
    requests = account.requests
    with pytest.raises(WtsChatFailedError, match="webhook_secret"):
        ensure("nowhere")
    assert account.requests == requests


def test_a_deletion_is_done_once(account: Account) -> None:
    name = account.contact().id
    first = ensure(name)

    def delete(**arguments: Any) -> Any:
        return DeleteWebhookOperator(task_id="delete", **arguments).execute({"ti": TaskInstance()})

    assert delete(name=name) == [first["id"]]
    assert delete(name=name) == []
    assert delete(subscription_id=first["id"]) == [first["id"]]
    assert named(account, name) == []
    with pytest.raises(WtsChatFailedError, match="one of them"):
        delete(name=name, subscription_id=first["id"])
    with pytest.raises(WtsChatFailedError, match="one of them"):
        delete()


def test_the_test_of_the_connection_says_whether_webhooks_come_here(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in account.get("/core/v1/webhook/subscription"):
        DeleteWebhookOperator(task_id="delete", subscription_id=row["id"]).execute({"ti": TaskInstance()})
    assert WtsChatHook().test_connection()[1].endswith("; no webhook subscription posts here")
    ensure("airflow", url="https://other.example/wtschat/webhooks/wtschat_default/" + "0" * 64)
    assert WtsChatHook().test_connection()[1].endswith("; no webhook subscription posts here")
    ensure("airflow")
    ok, message = WtsChatHook().test_connection()
    assert ok
    assert message.endswith("; webhooks are posted here by 'airflow' for connection 'wtschat_default'")
    ensure("airflow", enabled=False)
    assert WtsChatHook().test_connection()[1].endswith("(disabled)")
    assert webhook_address.token(SECRET, "wtschat_default") not in message
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", "")
    assert "webhook" not in WtsChatHook().test_connection()[1]


# --- Reading ----------------------------------------------------------------------------------------------------------


class Run(TaskInstance):
    """A task instance that tells where it belongs."""

    dag_id = "dag"

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self.run_id = run_id or str(uuid4())


def put(*numbers: int, conn_id: str = "wtschat_default") -> None:
    get_inbox().put([(conn_id, event(number)) for number in numbers])


def read(ti: Run | None = None, **arguments: Any) -> list[int]:
    rows = ReadWebhooksOperator(task_id="read", **arguments).execute({"ti": ti or Run()})
    assert json.loads(json.dumps(rows)) == rows
    return [int(row["ids"]["contact_id"][-12:]) for row in rows]


def test_each_event_is_read_by_one_run_of_each_consumer() -> None:
    put(1, 2)
    put(9, conn_id="other")
    assert read() == [1, 2]
    assert read() == []
    put(3)
    assert read() == [3]
    assert read(consumer="another") == [1, 2, 3]
    assert read(wtschat_conn_id="other") == [9]


def test_what_is_too_much_is_left_for_the_next_run() -> None:
    put(*range(2500))
    first, second = Run(), Run()
    assert read(first, max_events=1200) == list(range(1200))
    assert first.pushed["truncated"] is True
    assert read(second, max_events="1300") == list(range(1200, 2500))
    assert second.pushed["truncated"] is False


def test_a_task_that_is_tried_again_returns_the_same_events() -> None:
    """Whatever was lost of its first try, and whatever others have read meanwhile."""
    put(1, 2, 3)
    assert read(Run("first"), max_events=2) == [1, 2]
    put(4)
    again = Run("first")
    assert read(again, max_events=2) == [1, 2]
    assert again.pushed["truncated"] is True
    assert read(Run("second")) == [3, 4]
    assert read(again) == [1, 2]
    assert again.pushed["truncated"] is False
    assert read(Run("second")) == [3, 4]
    assert read() == []


def test_a_try_that_ends_before_its_place_moves_takes_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    put(1, 2)
    with monkeypatch.context() as broken:
        broken.setattr(type(get_inbox()), "move", Mock(side_effect=InboxError("the disk is full")))
        with pytest.raises(WtsChatServerError):
            read(Run("first"))
    put(3)
    assert read(Run("first")) == [1, 2]
    assert read(Run("second")) == [3]


def test_other_types_are_passed_over() -> None:
    put(1, 2)
    assert read(events=["SESSION_NEW"]) == []
    put(3)
    assert read(events="CONTACT_NEW") == [3]


def test_a_run_that_fails_reads_again() -> None:
    put(1)

    class Failing(Run):
        def xcom_push(self, key: str, value: Any) -> None:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        read(Failing())
    assert read() == [1]


@pytest.mark.parametrize("arguments", [{"events": []}, {"events": "None"}, {"max_events": 0}, {"wtschat_conn_id": " "}])
def test_an_argument_that_is_nothing_is_refused(arguments: dict[str, Any]) -> None:
    put(1)
    with pytest.raises(WtsChatFailedError, match=next(iter(arguments))):
        read(**arguments)


def test_an_inbox_that_is_away_may_be_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", "redis://user:secret@127.0.0.1:9/0")
    with pytest.raises(WtsChatServerError, match="inbox") as failed:
        read()
    assert failed.value.retryable
    assert "secret" not in str(failed.value)
