"""
What each destination costs: processor time and rows a second, and memory from 2,000 to 200,000 sessions.

The account answers without latency and without limits, so that nothing hides the cost. Each load runs in a process of
its own; ``reading`` takes the rows and keeps none, and what a destination costs by itself is the difference to it. A
core feeds the account's limit of 4,000 rows a second if it takes less than 2.5 s for 10,000 rows. Databases that are
not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_wtschat.simulator import Simulator
from tests.databases import MariaDb, Postgres, Server, postgres_folder

SIZES = (2_000, 20_000, 200_000)
SINKS = ("reading", "jsonl", "parquet", "sqlite", "duckdb", "postgres", "mariadb")

MEASURED = """
import json, logging, resource, sys, time
logging.disable(logging.WARNING)
from airflow_provider_wtschat import extraction
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

from airflow_provider_wtschat import budget
from airflow_provider_wtschat.hooks import wtschat
roomy = budget.Window(1_000_000, 1.0)
limits = budget.Limits(burst=roomy, read=roomy, send=roomy)
wtschat.get_budget = lambda account, **_: budget.get_budget(account, "process", limits=limits)

sink, folder = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF)
started = time.perf_counter()
if sink == "reading":
    rows = sum(len(batch.rows) for batch in extraction.read(WtsChatHook(), "sessions"))
elif sink in ("jsonl", "parquet"):
    operator = WtsChatToObjectStorageOperator(
        task_id="copy", resource="sessions", path=f"file://{folder}/lake", file_format=sink
    )
    rows = operator.execute({})["rows"]
else:
    operator = WtsChatToSqlOperator(task_id="load", resource="sessions", sql_conn_id="warehouse")
    rows = operator.execute({})["written"]
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "rows": rows,
    "seconds": time.perf_counter() - started,
    "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    "before": before.ru_maxrss / 1024,
    "peak": after.ru_maxrss / 1024,
}))
"""


@contextmanager
def connection(sink: str, folder: Path) -> Iterator[str | None]:
    """Make an empty database; None where its server is not installed."""
    if sink == "postgres":
        programs = postgres_folder()
        server: Server | None = Postgres(programs) if programs and shutil.which("setpriv") else None
    elif sink == "mariadb":
        program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
        server = MariaDb(Path(program)) if program and shutil.which("setpriv") else None
    else:
        yield json.dumps({"conn_type": sink, "host": str(folder / "database")})
        return
    if server is None:
        yield None
        return
    try:
        yield server.new_database()
    finally:
        server.stop()


def measure(sink: str, simulator: str) -> dict[str, float] | None:
    """Load in a process of its own, and return what it measured."""
    with tempfile.TemporaryDirectory() as home, connection(sink, Path(home)) as warehouse:
        if warehouse is None:
            return None
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW_CONN_WTSCHAT_DEFAULT": simulator,
            "AIRFLOW_CONN_WAREHOUSE": warehouse,
        }
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, sink, home], env=environment, capture_output=True, text=True
        )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--sinks", nargs="+", default=SINKS, choices=SINKS)
    arguments = parser.parse_args()
    cost: dict[str, float] = {}
    print(f"{'sessions':>9}  {'into':9} {'seconds':>8} {'rows/s':>7} {'CPU s':>6} {'/10,000':>8} {'of it its own':>14}"
          f" {'peak MiB':>9} {'above import':>13}")  # fmt: skip
    for size in arguments.sizes:
        with Simulator.spawn(sessions=size, limits=False, seed=3) as simulator:
            for sink in arguments.sinks:
                got = measure(sink, simulator.connection_json)
                if got is None:
                    print(f"{size:>9}  {sink:9} is not installed")
                    continue
                per = got["cpu"] * 10_000 / got["rows"]
                cost[sink] = per
                own = f"{per - cost['reading']:.2f} s" if "reading" in cost and sink != "reading" else ""
                print(
                    f"{size:>9,}  {sink:9} {got['seconds']:8.1f} {got['rows'] / got['seconds']:7,.0f} "
                    f"{got['cpu']:6.1f} {per:6.2f} s {own:>14} {got['peak']:9.0f} {got['peak'] - got['before']:13.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
