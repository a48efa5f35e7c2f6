"""
Loads that go wrong in every way at once: faulty answers, killed attempts, two attempts at the same time.

An attempt runs in a process of its own, so that it can be killed as Airflow's workers are: without a word.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from airflow_provider_wtschat.warehouse import leases
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.storage import named_parts
from tests.loading import DATABASES, Table, messages, truth

SINKS = (*DATABASES, "lake")
FAULTS = {"all": 0.05}
CHANGING = {
    "sessions": 700, "tie": 120, "changes_per_s": 30, "faults": FAULTS, "odd_characters": 0.1, "late_rows": 0.1,
    "late_s": 0.5,
}  # fmt: skip
LATER = 75
"""Exit code of a task that Airflow would try again."""


def attempt(work: Callable[[], Any]) -> int:
    """Begin an attempt in a process of its own; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except WtsChatError as error:
        code = LATER if error.retryable else 1
        if code == 1:
            traceback.print_exc()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def outcome(child: int) -> int:
    """Wait for an attempt; return its exit code, or the signal that ended it below zero."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def until_done(work: Callable[[], Any]) -> None:
    """Try again as Airflow does."""
    for _ in range(8):
        code = outcome(attempt(work))
        if code == 0:
            return
        assert code == LATER
    pytest.fail("it did not succeed in eight tries")


class Sink:
    """Somewhere to load to, and what is there."""

    def __init__(self, kind: str, resource: str, folder: Path) -> None:
        self.kind = kind
        self.resource = resource
        self.folder = folder

    def work(self) -> None:
        """Load, as a task does."""
        if self.kind == "lake":
            WtsChatToObjectStorageOperator(
                task_id="copy", resource=self.resource, path=f"file://{self.folder}", workers=8, part_bytes=30_000
            ).execute({})
        else:
            WtsChatToSqlOperator(
                task_id="load",
                resource=self.resource,
                table=self.resource,
                sql_conn_id="warehouse",
                lock_timeout=20,
                workers=8,
            ).execute({})

    def versions(self) -> dict[str, str]:
        """Return what is there, by id."""
        if self.kind != "lake":
            return Table(self.resource).versions()
        rows = []
        for part in named_parts(f"file://{self.folder}"):
            with gzip.open(part.removeprefix("file://"), "rt", encoding="utf-8") as file:
                rows += [json.loads(line) for line in file]
        ordered = sorted(rows, key=lambda row: (row["updatedAt"], row["_read_at"]))
        return {row["id"]: row["updatedAt"] for row in ordered}

    def check_tidy(self) -> None:
        """Check that no attempt left a staging table behind."""
        if self.kind == "lake":
            return
        with Database("warehouse") as database, database.transaction() as cursor:
            if self.kind == "sqlite":
                query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            else:
                here = {"duckdb": "'main'", "postgres": "'public'"}.get(self.kind, "DATABASE()")
                query = f"SELECT table_name FROM information_schema.tables WHERE table_schema = {here}"
            names = {name for (name,) in database.ask(cursor, query)}
        assert names - {"messages_files"} == {self.resource, "wtschat_loads", "wtschat_parents"}


def prove(simulator: Simulator, sink: Sink, seed: int) -> None:
    """Kill an attempt, run two at once, change everything meanwhile, and compare in the end."""
    rng = random.Random(seed)
    killed = attempt(sink.work)
    time.sleep(rng.uniform(0.0, 0.8))
    os.kill(killed, signal.SIGKILL)
    assert outcome(killed) in (0, LATER, -signal.SIGKILL)

    both = [attempt(sink.work), attempt(sink.work)]
    assert {outcome(child) for child in both} <= {0, LATER}
    simulator.world.churn.set_rate(0)
    # What changed last is shown by now.
    time.sleep(simulator.options.late_s)
    until_done(sink.work)
    if sink.resource == "messages":
        assert set(sink.versions()) == messages(simulator)
    else:
        assert sink.versions() == truth(simulator)
    sink.check_tidy()


def run(sink: str, resource: str, seed: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    monkeypatch = request.getfixturevalue("monkeypatch")
    # Killed attempts are outlived sooner than in earnest.
    monkeypatch.setattr(leases, "LEASE", 1.0)
    monkeypatch.setattr(leases, "_LOOK_EVERY", 0.05)
    simulator = request.getfixturevalue("reading")
    if sink != "lake":
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", request.getfixturevalue(sink))
    with simulator.world.lock:
        simulator.application.faults._rng.seed(seed)
    prove(simulator, Sink(sink, resource, tmp_path / "lake"), seed)


@pytest.mark.reads(**CHANGING)
@pytest.mark.parametrize("sink", SINKS)
def test_table_is_the_truth_whatever_goes_wrong(sink, request, tmp_path):
    run(sink, "sessions", SINKS.index(sink), request, tmp_path)


@pytest.mark.soak
@pytest.mark.reads(**CHANGING)
@pytest.mark.parametrize("seed", range(100, 200))
def test_table_is_the_truth_over_many_seeds(seed, request, tmp_path):
    run(SINKS[seed % len(SINKS)], "sessions", seed, request, tmp_path)


@pytest.mark.soak
@pytest.mark.reads(sessions=60, changes_per_s=5, faults=FAULTS, late_s=0.1)
@pytest.mark.parametrize("seed", range(20))
def test_children_are_complete_over_many_seeds(seed, request, tmp_path):
    run(SINKS[seed % len(SINKS)], "messages", seed, request, tmp_path)
