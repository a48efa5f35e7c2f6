"""One account's budget seen from this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.budget.limits import Refusal, SharedStore, StoreError
from airflow_provider_wtschat.budget.process import ProcessStore

log = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 30.0
_SAY_AFTER = 5.0
_SAY_EVERY = 30.0
_STORE_AGAIN_AFTER = 60.0
_LONGEST_HOLD = 900.0
"""Longer than any window of the account. What asks for more may be a date that was taken for seconds."""


class BudgetTimeoutError(Exception):
    """
    No slot came free in the time allowed.

    :param message: what is full, and for how long
    :param wait: seconds until a slot can be free, at the earliest
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class _Kind(NamedTuple):
    """Requests that wait for the same things."""

    send: bool
    bulk: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """
    A request's place in the budget.

    :param id: its number in the stores
    :param send: the request goes to ``/chat/v1/send/*``
    :param shared: the shared store counts it too
    """

    id: int
    send: bool
    shared: bool


class Budget:
    """
    One account's budget seen from this process.

    Of the threads that wait for the same thing one asks the stores, the others queue behind it: a thousand waiters
    cost the store no more than one. The process also counts its own requests, and limits itself by that count while
    the shared store is out of reach.

    :param own: counts the requests of this process
    :param shared: counts them together with other processes; None to limit this process alone
    :param bulk_share: share of the windows that bulk reads may fill
    """

    def __init__(self, own: ProcessStore, shared: SharedStore | None, bulk_share: float) -> None:
        self.bulk_share = bulk_share
        self.waited = 0.0
        """Seconds for which requests of this process had to wait so far, whether one or many at a time."""
        self.requests = 0
        """Slots taken so far."""
        self._own = own
        self._shared = shared
        self._down_until: float | None = None
        self._warned = self._announced = False
        self._said_at = float("-inf")
        self._refusals: dict[_Kind, tuple[float, str]] = {}
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._queues = {_Kind(send, bulk): threading.Lock() for send in (False, True) for bulk in (False, True)}
        self._async_queues: dict[asyncio.AbstractEventLoop, dict[_Kind, asyncio.Lock]] = {}
        self._executor: ThreadPoolExecutor | None = None

    @contextmanager
    def slot(
        self,
        *,
        send: bool = False,
        bulk: bool = False,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Slot]:
        """
        Wait for a slot and hold it for the block; leaving the block, however, means that the answer has arrived.

        :param send: the request goes to ``/chat/v1/send/*``
        :param bulk: the request may wait while others go first, and leaves them ``bulk_share``'s rest
        :param timeout: seconds to wait at most; raises at once when it is known that they will not do
        :param stop: ends the wait when it is set
        :return: the slot
        :raises BudgetTimeoutError: if no slot came free in time, or ``stop`` was set
        """
        slot = self._wait(_Kind(send, bulk), timeout, stop)
        try:
            yield slot
        finally:
            self._answer(slot)

    @asynccontextmanager
    async def slot_async(
        self,
        *,
        send: bool = False,
        bulk: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 (it raises before the time is up when it can tell)
    ) -> AsyncIterator[Slot]:
        """
        Do as ``slot`` does without blocking the event loop: the stores are asked in a thread.

        :param send: the request goes to ``/chat/v1/send/*``
        :param bulk: the request may wait while others go first, and leaves them ``bulk_share``'s rest
        :param timeout: seconds to wait at most; raises at once when it is known that they will not do
        :return: the slot
        :raises BudgetTimeoutError: if no slot came free in time
        """
        slot = await self._wait_async(_Kind(send, bulk), None if timeout is None else time.monotonic() + timeout)
        try:
            yield slot
        finally:
            self._answer_in_thread(slot)

    def hold(self, seconds: float) -> None:
        """
        Let nobody take a slot for a while, in any process that shares this budget: the API answered 429.

        Where none share it, the process takes half as much from then on and recovers slowly.

        :param seconds: how long; no longer than a quarter of an hour, after which the API may say it again
        """
        seconds = min(seconds, _LONGEST_HOLD)
        self._own.hold(seconds)
        shared = self._reachable()
        if shared is not None:
            try:
                shared.hold(seconds)
            except StoreError as error:
                self._lost(error)
                shared = None
        if shared is None:
            self._own.slow_down()

    async def hold_async(self, seconds: float) -> None:
        """
        Do as ``hold`` does without blocking the event loop.

        :param seconds: how long
        """
        await asyncio.wrap_future(self._threads().submit(self.hold, seconds))

    def describe(self) -> str:
        """Say who shares the budget."""
        if self._shared is None:
            share = self._own.whole
            return "of this process alone" if share == 1 else f"of this process alone, {share:.0%} of the limits"
        if self._reachable() is None:
            return "of this process alone, because its store cannot be used"
        return self._shared.describe()

    def after_fork(self) -> None:
        """Begin anew in a forked child, which must not wait for the parent's locks."""
        self._make_locks()
        self._own = self._own.renewed()
        if self._shared is not None:
            self._shared.after_fork()

    def _wait(self, kind: _Kind, timeout: float | None, stop: threading.Event | None) -> Slot:
        self._announce()
        deadline = None if timeout is None else time.monotonic() + timeout
        queue = self._queues[kind]
        if not queue.acquire(timeout=-1 if timeout is None else timeout):
            raise self._timed_out(kind)
        try:
            waited = 0.0
            while True:
                if stop is not None and stop.is_set():
                    msg = "The wait for the account's request limit was stopped."
                    raise BudgetTimeoutError(msg, 0.0)
                taken = self._take(kind)
                if isinstance(taken, Slot):
                    return taken
                pause = self._pause(kind, taken, deadline, waited)
                started = time.monotonic()
                if stop is None:
                    time.sleep(pause)
                else:
                    stop.wait(pause)
                waited += self._count_wait(started)
        finally:
            queue.release()

    async def _wait_async(self, kind: _Kind, deadline: float | None) -> Slot:
        self._announce()
        queue = self._async_queue(kind)
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
                await queue.acquire()
        except TimeoutError:
            raise self._timed_out(kind) from None
        try:
            waited = 0.0
            while True:
                taken = await self._take_in_thread(kind)
                if isinstance(taken, Slot):
                    return taken
                pause = self._pause(kind, taken, deadline, waited)
                started = time.monotonic()
                await asyncio.sleep(pause)
                waited += self._count_wait(started)
        finally:
            queue.release()

    def _async_queue(self, kind: _Kind) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if loop not in self._async_queues:
            for closed in [known for known in self._async_queues if known.is_closed()]:
                self._async_queues.pop(closed, None)
            self._async_queues[loop] = {kind: asyncio.Lock() for kind in self._queues}
        return self._async_queues[loop][kind]

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="wtschat-budget")
            return self._executor

    async def _take_in_thread(self, kind: _Kind) -> Slot | Refusal:
        future = self._threads().submit(self._take, kind)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread may have taken a slot, or may yet take one, that nobody holds any more.
            future.add_done_callback(self._give_back)
            raise

    def _give_back(self, future: Future[Slot | Refusal]) -> None:
        if not future.cancelled() and future.exception() is None:
            taken = future.result()
            if isinstance(taken, Slot):
                self._answer_in_thread(taken)

    def _answer_in_thread(self, slot: Slot) -> None:
        try:
            self._threads().submit(self._answer, slot)
        except RuntimeError:  # the interpreter is ending: no more threads, and no event loop to block
            self._answer(slot)

    def _take(self, kind: _Kind) -> Slot | Refusal:
        number = secrets.randbits(63)
        bulk_share = self.bulk_share if kind.bulk else None
        shared = self._reachable()
        if shared is not None:
            # Its own count binds only when the store has lost what this process took, as after a replaced file.
            refusal = self._own.check(send=kind.send, bulk_share=bulk_share)
            if refusal is not None:
                return refusal
            try:
                refusal = shared.take(number, send=kind.send, bulk_share=bulk_share)
            except StoreError as error:
                self._lost(error)
            else:
                self._found(shared)
                if refusal is not None:
                    return refusal
                self._own.add(number, send=kind.send)
                return self._taken(Slot(number, kind.send, shared=True))
        refusal = self._own.take(number, send=kind.send, bulk_share=bulk_share)
        return refusal or self._taken(Slot(number, kind.send, shared=False))

    def _taken(self, slot: Slot) -> Slot:
        with self._lock:
            self.requests += 1
        return slot

    def _answer(self, slot: Slot) -> None:
        self._own.answer(slot.id, send=slot.send)
        shared = self._reachable()
        if slot.shared and shared is not None:
            try:
                shared.answer(slot.id, send=slot.send)
            except StoreError as error:
                self._lost(error)

    def _reachable(self) -> SharedStore | None:
        down_until = self._down_until
        return None if down_until is not None and time.monotonic() < down_until else self._shared

    def _lost(self, error: StoreError) -> None:
        self._down_until = time.monotonic() + _STORE_AGAIN_AFTER
        with self._lock:
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
        log.log(
            level,
            "The account's request budget cannot be shared, so this process keeps to the limits by itself "
            "and will try again from time to time: %s",
            error,
        )

    def _found(self, shared: SharedStore) -> None:
        if self._down_until is not None:
            self._down_until = None
            self._own.restore()
            log.info("The account's request budget is %s again.", shared.describe())

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            log.info("The account's request budget is %s.", self.describe())

    def _pause(self, kind: _Kind, refusal: Refusal, deadline: float | None, waited: float) -> float:
        now = time.monotonic()
        wait = max(refusal.wait, _SHORTEST_PAUSE)
        self._refusals[kind] = (now + wait, refusal.reason)
        if deadline is not None and now + wait > deadline:
            raise self._timed_out(kind)
        if waited + wait > _SAY_AFTER and now - self._said_at >= _SAY_EVERY:
            self._said_at = now
            log.info("Waiting %.0f s for the account's request limit (%s)", wait, refusal.reason)
        return min(wait, _LONGEST_PAUSE)

    def _timed_out(self, kind: _Kind) -> BudgetTimeoutError:
        until, reason = self._refusals.get(kind, (0.0, "others wait before it"))
        wait = max(0.0, until - time.monotonic())
        msg = f"No slot for a request in the time allowed ({reason}); the next may be free in {wait:.1f} s."
        return BudgetTimeoutError(msg, wait)

    def _count_wait(self, started: float) -> float:
        waited = time.monotonic() - started
        with self._lock:
            self.waited += waited
        Stats.timing("wtschat.budget.wait", timedelta(seconds=waited))
        return waited
