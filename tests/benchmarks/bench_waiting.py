"""
How soon triggers notice what they wait for, and what that costs: one feed for all, next to one poll per trigger.

Each run has an account of its own with the real limits, and a process of its own that stands for a triggerer, whose CPU
and memory are measured. Sessions complete one after the other over two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

POLL_INTERVAL = 10.0
LATENCY_MS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=1000, help="sessions that complete")
    parser.add_argument("--seconds", type=float, default=120.0, help="over how long")
    parser.add_argument("--patience", type=float, default=300.0, help="how long to wait for what was not noticed then")
    parser.add_argument("--triggerer", nargs=2, metavar=("WAY", "CHANGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.triggerer:
        way, changes = arguments.triggerer
        asyncio.run(be_triggerer(way, int(changes), arguments.seconds + arguments.patience))
        return
    print(f"{arguments.changes} sessions complete over {arguments.seconds:.0f} s; poll interval {POLL_INTERVAL:.0f} s")
    print(
        f"{'':22}{'noticed':>10}{'median s':>10}{'worst s':>9}{'requests':>10}{'a minute':>10}{'429s':>6}"
        f"{'CPU s':>8}{'MiB':>7}{'+MiB':>7}"
    )
    for way, waiters in (("feed", 1000), ("feed", 10_000), ("poll", 1000)):
        run(way, waiters, arguments)


def run(way: str, waiters: int, arguments: argparse.Namespace) -> None:
    """Run one way of waiting and print what it did."""
    from airflow_provider_wtschat.simulator import Simulator

    with (
        tempfile.TemporaryDirectory() as home,
        Simulator.spawn(sessions=waiters, seed=1, statuses={"PENDING": 1.0}, latency_ms=LATENCY_MS) as simulator,
    ):
        ids = sorted(simulator.call("truth", table="sessions"))
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__WTSCHAT__BUDGET": "process",
            "AIRFLOW_CONN_WTSCHAT_DEFAULT": simulator.connection_json,
        }
        command = [sys.executable, "-m", "tests.benchmarks.bench_waiting", "--triggerer", way, str(arguments.changes)]
        command += ["--seconds", str(arguments.seconds), "--patience", str(arguments.patience)]
        triggerer = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert triggerer.stdin is not None
        assert triggerer.stdout is not None
        triggerer.stdin.write(json.dumps(ids) + "\n")
        triggerer.stdin.flush()
        assert triggerer.stdout.readline() == "ready\n"

        # In another order than any list has.
        chosen = ids[:: max(1, waiters // arguments.changes)][: arguments.changes]
        began, pause = time.monotonic(), threading.Event()
        for number, session_id in enumerate(chosen):
            pause.wait(max(0.0, began + number * arguments.seconds / arguments.changes - time.monotonic()))
            simulator.call("conclude_session", session_id=session_id)
        result = json.loads(triggerer.stdout.readline())
        triggerer.wait()
        asked = simulator.requests
        refused = sum(entry["status"] == 429 for entry in asked)
    seconds = result["seconds"]
    delays = sorted(result["delays"])
    print(
        f"{waiters:>6} triggers, {way:6}{len(delays):>9}{statistics.median(delays):>10.1f}{delays[-1]:>9.1f}"
        f"{len(asked):>10}{len(asked) / seconds * 60:>10.0f}{refused:>6}"
        f"{result['cpu']:>8.1f}{result['peak']:>7.0f}{result['grown']:>7.0f}",
        flush=True,
    )


async def be_triggerer(way: str, changes: int, patience: float) -> None:
    """Wait for all sessions whose ids come in, until so many changed, and print what that took."""
    from airflow_provider_wtschat.api import sessions
    from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
    from airflow_provider_wtschat.triggers.session import SessionStatusTrigger

    hook = WtsChatAsyncHook(max_wait=3600)

    async def poll(session_id: str) -> dict[str, Any]:
        while (session := await hook.run(sessions.get(session_id)))["status"] != "COMPLETED":
            await asyncio.sleep(POLL_INTERVAL)
        return {"updated_at": session["updatedAt"]}

    async def follow(session_id: str) -> dict[str, Any]:
        trigger = SessionStatusTrigger(
            session_id=session_id,
            target_statuses=["COMPLETED"],
            failure_statuses=[],
            since=(datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
            poll_interval=POLL_INTERVAL,
        )
        events: AsyncIterator[Any] = trigger.run()
        payload: dict[str, Any] = (await anext(events)).payload
        return payload

    ids = json.loads(await asyncio.to_thread(sys.stdin.readline))
    delays: list[float] = []
    enough = asyncio.Event()

    async def wait(session_id: str) -> None:
        event = await (follow if way == "feed" else poll)(session_id)
        changed = datetime.fromisoformat(event["updated_at"]).replace(tzinfo=UTC)
        delays.append((datetime.now(UTC) - changed).total_seconds())
        if len(delays) == changes:
            enough.set()

    async with hook:
        before, cpu, began = memory(), time.process_time(), time.monotonic()
        tasks = [asyncio.create_task(wait(session_id)) for session_id in ids]
        await asyncio.sleep(1)
        print("ready", flush=True)
        try:
            async with asyncio.timeout(patience):
                await enough.wait()
        except TimeoutError:
            pass
        result = {
            "delays": delays,
            "seconds": time.monotonic() - began,
            "cpu": time.process_time() - cpu,
            "peak": memory(),
            "grown": memory() - before,
        }
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(result), flush=True)


def memory() -> float:
    """Return the most memory that the process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
