"""Sessions as asset events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed, session_event
from airflow_provider_wtschat.triggers.session_event import SessionEventTrigger
from tests.waiting import remade, until, until_followed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Store:
    """An asset's state, as Airflow 3.3.2 gives it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        return self.values.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.values[key] = value


class BlockingStore:
    """An asset's state, as Airflow 3.3.0 gives it."""

    def __init__(self, store: Store) -> None:
        self.values = store.values

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        assert_off_the_loop()
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        assert_off_the_loop()
        self.values[key] = value


class StoreOfSeveral:
    """The state of several assets, which has no one place."""

    async def aget(self, key: str, default: Any = None) -> Any:
        """Refuse."""
        message = "Task has 2 concrete inlets and outlets"
        raise ValueError(message)


def assert_off_the_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@asynccontextmanager
async def watching(store: Any = None, **arguments: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """Run a watcher's trigger for a while, and gather its events."""
    trigger = remade(SessionEventTrigger(poll_interval=0.05, **arguments))
    trigger.asset_state_store = store
    events: list[dict[str, Any]] = []

    async def run() -> None:
        async for event in trigger.run():
            events.append(event.payload)

    task = asyncio.create_task(run())
    await until_followed(task)
    try:
        yield events
        await all_told()
        assert not task.done(), "it ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def all_told() -> None:
    """Wait until all that changed before is told: readings that began since are over, and what they showed is taken."""
    for _ in range(2):
        (stream,) = (one for each in feed._feeds.values() for one in each._subscribers)
        shown: list[None] = []
        see = stream.read_up_to

        def read_up_to(*how: Any, shown: list[None] = shown, see: Any = see) -> None:
            shown.append(None)
            see(*how)

        stream.read_up_to = read_up_to  # type: ignore[assignment, method-assign]
        await until(lambda shown=shown: len(shown) > 1)
        await until(lambda stream=stream: stream._batch is None)
        del stream.read_up_to


def rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for event in events for row in event["sessions"]]


@pytest.mark.parametrize("kind", ["new", "changed", "concluded"])
async def test_each_kind_tells_of_its_own(simulator: Simulator, kind: str) -> None:
    world = simulator.world
    old, other = (world.create_session(status="PENDING", at=world.now() - 3600 * 10**6).id for _ in range(2))
    async with watching(event=kind) as events:
        new = world.create_session(status="PENDING").id
        world.change_session(old, status="IN_PROGRESS")
        world.conclude_session(other)
        await all_told()
        world.change_session(other, title="changed after it was concluded")
    told = [row["id"] for row in rows(events)]
    assert told == {"new": [new], "changed": [new, old, other, other], "concluded": [other]}[kind]
    for row in rows(events):
        assert set(row) == {"id", "status", "updated_at"}


async def test_a_filter_leaves_out_the_others(simulator: Simulator) -> None:
    world = simulator.world
    department = next(iter(world.departments)).id
    async with watching(statuses=["IN_PROGRESS"], department_id=department, channel_ids=None) as events:
        wanted = world.create_session(status="IN_PROGRESS", department_id=department).id
        world.create_session(status="PENDING", department_id=department)
        world.create_session(status="IN_PROGRESS")
    assert [row["id"] for row in rows(events)] == [wanted]


async def test_a_reading_makes_one_event_however_much_it_showed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(sessions=20, seed=8, limits=False, strict=True) as own:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", own.connection_json)
        async with watching(event="new") as events:
            with own.world.lock:
                made = [own.world.create_session() for _ in range(350)]
            await until(lambda: bool(events))
    (event,) = events
    assert event["count"] == 350
    assert event["complete"] is False
    assert [row["id"] for row in event["sessions"]] == [one.id for one in made[:100]]
    first, last = (EPOCH + timedelta(microseconds=one.created) for one in (made[0], made[-1]))
    assert (instants.read(event["since"]), instants.read(event["until"])) == (first, last)


async def test_two_events_are_never_close_together(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert session_event.BETWEEN_EVENTS == 0.05  # the pace of these tests; of the package it is 5 s, see below
    monkeypatch.setattr(session_event, "BETWEEN_EVENTS", 0.5)
    clock = asyncio.get_running_loop().time
    rang: list[float] = []
    told = 0
    trigger = remade(SessionEventTrigger(poll_interval=0.05, event="new"))

    async def run() -> None:
        nonlocal told
        async for event in trigger.run():
            rang.append(clock())
            told += event.payload["count"]

    task = asyncio.create_task(run())
    await until_followed(task)
    for _ in range(20):
        await asyncio.to_thread(simulator.world.create_session)
        await asyncio.sleep(0.1)
    await until(lambda: told == 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(rang) >= 3
    assert min(later - earlier for earlier, later in pairwise(rang)) >= 0.5


def test_the_gap_between_two_events_is_five_seconds() -> None:
    source = Path(session_event.__file__).read_text()
    assert "BETWEEN_EVENTS = 5.0\n" in source


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_restart_loses_nothing_where_the_place_is_kept(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, blocking: bool
) -> None:
    store = Store()
    given = BlockingStore(store) if blocking else store
    async with watching(given, event="new") as events:
        one = simulator.world.create_session().id
        await all_told()
    assert one in [row["id"] for row in rows(events)]
    (kept,) = store.values.values()
    meanwhile = [simulator.world.create_session().id for _ in range(3)]
    async with watching(given, event="new") as events:
        after = simulator.world.create_session().id
    told = [row["id"] for row in rows(events)]
    assert set(told) >= {*meanwhile, after}
    assert len(told) == len(set(told))
    assert next(iter(store.values.values())) > kept
    # Another filter has its own place.
    async with watching(given, event="changed"):
        pass
    assert len(store.values) == 2


async def test_the_place_is_kept_one_reading_behind(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    seen: list[tuple[int, str | None]] = []
    async with watching(store, event="new") as events:
        for _ in range(4):
            one = simulator.world.create_session()
            while not any(row["id"] == one.id for row in rows(events)):
                await asyncio.sleep(0.005)
            seen.append((one.created, next(iter(store.values.values()), None)))
    for created, kept in seen:
        moment = None if kept is None else int(__import__("datetime").datetime.fromisoformat(kept).timestamp() * 10**6)
        assert moment is None or moment <= created


async def test_without_a_place_it_begins_with_now(simulator: Simulator) -> None:
    simulator.world.create_session()
    async with watching(StoreOfSeveral(), event="new") as events:
        one = simulator.world.create_session().id
    assert [row["id"] for row in rows(events)] == [one]


@pytest.mark.parametrize("fault", ["502", "401"])
async def test_a_watcher_outlives_an_outage(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(feed, "PACE", feed.PACE.__class__(**(vars(feed.PACE) | {"longest_pause": 0.02})))
    async with watching(event="new") as events:
        simulator.inject(fault, times=None)
        during = simulator.world.create_session().id
        asked = len(simulator.requests)
        await until(lambda: len(simulator.requests) > asked + 5)
        simulator.application.faults.clear()
        await until(lambda: during in [row["id"] for row in rows(events)])
        after = simulator.world.create_session().id
    assert {row["id"] for row in rows(events)} == {during, after}


async def test_events_hold_no_personal_data(simulator: Simulator) -> None:
    contact = simulator.world.create_contact(phone="+55 11 98765-4321", name="Maria Segredo")
    async with watching() as events:
        session = simulator.world.create_session(contact_id=contact.id)
        simulator.world.add_inbound_message(session.id, "Texto secreto")
    assert rows(events)
    for word in ("secreto", "Segredo", "98765"):
        assert word not in json.dumps(events)


@pytest.mark.parametrize("wrong", [{"event": "gone"}, {"statuses": ["OPEN"]}, {"department_id": "None"}])
async def test_a_refused_argument_is_named(simulator: Simulator, wrong: dict[str, Any]) -> None:
    with pytest.raises(WtsChatArgumentError, match=next(iter(wrong))):
        await anext(SessionEventTrigger(**wrong).run())
