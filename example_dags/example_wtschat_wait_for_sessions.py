"""
Ask customers whether their matter is settled, and wait for each session to end, without holding a worker.

What: writes into a few open sessions and waits until each message is delivered; waits for each session to be concluded;
and counts how the sessions ended. All of the waiting goes on in the triggerer, in one feed for the whole connection,
so a thousand sessions cost no more requests than a few.

With the parameter ``conclude`` the Dag concludes the sessions by itself, so that it comes to an end where nobody works
on them, as with the simulator. Without it the agents do.

Needs: a connection ``wtschat_default``, and a triggerer.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.session import SendSessionTextOperator
from airflow_provider_wtschat.sensors.session import SessionStatusSensor

with DAG(
    dag_id="example_wtschat_wait_for_sessions",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "sessions": Param(3, type="integer", minimum=1, maximum=100, description="How many sessions"),
        "conclude": Param(True, type="boolean", description="Conclude them instead of waiting for the agents"),
    },
    render_template_as_native_obj=True,
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def choose() -> list[str]:
        """Choose open sessions whose 24 h window is open, so that a text can be sent."""
        rows = WtsChatHook().iterate(sessions.list_(status=["PENDING", "IN_PROGRESS"], session_type="INDIVIDUAL"))
        open_now = (row["id"] for row in rows if row.get("windowStatus") == "ACTIVE")
        return list(islice(open_now, get_current_context()["params"]["sessions"]))

    @task
    def conclude(session_ids: list[str]) -> None:
        """Conclude the sessions, if that is wanted."""
        if get_current_context()["params"]["conclude"]:
            hook = WtsChatHook()
            for session_id in session_ids:
                hook.run(sessions.conclude(session_id, reactivate_on_new_message=True))

    @task
    def count(concluded: list[dict[str, Any]]) -> dict[str, int]:
        """Count the sessions by the agent's classification of them."""
        return dict(Counter((session.get("classification") or {}).get("category", "none") for session in concluded))

    chosen = choose()
    ask = SendSessionTextOperator.partial(
        task_id="ask",
        text="Is there anything left that we can do for you?",
        wait_for_status="DELIVERED",
        wait_timeout=600,
        poll_interval=5,
        deferrable=True,
    ).expand(session_id=chosen)
    wait = SessionStatusSensor.partial(
        task_id="wait",
        target_statuses=["COMPLETED"],
        poke_interval=10,
        timeout=timedelta(hours=8).total_seconds(),
        deferrable=True,
    ).expand(session_id=chosen)

    ask >> conclude(chosen) >> wait
    count(wait.output)
