"""What is deleted shows: below a parent that is read again, and in a comparison of any resource."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_wtschat.api import scheduled_messages, templates
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from tests.loading import Table, load, without_clock

WORLD = {
    "sequence_contacts": "sequence_contacts", "portfolio_contacts": "portfolio_contacts", "templates": "templates",
    "chatbots": "chatbots", "sequences": "sequences", "portfolios": "portfolios", "scheduled_messages": "scheduled",
    "agents": "agents", "departments": "departments", "channels": "channels", "tags": "tags",
    "custom_fields": "custom_fields", "panels": "panels", "card_notes": "card_notes",
}  # fmt: skip
"""The simulator's table of each resource that one row can be taken out of."""


def schedule() -> None:
    """Have two messages to come."""
    hook = WtsChatHook()
    template = next(one for one in hook.iterate(templates.list_(archived=False)) if one["status"] == "Approved")
    values = {str(number): "x" for number in range(1, 6)} | {one["name"]: "x" for one in template.get("params") or ()}
    for day in (1, 2):
        given = {"from_channel": template["channelId"], "template_id": template["id"], "template_parameters": values}
        at = f"2090-01-0{day}T12:00:00Z"
        hook.run(scheduled_messages.create(to="+5511987654321", scheduling=at, **given))


def take_out(simulator: Simulator, resource: str, row_id: str) -> None:
    world = simulator.world
    with world.lock:
        if resource in ("messages", "session_notes"):
            message = world.history.find(row_id)
            del world.history._past(message.session_id)[row_id]
        elif resource == "lost_reasons":
            panel = next(one for one in world.panels if row_id in {reason.id for reason in one["_lost_reasons"]})
            left = tuple(reason for reason in panel["_lost_reasons"] if reason.id != row_id)
            world.change(world.panels, panel, _lost_reasons=left)
        else:
            assert getattr(world, WORLD[resource]).delete(row_id) is not None


def compare(resource: str, **arguments: Any) -> dict[str, Any]:
    given = {"sql_conn_id": "warehouse", "workers": 4, "table": resource, "min_share": 0, **arguments}
    return WtsChatReconcileOperator(task_id="compare", resource=resource, **given).execute({})


def marked(resource: str) -> set[str]:
    column = "missing_since" if "missing_since" in Table(resource).columns() else "deleted_at"
    return {row.id for row in Table(resource).rows(f"id, {column}") if getattr(row, column) is not None}


@pytest.mark.reads(sessions=25)
@pytest.mark.parametrize("resource", [*WORLD, "messages", "session_notes", "lost_reasons"])
def test_comparison_finds_what_is_gone(resource, reading, plain_destination):
    if resource == "scheduled_messages":
        schedule()
        reading.world.clock.advance(2)  # comparisons go up to the second in which the load began
    load(resource)
    rows = Table(resource).loaded()
    assert rows
    gone = min(rows)
    take_out(reading, resource, gone)
    reading.world.clock.advance(2)
    found = compare(resource)
    assert (found["deleted"], found["missing"], found["account"]) == (1, 0, len(rows) - 1)
    assert marked(resource) == {gone}
    moved = {row for row, at in Table(resource).loaded().items() if at != rows[row]}
    assert moved == {gone}, "incremental models go by loaded_at"
    assert compare(resource)["deleted"] == 0


@pytest.mark.reads(sessions=6)
@pytest.mark.parametrize("last", [False, True])
def test_message_that_is_gone_is_marked_when_its_session_is_read_again(last, reading, destination):
    load("messages")
    before = Table("messages").loaded()
    session = next(iter(reading.world.sessions)).id
    ids = [message.id for message in reading.world.history.of(session) if message.type != "NOTE"]
    assert ids
    gone = ids if last else ids[:1]
    for message in gone:
        take_out(reading, "messages", message)
    reading.world.clock.advance(2)
    reading.world.change_session(session, title="Outro")
    figures = load("messages")
    assert (figures["gone"], figures["requests"]) == (len(gone), 1)
    assert marked("messages") == set(gone)
    after = Table("messages").loaded()
    assert {row for row in after if after[row] != before[row]} == set(gone)


@pytest.mark.reads(sessions=6)
def test_children_of_a_deleted_session_are_marked_by_a_comparison(reading, plain_destination):
    load("messages")
    session = next(iter(reading.world.sessions)).id
    ids = {message.id for message in reading.world.history.of(session) if message.type != "NOTE"}
    reading.world.delete_session(session)
    reading.world.clock.advance(2)
    assert compare("messages")["deleted"] == len(ids)
    assert marked("messages") == ids
    with pytest.raises(Exception, match="max_requests"):
        compare("messages", max_requests=2)


@pytest.mark.reads(sessions=6)
def test_unverified_children_mark_nothing_and_are_read_again(reading, plain_destination, monkeypatch):
    from airflow_provider_wtschat.extraction.children import Children

    load("messages")
    session = next(iter(reading.world.sessions)).id
    take_out(reading, "messages", reading.world.history.of(session)[0].id)
    reading.world.clock.advance(2)
    reading.world.change_session(session, title="Outro")
    with monkeypatch.context() as patched:
        patched.setattr(Children, "verified", False)
        assert load("messages")["gone"] == 0
    assert marked("messages") == set()
    assert load("messages")["gone"] == 1


def test_marks_and_their_end_move_loaded_at(reading, destination):
    load("tags")
    before = Table("tags").loaded()
    gone = next(iter(reading.world.tags))
    reading.world.tags.delete(gone.id)
    assert load("tags")["gone"] == 1
    then = Table("tags").loaded()
    assert {row for row in then if then[row] != before[row]} == {gone.id}
    reading.world.tags.put(gone)
    load("tags")
    after = Table("tags").loaded()
    assert {row for row in after if after[row] != then[row]} == {gone.id}
    assert marked("tags") == set()


def test_answers_without_a_clock_mark_by_the_worker_s(reading, plain_destination, monkeypatch, capsys, caplog):
    without_clock(monkeypatch)
    load("tags")
    gone = next(iter(reading.world.tags)).id
    reading.world.tags.delete(gone)
    load("tags")
    assert marked("tags") == {gone}
    # The log of a task goes another way on Airflow 3.
    assert "no Date header" in caplog.text + "".join(capsys.readouterr())


def test_rows_with_a_status_of_a_newer_api_are_loaded_and_not_gone(reading, plain_destination):
    """Scheduled messages are asked for status by status, so one that is not known shows by the count of all."""
    schedule()
    world = reading.world
    with world.lock:
        world.clock.advance(2)
        world.change(world.scheduled, next(iter(world.scheduled)), status="PAUSED")
    everything = {row.id for row in world.scheduled}
    figures = load("scheduled_messages")
    assert set(Table("scheduled_messages").loaded()) == everything
    assert figures["verified"]
    assert compare("scheduled_messages")["deleted"] == 0
    assert marked("scheduled_messages") == set()
