"""Several accounts in one table: each load and comparison touches the rows of its own account only."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from tests.loading import Table, connection_json, everywhere, execute, load, truth

ACCOUNTS = ("wtschat_default", "wtschat_other")


@pytest.fixture
def other(reading: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A second account, behind the connection ``wtschat_other``."""
    with Simulator(sessions=20, seed=12, limits=False, strict=True) as simulator:
        for conn_id, one in zip(ACCOUNTS, (reading, simulator), strict=True):
            described = json.loads(connection_json(one))
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**described, "extra": {}}))
        yield simulator


def accounts(table: str) -> dict[str, str | None]:
    return {row.id: row.account for row in Table(table).rows("id, account")}


@everywhere("panels", "departments")
def test_full_lists_mark_rows_of_their_own_account_only(resource, reading, other, destination):
    for conn_id in ACCOUNTS * 2:
        load(resource, wtschat_conn_id=conn_id)
    assert set(accounts(resource).values()) == set(ACCOUNTS)
    assert not any(row.missing_since for row in Table(resource).rows("id, missing_since"))
    table = getattr(reading.world, resource)
    gone = next(iter(table)).id
    table.delete(gone)
    for conn_id in ACCOUNTS:
        load(resource, wtschat_conn_id=conn_id)
    assert {row.id for row in Table(resource).rows("id, missing_since") if row.missing_since} == {gone}


@everywhere("messages", "templates", "sessions")
def test_comparison_marks_rows_of_its_own_account_only(resource, reading, other, destination):
    for conn_id in ACCOUNTS:
        load(resource, wtschat_conn_id=conn_id)
    there = accounts(resource)
    found = WtsChatReconcileOperator(
        task_id="compare",
        resource=resource,
        table=resource,
        sql_conn_id="warehouse",
        workers=4,
        wtschat_conn_id="wtschat_other",
    ).execute({})
    assert (found["deleted"], found["missing"]) == (0, 0)
    assert found["stored"] == list(there.values()).count("wtschat_other")
    assert accounts(resource) == there


def test_account_of_the_connection_survives_another_name_of_it(reading, other, plain_destination, monkeypatch):
    described = json.loads(connection_json(reading))
    for conn_id in ("wtschat_one", "wtschat_two"):
        connection = json.dumps({**described, "extra": {"account": "shop"}})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
        load("tags", wtschat_conn_id=conn_id)
    assert set(accounts("tags").values()) == {"shop"}


def test_tables_of_an_older_release_are_carried_over(reading, other, destination):
    load()
    load("tags")
    load("tags", wtschat_conn_id="wtschat_other")
    for table in ("sessions", "tags"):
        execute(f"ALTER TABLE {table} DROP COLUMN account")
    execute("ALTER TABLE wtschat_loads DROP COLUMN filled")
    execute("ALTER TABLE wtschat_loads DROP COLUMN window_given")
    written = Table().loaded()
    assert load()["written"] == 0
    assert set(accounts("sessions").values()) == {"wtschat_default"}
    assert Table().loaded() == written

    # Rows of two accounts cannot be told apart before each is read again.
    load("tags")
    ours = {row.id for row in reading.world.tags}
    assert {row: account for row, account in accounts("tags").items() if row not in ours} == {
        row.id: None for row in other.world.tags
    }
    assert not any(row.missing_since for row in Table("tags").rows("id, missing_since"))
    load("tags", wtschat_conn_id="wtschat_other")
    assert set(accounts("tags").values()) == set(ACCOUNTS)


def test_two_resources_do_not_share_a_table(reading, plain_destination):
    load("tags", table="lists")
    with pytest.raises(WtsChatFailedError, match="lists holds tags"):
        load("departments", table="lists")
    assert load("tags", table="lists")["gone"] == 0
    assert truth(reading, "tags").keys() == accounts("lists").keys()
