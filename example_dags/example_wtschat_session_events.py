"""
Run whenever sessions are concluded, and read those sessions.

What: an asset watcher rings when agents conclude sessions; each ring starts a run, which reads the sessions that were
concluded since the run before it read them, and counts how they ended. The event is a doorbell, not the list of what to
do: Airflow starts no run for an event that comes while an earlier one waits for its run. So the first task reads from
the place that it reached the last time, whatever the events say. ``max_active_runs=1`` keeps two runs from reading the
same; without a task that reads like this, it would leave sessions without a run.

Needs: Airflow 3, a connection ``wtschat_default``, and a triggerer. Airflow 2 has no watchers: there the Dag can only
be started by hand, and reads what was concluded since the last time.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.session_event import ReadSessionEventsOperator
from airflow_provider_wtschat.triggers.session_event import SessionEventTrigger

schedule: list[Asset] | None
try:
    from airflow.sdk import AssetWatcher
except ImportError:
    schedule = None
else:
    watcher = AssetWatcher(
        name="concluded_sessions",
        trigger=SessionEventTrigger(event="concluded", poll_interval=30, session_type="INDIVIDUAL"),
    )
    schedule = [Asset("wtschat://api.wts.chat/sessions/concluded", watchers=[watcher])]

with DAG(
    dag_id="example_wtschat_session_events",
    schedule=schedule,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    read = ReadSessionEventsOperator(task_id="read", event="concluded", session_type="INDIVIDUAL")

    @task
    def count(rows: list[dict[str, str]]) -> dict[str, int]:
        """Read the sessions, and count them by the agent's classification of them."""
        hook = WtsChatHook()
        concluded = [hook.run(sessions.get(row["id"])) for row in rows]
        return dict(Counter((session.get("classification") or {}).get("category", "none") for session in concluded))

    count(read.output)
