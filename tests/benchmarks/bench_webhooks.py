"""How many posts a receiver stores a second, how long each waits for its commit, and what hostile posts cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.arrivals import redis_server

SECRET = "the secret of the benchmark"
CONN_ID = "wtschat_default"
RIGHT = f"/wtschat/webhooks/{CONN_ID}/{webhook_address.token(SECRET, CONN_ID)}"
WRONG = f"/wtschat/webhooks/{CONN_ID}/{'0' * 64}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=10_000, help="how many posts")
    parser.add_argument("--seconds", type=float, default=10.0, help="over how long they are sent")
    arguments = parser.parse_args()
    print(f"{arguments.posts} posts in {arguments.seconds:.0f} s to one receiver, at most 100 at a time")
    print(
        f"{'':24}{'answers':>14}{'stored':>8}{'median ms':>11}{'p99 ms':>8}{'worst ms':>10}{'CPU s':>7}{'MiB':>6}"
        f"{'+MiB':>6}"
    )
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        for name, spec in (("directory", f"{folder}/inbox"), ("redis", redis)):
            if spec is not None:
                run(name, spec, arguments.posts, arguments.seconds)


@contextmanager
def receiver(spec: str, secret: str) -> Iterator[tuple[str, int]]:
    """Start a receiver of its own; where it listens, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"AIRFLOW__WTSCHAT__WEBHOOK_SECRET": secret, "AIRFLOW__WTSCHAT__WEBHOOK_INBOX": spec}
    command = [sys.executable, "-m", "airflow_provider_wtschat.webhooks", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()


def run(name: str, spec: str, posts: int, seconds: float) -> None:
    """Send the posts, and as many to a wrong address."""
    inbox = get_inbox(spec)
    with receiver(spec, SECRET) as (url, pid):
        for label, path in ((name, RIGHT), (f"{name}, wrong address", WRONG)):
            before, memory, cpu = count(inbox), resident(pid), cpu_seconds(pid)
            answers, waits = asyncio.run(send(url + path, posts, seconds, label))
            told = ", ".join(f"{number} x {status}" for status, number in sorted(answers.items()))
            print(
                f"{label:24}{told:>14}{count(inbox) - before:>8}{statistics.median(waits) * 1e3:>11.0f}"
                f"{statistics.quantiles(waits, n=100)[98] * 1e3:>8.0f}{max(waits) * 1e3:>10.0f}"
                f"{cpu_seconds(pid) - cpu:>7.1f}{resident(pid):>6.0f}{resident(pid) - memory:>6.0f}"
            )


async def send(url: str, posts: int, seconds: float, label: str) -> tuple[Counter[int], list[float]]:
    """
    Send posts at an even pace over 100 connections; their answers, and how long each took from when it was due.

    By hand, because a client library takes more of the processor for a post than the receiver does.
    """
    target = urlsplit(url)
    start = time.perf_counter()
    numbers = iter(range(posts))
    answers: Counter[int] = Counter()
    waits: list[float] = []

    async def line() -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        for number in numbers:
            due = start + number * seconds / posts
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            content = {"id": f"00000000-0000-4000-8000-{number:012d}", "name": "Maria da Silva", "text": "x" * 500}
            body = json.dumps({"eventType": "MESSAGE_RECEIVED", "date": label, "content": content}).encode()
            head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            told = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\ncontent-length: (\d+)", told, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            answers[int(told[9:12])] += 1
            waits.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*(line() for _ in range(100)))
    return answers, waits


def count(inbox: Inbox) -> int:
    """Count what is stored."""
    total, place = 0, ""
    while rows := inbox.read(CONN_ID, after=place, limit=10_000):
        total, place = total + len(rows), rows[-1].place
    return total


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(3000):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise SystemExit("the receiver did not come up")


def resident(pid: int) -> float:
    """Return the memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
