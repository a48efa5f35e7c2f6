"""
Send a template to everybody that a query finds, and follow the messages.

What: plans the recipients in a table, sends each of them one message at most, whatever is cleared, killed or run again,
and waits, without holding a worker, until the messages are delivered. Then it prints the keys of those who got none.

Needs: a connection ``wtschat_default``, a connection ``warehouse`` to SQLite, PostgreSQL or MySQL, a channel, and a
template with the names of the parameters.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, Param, task

from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

WAREHOUSE = "warehouse"
CUSTOMERS = [
    (1, "(11) 90000-3001", "Ana", "R$ 120,00"),
    (2, "(11) 90000-3002", "Beto", "R$ 80,50"),
    (3, "+55 21 90000-3003", "Carla", "R$ 64,00"),
]

with DAG(
    dag_id="example_wtschat_campaign",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "campaign": Param("spring offer", type="string", description="Nobody gets a message of it twice"),
        "channel": Param("Matriz", type="string", description="Name or number of the channel that sends"),
        "template": Param("lembrete_pagamento", type="string", description="Name of the template"),
        "dry_run": Param(False, type="boolean", description="Check everything, and send nothing"),
        "follow_up_for": Param(86400, type="number", description="Seconds for which messages are followed"),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def make_customers() -> None:
        """Store some customers, in place of your own table."""
        database = BaseHook.get_hook(WAREHOUSE)
        database.run("CREATE TABLE IF NOT EXISTS offer_customers (id INTEGER, phone VARCHAR(40), name VARCHAR(200), "
                     "amount VARCHAR(40))")  # fmt: skip
        database.run("DELETE FROM offer_customers")
        database.insert_rows("offer_customers", CUSTOMERS, ["id", "phone", "name", "amount"])

    dispatch = SqlToWtsChatTemplateOperator(
        task_id="dispatch",
        campaign="{{ params.campaign }}",
        sql="SELECT id, phone, name, amount FROM offer_customers ORDER BY id",
        sql_conn_id=WAREHOUSE,
        recipient_column="phone",
        key_column="id",
        parameter_columns={"nome": "name", "valor": "amount"},
        template_name="{{ params.template }}",
        from_channel_name="{{ params.channel }}",
        dry_run="{{ params.dry_run }}",
        wait_for_status="DELIVERED",
        follow_up_for="{{ params.follow_up_for }}",
        deferrable=True,
        # A later try goes on where this one stopped, so retries do no harm.
        retries=2,
        retry_delay=timedelta(minutes=5),
    )

    @task
    def report(result: dict[str, Any]) -> list[str]:
        """Tell the keys of those who got no message, or of whom nobody knows; phones are not in the table any more."""
        if result.get("dry_run"):
            return []
        database = BaseHook.get_hook(WAREHOUSE)
        rows = database.get_records(
            f"SELECT row_key, status, reason FROM {result['table']} WHERE campaign = {database.placeholder} "
            "AND seq > 0 AND (status <> 'sent' OR delivery = 'FAILED') ORDER BY seq",
            parameters=(result["campaign"],),
        )
        for key, status, reason in rows:
            print(f"{key}: {status} ({reason})")
        return [key for key, _, _ in rows]

    make_customers() >> dispatch
    report(dispatch.output)
