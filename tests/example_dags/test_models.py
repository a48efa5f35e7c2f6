from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse.dictionary import tables
from scripts.dbt_rendering import MODELS
from tests.conftest import load_dag
from tests.example_dags.conftest import EXAMPLES
from tests.models.dbt import DBT, MISSING, Built

pytestmark = pytest.mark.airflow


def only_the_models(dag):
    """Leave out the loads, which other tests run."""
    for task_id in [task_id for task_id in dag.task_dict if task_id != "models"]:
        dag.task_dict[task_id].execute = lambda context: None


def test_models_are_skipped_where_they_cannot_be_built(simulate, warehouse, run_example):
    simulate(sessions=1, cards=0)
    run = run_example("models", change=only_the_models)
    assert run.state == "success", run.errors
    assert run.states["models"] == "skipped"
    assert run.states["wtschat.sessions"] == "success"


@pytest.mark.soak
@pytest.mark.skipif(not DBT.exists(), reason=MISSING)
def test_models_are_built_behind_the_load(simulate, run_example, duckdb, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", duckdb)
    account = simulate(sessions=25, cards=5)
    run = run_example("models")
    assert run.state == "success", run.errors
    assert run.states["models"] == "success"
    import duckdb as database

    with database.connect(json.loads(duckdb)["host"]) as cursor:
        assert cursor.execute("SELECT count(*) FROM fct_sessions").fetchone() == (len(list(account.world.sessions)),)


def outlets():
    """Return the assets that the loads of a whole account tell of."""
    loads = load_dag(EXAMPLES / "example_wtschat_whole_account.py")
    return {asset.uri for task in loads.task_dict.values() for asset in task.outlets}


def test_cosmos_waits_for_the_tables_that_the_loads_tell_of():
    schedule = load_dag(EXAMPLES / "example_wtschat_cosmos.py").timetable
    condition = schedule.asset_condition if hasattr(schedule, "asset_condition") else schedule.dataset_condition
    assert {asset.uri for asset in condition.objects} == outlets()
    assert len(outlets()) == len(RESOURCES)


def test_cosmos_is_skipped_where_it_cannot_build(warehouse, run_example, monkeypatch):
    monkeypatch.setenv("WTSCHAT_DBT", "/nowhere/dbt")
    run = run_example("cosmos")
    assert (run.state, run.states) == ("success", {"check": "skipped"})


@pytest.mark.soak
@pytest.mark.skipif(not DBT.exists(), reason=MISSING)
@pytest.mark.skipif(find_spec("cosmos") is None, reason="Cosmos is not installed: `make models` installs it")
def test_cosmos_builds_the_models_from_the_tables_that_the_loads_tell_of(simulate, run_example, postgres, monkeypatch):
    monkeypatch.setenv("AIRFLOW__COSMOS__ENABLE_TELEMETRY", "False")
    where = json.loads(postgres) | {"password": "any"}
    prefix = f"postgres://{where['host']}:{where['port']}/{where['schema']}/public"
    monkeypatch.setenv("WTSCHAT_ASSETS", prefix)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(where))
    from cosmos.operators.local import AbstractDbtLocalBase

    read: set[str] = set()
    built: set[str] = set()
    register = AbstractDbtLocalBase.register_dataset

    def note(self, inlets, outlets, context):
        read.update(asset.uri for asset in inlets)
        built.update(asset.uri for asset in outlets)
        register(self, inlets, outlets, context)

    monkeypatch.setattr(AbstractDbtLocalBase, "register_dataset", note)
    account = simulate(sessions=25, cards=5)
    loaded = run_example("whole_account")
    assert loaded.state == "success", loaded.errors
    run = run_example("cosmos")
    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}
    assert built == {f"{prefix}/{model}" for model in MODELS}
    landing = {*(name for name, _ in tables()), "sessions_history", "cards_history", "campaign"}
    assert read - built == {f"{prefix}/wtschat_{name}" for name in landing}
    assert outlets() <= read
    (counted,) = Built(postgres, Path()).rows("SELECT count(*) AS n FROM fct_sessions")
    assert counted["n"] == len(list(account.world.sessions))
