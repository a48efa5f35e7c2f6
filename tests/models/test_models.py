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


def test_accounts_are_kept_apart_and_older_tables_will_do():
    """Office hours belong to an account, and tables from before there was a column for it have none."""
    row = "'{0}' AS id, TIMESTAMP '{1}' AS created_at, TIMESTAMP '{1}' AS updated_at, 'COMPLETED' AS status, "
    row += "TIMESTAMP '{2}' AS end_at, TIMESTAMP '{2}' AS loaded_at"
    evening = ("2026-06-19 20:00:00", "2026-06-22 13:00:00")  # Friday at 17:00 there, until Monday at 10:00
    with duckdb.connect() as cursor:
        sessions = " UNION ALL ".join(
            f"SELECT {row.format(name, *evening)}, {account} AS account"
            for name, account in (("a", "'shop'"), ("b", "'clinic'"), ("c", "NULL"))
        )
        cursor.execute(f"CREATE TABLE wtschat_sessions AS {sessions}")
        cursor.execute(
            "CREATE TABLE wtschat_office_hours AS SELECT 'shop' AS account, day AS weekday, true AS active, "
            "540 AS start_minute, 1080 AS end_minute, true AS limit_hours FROM range(1, 6) AS days (day)"
        )
        Project(cursor, wtschat_as_of="2026-06-23 12:00:00").build()
        found = cursor.execute("SELECT session_id, account, resolution_office_seconds FROM fct_sessions").fetchall()
        assert sorted(found) == [
            ("a", "shop", 2 * 3600), ("b", "clinic", 65 * 3600), ("c", "unknown", 65 * 3600),
        ]  # fmt: skip
        assert cursor.execute("SELECT sum(sessions_open) FROM backlog_daily WHERE day = '2026-06-20'").fetchone() == (
            3,
        )
        alone = Project(cursor, wtschat_account="shop").sql(MODELS["stg_wtschat__sessions"])
        assert cursor.execute(f"SELECT id FROM ({alone})").fetchall() == [("a",)]
        cursor.execute("CREATE OR REPLACE TABLE wtschat_sessions AS SELECT * EXCLUDE (account) FROM wtschat_sessions")
        again = Project(cursor, wtschat_as_of="2026-06-23 12:00:00")
        accounts = cursor.execute(f"SELECT DISTINCT account FROM ({again.sql(MODELS['stg_wtschat__sessions'])})")
        assert accounts.fetchall() == [("unknown",)]


def test_each_model_has_a_test():
    text = {path.stem: path.read_text() for path in TESTS.values()}
    for name, columns in documented().items():
        own = [column for column in columns if column.get("data_tests")]
        assert own or any(f"'{name}'" in one for one in text.values()), name
