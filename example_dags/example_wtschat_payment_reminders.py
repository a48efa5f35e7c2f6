"""
Remind people in the morning of what they have to pay today.

What: every weekday at 9:00 a query finds the invoices that fall due, and each invoice is reminded of at most once. A
run that comes late, such as a backfill or the first after an outage, sends nothing: a reminder of last month helps
nobody. A failure is told to the people on call.

Needs: a connection ``wtschat_default``, a connection ``warehouse`` to SQLite, PostgreSQL or MySQL with a table
``invoices``, a channel, and two templates.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_wtschat.notifications.wtschat import send_wtschat_notification
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

TIMEZONE = "America/Sao_Paulo"
# The run of an interval starts at its end, which is this morning.
TODAY = "{{ data_interval_end.in_timezone('America/Sao_Paulo').to_date_string() }}"

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
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    SqlToWtsChatTemplateOperator(
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
        send_before=f"{TODAY} 12:00",
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
