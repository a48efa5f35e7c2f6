"""
Run within seconds when WTS Chat posts that a session began or ended, and count what came.

What: an asset watcher rings when webhook events have come; each ring starts a run, which reads all events since the run
before it, each once, whatever the ring says: Airflow starts no run for an event that comes while an earlier one waits
for its run. Started by hand, the Dag also makes the subscription, or corrects it; that is wanted once, and does no harm
as often as you like.

Needs: a connection ``wtschat_default``, a triggerer, and ``[wtschat] webhook_secret`` for the API server, the triggerer
and the workers; without one nothing is received, and the subscription is left out. Airflow 2 has no watchers: there the
receiver runs on its own, and the Dag reads when it is started by hand or by a schedule of yours.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, conf, get_current_context, task

from airflow_provider_wtschat.operators.webhook import EnsureWebhookOperator, ReadWebhooksOperator
from airflow_provider_wtschat.triggers.webhook_event import WebhookEventTrigger

EVENTS = ["SESSION_NEW", "SESSION_COMPLETE"]

schedule: list[Asset] | None
try:
    from airflow.sdk import AssetWatcher
except ImportError:
    schedule = None
else:
    watcher = AssetWatcher(name="webhooks_of_sessions", trigger=WebhookEventTrigger(events=EVENTS))
    schedule = [Asset("wtschat://api.wts.chat/webhooks/sessions", watchers=[watcher])]

with DAG(
    dag_id="example_wtschat_webhooks",
    schedule=schedule,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task.short_circuit
    def is_wanted() -> bool:
        """Say whether to make the subscription: in runs by hand, where this deployment receives webhooks at all."""
        by_hand = get_current_context()["dag_run"].run_type == "manual"
        return bool(by_hand and conf.get("wtschat", "webhook_secret", fallback=""))

    subscribe = EnsureWebhookOperator(task_id="subscribe", name="airflow", events=EVENTS)

    read = ReadWebhooksOperator(task_id="read", events=EVENTS)

    @task
    def count(events: list[dict[str, Any]]) -> dict[str, int]:
        """Count the events by type; each holds the ids by which to ask for more."""
        return dict(Counter(event["type"] for event in events))

    is_wanted() >> subscribe
    count(read.output)
