"""
Lead a card through a panel of the CRM: create it, note something, move it, and win it.

What: makes a card for the order of the parameter ``order`` in the first step, writes a note on it, moves it on with the
amount of the offer, and closes it as won. Panel and steps are named by their titles.

Needs: a connection ``wtschat_default``, and a panel with the titles of the parameters.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_wtschat.operators.panel import (
    CreateCardOperator,
    CreateCardTextNoteOperator,
    GetCardOperator,
    UpdateCardOperator,
)

CARD_ID = "{{ ti.xcom_pull(task_ids='create')['id'] }}"

with DAG(
    dag_id="example_wtschat_card_through_panel",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "panel": Param("Vendas", type="string", description="Title of the panel"),
        "first_step": Param("Lead", type="string", description="Title of the step that the card begins in"),
        "next_step": Param("Proposta", type="string", description="Title of the step that it moves to"),
        "order": Param("Pedido 1001", type="string", description="Title of the card"),
        "amount": Param(1250.5, type="number", minimum=0, description="Amount of the offer"),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    create = CreateCardOperator(
        task_id="create",
        panel_name="{{ params.panel }}",
        step_name="{{ params.first_step }}",
        title="{{ params.order }}",
        due_date="{{ macros.datetime.utcnow() + macros.timedelta(days=7) }}",
        metadata={"run": "{{ run_id }}"},
    )
    note = CreateCardTextNoteOperator(task_id="note", card_id=CARD_ID, text="Offer of {{ params.amount }} is out.")
    # The step is one of the card's own panel.
    move = UpdateCardOperator(
        task_id="move", card_id=CARD_ID, step_name="{{ params.next_step }}", monetary_amount="{{ params.amount }}"
    )
    win = UpdateCardOperator(task_id="win", card_id=CARD_ID, status="WON", clear=["due_date"])
    get = GetCardOperator(task_id="get", card_id=CARD_ID, include_details=["StepTitle"])

    create >> note >> move >> win >> get
