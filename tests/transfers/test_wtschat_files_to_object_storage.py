"""Copying files: each once, whole or not at all, and only from where somebody said, over real HTTP."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatDestinationError,
    WtsChatError,
    WtsChatFailedError,
)
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.hooks.downloads import AllowedHosts, is_public
from airflow_provider_wtschat.transfers.wtschat_files_to_object_storage import WtsChatFilesToObjectStorageOperator
from airflow_provider_wtschat.warehouse import files as copies
from airflow_provider_wtschat.warehouse.files import copied_files
from tests.loading import DATABASES, load

Answer = Callable[[BaseHTTPRequestHandler], None]


class FileServer:
    """A server of files on this machine that can be told to misbehave, by path."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, Answer] = {}
        self.most = self.now = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.now += 1
                outer.most = max(outer.most, outer.now)
                try:
                    outer.answers.get(self.path, whole)(self)
                finally:
                    outer.now -= 1

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def content(path: str) -> bytes:
    return (path * 40).encode()


def reply(handler: BaseHTTPRequestHandler, status: int = 200, body: bytes = b"", **headers: Any) -> None:
    handler.send_response(status)
    told = {"Content-Length": len(body), "Content-Type": "image/png"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in told.items():
        if value is not None:
            handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler) -> None:
    reply(handler, body=content(handler.path))


def status(code: int, **headers: Any) -> Answer:
    return lambda handler: reply(handler, code, **headers)


def short(handler: BaseHTTPRequestHandler) -> None:
    reply(handler, body=b"half", Content_Length=4000)
    handler.close_connection = True


def trickling(handler: BaseHTTPRequestHandler) -> None:
    reply(handler, Content_Length=10_000)
    for _ in range(100):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def packed(handler: BaseHTTPRequestHandler) -> None:
    reply(handler, body=gzip.compress(content(handler.path)), Content_Encoding="gzip")


def chunked(handler: BaseHTTPRequestHandler) -> None:
    reply(handler, Content_Length=None, Transfer_Encoding="chunked")
    body = content(handler.path)
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.stop()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    token = json.dumps({"conn_type": "wtschat", "password": "pn_secret", "extra": {"account": "shop"}})
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", token)
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
    return tmp_path / "lake"


def rows(server: FileServer, *ids: str) -> list[dict[str, Any]]:
    return [{"file_id": one, "url": f"{server.url}/{one}", "message_id": f"m-{one}", "extension": ".png"}
            for one in ids]  # fmt: skip


def copy(lake: Path, server: FileServer | None = None, files: Any = None, **arguments: Any) -> dict[str, Any]:
    given = {"private_addresses": True, "allowed_hosts": [server.url] if server else ["files.example.com"], **arguments}
    if files is not None:
        given["files"] = files
    return WtsChatFilesToObjectStorageOperator(task_id="copy", path=f"file://{lake}", **given).execute({})


def there(lake: Path) -> dict[str, bytes]:
    """Read what the lists name, and hold it against its checksum."""
    found = {}
    for entry in copied_files(f"file://{lake}"):
        found[entry["id"]] = Path(entry["path"].removeprefix("file://")).read_bytes()
        told = (len(found[entry["id"]]), hashlib.sha256(found[entry["id"]]).hexdigest())
        assert told == (entry["bytes"], entry["sha256"])
    return found


def test_each_file_is_copied_once_and_the_token_stays_here(lake, server, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password pn_other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.answers = {"/packed": packed, "/chunked": chunked, "/empty": status(200)}
    ids = ["aa1", "aa2", "packed", "chunked", "empty"]
    first = copy(lake, server, rows(server, *ids, "aa1"))
    assert (first["copied"], first["there"], first["failed"]) == (5, 0, 0)
    assert there(lake) == {**{one: content(f"/{one}") for one in ids}, "empty": b""}
    assert (lake / "aa" / "aa1.png").exists()
    assert not any(name in told for told in server.headers for name in ("authorization", "cookie"))
    second = copy(lake, server, rows(server, *ids, "bb1"))
    assert (second["copied"], second["there"]) == (1, 5)
    assert Counter(server.asked) == Counter([*(f"/{one}" for one in ids), "/bb1"])
    assert (copy(lake, server, [])["copied"], copy(lake, server, "[]")["copied"]) == (0, 0)


def redirect(to: str) -> Answer:
    return status(302, Location=to)


@pytest.mark.parametrize(
    ("answer", "reason", "tries"),
    [
        (status(404), "gone", 1),
        (status(403), "gone", 1),
        (status(410), "gone", 1),
        (status(500), "server_error", 3),
        (status(429, Retry_After=0), "server_error", 3),
        (status(429, Retry_After=4000), "server_error", 1),
        (status(418), "refused", 1),
        (short, "incomplete", 3),
        (trickling, "timeout", 3),
        (status(200, Content_Type="text/html"), "not_the_file", 1),
        (lambda handler: reply(handler, body=b"x" * 70_000), "too_large", 1),
        (lambda handler: reply(handler, Content_Length=10**12), "too_large", 1),
        (redirect("http://169.254.169.254/latest/meta-data"), "host_not_allowed", 1),
        (redirect("ftp://127.0.0.1/x"), "bad_address", 1),
        (redirect("/x"), "refused", 6),
    ],
)
def test_what_a_server_does_wrong_is_told_by_its_reason(lake, server, answer, reason, tries, monkeypatch):
    connection = {"conn_type": "wtschat", "password": "x", "extra": {"max_retries": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    server.answers = {"/x": answer}
    given = {"max_bytes": 60_000, "file_timeout": 0.5, "max_failed": 1}
    figures = copy(lake, server, rows(server, "x", "good"), **given)
    assert figures["reasons"] == {reason: 1}
    assert figures["failures"] == {"m-x": reason}
    assert (figures["gone"], figures["failed"]) == ((1, 0) if reason == "gone" else (0, 1))
    assert server.asked.count("/x") == tries
    assert there(lake) == {"good": content("/good")}


def test_redirect_to_a_host_that_is_allowed_is_followed(lake, server):
    other = FileServer()
    try:
        server.answers = {"/x": redirect(f"{other.url}/y"), "/r": redirect("/z")}
        figures = copy(lake, server, rows(server, "x", "r"), allowed_hosts=[server.url, other.url])
    finally:
        other.stop()
    assert figures["copied"] == 2
    assert there(lake) == {"x": content("/y"), "r": content("/z")}


@pytest.mark.parametrize(
    ("url", "private", "reason"),
    [
        ("http://evil.example/x", True, "host_not_allowed"),
        ("{server}@evil.example/x", True, "bad_address"),
        ("http://127.0.0.1:1/x", True, "host_not_allowed"),
        ("https://127.0.0.1/x", True, "host_not_allowed"),
        ("file:///etc/passwd", True, "bad_address"),
        ("{server}\\@evil.example/x", True, "bad_address"),
        ("nothing", True, "bad_address"),
        ("", True, "no_address"),
        ("{server}/x", False, "private_address"),
        ("{local}/x", False, "private_address"),
    ],
)
def test_addresses_that_lead_elsewhere_are_not_asked(lake, server, url, private, reason):
    local = server.url.replace("127.0.0.1", "localhost")
    row = {**rows(server, "x")[0], "url": url.format(server=server.url, local=local)}
    with pytest.raises(WtsChatError) as raised:
        copy(lake, server, [row], allowed_hosts=[server.url, local], private_addresses=private)
    assert isinstance(raised.value, WtsChatFailedError), "a retry cannot mend it"
    assert reason in str(raised.value)
    assert server.asked == []
    assert not list(lake.rglob("x.png"))


def test_a_name_is_looked_up_once_so_that_it_cannot_change_in_between(lake, server, monkeypatch):
    """The connection goes to the address that was looked at, whatever the name would say the next time."""
    from airflow_provider_wtschat.hooks import downloads

    port = int(server.url.rpartition(":")[2])
    looked = []

    def turning(host, *args, **kwargs):
        looked.append(host)
        address = "93.184.216.34" if len(looked) == 1 else "127.0.0.1"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(downloads.socket, "getaddrinfo", turning)
    monkeypatch.setattr(downloads, "is_public", lambda address: address != "127.0.0.1")
    made = []

    def connecting(self):
        made.append(self._dns_host)
        raise downloads.exceptions.NewConnectionError(self, "no")

    monkeypatch.setattr(downloads.connection.HTTPConnection, "_new_conn", connecting)
    row = {**rows(server, "x")[0], "url": f"http://files.example.com:{port}/x"}
    given = {"allowed_hosts": [f"http://files.example.com:{port}"], "private_addresses": False, "max_failed": 1}
    figures = copy(lake, server, [row], **given)
    assert made == ["93.184.216.34"]
    assert figures["reasons"] == {"private_address": 1}, "at the second try the name leads home"
    assert server.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:4700::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
        ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False), ("64:ff9b::5db8:d822", True),
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet(address, public):
    assert is_public(address) is public


def test_hosts_are_matched_whole():
    allowed = AllowedHosts(["Files.Example.com", "*.cdn.example", "http://box:8080"])
    yes = [("https", "files.example.com", 443), ("https", "FILES.example.com.", 443), ("https", "a.b.cdn.example", 443),
           ("http", "box", 8080)]  # fmt: skip
    no = [("http", "files.example.com", 80), ("https", "files.example.com", 8443), ("https", "cdn.example", 443),
          ("https", "evilcdn.example", 443), ("https", "xfiles.example.com", 443), ("https", "box", 8080)]  # fmt: skip
    assert [allowed.allow(*one) for one in (*yes, *no)] == [True] * len(yes) + [False] * len(no)
    for entry in ("*", "", "*.*.com", "a*.com", "https://x/path", "ftp://x", "https://u:p@x", "x:99999"):
        with pytest.raises(WtsChatArgumentError):
            AllowedHosts([entry])


@pytest.mark.parametrize("bad", ["../../etc/x", "a/b", "", ".", "x" * 80, "-", "a\nb"])
def test_an_id_cannot_lead_out_of_the_folder(lake, server, bad):
    figures = copy(lake, server, [{**rows(server, "x")[0], "file_id": bad, "extension": "../x"}], max_failed=1)
    assert figures["reasons"] == {"bad_id": 1}
    assert server.asked == []


def test_what_is_gone_is_asked_for_again_at_another_address_only(lake, server):
    server.answers = {"/x": status(404)}
    assert copy(lake, server, rows(server, "x"))["gone"] == 1
    assert copy(lake, server, rows(server, "x"))["reasons"] == {"gone": 1}
    assert server.asked == ["/x"]
    with pytest.raises(WtsChatFailedError):
        copy(lake, server, rows(server, "x"), again=True, fail_if_gone=True)
    assert server.asked == ["/x"] * 2
    moved = [{**rows(server, "x")[0], "url": f"{server.url}/y"}]
    assert copy(lake, server, moved)["copied"] == 1
    assert copy(lake, server, rows(server, "x"))["there"] == 1
    assert set(there(lake)) == {"x"}


def test_failures_leave_what_was_copied_and_name_the_hosts(lake, server):
    server.answers = {"/bad": status(503)}
    files = [*rows(server, "a", "bad"), {**rows(server, "e")[0], "url": "https://cdn.elsewhere.example/e"}]
    with pytest.raises(WtsChatError) as raised:
        copy(lake, server, files)
    assert raised.value.retryable
    assert "https://cdn.elsewhere.example:443 (1)" in str(raised.value)
    server.answers = {}
    assert copy(lake, server, files[:2])["copied"] == 1
    assert set(there(lake)) == {"a", "bad"}


def test_many_are_copied_at_once_but_not_more_than_was_said_and_memory_stays_flat(lake, server):
    block = b"x" * (1 << 20)

    def big(handler):
        reply(handler, Content_Length=24 << 20)
        for _ in range(24):
            handler.wfile.write(block)

    server.answers = {f"/big{number}": big for number in range(6)}
    tracemalloc.start()
    figures = copy(lake, server, rows(server, *(path[1:] for path in server.answers)), workers=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert figures["bytes"] == 6 * (24 << 20)
    assert 2 <= server.most <= 3
    assert peak < 16 << 20


@pytest.mark.parametrize("full", ["disk", "storage"])
def test_a_full_disk_or_storage_is_no_fault_of_the_server(lake, server, monkeypatch, full):
    copy(lake, server, rows(server, "a"))
    if full == "disk":
        full_disk = lake.parent / "full"
        full_disk.mkdir()
        # Each write there fails for want of room.
        (full_disk / "wtschat-files-1").symlink_to("/dev/full")
        monkeypatch.setattr(copies, "LocalFolder", lambda: SimpleNamespace(path=full_disk, remove=lambda: None))
    else:
        (lake / "bb").write_text("a file where a folder is wanted")
    with pytest.raises(WtsChatDestinationError) as raised:
        copy(lake, server, rows(server, "bb1"))
    assert raised.value.retryable
    assert set(there(lake)) == {"a"}


SCRIPT = """
import sys
from airflow_provider_wtschat.transfers.wtschat_files_to_object_storage import WtsChatFilesToObjectStorageOperator
from airflow_provider_wtschat.warehouse import files
files._AT_ONCE = 3
base, lake, count = sys.argv[1:]
rows = [{"file_id": f"f{n}", "url": f"{base}/f{n}", "message_id": f"m{n}"} for n in range(int(count))]
WtsChatFilesToObjectStorageOperator(
    task_id="copy", path=f"file://{lake}", files=rows, allowed_hosts=[base], private_addresses=True, workers=2
).execute({})
"""


def test_a_killed_copy_goes_on_and_half_files_are_not_believed(lake, server):
    count, slow = 20, threading.Event()

    def slowly(handler):
        if not slow.is_set():
            time.sleep(0.05)
        whole(handler)

    server.answers = {f"/f{number}": slowly for number in range(count)}
    command = [sys.executable, "-c", SCRIPT, server.url, str(lake), str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        deadline = time.monotonic() + 60
        while len(server.asked) < count // 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    before = there(lake)
    assert 0 < len(before) < count
    # As if the kill had come while files and a list were being written.
    half = f"f{count - 1}"
    (lake / half[:2] / half).write_bytes(b"half")
    (lake / "_manifests" / f"files-20260101T000000000000Z-{'0' * 12}-00000.jsonl.gz").write_bytes(b"\x1f\x8b\x08half")
    slow.set()
    server.asked.clear()
    files = [{"file_id": f"f{n}", "url": f"{server.url}/f{n}", "message_id": f"m{n}"} for n in range(count)]
    figures = copy(lake, server, files)
    assert (figures["there"], figures["copied"]) == (len(before), count - len(before))
    assert sorted(server.asked) == sorted(f"/f{n}" for n in range(count) if f"f{n}" not in before)
    assert there(lake) == {f"f{n}": content(f"/f{n}") for n in range(count)}


def test_lists_are_made_one_before_they_are_too_many(lake, server, monkeypatch):
    monkeypatch.setattr(copies, "_AT_ONCE", 2)
    monkeypatch.setattr(copies, "_MANY", 3)
    server.answers = {"/gone": status(404)}
    ids = [f"f{number}" for number in range(9)]
    figures = copy(lake, server, rows(server, *ids, "gone"))
    (whole_list,) = (lake / "_manifests").iterdir()
    assert figures["manifests"] == [f"file://{whole_list}"]
    assert set(there(lake)) == set(ids)
    assert copy(lake, server, rows(server, *ids, "gone"))["there"] == 9
    assert server.asked.count("/gone") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "sql_conn_id, files, since"),
        ({"files": [{"file_id": "x"}]}, r"files\[0\]"),
        ({"files": [], "since": "2026-01-01"}, "files"),
        ({"files": [], "workers": 0}, "workers"),
        ({"files": [], "allowed_hosts": ["*"]}, "allowed_hosts"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "backwards"),
        ({"files": [], "file_timeout": "soon"}, "file_timeout"),
    ],
)
def test_refused_before_anything_is_done(lake, arguments, words):
    with pytest.raises(WtsChatFailedError, match=words):
        copy(lake, **arguments)
    assert not lake.exists()


# --- Behind a load, from the table or from the API ---------------------------------------------------------------


def of_account(reading: Any) -> dict[str, bytes]:
    """Return the files that messages of the account have."""
    world = reading.world
    ids = {file_id for session in world.sessions for message in world.history.of(session.id)
           if message.type != "NOTE" for file_id in message.file_ids}  # fmt: skip
    assert ids
    return {file_id: world.files.get(file_id)["_bytes"] for file_id in ids}


@pytest.mark.reads(sessions=30)
@pytest.mark.parametrize("destination", DATABASES, indirect=True)
def test_files_of_a_table_are_copied(reading, destination, tmp_path):
    lake = tmp_path / "lake"
    arguments = {"sql_conn_id": "warehouse", "allowed_hosts": [reading.url]}
    with pytest.raises(WtsChatFailedError, match="load messages"):
        copy(lake, **arguments)
    load("messages", table="wtschat_messages")
    assert copy(lake, **arguments)["copied"] == len(of_account(reading))
    assert there(lake) == of_account(reading)
    figures = copy(lake, **arguments)
    assert (figures["copied"], figures["there"]) == (0, len(of_account(reading)))
    assert copy(tmp_path / "other", **arguments, until="2020-01-01")["copied"] == 0
    assert reading.violations == []


@pytest.mark.reads(sessions=30)
def test_files_of_a_window_are_copied(reading, tmp_path):
    figures = copy(tmp_path / "lake", allowed_hosts=[reading.url], since="2020-01-01")
    assert figures["copied"] == len(of_account(reading))
    with pytest.raises(WtsChatFailedError, match="max_requests"):
        copy(tmp_path / "lake", allowed_hosts=[reading.url], since="2020-01-01", max_requests=2)
