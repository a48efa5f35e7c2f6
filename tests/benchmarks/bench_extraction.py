"""
Reading everything that changed: how fast, at what cost, and what a second client of the account notices.

Speed is measured with the account's real limits on and 120 ms latency, ``bulk_share`` 1, each reader in a process of
its own with an account of its own: ``extraction.read_changes``, Airflow's ``HttpOperator`` with a pagination function,
and dlt's rest_api source into DuckDB, of which reading is only the first part.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_wtschat.simulator import Simulator
from tests.benchmarks.readers import DLT, HTTP_OPERATOR, OURS, measure

LATENCY_MS = 120
HOUR_IN_DAYS = 1 / 24
MEMORY_ROWS = (2_000, 20_000, 200_000)


def allowed(rows: int) -> float:
    """Seconds that the limits take for the pages of so many rows: 200 requests in 5 s, each counted to its answer."""
    return (rows // 100 - 1) // 200 * 5 + LATENCY_MS / 1000


def speed(name: str, reader: str, rows: int, how: dict[str, Any] | None = None, **options: Any) -> None:
    """Print one line of the table."""
    with Simulator.spawn(sessions=rows, latency_ms=LATENCY_MS, seed=7, **options) as simulator:
        got = measure(simulator, reader, **(how or {}))
        statuses = simulator.summary["statuses"]
    if "error" in got:
        print(f"  {name:44} {got['error']}", flush=True)
        return
    reading = f", {got['reading']:.1f} s of it reading" if "reading" in got else ""
    print(
        f"  {name:44} {got['seconds']:6.1f} s (the limits take {allowed(rows):4.1f} s) {got['rows']:>6} rows "
        f"{sum(statuses.values()):>4} requests {statuses.get('429', 0):>3} 429s {got['cpu']:5.1f} s CPU "
        f"{got['peak']:4.0f} MiB{reading}",
        flush=True,
    )


def memory() -> None:
    """Print how the peak grows with the rows."""
    for rows in MEMORY_ROWS:
        with Simulator.spawn(sessions=rows, limits=False, seed=7) as simulator:
            got = measure(simulator, OURS, free=True)
        print(
            f"  {rows:>7} rows: {got['peak'] - got['before']:5.1f} MiB more than before, "
            f"{got['cpu'] / rows * 10_000:.2f} s CPU for 10,000 rows, {got['rows'] / got['seconds']:,.0f} rows/s",
            flush=True,
        )


def beside(bulk_share: float, seconds: float = 30.0) -> None:
    """Print how often a client that knows nothing of the reader is turned away."""
    with Simulator.spawn(sessions=90_000, latency_ms=LATENCY_MS, seed=7) as simulator:
        done = threading.Event()
        answers: list[int] = []

        def client() -> None:
            request = urllib.request.Request(
                f"{simulator.url}/core/v1/tag", headers={"Authorization": f"Bearer {simulator.token}"}
            )
            while not done.wait(0.25):
                try:
                    with urllib.request.urlopen(request) as answer:
                        answers.append(answer.status)
                except urllib.error.HTTPError as error:
                    answers.append(error.code)

        thread = threading.Thread(target=client)
        script = (
            "from tests.benchmarks.bench_extraction import read_for; import sys;"
            "read_for(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))"
        )
        reader = subprocess.Popen(
            [sys.executable, "-c", script, simulator.url, simulator.token, str(bulk_share), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        thread.start()
        said, _ = reader.communicate()
        done.set()
        thread.join()
        # The simulator counts the reader's 429s together with the client's.
        turned_away = simulator.summary["statuses"].get("429", 0) - answers.count(429)
    print(
        f"  bulk_share {bulk_share:.1f}: the client met 429 on {answers.count(429)} of {len(answers)} calls, the "
        f"reader on {turned_away}, and read {said.splitlines()[-1]} rows in {seconds:.0f} s",
        flush=True,
    )


def read_for(url: str, token: str, bulk_share: float, seconds: float) -> None:
    """Read for so long, and print how many rows came."""
    import logging
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__WTSCHAT__BULK_SHARE"] = str(bulk_share)
        os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = (
            f'{{"conn_type": "wtschat", "host": "{url}", "password": "{token}"}}'
        )
        from airflow_provider_wtschat.api import sessions
        from airflow_provider_wtschat.extraction import read_changes
        from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

        logging.disable(logging.WARNING)
        changes = read_changes(WtsChatHook(), sessions.list_())
        timer = threading.Timer(seconds, lambda: (print(changes.rows, flush=True), os._exit(0)))
        timer.start()
        for _ in changes:
            pass
        timer.cancel()
        print(changes.rows)


def main() -> None:
    """Print the figures."""
    year = {"since": (datetime.now(UTC) - timedelta(days=365)).isoformat(), "key": "CreatedAt"}
    print(f"Speed: {LATENCY_MS} ms latency, the account's limits on, bulk_share 1")
    for rows in (20_000, 50_000):
        speed(f"read_changes, {rows:,} sessions", OURS, rows)
        speed(f"read_changes, {rows:,}, a tie of 3,200", OURS, rows, tie=3_200)
        speed(f"read_changes, {rows:,}, last hour of a year", OURS, rows, year, spread_days=HOUR_IN_DAYS)
        speed(f"HttpOperator, {rows:,}", HTTP_OPERATOR, rows)
        speed(f"dlt into DuckDB, {rows:,}", DLT, rows)
    print("At the edge of a limit: a few requests too many wait for the next 5 s, or for the next 5 minutes")
    for rows in (19_000, 99_000):
        speed(f"read_changes, {rows:,}, {rows // 100} pages", OURS, rows)
    print("Memory and CPU of read_changes alone (no limits, no latency)")
    memory()
    print("A second client of the account, which calls four times a second beside the reader")
    for share in (1.0, 0.8):
        beside(share)
    print(time.ctime())


if __name__ == "__main__":
    main()
