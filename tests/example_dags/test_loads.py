from __future__ import annotations

import json

import pytest

from airflow_provider_wtschat.simulator.instants import DAY
from airflow_provider_wtschat.warehouse.files import copied_files
from scripts.local import connections
from tests.loading import Table, execute, messages, truth

pytestmark = pytest.mark.airflow


def test_sessions_and_messages_hourly(simulate, warehouse, run_example):
    account = simulate(sessions=25)
    run = run_example("sessions_messages_hourly")
    assert run.state == "success", run.errors
    assert Table("wtschat_sessions").versions() == truth(account)
    assert set(Table("wtschat_messages").versions()) == messages(account)
    assert {row.user_id for row in Table("wtschat_agents").rows("user_id")} == {
        row["userId"] for row in account.world.agents
    }

    changed = next(iter(truth(account)))
    account.world.add_inbound_message(changed, "Oi")
    run = run_example("sessions_messages_hourly")
    assert run.xcom("sessions")["written"] == 1
    assert (run.xcom("messages")["requests"], run.xcom("messages")["written"]) == (1, 1)
    assert Table("wtschat_sessions").versions() == truth(account)


def test_object_storage_and_a_load_from_it(simulate, warehouse, run_example, tmp_path, monkeypatch):
    monkeypatch.setenv("WTSCHAT_LAKE", f"file://{tmp_path / 'lake'}")
    account = simulate(sessions=40)
    run = run_example("object_storage_load")
    assert run.state == "success", run.errors
    assert Table("lake_contacts").versions() == truth(account, "contacts")
    assert run.xcom("load") == run.xcom("copy")["rows"] == len(list(account.world.contacts))
    run = run_example("object_storage_load")
    assert run.state == "success", run.errors
    assert Table("lake_contacts").versions() == truth(account, "contacts")


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_files_of_messages_behind_a_load(simulate, warehouse, run_example, tmp_path, monkeypatch, in_one_piece):
    monkeypatch.setenv("WTSCHAT_FILES", f"file://{tmp_path / 'files'}")
    account = simulate(sessions=30)
    if not in_one_piece:
        connection = connections(account, tmp_path / "warehouse.db")["wtschat_default"]
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    run = run_example("message_files")
    assert run.state == "success", run.errors
    copied = {entry["id"] for entry in copied_files(f"file://{tmp_path / 'files'}")}
    assert copied == {row.file_id for row in Table("wtschat_messages_files").rows("file_id")} != set()
    run = run_example("message_files")
    assert (run.xcom("files")["copied"], run.xcom("files")["there"]) == (0, len(copied))
    assert account.violations == []


def test_backfill_by_month(simulate, warehouse, run_example):
    account = simulate(sessions=120, spread_days=80, now="2026-06-20T12:00:00Z")
    window = {"since": "2026-01-01", "until": "2026-07-01", "timezone": "America/Sao_Paulo"}
    run = run_example("backfill_months", conf=window)
    assert run.state == "success", run.errors
    assert run.states["load"] == ["success"] * 6
    assert Table("wtschat_sessions").versions() == truth(account)
    assert Table("wtschat_sessions").watermark() is None


def test_nightly_reconcile(simulate, warehouse, run_example):
    account = simulate(sessions=120)
    run = run_example("nightly_reconcile")
    assert run.state == "success", run.errors
    assert Table("wtschat_sessions").versions() == truth(account)
    # Older than what the next load reads again.
    old = [session.id for session in account.world.sessions if session.updated < account.world.now() - 4 * DAY]
    lost, gone = old[:2]
    execute(f"DELETE FROM wtschat_sessions WHERE id = '{lost}'")
    account.world.delete_session(gone)
    run = run_example("nightly_reconcile", change=lambda dag: setattr(dag.task_dict["sessions"], "full", True))
    assert run.state == "success", run.errors
    assert (run.xcom("sessions")["missing"], run.xcom("sessions")["deleted"]) == (1, 1)
