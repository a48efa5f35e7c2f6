"""The feed: what it costs, what it survives, and that nobody who waits on it hangs."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger
from airflow_provider_wtschat.triggers.session import SessionReplyTrigger, SessionStatusTrigger
from airflow_provider_wtschat.waiting.conditions import INTERACTED
from tests.waiting import NEVER_LISTED, QUICK, ago, ahead, event_of, until, until_followed

LIST, GET = "/chat/v2/session", "/chat/v2/session/*"


def pace(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    """Change the pace of feeds that begin from now on."""
    monkeypatch.setattr(feed, "PACE", dataclasses.replace(QUICK, **changes))


def trigger(session_id: str, **arguments: Any) -> SessionStatusTrigger:
    """Make a trigger that waits for the end of a session."""
    defaults = {"target_statuses": ["COMPLETED"], "failure_statuses": [], "since": ago(5), "poll_interval": 0.05}
    return SessionStatusTrigger(session_id=session_id, **{**defaults, **arguments})


@asynccontextmanager
async def waiting(*triggers: Any, settle: float = 0.0) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run triggers together, wait until they have begun, and so many seconds more."""
    tasks = [asyncio.create_task(event_of(each)) for each in triggers]
    await until_followed(*tasks)
    await asyncio.sleep(settle)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_of(tasks: list[asyncio.Task[Any]], seconds: float = 10) -> list[Any]:
    async with asyncio.timeout(seconds):
        return await asyncio.gather(*tasks)


def lists(simulator: Simulator) -> int:
    return sum(entry.path == LIST for entry in simulator.requests)


def gets(simulator: Simulator) -> int:
    return sum(entry.path.startswith(f"{LIST}/") for entry in simulator.requests)


def pending(simulator: Simulator, count: int) -> list[str]:
    return [simulator.world.create_session(status="PENDING").id for _ in range(count)]


async def test_what_waits_costs_nothing_but_what_changes_does(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, shortest=0.2)
    ids = pending(simulator, 150)
    seen: dict[int, int] = {}
    for count in (1, 150):
        before = len(simulator.requests)
        async with waiting(*(trigger(each) for each in ids[:count]), settle=1.5) as tasks:
            seen[count] = len(simulator.requests) - before
            for each in ids[:count]:
                simulator.world.conclude_session(each)
            events = await all_of(tasks)
        assert [event["status"] for event in events] == ["reached"] * count
        assert [event["id"] for event in events] == ids[:count]
    assert gets(simulator) == 0
    # The many were created just before, which fills two more pages once.
    assert seen[150] <= seen[1] + 4


async def test_what_was_read_is_not_read_again(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    pace(monkeypatch, shortest=0.1, slack=0.5, overlap=1.0, overlap_every=1.0)
    with Simulator(sessions=20, seed=8, limits=False, strict=True) as own:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", own.connection_json)
        (one,) = pending(own, 1)
        async with waiting(trigger(one)) as tasks:
            # Twelve pages at once, which come again while they are new, and not any more after that.
            pending(own, 1200)
            deadline = time.monotonic() + 20
            read = -1000
            while lists(own) - read > 12:
                assert time.monotonic() < deadline, "they are read again and again"
                read = lists(own)
                await asyncio.sleep(1.0)
            own.world.conclude_session(one)
            await all_of(tasks)


async def test_a_feed_is_shared_and_ends_with_its_last_waiter(simulator: Simulator) -> None:
    one, other = pending(simulator, 2)
    loop = asyncio.get_running_loop()
    async with waiting(trigger(one), trigger(other)) as tasks:
        assert list(feed._feeds) == [(loop, "wtschat_default")]
        only = feed.get_feed("wtschat_default")
        assert len(only._subscribers) == 2
        simulator.world.conclude_session(one)
        await all_of(tasks[:1])
        assert feed.get_feed("wtschat_default") is only
        hook = only._hook
        assert hook is not None
    assert feed._feeds == {}
    assert hook._session is None
    assert not only._tasks


async def test_a_feed_logs_into_no_waiter(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    task = contextvars.ContextVar[str]("task")
    seen: list[str | None] = []
    real = WtsChatAsyncHook.answer

    async def answer(self: WtsChatAsyncHook, request: Any, **how: Any) -> Any:
        seen.append(task.get(None))
        return await real(self, request, **how)

    monkeypatch.setattr(WtsChatAsyncHook, "answer", answer)
    task.set("of the first waiter")
    async with waiting(trigger(*pending(simulator, 1))):
        pass
    assert seen
    assert set(seen) == {None}


async def test_the_smallest_interval_counts_but_not_below_the_shortest(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, shortest=0.2)
    with Simulator(sessions=20, seed=8, limits=False, strict=True) as own:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", own.connection_json)
        one, other = pending(own, 2)
        async with waiting(trigger(one, poll_interval=100)) as slow:
            before = lists(own)
            await asyncio.sleep(0.5)
            assert lists(own) == before
            own.world.conclude_session(one)
            started = asyncio.get_running_loop().time()
            async with waiting(trigger(other, poll_interval=0.001), settle=1.0):
                assert (await all_of(slow))[0]["status"] == "reached"
                assert lists(own) - before <= 2 + (asyncio.get_running_loop().time() - started) / 0.2


async def test_a_change_that_the_list_never_shows_is_found_by_asking(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, direct=0.4)
    (one,) = pending(simulator, 1)
    async with waiting(trigger(one)) as tasks:
        simulator.world.change_session(one, late_s=NEVER_LISTED, status="COMPLETED")
        assert (await all_of(tasks))[0]["found"] == "COMPLETED"
    assert gets(simulator) >= 1


async def test_a_waiter_looks_a_last_time_when_its_time_is_up(simulator: Simulator) -> None:
    one, other = pending(simulator, 2)
    before = gets(simulator)
    async with waiting(trigger(one, timeout_at=ahead(0.6)), trigger(other, timeout_at=ahead(0.6))) as tasks:
        simulator.world.change_session(one, late_s=NEVER_LISTED, status="COMPLETED")
        events = await all_of(tasks)
    assert events[0]["status"] == "reached"
    assert events[1] == {"status": "timeout", "id": other}
    assert gets(simulator) - before == 2


async def test_a_row_that_shows_late_is_caught_by_the_overlap(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, slack=0.01, overlap=30.0, overlap_every=0.5)
    late, *others = pending(simulator, 5)
    before = gets(simulator)
    async with waiting(trigger(late)) as tasks:
        simulator.world.change_session(late, late_s=0.8, status="COMPLETED")
        for each in others:
            await asyncio.sleep(0.2)
            simulator.world.conclude_session(each)
        assert (await all_of(tasks))[0]["status"] == "reached"
    assert gets(simulator) == before


@pytest.mark.parametrize("reply_moves_updated", [True, False])
async def test_a_reply_is_found_whether_or_not_it_changes_the_session(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, reply_moves_updated: bool
) -> None:
    object.__setattr__(simulator.world.options, "reply_moves_updated", reply_moves_updated)
    (one,) = pending(simulator, 1)
    async with waiting(SessionReplyTrigger(session_id=one, since=ago(0), poll_interval=0.05)) as tasks:
        simulator.world.add_inbound_message(one, "Segredo")
        (event,) = await all_of(tasks)
    assert event["status"] == "reached"
    assert "Segredo" not in json.dumps(event)
    object.__setattr__(simulator.world.options, "reply_moves_updated", True)


async def test_what_is_worth_a_question_is_not_asked_twice_at_a_time(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = pending(simulator, 3)
    since = ago(0)
    async with waiting(
        *(SessionReplyTrigger(session_id=each, since=since, poll_interval=0.05) for each in ids)
    ) as tasks:
        before = sum(entry.path.endswith("/message") for entry in simulator.requests)
        simulator.inject("slow", on="/chat/v1/session/*", times=3, delay_s=1.0)
        for each in ids:
            simulator.world.add_inbound_message(each)
        followed = feed.get_feed("wtschat_default")._lists[INTERACTED]
        await until(lambda: len(followed._asked) == 3)
        for each in ids:
            simulator.world.change_session(each, interaction=simulator.world.now())
        assert [event["status"] for event in await all_of(tasks)] == ["reached"] * 3
        asked = sum(entry.path.endswith("/message") for entry in simulator.requests) - before
    assert asked == 3


CATCHING_UP = {
    # waiters, sessions that changed since, what the catching up may cost: lists, single questions
    "few waiters, much that changed: asked one by one": (3, 900, 4, 3),
    "many waiters, little that changed: read": (40, 0, 6, 0),
}


@pytest.mark.parametrize("case", CATCHING_UP)
async def test_catching_up_takes_the_cheaper_way(
    monkeypatch: pytest.MonkeyPatch, case: str, simulator: Simulator
) -> None:
    waiters, changed, most_lists, most_gets = CATCHING_UP[case]
    with Simulator(sessions=20, seed=8, limits=False, strict=True) as own:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", own.connection_json)
        pace(monkeypatch, shortest=5.0)
        ids = pending(own, waiters)
        hour = own.world.now() - 3600 * 10**6
        for _ in range(changed):
            own.world.create_session(at=hour)
        for each in ids:
            own.world.conclude_session(each, at=hour)
        async with waiting(*(trigger(each, since=ago(7200)) for each in ids)) as tasks:
            events = await all_of(tasks, 4)
        assert [event["status"] for event in events] == ["reached"] * waiters
        assert lists(own) <= most_lists
        assert gets(own) <= most_gets


PASSING = ["502", "503", "html", "cut_json", "truncated", "empty", "lost_before", "429_seconds", "500"]


@pytest.mark.parametrize("fault", PASSING)
async def test_waiters_survive_what_passes(simulator: Simulator, fault: str) -> None:
    (one,) = pending(simulator, 1)
    async with waiting(trigger(one), MessageStatusTrigger(
        message_id=simulator.world.add_inbound_message(one).id, target_statuses=["DELETED"], failure_statuses=[],
        poll_interval=0.05, timeout_at=ahead(1.0),
    )) as tasks:  # fmt: skip
        simulator.inject(fault, times=8, retry_after=0.05)
        simulator.world.conclude_session(one)
        events = await all_of(tasks)
    assert [event["status"] for event in events] == ["reached", "timeout"]


@pytest.mark.parametrize(
    ("fault", "error", "retryable"),
    [
        ("502", "WtsChatServerError", True),
        ("lost_before", "WtsChatServerError", True),
        ("401", "WtsChatAuthenticationError", False),
        ("403", "WtsChatRefusedError", False),
    ],
)
async def test_every_waiter_is_told_of_what_does_not_pass(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, fault: str, error: str, retryable: bool
) -> None:
    ids = pending(simulator, 3)
    message = simulator.world.add_inbound_message(ids[0]).id
    by_id = MessageStatusTrigger(
        message_id=message, target_statuses=["DELETED"], failure_statuses=[], poll_interval=0.05
    )
    async with waiting(*(trigger(each) for each in ids), by_id) as tasks:
        simulator.inject(fault, times=None)
        events = await all_of(tasks, 20)
    for event in events:
        assert (event["status"], event["error"], event["retryable"]) == ("error", error, retryable)
    assert feed._feeds == {}
    assert simulator.token not in caplog.text + json.dumps(events)


async def test_a_renewed_token_is_read_again(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = pending(simulator, 1)
    async with waiting(trigger(one)) as tasks:
        renewed = json.loads(simulator.connection_json) | {"password": "pn_renewed"}
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(renewed))
        simulator.world.token = "pn_renewed"
        simulator.world.conclude_session(one)
        assert (await all_of(tasks))[0]["status"] == "reached"


async def test_an_unknown_session_is_told_to_its_waiter_only(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace(monkeypatch, direct=0.3)
    (one,) = pending(simulator, 1)
    async with waiting(trigger("00000000-0000-4000-8000-0000000000aa"), trigger(one)) as tasks:
        (event,) = await all_of(tasks[:1])
        assert (event["error"], event["retryable"]) == ("WtsChatNotFoundError", False)
        assert not tasks[1].done()
        simulator.world.conclude_session(one)
        assert (await all_of(tasks[1:]))[0]["status"] == "reached"


async def test_nothing_is_asked_for_whoever_left(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    pace(monkeypatch, direct=0.1)
    stays, leaves = pending(simulator, 2)
    async with waiting(trigger(stays), trigger(leaves)) as tasks:
        asked_for = lambda each: sum(entry.path.endswith(each) for entry in simulator.requests)  # noqa: E731
        await until(lambda: asked_for(leaves) > 0)
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        # A question that was under way when it left may still arrive.
        began = asked_for(stays)
        await until(lambda: asked_for(stays) > began)
        before, began = len(simulator.requests), asked_for(stays)
        await until(lambda: asked_for(stays) > began + 2)
        asked = {entry.path.rpartition("/")[2] for entry in simulator.requests[before:] if entry.path != LIST}
    assert asked == {stays}


async def test_nobody_hangs_if_the_feed_itself_breaks(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pending(simulator, 3)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake of ours")

    async with waiting(*(trigger(each) for each in ids)) as tasks:
        monkeypatch.setattr(feed, "Paginator", broken)
        for task in tasks:
            with pytest.raises(RuntimeError, match="a mistake of ours"):
                async with asyncio.timeout(5):
                    await task
    assert feed._feeds == {}


async def test_a_server_that_ignores_bounds_does_not_make_it_read_everything(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    with Simulator(sessions=600, seed=8, limits=False, ignore_bounds=True) as own:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", own.connection_json)
        (one,) = pending(own, 1)
        async with waiting(trigger(one)) as tasks:
            (event,) = await all_of(tasks)
        assert event["error"] == "WtsChatServerError"
        assert lists(own) <= 4 * QUICK.faults


def test_two_event_loops_in_a_row(simulator: Simulator) -> None:
    async def once(session_id: str) -> str:
        async with waiting(trigger(session_id)) as tasks:
            simulator.world.conclude_session(session_id)
            return str((await all_of(tasks))[0]["status"])

    one, other, third = pending(simulator, 3)
    assert asyncio.run(once(one)) == "reached"
    # One that is closed in the middle, with nobody tidying up.
    loop = asyncio.new_event_loop()
    left_behind = loop.create_task(event_of(trigger(third)))
    loop.run_until_complete(until_followed(left_behind))
    loop.close()
    assert not left_behind.done()
    assert asyncio.run(once(other)) == "reached"
    assert all(not key[0].is_closed() for key in feed._feeds)


async def test_the_loop_is_never_blocked(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0.05
    caplog.set_level(logging.WARNING, logger="asyncio")
    slow: list[str] = []
    # A busy machine may take the time away by itself, but not each time.
    for _ in range(5):
        caplog.clear()
        ids = pending(simulator, 300)
        async with waiting(*(trigger(each) for each in ids), settle=0.5) as tasks:
            loop.set_debug(True)
            for each in ids:
                await asyncio.to_thread(simulator.world.conclude_session, each)
            await all_of(tasks, 20)
        loop.set_debug(False)
        messages = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
        slow = [line for line in messages if " took " in line and "coro=<test_" not in line]
        if not slow:
            break
    assert slow == []


async def test_logs_and_events_hold_no_personal_data(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    contact = simulator.world.create_contact(phone="+55 11 98765-4321", name="Maria Segredo")
    session = simulator.world.create_session(status="PENDING", contact_id=contact.id)
    kinds: list[Any] = [
        trigger(session.id),
        SessionReplyTrigger(session_id=session.id, since=ago(0), poll_interval=0.05),
        MessageStatusTrigger(
            message_id=simulator.world.add_inbound_message(session.id, "Texto secreto").id,
            target_statuses=["READ"], failure_statuses=[], poll_interval=0.05,
        ),
    ]  # fmt: skip
    async with waiting(*kinds) as tasks:
        simulator.inject("502", times=2)
        simulator.world.add_inbound_message(session.id, "Texto secreto")
        simulator.world.conclude_session(session.id)
        events = await all_of(tasks)
    everything = caplog.text + capfd.readouterr().out + json.dumps(events) + repr([each.serialize() for each in kinds])
    for word in ("secreto", "Segredo", "98765", simulator.token):
        assert word not in everything
    assert all(event["status"] == "reached" for event in events)
