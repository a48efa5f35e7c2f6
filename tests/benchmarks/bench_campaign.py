"""
Sending a template to 1,000, 10,000 and 100,000 rows of a query with ``SqlToWtsChatTemplateOperator``.

"Careful" runs leave out 20,000 people by a query, keep quiet hours (not now), and a cap on messages per person.

The simulator runs with 120 ms latency and the account's real limits on, the table lies in SQLite, and each run has a
process and an account of its own. What the limit allows is a hundred rows a request, 200 requests in 5 seconds and
1,000 sends in 2 minutes. One worker sends one request at a time; several workers share the campaign's table and the
account's budget.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_wtschat.api.converters import MAX_BATCH
from airflow_provider_wtschat.budget.limits import BURST, SEND
from airflow_provider_wtschat.simulator import Simulator

RUNS = (
    (1_000, 1, ""), (10_000, 1, ""), (10_000, 1, "careful"), (10_000, 4, ""), (100_000, 1, ""), (100_000, 1, "careful"),
    (100_000, 4, ""),
)  # fmt: skip
SUPPRESSED = 20_000


def careful() -> dict[str, Any]:
    """Return arguments that leave people out and let rows wait, without changing who gets a message."""
    now = datetime.now(ZoneInfo("America/Sao_Paulo"))
    quiet = f"{now + timedelta(hours=6):%H}:00-{now + timedelta(hours=7):%H}:00"
    return {
        "exclude_sql": "SELECT phone FROM opt_outs",
        "quiet_hours": quiet,
        "max_per_contact": (1, timedelta(days=7)),
    }


def allowed(rows: int) -> float:
    """Return the seconds that the limits ask for so many rows."""
    requests = -(-rows // MAX_BATCH)
    bursts, windows = (-(-requests // window.limit) - 1 for window in (BURST, SEND))
    return max(bursts * BURST.seconds, windows * SEND.seconds)


def make_warehouse(path: Path, rows: int) -> None:
    """Store so many customers."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT, name TEXT, amount TEXT)")
        people = ((i, f"119{i:08}", f"Cliente {i}", f"R$ {i},00") for i in range(rows))
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", people)
        database.execute("CREATE TABLE opt_outs (phone TEXT)")
        strangers = ((f"219{i:08}",) for i in range(SUPPRESSED))
        database.executemany("INSERT INTO opt_outs VALUES (?)", strangers)
        database.commit()


def work(worker: int, rows: int, channel: str, manner: str) -> None:
    """Be one worker, and print what it took."""
    import logging

    logging.disable(logging.WARNING)
    from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

    operator = SqlToWtsChatTemplateOperator(
        task_id="dispatch",
        campaign="benchmark",
        sql="SELECT * FROM customers ORDER BY id",
        sql_conn_id="warehouse",
        recipient_column="phone",
        key_column="id",
        parameter_columns={"nome": "name", "valor": "amount"},
        template_name="lembrete_pagamento",
        from_channel=channel,
        max_recipients=rows,
        **(careful() if manner else {}),
    )
    ti: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="dispatch", map_index=worker)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.time()
    operator.execute({"ti": ti})
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"started": started, "ended": time.time(), "cpu": cpu, "mib": (after.ru_maxrss - before.ru_maxrss) / 1024}
    print(json.dumps(found))


def measure(rows: int, workers: int, manner: str) -> None:
    """Run a dispatch, and print a line of the table."""
    with tempfile.TemporaryDirectory() as folder, Simulator.spawn(sessions=20, latency_ms=120) as simulator:
        make_warehouse(Path(folder, "warehouse.db"), rows)
        environment = os.environ | {
            "AIRFLOW_HOME": folder,
            "AIRFLOW_CONN_WTSCHAT_DEFAULT": simulator.connection_json,
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(Path(folder, "warehouse.db"))}),
        }
        command = [sys.executable, "-m", __spec__.name, str(rows), "+551133330001"]
        children = [
            subprocess.Popen([*command, str(worker), manner], env=environment, stdout=subprocess.PIPE, text=True)
            for worker in range(workers)
        ]
        found = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
        summary = simulator.summary
        seconds = max(one["ended"] for one in found) - min(one["started"] for one in found)
        assert summary["sends"] == rows, summary
        print(
            f"{rows:>8,} {workers:>7} {manner:>8} {seconds:>8.1f} {rows / seconds:>8,.0f} {allowed(rows):>9.1f}"
            f" {summary['statuses'].get('429', 0):>5} {sum(one['cpu'] for one in found):>7.1f}"
            f" {max(one['mib'] for one in found):>10.0f}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    print("    rows workers   manner  seconds   rows/s limit (s)   429s  CPU (s)  MiB added")
    for rows, workers, manner in RUNS:
        measure(rows, workers, manner)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(int(sys.argv[3]), int(sys.argv[1]), sys.argv[2], sys.argv[4])
    else:
        main()
