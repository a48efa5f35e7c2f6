"""From a post to a Dag run, under a real API server, triggerer and scheduler; a killed triggerer loses nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.local import AIRFLOW, wait_for
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow
from tests.webhooks.test_api_server import PERSONAL, send
from tests.webhooks.test_receiver import CONN_ID, SECRETS, body, path

DAG = """
from datetime import datetime

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_wtschat.operators.webhook import ReadWebhooksOperator
from airflow_provider_wtschat.triggers.webhook_event import WebhookEventTrigger

watcher = AssetWatcher(name="contacts", trigger=WebhookEventTrigger(events=["CONTACT_NEW"], poll_interval=0.5))
with DAG(
    "doorbell",
    schedule=[Asset("wtschat://api.wts.chat/contacts/new", watchers=[watcher])],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
):
    ReadWebhooksOperator(task_id="read")
"""


@pytest.mark.airflow
@pytest.mark.soak
@pytest.mark.skipif(AIRFLOW_2, reason="Airflow has asset watchers from version 3 on")
def test_every_post_is_read_by_one_run(tmp_path: Path) -> None:
    home, dag = tmp_path / "airflow", tmp_path / "doorbell.py"
    (home / "plugins").mkdir(parents=True)
    (home / "plugins" / "receiver.py").write_text(
        "from airflow_provider_wtschat.webhooks.plugin import WtsChatPlugin as Plugin\n"
    )
    dag.write_text(DAG)
    airflow = LiveAirflow(
        home,
        [dag],
        {},
        AIRFLOW__CORE__PLUGINS_FOLDER=str(home / "plugins"),
        AIRFLOW__WTSCHAT__WEBHOOK_SECRET=",".join(SECRETS),
        AIRFLOW__WTSCHAT__WEBHOOK_INBOX=str(tmp_path / "inbox"),
        AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="10",
    )

    def read() -> list[int]:
        rows = airflow.query("SELECT value FROM xcom WHERE task_id = 'read' AND key = 'return_value'")
        return [int(each["ids"]["contact_id"][-12:]) for row in rows for each in json.loads(row["value"])]

    def post(*numbers: int) -> None:
        url = airflow.processes.environment["AIRFLOW__API__BASE_URL"] + path()
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda number: send(url, body(number)), numbers)) == {200}

    def watching() -> bool | None:
        # The place of the trigger is kept from its beginning on.
        from airflow_provider_wtschat.webhooks.inbox import get_inbox

        name = f"{CONN_ID}:trigger:"
        inbox = get_inbox(str(tmp_path / "inbox"))
        return any(each.startswith(name) for each in inbox.cursors()) or None

    with airflow:
        airflow.wait_for_dag("doorbell")
        wait_for(watching, "The watcher", airflow.processes, 180)
        started = time.monotonic()
        post(0)
        wait_for(lambda: read() or None, "The first run", airflow.processes)
        print(f"{time.monotonic() - started:.1f} s from the post to what its run returned")
        post(*range(1, 301))
        for first in range(301, 401, 20):
            post(*range(first, first + 20))
            time.sleep(1.5)
        wait_for(lambda: len(read()) >= 401 or None, "All posts", airflow.processes, 180)
        killed = airflow.processes.running.pop("triggerer")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        post(*range(401, 421))
        airflow.processes.start("triggerer again", *AIRFLOW, "triggerer", "--skip-serve-logs")
        wait_for(lambda: len(read()) >= 421 or None, "What came meanwhile", airflow.processes, 240)
        assert sorted(read()) == list(range(421))
        payloads = [row["extra"] for row in airflow.query("SELECT extra FROM asset_event")]
        assert [word for word in PERSONAL if any(word in payload for payload in payloads)] == []
