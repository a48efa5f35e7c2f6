"""
What a whole account costs: requests, rows and seconds by resource, for a first load and for one an hour later.

The tasks are those of ``wtschat_account``, run one after the other without limits, so that the seconds are those of the
work; what the account's limit of 200 requests a minute makes of the requests is printed below. ``told`` is what the
estimate of the group had said before. In the hour between the two runs about one session of a hundred changes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HOUR = timedelta(hours=1)
_PER_MINUTE = 200


@dataclass
class Cost:
    """What a task took."""

    requests: int
    rows: int
    written: int
    seconds: float


@contextmanager
def unlimited() -> Iterator[None]:
    """Let this process send as fast as it can."""
    from airflow_provider_wtschat import budget
    from airflow_provider_wtschat.hooks import wtschat

    roomy = budget.Window(1_000_000, 1.0)
    limits = budget.Limits(burst=roomy, read=roomy, send=roomy)
    whole = wtschat.get_budget
    wtschat.get_budget = lambda account, **_: budget.get_budget(account, "process", limits=limits)
    try:
        yield
    finally:
        wtschat.get_budget = whole


def run(simulator: Any) -> tuple[dict[str, int], dict[str, Cost]]:
    """Run the group once; return what its estimate said, and what each other task took."""
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_wtschat.transfers.wtschat_account import wtschat_account

    with DAG("account", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
        wtschat_account("warehouse", arguments={"workers": 8})
    told: dict[str, int] = {}
    costs: dict[str, Cost] = {}
    for task in dag.topological_sort():
        name, before, started = task.task_id.partition(".")[2], len(simulator.requests), time.monotonic()
        figures = task.execute({})
        if name == "estimate":
            told = figures
        rows = figures.get("rows", figures.get("account", 0))
        written = figures.get("written", 0)
        costs[name] = Cost(len(simulator.requests) - before, rows, written, time.monotonic() - started)
    return told, costs


def measure(sessions: int, changed: int) -> tuple[dict[str, int], dict[str, Cost], dict[str, Cost]]:
    """Load an account into SQLite, and again when an hour has passed and some of it has changed."""
    from airflow_provider_wtschat.simulator import Simulator

    begin = f"{datetime.now(UTC) - HOUR:%Y-%m-%dT%H:%M:%SZ}"
    with (
        tempfile.TemporaryDirectory() as home,
        unlimited(),
        Simulator(sessions=sessions, seed=7, limits=False, now=begin, strict=True) as simulator,
    ):
        os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = simulator.connection_json
        database = {"conn_type": "sqlite", "host": str(Path(home) / "warehouse.db")}
        os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(database)
        told, first = run(simulator)
        world = simulator.world
        for session in list(world.sessions)[:: max(1, sessions // changed)][:changed]:
            world.clock.advance(1)
            world.add_inbound_message(session.id, "Oi")
        world.clock.advance(HOUR.total_seconds() - changed)
        _, second = run(simulator)
    return told, first, second


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--changed", type=int, default=20)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as home:
        # Before anything of Airflow is imported.
        os.environ.update(AIRFLOW_HOME=home, AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR")
        told, first, second = measure(given.sessions, given.changed)
    print(f"{given.sessions} sessions, of which {given.changed} change within the hour")
    print(f"{'':20}{'first load':^42}{'an hour later':^32}")
    print(f"{'':20}{'told':>7}{'requests':>10}{'rows':>9}{'seconds':>9}{'requests':>17}{'written':>9}{'seconds':>9}")
    for name, cost in first.items():
        later = second[name]
        print(
            f"{name:20}{told.get(name, ''):>7}{cost.requests:>10}{cost.rows:>9}{cost.seconds:>9.1f}"
            f"{later.requests:>17}{later.written:>9}{later.seconds:>9.1f}"
        )
    for label, costs in (("first load", first), ("an hour later", second)):
        requests = sum(cost.requests for cost in costs.values())
        seconds = sum(cost.seconds for cost in costs.values())
        print(f"{label}: {requests} requests, {seconds:.0f} s of work; {requests / _PER_MINUTE:.1f} min at the limit")


if __name__ == "__main__":
    main()
