"""One account's budget seen from this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.budget.limits import Refusal, SharedStore, StoreError, of_limits
from airflow_provider_wtschat.budget.process import ProcessStore

log = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 30.0
_SAY_AFTER = 5.0
_SAY_EVERY = 30.0
_STORE_AGAIN_AFTER = 60.0
_GAUGE_EVERY = 10.0
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
    :param store: the shared store that counts it too
    """

    id: int
    send: bool
    store: SharedStore | None


class Budget:
    """
    One account's budget seen from this process.

    Of the threads that wait for the same thing one asks the stores, the others queue behind it: a thousand waiters
    cost the store no more than one. The process also counts its own requests, and limits itself by that count while
    no shared store can be reached.

    :param own: counts the requests of this process
    :param shared: count them together with other processes: the first of them that can be reached. Without any this
        process limits itself alone
    :param bulk_share: share of the windows that bulk reads may fill
    """

    def __init__(self, own: ProcessStore, shared: Sequence[SharedStore], bulk_share: float) -> None:
        self.bulk_share = bulk_share
        self.waited = 0.0
        """Seconds for which requests of this process had to wait so far, whether one or many at a time."""
        self.requests = 0
        """Slots taken so far."""
        self._own = own
        self._shared = tuple(shared)
        self._down_until: dict[SharedStore, float] = {}
        self._warned: set[SharedStore] = set()
        self._announced = self._others_told = False
        self._users = 0
        self._said_at = self._gauged_at = float("-inf")
        self._names: set[str] = set()
        self._noted: set[tuple[SharedStore, str]] = set()
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
        stop: asyncio.Event | None = None,
    ) -> AsyncIterator[Slot]:
        """
        Do as :meth:`slot` does, with the same arguments, without blocking the event loop: a thread asks the stores.

        :raises BudgetTimeoutError: if no slot came free in time, or ``stop`` was set
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        slot = await self._wait_async(_Kind(send, bulk), deadline, stop)
        try:
            yield slot
        finally:
            self._answer_in_thread(slot)

    def hold(self, seconds: float) -> None:
        """
        Let nobody take a slot for a while, in any process that shares this budget: the API answered 429.

        Whoever shares it takes half as much from then on and recovers slowly: since the requests that are counted here
        meet no 429, somebody else uses the account.

        :param seconds: how long; no longer than a quarter of an hour, after which the API may say it again
        """
        seconds = min(seconds, _LONGEST_HOLD)
        for store in self._reachable():
            try:
                store.hold(seconds)
            except StoreError as error:
                self._lost(store, error)
            else:
                self._own.pause(seconds)
                break
        else:
            self._own.hold(seconds)
        if not self._others_told:
            self._others_told = True
            log.warning(
                "The API answered 429 although this budget, which is %s, had room: somebody else uses the account's "
                "limit. It slows down and recovers by and by. Let all machines of this deployment share one budget in "
                "Redis ([wtschat] budget), or give each its part ([wtschat] share)",
                self.describe(),
            )

    async def hold_async(self, seconds: float) -> None:
        """Do as ``hold`` does without blocking the event loop."""
        await asyncio.wrap_future(self._threads().submit(self.hold, seconds))

    def describe(self) -> str:
        """Return who shares the budget."""
        up = next(iter(self._reachable()), None)
        if up is None:
            why = " because its store cannot be used" if self._shared else ""
            return f"of this process alone{',' if why else ''}{why}{of_limits(self._own.whole)}"
        return up.describe()

    def use_as(self, name: str) -> None:
        """Let whoever looks at the account know it by a connection's id, from the next request on."""
        self._names.add(name)

    def after_fork(self) -> None:
        """Begin anew in a forked child, which must not wait for the parent's locks."""
        self._make_locks()
        self._own = self._own.renewed()
        for store in self._shared:
            store.after_fork()

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
                    raise _stopped()
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

    async def _wait_async(self, kind: _Kind, deadline: float | None, stop: asyncio.Event | None) -> Slot:
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
                if stop is not None and stop.is_set():
                    raise _stopped()
                taken = await self._take_in_thread(kind)
                if isinstance(taken, Slot):
                    return taken
                pause = self._pause(kind, taken, deadline, waited)
                started = time.monotonic()
                await (asyncio.sleep(pause) if stop is None else sleep_or_stop(stop, pause))
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
        for store in self._reachable():
            # Its own count binds only when the store has lost what this process took, as after a replaced file.
            refusal = self._own.check(send=kind.send, bulk_share=bulk_share)
            if refusal is not None:
                return refusal
            try:
                refusal = store.take(number, send=kind.send, bulk_share=bulk_share)
            except StoreError as error:
                self._lost(store, error)
                continue
            self._found(store)
            self._show(store)
            if refusal is not None:
                return refusal
            self._own.add(number, send=kind.send)
            return self._taken(Slot(number, kind.send, store))
        refusal = self._own.take(number, send=kind.send, bulk_share=bulk_share)
        return refusal or self._taken(Slot(number, kind.send, None))

    def _show(self, store: SharedStore) -> None:
        """Log by which connections the account is known, once, and from time to time how much of it is used."""
        now = time.monotonic()
        with self._lock:
            unknown = [name for name in self._names if (store, name) not in self._noted]
            self._noted.update((store, name) for name in unknown)
            due = now - self._gauged_at >= _GAUGE_EVERY
            if due:
                self._gauged_at = now
        if not unknown and not due:
            return
        # It is for people to look at: no request fails or waits for it.
        with suppress(StoreError):
            for name in unknown:
                store.note_name(name)
            if due:
                usage = store.usage()
                tags = {"account": ",".join(usage.names)}
                for window, use in usage.windows.items():
                    Stats.gauge(f"wtschat.budget.used.{window}", use.used, tags=tags)
                    Stats.gauge(f"wtschat.budget.limit.{window}", use.limit, tags=tags)

    def _taken(self, slot: Slot) -> Slot:
        with self._lock:
            self.requests += 1
        return slot

    def _answer(self, slot: Slot) -> None:
        self._own.answer(slot.id, send=slot.send)
        if slot.store is not None and self._is_up(slot.store):
            try:
                slot.store.answer(slot.id, send=slot.send)
            except StoreError as error:
                self._lost(slot.store, error)

    def _is_up(self, store: SharedStore) -> bool:
        return time.monotonic() >= self._down_until.get(store, 0.0)

    def _reachable(self) -> Iterator[SharedStore]:
        return filter(self._is_up, self._shared)

    def _lost(self, store: SharedStore, error: StoreError) -> None:
        self._down_until[store] = time.monotonic() + _STORE_AGAIN_AFTER
        with self._lock:
            level = logging.DEBUG if store in self._warned else logging.WARNING
            self._warned.add(store)
        log.log(
            level,
            "The account's request budget cannot be shared as it should, so for now it is %s; it will be tried again "
            "from time to time: %s",
            self.describe(),
            error,
        )

    def _found(self, store: SharedStore) -> None:
        if self._down_until.pop(store, None) is not None:
            self._own.restore()
            log.info("The account's request budget is %s again.", store.describe())
        if store is self._shared[0] and store.users != self._users:
            # What stands in for it when it cannot be reached takes the part of one of so many.
            self._users = self._own.users = store.users
            for other in self._shared[1:]:
                with suppress(StoreError):
                    other.note_users(store.users)

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


async def sleep_or_stop(stop: asyncio.Event, seconds: float) -> None:
    """Sleep until the time is up or an event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _stopped() -> BudgetTimeoutError:
    return BudgetTimeoutError("The wait for the account's request limit was stopped.", 0.0)
