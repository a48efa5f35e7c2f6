"""Airflow's own UI with a simulated account behind it: ``make ui``. Ctrl-C takes everything down."""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from airflow_provider_wtschat.demo._airflow import AIRFLOW, Processes, fresh_home, stop_on_signals
from airflow_provider_wtschat.simulator import Simulator, SpawnedSimulator
from scripts.local import (
    ROOT,
    connections,
    fetch,
    free_port,
    serving_environment,
    start_airflow,
    wait_for,
)


@dataclass(frozen=True)
class Stage:
    """An Airflow that is up, with a simulated account.

    :param url: of its UI.
    :param dags: how many example Dags it has.
    :param home: directory for everything it makes.
    :param simulator: the account.
    :param processes: its components.
    """

    url: str
    dags: int
    home: Path
    simulator: SpawnedSimulator
    processes: Processes

    @cached_property
    def token(self) -> str:
        """A bearer token for its API."""
        return str(fetch(f"{self.url}/auth/token")["access_token"])


@contextmanager
def brought_up(home: Path, port: int = 0, **options: str) -> Iterator[Stage]:
    """Bring up one component after the other, and take them down at the end.

    :param home: directory for everything it makes; what an earlier run left there goes.
    :param port: port of the UI; another one is taken if it is not free.
    :param options: further environment variables.
    """
    port = free_port(port)
    logs = fresh_home(home)
    usual = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled", "AIRFLOW__WTSCHAT__WEBHOOK_SECRET": secrets.token_hex(32)}
    environment = serving_environment(home, port, **(usual | options))
    account = Simulator.spawn(sessions=5000, spread_days=3, changes_per_s=1)
    with account as simulator, Processes(environment, logs) as processes:
        processes.run("migrate", *AIRFLOW, "db", "migrate")
        rows = home / "connections.json"
        rows.write_text(json.dumps(connections(simulator, home / "warehouse.db")))
        processes.run("connections", *AIRFLOW, "connections", "import", rows)

        start_airflow(processes)
        files = len(list((ROOT / "example_dags").glob("example_*.py")))
        url = environment["AIRFLOW__API__BASE_URL"]

        def parsed() -> int | None:
            token = fetch(f"{url}/auth/token")["access_token"]
            dags, errors = (
                int(fetch(f"{url}/api/v2/{name}?limit=1", token)["total_entries"]) for name in ("dags", "importErrors")
            )
            return dags if dags + errors >= files else None

        dags = wait_for(parsed, "The example Dags", processes)
        yield Stage(url, dags, home, simulator, processes)


def main() -> None:
    """Bring up Airflow, say where the UI is, and wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of the UI; another one is taken if it is not free")
    parser.add_argument("--home", type=Path, default=ROOT / ".ui", help="directory for everything it makes")
    arguments = parser.parse_args()
    stop_on_signals()
    with brought_up(arguments.home.resolve(), arguments.port) as stage:
        print(f"Airflow is up with {stage.dags} example Dags: {stage.url}\nCtrl-C ends it.", flush=True)
        while True:
            signal.sigtimedwait((), 1)
            stage.processes.check()


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 128 + signal.SIGINT:
            print("\nTaken down.")
            sys.exit(0)
        raise
