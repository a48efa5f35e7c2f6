"""What a slot of the budget costs, and how near many processes together come to what the account allows."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace

os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"

from airflow_provider_wtschat.budget import Budget, Limits, Window, get_budget
from tests.arrivals import SMALL, ArrivalServer, Work, redis_server, run_together, work

FREE = Limits(burst=Window(100_000, 5.0), read=Window(1_000, 300.0))
"""Wide enough not to wait, and as full as the real ones."""


def cost_of_a_slot(name: str, spec: str) -> None:
    """Print what one take and release cost, on top of 480 slots in the window."""

    def threads(budget: Budget, requests: int, count: int) -> None:
        def client() -> None:
            for _ in range(requests // count):
                with budget.slot():
                    pass

        clients = [threading.Thread(target=client) for _ in range(count)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()

    def tasks(budget: Budget, requests: int, count: int) -> None:
        async def client() -> None:
            for _ in range(requests // count):
                async with budget.slot_async():
                    pass

        async def clients() -> None:
            await asyncio.gather(*(client() for _ in range(count)))

        asyncio.run(clients())

    cases: list[tuple[str, Callable[[Budget, int, int], None], int]] = [
        ("1 thread", threads, 1),
        ("24 threads", threads, 24),
        ("24 tasks", tasks, 24),
    ]
    for label, run, count in cases:
        best = (float("inf"), 0.0)
        for attempt in range(3):
            budget = get_budget(f"{name} {label} {attempt}", spec, limits=FREE)
            threads(budget, 480, 1)
            started, cpu = time.perf_counter(), time.process_time()
            run(budget, 480, count)
            best = min(best, (time.perf_counter() - started, time.process_time() - cpu))
        wall, cpu = (seconds / 480 * 1e6 for seconds in best)
        print(f"  {name:10} {label:11} {wall:5.0f} us a slot, {cpu:5.0f} us of CPU")


def eight_processes(name: str, spec: str) -> None:
    """Print what eight processes with 24 threads each make of one account."""
    limits = replace(SMALL, read=Window(100_000, 60.0))
    with ArrivalServer(limits).running() as server:
        task = Work(server.port, spec, requests=100, threads=24, limits=limits, bulk_share=1.0, account="eight")
        reports = [report for report in run_together([task] * 8) if report is not None]
    arrivals = server.arrivals["burst"]
    cpu = sum(report.cpu_seconds for report in reports) / len(arrivals) * 1e3
    print(
        f"  {name:10} {len(arrivals)} requests in {arrivals[-1] - arrivals[0]:.1f} s "
        f"({(len(arrivals) / limits.burst.limit - 1) * limits.burst.seconds:.1f} s allowed), "
        f"{len(server.refusals)} 429s, {cpu:.1f} ms of CPU a request"
    )


def one_reader(name: str, spec: str) -> None:
    """Print how long 500 pages take at the account's own limits."""
    with ArrivalServer(Limits(), latency=0.12).running() as server:
        task = Work(server.port, spec, requests=500, threads=24, limits=Limits(), bulk_share=1.0, account="one")
        started = time.monotonic()
        work(task)
        seconds = time.monotonic() - started
    print(f"  {name:10} {seconds:.1f} s (10.2 s allowed), {len(server.refusals)} 429s")


def main() -> None:
    """Print all figures."""
    with redis_server() as redis, tempfile.TemporaryDirectory() as directory:
        specs = {"process": "process", "directory": directory} | ({"redis": redis} if redis else {})
        if not redis:
            print("redis-server is not installed, so there are no figures for it.")
        for title, figures in (
            ("Take and give back, 480 to 960 slots in the window", cost_of_a_slot),
            ("8 processes with 24 threads each, 40 requests in 0.5 s allowed, up to 40 ms a request", eight_processes),
            ("500 pages, 24 threads, 120 ms a request, 200 requests in 5 s allowed", one_reader),
        ):
            print(title)
            for name, spec in specs.items():
                figures(name, spec)


if __name__ == "__main__":
    main()
