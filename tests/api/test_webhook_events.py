"""Events are read whatever comes, and nothing personal is kept of them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.api.webhook_events import UNKNOWN, WebhookEvent
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

SAMPLE = (Path(__file__).parent / "samples" / "webhook_contact_update_documented.json").read_bytes()
ID = "00000000-0000-4000-8000-0000000000a1"
OTHER = "00000000-0000-4000-8000-0000000000a2"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(ID),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["id", "sessionId", "content", "status"]), inner)
    ),
    max_leaves=20,
)


def event(kind: Any, content: Any, **more: Any) -> WebhookEvent:
    return WebhookEvent.parse(json.dumps({"eventType": kind, "content": content, **more}).encode())


def test_the_documented_sample():
    read = WebhookEvent.parse(SAMPLE)
    assert read.type == "CONTACT_UPDATE"
    assert read.ids == {"contact_id": "00000000-0000-4000-8000-000000000055"}
    assert read.status == "ACTIVE"
    assert read.moment == datetime(2023, 8, 23, 16, 42, 35, 435993, UTC)
    assert set(read.instants) == {"created_at", "updated_at"}
    kept = json.dumps(read.reference())
    assert [word for word in ("Nome", "exemplo", "00000000000", "+55") if word in kept] == []
    assert WebhookEvent.from_reference(read.reference(), read.digest) == read


@pytest.mark.parametrize(
    ("kind", "content", "ids"),
    [
        ("SESSION_NEW", {"id": ID, "contactId": OTHER}, {"session_id": ID, "contact_id": OTHER}),
        ("MESSAGE_RECEIVED", {"id": ID, "sessionId": OTHER}, {"message_id": ID, "session_id": OTHER}),
        ("PANEL_CARD_STEP_CHANGE", {"id": ID, "panelId": OTHER}, {"card_id": ID, "panel_id": OTHER}),
        ("PANEL_CARD_NOTE_NEW", {"id": ID, "cardId": OTHER}, {"note_id": ID, "card_id": OTHER}),
        ("MESSAGE_SENT", {"id": ID, "session": {"id": OTHER}}, {"message_id": ID, "session_id": OTHER}),
        (
            "SESSION_UPDATE",
            {"contactDetails": {"id": OTHER.upper()}, "id": ID},
            {"session_id": ID, "contact_id": OTHER},
        ),
        ("SOMETHING_NEW", {"id": ID}, {"id": ID}),
        ("CONTACT_NEW", {"id": "+55|11900000001", "userId": "Maria"}, {}),
    ],
)
def test_ids_by_what_they_are_of(kind: str, content: dict[str, Any], ids: dict[str, str]):
    assert event(kind, content).ids == ids


@pytest.mark.parametrize("kind", [None, 7, "", "Maria da Silva", "A" * 65, ["SESSION_NEW"]])
def test_a_type_that_is_none_is_not_kept(kind: Any):
    assert event(kind, {"id": ID}).type == UNKNOWN


def test_the_outcome_of_one_message_has_no_envelope():
    read = WebhookEvent.parse(json.dumps({"id": ID, "status": "DELIVERED", "sessionId": OTHER}).encode())
    assert (read.type, read.status, set(read.ids.values())) == (UNKNOWN, "DELIVERED", {ID, OTHER})


def test_a_redelivery_has_the_same_digest_and_another_event_has_not():
    one = WebhookEvent.parse(SAMPLE)
    again = WebhookEvent.parse(json.dumps(dict(reversed(json.loads(SAMPLE).items()))).encode())
    other = WebhookEvent.parse(SAMPLE.replace(b"Nome Exemplo", b"Outro Nome"))
    assert again.digest == one.digest != other.digest
    assert other.reference() == one.reference()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b'"text"', b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000, b"1" * 5000, b"<html>"],
)
def test_what_is_no_object_is_refused_without_showing_it(body: bytes):
    with pytest.raises(WtsChatArgumentError) as refused:
        WebhookEvent.parse(body)
    assert refused.value.argument == "body"
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(["eventType", "date", "content"]), JSON))
def test_any_object_is_an_event(value: dict[str, Any]):
    read = WebhookEvent.parse(json.dumps(value).encode())
    assert WebhookEvent.from_reference(json.loads(json.dumps(read.reference())), read.digest) == read
    assert len(read.ids) <= 20


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes):
    with suppress(WtsChatArgumentError):
        WebhookEvent.parse(body)
