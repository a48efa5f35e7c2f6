"""Running a simulator: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_wtschat.simulator.books import ContractBroken, RequestEntry, Write
from airflow_provider_wtschat.simulator.books import Send as SendEntry
from airflow_provider_wtschat.simulator.openapi import Violation
from airflow_provider_wtschat.simulator.options import Options
from airflow_provider_wtschat.simulator.server import Application
from airflow_provider_wtschat.simulator.world import World

HOST = "127.0.0.1"
_STARTUP_S = 60.0


def connection_json(url: str, token: str) -> str:
    """Return a connection for ``AIRFLOW_CONN_WTSCHAT_DEFAULT`` as JSON."""
    return json.dumps({"conn_type": "wtschat", "host": url, "password": token})


def connection_uri(url: str, token: str) -> str:
    """Return a connection for ``AIRFLOW_CONN_WTSCHAT_DEFAULT`` as a URI."""
    scheme, _, address = url.partition("://")
    return f"wtschat://:{token}@{address}/{scheme}"


class _Server(uvicorn.Server):
    """Ends at once: tests come and go by the hundred, and nobody waits for the last answers."""

    async def main_loop(self) -> None:
        while not self.should_exit:  # noqa: ASYNC110  another thread sets it, which no event may
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for task in list(self.server_state.tasks):
            task.cancel()
        for transport in list(self.config.app.connections.values()):  # type: ignore[union-attr]
            transport.abort()
        await asyncio.sleep(0)


def make_server(application: Application, sock: socket.socket) -> uvicorn.Server:
    """Return a server that lets the application cut its connections."""

    class Protocol(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.peer = transport.get_extra_info("peername")
            application.connections[self.peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            application.connections.pop(self.peer, None)
            super().connection_lost(exc)

    application.world.base_url = f"http://{HOST}:{sock.getsockname()[1]}"
    config = uvicorn.Config(
        application,
        http=Protocol,
        # Its sockets can be told to reset a connection; those of uvloop cannot.
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="critical",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    return _Server(config)


def bind(port: int = 0) -> socket.socket:
    """Bind a socket on the loopback interface."""
    # With its protocol named, or asyncio does not see that Nagle has to be off and each answer takes 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    return sock


class Simulator:
    """A stand-in for WTS Chat in a thread of this process.

    .. code-block:: python

        with Simulator(sessions=200, seed=1, limits=False, strict=True) as sim:
            requests.get(f"{sim.url}/chat/v2/session", headers={"Authorization": f"Bearer {sim.token}"})
            sim.inject("lost_after", on="PUT /chat/v1/session/{id}/complete")

    :param port: port on 127.0.0.1; a free one by default.
    :param options: everything else, see `Options`.
    """

    def __init__(self, *, port: int = 0, **options: Any) -> None:
        self.options = Options(**options)
        self._port = port
        self.world = World(self.options)
        """The account: read it and change it, under its ``lock`` where several calls belong together."""
        self.application = Application(self.world)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL."""
        return self.world.base_url

    @property
    def token(self) -> str:
        """The account's token."""
        return self.options.token

    @property
    def connection_json(self) -> str:
        """Value for ``AIRFLOW_CONN_...``, as JSON."""
        return connection_json(self.url, self.token)

    @property
    def connection_uri(self) -> str:
        """Value for ``AIRFLOW_CONN_...``, as a URI."""
        return connection_uri(self.url, self.token)

    @property
    def requests(self) -> list[RequestEntry]:
        """All requests in the order of arrival, those that were turned away included."""
        return self.world.books.requests

    @property
    def books(self) -> list[Write]:
        """All requests that changed something, in order; `sends` has every single message."""
        return self.world.books.writes

    @property
    def sends(self) -> list[SendEntry]:
        """All messages that went out, in order."""
        return self.world.books.sends

    @property
    def violations(self) -> list[Violation]:
        """Breaches of the contract so far."""
        return self.world.books.violations

    def check(self) -> None:
        """Make sure that all requests kept to the contract.

        :raises ContractBroken: one did not.
        """
        if self.violations:
            raise ContractBroken(self.violations)

    def inject(self, fault: str, on: str | None = None, **how: Any) -> None:
        """Spoil the next answers.

        :param fault: a name of `FAULTS`, e.g. ``lost_after``.
        :param on: which requests: ``PUT /chat/v1/session/{id}/complete``, ``/chat/v1/send/*``, or all.
        :param how: ``times`` (1; None for all), ``skip``, ``acted``, ``delay_s``, ``retry_after``: see `Faults.inject`.
        """
        self.application.faults.inject(fault, on, **how)

    def start(self) -> Self:
        """Start serving.

        :raises TimeoutError: the server did not come up.
        """
        sock = bind(self._port)
        self._server = make_server(self.application, sock)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [sock]}, name="wtschat-simulator", daemon=True
        )
        self._thread.start()
        tick = threading.Event()
        for _ in range(round(_STARTUP_S / 0.005)):
            if self._server.started:
                return self
            tick.wait(0.005)
        raise TimeoutError(f"the simulator did not start within {_STARTUP_S:.0f} s")

    def stop(self) -> None:
        """Stop serving; the books stay readable."""
        self.world.deliveries.close()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10)
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None and self.options.strict:
            self.check()

    @staticmethod
    def spawn(**options: Any) -> SpawnedSimulator:
        """Start a simulator in a process of its own.

        :param options: as for `Simulator`.
        """
        return SpawnedSimulator(**options)


class SpawnedSimulator:
    """A simulator in a process of its own, for measurements; it ends with this process.

    :param port: port on 127.0.0.1; a free one by default.
    :param options: everything else, see `Options`.
    """

    def __init__(self, *, port: int = 0, **options: Any) -> None:
        self.options = Options(**options)
        command = [sys.executable, "-m", str(__package__), "--port", str(port), "--exit-with-parent"]
        self._process = subprocess.Popen(  # noqa: S603
            [*command, "--options", self.options.to_json()], stdout=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the simulator ended with code {self._process.wait()} before it was ready")
        ready = json.loads(line)
        self.url: str = ready["url"]
        """Base URL."""
        self.token: str = ready["token"]
        """The account's token."""

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def connection_json(self) -> str:
        """Value for ``AIRFLOW_CONN_...``, as JSON."""
        return connection_json(self.url, self.token)

    @property
    def connection_uri(self) -> str:
        """Value for ``AIRFLOW_CONN_...``, as a URI."""
        return connection_uri(self.url, self.token)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """All requests in the order of arrival, those that were turned away included."""
        return self._list("requests")

    @property
    def books(self) -> list[dict[str, Any]]:
        """All requests that changed something, in order."""
        return self._list("writes")

    @property
    def sends(self) -> list[dict[str, Any]]:
        """All messages that went out, in order."""
        return self._list("sends")

    @property
    def violations(self) -> list[dict[str, Any]]:
        """Breaches of the contract so far."""
        return self._list("violations")

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of everything in the books."""
        counts: dict[str, Any] = self._get("summary")
        return counts

    def check(self) -> None:
        """Make sure that all requests kept to the contract.

        :raises ContractBroken: one did not.
        """
        if self.violations:
            raise ContractBroken([Violation(**violation) for violation in self.violations])

    def inject(self, fault: str, on: str | None = None, **how: Any) -> None:
        """Spoil the next answers.

        :param fault: a name of `FAULTS`, e.g. ``lost_after``.
        :param on: which requests: ``PUT /chat/v1/session/{id}/complete``, ``/chat/v1/send/*``, or all.
        :param how: ``times`` (1; None for all), ``skip``, ``acted``, ``delay_s``, ``retry_after``: see `Faults.inject`.
        """
        self.call("inject", fault=fault, on=on, **how)

    def call(self, name: str, **arguments: Any) -> Any:
        """Do something to the account, its clock or its faults.

        :param name: see `Control`, e.g. ``conclude_session`` or ``advance``.
        :param arguments: what it takes.
        :return: what it answers, sessions, contacts and messages as the API prints them.
        :raises ValueError: the simulator refuses.
        """
        body = json.dumps({"name": name, "arguments": arguments}).encode()
        return self._get("call", body)["result"]

    def stop(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.options.strict:
                self.check()
        finally:
            self.stop()

    def _list(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._get(name)
        return entries

    def _get(self, name: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.url}/_simulator/{name}", body)  # noqa: S310
        try:
            with _OPENER.open(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            msg = json.loads(error.read() or b"{}").get("error", str(error))
            raise ValueError(msg) from None


# Whatever proxy the environment names, the simulator is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
