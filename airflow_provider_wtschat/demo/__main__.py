"""
Load a simulated account into a database, twice, by a Dag in a real Airflow.

Everything it makes lies in one directory, and nothing is left running.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airflow_provider_wtschat.demo._airflow import AIRFLOW, Processes, environment, fresh_home, stop_on_signals

DAG = Path(__file__).parent / "dags" / "wtschat_demo.py"
SESSIONS = 5000
SHOWN = ("number", "status", "origin", "updated_at")


def main() -> None:
    """Run the Dag and tell what came of it."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_wtschat.demo", description=__doc__)
    parser.add_argument(
        "--home",
        type=Path,
        default=Path("wtschat-demo"),
        help="directory for everything it makes; emptied at the start",
    )
    home = parser.parse_args().home.resolve()
    kind, connect = destination()
    try:
        from airflow_provider_wtschat.simulator import Simulator
    except ModuleNotFoundError as error:
        raise SystemExit(str(error)) from error

    stop_on_signals()
    logs = fresh_home(home)
    dags, temporary = home / "dags", home / "tmp"
    dags.mkdir()
    temporary.mkdir()
    shutil.copy(DAG, dags)
    warehouse = home / f"warehouse.{kind}"
    account = Simulator.spawn(sessions=SESSIONS, spread_days=60, latency_ms=50, changes_per_s=5)
    with account as simulator, Processes(environment(home, dags, TMPDIR=str(temporary)), logs) as processes:
        connection = {"conn_type": kind, "host": str(warehouse)}
        processes.environment["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = simulator.connection_json
        processes.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(connection)

        def load(name: str) -> None:
            print(f"Airflow runs the Dag {DAG.stem}: {name} ...", flush=True)
            before, started = len(simulator.requests), time.monotonic()
            processes.run(name.replace(" ", "-"), *AIRFLOW, "dags", "test", DAG.stem)
            seconds = time.monotonic() - started
            requests = simulator.requests[before:]
            refused = sum(entry["status"] == 429 for entry in requests)
            with closing(connect(warehouse)) as database:
                tell(database, len(requests), refused, seconds)

        print("Airflow makes its metadata database ...", flush=True)
        processes.run("migrate", *AIRFLOW, "db", "migrate")
        load("first load")
        load("what changed since")

    with closing(connect(warehouse)) as database:
        show_rows(database)
    print(
        f"""
The database: {warehouse} (tables wtschat_sessions, wtschat_contacts and wtschat_loads)
The Dag:      {dags / DAG.name}
The logs:     {logs}

With an account of your own:
  1. Create an API token in WTS Chat, and in Airflow a connection wtschat_default of the type WTS Chat with it:
     AIRFLOW_CONN_WTSCHAT_DEFAULT='{{"conn_type": "wtschat", "password": "pn_..."}}'
  2. Point a connection warehouse at your database, and copy the Dag into your Dags folder."""
    )


def destination() -> tuple[str, Callable[[Path], Any]]:
    """
    Choose the database by what is installed.

    :return: the connection's type, and what opens a file of it
    :raises SystemExit: if there is none
    """
    if find_spec("airflow.providers.sqlite") is not None:
        return "sqlite", sqlite3.connect
    if find_spec("duckdb") is not None:
        import duckdb

        return "duckdb", lambda path: duckdb.connect(str(path), read_only=True)
    msg = "The demo needs a database: pip install 'airflow-provider-wtschat[simulator,sqlite]'"
    raise SystemExit(msg)


def tell(database: Any, requests: int, refused: int, seconds: float) -> None:
    """
    Print what a load did.

    :param refused: how many of them met the account's limit
    """
    (rows,) = database.execute("SELECT count(*) FROM wtschat_sessions").fetchone()
    newest = "SELECT count(*) FROM wtschat_sessions WHERE loaded_at = (SELECT max(loaded_at) FROM wtschat_sessions)"
    (written,) = database.execute(newest).fetchone()
    print(
        f"  sessions in the table    {rows:,}"
        f"\n  new or changed           {written:,}"
        f"\n  requests                 {requests:,}, of which {refused} met the account's limit"
        f"\n  seconds                  {seconds:.1f}, Airflow's own included\n",
        flush=True,
    )


def show_rows(database: Any) -> None:
    """Print the rows that changed last."""
    newest = f"SELECT {', '.join(SHOWN)} FROM wtschat_sessions ORDER BY updated_at DESC LIMIT 5"  # noqa: S608
    rows = database.execute(newest).fetchall()
    lines = [SHOWN, *(tuple("" if value is None else str(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 128 + signal.SIGINT:
            print("\nInterrupted; nothing is left running.")
            sys.exit(130)
        raise
