"""The dbt package fits the landing tables, and everything in it is documented and tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from airflow_provider_wtschat.warehouse.dictionary import PREFIX, tables
from airflow_provider_wtschat.warehouse.tables import Kinds
from scripts.dbt_rendering import MODELS, TESTS, Project
from scripts.dbt_sources import CAMPAIGN, files
from tests.models.dbt import PACKAGE

duckdb = pytest.importorskip("duckdb")

TYPES = {
    Kinds.INSTANT: "TIMESTAMP", Kinds.INTEGER: "BIGINT", Kinds.NUMBER: "DOUBLE", Kinds.MONEY: "DECIMAL(18, 4)",
    Kinds.BOOLEAN: "BOOLEAN",
}  # fmt: skip


@pytest.fixture(scope="module")
def empty() -> Iterator[Any]:
    """A database with all landing tables, and no rows."""
    with duckdb.connect() as cursor:
        for name, made in tables():
            columns = ", ".join(f'"{column.name}" {TYPES.get(column.kind, "VARCHAR")}' for column in made.stored)
            cursor.execute(f"CREATE TABLE {PREFIX}{name} ({columns})")
        for name in ("sessions", "cards"):
            cursor.execute(f"CREATE TABLE {PREFIX}{name}_history AS SELECT * FROM {PREFIX}{name}")
        columns = ", ".join(f"{name} {'INTEGER' if name == 'seq' else 'VARCHAR'}" for name in CAMPAIGN)
        cursor.execute(f"CREATE TABLE wtschat_campaign ({columns})")
        yield cursor


def documented() -> dict[str, list[dict[str, Any]]]:
    """Return the columns of each model as its YAML has them."""
    found = {}
    for path in (PACKAGE / "models").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text()).get("models", ()):
            assert model["description"].strip(), model["name"]
            found[model["name"]] = model["columns"]
    return found


def test_sources_and_staging_are_those_of_the_landing_tables():
    stale = [str(path.relative_to(PACKAGE)) for path, text in files().items() if path.read_text() != text]
    assert stale == [], "run: python -m scripts.dbt_sources"
    known = {path.name for path in files()} | {"_sources.yml", "_staging.yml"}
    assert {path.name for path in (PACKAGE / "models" / "staging").iterdir()} <= known


def test_models_run_on_the_landing_tables_and_have_the_columns_that_are_documented(empty: Any):
    project = Project(empty, wtschat_csat_field="csat", wtschat_conversion_tag="bought", wtschat_account="shop")
    project.build()
    told = documented()
    assert set(told) == set(MODELS)
    assert {name: project.columns(name) for name in MODELS} == {
        name: [column["name"] for column in columns] for name, columns in told.items()
    }
    assert [column for columns in told.values() for column in columns if not column["description"].strip()] == []
    for path in TESTS.values():
        assert empty.execute(project.sql(path)).fetchall() == []


def test_models_run_where_nothing_is_loaded_yet():
    hours = [{"weekday": 1, "start_minute": 540, "end_minute": 1080}]
    with duckdb.connect() as cursor:
        project = Project(cursor, wtschat_office_hours=hours, wtschat_as_of="2026-01-31 12:00:00")
        project.build()
        assert [name for name in MODELS if cursor.execute(f"SELECT count(*) FROM {name}").fetchone() != (0,)] == []


def test_each_model_has_a_test():
    text = {path.stem: path.read_text() for path in TESTS.values()}
    for name, columns in documented().items():
        own = [column for column in columns if column.get("data_tests")]
        assert own or any(f"'{name}'" in one for one in text.values()), name
