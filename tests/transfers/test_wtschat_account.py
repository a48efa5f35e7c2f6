"""A whole account by one call: order, what is left out, several accounts, both kinds of destination."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_wtschat._compat import Asset
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.wtschat_account import WtsChatEstimateOperator, wtschat_account
from airflow_provider_wtschat.warehouse.storage import named_parts
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow
from tests.loading import Table, connection_json, messages, truth

pytestmark = pytest.mark.airflow


@pytest.fixture
def dag(airflow_db):
    try:
        from airflow.sdk import DAG
    except ImportError:
        from airflow.models.dag import DAG  # type: ignore[no-redef]

    return DAG("whole_account", schedule=None, start_date=datetime(2026, 1, 1), catchup=False)


def test_resources_are_loaded_in_the_order_in_which_they_point_at_each_other(dag):
    with dag:
        wtschat_account("warehouse", asset_prefix="postgres://db:5432/analytics/public")
    tasks = {task_id.removeprefix("wtschat."): task for task_id, task in dag.task_dict.items()}
    assert set(tasks) == {"estimate", *RESOURCES, "compare_sessions", "compare_contacts", "compare_cards"}

    def before(name: str) -> set[str]:
        return {one.removeprefix("wtschat.") for one in tasks[name].get_flat_relative_ids(upstream=True)}

    assert before("sessions") >= {"estimate", "agents", "departments", "channels", "panels"}
    assert before("cards") >= {"sessions", "contacts"}
    assert before("messages") >= {"sessions", "cards"}
    # Not behind the children, whose first load may take hours in which the account gets new rows.
    assert "sessions" in before("compare_sessions")
    assert not before("compare_sessions") & {"contacts", "cards", "messages", "card_notes"}
    assert {name for name in RESOURCES if tasks[name].history} == {"sessions", "cards"}
    assert tasks["messages"].outlets == [Asset("postgres://db:5432/analytics/public/wtschat_messages")]
    assert tasks["messages"].table == "wtschat_messages"


def test_what_is_expensive_can_be_left_out(dag):
    with dag:
        wtschat_account(
            "file:///lake", resources=["sessions", "tags", "messages"], exclude=["messages"], retries=3,
            arguments={"initial_since": "2026-01-01", "personal_data": "drop"},
            per_resource={"sessions": {"part_bytes": 7}},
        )  # fmt: skip
    tasks = {task_id.removeprefix("wtschat."): task for task_id, task in dag.task_dict.items()}
    assert set(tasks) == {"estimate", "sessions", "tags"}
    assert (tasks["sessions"].path, tasks["sessions"].part_bytes) == ("file:///lake/sessions", 7)
    assert (tasks["sessions"].initial_since, tasks["tags"].initial_since) == ("2026-01-01", None)
    assert {task.retries for task in tasks.values()} == {3}
    assert tasks["tags"].personal_data == "drop"


@pytest.mark.parametrize("given", [{"resources": ["chats"]}, {"exclude": ["chats"]}, {"resources": []}])
def test_names_of_no_resource_are_refused(dag, given):
    with dag, pytest.raises(WtsChatArgumentError):
        wtschat_account("warehouse", **given)


DAG_FILE = """
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task_group

from airflow_provider_wtschat.transfers.wtschat_account import wtschat_account

with DAG("accounts", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):

    @task_group
    def account(wtschat_conn_id):
        wtschat_account(
            {destination!r}, wtschat_conn_id=wtschat_conn_id, arguments={{"workers": 2}}, {further}
        )

    account.expand(wtschat_conn_id={conn_ids!r})
"""


def test_several_accounts_are_loaded_by_one_mapped_group(plain_destination, no_limits, run_dag, tmp_path, monkeypatch):
    path = tmp_path / "accounts.py"
    conn_ids = ["wtschat_one", "wtschat_two", "wtschat_three"]
    simulators = [Simulator(sessions=8, seed=seed, limits=False, strict=True, token=f"pn_{seed}").start()
                  for seed in (1, 2, 3)]  # fmt: skip
    try:
        for conn_id, simulator in zip(conn_ids, simulators, strict=True):
            described = {**json.loads(connection_json(simulator)), "extra": {}}
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(described))
        further = "compare=['sessions'], resources=['departments', 'messages', 'panels', 'sessions', 'tags']"
        path.write_text(DAG_FILE.format(destination="warehouse", conn_ids=conn_ids, further=further))
        for _ in range(2):
            run = run_dag(path)
            assert run.state == "success", run.errors
        versions = Table("wtschat_sessions").versions()
        assert versions == {row: text for one in simulators for row, text in truth(one).items()}
        assert {row.account for row in Table("wtschat_sessions").rows("account")} == set(conn_ids)
        told = set().union(*(messages(one) for one in simulators))
        assert set(Table("wtschat_messages").versions()) == told
        assert {entry.status for one in simulators for entry in one.requests} == {200}, "each with its own token"
        marks = Table("wtschat_loads").rows(
            "source, watermark", "WHERE destination = 'wtschat_sessions' AND source <> ''"
        )
        assert {row.source for row in marks if row.watermark} == set(conn_ids)
        for name in ("wtschat_tags", "wtschat_departments", "wtschat_panels"):
            assert not any(row.missing_since for row in Table(name).rows("id, missing_since"))
    finally:
        for simulator in simulators:
            simulator.stop()


@pytest.mark.soak
@pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 runs one task at a time on SQLite")
def test_twenty_accounts_are_loaded_by_four_workers(postgres, tmp_path, monkeypatch):
    """A real scheduler; each account has its own limit, and one for all would not let them through in the time."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres)
    conn_ids = [f"wtschat_{number:02}" for number in range(20)]
    home, path = tmp_path / "airflow", tmp_path / "accounts.py"
    home.mkdir()
    further = "resources=['tags', 'sessions', 'messages'], compare=['sessions']"
    path.write_text(DAG_FILE.format(destination="warehouse", conn_ids=conn_ids, further=further))
    simulators = [
        Simulator(sessions=60, seed=seed, strict=True, token=f"pn_{seed}").start() for seed in range(len(conn_ids))
    ]
    try:
        accounts = {
            conn_id: {"conn_type": "wtschat", "host": one.url, "password": one.token}
            for conn_id, one in zip(conn_ids, simulators, strict=True)
        }
        airflow = LiveAirflow(
            home, [path], {**accounts, "warehouse": json.loads(postgres)}, AIRFLOW__CORE__PARALLELISM="4",
            AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="64",
        )  # fmt: skip
        with airflow:
            airflow.wait_for_dag("accounts")
            airflow.cli("dags", "trigger", "accounts")
            run = airflow.wait_for_run("accounts", "manual", 1_800)
            assert run["state"] == "success", run["states"]
            query = "SELECT start_date, end_date FROM task_instance WHERE dag_id = 'accounts'"
            spans = [(row["start_date"], row["end_date"]) for row in airflow.query(query)]
        assert len(spans) == 20 * 5
        assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= 4
        assert Table("wtschat_sessions").versions() == {
            row: text for one in simulators for row, text in truth(one).items()
        }
        assert set(Table("wtschat_messages").versions()) == set().union(*(messages(one) for one in simulators))
        assert {row.account for row in Table("wtschat_sessions").rows("account")} == set(conn_ids)
        marks = Table("wtschat_loads").rows(
            "source, watermark", "WHERE destination = 'wtschat_messages' AND source <> ''"
        )
        assert {row.source for row in marks if row.watermark} == set(conn_ids)
        statuses = [entry.status for one in simulators for entry in one.requests]
        assert set(statuses) == {200}
        assert len(statuses) > 1_000, "more than one account may ask within 5 minutes"
    finally:
        for simulator in simulators:
            simulator.stop()


@pytest.mark.reads(sessions=60, now=f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
def test_what_it_costs_is_told_first_and_the_next_run_costs_what_changed(reading, plain_destination, monkeypatch):
    from tests.benchmarks.bench_account import run

    said: list[str] = []
    log = SimpleNamespace(info=lambda text, *values: said.append(text % values), warning=print)
    monkeypatch.setattr(WtsChatEstimateOperator, "log", log)
    told, first = run(reading)
    assert next(iter(first)) == "estimate", "before anything is loaded"
    (line,) = said
    assert line.startswith(f"A first load takes {sum(told.values())} requests at least")
    assert "messages 60" in line
    assert told.keys() == {name for name in first if name in RESOURCES}
    # At least, and not far from it: each list is asked for what it has no key for, too.
    assert all(told[name] <= first[name].requests <= told[name] + 25 for name in told)
    changed = [row.id for row in reading.world.sessions][:4]
    for session in changed:
        reading.world.add_inbound_message(session, "Oi")
    reading.world.clock.advance(3_600)
    again, second = run(reading)
    assert again.keys() == told.keys()
    assert (second["sessions"].written, second["messages"].written) == (4, 4)
    for name in ("messages", "session_notes"):
        # One for each session that changed, and those that find them.
        assert second[name].requests <= first[name].requests - 60 + 4
    assert second["card_notes"].requests <= first["card_notes"].requests - 60


def test_example_loads_the_account(reading, plain_destination, run_dag):
    run = run_dag(Path(__file__).parents[2] / "example_dags" / "example_wtschat_whole_account.py")
    assert run.state == "success", run.errors
    assert Table("wtschat_sessions").versions() == truth(reading)
    assert Table("wtschat_contacts").versions() == truth(reading, "contacts")
    assert set(Table("wtschat_messages").versions()) == messages(reading)


def test_account_goes_into_a_lake(reading, run_dag, tmp_path):
    path, lake = tmp_path / "accounts.py", f"file://{tmp_path / 'lake'}"
    further = "resources=['sessions', 'tags', 'messages']"
    path.write_text(DAG_FILE.format(destination=lake, conn_ids=["wtschat_default"], further=further))
    run = run_dag(path)
    assert run.state == "success", run.errors
    for resource in ("sessions", "tags", "messages"):
        assert named_parts(f"{lake}/{resource}")
