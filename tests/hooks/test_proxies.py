"""At most once, however the way leads to the API: directly, through a proxy that forwards, or one that tunnels."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import Phase, find, settings

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import (
    WtsChatConnectionError,
    WtsChatError,
    WtsChatServerError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator
from tests import proxies
from tests.api.arguments import arguments
from tests.hooks.test_wtschat import ALL, ONCE, TEXT, some_session
from tests.proxies import Proxy

Run = Callable[..., Any]


def in_a_thread(request: Request[Any], **options: Any) -> Any:
    return WtsChatHook(**options).run(request)


def in_a_loop(request: Request[Any], **options: Any) -> Any:
    return asyncio.run(WtsChatAsyncHook(**options).run(request))


BOTH = pytest.mark.parametrize("run", [in_a_thread, in_a_loop])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return proxies.certificate(tmp_path_factory.mktemp("certificate"))


@dataclass
class Way:
    """A way to the API: what the connection says, and the proxy that it leads through."""

    proxy: Proxy
    tunnel: bool
    session_id: str

    def text(self) -> Request[Any]:
        return sessions.send(self.session_id, text=TEXT)

    def read(self) -> Request[Any]:
        return sessions.get(self.session_id)


@pytest.fixture(params=["forwarding", "tunnelling", "forwarding by HTTP_PROXY", "tunnelling by HTTPS_PROXY"])
def way(
    request: pytest.FixtureRequest, simulator: Simulator, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    host, _, port = simulator.url.removeprefix("http://").partition(":")
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate)
    session_id = some_session(simulator)
    tunnel = request.param.startswith("tunnelling")
    scheme = "https" if tunnel else "http"
    with Proxy((host, int(port)), trust).running() as proxy:
        extra: dict[str, Any] = {"account": uuid4().hex}
        if "PROXY" in request.param:
            monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        else:
            extra["proxies"] = {scheme: proxy.url}
        connection = {**json.loads(simulator.connection_json), "host": f"{scheme}://{proxies.NAME}", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield Way(proxy, tunnel, session_id)


def outcome_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except WtsChatError as error:
        return error


@BOTH
def test_what_is_sent_through_a_proxy_arrives(way: Way, simulator: Simulator, run: Run) -> None:
    before = len(simulator.books)
    assert run(way.read())["id"] == way.session_id
    assert run(way.text())["id"]
    assert len(simulator.books) == before + 1
    assert len(way.proxy.requests) == 2
    assert way.proxy.connects == (2 if way.tunnel else 0)


@BOTH
@pytest.mark.parametrize("fault", proxies.SENT)
def test_what_a_lost_answer_leaves_open_is_not_sent_again(way: Way, simulator: Simulator, run: Run, fault: str) -> None:
    before = len(simulator.books)
    way.proxy.fault = fault
    outcome = outcome_of(lambda: run(way.text(), timeout=5))
    assert type(outcome) is WtsChatUncertainError
    assert outcome.interrupted_by is None or isinstance(outcome.interrupted_by, OSError)
    assert len(way.proxy.requests) == 1
    assert len(simulator.books) - before == (not fault.endswith("_before"))


@BOTH
@pytest.mark.parametrize("fault", proxies.SENT)
def test_a_read_goes_out_again_after_a_lost_answer(way: Way, run: Run, fault: str) -> None:
    way.proxy.fault = fault
    outcome = outcome_of(lambda: run(way.read(), timeout=5, max_retries=2))
    assert type(outcome) is WtsChatServerError
    assert outcome.retryable
    assert len(way.proxy.requests) == 3


@BOTH
@pytest.mark.parametrize("fault", proxies.UNSENT)
def test_a_tunnel_that_was_not_made_means_that_nothing_was_sent(way: Way, run: Run, fault: str) -> None:
    if not way.tunnel:
        pytest.skip("it makes no tunnel")
    way.proxy.fault = fault
    for request in (way.text(), way.read()):
        connects = way.proxy.connects
        outcome = outcome_of(lambda request=request: run(request, max_retries=2))
        assert type(outcome) is WtsChatConnectionError
        assert "nothing was sent" in str(outcome)
        assert outcome.retryable
        assert way.proxy.connects - connects == 3
    assert way.proxy.requests == []
    if fault.startswith("refused"):
        assert fault.removeprefix("refused_") in str(outcome)


@BOTH
def test_a_proxy_that_is_not_there_means_that_nothing_was_sent(
    way: Way, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        scheme = "https" if way.tunnel else "http"
        extra = {"account": uuid4().hex, "proxies": {scheme: nobody}}
        connection = {"conn_type": "wtschat", "password": "pn_x", "host": f"{scheme}://{proxies.NAME}", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
        outcome = outcome_of(lambda: run(way.text(), max_retries=1))
    assert type(outcome) is WtsChatConnectionError
    assert outcome.retryable
    assert "Connection refused" in str(outcome)


@BOTH
def test_a_certificate_behind_a_tunnel_that_is_not_trusted_is_told_at_once(
    way: Way, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not way.tunnel:
        pytest.skip("it has no certificate")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    outcome = outcome_of(lambda: run(way.text()))
    assert type(outcome) is WtsChatConnectionError
    assert not outcome.retryable
    assert "TLS: " in str(outcome)
    assert way.proxy.connects == 1


@BOTH
@pytest.mark.parametrize(
    "fault", ["429_bare", "502", "504_acted", "html_acted", "truncated", "empty", "lost_before", "lost_after", "401"]
)
def test_a_fault_of_the_api_means_the_same_behind_a_proxy(way: Way, simulator: Simulator, run: Run, fault: str) -> None:
    read, read_requests, send, send_requests, writes = ONCE[fault]
    for request, expected, requests, written in (
        (way.read(), read, read_requests, 0),
        (way.text(), send, send_requests, writes),
    ):
        seen, before = len(simulator.requests), len(simulator.books)
        simulator.inject(fault, on=ALL)
        outcome = outcome_of(lambda request=request: run(request))
        assert outcome["id"] if expected == "answer" else type(outcome) is expected
        assert (len(simulator.requests) - seen, len(simulator.books) - before) == (requests, written)


FIRST_DRAWN = settings(phases=[Phase.generate], database=None, deadline=None)


@pytest.fixture(scope="module")
def not_to_be_repeated() -> list[Request[Any]]:
    every = (
        build(**find(arguments(name), lambda _: True, settings=FIRST_DRAWN, random=Random(1)))
        for name, build in OPERATIONS.items()
    )
    return [request for request in every if not request.safe_to_repeat]


@BOTH
def test_no_operation_that_must_not_be_repeated_is_sent_again(
    way: Way, run: Run, not_to_be_repeated: list[Request[Any]]
) -> None:
    assert len(not_to_be_repeated) > 25
    way.proxy.fault = "reset_before"
    for request in not_to_be_repeated:
        way.proxy.requests.clear()
        assert type(outcome_of(lambda request=request: run(request))) is WtsChatUncertainError
        assert len(way.proxy.requests) == 1, request.label
