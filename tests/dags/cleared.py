"""Tasks that a user clears, each in another state: a cell of the table in docs/sending.md each."""

from __future__ import annotations

import json
import os
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.operators.message import SendTemplateBatchOperator
from airflow_provider_wtschat.operators.panel import CreateCardOperator
from airflow_provider_wtschat.operators.session import CreateSessionNoteOperator, SendSessionTextOperator

CASE = json.loads(os.environ["WTSCHAT_TEST_CASE"])

with DAG("cleared", schedule="@once", start_date=datetime(2026, 1, 1), default_args={"retries": 0}):
    SendSessionTextOperator(task_id="same", session_id=CASE["same"], text="Oi")
    SendSessionTextOperator(task_id="repeated", session_id=CASE["repeated"], text="Oi", may_repeat=True)
    SendSessionTextOperator(task_id="changed", session_id=CASE["changed"], text="Oi, {{ ti.try_number }}")
    CreateSessionNoteOperator(task_id="uncertain", session_id=CASE["uncertain"], text="Oi")
    CreateCardOperator(task_id="not_sent", step_id=CASE["step"], title="Cleared")
    SendTemplateBatchOperator(
        task_id="batch", from_channel="551133330001", template_name="boas_vindas", messages=CASE["messages"]
    )
