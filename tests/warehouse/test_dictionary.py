"""The data dictionary is what the code makes and what a database holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.dictionary import PREFIX, REFERENCES, markdown, reference, tables
from tests.loading import Table, load

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def test_page_is_made_by_the_code():
    assert PAGE.read_text() == markdown(), "python -m scripts.dictionary makes it anew"


def told() -> dict[str, set[str]]:
    """Read the page: columns by table."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ")
            found[name] = set()
        elif match := re.match(r"\| `(\w+)` \|", line):
            found[name].add(match[1])
    return found


@pytest.mark.reads(sessions=3)
@pytest.mark.parametrize("resource", ["sessions", "contacts", "cards", "panels", "messages", "agents", "departments"])
def test_page_is_what_a_load_makes(resource, reading, plain_destination):
    load(resource, table=f"{PREFIX}{resource}")
    of = {name: columns for name, columns in told().items() if name.startswith(f"{PREFIX}{resource}")}
    assert of
    for name, columns in of.items():
        assert Table(name).columns() == columns


def test_references_point_at_columns_that_are_there():
    made = dict(tables())
    for name, table in made.items():
        for column in table.columns:
            if (found := reference(name, column)) is not None:
                assert found[1] in {one.name for one in made[found[0]].columns}
    assert {found[0] for found in REFERENCES.values()} <= set(made)


@pytest.mark.reads(sessions=3)
def test_databases_say_what_columns_hold(reading, destination):
    if destination == "sqlite":
        pytest.skip("it has no comments")
    load("tags")
    query = {
        "postgres": "SELECT col_description('tags'::regclass, ordinal_position) FROM information_schema.columns "
        "WHERE table_name = 'tags' AND column_name = 'loaded_at'",
        "mysql": "SELECT column_comment FROM information_schema.columns WHERE table_schema = DATABASE() "
        "AND table_name = 'tags' AND column_name = 'loaded_at'",
        "duckdb": "SELECT comment FROM duckdb_columns() WHERE table_name = 'tags' AND column_name = 'loaded_at'",
    }
    with Database("warehouse") as database, database.transaction() as cursor:
        ((comment,),) = database.ask(cursor, query[database.dialect.name])
    assert "incremental models" in comment
