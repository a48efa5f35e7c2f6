"""
Remind people in the morning of what they have to pay today.

What: every weekday at 9:00 a query finds the invoices that fall due, and each invoice is reminded of at most once. A
run that comes after noon, such as a backfill or the first after an outage, is skipped: a reminder of last month helps
nobody. ``send_before`` says the same to a dispatch that has begun. A failure is told to the people on call.

Needs: a connection ``wtschat_default``, a connection ``warehouse`` to SQLite, PostgreSQL or MySQL, a channel, and two
templates. A table ``invoices`` with two rows is made where there is none, so that the Dag can be tried.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, BaseHook, Param, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_wtschat.notifications.wtschat import send_wtschat_notification
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

TIMEZONE = "America/Sao_Paulo"
NOON = 12
# The run of an interval starts at its end, which is this morning. A run that is triggered by hand may have no interval.
TODAY = "{{ local_day(data_interval_end | default(dag_run.run_after, true)) }}"


def local_day(moment: datetime) -> str:
    """Return the day that an instant belongs to where the customers live."""
    return pendulum.instance(moment).in_timezone(TIMEZONE).to_date_string()


with DAG(
    dag_id="example_wtschat_payment_reminders",
    schedule=CronDataIntervalTimetable("0 9 * * 1-5", timezone=TIMEZONE),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "channel": Param("+55 11 3333-0001", type="string", description="Number of the channel that sends"),
        "on_call": Param(["+55 11 90000-9001"], type="array", description="Who is told of a failure"),
    },
    user_defined_macros={"local_day": local_day},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def prepare_table() -> None:
        """Make the table where it is missing, in place of your own."""
        database = BaseHook.get_connection("warehouse").get_hook()
        columns = "number INTEGER PRIMARY KEY, phone VARCHAR(40), name VARCHAR(100), amount VARCHAR(40)"
        database.run(f"CREATE TABLE IF NOT EXISTS invoices ({columns}, paid INTEGER, due_on VARCHAR(10))")
        if not database.get_first("SELECT count(*) FROM invoices")[0]:
            today = local_day(pendulum.now("UTC"))
            rows = [
                (1, "(11) 90000-4001", "Ana", "R$ 120,00", 0, today),
                (2, "(11) 90000-4002", "Beto", "R$ 80,50", 1, today),
            ]
            database.insert_rows("invoices", rows, ["number", "phone", "name", "amount", "paid", "due_on"])

    @task.short_circuit
    def in_time() -> bool:
        """Go on if the morning is not over."""
        context = get_current_context()
        morning = context.get("data_interval_end") or context["dag_run"].run_after
        return pendulum.now(TIMEZONE) < pendulum.instance(morning).in_timezone(TIMEZONE).at(NOON)

    remind = SqlToWtsChatTemplateOperator(
        task_id="remind",
        # The day is part of it, so each morning is a dispatch of its own.
        campaign=f"payment reminders of {TODAY}",
        sql=f"SELECT number, phone, name, amount FROM invoices WHERE paid = 0 AND due_on = '{TODAY}' ORDER BY number",
        sql_conn_id="warehouse",
        recipient_column="phone",
        key_column="number",
        parameter_columns={"nome": "name", "valor": "amount"},
        template_name="lembrete_pagamento",
        from_channel="{{ params.channel }}",
        send_before=f"{TODAY} {NOON}:00",
        timezone=TIMEZONE,
        # Somebody with two invoices gets one message; a number that is none must not hold up the others.
        duplicate_recipients="skip",
        max_invalid=20,
        max_failed=0.1,
        retries=3,
        retry_delay=timedelta(minutes=10),
        on_failure_callback=send_wtschat_notification(
            to="{{ params.on_call }}",
            from_channel="{{ params.channel }}",
            template_name="alerta_airflow",
        ),
    )

    prepare_table() >> in_time() >> remind
