"""Staging and merging, on every kind of database."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from airflow_provider_wtschat.exceptions import WtsChatDestinationError
from airflow_provider_wtschat.warehouse import leases
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.leases import Load
from airflow_provider_wtschat.warehouse.rows import Shaper, Tally
from airflow_provider_wtschat.warehouse.runs import Run
from airflow_provider_wtschat.warehouse.tables import table
from tests.loading import Table

TAGS = {"tags": table("tags")}
LOAD = Load("tags", "wtschat_default", "tags", {})


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def rows(read_at: int, *given: tuple[str, int, str]) -> list:
    """Make rows out of id, day of the last change, and name."""
    made = [
        {"id": row_id, "createdAt": "2026-01-01", "updatedAt": f"{day(changed):%Y-%m-%d}T00:00:00Z", "name": name}
        for row_id, changed, name in given
    ]
    return Shaper(table("tags"), Tally()).shape(made, day(read_at))


def names() -> dict[str, str]:
    return {row.id: row.name for row in Table("tags").rows("id, name")}


@pytest.fixture
def merged(destination):
    """Stage lists of rows, one after the other, and merge them at once; returns how many were written."""

    def merge(*staged: list, **how) -> int:
        with Database("warehouse") as database, Run(database, LOAD, TAGS, holder="test", wait=0, history=True) as run:
            for one in staged:
                run.stage("tags", one)
            return run.merge(**how)

    return merge


def test_newest_of_what_is_staged_wins_in_any_order(merged):
    assert merged(rows(5, ("a", 3, "new"), ("b", 1, "b")), rows(6, ("a", 2, "old"))) == 2
    assert names() == {"a": "new", "b": "b"}
    merged(rows(8, ("c", 1, "read later")), rows(7, ("c", 1, "read before"), ("c", 1, "read before")))
    assert names()["c"] == "read later"
    versions = [(row.id, row.name) for row in Table("tags_history").rows("id, name")]
    assert len(versions) == len(set(versions)) == 5


def test_row_that_is_there_is_replaced_by_what_is_not_older(merged):
    merged(rows(5, ("a", 3, "first")))
    assert merged(rows(9, ("a", 2, "changed before"))) == 0
    assert merged(rows(4, ("a", 3, "read before"))) == 0
    assert merged(rows(9, ("a", 3, "first"))) == 0
    assert names() == {"a": "first"}
    assert merged(rows(6, ("a", 3, "read later"))) == 1
    assert merged(rows(6, ("a", 4, "changed later"))) == 1
    assert names() == {"a": "changed later"}


def test_mark_moves_forward_and_past_nothing_unread(merged):
    merged(since=None, until_reached=day(5))
    assert Table("tags").watermark()[:10] == "2026-01-05"
    merged(since=day(2), until_reached=day(4))
    merged(since=day(6), until_reached=day(9))
    merged()
    assert Table("tags").watermark()[:10] == "2026-01-05"
    merged(since=day(5), until_reached=day(9))
    assert Table("tags").watermark()[:10] == "2026-01-09"


def test_what_is_missing_is_marked_unless_nothing_came(merged):
    def missing() -> set[str]:
        return {row.id for row in Table("tags").rows("id, missing_since") if row.missing_since}

    merged(rows(2, ("a", 1, "a"), ("b", 1, "b")), whole=day(2))
    merged(whole=day(3))
    assert missing() == set()
    merged(rows(4, ("a", 1, "a")))
    assert missing() == set()
    merged(rows(4, ("a", 1, "a")), whole=day(4))
    assert missing() == {"b"}
    merged(rows(3, ("b", 1, "b")))
    assert missing() == {"b"}, "it was seen before it went"
    merged(rows(5, ("b", 1, "b")))
    assert missing() == set()


def test_staging_of_a_dead_attempt_is_removed(destination, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.0)
    database = Database("warehouse")
    dead = Run(database, LOAD, TAGS, holder="dead", wait=0)
    dead.__enter__()
    dead.stage("tags", rows(2, ("a", 1, "a")))
    # Its connection goes with it, and nothing else of what it would have cleared up.
    database.close()
    assert Table(dead.staging.name("tags")).columns()
    with Database("warehouse") as again, Run(again, LOAD, TAGS, holder="next", wait=5):
        pass
    assert not Table(dead.staging.name("tags")).columns()
    assert names() == {}


HOLDER = """
import sys
from airflow_provider_wtschat.warehouse.database import Database
with Database("warehouse") as database, database.transaction() as cursor:
    cursor.execute("CREATE TABLE held (id INTEGER)")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_duckdb_file_is_not_looked_at_while_another_process_has_it(duckdb, monkeypatch):
    """DuckDB reads the head of a file before it locks it: what is stored in between would be written over."""
    import duckdb as driver

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", duckdb)
    opening = Mock(wraps=driver.connect)
    monkeypatch.setattr(driver, "connect", opening)
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert "held\n" in iter(holder.stdout.readline, "")  # Airflow 2 logs there, too
        with (
            Database("warehouse", wait=0.2) as database,
            pytest.raises(WtsChatDestinationError, match="could not be opened within") as raised,
        ):
            database.columns("held", must=True)
        assert raised.value.retryable
        opening.assert_not_called()
        holder.communicate("go on\n")
    with Database("warehouse") as database:
        assert database.columns("held") == {"id"}


def test_duckdb_rewrites_more_rows_than_its_memory_holds(duckdb, monkeypatch):
    """In one transaction these rows need more than it may have."""
    described = {**json.loads(duckdb), "extra": {"memory_limit": "48MB"}}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(described))

    def merge(number: int) -> int:
        with Database("warehouse") as database, Run(database, LOAD, TAGS, holder="test", wait=0) as run:
            for start in range(0, 16_000, 2_000):
                given = [(f"{one:08}", number, f"{number}{one}" * 200) for one in range(start, start + 2_000)]
                run.stage("tags", rows(number, *given))
            return run.merge(until_reached=day(number))

    assert [merge(number) for number in (1, 2)] == [16_000, 16_000]
    assert Table("tags").watermark()[:10] == "2026-01-02"
    assert {row.name[0] for row in Table("tags").rows("name")} == {"2"}


def test_merges_into_one_table_wait_for_each_other(destination):
    """Windows that were given run side by side; their transactions do not."""
    if destination != "postgres":
        pytest.skip("shown where a lock can be tried without waiting")
    other = Load("tags", "wtschat_default", "tags", {}, "window")
    with (
        Database("warehouse") as one,
        Database("warehouse") as two,
        Run(one, LOAD, TAGS, holder="one", wait=0) as run,
        Run(two, other, TAGS, holder="two", wait=0) as waiting,
    ):
        run.stage("tags", rows(2, ("a", 1, "a")))
        waiting.stage("tags", rows(2, ("a", 1, "a")))
        with one.transaction() as cursor:
            run.lease.lock_table(cursor)
            with two.transaction() as limited:
                limited.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                waiting.merge()
        waiting.merge()
    assert names() == {"a": "a"}
