"""Hints wake waiters at once; a lost one costs an interval, a forged one a request."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed, hints
from airflow_provider_wtschat.triggers.hints import Hint
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger
from airflow_provider_wtschat.triggers.panel import CardStepTrigger
from airflow_provider_wtschat.triggers.session import NewSessionsTrigger, SessionReplyTrigger, SessionStatusTrigger
from airflow_provider_wtschat.triggers.session_event import SessionEventTrigger
from airflow_provider_wtschat.waiting.changes import SessionChanges
from airflow_provider_wtschat.waiting.conditions import (
    CardHasMoved,
    MessageHasStatus,
    ScheduledMessageHasStatus,
    SessionHasReply,
    SessionHasStatus,
    SessionsHaveArrived,
)
from tests.waiting import QUICK, ago, event_of, until, until_followed

LIST = "/chat/v2/session"
UNKNOWN = "00000000-0000-4000-8000-0000000000aa"


class Inbox:
    """Hints in memory, for any number of feeds."""

    def __init__(self) -> None:
        self.readers: list[asyncio.Queue[Collection[Hint] | Exception]] = []
        self.closed = 0

    def follow(self, wtschat_conn_id: str) -> AsyncGenerator[Collection[Hint], None]:
        """Give the hints that come from now on."""
        assert wtschat_conn_id == "wtschat_default"
        return self._follow()

    async def _follow(self) -> AsyncGenerator[Collection[Hint], None]:
        queue: asyncio.Queue[Collection[Hint] | Exception] = asyncio.Queue()
        self.readers.append(queue)
        try:
            while True:
                some = await queue.get()
                if isinstance(some, Exception):
                    raise some
                yield some
        finally:
            self.readers.remove(queue)
            self.closed += 1

    def put(self, *some: Hint) -> None:
        """Give hints to all who follow."""
        for queue in self.readers:
            queue.put_nowait(some)

    def fail(self) -> None:
        """Let all who follow meet an error."""
        for queue in self.readers:
            queue.put_nowait(OSError("the inbox is gone"))


@pytest.fixture
def inbox(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """An inbox that the feeds follow, and readings that come a thousand seconds apart."""
    made = Inbox()
    hints.use_hints(made.follow)
    pace(monkeypatch)
    yield made
    hints.use_hints(None)


def pace(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    monkeypatch.setattr(feed, "PACE", dataclasses.replace(QUICK, **{"net": 1000.0, "hinted_again": 0.1, **changes}))


async def started(*triggers: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(event_of(each)) for each in triggers]
    await until_followed(*tasks)
    return tasks


async def ended(*tasks: asyncio.Task[Any]) -> list[Any]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks)


async def leave(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def status_trigger(session_id: str, poll_interval: float = 1000.0) -> SessionStatusTrigger:
    return SessionStatusTrigger(
        session_id=session_id,
        target_statuses=["COMPLETED"],
        failure_statuses=[],
        since=ago(5),
        poll_interval=poll_interval,
    )


def pending(simulator: Simulator, count: int) -> list[str]:
    return [simulator.world.create_session(status="PENDING").id for _ in range(count)]


CONCLUDED = Hint(session_id=UNKNOWN, event="SESSION_COMPLETE")
TOLD_BY = {"SESSION_COMPLETE"}
"""What tells those of ``status_trigger``."""
Case = tuple[Any, Callable[[], object], Hint]


def a_session(simulator: Simulator) -> Case:
    (one,) = pending(simulator, 1)
    return status_trigger(one), lambda: simulator.world.conclude_session(one), Hint(session_id=one.upper())


def a_reply(simulator: Simulator) -> Case:
    (one,) = pending(simulator, 1)
    made = SessionReplyTrigger(session_id=one, since=ago(-0.05), poll_interval=1000.0)
    return made, lambda: simulator.world.add_inbound_message(one), Hint(session_id=one, message_id=UNKNOWN)


def a_message(simulator: Simulator) -> Case:
    sent = simulator.world.add_inbound_message(pending(simulator, 1)[0]).id
    simulator.world.set_message_status(sent, "QUEUED")
    made = MessageStatusTrigger(
        message_id=sent, target_statuses=["DELIVERED"], failure_statuses=[], poll_interval=1000.0
    )
    return made, lambda: simulator.world.set_message_status(sent, "READ"), Hint(message_id=sent)


def a_card(simulator: Simulator) -> Case:
    world = simulator.world
    card = next(iter(world.cards))
    step = next(each.id for each in world.panels.get(card["panelId"])["_steps"] if each.id != card["stepId"])
    made = CardStepTrigger(
        card_id=card.id, step_ids=[step], target_statuses=[], failure_statuses=[], poll_interval=1000.0
    )
    return made, lambda: world.change(world.cards, world.cards.get(card.id), stepId=step), Hint(card_id=card.id)


def new_sessions(simulator: Simulator) -> Case:
    made = NewSessionsTrigger(since=datetime.now(UTC).isoformat(), count=1, poll_interval=1000.0)
    return made, lambda: pending(simulator, 1), Hint(session_id=UNKNOWN)


@pytest.mark.parametrize("case", [a_session, a_reply, a_message, a_card, new_sessions], ids=lambda case: case.__name__)
async def test_a_hint_wakes_who_waits(simulator: Simulator, inbox: Inbox, case: Callable[[Simulator], Case]) -> None:
    made, happen, hint = case(simulator)
    tasks = await started(made)
    await asyncio.sleep(0.1)  # moments of replies lie a little ahead
    await asyncio.to_thread(happen)
    inbox.put(hint)
    (event,) = await ended(*tasks)
    assert event["status"] == "reached"


async def test_a_hint_rings_for_a_dag(simulator: Simulator, inbox: Inbox) -> None:
    ring = asyncio.create_task(event_of(SessionEventTrigger(event="new", poll_interval=1000.0)))
    await until_followed(ring)
    (one,) = await asyncio.to_thread(pending, simulator, 1)
    inbox.put(Hint(session_id=one))
    (event,) = await ended(ring)
    assert [row["id"] for row in event["sessions"]] == [one]


async def test_a_hundred_who_wait_for_replies_hear_within_moments(
    simulator: Simulator, inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = pending(simulator, 100)
    clock = asyncio.get_running_loop().time
    since = ago(0)
    tasks = await started(*(SessionReplyTrigger(session_id=each, since=since, poll_interval=1000.0) for each in ids))
    before = len(simulator.requests)
    ends: dict[int, float] = {}
    for number, task in enumerate(tasks):
        task.add_done_callback(lambda _, number=number: ends.setdefault(number, clock()))
    lags = []
    for number, each in enumerate(ids):
        await asyncio.to_thread(simulator.world.add_inbound_message, each)
        put = clock()
        inbox.put(Hint(session_id=each))
        await until(lambda number=number: number in ends)
        lags.append(ends[number] - put)
    await ended(*tasks)
    asked = len(simulator.requests) - before
    with capsys.disabled():
        print(f"\n100 replies: median lag {statistics.median(lags):.3f} s, worst {max(lags):.3f} s, {asked} requests")
    assert asked == 100
    assert statistics.median(lags) < 1


async def test_what_no_hint_told_of_is_found_by_the_net(
    simulator: Simulator, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, net=1.0)
    one, other = pending(simulator, 2)
    tasks = await started(status_trigger(one, poll_interval=0.05), status_trigger(other, poll_interval=0.05))
    inbox.put(CONCLUDED)
    await until(lambda: feed.get_feed("wtschat_default").is_hinted(TOLD_BY))
    before = sum(entry.path == LIST for entry in simulator.requests)
    simulator.world.conclude_session(one)
    await ended(tasks[0])
    # Not every 0.05 s any more; one reading may have been under way.
    assert sum(entry.path == LIST for entry in simulator.requests) - before <= 3
    await leave(tasks[1])


async def test_whoever_is_told_by_no_event_that_comes_looks_as_often_as_without_any(
    simulator: Simulator, inbox: Inbox
) -> None:
    """A subscription to some events only: the others come about unheard."""
    one, other = pending(simulator, 2)
    sent = simulator.world.add_inbound_message(other).id
    simulator.world.set_message_status(sent, "QUEUED")
    delivered = MessageStatusTrigger(
        message_id=sent, target_statuses=["DELIVERED"], failure_statuses=[], poll_interval=0.05
    )
    reply = SessionReplyTrigger(session_id=one, since=ago(-0.05), poll_interval=0.05)
    tasks = await started(delivered, reply, status_trigger(other, poll_interval=0.05))
    followed = feed.get_feed("wtschat_default")
    inbox.put(CONCLUDED, Hint(card_id=UNKNOWN, event="PANEL_CARD_UPDATE"), Hint(message_id=UNKNOWN))
    await until(lambda: followed.is_hinted(TOLD_BY))
    await asyncio.sleep(0.1)  # moments of replies lie a little ahead
    simulator.world.set_message_status(sent, "DELIVERED")
    await asyncio.to_thread(simulator.world.add_inbound_message, one)
    assert [event["status"] for event in await ended(*tasks[:2])] == ["reached", "reached"]
    await leave(tasks[2])


@pytest.mark.parametrize(
    ("condition", "told_by"),
    [
        (SessionHasStatus(session_id=UNKNOWN, target_statuses=["COMPLETED"]), {"SESSION_COMPLETE"}),
        (SessionHasStatus(session_id=UNKNOWN, target_statuses=["PENDING"]), {"SESSION_UPDATE", "SESSION_COMPLETE"}),
        (SessionHasReply(session_id=UNKNOWN, since="2026-01-01"), {"MESSAGE_RECEIVED"}),
        (MessageHasStatus(message_id=UNKNOWN, target_statuses=["READ"]), {"MESSAGE_UPDATED"}),
        (ScheduledMessageHasStatus(scheduled_message_id=UNKNOWN, target_statuses=["SENT"]), set()),
        (CardHasMoved(card_id=UNKNOWN, step_ids=[UNKNOWN]), {"PANEL_CARD_STEP_CHANGE"}),
        (
            CardHasMoved(card_id=UNKNOWN, step_ids=[UNKNOWN], target_statuses=["WON"]),
            {"PANEL_CARD_STEP_CHANGE", "PANEL_CARD_UPDATE"},
        ),
        (SessionsHaveArrived(since="2026-01-01"), {"SESSION_NEW"}),
        (SessionsHaveArrived(since="2026-01-01", statuses=["PENDING"]), {"SESSION_NEW", "SESSION_UPDATE"}),
        (SessionChanges(event="concluded"), {"SESSION_COMPLETE"}),
        (SessionChanges(event="new"), {"SESSION_NEW", "SESSION_UPDATE", "SESSION_COMPLETE"}),
    ],
)
def test_which_events_tell_of_what(condition: Any, told_by: set[str]) -> None:
    assert condition.told_by == told_by


async def test_a_newcomer_is_caught_up_with_at_once(simulator: Simulator, inbox: Inbox) -> None:
    one, other = pending(simulator, 2)
    tasks = await started(status_trigger(one, poll_interval=0.05))
    inbox.put(CONCLUDED)
    await until(lambda: feed.get_feed("wtschat_default").is_hinted(TOLD_BY))
    # It ended before its waiter came, so no hint will tell of it any more.
    simulator.world.conclude_session(other)
    (event,) = await ended(*await started(status_trigger(other, poll_interval=0.05)))
    assert event["status"] == "reached"
    await leave(*tasks)


async def test_without_hints_for_long_it_reads_as_often_as_it_should(
    simulator: Simulator, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, net=0.2)
    (one,) = pending(simulator, 1)
    tasks = await started(status_trigger(one, poll_interval=0.05))
    inbox.put(CONCLUDED)
    followed = feed.get_feed("wtschat_default")
    await until(lambda: followed.is_hinted(TOLD_BY))
    await until(lambda: not followed.is_hinted(TOLD_BY))
    simulator.world.conclude_session(one)
    assert (await ended(*tasks))[0]["status"] == "reached"


async def test_forged_and_repeated_hints_cost_little(simulator: Simulator, inbox: Inbox) -> None:
    (one,) = pending(simulator, 1)
    tasks = await started(status_trigger(one))
    before = len(simulator.requests)
    followed = feed.get_feed("wtschat_default")
    inbox.put(*(Hint(session_id=UNKNOWN, contact_id=UNKNOWN, card_id="no id") for _ in range(5000)))
    inbox.put(*(Hint(session_id=one) for _ in range(5000)))
    await until(lambda: bool(followed._hinted._asked))
    # While it is asked about, and once more after that.
    inbox.put(*(Hint(session_id=one) for _ in range(5000)))
    await until(lambda: len(simulator.requests) == before + 2)
    await until(lambda: not followed._hinted._asked)
    assert len(simulator.requests) == before + 2
    simulator.world.conclude_session(one)
    inbox.put(Hint(session_id=one))
    assert (await ended(*tasks))[0]["status"] == "reached"


async def test_many_at_once_are_read_from_the_list(
    simulator: Simulator, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, hinted_at_once=20, by_id_pause=1000.0)
    ids = pending(simulator, 300)
    tasks = await started(*map(status_trigger, ids))
    before = len(simulator.requests)
    for each in ids:
        simulator.world.conclude_session(each)
    inbox.put(*(Hint(session_id=each) for each in ids))
    events = await ended(*tasks)
    assert [event["status"] for event in events] == ["reached"] * 300
    # The pages of the list, and what was asked about one by one.
    assert len(simulator.requests) - before <= 20 + 12


async def test_a_broken_inbox_costs_no_waiter_anything(
    simulator: Simulator, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = pending(simulator, 2)
    tasks = await started(status_trigger(one, poll_interval=0.05), status_trigger(other, poll_interval=1000.0))
    inbox.put(CONCLUDED)
    await until(lambda: feed.get_feed("wtschat_default").is_hinted(TOLD_BY))
    inbox.fail()
    await until(lambda: inbox.closed == 1)
    simulator.world.conclude_session(one)
    assert (await ended(tasks[0]))[0]["status"] == "reached"
    await until(lambda: len(inbox.readers) == 1)
    simulator.world.conclude_session(other)
    inbox.put(Hint(session_id=other))
    assert (await ended(tasks[1]))[0]["status"] == "reached"
    await until(lambda: inbox.closed == 2)
    assert "gone" not in caplog.text
