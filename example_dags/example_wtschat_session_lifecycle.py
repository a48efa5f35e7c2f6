"""
Lead one session through its life: get, update, transfer, write, wait, conclude.

What: takes the session of the parameter ``session_id``, or the one that began last of those that are open.

Needs: a connection ``wtschat_default``, and a department with the name of the parameter ``department_name``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.session import (
    ConcludeSessionOperator,
    GetSessionOperator,
    SendSessionTextOperator,
    TransferSessionOperator,
    UpdateSessionOperator,
)
from airflow_provider_wtschat.sensors.session import SessionStatusSensor

SESSION_ID = "{{ ti.xcom_pull(task_ids='choose') }}"

with DAG(
    dag_id="example_wtschat_session_lifecycle",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "session_id": Param(None, type=["null", "string"], description="A session; default: the newest that is open"),
        "department_name": Param("Geral", type="string", description="The department that receives it"),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def choose() -> str:
        """Choose a session whose 24 h window is open, so that a text can be sent."""
        given = get_current_context()["params"]["session_id"]
        if given:
            return str(given)
        newest = sessions.list_(
            status=["PENDING", "IN_PROGRESS"],
            session_type="INDIVIDUAL",
            order_by="CreatedAt",
            order_direction="DESCENDING",
        )
        for session in WtsChatHook().run(newest.page(1)).get("items") or []:
            if session.get("windowStatus") == "ACTIVE":
                return str(session["id"])
        message = "No session is waiting with an open window: give one with the parameter session_id"
        raise ValueError(message)

    get = GetSessionOperator(task_id="get", session_id=SESSION_ID, include_details=["ContactDetails"])
    update = UpdateSessionOperator(
        task_id="update",
        session_id=SESSION_ID,
        metadata={"handled_by": "{{ dag.dag_id }}", "run": "{{ run_id }}"},
        status="PENDING",
    )
    transfer = TransferSessionOperator(
        task_id="transfer", session_id=SESSION_ID, department_name="{{ params.department_name }}"
    )
    write = SendSessionTextOperator(task_id="write", session_id=SESSION_ID, text="We are looking into it.")
    wait = SessionStatusSensor(
        task_id="wait",
        session_id=SESSION_ID,
        target_statuses=["PENDING", "IN_PROGRESS"],
        failure_statuses=["COMPLETED"],
        poke_interval=5,
        timeout=timedelta(minutes=5).total_seconds(),
    )
    conclude = ConcludeSessionOperator(task_id="conclude", session_id=SESSION_ID, reactivate_on_new_message=True)

    choose() >> get >> update >> transfer >> write >> wait >> conclude
