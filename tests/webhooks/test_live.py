"""From a post to a Dag run, under a real API server, triggerer and scheduler; a killed triggerer loses nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from airflow_provider_wtschat.webhooks.inbox import get_inbox
from scripts.local import AIRFLOW, free_port, wait_for
from tests.benchmarks import bench_webhooks
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
STAGES = """
SELECT (julianday(run.start_date) - julianday(event.timestamp)) * 86400 AS "to the run",
       (julianday(task.queued_dttm) - julianday(run.start_date)) * 86400 AS "to the queue",
       (julianday(task.start_date) - julianday(task.queued_dttm)) * 86400 AS "to the task",
       (julianday(task.end_date) - julianday(task.start_date)) * 86400 AS "to its end"
FROM asset_event AS event
JOIN dagrun_asset_event AS consumed ON consumed.event_id = event.id
JOIN dag_run AS run ON run.id = consumed.dag_run_id
JOIN task_instance AS task ON task.run_id = run.run_id
ORDER BY event.id
"""

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.soak,
    pytest.mark.skipif(AIRFLOW_2, reason="Airflow has asset watchers from version 3 on"),
]


class Live:
    """
    An Airflow that receives posts and reads them.

    :param folder: an empty directory
    :param inbox: where posts are kept
    :param options: further variables of its environment
    """

    def __init__(self, folder: Path, inbox: str, **options: str) -> None:
        home, dag = folder / "airflow", folder / "doorbell.py"
        (home / "plugins").mkdir(parents=True)
        (home / "plugins" / "receiver.py").write_text(
            "from airflow_provider_wtschat.webhooks.plugin import WtsChatPlugin as Plugin\n"
        )
        dag.write_text(DAG)
        self.inbox = inbox
        self.airflow = LiveAirflow(
            home,
            [dag],
            {},
            AIRFLOW__CORE__PLUGINS_FOLDER=str(home / "plugins"),
            AIRFLOW__WTSCHAT__WEBHOOK_SECRET=",".join(SECRETS),
            AIRFLOW__WTSCHAT__WEBHOOK_INBOX=inbox,
            AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="10",
            **options,
        )
        self.processes = self.airflow.processes
        self.url = self.processes.environment["AIRFLOW__API__BASE_URL"]

    def read(self) -> list[int]:
        """Return what runs have read."""
        rows = self.airflow.query("SELECT value FROM xcom WHERE task_id = 'read' AND key = 'return_value'")
        return [int(each["ids"]["contact_id"][-12:]) for row in rows for each in json.loads(row["value"])]

    def post(self, *numbers: int) -> None:
        """Post events, and expect each to be stored."""
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda number: send(self.url + path(), body(number)), numbers)) == {200}

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 180) -> None:
        """Wait until something is so."""
        wait_for(lambda: condition() or None, what, self.processes, seconds)

    def watching(self) -> bool:
        """Say whether the trigger runs: its place is kept from its beginning on."""
        return any(each.startswith(f"{CONN_ID}:trigger:") for each in get_inbox(self.inbox).cursors())

    def kill(self, name: str) -> None:
        """End a component, and all that it has started, at once."""
        killed = self.processes.running.pop(name)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()

    def start(self, name: str) -> None:
        """Start a component."""
        options = () if name == "api-server" else ("--skip-serve-logs",)
        self.processes.start(name, *AIRFLOW, name, *options)


def test_every_post_is_read_by_one_run(tmp_path: Path) -> None:
    live = Live(tmp_path, str(tmp_path / "inbox"))
    with live.airflow:
        live.airflow.wait_for_dag("doorbell")
        live.wait_until(live.watching, "The watcher")
        times = []
        for number in range(5):
            started = time.monotonic()
            live.post(number)
            live.wait_until(lambda number=number: number in live.read(), "The run")  # type: ignore[misc]
            times.append(time.monotonic() - started)
            time.sleep(6)
        print("seconds from the post to what its run returned:", *(f"{each:.1f}" for each in times))
        for stages in live.airflow.query(STAGES):
            print("  ", *(f"{name} {value:.1f}" for name, value in stages.items()))
        live.post(*range(5, 301))
        for first in range(301, 401, 20):
            live.post(*range(first, first + 20))
            time.sleep(1.5)
        live.wait_until(lambda: len(live.read()) >= 401, "All posts")
        live.kill("triggerer")
        live.post(*range(401, 421))
        live.start("triggerer")
        live.wait_until(lambda: len(live.read()) >= 421, "What came meanwhile", 240)
        assert sorted(live.read()) == list(range(421))
        payloads = [row["extra"] for row in live.airflow.query("SELECT extra FROM asset_event")]
        assert [word for word in PERSONAL if any(word in payload for payload in payloads)] == []
        assert statistics.median(times) < 5


@contextmanager
def durable_redis(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start a Redis with an append-only file; its URL, and what kills it and starts it again."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    folder.mkdir()
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
    servers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        for server in servers[-1:]:
            server.kill()
            server.wait()
        servers.append(subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL))

    start()
    try:
        yield f"redis://127.0.0.1:{port}/0", start
    finally:
        servers[-1].terminate()
        servers[-1].wait()


def test_twenty_kills_lose_no_post_that_was_answered_with_200(tmp_path: Path) -> None:
    """Of the API server, the triggerer, the scheduler with its tasks, and Redis in turn, while posts go on."""
    with durable_redis(tmp_path / "redis") as (url, restart_redis):
        live = Live(
            tmp_path,
            url,
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="20",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="5",
            AIRFLOW__CORE__DEFAULT_TASK_RETRIES="10",
            AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY="1",
        )
        accepted: list[int] = []
        ended = threading.Event()

        def client() -> None:
            number = 0
            while not ended.wait(0.1):
                with suppress(OSError, http.client.HTTPException):
                    if send(live.url + path(), body(number)) == 200:
                        accepted.append(number)
                        number += 1

        with live.airflow, ThreadPoolExecutor(1) as threads:
            live.airflow.wait_for_dag("doorbell")
            live.wait_until(live.watching, "The watcher")
            posting = threads.submit(client)
            try:
                for _ in range(5):
                    for name in ("api-server", "triggerer", "scheduler", "redis"):
                        before = len(accepted)
                        if name == "redis":
                            restart_redis()
                        else:
                            live.kill(name)
                            live.start(name)
                        live.wait_until(lambda before=before: len(accepted) > before + 20, f"Posts after {name}")  # type: ignore[misc]
            finally:
                ended.set()
            posting.result()
            # One more, so that a ring that was lost is not the last.
            time.sleep(45)
            live.post(len(accepted) + 1)
            accepted.append(len(accepted) + 1)
            missing = set(accepted)
            deadline = time.monotonic() + 300
            while missing and time.monotonic() < deadline:
                time.sleep(2)
                missing = set(accepted) - set(live.read())
            found = live.read()
            rings = live.airflow.query("SELECT count(*) AS number FROM asset_event")[0]["number"]
            print(
                f"20 kills: {len(accepted)} posts answered with 200, {len(missing)} missing, "
                f"{len(found) - len(set(found))} read again, {rings} rings"
            )
            assert missing == set()


def test_ten_thousand_posts_in_ten_seconds_leave_the_api_server_well(tmp_path: Path) -> None:
    # With it, each request mints a token, which costs more than all else.
    live = Live(tmp_path, str(tmp_path / "inbox"), AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")
    health: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            began = time.monotonic()
            assert send(f"{live.url}/api/v2/monitor/health", None, "GET") == 200
            health.append(time.monotonic() - began)

    with live.airflow, ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            answers, waits = asyncio.run(bench_webhooks.send(live.url + path(), 10_000, 10.0, "posts"))
        finally:
            ended.set()
        looking.result()
    p99 = statistics.quantiles(waits, n=100)[98]
    print(
        f"{dict(answers)}: median {statistics.median(waits):.2f} s, p99 {p99:.2f} s, worst {max(waits):.2f} s; "
        f"health meanwhile: median {statistics.median(health):.2f} s, worst {max(health):.2f} s"
    )
    assert answers == {200: 10_000}
    assert bench_webhooks.count(get_inbox(live.inbox)) == 10_000
    assert p99 < 2
    assert max(health) < 1


def test_ten_thousand_posts_in_ten_seconds_to_a_receiver_of_its_own(tmp_path: Path) -> None:
    inbox = str(tmp_path / "inbox")
    with bench_webhooks.receiver(inbox, SECRETS[0]) as (url, _):
        answers, waits = asyncio.run(bench_webhooks.send(url + path(), 10_000, 10.0, "posts"))
    p99 = statistics.quantiles(waits, n=100)[98]
    print(f"{dict(answers)}: median {statistics.median(waits):.2f} s, p99 {p99:.2f} s, worst {max(waits):.2f} s")
    assert answers == {200: 10_000}
    assert bench_webhooks.count(get_inbox(inbox)) == 10_000
    assert p99 < 2
