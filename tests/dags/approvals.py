"""Two approvals: one is given on WhatsApp, the other one in the UI."""

import json
import os

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_provider_wtschat.operators.approval import WhatsAppApprovalOperator

CASE = json.loads(os.environ.get("WTSCHAT_TEST_CASE", "{}"))

with DAG("approvals", schedule="@once", start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    for name, session_id in CASE.items():
        asked = WhatsAppApprovalOperator(
            task_id=name, session_id=session_id, subject=f"Go on with {name}?", poll_interval=5, response_timeout=300
        )
        asked >> EmptyOperator(task_id=f"after_{name}")
