"""
Copy the sessions that changed in an hour into a SQL table.

What: reads the sessions whose last change lies in the data interval and stores them by id, so that a rerun or a
backfill of any hour is safe: it brings the newest version of each session and never a second row.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` of any type whose provider builds on
``common.sql`` (SQLite, PostgreSQL, MySQL, ...).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_wtschat.api import instants, sessions
from airflow_provider_wtschat.api.types import SessionStatus
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

WAREHOUSE = "warehouse"
TABLE = "sessions"
COLUMNS = {
    "id": "VARCHAR(36) PRIMARY KEY",
    "number": "VARCHAR(40)",
    "status": "VARCHAR(20)",
    "contact_id": "VARCHAR(36)",
    "department_name": "VARCHAR(200)",
    "agent_name": "VARCHAR(200)",
    "created_at": "VARCHAR(32)",
    "updated_at": "VARCHAR(32)",
    "ended_at": "VARCHAR(32)",
}

with DAG(
    dag_id="example_wtschat_sessions_to_warehouse",
    # On Airflow 3 schedule="@hourly" gives an empty interval; this timetable gives the hour itself on every version.
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def create_table() -> None:
        """Create the table where it is missing."""
        database = BaseHook.get_connection(WAREHOUSE).get_hook()
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        database.run(f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")

    @task
    def copy_sessions() -> dict[str, int]:
        """Store every session that changed in the interval; the figures go into XCom, the rows do not."""
        start, end = interval()
        if start >= end:
            message = f"The data interval is empty ({start}): schedule the Dag with CronDataIntervalTimetable"
            raise ValueError(message)
        # Sessions are asked for a while before the interval too, since rows can become visible late.
        request = sessions.list_(
            updated_after=start - timedelta(hours=1),
            updated_before=end,
            # Named, because hidden sessions come only when asked for.
            status=[status for status in SessionStatus if status is not SessionStatus.UNDEFINED],
            include_details=["AgentDetails", "DepartmentsDetails"],
        )
        counts = {"rows": 0, "pages": 0}

        def rows() -> Iterator[tuple[Any, ...]]:
            for page in WtsChatHook().pages(request, bulk=True):
                counts["pages"] += 1
                counts["rows"] += len(page)
                yield from map(as_row, page)

        database = BaseHook.get_connection(WAREHOUSE).get_hook()
        database.insert_rows(TABLE, rows(), list(COLUMNS), replace=True, replace_index="id")
        return counts

    @task
    def count_rows(counts: dict[str, int]) -> int:
        """Check that what was read is in the table."""
        database = BaseHook.get_connection(WAREHOUSE).get_hook()
        with closing(database.get_conn()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT count(*) FROM {TABLE}")
            total: int = cursor.fetchone()[0]
        if total < counts["rows"]:
            message = f"{counts['rows']} sessions were read, but the table has only {total} rows"
            raise ValueError(message)
        return total

    create_table() >> (counts := copy_sessions())
    count_rows(counts)


def interval() -> tuple[datetime, datetime]:
    """Return the run's data interval; triggered on Airflow 3 a run can have none, and gets the last full hour."""
    context = get_current_context()
    start, end = context["dag_run"].data_interval_start, context["dag_run"].data_interval_end
    if start and end:
        return start, end
    end = context["dag_run"].run_after.replace(minute=0, second=0, microsecond=0)
    return end - timedelta(hours=1), end


def as_row(session: Mapping[str, Any]) -> tuple[Any, ...]:
    """Choose the columns of a session. Nested objects can be null."""
    return (
        session["id"],
        session.get("number"),
        session["status"],
        session.get("contactId"),
        (session.get("departmentDetails") or {}).get("name"),
        (session.get("agentDetails") or {}).get("name"),
        as_utc(session["createdAt"]),
        as_utc(session["updatedAt"]),
        as_utc(session.get("endAt")),
    )


def as_utc(text: str | None) -> str | None:
    """Write an instant in one spelling: the API has several."""
    return None if text is None else instants.write(instants.read(text))
