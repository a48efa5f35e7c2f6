"""What a trigger says is what the worker reads, and no word of a person gets into it."""

from __future__ import annotations

import inspect
import json

import pytest

from airflow_provider_wtschat import exceptions
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.waiting import MessageHasStatus, Outcome, complete, failed
from airflow_provider_wtschat.waiting.events import error_event, outcome_event

ID = "00000000-0000-4000-8000-0000000000aa"
CONDITION = MessageHasStatus(message_id=ID, target_statuses="READ")
KINDS = [
    kind for kind in vars(exceptions).values() if inspect.isclass(kind) and issubclass(kind, WtsChatError)
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_trigger_becomes_one_of_the_worker(kind: type[WtsChatError]) -> None:
    secret = "+55 11 98765-4321"
    error = kind("to", secret) if kind is WtsChatArgumentError else kind(secret, status=418, text=secret)
    event = json.loads(json.dumps(error_event(error)))
    assert "98765" not in str(event)
    with pytest.raises(WtsChatError) as raised:
        complete(WtsChatHook(), CONDITION, event, timeout=3)
    assert ID in str(raised.value)
    assert raised.value.retryable is error.retryable
    if kind is WtsChatArgumentError:
        assert raised.value.argument == "wtschat_conn_id"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(None, "timeout"), (Outcome(reached=True, status="READ"), "reached"),
     (Outcome(reached=False, status="FAILED", reason="Número +5511987654321"), "failed")],
)  # fmt: skip
def test_an_outcome_travels_without_the_api_s_reason(outcome: Outcome | None, status: str) -> None:
    event = outcome_event(CONDITION, outcome)
    assert (event["status"], event["id"]) == (status, ID)
    assert "98765" not in json.dumps(event)


def test_a_number_in_the_api_s_reason_is_masked() -> None:
    error = failed(CONDITION, Outcome(reached=False, status="FAILED", reason="O número +5511987654321 não existe"))
    assert "não existe" in str(error)
    assert "98765" not in f"{error} {error.text}"
