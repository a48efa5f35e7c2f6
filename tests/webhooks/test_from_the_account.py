"""From a change in the account, over its subscription and the receiver, to the task that reads it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.operators.webhook import EnsureWebhookOperator, ReadWebhooksOperator
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from airflow_provider_wtschat.webhooks.receiver import Receiver
from tests.webhooks.test_receiver import SECRETS, serving


class Run:
    """As much of a task instance as the operators need."""

    dag_id, task_id, run_id, map_index, try_number = "dag", "read", "run", -1, 1

    def xcom_push(self, key: str, value: Any) -> None:
        pass

    def xcom_pull(self, **_: Any) -> None:
        pass


def test_what_happens_is_read_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_limits: None) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", SECRETS[0])
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    context: Any = {"ti": Run()}
    with (
        Simulator(sessions=10, seed=8, limits=False, strict=True, message_step_s=0.01) as simulator,
        serving(Receiver()) as port,
    ):
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_BASE_URL", f"http://127.0.0.1:{port}")
        events = ["SESSION_NEW", "MESSAGE_RECEIVED"]
        EnsureWebhookOperator(task_id="ensure", name="airflow", events=events).execute(context)
        simulator.world.deliveries.repeat(20)
        opened = [simulator.world.create_session().id for _ in range(50)]
        received = [simulator.world.add_inbound_message(each, "Olá, sou a Maria").id for each in opened]
        deadline = time.monotonic() + 60
        while not simulator.world.deliveries.idle() and time.monotonic() < deadline:
            time.sleep(0.05)
        found = ReadWebhooksOperator(task_id="read").execute(context)
        assert {each.status for each in simulator.world.deliveries.made} == {200}
        assert len(simulator.world.deliveries.made) == 120
        assert ReadWebhooksOperator(task_id="read").execute(context) == found  # tried again
        context["ti"].run_id = "the next"
        assert ReadWebhooksOperator(task_id="read").execute(context) == []
    assert [row["ids"]["session_id"] for row in found if row["type"] == "SESSION_NEW"] == opened
    assert [row["ids"]["message_id"] for row in found if row["type"] == "MESSAGE_RECEIVED"] == received
    assert "Maria" not in json.dumps(found)
    get_inbox().close()
