"""
What the triggers of one connection share in one triggerer: a single reader of what changes.

The account allows a few requests per second to everything that it runs, so a trigger must not ask for itself. A
:class:`Feed` reads the sessions that changed since its last look and tells whoever waits for them: what it costs grows
with what changes, not with who waits. Things that no list tells of (messages, cards) it asks for one by one, in turn,
within a share of the account's limit.

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
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_wtschat.api import instants, sessions
from airflow_provider_wtschat.api.paging import UPDATED, Paginator, row_field
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.api.types import Session, SessionStatus
from airflow_provider_wtschat.budget.limits import READ
from airflow_provider_wtschat.exceptions import WtsChatAuthenticationError, WtsChatError, WtsChatServerError
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.waiting import Asking, Condition, Finding

T = TypeVar("T")
S = TypeVar("S", bound="Subscriber")

INTERACTED = "LastInteractionAt"
_STATUSES = [status.value for status in SessionStatus if status is not SessionStatus.UNDEFINED]

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
    """

    def __init__(self, *, poll_interval: float, key: str | None, since: datetime) -> None:
        self.poll_interval = poll_interval
        self.key = key
        self.since = since
        self.caught_up = False
        """Whether what changed since it began to wait was read."""
        self.outcome: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()
        self.outcome.add_done_callback(_retrieve)

    @property
    def done(self) -> bool:
        """Whether it is known how the wait ended."""
        return self.outcome.done()

    def tell(self, error: BaseException) -> None:
        """
        Take what makes waiting pointless.

        :param error: what it is
        """
        if not self.done:
            self.outcome.set_exception(error)

    def see(self, rows: Sequence[Session]) -> None:
        """
        Look at sessions that changed, some of them not for the first time.

        :param rows: the sessions
        """

    def read_up_to(self, position: datetime, floor: datetime) -> None:
        """
        Hear that a reading is complete.

        :param position: all changes before it were shown
        :param floor: nothing before it will be shown again
        """


def _retrieve(outcome: asyncio.Future[Finding]) -> None:
    # One that was cancelled does not ask for its outcome any more, and asyncio complains of errors nobody looked at.
    if not outcome.cancelled():
        outcome.exception()


class Waiter(Subscriber):
    """
    Somebody who waits for a condition.

    :param condition: what is waited for
    :param poll_interval: seconds after which it wants to know at the latest, if all goes well
    :param since: from when on changes matter
    :param key: the field of sessions whose changes may bring it about. Default: no list tells of it
    :param session_id: the one session that it is about. Default: any
    :param notice: judges a session that changed: what was found, or true if it is worth a direct question
    """

    def __init__(
        self,
        *,
        condition: Condition[Any],
        poll_interval: float,
        since: datetime,
        key: str | None = None,
        session_id: str | None = None,
        notice: Callable[[Session], Finding | bool | None] | None = None,
    ) -> None:
        super().__init__(poll_interval=poll_interval, key=key, since=since)
        self.condition = condition
        self.session_id = session_id
        self.hinted = False
        """Whether it is worth a direct question after the next reading of the list."""
        self.faults = 0
        """Direct questions in a row that failed."""
        self.fault: WtsChatError | None = None
        """Why the last of them failed."""
        self._notice = notice

    def found(self, finding: Finding | None) -> None:
        """
        Take what a look has found.

        :param finding: ``None`` if nothing yet
        """
        if finding is not None and not self.done:
            self.outcome.set_result(finding)

    def see(self, rows: Sequence[Session]) -> None:
        """
        Judge sessions that changed.

        :param rows: the sessions
        """
        if self._notice is None:
            return
        for row in rows:
            if self.done:
                return
            said = self._notice(row)
            if isinstance(said, Finding):
                self.found(said)
            elif said:
                self.hinted = True


@dataclass(frozen=True)
class Batch:
    """
    What one reading showed.

    :param rows: what was picked of the sessions that changed, none twice in the same version
    :param position: all changes before it were shown
    """

    rows: list[dict[str, Any]]
    position: datetime


class Stream(Subscriber):
    """
    Somebody who wants to hear of all that changes, reading by reading.

    :param poll_interval: seconds after which it wants to know at the latest, if all goes well
    :param since: from when on changes matter
    :param pick: takes what matters of a session, and the moment at which it came to be so
    """

    def __init__(
        self,
        *,
        poll_interval: float,
        since: datetime,
        pick: Callable[[Session], tuple[datetime, dict[str, Any]] | None],
    ) -> None:
        super().__init__(poll_interval=poll_interval, key=UPDATED, since=since)
        self._pick = pick
        self._low = since
        self._seen: dict[str, datetime] = {}
        self._rows: list[dict[str, Any]] = []
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()

    def see(self, rows: Sequence[Session]) -> None:
        """
        Pick what is new.

        :param rows: the sessions
        """
        for row in rows:
            picked = self._pick(row)
            if picked is not None:
                moment, shown = picked
                if moment >= self._low and self._seen.get(row["id"]) != moment:
                    self._seen[row["id"]] = moment
                    self._rows.append(shown)

    def read_up_to(self, position: datetime, floor: datetime) -> None:
        """
        Pass on what the reading showed.

        :param position: all changes before it were shown
        :param floor: nothing before it will be shown again
        """
        self._low = max(self._low, floor)
        self._seen = {key: moment for key, moment in self._seen.items() if moment >= self._low}
        rows, self._rows = self._rows, []
        self._batches.put_nowait(Batch(rows, position))

    async def batches(self) -> AsyncIterator[Batch]:
        """
        Give what each reading showed.

        :raises WtsChatError: if the feed cannot go on
        """
        while True:
            batch = asyncio.ensure_future(self._batches.get())
            ends: set[asyncio.Future[Any]] = {batch, self.outcome}
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if not batch.done():
                    self.outcome.result()
                yield await batch
            finally:
                batch.cancel()


class Feed:
    """
    The reader that all triggers of a connection in one event loop share.

    Get it with :func:`get_feed`.

    :param wtschat_conn_id: id of the connection
    """

    def __init__(self, wtschat_conn_id: str) -> None:
        self.wtschat_conn_id = wtschat_conn_id
        self._subscribers: set[Subscriber] = set()
        self._lists: dict[str, _List] = {}
        self._direct = _Round(self, PACE.direct_pause)
        self._by_id = _Round(self, PACE.by_id_pause)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_look = asyncio.Semaphore(1)
        self._gates = {bulk: asyncio.Semaphore(_AT_ONCE) for bulk in (False, True)}
        self._hook: WtsChatAsyncHook | None = None
        self._opening = asyncio.Lock()
        self._opened = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def subscribe(self, subscriber: S) -> AsyncIterator[S]:
        """
        Keep somebody informed while the block lasts.

        :param subscriber: who it is
        """
        self._add(subscriber)
        try:
            yield subscriber
        finally:
            # Whoever was cancelled is not asked about any more.
            subscriber.outcome.cancel()
            self._subscribers.discard(subscriber)
            if subscriber.key in self._lists:
                self._lists[subscriber.key].remove(subscriber)
            if not self._subscribers:
                await self._close()

    async def wait(self, waiter: Waiter, seconds: float) -> Finding | None:
        """
        Wait until it is known how a subscribed waiter's wait ended; ask a last time when its time is up.

        :param waiter: the waiter
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

        :param waiter: the waiter
        :param bulk: whether the question belongs to many
        """
        async with self._gates[bulk]:
            if waiter.done:
                return
            try:
                waiter.found(await self._put(waiter.condition.look(), bulk=bulk))
            except WtsChatError as error:
                waiter.faults += 1
                waiter.fault = error
                waiter.hinted = True
                if not error.retryable or waiter.faults >= PACE.faults:
                    waiter.tell(error)
            else:
                waiter.faults, waiter.fault = 0, None

    async def answer(self, request: Request[T], *, bulk: bool = False) -> Answer[T]:
        """
        Send a request. On a refused token read the connection again, once: it may have been renewed.

        :param request: the request
        :param bulk: whether it belongs to a long read
        """
        hook = await self._open(None)
        try:
            return await hook.answer(request, bulk=bulk)
        except WtsChatAuthenticationError:
            renewed = await self._open(hook)
            return await renewed.answer(request, bulk=bulk)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """
        Run something beside the waiters, for as long as the feed lasts.

        :param work: what to run
        """
        # In a context of its own: else it would log into the task of whoever came first.
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

    def _add(self, subscriber: Subscriber) -> None:
        self._subscribers.add(subscriber)
        if subscriber.key is not None:
            if subscriber.key not in self._lists:
                self._lists[subscriber.key] = _List(self, subscriber.key)
            self._lists[subscriber.key].add(subscriber)
        if isinstance(subscriber, Waiter):
            if subscriber.key is None:
                self._by_id.add(subscriber, max(PACE.shortest, subscriber.poll_interval))
            else:
                self._direct.add(subscriber, max(PACE.direct, subscriber.poll_interval))

    async def _put(self, asking: Asking[T], *, bulk: bool) -> T:
        try:
            request = next(asking)
            while True:
                request = asking.send((await self.answer(request, bulk=bulk)).value)
        except StopIteration as end:
            value: T = end.value
            return value

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
    """
    Return the feed of a connection in the running event loop.

    :param wtschat_conn_id: id of the connection
    """
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
        self._due: list[tuple[float, int, float, Waiter]] = []
        self._numbers = itertools.count()
        self._added = asyncio.Event()
        self._going = False

    def add(self, waiter: Waiter, interval: float) -> None:
        if not self._going:
            self._going = True
            self._feed.start(self._go_round())
        self._push(waiter, interval)
        self._added.set()

    def _push(self, waiter: Waiter, interval: float) -> None:
        due = asyncio.get_running_loop().time() + interval
        heapq.heappush(self._due, (due, next(self._numbers), interval, waiter))

    async def _go_round(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while self._due and self._due[0][-1].done:
                heapq.heappop(self._due)
            left = self._due[0][0] - clock() if self._due else None
            if left is None or left > 0:
                await _signal(self._added, left)
                continue
            _, _, interval, waiter = heapq.heappop(self._due)
            await self._feed.ask(waiter)
            if not waiter.done:
                self._push(waiter, interval)
            await asyncio.sleep(self._pause)


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
        self._interval = math.inf
        self._faults = 0
        self._position: datetime | None = None
        """All changes before it were read."""
        self._overlap_from: datetime | None = None
        """Where the next reading that goes back for late rows begins."""
        self._overlap_due = 0.0
        feed.start(self._follow())

    def add(self, subscriber: Subscriber) -> None:
        if isinstance(subscriber, Waiter) and subscriber.session_id is not None:
            self._by_session.setdefault(subscriber.session_id, set()).add(subscriber)
        else:
            self._any.add(subscriber)
        if subscriber.poll_interval < self._interval:
            self._sooner.set()

    def remove(self, subscriber: Subscriber) -> None:
        self._any.discard(subscriber)
        if isinstance(subscriber, Waiter) and subscriber.session_id in self._by_session:
            waiting = self._by_session[subscriber.session_id]
            waiting.discard(subscriber)
            if not waiting:
                del self._by_session[subscriber.session_id]

    def _subscribers(self) -> list[Subscriber]:
        every = itertools.chain(self._any, *self._by_session.values())
        return [subscriber for subscriber in every if not subscriber.done]

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            if self._position is None:
                await asyncio.sleep(PACE.gather)
            began = clock()
            if self._subscribers():
                await self._try_to_read()
            else:
                # Whoever comes next need not hear of what changes meanwhile.
                self._position = self._overlap_from = None
            while (left := began + self._pause() - clock()) > 0:
                await _signal(self._sooner, left)

    def _pause(self) -> float:
        intervals = [subscriber.poll_interval for subscriber in self._subscribers()]
        self._interval = max(PACE.shortest, min(intervals, default=math.inf))
        if self._faults:
            return min(PACE.longest_pause, self._interval * 2.0 ** (self._faults - 1))
        return self._interval

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
        start = self._position and self._position - timedelta(seconds=PACE.slack)
        overlap = self._overlap_from is not None and self._overlap_due <= asyncio.get_running_loop().time()
        if overlap and self._overlap_from is not None:
            start = self._overlap_from
        start = await self._catch_up(newcomers, start)

        began = asyncio.get_running_loop().time()
        paginator = Paginator(_sessions(), key=self._key, after=start)
        pages, position = 0, self._position or start
        while (step := paginator.next()) is not None:
            # A long way to catch up leaves the account's other clients room.
            answer = await self._feed.answer(step, bulk=pages > 0)
            rows = paginator.accept(answer.value)
            if paginator.bounds_ignored:
                msg = "The API ignores the bounds of its list of sessions, so what changed cannot be told from the rest"
                raise WtsChatServerError(msg, retryable=True)
            if pages == 0 and answer.server_time is not None:
                # It goes on although nothing changes: else what changed last, which may be much, came again each time.
                # Of two clocks the one behind, since a clock ahead would leave changes out.
                now = min(answer.server_time, datetime.now(UTC))
                position = max(position, now - timedelta(seconds=PACE.slack))
            pages += 1
            position = max([position, *_moments(rows, self._key)])
            await self._show(rows)
        self._position = position
        if overlap or self._overlap_from is None or start <= self._overlap_from:
            self._overlap_from = self._position - timedelta(seconds=PACE.overlap)
            self._overlap_due = began + (PACE.overlap_every if pages > 1 else 0.0)
        for subscriber in newcomers:
            subscriber.caught_up = True
        for subscriber in subscribers:
            subscriber.read_up_to(self._position, self._overlap_from)
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
        page = (await self._feed.answer(_sessions().page(1, 1, bounds=bounds))).value
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


def _moments(rows: list[Session], key: str) -> list[datetime]:
    texts = (row.get(row_field(key)) for row in rows)
    return [instants.read(str(text)) for text in texts if text]


def _sessions() -> PagedRequest[Session]:
    # Hidden ones are listed only if their status is asked for.
    return sessions.list_(status=_STATUSES)


async def _signal(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, so long at most."""
    event.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if seconds is None or math.isinf(seconds) else seconds):
            await event.wait()
