"""A server that counts requests as WTS Chat does, and clients that keep it busy from many processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from airflow_provider_wtschat.budget import Limits, Window, get_budget

SMALL = Limits(burst=Window(40, 0.5), read=Window(400, 6.0), send=Window(200, 2.0))
"""Limits that are reached within seconds."""

HOLD_SECONDS = 0.3


@dataclass
class ArrivalServer:
    """
    Answers ``ok`` or ``no`` to one-letter requests (``r`` or ``s`` for a send) by windows that slide over arrivals.

    A request travels up to ``latency`` before it counts, and its answer up to ``latency`` back.
    """

    limits: Limits
    latency: float = 0.02
    arrivals: dict[str, list[float]] = field(default_factory=lambda: {"burst": [], "read": [], "send": []})
    refusals: list[float] = field(default_factory=list)
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while letter := await reader.read(1):
                await asyncio.sleep(random.uniform(0, self.latency))
                answer = b"ok" if self._arrive(send=letter == b"s") else b"no"
                await asyncio.sleep(random.uniform(0, self.latency))
                writer.write(answer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _arrive(self, *, send: bool) -> bool:
        now = time.monotonic()
        windows = self.limits.of(send)
        if any(
            len(self.arrivals[name]) - bisect_right(self.arrivals[name], now - window.seconds) >= window.limit
            for name, window in windows
        ):
            self.refusals.append(now)
            return False
        for name, _ in windows:
            self.arrivals[name].append(now)
        return True

    def peak(self, name: str) -> int:
        """Count the requests that arrived in the fullest window."""
        times, window = self.arrivals[name], dict([*self.limits.of(False), *self.limits.of(True)])[name]
        return max(at - bisect_right(times, last - window.seconds) for at, last in enumerate(times, start=1))

    @contextmanager
    def running(self) -> Iterator[ArrivalServer]:
        """Serve on a free port from a thread of its own."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.01))
            loop.close()


@dataclass(frozen=True)
class Work:
    """What one client process does."""

    port: int
    spec: str
    requests: int
    threads: int = 4
    limits: Limits = SMALL
    send: bool = False
    bulk_share: float | None = None
    """Given, the requests are bulk."""
    die_after: int | None = None
    """So many requests later the process is killed in the midst of others."""
    account: str = "account"
    share: float = 1.0
    home: str | None = None
    """``AIRFLOW_HOME`` of the machine that the client stands for."""


@dataclass(frozen=True)
class Report:
    """What became of it."""

    refused: int
    waited: float
    cpu_seconds: float


def work(task: Work) -> Report:
    """Make the requests, each until it is accepted, and hold the budget at each 429."""
    if task.home is not None:
        os.environ["AIRFLOW_HOME"] = task.home
    budget = get_budget(task.account, task.spec, share=task.share, bulk_share=task.bulk_share, limits=task.limits)
    cpu = time.process_time()

    def client(count: int) -> int:
        refused = 0
        accepted = 0
        with socket.create_connection(("127.0.0.1", task.port)) as connection:
            while accepted < count:
                with budget.slot(send=task.send, bulk=task.bulk_share is not None):
                    connection.sendall(b"s" if task.send else b"r")
                    if task.die_after is not None and budget.requests > task.die_after:
                        os.kill(os.getpid(), signal.SIGKILL)
                    answer = connection.recv(2)
                    if answer == b"no":
                        budget.hold(HOLD_SECONDS)
                if answer == b"ok":
                    accepted += 1
                else:
                    refused += 1
        return refused

    share, rest = divmod(task.requests, task.threads)
    with ThreadPoolExecutor(task.threads) as threads:
        refused = sum(threads.map(client, [share + (thread < rest) for thread in range(task.threads)]))
    return Report(refused, budget.waited, time.process_time() - cpu)


def _report(task: Work, pipe: Connection) -> None:
    pipe.send(work(task))


def run_together(tasks: list[Work]) -> list[Report | None]:
    """Run each task in a process of its own, all at once; None stands for one that was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    pipes = []
    processes = []
    for task in tasks:
        pipe, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_report, args=(task, theirs))
        process.start()
        theirs.close()
        pipes.append(pipe)
        processes.append(process)
    reports: list[Report | None] = []
    for pipe, process in zip(pipes, processes, strict=True):
        try:
            reports.append(pipe.recv())
        except EOFError:
            reports.append(None)
        process.join()
    return reports


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str | None]:
    """Start a Redis of one's own, on a free port if none is given; its URL, or None where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", port or 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for _ in range(500):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()
