"""What became of a campaign's messages: read in lists and out of the inbox, kept in the table, told as a funnel."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.campaigns import dispatch as engine
from airflow_provider_wtschat.campaigns import following
from airflow_provider_wtschat.campaigns.report import STAGES
from airflow_provider_wtschat.campaigns.table import CampaignTable
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.campaign import WtsChatCampaignReportOperator, WtsChatErasePersonOperator
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from tests.transfers.conftest import Warehouse, context

Try = Callable[..., dict[str, Any]]

COLUMNS = ("template_id", "contact_id", "session_id", "sent_at", "delivered_at", "read_at", "replied_at", "failed_key",
           "delivery", "status", "message_id", "row_key", "reason")  # fmt: skip
LIST = "/chat/v1/session/{id}/message"
SINGLE = "/chat/v1/send/message/{id}"
OTHER = "00000000-0000-4000-8000-000000000000"

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have an empty inbox, and no pauses."""
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)


def kept(warehouse: Warehouse) -> dict[str, SimpleNamespace]:
    """Return what the table holds, by the key of the row."""
    found = warehouse.execute(f"SELECT {', '.join(COLUMNS)} FROM wtschat_campaign WHERE seq > 0 ORDER BY seq")
    rows = [SimpleNamespace(**dict(zip(COLUMNS, row, strict=True))) for row in found]
    return {row.row_key: row for row in rows}


def report(**arguments: Any) -> dict[str, Any]:
    given = {"campaign": "reminders", "table_conn_id": "warehouse", **arguments}
    return WtsChatCampaignReportOperator(task_id="report", **given).execute(context())


def asked(simulator: Simulator) -> Counter[str]:
    """Count the requests so far by operation."""
    return Counter(f"{entry.operation}" for entry in simulator.requests)


def test_what_came_of_each_message_is_kept(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse, world = any_warehouse, simulator.world
    world.failing_recipients.add("+55|11900000005")
    warehouse.fill(7, phone=lambda i: "no number" if i == 7 else f"+55119{i:08}")
    dispatch(max_invalid=1)
    before = kept(warehouse)
    template = next(row for row in world.templates if row["name"] == "lembrete_pagamento")
    assert {row.template_id for row in before.values()} == {template.id}
    sends = {str(send.message_id): send for send in simulator.sends}
    for key in "12346":
        assert before[key].session_id == sends[before[key].message_id].session_id
        assert before[key].sent_at
        assert (before[key].delivered_at, before[key].read_at, before[key].contact_id) == (None, None, None)

    for key, status in {"1": "SENT", "2": "DELIVERED", "3": "READ", "4": "READ", "6": "DELIVERED"}.items():
        world.set_message_status(before[key].message_id, status)
    # One answers in the session, and another one, whose session was concluded, in a new one.
    world.add_inbound_message(before["4"].session_id, "sim")
    world.conclude_session(before["6"].session_id)
    contact = world.sessions.get(before["6"].session_id).contact_id
    later = world.create_session(contact_id=contact, channel_id=world.sessions.get(before["6"].session_id).channel_id)
    world.add_inbound_message(later.id, "oi, sou eu de novo")

    result = report()
    rows = kept(warehouse)
    assert [rows[key].delivery for key in "12346"] == ["SENT", "DELIVERED", "READ", "READ", "DELIVERED"]
    assert [key for key in rows if rows[key].delivered_at] == ["2", "3", "4", "6"]
    assert [key for key in rows if rows[key].read_at] == ["3", "4"]
    assert [key for key in rows if rows[key].replied_at] == ["4", "6"]
    assert all(rows[key].replied_at > rows[key].sent_at for key in "46")
    for key in "12346":
        assert rows[key].contact_id == world.sessions.get(rows[key].session_id).contact_id
    assert rows["5"].status == "sent" if rows["5"].delivery else "refused"
    assert rows["5"].reason
    funnel = result["funnel"]
    assert {name: funnel[name] for name in STAGES} == {
        "planned": 7, "suppressed": 0, "held_out": 0, "waiting": 0, "uncertain": 0, "sent": funnel["sent"],
        "delivered": 4, "read": 2, "replied": 2, "failed": 2,
    }  # fmt: skip
    assert sum(funnel["failed_by_reason"].values()) == 2
    # What is known stays as it was told first.
    again = report()
    assert again == result
    assert kept(warehouse) == rows


def test_lists_are_read_and_not_each_message(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(20, phone=lambda i: f"+55119{i % 4:08}")
    dispatch(duplicate_recipients="allow")
    before = asked(simulator)
    report()
    made = asked(simulator) - before
    assert not [name for name in made if name.endswith(SINGLE)]
    # Four people, each with one session; and the list of sessions tells who they are.
    assert sum(number for name, number in made.items() if name.endswith(LIST)) == 4
    assert sum(made.values()) <= 4 + 2
    # What no look can change costs nothing; an answer may still come.
    for row in kept(warehouse).values():
        simulator.world.set_message_status(row.message_id, "READ")
    report()
    before = asked(simulator)
    report()
    assert not [name for name in (asked(simulator) - before) if name.endswith((LIST, SINGLE))]
    before = asked(simulator)
    assert report(look="false")["funnel"]["read"] == 20
    assert asked(simulator) == before


@pytest.mark.parametrize("options", [{"message_step_s": 3600.0}])
def test_webhooks_tell_without_a_request(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(5)
    dispatch()
    rows = kept(warehouse)

    def told(kind: str | None, content: dict[str, Any], second: int = 0, date: str | None = None) -> None:
        body = {"content": content, "date": date or f"2030-01-01T00:00:0{second}Z"} if kind else content
        event = WebhookEvent.parse(json.dumps({**({"eventType": kind} if kind else {}), **body}).encode())
        get_inbox().put([("wtschat_default", event)])

    with closing(get_inbox()):
        message = {key: {"id": row.message_id, "sessionId": row.session_id} for key, row in rows.items()}
        told("MESSAGE_UPDATED", {**message["1"], "status": "READ"}, second=3)
        told("MESSAGE_UPDATED", {**message["1"], "status": "DELIVERED"}, second=2)  # late, and known to be so
        told("MESSAGE_UPDATED", {**message["2"], "status": "DELIVERED"}, second=4)
        told(None, {**message["3"], "status": "SENT", "updatedAt": "2030-01-01T00:00:05Z"})  # to a callbackUrl
        told("MESSAGE_RECEIVED", {"id": message["4"]["id"], "sessionId": message["4"]["sessionId"]})
        answered = instants.write(instants.read(rows["2"].sent_at) + timedelta(hours=1))
        told("MESSAGE_RECEIVED", {"id": OTHER, "sessionId": message["2"]["sessionId"]}, date=answered)
        told("MESSAGE_RECEIVED", {"id": OTHER})  # the API may leave a field out
        told("MESSAGE_UPDATED", {**message["5"], "status": "FAILED"})  # says no reason, so the lists are asked
        told("MESSAGE_UPDATED", {"id": OTHER, "status": "READ"})  # somebody else's
        report()
    found = kept(warehouse)
    assert {key: row.delivery for key, row in found.items()} == {
        "1": "READ", "2": "DELIVERED", "3": "SENT", "4": "QUEUED", "5": "QUEUED",
    }  # fmt: skip
    assert (found["1"].read_at, found["1"].delivered_at) == (
        "2030-01-01T00:00:03.000000Z",
        "2030-01-01T00:00:02.000000Z",
    )
    assert found["2"].delivered_at == "2030-01-01T00:00:04.000000Z"
    # The answer to the fourth came years after the message.
    assert {key: row.replied_at for key, row in found.items() if row.replied_at} == {"2": answered}


def test_rows_of_an_earlier_version_are_asked_for_singly(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    written: list[int] = []
    real = CampaignTable.follow

    def follow(self: CampaignTable, told: Any) -> None:
        written.extend(told)
        real(self, told)

    monkeypatch.setattr(CampaignTable, "follow", follow)
    warehouse.fill(3)
    dispatch()
    for name in ("session_id", "sent_at", "template_id", "contact_id", "delivered_at", "read_at", "replied_at"):
        warehouse.execute(f"ALTER TABLE wtschat_campaign DROP COLUMN {name}")
    before = asked(simulator)
    result = report()
    assert sum(n for name, n in (asked(simulator) - before).items() if name.endswith(SINGLE)) == 3
    assert sum(result["delivery"].values()) == 3
    assert sorted(written) == [1, 2, 3]
    assert all(row.session_id and row.template_id is None and row.sent_at is None for row in kept(warehouse).values())


def test_a_failure_has_its_key(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    dispatch()
    (first, _) = kept(warehouse).values()
    simulator.world.set_message_status(first.message_id, "FAILED", "Número não está no WhatsApp")
    funnel = report()["funnel"]
    (row, _) = kept(warehouse).values()
    assert (row.delivery, row.reason) == ("FAILED", "Número não está no WhatsApp")
    assert funnel["failed_by_reason"] == {row.failed_key: 1}
    with pytest.raises(WtsChatFailedError, match="max_failed: 1 of 2"):
        report(max_failed=0)


def test_an_unknown_campaign_is_refused(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    with pytest.raises(WtsChatFailedError, match="nothing is planned as 'other'"):
        report(campaign="other")


def test_erasing_a_person_finds_the_rows_by_the_contact(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    dispatch()
    report()
    (first, second) = kept(warehouse).values()
    warehouse.execute("UPDATE wtschat_campaign SET person = NULL")  # the retention is over
    erase = WtsChatErasePersonOperator(
        task_id="erase", phone="+55 11 98888-7777", contact_id=first.contact_id, table_conn_id="warehouse"
    )
    assert erase.execute(context())["wtschat_campaign"] == 1
    (emptied, untouched) = kept(warehouse).values()
    assert (emptied.contact_id, emptied.session_id, emptied.message_id) == (None, None, None)
    assert untouched == second


def test_reasons_are_counted_up_to_a_bound(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(30)
    dispatch()
    warehouse.execute("UPDATE wtschat_campaign SET status = 'refused', failed_key = 'KEY_' || seq WHERE seq > 0")
    found = report(look=False)["funnel"]["failed_by_reason"]
    assert (len(found), sum(found.values()), found["other"]) == (21, 30, 10)


def test_the_growing_campaign_does_not_ask_for_old_messages(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "LOOKS", ())
    warehouse.fill(2)
    dispatch(audience="new_keys")
    warehouse.execute("UPDATE wtschat_campaign SET claimed_at = '2020-01-01T00:00:00.000000Z' WHERE seq > 0")
    warehouse.execute("INSERT INTO customers VALUES (9, '+5511900000009', 'Nova', 'R$ 9,00')")
    monkeypatch.setattr(engine, "_HOURLY", engine.timedelta(seconds=0.1))
    dispatch(run_id="next", audience="new_keys", wait_for_status="READ", follow_up_for=0.2)
    assert [row.delivery is not None for row in kept(warehouse).values()] == [False, False, True]


def test_the_table_tells_what_it_knows_of_many(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    dispatch()
    with closing(CampaignTable(warehouse.hook, "wtschat_campaign", "reminders")) as table:
        assert len(table.to_follow(["READ"], limit=2)) == 2
        assert table.sent("session_id", []) == []
