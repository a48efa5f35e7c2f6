"""The hook for event loops: the same rules, requests and errors as the other one, and it never blocks the loop."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook, Connection

from airflow_provider_wtschat.api import contacts, sessions
from airflow_provider_wtschat.budget import Budget
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatAuthenticationError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatRateLimitError,
    WtsChatServerError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator
from tests.conftest import AIRFLOW_2
from tests.hooks.test_wtschat import ALL, ONCE, PHONE, SECRET, TEXT, UUID, connection, some_session, unreachable
from tests.waiting import until


async def tell(simulator: Simulator, call: Awaitable[Any]) -> tuple[Any, int, int]:
    """Return what a call gave or raised, how many requests the server saw, and how many writes it booked."""
    seen, written = len(simulator.requests), len(simulator.books)
    outcome: Any
    try:
        outcome = await call
    except WtsChatError as error:
        outcome = error
    return outcome, len(simulator.requests) - seen, len(simulator.books) - written


@pytest.fixture
def session_id(simulator: Simulator) -> str:
    """Id of a session into which a text can be sent."""
    return some_session(simulator)


@pytest.mark.parametrize("fault", ONCE)
async def test_a_fault_is_repeated_only_where_that_helps_and_cannot_harm(
    simulator: Simulator, session_id: str, fault: str
) -> None:
    read, read_requests, send, send_requests, writes = ONCE[fault]
    retry_after = 0.05 if fault == "429_seconds" else None
    async with WtsChatAsyncHook(timeout=1) as hook:
        simulator.inject(fault, on=ALL, delay_s=1.3, retry_after=retry_after)
        outcome, seen, _ = await tell(simulator, hook.run(sessions.get(session_id)))
        assert (outcome["id"] == session_id) if read == "answer" else type(outcome) is read
        assert seen == read_requests

        simulator.inject(fault, on=ALL, delay_s=1.3, retry_after=retry_after)
        outcome, seen, written = await tell(simulator, hook.run(sessions.send(session_id, text=TEXT)))
        assert outcome["id"] if send == "answer" else type(outcome) is send
        assert (seen, written) == (send_requests, writes)
        if isinstance(outcome, WtsChatError):
            assert isinstance(outcome, AirflowFailException) is (send is WtsChatUncertainError)
            assert TEXT not in str(outcome)


@pytest.mark.parametrize("fault", ["502", "500", "cut_json", "lost_before"])
async def test_a_lasting_fault_is_given_up_after_max_retries(simulator: Simulator, session_id: str, fault: str) -> None:
    simulator.inject(fault, on=ALL, times=None)
    outcome, seen, _ = await tell(simulator, WtsChatAsyncHook(max_retries=2).run(sessions.get(session_id)))
    assert type(outcome) is WtsChatServerError
    assert outcome.retryable
    assert seen == 3


async def test_a_long_retry_after_is_told_at_once(simulator: Simulator) -> None:
    simulator.inject("429_seconds", on=ALL, retry_after=4000)
    outcome, seen, _ = await tell(simulator, WtsChatAsyncHook(max_wait=5).run(sessions.get(UUID)))
    assert type(outcome) is WtsChatRateLimitError
    assert outcome.retry_after == pytest.approx(4000, rel=0.01)
    assert seen == 1


async def test_no_connection_means_that_nothing_was_sent(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("AIRFLOW_CONN_NOBODY", json.dumps(connection(address)))
        for request in (sessions.get(UUID), sessions.send(UUID, text=TEXT)):
            with pytest.raises(WtsChatConnectionError, match="nothing was sent") as raised:
                await WtsChatAsyncHook("nobody", max_retries=1).run(request)
            assert raised.value.retryable
            assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize("place", ["budget", "session"])
async def test_a_cancellation_after_the_answer_leaves_a_send_uncertain(
    simulator: Simulator, session_id: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """What was acted on must not look like what was cancelled in time, wherever the cancellation arrives."""
    hook = WtsChatAsyncHook()

    async def late(*_: Any) -> None:
        raise asyncio.CancelledError

    if place == "session":
        monkeypatch.setattr(aiohttp.ClientSession, "close", late)
    else:
        slot = Budget.slot_async

        @asynccontextmanager
        async def cut(self: Budget, **how: Any) -> AsyncIterator[None]:
            async with slot(self, **how):
                yield
            await late()

        monkeypatch.setattr(Budget, "slot_async", cut)
    sent = len(simulator.sends)
    with pytest.raises(WtsChatUncertainError):
        await hook.run(sessions.send(session_id, text=TEXT))
    assert len(simulator.sends) == sent + 1
    with pytest.raises(asyncio.CancelledError):
        await hook.run(sessions.get(session_id))


async def test_a_send_that_is_cancelled_is_uncertain_and_a_read_is_cancelled(
    simulator: Simulator, session_id: str
) -> None:
    async def cancelled(call: Awaitable[Any]) -> None:
        simulator.inject("slow", on=ALL, delay_s=5.0)
        before = len(simulator.requests)
        task = asyncio.ensure_future(call)
        await until(lambda: len(simulator.requests) > before)
        task.cancel()
        await task

    async with WtsChatAsyncHook(max_retries=0) as hook:
        with pytest.raises(WtsChatUncertainError, match="nobody knows"):
            await cancelled(hook.run(sessions.send(session_id, text=TEXT)))
        with pytest.raises(asyncio.CancelledError):
            await cancelled(hook.run(sessions.get(session_id)))


async def test_a_list_is_not_cut_to_its_first_rows(simulator: Simulator) -> None:
    with pytest.raises(WtsChatArgumentError, match="iterate"):
        await WtsChatAsyncHook().run(sessions.list_())


async def test_both_hooks_send_the_same(simulator: Simulator, session_id: str) -> None:
    request = sessions.update(session_id, metadata={"ção": "ü"})
    WtsChatHook().run(request)
    await WtsChatAsyncHook().run(request)
    (one, other), (first, second) = simulator.books[-2:], simulator.requests[-2:]
    assert (one.operation, one.path, one.body) == (other.operation, other.path, other.body)
    assert (first.method, first.path, first.query) == (second.method, second.path, second.query)


async def test_all_pages_come_and_none_twice(simulator: Simulator) -> None:
    expected = [row["id"] for row in WtsChatHook().iterate(sessions.list_())]
    async with WtsChatAsyncHook() as hook:
        assert [row["id"] async for row in hook.iterate(sessions.list_(), page_size=7)] == expected
        assert [len(page) async for page in hook.pages(sessions.list_(), page_size=20)] == [20, len(expected) - 20]


async def test_connections_are_kept_in_the_block_and_closed_after_it(simulator: Simulator) -> None:
    async with WtsChatAsyncHook() as hook:
        session = hook._session
        await hook.run(sessions.get((await anext(aiter(hook.iterate(sessions.list_()))))["id"]))
        assert hook._session is session
    assert session is not None
    assert session.closed


@pytest.mark.parametrize("pasted", ["{}", "Bearer {}", "  {}\n"])
async def test_the_token_shows_nowhere(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pasted: str
) -> None:
    fields = {**connection(simulator.url), "password": pasted.format(simulator.token)}
    monkeypatch.setenv("AIRFLOW_CONN_PASTED", json.dumps(fields))
    caplog.set_level(logging.DEBUG)
    hook = WtsChatAsyncHook("pasted", max_retries=1)
    await hook.run(sessions.list_().page())
    simulator.inject("401", on=ALL)
    with pytest.raises(WtsChatAuthenticationError) as raised:
        await hook.run(sessions.get(UUID))
    shown = " ".join([caplog.text, repr(await hook.resolve()), repr(hook), str(raised.value), repr(raised.value)])
    assert simulator.token not in shown


@pytest.mark.parametrize("number", range(4))
async def test_a_traceback_shows_neither_phone_nor_password_of_a_proxy(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONE", json.dumps(unreachable(simulator)[number]))
    with pytest.raises(WtsChatServerError) as raised:
        await WtsChatAsyncHook("gone", max_retries=0).run(contacts.get_by_phone(PHONE))
    shown = "".join(traceback.format_exception(raised.value))
    assert PHONE not in shown
    assert SECRET not in shown


async def test_the_loop_is_never_blocked(
    simulator: Simulator, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with WtsChatAsyncHook() as warm:
        await warm.run(sessions.get(session_id))
    loop.slow_callback_duration = 0.05
    caplog.set_level(logging.WARNING, logger="asyncio")
    slow: list[str] = []
    # A busy machine may take the time away by itself, but not each time.
    for _ in range(5):
        caplog.clear()
        loop.set_debug(True)
        async with WtsChatAsyncHook() as hook:
            await asyncio.gather(*(hook.run(sessions.get(session_id)) for _ in range(20)))
            simulator.inject("502", on=ALL)
            _ = [row async for row in hook.iterate(sessions.list_())]
        loop.set_debug(False)
        slow = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
        if not slow:
            break
    assert slow == []


@pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 knows only the way that blocks, and takes it in a thread")
async def test_the_connection_is_read_without_blocking(
    simulator: Simulator, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_thread = threading.current_thread()
    real: Callable[..., Connection] = BaseHook.get_connection

    def watched(conn_id: str) -> Connection:
        assert threading.current_thread() is not loop_thread, "the loop was blocked"
        return real(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(watched))
    assert (await WtsChatAsyncHook().run(sessions.get(session_id)))["id"] == session_id
