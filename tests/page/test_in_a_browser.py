"""The page in a real browser, in front of answers as Airflow's API and ours give them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_wtschat.operators._progress import KEY
from airflow_provider_wtschat.page import _app

CHROMIUM = shutil.which("chromium")
STATIC = Path(_app.__file__).parent / "static"
MARKUP = "<img src=x onerror=alert(1)><b>50% off</b>"


def ago(**span: float) -> str:
    """A moment counted from the answer that holds it: a test may start long after this module was read."""
    return f"ago:{timedelta(**span).total_seconds()}"


def dated(content: Any) -> bytes:
    now = datetime.now(UTC)
    moments = re.compile(r"ago:(-?[\d.]+)")
    return moments.sub(
        lambda span: (now - timedelta(seconds=float(span[1]))).isoformat().replace("+00:00", "Z"), json.dumps(content)
    ).encode()


LOADS = {
    "fresh": {"state": "done", "complete_until": ago(minutes=20), "verified": True},
    "old": {"state": "done", "complete_until": ago(days=2, hours=1), "verified": True},
    "broken": {"state": "running", "complete_until": ago(minutes=61), "verified": True},
    "once": {"state": "done", "given": True, "complete_until": None, "verified": True},
}
CAMPAIGN = {
    "kind": "campaign", "state": "waiting", "at": ago(minutes=1), "campaign": MARKUP, "table": "offers",
    "recipients": 10, "sent": 6, "planned": 3, "refused": 1, "delivery": {"READ": 2, "DELIVERED": 3}, "replied": 1,
    "waits_for": "look", "until": ago(minutes=-5),
}  # fmt: skip
TOLD: dict[tuple[str, str], dict[str, Any]] = {
    **{
        ("loads", name): {"version": 1, "kind": "load", "destination": name, "resource": "sessions", "rows": 1, **told}
        for name, told in LOADS.items()
    },
    ("offers", "dispatch"): CAMPAIGN,
}
RUNS = [
    {"dag_run_id": f"run{number}", "run_after": ago(hours=number), "run_type": "scheduled"} for number in range(1, 4)
]


def entries(dag_id: str) -> list[dict[str, Any]]:
    return [
        {"dag_id": dag, "task_id": task, "run_id": "run1", "map_index": -1, "key": KEY, "timestamp": ago(minutes=1)}
        for dag, task in TOLD
        if dag_id in ("~", dag)
    ]


def instance(dag_id: str, task_id: str, state: str, **more: Any) -> dict[str, Any]:
    times = {"start_date": ago(hours=3), "run_after": ago(hours=3)}
    of = {"dag_id": dag_id, "task_id": task_id, "dag_run_id": "run1", "map_index": -1, "operator_name": "Some"}
    return of | times | {"state": state, "trigger": None} | more


def trigger(name: str, created: str) -> dict[str, str]:
    return {"classpath": f"airflow_provider_wtschat.triggers.{name}", "created_date": created}


WAITING = [
    *(
        instance("asks", "reply", "deferred", trigger=trigger("session.SessionReplyTrigger", ago(hours=hours)))
        for hours in (1, 5, 3)
    ),
    instance("asks", "poke", "up_for_reschedule", operator_name="SessionStatusSensor"),
    instance("others", "copy", "deferred", trigger={"classpath": "elsewhere.Trigger", "created_date": ago(hours=9)}),
]
STATE = {
    "version": 1,
    "budget": {
        "why": None,
        "accounts": [
            {
                "connections": ["wtschat_default"],
                "windows": {
                    "burst": {"used": 3, "limit": 200, "seconds": 5.0},
                    "read": {"used": 1000, "limit": 1000, "seconds": 300.0},
                    "send": {"used": 0, "limit": 1000, "seconds": 120.0},
                },
                "held": 0.0,
                "users": [
                    {"dag_id": "loads", "task_id": "old", "other": None, "requests": 900},
                    {"dag_id": None, "task_id": None, "other": "other Dags", "requests": 100},
                ],
            }
        ],
    },
    "webhooks": {
        "why": None,
        "connections": [
            {"connection": "wtschat_default", "newest": ago(minutes=3), "readers": [{"reader": "answers", "lag": 240}]}
        ],
    },
}


def answer(path: str, query: dict[str, list[str]]) -> Any:
    """Answer as Airflow's public API does."""
    words = path.removeprefix("/airflow/api/v2/").split("/")
    limit, offset = (int(query.get(name, [default])[0]) for name, default in (("limit", "50"), ("offset", "0")))
    if words[-1] == "xcomEntries":
        found = entries(words[1])
        return {"xcom_entries": found[offset : offset + limit], "total_entries": len(found)}
    if words[-2:-1] == ["xcomEntries"]:
        return {"key": KEY, "value": json.dumps(TOLD[words[1], words[5]])}
    if words[-1] == "taskInstances":
        if words[1] == "~":
            found = WAITING
        else:
            states = {"broken": "failed", "dispatch": "deferred"}
            found = [instance(dag, task, states.get(task, "success")) for dag, task in TOLD if dag == words[1]]
        return {"task_instances": found[offset : offset + limit], "total_entries": len(found)}
    if words[-1] == "dagRuns":
        return {"dag_runs": RUNS, "total_entries": len(RUNS)}
    return {"dag_id": words[1], "is_paused": False}


class Handler(BaseHTTPRequestHandler):
    state_status = 200

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name = url.path.removeprefix(f"/airflow{_app.PREFIX}/")
        status, kind = 200, "application/json"
        if name == "state":
            status, content = self.state_status, dated(STATE)
        elif url.path.startswith("/airflow/api/v2/"):
            content = dated(answer(url.path, parse_qs(url.query)))
        elif (STATIC / (name or "index.html")).is_file():
            file = STATIC / (name or "index.html")
            content, kind = file.read_bytes(), _app._TYPES[file.suffix]
        else:
            status, content = 404, b""
        self.send_response(status)
        for header, value in {**_app._HEADERS, "content-type": kind, "content-length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Handler], str]]:
    handler = type("Handler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        # Below a path, as Airflow may be.
        yield handler, f"http://127.0.0.1:{served.server_address[1]}/airflow{_app.PREFIX}/"
        served.shutdown()
        thread.join()


def looked_at(url: str, tmp_path: Path, language: str = "en-US") -> str:
    """Return what a browser makes of the page."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", f"--lang={language}", f"--accept-lang={language}",
        "--virtual-time-budget=5000", "--dump-dom", url,
    ]  # fmt: skip
    # It writes reports of crashes below the home directory, wherever its profile is.
    home = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=home).stdout


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found is not None, page
    return found[1]


def words(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<title>.*?</title>|<[^>]+>", " ", markup)).split())


needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)


@needs_browser
def test_the_page_answers_its_questions_in_their_order(server: tuple[type[Handler], str], tmp_path: Path):
    _, url = server
    page = looked_at(url, tmp_path)
    order = re.findall(r'<section id="(\w+)">', page)
    loads, budget, campaigns, waits = (words(section(page, name)) for name in order)
    assert order == ["loads", "budget", "campaigns", "waits"]
    # What failed comes first, then what is late, then what is well.
    # Tens of minutes: a minute may pass until the page is drawn.
    said = re.findall(r"(\w+) sessions · loads\.\w+ (failed|behind|up to date|window) (\d+ d|\d+(?=\d min)|–)", loads)
    assert said == [
        ("broken", "failed", "6"),
        ("old", "behind", "2 d"),
        ("fresh", "up to date", "2"),
        ("once", "window", "–"),
    ], loads
    assert "2 loads need a look" in loads
    assert "used up: requests in 5 min" in budget
    assert "loads.old 900" in budget
    assert "other Dags 100" in budget
    assert "2 read 3 delivered 1 sent 1 refused 3 planned · 1 answered" in campaigns
    assert "4 tasks wait" in waits
    assert "asks.reply a reply 3 5 h ago" in waits
    assert "asks.poke in a worker 1 3 h ago" in waits
    assert "others" not in waits
    assert "answers: behind by 4 min" in waits
    assert "/airflow/dags/loads/runs/run1/tasks/broken" in section(page, "loads")


@needs_browser
def test_markup_in_the_name_of_a_campaign_stays_text(server: tuple[type[Handler], str], tmp_path: Path):
    _, url = server
    campaigns = section(looked_at(url, tmp_path), "campaigns")
    assert "&lt;img src=x onerror=alert(1)&gt;" in campaigns
    assert re.findall(r"<(?:img|b|script)\b", campaigns) == []
    assert MARKUP in words(campaigns)


@needs_browser
def test_who_may_not_see_the_budget_is_told_so_and_sees_the_rest_in_portuguese(
    server: tuple[type[Handler], str], tmp_path: Path
):
    handler, url = server
    handler.state_status = 403
    page = looked_at(url, tmp_path, "pt-BR")
    assert "é preciso ter permissão" in words(section(page, "budget"))
    assert "2 cargas precisam de atenção" in words(section(page, "loads"))
    assert "4 tarefas esperam" in words(section(page, "waits"))


def test_every_text_of_the_page_is_translated():
    """What the page says goes through ``t``; whoever adds a text adds its Portuguese."""
    source = (STATIC / "page.js").read_text()
    table = source[source.index("const PORTUGUESE") : source.index("};", source.index("const PORTUGUESE"))]
    known = set(re.findall(r'"([^"]+)":\s', table))
    said = set(re.findall(r'\bt\("([^"]+)"\)', source))
    said |= set(re.findall(r'(?:return|\?|:) \["(?:bad|warn|busy|good|mute)", "([^"]+)"', source))
    for name in ("TITLES", "WAITS", "PURPOSES", "WHY"):
        block = re.search(rf"const {name} = {{(.*?)}};", source, re.DOTALL)
        assert block is not None
        said |= set(re.findall(r': "([^"]+)"', block[1]))
    assert len(said) > 40
    assert said - known == set()
