"""A conversation is written once; whoever performs it gives the same answers and errors."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_wtschat.api import exchange, sessions, tags
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.types import Session
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatNotFoundError, WtsChatRateLimitError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator

NOBODY = "00000000-0000-4000-8000-000000000000"


def in_a_loop(conversation: Exchange[Any]) -> Any:
    return asyncio.run(WtsChatAsyncHook().perform(conversation))


def in_a_thread(conversation: Exchange[Any]) -> Any:
    return WtsChatHook().perform(conversation)


BOTH = pytest.mark.parametrize("perform", [in_a_thread, in_a_loop])
Perform = Callable[..., Any]


def known_or_first(session_id: str) -> Exchange[str]:
    """Read a session; where there is none of that id, the first of the list."""
    row: Session | None
    try:
        row = yield from exchange.call(sessions.get(session_id))
    except WtsChatNotFoundError:
        row = yield from exchange.pages(sessions.list_(), lambda found: found[0] if found else None)
    assert row is not None
    return str(row["id"])


@BOTH
def test_an_error_is_thrown_into_the_conversation(simulator: Simulator, perform: Perform) -> None:
    found = perform(known_or_first(NOBODY))
    assert found != NOBODY
    before = len(simulator.requests)
    assert perform(known_or_first(found)) == found
    assert len(simulator.requests) == before + 1


@BOTH
def test_an_error_that_it_does_not_handle_is_raised_and_closes_it(simulator: Simulator, perform: Perform) -> None:
    conversation = exchange.call(sessions.get(NOBODY))
    with pytest.raises(WtsChatNotFoundError):
        perform(conversation)
    assert inspect.getgeneratorstate(conversation) == inspect.GEN_CLOSED


@BOTH
def test_all_rows_of_a_list(simulator: Simulator, perform: Perform) -> None:
    every = perform(exchange.rows(sessions.list_(), page_size=7))
    assert sorted(row["id"] for row in every) == sorted(row["id"] for row in WtsChatHook().iterate(sessions.list_()))


def bounded_async(conversation: Exchange[Any], *, stopped: bool = False, **bounds: Any) -> Any:
    async def perform() -> Any:
        stop = asyncio.Event()
        if stopped:
            stop.set()
        return await WtsChatAsyncHook().perform(conversation, stop=stop, **bounds)

    return asyncio.run(perform())


def bounded(conversation: Exchange[Any], *, stopped: bool = False, **bounds: Any) -> Any:
    stop = threading.Event()
    if stopped:
        stop.set()
    return WtsChatHook().perform(conversation, stop=stop, **bounds)


BOTH_BOUNDED = pytest.mark.parametrize("perform", [bounded, bounded_async], ids=["sync", "async"])


@BOTH_BOUNDED
@pytest.mark.parametrize(
    ("bounds", "why"), [({"timeout": 0}, "GET /core/v1/tag"), ({"stopped": True}, "stopped")], ids=["time", "stop"]
)
def test_no_request_is_begun_when_the_time_is_up_or_after_a_stop(
    simulator: Simulator, perform: Callable[..., Any], bounds: dict[str, Any], why: str
) -> None:
    before = len(simulator.requests)
    conversation = exchange.call(tags.list_())
    with pytest.raises(TimeoutError, match=why):
        perform(conversation, **bounds)
    assert len(simulator.requests) == before
    assert inspect.getgeneratorstate(conversation) == inspect.GEN_CLOSED


@BOTH_BOUNDED
def test_no_request_waits_for_the_limit_past_the_time(simulator: Simulator, perform: Callable[..., Any]) -> None:
    simulator.inject("429_seconds", on="/core/*", times=None, retry_after=20)
    before = len(simulator.requests)
    with pytest.raises(WtsChatRateLimitError):
        perform(exchange.call(tags.list_()), timeout=1)
    assert len(simulator.requests) == before + 1


async def test_a_stop_ends_the_wait_between_attempts(simulator: Simulator) -> None:
    simulator.inject("503", on="/core/*", times=None)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    began = asyncio.get_running_loop().time()
    with pytest.raises(WtsChatError):
        await WtsChatAsyncHook(max_retries=20).perform(exchange.call(tags.list_()), stop=stop)
    assert asyncio.get_running_loop().time() - began < 10
