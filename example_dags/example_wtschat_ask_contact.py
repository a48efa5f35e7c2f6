"""
Ask a customer whether a conversation may be closed, and do what the answer says.

What: chooses an open session whose 24-hour window is open, asks in it, and waits for the answer in the triggerer.
"Sim", "1", "pode" and the like conclude the session; "Não" leaves it to the agents, and so does no clear answer in
time. The question is asked at most once, and once more if the answer is not clear.

With a customer outside the window, ask by a template: ``to``, ``from_channel`` and ``template_name`` in place of
``session_id``.

Needs: a connection ``wtschat_default``, and a triggerer.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.ask import AskContactBranchOperator
from airflow_provider_wtschat.operators.session import ConcludeSessionOperator

with DAG(
    dag_id="example_wtschat_ask_contact",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"minutes": Param(5, type="integer", minimum=1, description="How long to wait for an answer")},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def choose() -> str:
        """Choose an open session in which a text can be sent."""
        rows = WtsChatHook().iterate(sessions.list_(status=["IN_PROGRESS"], session_type="INDIVIDUAL"))
        return next(row["id"] for row in rows if row.get("windowStatus") == "ACTIVE")

    @task
    def leave_open() -> None:
        """Leave the session to the agents."""

    chosen = choose()
    ask = AskContactBranchOperator(
        task_id="ask",
        session_id=chosen,
        subject="Podemos encerrar a conversa?",
        options=["Sim", "Não"],
        synonyms={"Sim": ["pode", "pode sim", "claro", "ok"]},
        options_mapping={"Sim": "conclude", "Não": "leave_open"},
        defaults="Não",
        response_timeout="{{ params.minutes * 60 }}",
        poll_interval=5,
    )
    ask >> [ConcludeSessionOperator(task_id="conclude", session_id=chosen), leave_open()]
