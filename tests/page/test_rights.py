"""Who may not read a Dag does not see it on the page: on a real Airflow that knows rights on single Dags."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections, wait_for
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow
from tests.page.test_in_a_browser import CHROMIUM, looked_at, section, words

DAGS = """
from datetime import datetime

from airflow.sdk import DAG

from airflow_provider_wtschat.sensors.session import SessionStatusSensor
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

for name in ("open", "hidden"):
    with DAG(f"{name}_dag", schedule="@once", start_date=datetime(2026, 1, 1), catchup=False):
        WtsChatToSqlOperator(
            task_id=f"{name}_load", resource="tags", sql_conn_id="warehouse", table=f"{name}_table"
        )
        SessionStatusSensor(
            task_id=f"{name}_wait", session_id="%s", target_statuses=["COMPLETED"], deferrable=True
        )
"""
RIGHTS = ("DAG:open_dag", "DAG Runs", "Task Instances", "XComs", "Cluster Activity")
PASSWORD = "correct horse battery staple"


class Proxy(BaseHTTPRequestHandler):
    """Stands before Airflow and adds somebody's login, since a browser without a window cannot log in."""

    def __init__(self, url: str, token: str, *arguments: Any) -> None:
        self.url, self.token = url, token
        super().__init__(*arguments)

    def do_GET(self) -> None:
        status, kind, content = get(self.url + self.path, self.token)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def get(url: str, token: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"authorization": f"Bearer {token}"}), timeout=60
        ) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read()


def login(url: str, name: str) -> str:
    request = urllib.request.Request(
        f"{url}/auth/token",
        json.dumps({"username": name, "password": PASSWORD}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["access_token"])


@contextmanager
def as_user(url: str, token: str) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Proxy, url, token)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/wtschat/page/"
        proxy.shutdown()
        thread.join()


@pytest.mark.airflow
@pytest.mark.soak
@pytest.mark.skipif(AIRFLOW_2, reason="Airflow has a place for the page from version 3.1 on")
@pytest.mark.skipif(
    find_spec("flask_appbuilder") is None,
    reason="rights on single Dags need the package apache-airflow-providers-fab",
)
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_who_may_not_read_a_dag_does_not_see_it(tmp_path: Path) -> None:
    home, file = tmp_path / "airflow", tmp_path / "dags.py"
    (home / "plugins").mkdir(parents=True)
    (home / "plugins" / "page.py").write_text(
        "from airflow_provider_wtschat.webhooks.plugin import WtsChatPlugin as Plugin\n"
    )
    with Simulator(sessions=5, seed=4, strict=True) as account:
        with account.world.lock:
            file.write_text(DAGS % account.world.create_session().id)
        live = LiveAirflow(
            home,
            [file],
            connections(account, tmp_path / "warehouse.db"),
            AIRFLOW__CORE__AUTH_MANAGER="airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            AIRFLOW__CORE__PLUGINS_FOLDER=str(home / "plugins"),
            AIRFLOW__WTSCHAT__BUDGET=str(tmp_path / "budget"),
            # The first task of an API server waits until that has built its routes, on a busy machine for long.
            AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT="60",
        )
        url = live.processes.environment["AIRFLOW__API__BASE_URL"]
        with live:
            live.wait_for_dag("hidden_dag")
            loaded = "SELECT count(*) AS n FROM xcom WHERE key = 'wtschat_progress'"
            waits = "SELECT count(*) AS n FROM task_instance WHERE state = 'deferred'"
            for query, what in ((loaded, "Both loads"), (waits, "Both waits")):
                wait_for(lambda query=query: live.query(query)[0]["n"] == 2 or None, what, live.processes, 180)  # type: ignore[misc]
            live.cli("roles", "create", "Clerk", "Nobody")
            live.cli("roles", "add-perms", "Clerk", "-a", "can_read", "-r", *RIGHTS)
            for name, role in (("boss", "Admin"), ("clerk", "Clerk"), ("nobody", "Nobody")):
                person = ("-f", name, "-l", name, "-e", f"{name}@example.com", "-p", PASSWORD)
                live.cli("users", "create", "-u", name, "-r", role, *person)
            seen = {}
            for name in ("boss", "clerk", "nobody"):
                with as_user(url, login(url, name)) as page:
                    seen[name] = looked_at(page, tmp_path / name)
    for name, wanted, not_wanted in (
        ("boss", ("open", "hidden"), ()),
        ("clerk", ("open",), ("hidden_",)),
        ("nobody", (), ("open_", "hidden_")),
    ):
        loads, budget, waits = (words(section(seen[name], part)) for part in ("loads", "budget", "waits"))
        for dag in wanted:
            assert f"{dag}_table" in loads, (name, loads)
            assert f"{dag}_dag.{dag}_load" in budget, (name, budget)
            assert f"{dag}_dag.{dag}_wait" in waits, (name, waits)
        assert [dag for dag in not_wanted if dag in seen[name]] == [], (name, seen[name])
    assert "other Dags" in words(section(seen["clerk"], "budget"))
    assert seen["nobody"].count("You may not see this") == 4
