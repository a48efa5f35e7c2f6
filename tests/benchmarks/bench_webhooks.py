"""How many posts a receiver stores a second, how long each waits for its commit, and what hostile posts cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp

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


def run(name: str, spec: str, posts: int, seconds: float) -> None:
    """Send the posts, and as many to a wrong address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"AIRFLOW__WTSCHAT__WEBHOOK_SECRET": SECRET, "AIRFLOW__WTSCHAT__WEBHOOK_INBOX": spec}
    command = [sys.executable, "-m", "airflow_provider_wtschat.webhooks", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as receiver:
        try:
            wait_for(port)
            inbox = get_inbox(spec)
            for label, path in ((name, RIGHT), (f"{name}, wrong address", WRONG)):
                before, memory, cpu = count(inbox), resident(receiver.pid), cpu_seconds(receiver.pid)
                answers, waits = asyncio.run(send(f"http://127.0.0.1:{port}{path}", posts, seconds, label))
                told = ", ".join(f"{number} x {status}" for status, number in sorted(answers.items()))
                print(
                    f"{label:24}{told:>14}{count(inbox) - before:>8}{statistics.median(waits) * 1e3:>11.0f}"
                    f"{statistics.quantiles(waits, n=100)[98] * 1e3:>8.0f}{max(waits) * 1e3:>10.0f}"
                    f"{cpu_seconds(receiver.pid) - cpu:>7.1f}"
                    f"{resident(receiver.pid):>6.0f}{resident(receiver.pid) - memory:>6.0f}"
                )
        finally:
            receiver.terminate()


async def send(url: str, posts: int, seconds: float, label: str) -> tuple[Counter[int], list[float]]:
    """Send posts at an even pace; their answers, and how long each took from when it was due."""
    answers: Counter[int] = Counter()
    waits: list[float] = []
    start = time.perf_counter()

    async def post(number: int) -> None:
        due = start + number * seconds / posts
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        content = {"id": f"00000000-0000-4000-8000-{number:012d}", "name": "Maria da Silva", "text": "x" * 500}
        body = json.dumps({"eventType": "MESSAGE_RECEIVED", "date": label, "content": content}).encode()
        async with session.post(url, data=body) as answer:
            answers[answer.status] += 1
        waits.append(time.perf_counter() - due)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
        await asyncio.gather(*(post(number) for number in range(posts)))
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
