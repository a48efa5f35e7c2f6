from __future__ import annotations

import json

import pytest

from tests.models.dbt import DBT, MISSING

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
