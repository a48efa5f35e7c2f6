"""Copy sessions of a simulated account into a SQLite table, by a Dag in a real Airflow: ``make demo``."""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import (
    BIN,
    ROOT,
    Processes,
    airflow_environment,
    connections,
    fresh_home,
    stop_on_signals,
)

DAG_ID = "example_wtschat_sessions_to_warehouse"
SESSIONS = 5000
SHOWN = ["number", "status", "department_name", "updated_at"]


def main() -> None:
    """Run the Dag and tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="directory for everything it makes")
    home = parser.parse_args().home.resolve()
    stop_on_signals()
    logs = fresh_home(home)
    warehouse = home / "warehouse.db"

    # The Dag reads the last full hour and the one before, so the account's clock shows the end of them.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    account = Simulator.spawn(
        sessions=SESSIONS,
        spread_days=1.9 / 24,
        now=(hour - timedelta(minutes=2)).isoformat(),
        latency_ms=50,
        changes_per_s=5,
    )
    with account as simulator, Processes(airflow_environment(home), logs) as processes:
        for conn_id, connection in connections(simulator, warehouse).items():
            processes.environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)

        print("Airflow makes its metadata database ...", flush=True)
        processes.run("migrate", BIN / "airflow", "db", "migrate")
        print(f"Airflow runs the Dag {DAG_ID} ...", flush=True)
        started = time.monotonic()
        processes.run("dag", BIN / "airflow", "dags", "test", DAG_ID)
        seconds = time.monotonic() - started
        requests = simulator.requests

    with closing(sqlite3.connect(warehouse)) as database:
        (rows,) = database.execute("SELECT count(*) FROM sessions").fetchone()
        sample = database.execute(f"SELECT {', '.join(SHOWN)} FROM sessions ORDER BY updated_at DESC LIMIT 3")  # noqa: S608
        lines = [SHOWN, *(["" if value is None else str(value) for value in row] for row in sample)]
    answered = [entry for entry in requests if entry["status"] == 200]
    print(
        f"\n  rows loaded  {rows:,}"
        f"\n  pages        {sum(entry['path'].endswith('/session') for entry in answered)}"
        f"\n  requests     {len(requests)}, of which {len(requests) - len(answered)} were refused"
        f"\n  seconds      {seconds:.1f}, Airflow's own included\n"
    )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)))
    print(f"\nTable sessions in {warehouse}\nLog of the Dag in {logs / 'dag.log'}")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 128 + signal.SIGINT:
            print("\nInterrupted; nothing is left running.")
            sys.exit(130)
        raise
