"""A load onto the tables of an older release: what is missing is added, filled and told, once."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.sql.dialects import Kinds
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.tables import CHILDREN, PARTS, child_table, table
from tests.loading import Table, load, truth

BEFORE: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "columns_of_2026_11_20.json").read_text())
"""The columns of tables as they were on 2026-11-20, with what they hold."""
LOADS = ("destination", "source", "resource", "filter_digest", "filters", "watermark", "settled_on", "loaded_at",
         "locked_by", "staging")  # fmt: skip
MOVING = {"read_at", "loaded_at", "payload"}


def make_older(database: Database, name: str, columns: dict[str, str], key: tuple[str, ...], source: str) -> None:
    """Make a table as the older release did, with the rows of one that was loaded now."""
    dialect = database.dialect
    short = "VARCHAR(190)" if dialect.name == "mysql" else dialect.kinds[Kinds.TEXT]
    lines = [
        f"{dialect.quote(column)} {short if column in key and kind == 'TEXT' else dialect.kinds[Kinds[kind]]}"
        for column, kind in columns.items()
    ]
    listed = ", ".join(map(dialect.quote, columns))
    with database.transaction() as cursor:
        keyed = ", ".join(map(dialect.quote, key))
        cursor.execute(f"CREATE TABLE {name} ({', '.join(lines)}, PRIMARY KEY ({keyed})){dialect.table_options}")
        if source:
            cursor.execute(f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {source}")


def everything(name: str, columns: list[str]) -> dict[str, Any]:
    rows = Table(name).rows(", ".join(columns))
    return {row.id: [float(value) if hasattr(value, "as_tuple") else value for value in vars(row).values()]
            for row in rows}  # fmt: skip


@pytest.mark.reads(sessions=8)
def test_tables_of_an_older_release_get_what_they_lack(reading, destination, caplog, monkeypatch):
    resources = ("sessions", "contacts", "panels")
    for resource in resources:
        load(resource, table=f"fresh_{resource}")
    with Database("warehouse") as database:
        with database.transaction() as cursor:
            cursor.execute("DROP TABLE wtschat_loads")
            cursor.execute("DROP TABLE wtschat_parents")
        parents = dict.fromkeys(("destination", "source", "resource", "parent_id", "version"), "TEXT")
        make_older(database, "wtschat_parents", parents, tuple(parents)[:-1], "")
        make_older(database, "wtschat_loads", {**dict.fromkeys(LOADS, "TEXT"), "locked_until": "NUMBER"}, LOADS[:4], "")
        for resource in resources:
            make_older(database, resource, BEFORE[resource], ("id",), f"fresh_{resource}")
        make_older(database, "panels_steps", BEFORE["panel_steps"], ("id",), "fresh_panels_steps")
        versions = {name: kind for name, kind in BEFORE["sessions"].items() if name != "deleted_at"}
        make_older(database, "sessions_history", versions, ("id", "updated_at", "hash"), "fresh_sessions")
    reading.world.clock.advance(2)
    changed = next(iter(truth(reading)))
    reading.world.change_session(changed, title="Outro")

    caplog.set_level(logging.INFO)
    for resource in resources:
        load(resource, history=resource == "sessions")
        # The same account, loaded anew.
        load(resource, table=f"anew_{resource}")
        made = {resource: table(resource)}
        made |= {f"{resource}_{field}": table(part) for part, field in PARTS.get(resource, {}).items()}
        made |= {f"{resource}_{child.name}": child_table(resource, child) for child in CHILDREN.get(resource, ())}
        for name, one in made.items():
            columns = [column.name for column in one.stored]
            assert Table(name).columns() == set(columns)
            compared = [column for column in columns if column not in MOVING]
            assert everything(name, compared) == everything(f"anew_{name}", compared), name
            with Database("warehouse") as database, database.transaction() as cursor:
                if database.dialect.indexed:
                    assert database.dialect.indexed_columns(cursor, name) >= {"id", *one.indexes}
                # What a column of a key and of JSON holds cannot be said later in MariaDB.
                assert database.dialect.uncommented(cursor, name) <= {"id", "payload"}
    assert any(record.getMessage().startswith("Indexing created_at of sessions") for record in caplog.records) == (
        destination != "duckdb"
    )
    # Older versions keep what they had; their payloads have the rest.
    old = Table("sessions_history").rows("id, time_wait_seconds, account", f"WHERE id <> '{changed}'")
    assert {row.account for row in old} == {None}
    assert len(Table("sessions_history").rows("id")) == 9
    assert len(Table("sessions_periods").rows("id")) == 9

    def again(*_: Any) -> None:
        pytest.fail("it is done once")

    monkeypatch.setattr(Database, "describe", again)
    for resource in resources:
        load(resource, history=resource == "sessions")


@pytest.mark.reads(sessions=3)
def test_indexes_and_comments_of_yours_stay_and_none_is_forced(reading, destination, caplog):
    if destination in ("duckdb", "sqlite"):
        pytest.skip("it has no comments, or no indexes")
    load()
    with Database("warehouse") as database, database.transaction() as cursor:
        kind = database.dialect.kinds[Kinds.INSTANT]
        cursor.execute(
            "COMMENT ON COLUMN sessions.created_at IS 'ours'" if destination == "postgres"
            else f"ALTER TABLE sessions MODIFY created_at {kind} COMMENT 'ours'"
        )  # fmt: skip
        cursor.execute(
            "DROP INDEX sessions_updated_at"
            if destination == "postgres"
            else "DROP INDEX sessions_updated_at ON sessions"
        )
        cursor.execute("CREATE INDEX own_index ON sessions (updated_at)")
        cursor.execute("UPDATE wtschat_loads SET described = NULL")
    load()
    with Database("warehouse") as database, database.transaction() as cursor:
        query = {
            "postgres": "SELECT count(*) FROM pg_indexes WHERE tablename = 'sessions'",
            "mysql": "SELECT count(DISTINCT index_name) FROM information_schema.statistics "
            "WHERE table_schema = DATABASE() AND table_name = 'sessions'",
        }[database.dialect.name]
        assert database.ask(cursor, query) == [(1 + len(table("sessions").indexes),)]
        said = {
            "postgres": "SELECT count(*) FROM pg_description WHERE description = 'ours'",
            "mysql": "SELECT count(*) FROM information_schema.columns WHERE table_schema = DATABASE() "
            "AND column_comment = 'ours'",
        }[database.dialect.name]
        assert database.ask(cursor, said) == [(1,)]
