"""The hook, over real HTTP: what each fault raises, how often the server sees the request, and what is written."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_wtschat.api import contacts, sessions, tags
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.budget import get_budget, get_usages
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatAuthenticationError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatNotFoundError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
    WtsChatServerError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.hooks import wtschat
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator

TEXT = "A text that no log may show"
PHONE = "5511900000001"
SECRET = "secret-of-the-proxy"
ALL = "/chat/*"


def some_session(simulator: Simulator) -> str:
    """Return the id of a session into which a text can be sent: its contact has just written, whatever the hour."""
    open_sessions = WtsChatHook().iterate(sessions.list_(status=["PENDING", "IN_PROGRESS"], session_type="INDIVIDUAL"))
    session_id = next(row["id"] for row in open_sessions)
    simulator.world.add_inbound_message(session_id)
    return session_id


def tell(simulator: Simulator, call: Callable[[], Any]) -> tuple[Any, int, int]:
    """Return what a call gave or raised, how many requests the server saw, and how many writes it booked."""
    seen, written = len(simulator.requests), len(simulator.books)
    try:
        outcome = call()
    except WtsChatError as error:
        outcome = error
    return outcome, len(simulator.requests) - seen, len(simulator.books) - written


# What a fault that comes once means: for a read, and for a send (outcome, requests, writes).
ONCE = {
    "429_bare": ("answer", 2, "answer", 2, 1),
    "429_seconds": ("answer", 2, "answer", 2, 1),
    "429_date": ("answer", 2, "answer", 2, 1),
    "502": ("answer", 2, WtsChatUncertainError, 1, 0),
    "503": ("answer", 2, WtsChatUncertainError, 1, 0),
    "504_acted": ("answer", 2, WtsChatUncertainError, 1, 1),
    "html": ("answer", 2, WtsChatUncertainError, 1, 0),
    "html_acted": ("answer", 2, WtsChatUncertainError, 1, 1),
    "error200": ("answer", 2, WtsChatUncertainError, 1, 0),
    "truncated": ("answer", 2, WtsChatUncertainError, 1, 1),
    "cut_json": ("answer", 2, WtsChatUncertainError, 1, 1),
    "empty": ("answer", 2, WtsChatUncertainError, 1, 1),
    "lost_before": ("answer", 2, WtsChatUncertainError, 1, 0),
    "lost_after": ("answer", 2, WtsChatUncertainError, 1, 1),
    "slow": ("answer", 2, WtsChatUncertainError, 1, 1),
    "500": ("answer", 2, WtsChatUncertainError, 1, 0),
    "500_acted": ("answer", 2, WtsChatUncertainError, 1, 1),
    "error200_keyed": (WtsChatNotFoundError, 1, WtsChatNotFoundError, 1, 0),
    "form_error": (WtsChatNotFoundError, 1, WtsChatNotFoundError, 1, 0),
    "entity_not_found": (WtsChatNotFoundError, 1, WtsChatNotFoundError, 1, 0),
    "entity_error_save": (WtsChatRefusedError, 1, WtsChatRefusedError, 1, 0),
    "unknown_key": ("answer", 2, WtsChatRefusedError, 1, 0),
    "400": (WtsChatRefusedError, 1, WtsChatRefusedError, 1, 0),
    "401": (WtsChatAuthenticationError, 1, WtsChatAuthenticationError, 1, 0),
    "403": (WtsChatRefusedError, 1, WtsChatRefusedError, 1, 0),
    "404": (WtsChatNotFoundError, 1, WtsChatNotFoundError, 1, 0),
}


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_is_repeated_only_where_that_helps_and_cannot_harm(simulator: Simulator, fault: str) -> None:
    read, read_requests, send, send_requests, writes = ONCE[fault]
    session_id = some_session(simulator)
    hook = WtsChatHook(timeout=1)
    retry_after = 0.05 if fault == "429_seconds" else None

    simulator.inject(fault, on=ALL, delay_s=1.3, retry_after=retry_after)
    outcome, seen, _ = tell(simulator, lambda: hook.run(sessions.get(session_id)))
    assert (outcome["id"] == session_id) if read == "answer" else type(outcome) is read
    assert seen == read_requests

    simulator.inject(fault, on=ALL, delay_s=1.3, retry_after=retry_after)
    outcome, seen, written = tell(simulator, lambda: hook.run(sessions.send(session_id, text=TEXT)))
    assert outcome["id"] if send == "answer" else type(outcome) is send
    assert (seen, written) == (send_requests, writes)
    if isinstance(outcome, WtsChatError):
        assert isinstance(outcome, AirflowFailException) is (send is WtsChatUncertainError)
        assert TEXT not in str(outcome)


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        ("502", WtsChatServerError, True),
        ("500", WtsChatServerError, True),
        ("cut_json", WtsChatServerError, True),
        ("lost_before", WtsChatServerError, True),
    ],
)
def test_a_lasting_fault_is_given_up_after_max_retries(
    simulator: Simulator, fault: str, kind: type[WtsChatError], retryable: bool
) -> None:
    session_id = some_session(simulator)
    simulator.inject(fault, on=ALL, times=None)
    outcome, seen, _ = tell(simulator, lambda: WtsChatHook(max_retries=2).run(sessions.get(session_id)))
    assert type(outcome) is kind
    assert outcome.retryable is retryable
    assert seen == 3


def test_the_limit_costs_no_retry_and_is_bounded_by_max_wait(simulator: Simulator) -> None:
    hook = WtsChatHook(max_retries=0, max_wait=30)
    session_id = some_session(simulator)
    simulator.inject("429_seconds", on=ALL, times=4, retry_after=0.02)
    outcome, seen, written = tell(simulator, lambda: hook.run(sessions.send(session_id, text=TEXT)))
    assert outcome["id"]
    assert (seen, written) == (5, 1)


def test_a_longer_wait_than_allowed_raises_at_once(simulator: Simulator) -> None:
    simulator.inject("429_seconds", on=ALL, times=None, retry_after=45)
    outcome, seen, _ = tell(simulator, lambda: WtsChatHook(max_wait=20).run(sessions.get(UUID)))
    assert type(outcome) is WtsChatRateLimitError
    assert outcome.retry_after == pytest.approx(45, abs=1)
    assert outcome.retryable
    assert seen == 1


def test_no_connection_means_nothing_was_sent(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AIRFLOW_CONN_NOBODY", json.dumps(connection(f"http://127.0.0.1:{unused.getsockname()[1]}")))
        read_and_send: list[Request[Any]] = [sessions.get(UUID), sessions.send(UUID, text=TEXT)]
        for request in read_and_send:
            with pytest.raises(WtsChatConnectionError, match="nothing was sent") as raised:
                WtsChatHook("nobody", max_retries=1).run(request)
            assert raised.value.retryable
            assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize("interruption", [TimeoutError, KeyboardInterrupt, type("TaskTimeout", (BaseException,), {})])
def test_whatever_interrupts_a_send_makes_it_uncertain(simulator: Simulator, interruption: type[BaseException]) -> None:
    session_id = some_session(simulator)

    def interrupt(*_: object) -> None:
        raise interruption

    def interrupted(request: Request[Any]) -> Any:
        simulator.inject("slow", on=ALL, delay_s=1.5)
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        try:
            return WtsChatHook(max_retries=0).run(request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    with pytest.raises(WtsChatUncertainError, match="nobody knows"):
        interrupted(sessions.send(session_id, text=TEXT))
    with pytest.raises(WtsChatServerError if interruption is TimeoutError else interruption):
        interrupted(sessions.get(session_id))


def test_a_timeout_right_after_the_answer_does_not_let_a_task_send_again(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = some_session(simulator)
    hook = WtsChatHook()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hook.budget, "_answer", interrupt)
    with pytest.raises(WtsChatUncertainError):
        hook.run(sessions.send(session_id, text=TEXT))
    with pytest.raises(KeyboardInterrupt):
        hook.run(sessions.get(session_id))


def test_a_list_is_not_cut_to_its_first_rows(simulator: Simulator) -> None:
    with pytest.raises(WtsChatArgumentError, match="iterate"):
        WtsChatHook().run(sessions.list_())
    assert len(WtsChatHook().run(sessions.list_().page())["items"]) == 30


def test_an_upload_that_is_sent_elsewhere_is_no_upload(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", simulator.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    (tmp_path / "a.txt").write_text("content")
    run = WtsChatHook.run
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        elsewhere = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(WtsChatHook, "run", lambda *given, **how: {**run(*given, **how), "urlUpload": elsewhere})
        with pytest.raises(WtsChatServerError, match="307"):
            WtsChatHook(max_retries=0).upload(tmp_path / "a.txt")
        server.shutdown()


def test_errors_carry_what_the_api_said(simulator: Simulator) -> None:
    simulator.inject("entity_error_save", on=ALL)
    with pytest.raises(WtsChatRefusedError) as raised:
        WtsChatHook().run(sessions.conclude(UUID))
    error = raised.value
    assert (error.status, error.key, error.method) == (500, "ENTITY_ERROR_SAVE", "PUT")
    assert error.path == f"/chat/v1/session/{UUID}/complete"
    assert error.short_id
    for words in ("ENTITY_ERROR_SAVE", str(error.text), error.short_id, "PUT /chat/v1/session/"):
        assert words in str(error)
    assert isinstance(error, AirflowException)
    assert not error.retryable


def test_every_pending_session_is_concluded_while_iterating(monkeypatch: pytest.MonkeyPatch, no_limits: None) -> None:
    with Simulator(sessions=0, seed=2, latency_ms=0, limits=False, strict=True) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        for _ in range(1000):
            simulator.world.create_session(status="PENDING")
        hook = WtsChatHook()
        concluded = [
            hook.run(sessions.conclude(session["id"]))["status"]
            for session in hook.iterate(sessions.list_(status="PENDING"))
        ]
        assert concluded == ["COMPLETED"] * 1000
        assert list(hook.iterate(sessions.list_(status="PENDING"))) == []
        simulator.check()


def test_the_session_is_kept_in_a_thread_and_not_shared_between_threads(simulator: Simulator) -> None:
    hook = WtsChatHook()
    own = hook.get_conn()
    assert isinstance(own, requests.Session)
    assert hook.get_conn() is own
    others: list[requests.Session] = []
    thread = threading.Thread(target=lambda: others.append(hook.get_conn()))
    thread.start()
    thread.join()
    assert others
    assert others[0] is not own


def test_a_forked_child_opens_its_own_session(simulator: Simulator) -> None:
    hook = WtsChatHook()
    own = hook.get_conn()
    child = os.fork()
    if child == 0:
        os._exit(0 if hook.get_conn() is not own and hook.run(tags.list_()) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert hook.get_conn() is own


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))])
def test_a_copy_begins_anew_and_takes_no_token_along(
    simulator: Simulator, copied: Callable[[WtsChatHook], WtsChatHook]
) -> None:
    hook = WtsChatHook(max_retries=3)
    assert hook.log
    assert hook.run(tags.list_())
    assert simulator.token.encode() not in pickle.dumps(hook)
    other = copied(hook)
    assert other.run(tags.list_()) == hook.run(tags.list_())
    assert other.max_retries == 3
    assert other.get_conn() is not hook.get_conn()


@pytest.mark.parametrize("pasted", ["{}", "Bearer {}", "bearer {}", "  {}\n"])
def test_the_token_shows_nowhere(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pasted: str
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_PASTED", json.dumps({**connection(simulator.url), "password": pasted.format(simulator.token)})
    )
    caplog.set_level(logging.DEBUG)
    hook = WtsChatHook("pasted", max_retries=1)
    session_id = some_session(simulator)
    hook.run(sessions.send(session_id, text=TEXT))
    simulator.inject("401", on=ALL)
    with pytest.raises(WtsChatAuthenticationError) as raised:
        hook.run(sessions.get(session_id))
    shown = [caplog.text, hook.resolve(), hook, raised.value, hook.get_conn().auth, sessions.get(session_id)]
    assert simulator.token not in " ".join(f"{each} {each!r}" for each in shown)
    at_info = "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.INFO)
    assert TEXT not in at_info


@pytest.mark.parametrize("spelled", [PHONE, f"+{PHONE}", f"+{PHONE[:2]} {PHONE[2:4]} {PHONE[4:]}"])
def test_a_look_up_shows_no_phone_at_debug(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, spelled: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with suppress(WtsChatNotFoundError, WtsChatRefusedError):
        WtsChatHook().run(contacts.get_by_phone(spelled))
    assert "GET /core/v1/contact/phonenumber/" in caplog.text
    assert PHONE not in caplog.text.replace("+", "").replace("%2B", "")


def unreachable(simulator: Simulator) -> list[dict[str, Any]]:
    """Connections that fail before and in the middle of a request, directly and through a proxy."""
    proxy = {"https": f"http://user:{SECRET}@{simulator.url.removeprefix('http://')}"}
    nobody = {"https": f"http://user:{SECRET}@127.0.0.1:9"}
    return [
        connection("http://127.0.0.1:9"),
        connection(simulator.url.replace("http://", "https://")),
        {**connection("https://wts.invalid"), "extra": {"proxies": proxy}},
        {**connection("https://wts.invalid"), "extra": {"proxies": nobody}},
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_traceback_shows_neither_phone_nor_password_of_a_proxy(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONE", json.dumps(unreachable(simulator)[number]))
    with pytest.raises(WtsChatServerError) as raised:
        WtsChatHook("gone", max_retries=0).run(contacts.get_by_phone(PHONE))
    shown = "".join(traceback.format_exception(raised.value))
    assert PHONE not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "HOST:PORT", "schema": "http"},
        {"host": "http://HOST:PORT"},
        {"host": "http://HOST:PORT/"},
        {"host": "HOST", "port": 0, "schema": "http"},
        {"host": "http://HOST", "port": 0},
        {"host": "http://HOST:PORT/chat"},
    ],
)
def test_every_spelling_of_the_host_means_the_same(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    host, _, port = simulator.url.removeprefix("http://").partition(":")
    fields = {**fields, "host": fields["host"].replace("HOST", host).replace("PORT", port)}
    if "port" in fields:
        fields["port"] = int(port)
    monkeypatch.setenv("AIRFLOW_CONN_HOST", json.dumps({**connection(""), **fields, "password": simulator.token}))
    hook = WtsChatHook("host")
    assert hook.resolve().base_url == simulator.url
    assert hook.run(tags.list_())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": ""}, "no API token"),
        ({"password": "Bearer "}, "no API token"),
        ({"password": "pn_secret\nand more"}, "line break"),
        ({"password": "pn_secret\u200b"}, "line break"),
        ({"extra": {"proxies": {"https": "user:secret@proxy:3128"}}}, "proxies"),
        ({"extra": {"proxies": {"https": "http://user:secret@proxy:99999"}}}, "proxies"),
        ({"host": "ftp://example.com"}, "host"),
        ({"host": "https://user:secret@example.com"}, "host: holds a user or password"),
        ({"extra": {"page_size": 101}}, "page_size"),
        ({"extra": {"timeout": "soon"}}, "timeout"),
        ({"extra": {"verify_ssl": "maybe"}}, "verify_ssl"),
        ({"extra": {"max_retries": -1}}, "max_retries"),
    ],
)
def test_a_connection_that_cannot_be_used_says_why(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BAD", json.dumps({**connection("https://example.com"), **fields}))
    with pytest.raises(WtsChatError, match=words) as raised:
        WtsChatHook("bad").resolve()
    assert "bad" in str(raised.value)
    assert isinstance(raised.value, WtsChatArgumentError | WtsChatAuthenticationError)
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    ok, message = WtsChatHook("bad").test_connection()
    assert not ok
    assert words.partition(":")[0] in message
    assert "secret" not in message


def test_extras_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "timeout": "7",
        "max_retries": 1,
        "page_size": "50",
        "account": "acme",
        "verify_ssl": "false",
        "proxies": {"https": "http://proxy.example:3128"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_EXTRAS", json.dumps({**connection("wts.example"), "extra": extra}))
    settings = WtsChatHook("extras").resolve()
    assert settings.base_url == "https://wts.example"
    assert (settings.timeout, settings.max_retries, settings.page_size) == (7.0, 1, 50)
    assert (settings.account, settings.verify_ssl) == ("acme", False)
    assert dict(settings.proxies) == {"https": "http://proxy.example:3128"}


class Environment(NamedTuple):
    """What the worker's environment says, and a proxy that it must not lead to."""

    tokens: list[str]
    url: str


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Environment]:
    """A proxy for everything in front of an API that answers all; netrc and certificates of the worker's own."""
    tokens: list[str] = []

    class Everything(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: Any) -> None: ...

    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no-such-bundle.pem"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), Everything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Environment(tokens, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_what_the_connection_says_counts_more_than_the_environment(
    environment: Environment, no_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"proxies": {"http": environment.url}, "verify_ssl": False}
    monkeypatch.setenv("AIRFLOW_CONN_OWN", json.dumps({**connection("http://wts.example"), "extra": extra}))
    hook = WtsChatHook("own", max_retries=0)
    assert hook.run(tags.list_()) == []
    assert asyncio.run(WtsChatAsyncHook("own", max_retries=0).run(tags.list_())) == []
    assert environment.tokens == ["Bearer pn_example"] * 2
    assert verified_by(hook, monkeypatch) is False


def test_without_a_word_of_the_connection_the_environment_counts(
    environment: Environment, no_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", environment.url)
    monkeypatch.setenv(
        "AIRFLOW_CONN_OWN", json.dumps({**connection("http://wts.example"), "extra": {"account": "environment"}})
    )
    hook = WtsChatHook("own", max_retries=0)
    assert hook.run(tags.list_()) == []
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert asyncio.run(WtsChatAsyncHook("own", max_retries=0).run(tags.list_())) == []
    assert environment.tokens == ["Bearer pn_example"] * 2
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "bundle.pem")
    assert verified_by(WtsChatHook("own", max_retries=0), monkeypatch) == "bundle.pem"


def verified_by(hook: WtsChatHook, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the next request lets the server's certificate be checked by."""
    asked: dict[str, Any] = {}

    def send(self: requests.Session, request: Any, **how: Any) -> Any:
        asked.update(how)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(WtsChatServerError):
        hook.run(tags.list_())
    return asked["verify"]


@pytest.mark.parametrize(
    ("prepare", "ok", "words"),
    [
        (lambda simulator: None, True, "answers for chat, core, crm"),
        (lambda simulator: simulator.inject("401", on=ALL, times=None), True, "not for chat: the token has no"),
        (lambda simulator: simulator.inject("401", times=None), False, "unused for 15 days"),
        (lambda simulator: simulator.inject("html", times=None), False, "HTML"),
        (lambda simulator: simulator.inject("lost_before", times=None), False, "before its answer"),
    ],
)
def test_the_test_of_a_connection_explains_itself(
    simulator: Simulator, prepare: Callable[[Simulator], None], ok: bool, words: str
) -> None:
    prepare(simulator)
    seen = len(simulator.requests)
    result, message = WtsChatHook().test_connection()
    assert result is ok
    assert words in message
    assert simulator.token not in message
    assert len(simulator.requests) - seen <= 3


def test_the_test_of_a_connection_leaves_no_name_behind(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", str(tmp_path))
    monkeypatch.setattr(wtschat, "get_budget", get_budget)
    # Airflow gives what is tried a random id for the time of the test.
    monkeypatch.setenv("AIRFLOW_CONN_86GTFASR", simulator.connection_json)
    assert WtsChatHook("86GTfAsR").test_connection()[0]
    assert get_usages() == []
    WtsChatHook().run(tags.list_())
    assert [usage.names for usage in get_usages() or ()] == [("wtschat_default",)]


def test_the_test_of_a_connection_asks_no_more_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wtschat, "_TEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AIRFLOW_CONN_SILENT", json.dumps(connection(f"http://127.0.0.1:{silent.getsockname()[1]}")))
        ok, message = WtsChatHook("silent").test_connection()
        assert not ok
        assert message.count("before its answer was there") == 1


def test_a_host_that_speaks_no_tls_is_told_at_once(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    address = simulator.url.replace("http://", "https://")
    monkeypatch.setenv("AIRFLOW_CONN_PLAIN", json.dumps(connection(address)))
    with pytest.raises(WtsChatConnectionError, match=r"\(TLS: wrong version number.*nothing was sent") as raised:
        WtsChatHook("plain").run(sessions.send(UUID, text=TEXT))
    assert not raised.value.retryable
    ok, message = WtsChatHook("plain").test_connection()
    assert not ok
    assert "TLS" in message


def test_the_test_of_a_connection_names_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(connection("https://wts.invalid")))
    ok, message = WtsChatHook("nowhere").test_connection()
    assert not ok
    assert "wts.invalid" in message
    assert "no connection was made" in message


def connection(host: str) -> dict[str, Any]:
    """Return a connection."""
    return {"conn_type": "wtschat", "host": host, "password": "pn_example"}


UUID = "00000000-0000-4000-8000-0000000000aa"
