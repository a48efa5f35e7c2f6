from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_wtschat.api import panels
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

ID = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    ("given", "changed", "mask"),
    [
        ({"step_id": OTHER}, {"stepId": OTHER}, ["StepId"]),
        ({"monetary_amount": 0}, {"monetaryAmount": 0}, ["MonetaryAmount"]),
        ({"monetary_amount": Decimal("10.50")}, {"monetaryAmount": 10.5}, ["MonetaryAmount"]),
        ({"position": 0}, {"position": 0}, ["Position"]),
        ({"status": "won"}, {"status": "WON"}, ["Status"]),
        ({"status": "LOST", "lost_reason_id": OTHER}, {"status": "LOST", "lostReasonId": OTHER}, ["Status"]),
        ({"archived": True}, {"status": "ARCHIVED"}, ["Status"]),
        ({"archived": "False"}, {"status": "OPEN"}, ["Status", "Archived"]),
        ({"archived": False, "status": "WON"}, {"status": "WON"}, ["Status", "Archived"]),
        ({"tag_names": ["Urgent"], "upsert_tag_operation": "InsertIfNotExists"},
         {"tagNames": ["Urgent"], "options": {"upsertTagOperation": "InsertIfNotExists"}}, ["TagIds"]),
        ({"contact_ids": []}, {"contactIds": []}, ["ContactIds"]),
        ({"custom_fields": {"a": None}}, {"customFields": {"a": None}}, ["CustomFields"]),
        ({"due_date": "2026-09-01", "timezone": "America/Sao_Paulo"},
         {"dueDate": "2026-09-01T03:00:00.000000Z"}, ["DueDate"]),
        ({"clear": ["monetary_amount", "due_date"]}, {"monetaryAmount": None, "dueDate": None},
         ["MonetaryAmount", "DueDate"]),
        ({"clear": "tag_names"}, {"tagIds": None}, ["TagIds"]),
    ],
)  # fmt: skip
def test_an_update_names_what_it_changes_and_nothing_else(given, changed, mask):
    request = panels.update_card(ID, **given)
    assert request.body == {**changed, "fields": mask}
    assert request.safe_to_repeat


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "nothing to update"),
        ({"upsert_tag_operation": "ReplaceAll"}, "nothing to update"),
        ({"lost_reason_id": OTHER}, "status='LOST'"),
        ({"lost_reason_id": OTHER, "status": "WON"}, "status='LOST'"),
        ({"archived": True, "status": "WON"}, "archived"),
        ({"archived": False, "status": "ARCHIVED"}, "archived"),
        ({"monetary_amount": 0, "clear": "monetary_amount"}, "monetary_amount"),
        ({"tag_names": "x", "clear": "tag_ids"}, "tag_ids"),
        ({"tag_names": "x", "tag_ids": [OTHER]}, "tag_ids, tag_names"),
        ({"clear": "tag_ids", "upsert_tag_operation": "DeleteIfExists"}, "upsert_tag_operation"),
        ({"clear": "title"}, "description, due_date"),
        ({"position": -1}, "position"),
        ({"title": "x" * 501}, "500"),
        ({"description": "x" * 8001}, "8000"),
    ],
)
def test_an_update_that_could_not_do_what_it_says_is_refused(given, named):
    with pytest.raises(WtsChatArgumentError, match=named):
        panels.update_card(ID, **given)


def test_only_what_is_asked_for_is_listed():
    request = panels.list_cards(ID, statuses=["open", "WON", "LOST", "ARCHIVED"], step_id=OTHER)
    assert request.query == (
        ("PanelId", ID), ("StepId", OTHER),
        ("Statuses", "OPEN"), ("Statuses", "WON"), ("Statuses", "LOST"), ("Statuses", "ARCHIVED"),
    )  # fmt: skip
    assert request.filters == {
        "panelId": (ID,), "stepId": (OTHER,), "status": ("OPEN", "WON", "LOST", "ARCHIVED")
    }  # fmt: skip
    assert panels.list_cards(ID).query == (("PanelId", ID),)
    with pytest.raises(WtsChatArgumentError, match="OPEN, WON, LOST, ARCHIVED"):
        panels.list_cards(ID, statuses="ALL")


def test_what_makes_something_is_sent_once():
    create = panels.create_card(step_id=ID, title="x", monetary_amount=0, position="0", contact_ids=[OTHER])
    assert create.body == {
        "stepId": ID, "title": "x", "monetaryAmount": 0, "position": 0, "contactIds": [OTHER]
    }  # fmt: skip
    copy = panels.duplicate_card(ID, fields="all", archive_original_card=False)
    assert copy.body == {"options": {"archiveOriginalCard": False, "fields": ["All"]}}
    assert panels.duplicate_card(ID).body == {}
    note = panels.create_card_note(ID, text="x")
    assert not any(request.safe_to_repeat for request in (create, copy, note))
    for missing in ({"step_id": None, "title": "x"}, {"step_id": ID, "title": None}, {"step_id": ID, "title": " "}):
        with pytest.raises(WtsChatArgumentError, match=r"step_id|title"):
            panels.create_card(**missing)


def test_a_note_says_something_and_carries_three_files_at_most():
    urls = [f"https://x.test/{i}.pdf" for i in range(4)]
    assert panels.create_card_note(ID, file_urls=urls[:3]).body == {"fileUrls": urls[:3]}
    nothing: Any
    for nothing in ({}, {"file_urls": []}, {"file_urls": urls}, {"text": "None"}):
        with pytest.raises(WtsChatArgumentError, match=r"text|file_urls"):
            panels.create_card_note(ID, **nothing)
