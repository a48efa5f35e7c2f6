"""Lists inside of rows, and values deep inside of them, as tables and columns of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.warehouse.merging import create_sql, mark_sql, merge_sql
from airflow_provider_wtschat.warehouse.rows import Shaper, Splitter, Tally, seconds
from airflow_provider_wtschat.warehouse.storage import named_parts
from airflow_provider_wtschat.warehouse.tables import CHILDREN, child_table, table
from tests.loading import Table, execute, load, truth


def tagged(simulator: Simulator) -> dict[str, set[str]]:
    return {contact.id: set(contact.tag_ids) for contact in simulator.world.contacts if contact.tag_ids}


def change(simulator: Simulator, contact_id: str, **values: Any) -> None:
    """Change a contact as an agent would."""
    world = simulator.world
    with world.lock:
        world.clock.advance(2)
        contact: Any = world.contacts.get(contact_id)
        world.contacts.put(replace(contact, seq=world.next_seq(), updated=world.now(), **values))


def stored(name: str = "contacts_tags", column: str = "tag_id") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in Table(name).rows(f"contact_id, {column}", "WHERE missing_since IS NULL"):
        found.setdefault(row.contact_id, set()).add(getattr(row, column))
    return found


def test_tags_of_contacts_follow_the_account(reading, destination):
    tags = [tag.id for tag in reading.world.tags][:3]
    one, two, three = [contact.id for contact in reading.world.contacts][:3]
    change(reading, one, tag_ids=tuple(tags))
    change(reading, two, tag_ids=tuple(tags[:1]), custom_fields={"cpf": ["1"], "valor": 2, "leer": None})
    load("contacts")
    assert stored() == tagged(reading)
    assert stored("contacts_custom_fields", "value")[two] == {"1", "2"}
    before = Table("contacts_tags").loaded()

    # Another change of the contact is none of its tags.
    change(reading, two, name="Outra")
    load("contacts")
    assert Table("contacts_tags").loaded() == before

    change(reading, one, tag_ids=tuple(tags[1:]))
    change(reading, two, tag_ids=())
    change(reading, three, tag_ids=tuple(tags[2:]))
    load("contacts")
    assert stored() == tagged(reading)
    after = Table("contacts_tags").loaded()
    assert sum(after[row] != before.get(row) for row in after) == 3
    change(reading, two, tag_ids=tuple(tags[:1]))
    load("contacts")
    assert stored() == tagged(reading)
    load("contacts", overlap="200000000")
    assert stored() == tagged(reading)


def test_tables_of_lists_that_are_new_beside_a_table_are_filled(reading, destination):
    tags = [tag.id for tag in reading.world.tags][:2]
    change(reading, next(iter(reading.world.contacts)).id, tag_ids=tuple(tags))
    load("contacts")
    execute("DROP TABLE contacts_tags")
    execute("DELETE FROM wtschat_loads WHERE source = ''")
    figures = load("contacts", overlap=0)
    assert figures["rows"] < len(list(reading.world.contacts))
    assert stored() == tagged(reading)
    assert {row.account for row in Table("contacts_tags").rows("account")} == {
        row.account for row in Table("contacts").rows("account")
    }


def test_lists_of_what_is_gone_are_gone(reading, plain_destination):
    tags = [tag.id for tag in reading.world.tags][:2]
    one = next(iter(reading.world.contacts)).id
    change(reading, one, tag_ids=tuple(tags))
    load("contacts")
    reading.world.contacts.delete(one)
    found = WtsChatReconcileOperator(
        task_id="compare", resource="contacts", table="contacts", sql_conn_id="warehouse"
    ).execute({})
    assert found["deleted"] == 1
    assert stored() == tagged(reading)


def copied(folder: str, resource: str, duckdb: Any) -> None:
    """Copy a resource as Parquet, and merge what came with the statements that are printed."""
    copy = WtsChatToObjectStorageOperator(
        task_id="copy", resource=resource, path=folder, file_format="parquet", workers=4
    )
    names = [manifest.rpartition("/")[2] for manifest in copy.execute({})["manifests"]]
    told = [json.loads((Path(folder.removeprefix("file://")) / "_manifests" / name).read_text()) for name in names]
    lists = {name for manifest in told for name in manifest["children"]}
    for name in ("", *sorted(lists)):
        named = f"{resource}_{name}" if name else resource
        duckdb.execute(create_sql("duckdb", named, f"lake_{named}"))
        parts = [part["name"] for manifest in told
                 for part in (manifest["children"][name] if name else manifest["parts"])]  # fmt: skip
        if parts:
            listed = ", ".join(f"'{folder.removeprefix('file://')}/{part}'" for part in parts)
            duckdb.execute(merge_sql("duckdb", named, target=f"lake_{named}", source=f"read_parquet([{listed}])"))
    for name in lists:
        duckdb.execute(
            mark_sql("duckdb", f"{resource}_{name}", target=f"lake_{resource}_{name}", parents=f"lake_{resource}")
        )


def test_lists_in_a_lake_are_those_of_a_load(reading, tmp_path):
    """Copied as Parquet and merged, after every change the lists are what a load into a database has."""
    duckdb = pytest.importorskip("duckdb").connect()
    duckdb.execute("SET TimeZone = 'America/Sao_Paulo'")
    folder = f"file://{tmp_path}/contacts"
    tags = [tag.id for tag in reading.world.tags][:3]
    one, two, three = [contact.id for contact in reading.world.contacts][:3]

    def there() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        query = "SELECT contact_id, tag_id FROM lake_contacts_tags WHERE missing_since IS NULL"
        for contact, tag in duckdb.execute(query).fetchall():
            found.setdefault(contact, set()).add(tag)
        return found

    def moments() -> dict[str, Any]:
        return dict(duckdb.execute("SELECT id, loaded_at FROM lake_contacts_tags").fetchall())

    for changes in (
        {one: tags, two: tags[:1]}, {one: tags[1:], two: []}, {three: tags[2:]}, {two: tags[:1]}, {},
    ):  # fmt: skip
        for contact, chosen in changes.items():
            change(reading, contact, tag_ids=tuple(chosen))
        reading.world.clock.advance(2)
        copied(folder, "contacts", duckdb)
        assert there() == tagged(reading)
    before = moments()
    change(reading, one, name="Outra")
    copied(folder, "contacts", duckdb)
    assert moments() == before, "another change of the contact is none of its tags"
    updated = dict(duckdb.execute("SELECT id, updated_at FROM lake_contacts").fetchall())
    assert {row: instants.write(at.replace(tzinfo=UTC)) for row, at in updated.items()} == truth(reading, "contacts")

    # The same from the parts alone: those that were read with the newest version of their contact.
    parts = {child: [part.removeprefix("file://") for part in named_parts(folder, child=child)]
             for child in (None, "tags")}  # fmt: skip
    newest = "QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated_at DESC, read_at DESC) = 1"
    rows = duckdb.execute(
        f"SELECT DISTINCT t.contact_id, t.tag_id FROM read_parquet({parts['tags']}) t "
        f"JOIN (SELECT id, updated_at, read_at FROM read_parquet({parts[None]}) {newest}) c "
        "ON c.id = t.contact_id AND c.updated_at = t.updated_at AND c.read_at = t.read_at"
    ).fetchall()
    assert set(rows) == {(contact, tag) for contact, found in tagged(reading).items() for tag in found}


@pytest.mark.reads(sessions=3)
def test_members_and_steps_in_a_lake_are_gone_with_the_next_copy(reading, tmp_path):
    duckdb = pytest.importorskip("duckdb").connect()
    panel = next(iter(reading.world.panels))
    copied(f"file://{tmp_path}/panels", "panels", duckdb)
    copied(f"file://{tmp_path}/departments", "departments", duckdb)
    *kept, removed = panel["_steps"]
    world = reading.world
    with world.lock:
        world.clock.advance(2)
        world.change(world.panels, panel, _steps=tuple(kept))
    copied(f"file://{tmp_path}/panels", "panels", duckdb)
    gone = duckdb.execute("SELECT id FROM lake_panels_steps WHERE missing_since IS NOT NULL").fetchall()
    assert gone == [(removed.id,)]
    assert duckdb.execute("SELECT count(*) FROM lake_departments_agents WHERE missing_since IS NULL").fetchone()[0]


@pytest.mark.reads(sessions=5)
def test_members_of_departments_are_those_of_the_account(reading, destination):
    load("agents")
    load("departments")
    told = {
        (agent["id"], one["departmentId"]) for agent in Table("agents").payloads() for one in agent["departments"] or ()
    }
    rows = Table("agents_departments").rows("agent_id, department_id")
    assert {(row.agent_id, row.department_id) for row in rows} == told != set()
    for name, column, field in (("agents", "user_id", "userId"), ("channels", "channel_id", "id")):
        told = {(one["id"], each[field]) for one in Table("departments").payloads() for each in one[name] or ()}
        rows = Table(f"departments_{name}").rows(f"department_id, {column}")
        assert {(row.department_id, getattr(row, column)) for row in rows} == told
    gone = reading.world.departments.delete(next(iter(reading.world.departments)).id)
    load("departments")
    rows = Table("departments_agents").rows("department_id, missing_since")
    assert {row.department_id for row in rows if row.missing_since} <= {gone.id}


ROW = {"id": "a", "createdAt": "2026-01-01T00:00:00.000000Z", "updatedAt": "2026-01-02T00:00:00.000000Z"}
FILES = {
    **ROW, "fileId": "f1", "filesIds": ["f2", "f1"],
    "details": {
        "file": {"id": "f1", "name": "a.pdf", "type": "DOCUMENT", "mimeType": "application/pdf", "size": 7,
                 "publicUrl": "https://files.example/a.pdf"},
        "files": None, "errors": [{"key": "131049", "text": "Not delivered"}], "utm": {"campaign": "natal"},
        "transcription": {"text": "Oi"}, "templateCategoryName": "MARKETING",
    },
}  # fmt: skip


def named(made: Any, columns: Any) -> list[dict[str, Any]]:
    return [dict(zip([column.name for column in columns], row, strict=True)) for row in made]


def test_values_deep_inside_of_a_message_are_columns():
    from datetime import UTC, datetime

    made = Shaper(table("messages"), Tally()).shape([FILES], datetime(2026, 1, 3, tzinfo=UTC))
    (row,) = named(made, table("messages").loaded)
    told = {
        "utm_campaign": "natal", "transcription": "Oi", "template_category_name": "MARKETING", "error_key": "131049",
        "error_text": "Not delivered", "file_name": "a.pdf", "file_type": "DOCUMENT", "file_size": 7,
        "file_mime_type": "application/pdf", "file_url": "https://files.example/a.pdf", "file_id": "f1",
    }  # fmt: skip
    assert {name: row[name] for name in told} == told


def test_files_of_a_message_are_rows():
    (child,) = CHILDREN["messages"]
    made = child_table("messages", child)
    rows = named(Splitter(made, Tally(), "shop").split(FILES, "2026-01-03T00:00:00.000000Z"), made.loaded)
    assert [(row["message_id"], row["file_id"], row["name"], row["size"]) for row in rows] == [
        ("a", "f2", None, None),
        ("a", "f1", "a.pdf", 7),
    ]
    assert json.loads(rows[1]["payload"])["url"] == "https://files.example/a.pdf"
    again = Splitter(made, Tally(), "shop").split({**FILES, "updatedAt": "2027"}, "2027")
    assert [row["hash"] for row in named(again, made.loaded)] == [row["hash"] for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:12:30", 750),
        ("1.02:00:01", 93_601),
        ("100:00:00", 360_000),
        ("00:00:01.5", 1),
        (None, None),
        ("soon", None),
    ],
)
def test_durations_are_read_in_seconds(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_personal_data_is_in_no_list(mode, reading, plain_destination, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_PEPPER", '{"conn_type": "generic", "password": "a long and random key"}')
    change(reading, next(iter(reading.world.contacts)).id, custom_fields={"cpf": "Bernadete"})
    load("contacts", personal_data=mode, personal_data_conn_id="pepper")
    assert Table("contacts_custom_fields").rows("id") == []
