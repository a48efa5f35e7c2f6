"""Personal data: every text of the contract has a class, and what is taken out is nowhere."""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin, is_typeddict

import pytest

from airflow_provider_wtschat.api import types
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse import personal
from airflow_provider_wtschat.warehouse.personal import Class, Mode, editor, hashed
from airflow_provider_wtschat.warehouse.tables import fields

KEY = b"0123456789abcdef"


@pytest.mark.parametrize("row", personal.contract(), ids=lambda row: row.__name__)
def test_every_text_of_the_contract_has_one_class(row):
    texts = {name for name, kind in fields(row).items() if personal.is_text(kind)}
    named = [name for names in personal._CLASSES.get(row.__name__, {}).values() for name in names.split()]
    assert set(personal.classes(row)) == texts
    assert len(named) == len(set(named))


def test_classes_are_of_types_that_are_there():
    assert set(personal._CLASSES) <= {row.__name__ for row in personal.contract()}


def filled(kind: Any, depth: int = 0) -> Any:
    """Make a value with a secret in every text."""
    if is_typeddict(kind):
        return {name: filled(inner, depth + 1) for name, inner in fields(kind).items()} if depth < 5 else None
    if get_origin(kind) is list:
        return [filled(get_args(kind)[0], depth)]
    if get_origin(kind) is dict:
        return {"cpf": "12345678909"}
    return {str: "Maria maria@example.com 11900000001", int: 1, float: 1.5, bool: True}.get(
        kind, "2026-01-01T00:00:00Z" if kind == types.Instant else "0811c639-2f0e-4891-9fd5-f709501b006a"
    )


@pytest.mark.parametrize("mode", [Mode.HASH, Mode.DROP])
@pytest.mark.parametrize("resource", RESOURCES)
def test_nothing_that_is_classed_stays(resource, mode):
    row = RESOURCES[resource].row
    edit = editor(row, mode, KEY)
    edited = edit({**filled(row), "novo": "Maria", "outro": {"name": "Maria"}})
    assert "novo" not in edited
    assert "outro" not in edited
    left = found(row, edited)
    assert all(kind is Class.OPEN for kind, value in left if "Maria" in str(value) or "12345678909" in str(value))


def found(kind: Any, value: Any) -> list[tuple[Class | None, Any]]:
    """Return the texts of a row, each with its class."""
    pairs: list[tuple[Class | None, Any]] = []
    for name, inner in fields(kind).items():
        at = (value or {}).get(name)
        item = get_args(inner)[0] if get_origin(inner) is list else inner
        if is_typeddict(item):
            for one in at if isinstance(at, list) else [at]:
                pairs += found(item, one) if one else []
        else:
            pairs.append((personal.classes(kind).get(name), at))
    return pairs


def test_hash_joins_every_spelling_and_differs_by_key():
    edit = editor(types.Contact, Mode.HASH, KEY)
    spellings = ("+55|11900000001", "(11) 90000-0001", "5511900000001")
    assert len({edit({"phoneNumber": spelling})["phoneNumber"] for spelling in spellings}) == 1
    assert edit({"email": " Maria@Example.com"})["email"] == edit({"email": "maria@example.com"})["email"]
    assert edit({"name": "Maria"})["name"] == hashed(KEY, Class.NAME, "Maria")
    assert hashed(b"another", Class.NAME, "Maria") != hashed(KEY, Class.NAME, "Maria")
    # The same number says the same in a session and in a contact.
    session = editor(types.Session, Mode.HASH, KEY)({"contactDetails": {"phonenumber": "+55|11900000001"}})
    assert session["contactDetails"]["phonenumber"] == edit({"phoneNumber": "11 90000-0001"})["phoneNumber"]


def test_ids_statuses_and_figures_stay():
    row = {
        "id": "1", "updatedAt": "2026-01-01", "status": "PENDING", "unreadCount": 3, "contactId": "2", "title": None,
        "classification": {"category": "WON", "amount": 12.5, "categoryDescription": "Maria comprou"},
    }  # fmt: skip
    edited = editor(types.Session, Mode.DROP)(row)
    assert edited == {**row, "classification": {"category": "WON", "amount": 12.5, "categoryDescription": None}}


def test_text_in_place_of_something_else_does_not_slip_through():
    edited = editor(types.Session, Mode.DROP)({"id": "1", "unreadCount": "Maria", "contactDetails": "Maria"})
    assert "Maria" not in json.dumps(edited)


def test_exclude_leaves_out_what_it_names():
    row = {
        "id": "1",
        "title": "a",
        "metadata": {"cpf": "1", "b": 2},
        "contactDetails": {"name": "Maria", "id": "3"},
        "x": 1,
    }
    edit = editor(types.Session, Mode.KEEP, exclude=["title", "metadata.cpf", "contactDetails.name"])
    assert edit(row) == {"id": "1", "metadata": {"b": 2}, "contactDetails": {"id": "3"}, "x": 1}
    assert editor(types.Session, Mode.KEEP) is None


@pytest.mark.parametrize("path", ["titel", "contactDetails.titel", "title.x", "updatedAt", ""])
def test_paths_that_lead_nowhere_are_refused(path):
    with pytest.raises(WtsChatArgumentError, match="exclude"):
        editor(types.Session, Mode.KEEP, exclude=[path])
