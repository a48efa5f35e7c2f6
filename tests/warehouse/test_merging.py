"""The statements for other warehouses, run where they can be."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.dictionary import tables
from airflow_provider_wtschat.warehouse.merging import create_sql, mark_sql, merge_sql


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_merged_table_has_the_newest_row_of_each_id(kind, request, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", request.getfixturevalue(kind))
    rows = [
        ("a", "2026-01-01", "2026-01-02", "old", "h1"),
        ("a", "2026-01-03", "2026-01-04", "new", "h2"),
        ("a", "2026-01-03", "2026-01-03", "read before", "h3"),
        ("b", "2026-01-01", "2026-01-02", "b", "h4"),
    ]

    def merged(staged):
        with Database("warehouse") as database, database.transaction() as cursor:
            cursor.execute("DROP TABLE IF EXISTS raw")
            cursor.execute(create_sql(kind, "tags", "tags"))
            cursor.execute(create_sql(kind, "tags", "raw"))
            for row in staged:
                sql = "INSERT INTO raw (id, updated_at, read_at, name, hash) VALUES (?, ?, ?, ?, ?)"
                database.execute(cursor, sql, *row)
            cursor.execute(merge_sql(kind, "tags", target="tags", source="raw"))
            found = database.ask(cursor, "SELECT id, name, CAST(loaded_at AS TIMESTAMP) FROM tags ORDER BY id")
            return [(row_id, name, isinstance(loaded, datetime)) for row_id, name, loaded in found]

    assert merged(rows) == [("a", "new", True), ("b", "b", True)]
    assert merged(rows[:1]) == [("a", "new", True), ("b", "b", True)]
    later = ("b", "2026-02-01", "2026-02-01", "later", "h5")
    assert merged([later]) == [("a", "new", True), ("b", "later", True)]


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_columns_have_the_types_of_a_load(kind, request, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", request.getfixturevalue(kind))
    with Database("warehouse") as database:
        for name, table in tables():
            database.ensure(f"a_{name}", table.stored, ("id",))
            with database.transaction() as cursor:
                cursor.execute(create_sql(kind, name, f"b_{name}"))
        with database.transaction() as cursor:
            found = database.ask(
                cursor,
                "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale "
                "FROM information_schema.columns WHERE SUBSTR(table_name, 1, 2) IN ('a_', 'b_')",
            )
    made = {letter: {(row[0][2:], *row[1:]) for row in found if row[0][0] == letter} for letter in "ab"}
    assert made["a"] == made["b"] != set()


@pytest.mark.parametrize("dialect", ["bigquery", "databricks", "snowflake"])
@pytest.mark.parametrize("resource", dict(tables()))
def test_statements_name_every_column_once(dialect, resource):
    merge = merge_sql(dialect, resource, target="t", source="s")
    made = create_sql(dialect, resource, "t")
    names = [line.split()[0] for line in made.splitlines()[1:-1]]
    assert len(names) == len(set(names))
    own = ("loaded_at", "deleted_at", "missing_since")
    assert [name for name in names if name not in merge and name.strip('`"').lower() not in own] == []


def test_unknown_names_are_refused():
    with pytest.raises(WtsChatArgumentError, match="bigquery"):
        merge_sql("oracle", "sessions", target="t", source="s")
    with pytest.raises(WtsChatArgumentError, match="contacts_tags"):
        mark_sql("bigquery", "contacts", target="t", parents="p")
    with pytest.raises(WtsChatArgumentError, match="sessions"):
        create_sql("bigquery", "chats", "t")


def test_documents_show_what_is_printed():
    text = (Path(__file__).parents[2] / "docs" / "warehouse.md").read_text()
    assert merge_sql("bigquery", "tags", target="lake.tags", source="lake.tags_raw") in text
    assert merge_sql("snowflake", "tags", target="tags", source="tags_raw") in text
    for resource in RESOURCES:
        assert f"`{resource}`" in text
