"""
Conclude the sessions that nobody has touched for a week, in two ways.

What: ``conclude_each`` maps an operator over the list, so that each session has a task of its own, with a log, retries
and a link. Airflow maps over at most 1,024 items (``[core] max_map_length``), so the list is cut there and the next run
takes the rest. ``conclude_all`` does the same for any number in one task.

Needs: a connection ``wtschat_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.exceptions import WtsChatRefusedError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.session import ConcludeSessionOperator, ListSessionsOperator

MAX_MAP_LENGTH = 1024
PAGE_SIZE = 64

with DAG(
    dag_id="example_wtschat_conclude_stale_sessions",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"idle_days": 7},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    list_stale = ListSessionsOperator(
        task_id="list_stale",
        status=["PENDING", "IN_PROGRESS"],
        last_interaction_before="{{ macros.datetime.utcnow() - macros.timedelta(days=params.idle_days) }}",
        page_size=PAGE_SIZE,
        max_pages=MAX_MAP_LENGTH // PAGE_SIZE,
        max_rows=MAX_MAP_LENGTH,
        fields=["id"],
    )

    conclude_each = ConcludeSessionOperator.partial(
        task_id="conclude_each", reactivate_on_new_message=True, max_active_tis_per_dagrun=8
    ).expand(session_id=list_stale.output.map(lambda session: session["id"]))

    @task
    def conclude_all() -> dict[str, int]:
        """Conclude while iterating: the list is read by key, so none is passed over although rows leave it."""
        hook = WtsChatHook()
        idle_days = get_current_context()["params"]["idle_days"]
        stale = sessions.list_(
            status=["PENDING", "IN_PROGRESS"],
            last_interaction_before=datetime.now(UTC) - timedelta(days=idle_days),
        )
        counts = {"concluded": 0, "refused": 0}
        for session in hook.iterate(stale):
            try:
                hook.run(sessions.conclude(session["id"], reactivate_on_new_message=True))
                counts["concluded"] += 1
            except WtsChatRefusedError:
                # Somebody else has concluded it since.
                counts["refused"] += 1
        return counts

    conclude_each >> conclude_all()
