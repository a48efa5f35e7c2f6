from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.api import contacts, custom_fields, panels
from airflow_provider_wtschat.api.types import CustomField, CustomFieldType
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

SAMPLES = Path(__file__).parent / "samples"
BRASILIA = timezone(timedelta(hours=-3))
OPTIONS = [{"id": "0b1c2d3e-0000-4000-8000-000000000001", "name": "Gold"}, {"name": "Silver"}, {"name": "None"}]
DEFINITIONS: list[CustomField] = [
    {"key": kind.value.lower(), "name": f"A {kind.value}", "type": kind.value, "options": OPTIONS}
    for kind in CustomFieldType
]
"""One field of every type; its key is the type in small letters."""


@pytest.mark.parametrize(
    ("key", "value", "sent"),
    [
        ("string", "Maria", "Maria"),
        ("string", 7, "7"),
        ("string", Decimal("7.50"), "7.50"),
        ("text", date(2026, 9, 1), "2026-09-01"),
        ("integer", 7, 7),
        ("integer", "7", 7),
        ("integer", Decimal(7), 7),
        ("integer", 0, 0),
        ("float", "7.5", 7.5),
        ("float", Decimal("7.5"), 7.5),
        ("boolean", False, False),
        ("boolean", "yes", True),
        ("date", date(2026, 9, 1), "2026-09-01"),
        ("date", "2026-09-01", "2026-09-01"),
        ("date", pendulum.datetime(2026, 9, 1, tz="America/Sao_Paulo"), "2026-09-01"),
        ("date", "2026-09-01T00:00:00Z", "2026-09-01"),
        ("time", time(8, 30), "08:30:00"),
        ("time", "08:30", "08:30:00"),
        ("datetime", "2026-09-01 08:30", "2026-09-01T11:30:00.000000Z"),
        ("datetime", datetime(2026, 9, 1, 8, 30, tzinfo=UTC), "2026-09-01T08:30:00.000000Z"),
        ("singleselect", "Gold", "Gold"),
        ("singleselect", "0b1c2d3e-0000-4000-8000-000000000001", "Gold"),
        ("singleselect", "None", "None"),
        ("multiselect", ["Gold", "Silver", "Gold"], ["Gold", "Silver"]),
        ("multiselect", "['Gold', 'Silver']", ["Gold", "Silver"]),
        ("multiselect", "Gold", ["Gold"]),
        ("multiselect", [], []),
        *((kind.value.lower(), None, None) for kind in CustomFieldType if kind is not CustomFieldType.GROUP),
    ],
)
def test_values_are_written_as_their_field_takes_them(key, value, sent):
    encoded = custom_fields.encode(DEFINITIONS, {key: value}, timezone="America/Sao_Paulo")
    assert encoded == {key: sent}
    assert type(encoded[key]) is type(sent)


@pytest.mark.parametrize("key", ["string", "integer", "float", "boolean", "date", "time", "datetime", "singleselect"])
def test_a_list_of_one_as_the_api_sends_it_can_be_written_back(key):
    value = {"integer": 1, "float": 1.5, "boolean": True, "date": "2026-09-01", "time": "08:30:00",
             "datetime": "2026-09-01T08:30:00.000000Z", "singleselect": "Gold"}.get(key, "x")  # fmt: skip
    assert custom_fields.encode(DEFINITIONS, {key: [value]}) == {key: value}


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("strin", "x", "string (A STRING), text (A TEXT)"),
        ("A STRING", "x", "string (A STRING)"),
        ("group", "x", "string (A STRING)"),
        ("string", "None", "render to nothing"),
        ("string", True, "a text"),
        ("integer", True, "a number"),
        ("integer", 7.5, "a whole number"),
        ("integer", "", "a number"),
        ("float", float("nan"), "a number"),
        ("boolean", "maybe", "true or false"),
        ("date", "31/02/2026", "a date"),
        ("date", datetime(2026, 9, 1, 23, 0), "without a time of day"),
        ("date", 20260901, "a date"),
        ("time", "25:00", "a time of day"),
        ("time", time(8, 30, tzinfo=BRASILIA), "without a zone"),
        ("datetime", "tomorrow", "no date"),
        ("singleselect", "gold", "'Gold', 'Silver', 'None'"),
        ("singleselect", ["Gold", "Silver"], "'Gold', 'Silver', 'None'"),
        ("multiselect", ["Gold", "Bronze"], "'Gold', 'Silver', 'None'"),
    ],
)
def test_what_the_api_would_ignore_is_refused_with_the_candidates(key, value, shown):
    with pytest.raises(WtsChatArgumentError) as refusal:
        custom_fields.encode(DEFINITIONS, {key: value})
    assert shown in str(refusal.value)
    assert "custom_fields" in str(refusal.value)


@pytest.mark.parametrize("timezone", ["UTC", "America/Sao_Paulo"])
@pytest.mark.parametrize(
    ("key", "came", "sent"),
    [
        ("date", ["2006/03/01"], "2006-03-01"),
        ("date", "2006/03/01", "2006-03-01"),
        ("date", "2026-07-08T12:00:00.0000000", "2026-07-08"),
        ("date", ["2026-07-08T12:00:00.0000000Z"], "2026-07-08"),
        ("datetime", "2026-07-08T12:00:00.0000000", "2026-07-08T12:00:00.000000Z"),
        ("datetime", ["2026-07-08T12:00:00.00977620"], "2026-07-08T12:00:00.009776Z"),
        ("datetime", "2026-07-08T12:00:00Z", "2026-07-08T12:00:00.000000Z"),
    ],
)
def test_dates_as_the_api_sends_them_are_written_back(key, came, sent, timezone):
    assert custom_fields.encode(DEFINITIONS, {key: came}, timezone=timezone) == {key: sent}
    read = custom_fields.decode(DEFINITIONS, {key: came})
    assert isinstance(read[key], date)
    assert custom_fields.encode(DEFINITIONS, read, timezone=timezone) == {key: sent}


def test_fields_inside_groups_are_found():
    nested: list[CustomField] = [{"key": "g", "type": "GROUP", "children": [{"key": "age", "type": "INTEGER"}]}]
    assert custom_fields.encode(nested, {"age": "41"}) == {"age": 41}
    with pytest.raises(WtsChatArgumentError, match="age"):
        custom_fields.encode(nested, {"g": 1})


def test_a_range_takes_a_value_for_each_end():
    field: list[CustomField] = [{"key": "stay", "type": "DATE", "isValueRange": True}]
    sent = custom_fields.encode(field, {"stay": [date(2026, 9, 1), "2026-09-03"]})
    assert sent == {"stay": ["2026-09-01", "2026-09-03"]}
    assert custom_fields.decode(field, sent) == {"stay": [date(2026, 9, 1), date(2026, 9, 3)]}


def test_a_type_that_is_not_known_yet_is_left_to_the_api():
    assert custom_fields.encode([{"key": "k", "type": "COLOUR"}], {"k": ["red"]}) == {"k": ["red"]}
    assert custom_fields.decode([{"key": "k", "type": "COLOUR"}], {"k": "red"}) == {"k": "red"}


@pytest.mark.parametrize(
    ("key", "came", "value"),
    [
        ("string", ["Maria"], "Maria"),
        ("integer", ["7"], 7),
        ("integer", 7.0, 7),
        ("float", "7.5", 7.5),
        ("boolean", "True", True),
        ("date", "2026-09-01T00:00:00Z", date(2026, 9, 1)),
        ("date", ["2026-09-01"], date(2026, 9, 1)),
        ("time", "08:30", time(8, 30)),
        ("datetime", "2026-09-01T08:30:00.00977620", datetime(2026, 9, 1, 8, 30, 0, 9776, tzinfo=UTC)),
        ("singleselect", ["Gold"], "Gold"),
        ("multiselect", ["Gold"], ["Gold"]),
        ("multiselect", "Gold", ["Gold"]),
        ("integer", "many", "many"),
        ("date", 5, 5),
        ("string", None, None),
        ("unknown", ["x"], ["x"]),
    ],
)
def test_values_are_read_as_what_they_are_and_never_break_a_reader(key, came, value):
    assert custom_fields.decode(DEFINITIONS, {key: came}) == {key: value}


def test_samples_of_the_api_go_out_as_they_came():
    definitions = json.loads((SAMPLES / "panel_custom_fields.json").read_text())
    values = json.loads((SAMPLES / "card_v2_with_custom_fields.json").read_text())["customFields"]
    assert custom_fields.encode(definitions, custom_fields.decode(definitions, values)) == values


def test_nothing_given_stays_nothing():
    assert custom_fields.encode(DEFINITIONS, None) is None
    assert custom_fields.decode(DEFINITIONS, None) == {}


PYTHON_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "date": st.dates(),
    "time": st.times().map(lambda moment: moment.replace(microsecond=0)),
    "datetime": st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)),
    "singleselect": st.sampled_from(["Gold", "Silver"]),
    "multiselect": st.lists(st.sampled_from(["Gold", "Silver"]), unique=True),
}


@given(st.fixed_dictionaries({}, optional=PYTHON_VALUES))
def test_what_is_written_reads_back_as_the_same_value(values):
    encoded = custom_fields.encode(DEFINITIONS, values)
    assert json.loads(json.dumps(encoded)) == encoded
    assert custom_fields.decode(DEFINITIONS, encoded) == values
    # What went through the definitions can be given to a request.
    assert custom_fields.encode(None, encoded) == encoded


def test_requests_take_values_in_their_json_form_without_definitions():
    values = {"day": date(2026, 9, 1), "limit": Decimal("10.5"), "tags": ("a", "b"), "none": None, "on": False}
    sent = {"day": "2026-09-01", "limit": 10.5, "tags": ["a", "b"], "none": None, "on": False}
    card = panels.create_card(step_id="0b1c2d3e-0000-4000-8000-000000000002", title="x", custom_fields=values)
    assert card.body["customFields"] == sent
    assert contacts.create(name="x", custom_fields=values).body["customFields"] == sent
    for nonsense in ({"k": "None"}, {"k": " "}, {"k": object()}, {"k": float("inf")}, ["k"]):
        with pytest.raises(WtsChatArgumentError, match="custom_fields"):
            contacts.create(name="x", custom_fields=nonsense)
