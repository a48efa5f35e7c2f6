"""The account makes sense: what a session says of itself is what its messages and statuses add up to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.instants import parse_instant
from airflow_provider_wtschat.simulator.lives import FOLLOWING, Times, opens, times
from airflow_provider_wtschat.simulator.options import Options
from airflow_provider_wtschat.simulator.records import Message, Session
from airflow_provider_wtschat.simulator.world import World

NOW = "2026-06-17T15:00:00Z"


def account(seed: int = 0, **options: object) -> World:
    world = World(Options(**{"seed": seed, "sessions": 60, "cards": 30, "now": NOW, **options}))
    world.clock.freeze(world.now())
    return world


def spoken(world: World, session: Session) -> list[Message]:
    return [message for message in world.history.of(session.id) if message.type != "NOTE"]


def troubles(world: World) -> Iterator[str]:
    """Yield what does not fit together, over all sessions."""
    for session in world.sessions:
        messages, turns = spoken(world, session), world.turns(session.id)
        moments = [message.created for message in messages]
        if [turn.status for turn in turns][-1:] != [session.status]:
            yield f"{session.id} is {session.status} after {turns}"
        for before, after in pairwise(turns):
            if after.at < before.at or after.status not in FOLLOWING[before.status]:
                yield f"{session.id} went from {before} to {after}"
        if times(turns) != session.times._replace(served=session.times.served or times(turns).served):
            yield f"{session.id}: {turns} add up to {times(turns)}, not {session.times}"
        if moments != sorted(moments) or (moments and not session.created <= moments[0]):
            yield f"{session.id}: messages at {moments}, created {session.created}"
        if moments and moments[-1] != session.interaction:
            yield f"{session.id}: last interaction {session.interaction}, last message {moments[-1]}"
        if session.end is not None and moments and moments[-1] > session.end:
            yield f"{session.id}: a message after its end"
        if (session.end is not None) != (session.status == "COMPLETED"):
            yield f"{session.id} is {session.status} and ended {session.end}"
        for name, direction in (("last_in", "FROM_HUB"), ("last_out", "TO_HUB")):
            last = max((one.created for one in messages if one.direction == direction), default=None)
            if last != getattr(session, name):
                yield f"{session.id}: {name} is {getattr(session, name)}, not {last}"
        asked = next((one.created for one in messages if one.direction == "FROM_HUB"), None)
        answered = next(
            (one.created for one in messages if one.origin == "DEFAULT" and asked is not None and one.created >= asked),
            None,
        )
        if answered != session.first_response:
            yield f"{session.id}: first response {session.first_response}, not {answered}"
        if session.updated < max([session.interaction, session.end or 0]) or session.updated > world.now():
            yield f"{session.id}: changed {session.updated}"
        if session.end is not None and (session.times.served or 0) > session.end - session.created:
            yield f"{session.id}: served longer than it lasted"
        contact = world.contacts.get(session.contact_id)
        if contact is None or contact.created > session.created:
            yield f"{session.id}: before its contact was there"
    for card in world.cards:
        place = world.step(card["stepId"])
        if place is None or (card["status"] in ("WON", "LOST")) > place[0]["isFinal"] or not card["contactIds"]:
            yield f"card {card.id} is {card['status']} in {place}"


@pytest.mark.parametrize("seed", range(50))
def test_every_seed_makes_an_account_that_adds_up(seed: int) -> None:
    assert list(troubles(account(seed))) == []


@pytest.mark.parametrize("seed", range(5))
def test_it_still_adds_up_after_an_hour_of_changes(seed: int) -> None:
    world = account(seed, changes_per_s=1.0, deletions=0.02, sessions=40)
    before = {session.id: session.status for session in world.sessions}
    steps = {card.id: card["stepId"] for card in world.cards}
    for _ in range(36):
        world.clock.advance(100)
        world.settle()
    assert list(troubles(world)) == []
    assert any(before.get(session.id, session.status) != session.status for session in world.sessions)
    assert any(steps[card.id] != card["stepId"] for card in world.cards)
    assert {turn.status for session in world.sessions for turn in world.turns(session.id)} >= {
        "STARTED", "PENDING", "IN_PROGRESS", "COMPLETED",
    }  # fmt: skip


def test_an_account_has_everything_that_reports_are_about() -> None:
    world = account(3, sessions=1500)
    sessions = list(world.sessions)
    messages = [message for session in sessions for message in world.history.of(session.id)]
    turns = [[turn.status for turn in world.turns(session.id)] for session in sessions]
    assert any(one.count("COMPLETED") > 1 for one in turns), "reopened"
    assert any(("IN_PROGRESS", "PENDING") in pairwise(one) for one in turns), "transferred"
    assert any(one[:2] == ["STARTED", "COMPLETED"] for one in turns), "a campaign without an answer"
    assert {message.origin for message in messages} >= {"GATEWAY", "DEFAULT", "BOT", "CAMPAIGN"}
    assert {message.type for message in messages} >= {"TEXT", "IMAGE", "AUDIO", "DOCUMENT", "NOTE"}
    assert any(session.utm for session in sessions)
    failed = [message for message in messages if message.failed_reason]
    printed = views.message(world, failed[0])
    assert printed["status"] == "FAILED"
    assert printed["details"]["errors"][0]["key"] in ("131026", "131050")
    assert any((one.details or {}).get("transcription") for one in messages)
    campaign = next(message for message in messages if message.origin == "CAMPAIGN")
    assert views.message(world, campaign)["details"]["templateCategoryName"] == "MARKETING"
    open_at = sum(opens(session.created) == session.created for session in sessions)
    assert open_at > 0.7 * len(sessions), "most conversations begin in office hours"


def test_distributions_are_options() -> None:
    world = account(1, lives={"campaign_share": 1.0, "reply_share": 0.0, "wait_s": 1.0})
    assert {one.origin for session in world.sessions for one in spoken(world, session)} >= {"CAMPAIGN"}
    completed = [session for session in world.sessions if session.status == "COMPLETED"]
    assert completed
    assert all(session.last_in is None and session.times.waited is None for session in completed)
    with pytest.raises(ValueError, match="waits"):
        Options(lives={"waits": 1.0})


def test_the_past_is_the_same_whenever_somebody_looks() -> None:
    early, late = account(7, sessions=20), account(7, sessions=20, changes_per_s=2.0)
    ids = [session.id for session in early.sessions]
    seen = {session_id: early.history.of(session_id) for session_id in ids}
    late.clock.advance(60)
    late.settle()
    for department in list(late.departments):
        late.change(late.departments, department, _agents={})
    for session_id in ids:
        assert late.history.of(session_id)[: len(seen[session_id])] == seen[session_id]


@pytest.mark.parametrize(
    ("at", "opening"),
    [
        ("2026-06-17T12:00:00Z", "2026-06-17T12:00:00Z"),  # Wednesday, 9:00 there
        ("2026-06-17T11:59:59Z", "2026-06-17T12:00:00Z"),
        ("2026-06-17T21:00:00Z", "2026-06-18T12:00:00Z"),  # closed at 18:00
        ("2026-06-19T22:00:00Z", "2026-06-22T12:00:00Z"),  # Friday evening
        ("2026-06-20T02:30:00Z", "2026-06-22T12:00:00Z"),  # still Friday there
        ("2026-06-20T15:00:00Z", "2026-06-22T12:00:00Z"),
        ("2026-06-21T15:00:00Z", "2026-06-22T12:00:00Z"),
    ],
)
def test_the_office_opens_on_the_next_workday(at: str, opening: str) -> None:
    first, expected = parse_instant(at), parse_instant(opening)
    assert first is not None
    assert expected is not None
    assert opens(first.micros) == expected.micros


def test_waiting_ends_with_an_agent_and_service_with_the_end() -> None:
    times_ = Times()
    for at, status in ((0, "PENDING"), (5, "IN_PROGRESS"), (9, "PENDING"), (10, "IN_PROGRESS"), (20, "COMPLETED")):
        times_ = times_.then(at, status)
    assert times_ == Times(waited=6, served=14)
    assert Times().then(0, "PENDING").then(8, "COMPLETED").waited is None
