"""
Let people leave: whoever answers SAIR, STOP or the like is left out of every campaign from then on.

What: every hour a query finds what people wrote, among the sessions and messages that a load keeps in a warehouse. Who
asks to be left alone comes into the suppression table and gets a tag, so that people who work in WTS Chat see it too.
Campaigns look at the table before each request. Replies that were seen before change nothing, so the query may look
back further than an hour, for loads that come late.

Needs: a connection ``wtschat_default``, a connection ``warehouse`` to SQLite, PostgreSQL or MySQL with a table
``replies`` of phone numbers and texts, and a tag.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_wtschat.operators.campaign import WtsChatOptOutOperator

with DAG(
    dag_id="example_wtschat_opt_out",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"tag": Param("VIP", type="string", description="Name of the tag for people who asked to be left alone")},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    WtsChatOptOutOperator(
        task_id="opt_out",
        sql="SELECT phone, text FROM replies",
        sql_conn_id="warehouse",
        recipient_column="phone",
        text_column="text",
        tag_name="{{ params.tag }}",
        retries=2,
        retry_delay=timedelta(minutes=5),
    )
