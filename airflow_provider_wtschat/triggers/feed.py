"""
What the triggers of one connection share in one triggerer: a single reader of what changes.

The account allows a few requests per second to everything that it runs, so a trigger must not ask for itself. A
:class:`Feed` reads the sessions that changed since its last look and tells those who wait for them: what it costs grows
with what changes, not with who waits. Things that no list tells of (messages, cards) it asks for one by one, in turn,
within a share of the account's limit.

Where something gives hints (:mod:`~airflow_provider_wtschat.triggers.hints`), a feed asks at once about what a hint
names. Who is told by events that come looks for itself only from time to time, for hints that were lost.

A feed begins with its first waiter and ends with its last. There is one per event loop and connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.paging import UPDATED, Paginator, row_field
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.api.types import Session
from airflow_provider_wtschat.budget.limits import READ
from airflow_provider_wtschat.exceptions import WtsChatAuthenticationError, WtsChatError
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.triggers.cursor import Cursor
from airflow_provider_wtschat.triggers.hints import Hint, hints_for
from airflow_provider_wtschat.waiting.changes import Change, SessionChanges, bounds_ignored, every_session
from airflow_provider_wtschat.waiting.conditions import Condition, Outcome

T = TypeVar("T")
S = TypeVar("S", bound="Subscriber")


log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """
    How fast a feed goes. Times are in seconds.

    :param shortest: between two readings of a list, at least
    :param gather: for which the first reading waits for others that start together
    :param slack: that each reading goes back, for rows that became visible out of order
    :param overlap: that a reading goes back for rows that became visible late
    :param overlap_every: between two readings that go back so far, once they fill more than a page
    :param direct: between two direct questions for one waiter of a list, at least
    :param direct_pause: between two direct questions for waiters of lists: a tenth of the account's limit
    :param by_id_pause: between two questions for what no list tells of, and between two last looks: half of the
        account's limit
    :param last_look: that a waiter whose time is up waits for its last look
    :param net: between two readings, and two direct questions, while hints come; nobody waits longer for lack of one
    :param hinted_at_once: questions that hints may cause at once, before they are kept to the pace of ``by_id_pause``
    :param hinted_again: between two questions for the same waiter that hints cause, at least
    :param faults: in a row, after which the waiters are told
    :param longest_pause: between two readings while they fail
    """

    shortest: float = 5.0
    gather: float = 0.5
    slack: float = 5.0
    overlap: float = 120.0
    overlap_every: float = 60.0
    direct: float = 60.0
    direct_pause: float = READ.seconds / READ.limit * 10
    by_id_pause: float = READ.seconds / READ.limit * 2
    last_look: float = 30.0
    net: float = 600.0
    hinted_at_once: int = 50
    hinted_again: float = 1.0
    faults: int = 8
    longest_pause: float = 60.0


PACE = Pace()

_TIMEOUT = 30.0
_MAX_RETRIES = 2
_MAX_WAIT = 120.0
_AT_ONCE = 4
"""Direct questions that may be under way together."""


class Subscriber:
    """
    Somebody whom a feed keeps informed.

    :param poll_interval: seconds after which it wants to know at the latest, if all goes well
    :param key: the field of sessions whose changes it follows, ``None`` if no list tells of what it waits for
    :param since: from when on changes matter
    :param told_by: types of events that together tell of all that it wants to know; none if no event does
    """

    def __init__(
        self, *, poll_interval: float, key: str | None, since: datetime, told_by: Collection[str] = ()
    ) -> None:
        self.poll_interval = poll_interval
        self.told_by = frozenset(told_by)
        self.key = key
        self.since = since
        self.caught_up = False
        """Whether what changed since it began to wait was read."""
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.outcome.add_done_callback(_retrieve)

    @property
    def done(self) -> bool:
        """Whether it is known how the wait ended."""
        return self.outcome.done()

    def tell(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self.done:
            self.outcome.set_exception(error)

    def see(self, rows: Sequence[Session]) -> None:
        """Look at sessions that changed, some of them not for the first time."""

    def read_up_to(self, position: datetime, floor: datetime) -> None:
        """
        Note that a reading is complete.

        :param position: all changes before it were shown
        :param floor: nothing before it will be shown again
        """


def _retrieve(outcome: asyncio.Future[Outcome]) -> None:
    # One that was cancelled does not ask for its outcome any more, and asyncio complains of errors nobody looked at.
    if not outcome.cancelled():
        outcome.exception()


class Waiter(Subscriber):
    """
    Somebody who waits for a condition.

    :param poll_interval: seconds after which it wants to know at the latest, if all goes well
    :param since: from when on changes matter
    """

    def __init__(self, *, condition: Condition[Any], poll_interval: float, since: datetime) -> None:
        super().__init__(poll_interval=poll_interval, key=condition.list_key, since=since, told_by=condition.told_by)
        self.condition = condition
        self.hinted = False
        """Whether it is worth a direct question after the next reading of the list."""
        self.faults = 0
        """Direct questions in a row that failed."""
        self.fault: WtsChatError | None = None
        """Why the last of them failed."""
        self._news: set[Hashable] = set()

    def found(self, outcome: Outcome | None) -> None:
        """
        Note what a look has found.

        :param outcome: ``None`` if there is none yet
        """
        if outcome is not None and not self.done:
            self.outcome.set_result(outcome)

    def see(self, rows: Sequence[Session]) -> None:
        """Judge sessions that changed."""
        for row in rows:
            if self.done:
                return
            said = self.condition.notice(row)
            if isinstance(said, Outcome):
                self.found(said)
            elif said is not None and said not in self._news:
                self._news.add(said)
                self.hinted = True


@dataclass(frozen=True)
class Batch:
    """
    What one or several readings showed.

    :param changes: the changes that matter, none twice
    :param position: all changes before it were shown
    """

    changes: list[Change]
    position: datetime


class Stream(Subscriber):
    """
    Somebody who wants to know of all changes, reading by reading.

    :param poll_interval: seconds after which it wants to know at the latest, if all goes well
    :param since: from when on changes matter
    :param wanted: which changes matter
    """

    def __init__(self, *, poll_interval: float, since: datetime, wanted: SessionChanges) -> None:
        super().__init__(poll_interval=poll_interval, key=UPDATED, since=since, told_by=wanted.told_by)
        self._wanted = wanted
        self._low = since
        self._seen: dict[str, datetime] = {}
        self._changes: list[Change] = []
        self._batch: Batch | None = None
        self._shown = asyncio.Event()

    def see(self, rows: Sequence[Session]) -> None:
        """Pick what is new."""
        for change in filter(None, map(self._wanted.pick, rows)):
            if change.moment >= self._low and self._seen.get(change.session_id) != change.moment:
                self._seen[change.session_id] = change.moment
                self._changes.append(change)

    def read_up_to(self, position: datetime, floor: datetime) -> None:
        """
        Pass on what the reading showed.

        :param position: all changes before it were shown
        :param floor: nothing before it will be shown again
        """
        self._low = max(self._low, floor)
        self._seen = {key: moment for key, moment in self._seen.items() if moment >= self._low}
        changes, self._changes = self._changes, []
        # Readings that nobody took yet become one.
        self._batch = Batch([*(self._batch.changes if self._batch else ()), *changes], position)
        self._shown.set()

    def tell(self, error: BaseException) -> None:
        """End the wait with an error."""
        super().tell(error)
        self._shown.set()

    async def next(self) -> Batch:
        """
        Wait for a reading, and return what was shown since the last call.

        :raises WtsChatError: if the feed cannot go on
        """
        await self._shown.wait()
        self._shown.clear()
        batch, self._batch = self._batch, None
        if batch is None:
            self.outcome.result()
            msg = "A reader of changes was woken without a reason"
            raise RuntimeError(msg)
        if self.done:
            self._shown.set()
        return batch


class Feed:
    """
    The reader that all triggers of a connection in one event loop share.

    Get it with :func:`get_feed`.
    """

    def __init__(self, wtschat_conn_id: str) -> None:
        self.wtschat_conn_id = wtschat_conn_id
        self._subscribers: set[Subscriber] = set()
        self._lists: dict[str, _List] = {}
        self._direct = _Round(self, PACE.direct_pause)
        self._by_id = _Round(self, PACE.by_id_pause)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hinted = _Hinted(self)
        self._by_subject: dict[str, set[Waiter]] = {}
        self._hint_seen: dict[str, float] = {}
        self._last_look = asyncio.Semaphore(1)
        self._gates = {bulk: asyncio.Semaphore(_AT_ONCE) for bulk in (False, True)}
        self._hook: WtsChatAsyncHook | None = None
        self._opening = asyncio.Lock()
        self._opened = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def subscribe(self, subscriber: S) -> AsyncIterator[S]:
        """Keep somebody informed while the block lasts."""
        self._add(subscriber)
        try:
            yield subscriber
        finally:
            # Whoever was cancelled is not asked about any more.
            subscriber.outcome.cancel()
            self._remove(subscriber)
            if not self._subscribers:
                await self._close()

    async def wait(self, waiter: Waiter, seconds: float) -> Outcome | None:
        """
        Wait until it is known how a subscribed waiter's wait ended; ask a last time when its time is up.

        :param seconds: how long at most
        :return: what was found, ``None`` if time ran out
        :raises WtsChatError: if the API cannot be asked
        """
        await asyncio.wait({waiter.outcome}, timeout=max(0.0, seconds))
        if not waiter.done:
            waiter.fault = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PACE.last_look):
                    await self._look_a_last_time(waiter)
            if waiter.fault is not None:
                raise waiter.fault
        return waiter.outcome.result() if waiter.done else None

    async def _look_a_last_time(self, waiter: Waiter) -> None:
        # One after the other: thousands may run out of time together, and must not take the account's limit for it.
        await self._last_look.acquire()
        asyncio.get_running_loop().call_later(PACE.by_id_pause, self._last_look.release)
        await self.ask(waiter)

    async def ask(self, waiter: Waiter, *, bulk: bool = False) -> None:
        """
        Ask the API directly about one waiter.

        :param bulk: whether the question belongs to many
        """
        async with self._gates[bulk]:
            if waiter.done:
                return
            try:
                waiter.found(await self.perform(waiter.condition.look, bulk=bulk))
            except WtsChatError as error:
                waiter.faults += 1
                waiter.fault = error
                waiter.hinted = True
                if not error.retryable or waiter.faults >= PACE.faults:
                    waiter.tell(error)
            else:
                waiter.faults, waiter.fault = 0, None

    async def perform(self, exchange: Callable[[], Exchange[T]], *, bulk: bool = False) -> T:
        """
        Perform a conversation that only reads.

        :param exchange: begins the conversation; it is begun again if the token was renewed in the middle
        """
        return await self._with_hook(lambda hook: hook.perform(exchange(), bulk=bulk))

    async def answer(self, request: Request[T], *, bulk: bool = False) -> Answer[T]:
        """Send a request that only reads."""
        return await self._with_hook(lambda hook: hook.answer(request, bulk=bulk))

    async def _with_hook(self, do: Callable[[WtsChatAsyncHook], Awaitable[T]]) -> T:
        hook = await self._open(None)
        try:
            return await do(hook)
        except WtsChatAuthenticationError:
            # The connection is read again, once: the token may have been renewed.
            return await do(await self._open(hook))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the waiters, for as long as the feed lasts."""
        # In a context of its own: else it would log into the task of the first waiter.
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Nobody may hang because of it, neither who waits nor who comes next.
            log.error("Connection %r: the feed broke", self.wtschat_conn_id, exc_info=error)
            self._retire()
            for subscriber in self._subscribers:
                subscriber.tell(error)

    def is_hinted(self, told_by: Collection[str]) -> bool:
        """
        Say whether hints come of all that somebody wants to know, so that readings are but a net.

        Which events the subscription delivers only they themselves tell: if none of a type came for long, either there
        is no reason for one, or they do not arrive.
        """
        since = asyncio.get_running_loop().time() - 2 * PACE.net
        return bool(told_by) and all(self._hint_seen.get(event, -math.inf) > since for event in told_by)

    def hint(self, hint: Hint) -> None:
        """Receive a hint that something changed."""
        if hint.event is not None:
            self._hint_seen[hint.event] = asyncio.get_running_loop().time()
        for subject in hint.ids():
            for waiter in self._by_subject.get(subject, ()):
                self._hinted.add(waiter)
        if hint.session_id is not None:
            for followed in self._lists.values():
                if followed.has_readers_of_all:
                    followed.wake()

    def read_soon(self, key: str) -> None:
        """
        Let a list be read as soon as its pace allows.

        :param key: the field by which it is followed
        """
        self._lists[key].wake()

    async def _follow_hints(self) -> None:
        while (hints := hints_for(self.wtschat_conn_id)) is not None:
            try:
                async with contextlib.aclosing(hints):
                    async for some in hints:
                        for hint in some:
                            self.hint(hint)
            except Exception as error:
                self._hint_seen.clear()
                log.warning(
                    "Connection %r: no hints of changes for now (%s), so it is read as often as without them",
                    self.wtschat_conn_id,
                    type(error).__name__,
                )
            await asyncio.sleep(PACE.longest_pause)

    def _remove(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if subscriber.key in self._lists:
            self._lists[subscriber.key].remove(subscriber)
        if isinstance(subscriber, Waiter) and (subject := subscriber.condition.subject) is not None:
            waiting = self._by_subject[subject]
            waiting.discard(subscriber)
            if not waiting:
                del self._by_subject[subject]

    def _add(self, subscriber: Subscriber) -> None:
        if not self._subscribers:
            self.start(self._follow_hints())
        self._subscribers.add(subscriber)
        if isinstance(subscriber, Waiter) and (subject := subscriber.condition.subject) is not None:
            self._by_subject.setdefault(subject, set()).add(subscriber)
        if subscriber.key is not None:
            if subscriber.key not in self._lists:
                self._lists[subscriber.key] = _List(self, subscriber.key)
            self._lists[subscriber.key].add(subscriber)
        if isinstance(subscriber, Waiter):
            if subscriber.key is None:
                self._by_id.add(subscriber, max(PACE.shortest, subscriber.poll_interval))
            else:
                self._direct.add(subscriber, max(PACE.direct, subscriber.poll_interval))

    async def _open(self, refused: WtsChatAsyncHook | None) -> WtsChatAsyncHook:
        async with self._opening:
            if self._hook is None or self._hook is refused:
                hook = WtsChatAsyncHook(
                    self.wtschat_conn_id, timeout=_TIMEOUT, max_retries=_MAX_RETRIES, max_wait=_MAX_WAIT
                )
                # The one before stays open for requests that are under way.
                self._hook = await self._opened.enter_async_context(hook)
            return self._hook

    def _retire(self) -> None:
        key = asyncio.get_running_loop(), self.wtschat_conn_id
        if _feeds.get(key) is self:
            del _feeds[key]

    async def _close(self) -> None:
        self._retire()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._opened.aclose()


_feeds: dict[tuple[asyncio.AbstractEventLoop, str], Feed] = {}


def get_feed(wtschat_conn_id: str) -> Feed:
    """Return the feed of a connection in the running event loop."""
    loop = asyncio.get_running_loop()
    # A loop that was closed in the middle left its feed behind.
    for key in [key for key in _feeds if key[0].is_closed()]:
        del _feeds[key]
    if (loop, wtschat_conn_id) not in _feeds:
        _feeds[loop, wtschat_conn_id] = Feed(wtschat_conn_id)
    return _feeds[loop, wtschat_conn_id]


class _Round:
    """Asks about waiters in turn, each when it is due, with a pause between any two."""

    def __init__(self, feed: Feed, pause: float) -> None:
        self._feed = feed
        self._pause = pause
        self._due: list[tuple[float, int, float, float, Waiter]] = []
        """When, a number that tells those apart, the interval, when last, and about whom."""
        self._numbers = itertools.count()
        self._added = asyncio.Event()
        self._going = False

    def add(self, waiter: Waiter, interval: float) -> None:
        if not self._going:
            self._going = True
            self._feed.start(self._go_round())
        now = asyncio.get_running_loop().time()
        self._push(now + interval, interval, now, waiter)
        self._added.set()

    def _push(self, due: float, interval: float, last: float, waiter: Waiter) -> None:
        heapq.heappush(self._due, (due, next(self._numbers), interval, last, waiter))

    async def _go_round(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while self._due and self._due[0][-1].done:
                heapq.heappop(self._due)
            left = self._due[0][0] - clock() if self._due else None
            if left is None or left > 0:
                await _signal(self._added, left)
                continue
            _, _, interval, last, waiter = heapq.heappop(self._due)
            if self._feed.is_hinted(waiter.told_by) and last + PACE.net > clock():
                self._push(last + PACE.net, interval, last, waiter)
                continue
            await self._feed.ask(waiter)
            if not waiter.done:
                self._push(clock() + interval, interval, clock(), waiter)
            await asyncio.sleep(self._pause)


class _Hinted:
    """Asks at once about waiters that hints name; about many within the account's limit, by a list if there is one."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._queue: dict[Waiter, None] = {}
        self._asked: set[Waiter] = set()
        self._again: set[Waiter] = set()
        self._added = asyncio.Event()
        self._going = False

    def add(self, waiter: Waiter) -> None:
        if waiter.done:
            return
        if waiter in self._asked:
            # What is being asked may be older than the hint.
            self._again.add(waiter)
            return
        self._queue[waiter] = None
        self._added.set()
        if not self._going:
            self._going = True
            self._feed.start(self._go())

    async def _go(self) -> None:
        clock = asyncio.get_running_loop().time
        room, since = float(PACE.hinted_at_once), clock()
        while True:
            if not self._queue:
                await _signal(self._added, None)
                continue
            room, since = min(PACE.hinted_at_once, room + (clock() - since) / PACE.by_id_pause), clock()
            if len(self._queue) > room:
                # One page of a list tells of a hundred.
                for waiter in [waiter for waiter in self._queue if waiter.key is not None]:
                    del self._queue[waiter]
                    self._feed.read_soon(str(waiter.key))
            if room < 1:
                await asyncio.sleep((1 - room) * PACE.by_id_pause)
                continue
            if self._queue:
                waiter = next(iter(self._queue))
                del self._queue[waiter]
                self._asked.add(waiter)
                room -= 1
                self._feed.start(self._ask(waiter))

    async def _ask(self, waiter: Waiter) -> None:
        try:
            await self._feed.ask(waiter)
            await asyncio.sleep(0 if waiter.done else PACE.hinted_again)
        finally:
            self._asked.discard(waiter)
            if waiter in self._again:
                self._again.discard(waiter)
                self.add(waiter)


class _List:
    """Reads the sessions that changed, by one field, and shows them to the subscribers."""

    def __init__(self, feed: Feed, key: str) -> None:
        self._feed = feed
        self._key = key
        self._by_session: dict[str, set[Subscriber]] = {}
        self._any: set[Subscriber] = set()
        self._asked: set[Waiter] = set()
        """Those about whom the API is being asked directly, which may take longer than to the next reading."""
        self._sooner = asyncio.Event()
        self._woken = False
        """Whether something is known to have changed."""
        self._interval = math.inf
        self._faults = 0
        self._cursor = Cursor(slack=PACE.slack, overlap=PACE.overlap, overlap_every=PACE.overlap_every)
        feed.start(self._follow())

    def add(self, subscriber: Subscriber) -> None:
        session_id = _session_of(subscriber)
        if session_id is not None:
            self._by_session.setdefault(session_id, set()).add(subscriber)
        else:
            self._any.add(subscriber)
        if subscriber.poll_interval < self._interval:
            self._sooner.set()

    def remove(self, subscriber: Subscriber) -> None:
        self._any.discard(subscriber)
        session_id = _session_of(subscriber)
        if session_id in self._by_session:
            waiting = self._by_session[session_id]
            waiting.discard(subscriber)
            if not waiting:
                del self._by_session[session_id]

    @property
    def has_readers_of_all(self) -> bool:
        """Whether somebody waits for changes of any session."""
        return bool(self._any)

    def wake(self) -> None:
        """Read as soon as the pace allows."""
        self._woken = True
        self._sooner.set()

    def _subscribers(self) -> list[Subscriber]:
        every = itertools.chain(self._any, *self._by_session.values())
        return [subscriber for subscriber in every if not subscriber.done]

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            if self._cursor.position is None:
                await asyncio.sleep(PACE.gather)
            began, self._woken = clock(), False
            if self._subscribers():
                await self._try_to_read()
            else:
                # Those who come next need no changes from before.
                self._cursor.reset()
            while (left := began + self._pause() - clock()) > 0:
                await _signal(self._sooner, left)

    def _pause(self) -> float:
        subscribers = self._subscribers()
        self._interval = max(PACE.shortest, min(map(self._interval_of, subscribers), default=math.inf))
        if self._woken:
            self._interval = PACE.shortest
        if self._faults:
            return min(PACE.longest_pause, self._interval * 2.0 ** (self._faults - 1))
        return self._interval

    def _interval_of(self, subscriber: Subscriber) -> float:
        if subscriber.caught_up and self._feed.is_hinted(subscriber.told_by):
            return max(subscriber.poll_interval, PACE.net)
        return subscriber.poll_interval

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except WtsChatError as error:
            self._faults += 1
            if error.retryable and self._faults < PACE.faults:
                log.warning(
                    "Connection %r: reading what changed failed (%s, %d in a row)",
                    self._feed.wtschat_conn_id,
                    type(error).__name__,
                    self._faults,
                )
                return
            log.error("Connection %r: reading what changed failed: %s", self._feed.wtschat_conn_id, error)
            for subscriber in self._subscribers():
                subscriber.tell(error)
        self._faults = 0

    async def _read(self) -> None:
        subscribers = self._subscribers()
        newcomers = [subscriber for subscriber in subscribers if not subscriber.caught_up]
        clock = asyncio.get_running_loop().time()
        start = await self._catch_up(newcomers, self._cursor.start(clock))
        reading = self._cursor.reading(start, clock)
        paginator = Paginator(every_session(), key=self._key, after=start)
        while (step := paginator.next()) is not None:
            # A long way to catch up leaves the account's other clients room.
            answer = await self._feed.answer(step, bulk=reading.pages > 0)
            rows = paginator.accept(answer.value)
            if paginator.bounds_ignored:
                raise bounds_ignored()
            reading.accept(_moments(rows, self._key), answer.server_time, datetime.now(UTC))
            await self._show(rows)
        self._cursor.finish(reading)
        for subscriber in newcomers:
            subscriber.caught_up = True
        for subscriber in subscribers:
            subscriber.read_up_to(reading.position, self._cursor.floor or reading.position)
        self._ask_hinted()

    async def _catch_up(self, newcomers: list[Subscriber], start: datetime | None) -> datetime:
        """
        Decide from where to read, so that newcomers miss nothing.

        Reading what changed since and asking one by one tell a waiter the same: the cheaper is done.
        """
        now = datetime.now(UTC)
        must = [subscriber.since for subscriber in newcomers if not isinstance(subscriber, Waiter)]
        start = min([*must, start or now])
        far = start - timedelta(seconds=PACE.overlap)
        waiters = [subscriber for subscriber in newcomers if isinstance(subscriber, Waiter)]
        waiters.sort(key=lambda waiter: waiter.since)
        while waiters and waiters[0].since < far:
            if await self._pages_since(waiters[0].since) <= len(waiters):
                break
            half = (len(waiters) + 1) // 2
            for waiter in waiters[:half]:
                waiter.hinted = True
            waiters = waiters[half:]
        return min([start, *(waiter.since for waiter in waiters)])

    async def _pages_since(self, since: datetime) -> int:
        bounds = {f"{self._key}.After": instants.write(since)}
        page = (await self._feed.answer(every_session().page(1, 1, bounds=bounds))).value
        return math.ceil((page.get("totalItems") or 0) / MAX_PAGE_SIZE)

    async def _show(self, rows: list[Session]) -> None:
        for row in rows:
            for subscriber in tuple(self._by_session.get(str(row["id"]).lower(), ())):
                subscriber.see([row])
        for subscriber in tuple(self._any):
            subscriber.see(rows)
            # Many may look at everything: the loop belongs to others, too.
            await asyncio.sleep(0)

    def _ask_hinted(self) -> None:
        waiters = [subscriber for subscriber in self._subscribers() if isinstance(subscriber, Waiter)]
        hinted = [waiter for waiter in waiters if waiter.hinted and waiter not in self._asked]
        if hinted:
            self._asked.update(hinted)
            self._feed.start(self._ask_all(hinted))

    async def _ask_all(self, waiters: list[Waiter]) -> None:
        await asyncio.gather(*(self._ask(waiter, bulk=len(waiters) > _AT_ONCE) for waiter in waiters))

    async def _ask(self, waiter: Waiter, *, bulk: bool) -> None:
        waiter.hinted = False
        try:
            await self._feed.ask(waiter, bulk=bulk)
        finally:
            self._asked.discard(waiter)


def _session_of(subscriber: Subscriber) -> str | None:
    return subscriber.condition.session_id if isinstance(subscriber, Waiter) else None


def _moments(rows: list[Session], key: str) -> list[datetime]:
    texts = (row.get(row_field(key)) for row in rows)
    return [instants.read(str(text)) for text in texts if text]


async def _signal(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, so long at most."""
    event.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if seconds is None or math.isinf(seconds) else seconds):
            await event.wait()
