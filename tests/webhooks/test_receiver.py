"""What is answered with 200 is stored; nothing else gets in, and no secret gets out."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks import receiver as receiving
from airflow_provider_wtschat.webhooks.__main__ import main
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, Stored, get_inbox
from airflow_provider_wtschat.webhooks.receiver import LARGEST_BODY, Receiver, ReceiverMiddleware
from tests.webhooks.test_inbox import numbers

uvicorn = pytest.importorskip("uvicorn")

SECRETS = ["the secret that signs", "the secret before it"]
CONN_ID = "wtschat_default"
ROOT = Path(__file__).parents[2]


def path(conn_id: str = CONN_ID, secret: str = SECRETS[0], prefix: str = "/wtschat") -> str:
    return f"{prefix}/webhooks/{conn_id}/{webhook_address.token(secret, conn_id)}"


def body(number: int) -> bytes:
    content = {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "name": "Maria da Silva",
        "phonenumber": "+55|11900000001",
    }
    return json.dumps({"eventType": "CONTACT_NEW", "content": content}).encode()


@contextmanager
def serving(app: Any, lifespan: Literal["on", "off"] = "off") -> Iterator[int]:
    """Serve on a free port in a thread."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        server = uvicorn.Server(uvicorn.Config(app, lifespan=lifespan, log_config=None, access_log=True))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def post(port: int, where: str, content: bytes | None, method: str = "POST", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, where, content, headers)
        answer = connection.getresponse()
        assert answer.read() == b""
        return answer.status
    finally:
        connection.close()


@pytest.fixture
def local(tmp_path: Path) -> Inbox:
    return get_inbox(str(tmp_path / "inbox"))


@pytest.fixture
def port(local: Inbox) -> Iterator[int]:
    with serving(Receiver(local, SECRETS)) as port:
        yield port


def test_a_post_is_stored_before_it_is_answered(port: int, local: Inbox) -> None:
    assert post(port, path(), body(1)) == 200
    assert numbers(local, CONN_ID) == [1]
    assert post(port, path(), body(1)) == 200  # a redelivery
    assert post(port, path(secret=SECRETS[1]), body(2)) == 200  # an address made before the secret was changed
    assert post(port, path(conn_id="other"), body(2)) == 200
    assert (numbers(local, CONN_ID), numbers(local, "other")) == ([1, 2], [2])


BAD = {
    "no address": (404, "POST", "/wtschat/webhooks/", body(1)),
    "root": (404, "POST", "/", body(1)),
    "no token": (404, "POST", "/wtschat/webhooks/wtschat_default", body(1)),
    "empty token": (404, "POST", "/wtschat/webhooks/wtschat_default/", body(1)),
    "wrong token": (404, "POST", f"/wtschat/webhooks/{CONN_ID}/{'0' * 64}", body(1)),
    "token of another connection": (404, "POST", path("other").replace("/other/", f"/{CONN_ID}/"), body(1)),
    "token of another secret": (404, "POST", path(secret="a secret of somebody else"), body(1)),
    "longer token": (404, "POST", path() + "0", body(1)),
    "more path": (404, "POST", path() + "/x", body(1)),
    "letters beyond ASCII": (404, "POST", f"/wtschat/webhooks/%C3%A7/{'0' * 64}", body(1)),
    "line break": (404, "POST", path() + "%0A", body(1)),
    "get": (405, "GET", path(), None),
    "get with a wrong token": (404, "GET", f"/wtschat/webhooks/{CONN_ID}/{'0' * 64}", None),
    "put": (405, "PUT", path(), body(1)),
    "empty": (422, "POST", path(), b""),
    "no JSON": (422, "POST", path(), b"<html>"),
    "no object": (422, "POST", path(), b"[1]"),
    "too deep": (422, "POST", path(), b"[" * 100_000),
    "cut": (422, "POST", path(), body(1)[:-1]),
    "too large": (413, "POST", path(), b'{"a": "' + b"x" * LARGEST_BODY + b'"}'),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_taken(port: int, local: Inbox, case: str) -> None:
    status, method, where, content = BAD[case]
    assert post(port, where, content, method) == status
    assert numbers(local, CONN_ID) == []


def test_a_body_without_a_length_is_cut_at_the_limit(port: int, local: Inbox) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(f"POST {path()} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(6):
            raw.sendall(chunk)
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    assert post(port, path(), body(1)) == 200


def test_a_slow_body_is_not_waited_for(local: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "BODY_SECONDS", 0.5)
    with serving(Receiver(local, SECRETS)) as port:
        slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(50)]
        for raw in slow:
            raw.sendall(f"POST {path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert post(port, path(), body(1)) == 200  # others go on meanwhile
        assert {raw.recv(100)[:12] for raw in slow} == {b"HTTP/1.1 408"}
        for raw in slow:
            raw.close()


class Broken(Inbox):
    """An inbox that can be broken."""

    def __init__(self, inner: Inbox) -> None:
        self.inner = inner
        self.error: Exception | None = None
        self.batches: list[int] = []

    def put(self, batch: Sequence[tuple[str, WebhookEvent]]) -> list[bool]:
        self.batches.append(len(batch))
        if self.error:
            raise self.error
        return self.inner.put(batch)

    def describe(self) -> str:
        return "broken"

    def read(self, conn_id: str, *, after: str = "", until: str | None = None, limit: int = 1000) -> list[Stored]:
        return self.inner.read(conn_id, after=after, until=until, limit=limit)

    def end(self, conn_id: str) -> str:
        return self.inner.end(conn_id)

    def connections(self) -> list[str]:
        return self.inner.connections()

    def newest(self, conn_id: str) -> datetime | None:
        return self.inner.newest(conn_id)

    def cursor(self, name: str) -> str | None:
        return self.inner.cursor(name)

    def cursors(self) -> dict[str, str]:
        return self.inner.cursors()

    def move(self, name: str, place: str) -> None:
        self.inner.move(name, place)

    def remember(self, name: str, after: str, until: str) -> None:
        self.inner.remember(name, after, until)

    def recall(self, name: str) -> tuple[str, str] | None:
        return self.inner.recall(name)

    def prune(self, before: datetime) -> int:
        return self.inner.prune(before)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("error", [InboxError("database or disk is full"), RuntimeError("something else")])
def test_what_could_not_be_stored_is_answered_with_503(
    local: Inbox, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Broken(local)
    with serving(Receiver(inbox, SECRETS)) as port:
        assert post(port, path(), body(1)) == 200
        inbox.error = error
        assert [post(port, path(), body(number)) for number in (2, 3)] == [503, 503]
        inbox.error = None
        assert post(port, path(), body(3)) == 200
    assert numbers(local, CONN_ID) == [1, 3]
    assert [str(error) in record.getMessage() for record in caplog.records if "stored" in record.getMessage()] == [True]


def test_posts_that_arrive_together_share_a_commit(local: Inbox) -> None:
    inbox = Broken(local)
    with serving(Receiver(inbox, SECRETS)) as port, ThreadPoolExecutor(40) as threads:
        statuses = list(threads.map(lambda number: post(port, path(), body(number)), range(400)))
    assert statuses == [200] * 400
    assert sorted(numbers(local, CONN_ID)) == list(range(400))
    assert len(inbox.batches) < 400
    assert sum(inbox.batches) == 400


async def test_one_event_loop_after_another(local: Inbox) -> None:
    app = Receiver(local, SECRETS)

    async def one(number: int) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body(number)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path(), "headers": [], "query_string": b""}
        await app(scope, receive, send)
        assert webhook_address.token(SECRETS[0], CONN_ID) not in str(scope)
        return int(sent[0]["status"])

    for number in range(3):
        assert await asyncio.to_thread(lambda number=number: asyncio.run(one(number))) == 200
    assert numbers(local, CONN_ID) == [0, 1, 2]


def test_no_log_shows_the_secret(port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    access = logging.getLogger("uvicorn.access")
    # A server that another test has started may have turned it off.
    for name, value in (("propagate", True), ("disabled", False)):
        monkeypatch.setattr(access, name, value)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger=access.name)
    post(port, path(), body(1))
    post(port, path() + "?x=" + webhook_address.token(SECRETS[0], CONN_ID), body(2))
    post(port, path(conn_id="x"), b"no JSON")
    assert "POST /wtschat/webhooks/" in caplog.text
    for secret in (webhook_address.token(SECRETS[0], CONN_ID), webhook_address.token(SECRETS[0], "x"), "Maria", "1190"):
        assert secret not in caplog.text


class Around:
    """Middleware that an application adds after that of plugins, as Airflow does."""

    def __init__(self, app: Any, seen: list[str]) -> None:
        self.app = app
        self.seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            self.seen.append(scope["path"])


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_posts_pass_nothing_of_airflow_and_all_else_passes_as_it_was(
    local: Inbox, lifespan: Literal["on", "off"]
) -> None:
    fastapi = pytest.importorskip("fastapi")
    seen: list[str] = []
    started: list[bool] = []

    async def start(_: Any) -> Any:
        started.append(True)
        yield

    application = fastapi.FastAPI(root_path="/airflow", lifespan=asynccontextmanager(start))
    application.add_middleware(ReceiverMiddleware, Receiver(local, SECRETS))
    application.add_middleware(Around, seen)
    application.post("/{rest:path}")(lambda rest: fastapi.Response(status_code=418))
    others = ["/", "/wtschat/webhooks", "/wtschat/page/state", "/other" + path(), "/airflowx" + path(), "/airflow/x"]
    with serving(application, lifespan) as port:
        assert [post(port, prefix + path(), body(number)) for number, prefix in enumerate(("", "/airflow"))] == [
            200
        ] * 2
        assert post(port, path(secret="a secret of somebody else"), body(3)) == 404
        ours, seen[:] = list(seen), []
        assert [post(port, other, body(4)) for other in others] == [418] * len(others)
    assert seen == others
    # Where the application does not say that it starts, posts come through what is around; their secret does not.
    assert ours == ([] if lifespan == "on" else ["/wtschat/webhooks/***"] * 3)
    assert started == ([True] if lifespan == "on" else [])
    assert numbers(local, CONN_ID) == [0, 1]


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_killed_receivers_lose_nothing_that_they_said_is_stored(tmp_path: Path, kills: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__WTSCHAT__WEBHOOK_SECRET": SECRETS[0],
        "AIRFLOW__WTSCHAT__WEBHOOK_INBOX": str(tmp_path / "inbox"),
    }
    accepted: list[int] = []
    ended = threading.Event()

    def client(first: int) -> None:
        number = first
        while not ended.is_set():
            try:
                if post(port, path(), body(number)) == 200:
                    accepted.append(number)
                    number += 8
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)  # and once more, as the vendor may

    command = [sys.executable, "-m", "airflow_provider_wtschat.webhooks", "--port", str(port)]
    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(client, first) for first in range(8)]
        try:
            for _ in range(kills):
                before = len(accepted)
                with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
                    deadline = time.monotonic() + 60
                    while len(accepted) < before + 40 and time.monotonic() < deadline:
                        time.sleep(0.01)
                    server.send_signal(signal.SIGKILL)
        finally:
            ended.set()
        for one in clients:
            one.result()
    kept = numbers(get_inbox(str(tmp_path / "inbox")), CONN_ID, limit=1_000_000)
    assert len(accepted) >= kills * 40
    assert set(accepted) <= set(kept)
    assert len(set(kept)) == len(kept)


def test_a_full_disk_is_answered_with_503_until_there_is_room(tmp_path: Path) -> None:
    """The receiver may write no file beyond a size, as on a full disk, and then it may again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inbox = tmp_path / "inbox"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__WTSCHAT__WEBHOOK_SECRET": SECRETS[0],
        "AIRFLOW__WTSCHAT__WEBHOOK_INBOX": str(inbox),
    }
    command = [sys.executable, "-m", "airflow_provider_wtschat.webhooks", "--port", str(port)]
    answers: dict[int, int] = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 60
            while not answers and time.monotonic() < deadline:
                with suppress(OSError):
                    answers[0] = post(port, path(), body(0))
                time.sleep(0.05)
            largest = max(file.stat().st_size for file in inbox.iterdir())
            unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + 50_000, resource.RLIM_INFINITY))
            for number in range(1, 60):
                answers[number] = post(port, path(), body(number))
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
            for number in range(60, 80):
                answers[number] = post(port, path(), body(number))
        finally:
            server.terminate()
    assert {answers[number] for number in range(60, 80)} == {200}
    assert set(answers.values()) == {200, 503}
    kept = numbers(get_inbox(str(inbox)), CONN_ID)
    assert sorted(kept) == sorted(number for number, status in answers.items() if status == 200)


@pytest.mark.parametrize(
    ("secret", "spec", "said"),
    [
        ("", "", "webhook_secret is empty"),
        ("short", "", "fewer than 16 characters"),
        ("long enough to be a secret", "inbox", "webhook_inbox"),
    ],
)
def test_a_receiver_that_cannot_work_says_why(
    secret: str, spec: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", secret)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", spec)
    assert main([]) == 2
    assert said in capsys.readouterr().err


# --- Addresses ------------------------------------------------------------------------------------------------------


def test_the_address_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", ", ".join(SECRETS))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/prefix/")
    assert webhook_address.url(CONN_ID) == f"https://airflow.example/prefix{path()}"
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_BASE_URL", "https://hooks.example")
    assert webhook_address.url(CONN_ID) == f"https://hooks.example{path()}"
    assert webhook_address.url(CONN_ID, "https://other.example") == f"https://other.example{path()}"
    assert webhook_address.secrets() == SECRETS
    with pytest.raises(WtsChatArgumentError, match="webhook_base_url"):
        webhook_address.url(CONN_ID, "other.example")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", " ")
    with pytest.raises(WtsChatArgumentError, match="webhook_secret"):
        webhook_address.url(CONN_ID)


MOUNTED = """
import importlib, os, sys
import airflow.plugins_manager
FRAMEWORKS = {"fastapi", "starlette", "uvicorn"}
there = FRAMEWORKS & set(sys.modules)
from airflow_provider_wtschat.webhooks import plugin
for secret, page in (given.split("/") for given in sys.argv[1:]):
    os.environ["AIRFLOW__WTSCHAT__WEBHOOK_SECRET"] = secret
    os.environ["AIRFLOW__WTSCHAT__UI_PAGE"] = page
    mounted = importlib.reload(plugin).WtsChatPlugin
    apps = [type(app["app"]).__name__ for app in mounted.fastapi_apps]
    apps += [each["middleware"].__name__ for each in mounted.fastapi_root_middlewares]
    print("mounted:", *apps, *mounted.external_views and ["view"], *sorted(FRAMEWORKS & set(sys.modules) - there))
"""


def test_the_plugin_mounts_what_is_wanted_and_loads_no_framework() -> None:
    """In a process of its own, as each of Airflow's loads it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    given = ["/False", "short/False", f"{SECRETS[0]}/False", "/True", f"{SECRETS[0]}/True"]
    done = subprocess.run(
        [sys.executable, "-c", MOUNTED, *given], env=environment, capture_output=True, text=True, check=True
    )
    wanted = ["", "", "ReceiverMiddleware", "Page view", "Page ReceiverMiddleware view"]
    if not hasattr(AirflowPlugin, "external_views"):
        wanted = ["", "", "ReceiverMiddleware", "", "ReceiverMiddleware"]
    assert re.findall("mounted: ?(.*)", done.stdout) == wanted
