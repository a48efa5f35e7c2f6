"""A task of every kind, for the search for what must not be told: on one connection or on several by turns."""

from __future__ import annotations

import json
import os
from datetime import datetime
from itertools import cycle
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.operators.contact import GetContactByPhoneOperator
from airflow_provider_wtschat.operators.message import SendTemplateOperator, SendTextOperator
from airflow_provider_wtschat.operators.session import (
    CreateSessionNoteOperator,
    GetSessionOperator,
    ListSessionsOperator,
    SendSessionTextOperator,
)
from airflow_provider_wtschat.sensors.session import SessionStatusSensor

CASE = json.loads(os.environ["WTSCHAT_TEST_CASE"])


def one_of_each(dag_id: str, conn_ids: list[str]) -> DAG:
    """Make a Dag whose tasks succeed, but for those that are named after what goes wrong with them."""
    session: dict[str, Any] = {"session_id": CASE["session_id"]}
    message = {"to": CASE["phone"], "text": CASE["text"]}
    with DAG(dag_id, schedule="@once", start_date=datetime(2026, 1, 1), default_args={"retries": 0}) as dag:
        ListSessionsOperator(task_id="list", include_details=["ContactDetails"], page_size=10, max_pages=1)
        GetSessionOperator(task_id="get", include_details=["ContactDetails"], **session)
        SendTextOperator(task_id="send_text", **message)
        SendTemplateOperator(
            task_id="send_template",
            to=CASE["phone"],
            from_channel_name="Matriz",
            template_name="modelo_exemplo",
            template_parameters={"1": CASE["parameter"]},
        )
        SendSessionTextOperator(
            task_id="send_and_wait",
            text=CASE["text"],
            wait_for_status="DELIVERED",
            deferrable=True,
            poll_interval=5,
            **session,
        )
        SessionStatusSensor(task_id="wait", target_statuses=["PENDING"], mode="reschedule", **session)
        SessionStatusSensor(
            task_id="wait_times_out",
            target_statuses=["COMPLETED"],
            deferrable=True,
            poke_interval=5,
            timeout=6,
            **session,
        )
        ListSessionsOperator(task_id="revoked")
        GetContactByPhoneOperator(task_id="unknown_contact", phone_number=CASE["stranger"])
        SendTextOperator(task_id="refused_by_api", from_channel=CASE["stranger"], **message)
        CreateSessionNoteOperator(task_id="uncertain", text=CASE["text"], **session)
        SendTextOperator(task_id="refused_argument", to=[CASE["phone"]], text=CASE["text"])
    for task, conn_id in zip(dag.tasks, cycle(conn_ids), strict=False):
        task.wtschat_conn_id = f"{conn_id}_revoked" if task.task_id == "revoked" else conn_id
    return dag


for _dag_id, _conn_ids in CASE["dags"].items():
    globals()[_dag_id] = one_of_each(_dag_id, _conn_ids)
