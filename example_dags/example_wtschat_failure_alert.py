"""
Tell people on WhatsApp that a Dag has failed, or that a task is tried again.

What: a task fails as often as it is told to. Each retry and the failure go to the people on call, as a template, which
reaches them whether or not they have written lately. Its parameter says which Dag, run, task, try and error, with a
link to the log. If nobody can be told, the log says why, and nothing else changes.

Needs: a connection ``wtschat_default``, a channel, and a template with one parameter.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_wtschat.notifications.wtschat import send_wtschat_notification

tell = send_wtschat_notification(
    to="{{ params.on_call }}",
    from_channel="{{ params.channel }}",
    template_name="alerta_airflow",
)

with DAG(
    dag_id="example_wtschat_failure_alert",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "channel": Param("+55 11 3333-0001", type="string", description="Number of the channel that sends"),
        "on_call": Param(["+55 11 90000-9001"], type="array", description="Whom to tell"),
        "fails": Param(True, type="boolean", description="Whether the task fails"),
    },
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task(retries=0, retry_delay=timedelta(seconds=1), on_retry_callback=tell, on_failure_callback=tell)
    def load() -> str:
        """Do what may fail."""
        if get_current_context()["params"]["fails"]:
            message = "the file of today has not arrived"
            raise FileNotFoundError(message)
        return "loaded"

    load()
