"""Rows of tables, made of rows of the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse.rows import Shaper, Tally
from airflow_provider_wtschat.warehouse.tables import PARTS, Kinds, snake, table

READ_AT = datetime(2026, 1, 2, tzinfo=UTC)
ROW = {"id": "1", "createdAt": "2026-01-01T10:00:00Z", "updatedAt": "2026-01-01T11:00:00.123Z"}


def shape(row, resource="sessions"):
    tally = Tally()
    rows = Shaper(table(resource), tally).shape([row], READ_AT)
    names = [column.name for column in table(resource).loaded]
    return (dict(zip(names, rows[0], strict=True)) if rows else None), tally


@pytest.mark.parametrize(
    "text", ["2026-01-01T11:00:00.1230Z", "2026-01-01T11:00:00.12300000", "2026-01-01T11:00:00.123"]
)
def test_spelling_of_an_instant_makes_no_other_version(text):
    one, _ = shape(ROW)
    other, _ = shape({**ROW, "updatedAt": text})
    assert one["hash"] == other["hash"]
    assert other["updated_at"] == "2026-01-01T11:00:00.123000Z"


def test_values_that_do_not_fit_are_in_the_payload_only():
    row, tally = shape({**ROW, "unreadCount": "many", "title": 5, "endAt": "soon", "classification": {"amount": "x"}})
    assert (row["unread_count"], row["title"], row["end_at"], row["classification_amount"]) == (None, None, None, None)
    assert json.loads(row["payload"])["unreadCount"] == "many"
    assert tally.misfits == 4
    assert shape({**ROW, "unreadCount": 2**63, "classification": []})[1].misfits == 1


@pytest.mark.parametrize(
    "row",
    [{**ROW, "id": None}, {**ROW, "id": ""}, {**ROW, "id": "x" * 65}, {"id": "1"}, {**ROW, "updatedAt": "soon"}, None,
     "x", {**ROW, "title": float("nan")}],
)  # fmt: skip
def test_rows_that_cannot_be_stored_are_counted(row):
    shaped, tally = shape(row)
    assert shaped is None
    assert tally.rejected == 1


def test_creation_stands_in_for_a_missing_change():
    assert shape({**ROW, "updatedAt": None})[0]["updated_at"] == "2026-01-01T10:00:00.000000Z"


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.text(st.characters()), st.lists)))
def test_characters_that_databases_refuse_are_replaced(metadata):
    row, tally = shape({**ROW, "metadata": metadata, "title": "a\0b\ud800c"})
    assert row["title"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert tally.cleaned == 1
    row["payload"].encode()
    assert "\\u0000" not in row["payload"].replace("\\\\", "")


@pytest.mark.parametrize("resource", [*RESOURCES, *(part for parts in PARTS.values() for part in parts)])
def test_columns_have_names_of_their_own(resource):
    names = [column.name for column in table(resource).stored]
    assert len(names) == len(set(names))
    kinds = {column.name: column.kind for column in table(resource).columns}
    assert (kinds["id"], kinds["updated_at"]) == (Kinds.ID, Kinds.INSTANT)


def test_names():
    assert [snake(name) for name in ("createdAt", "lastMessageIn", "id", "isFromPublicApi")] == [
        "created_at", "last_message_in", "id", "is_from_public_api",
    ]  # fmt: skip
