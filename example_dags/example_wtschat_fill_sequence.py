"""
Fill a sequence with the contacts that have a tag and are not in it yet.

What: lists the contacts with the tag and those in the sequence, and adds who is missing. Who is in it already is left
alone, since to enter a sequence anew means to get its messages anew.

Needs: a connection ``wtschat_default``, a tag and a sequence with the names of the parameters.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_wtschat.operators.contact import FilterContactsOperator
from airflow_provider_wtschat.operators.sequence import AddContactsToSequenceOperator, ListSequenceContactsOperator

with DAG(
    dag_id="example_wtschat_fill_sequence",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "tag": Param("VIP", type="string", description="Name of the tag"),
        "sequence": Param("Pós-venda", type="string", description="Name of the sequence"),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    tagged = FilterContactsOperator(task_id="tagged", tag_names=["{{ params.tag }}"], max_rows=10_000, fields=["id"])
    inside = ListSequenceContactsOperator(
        task_id="inside", sequence_name="{{ params.sequence }}", max_rows=10_000, fields=["contactId"]
    )

    @task.short_circuit
    def missing(wanted: list[dict[str, Any]], present: list[dict[str, Any]]) -> list[str]:
        """Return who is to be added; with nobody the Dag ends here."""
        known = {row["contactId"] for row in present}
        return [row["id"] for row in wanted if row["id"] not in known]

    AddContactsToSequenceOperator(
        task_id="add", sequence_name="{{ params.sequence }}", contact_ids=missing(tagged.output, inside.output)
    )
