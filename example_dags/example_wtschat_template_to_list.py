"""
Send a template to a list of people, and collect what became of each message.

What: sends the template, a hundred recipients per request and each at most once; waits, without holding a worker, until
the fate of every message is known; and counts the fates. For lists out of a table, with a plan of its own that survives
anything, there is ``SqlToWtsChatTemplateOperator``.

Needs: a connection ``wtschat_default``, a channel and a template with the names of the parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_wtschat.operators.message import SendTemplateBatchOperator
from airflow_provider_wtschat.sensors.message import MessageStatusSensor

with DAG(
    dag_id="example_wtschat_template_to_list",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "channel": Param("Matriz", type="string", description="Name or number of the channel that sends"),
        "template": Param("lembrete_pagamento", type="string", description="Name of the template"),
        "recipients": Param(
            [
                {"phone": "(11) 90000-2001", "name": "Ana", "amount": "R$ 120,00"},
                {"phone": "(11) 90000-2002", "name": "Beto", "amount": "R$ 80,50"},
            ],
            type="array",
            description="Whom to send it to",
        ),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def messages() -> list[dict[str, Any]]:
        """Make a message for each recipient."""
        recipients = get_current_context()["params"]["recipients"]
        return [
            {"to": person["phone"], "parameters": {"nome": person["name"], "valor": person["amount"]}}
            for person in recipients
        ]

    send = SendTemplateBatchOperator(
        task_id="send",
        messages=messages(),
        from_channel_name="{{ params.channel }}",
        template_name="{{ params.template }}",
    )

    @task
    def accepted(results: list[dict[str, Any]]) -> list[str]:
        """Return the ids of the messages that the API accepted; the others have no fate to wait for."""
        return [result["id"] for result in results if result["status"] not in ("FAILED", "UNKNOWN")]

    # FAILED is waited for as well, since here it is a result and not a fault.
    fates = MessageStatusSensor.partial(
        task_id="fates",
        target_statuses=["DELIVERED", "FAILED"],
        failure_statuses=[],
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
        soft_fail=True,
    ).expand(message_id=accepted(send.output))

    @task(trigger_rule="none_failed")
    def count(results: list[dict[str, Any]], found: Iterable[dict[str, Any]]) -> dict[str, int]:
        """Count the fates; a message whose time ran out is ``UNKNOWN`` too."""
        fates = Counter(message["status"] for message in found)
        fates["FAILED"] += sum(result["status"] == "FAILED" for result in results)
        fates["UNKNOWN"] = len(results) - fates.total()
        return dict(+fates)

    count(send.output, fates.output)
