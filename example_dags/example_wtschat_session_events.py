"""
Run whenever sessions are concluded, and read those sessions by their ids.

What: an asset watcher makes events of the sessions that agents conclude; each event starts a run, which reads the
sessions of its events and counts how they ended. Events carry ids, statuses and instants only, because Airflow shows
them to everybody; the rest is read here. A reading that comes again after a restart is told by id and instant.

Needs: Airflow 3, a connection ``wtschat_default``, and a triggerer. Airflow 2 has no watchers: there the Dag can only
be started by hand, and finds nothing to do.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, get_current_context, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
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
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def ids() -> list[str]:
        """Gather the sessions of the events that started this run, each once."""
        events: dict[Any, Any] = get_current_context().get("triggering_asset_events") or {}
        rows = [
            row
            for of_one_asset in events.values()
            for event in of_one_asset
            for row in event.extra["payload"]["sessions"]
        ]
        return list(dict.fromkeys(row["id"] for row in rows))

    @task
    def count(session_ids: list[str]) -> dict[str, int]:
        """Read the sessions, and count them by the agent's classification of them."""
        hook = WtsChatHook()
        read = [hook.run(sessions.get(session_id)) for session_id in session_ids]
        return dict(Counter((session.get("classification") or {}).get("category", "none") for session in read))

    count(ids())
