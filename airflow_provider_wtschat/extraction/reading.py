"""
Reading everything that changed: at the pace the account allows, and without losing what moves meanwhile.

Several workers read windows that lie side by side and end a minute before the reading began, on the server's clock.
A row that changes while they read leaves its window, perhaps unread, for the end of the order; so **one** reader goes
over what has changed since, in ascending order, which rows can only move along. Reading up to now in parallel would
lose them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.paging import CREATED, UPDATED, Paginator, row_field
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction.windows import check_window
from airflow_provider_wtschat.extraction.workers import Answered, Workers
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

Row = TypeVar("Row")
log = logging.getLogger(__name__)

WORKERS = 24
SETTLED = timedelta(seconds=60)
"""How long before the reading began the windows end that are read in parallel."""

_SAY_EVERY = 10.0
LOOK_EVERY = 1.0
"""Seconds after which whoever waits for an answer looks whether it is time to say something."""
_WORTH_PAGES = 2
"""Pages that must be left for a split to pay: it costs a request, and each of the two ends with a page half full."""


@dataclass(frozen=True)
class Batch(Generic[Row]):
    """
    Rows of one answer.

    :param rows: the rows as the API sent them
    :param read_at: the server's clock at the answer; the worker's where the server does not say
    :param request: the list that the rows are of
    :param parent: what the rows belong to, where they were read by parent, such as the session of messages
    :param complete: whether nothing of the parent is to come any more
    """

    rows: list[Row]
    read_at: datetime
    request: Request[Any]
    parent: Parent | None = None
    complete: bool = False


@dataclass(frozen=True)
class Parent:
    """
    A thing whose children are to be read.

    :param id: its id
    :param version: what to keep once its children were read, and to compare with when they may be read again
    """

    id: str
    version: str


class Reading(Generic[Row]):
    """
    A reading under way: iterate over it once for its batches, then ask how far it went.

    What it starts ends with it, or with an exception of whoever iterates.
    """

    def __init__(self) -> None:
        self.rows = 0
        """Rows given so far; a row may count more than once."""
        self.expected: int | None = None
        """Rows that the lists had when the reading began."""
        self.requests = 0
        """Requests made so far."""
        self.started_at: datetime | None = None
        """The server's clock at the first answer."""
        self.until_reached: datetime | None = None
        """Every change before this instant was read; ``None`` until the reading is finished."""
        self.reasons: list[str] = []
        """Why the reading is not verified."""
        self._batches: Generator[Batch[Row], None, None] = self._read()

    def __iter__(self) -> Iterator[Batch[Row]]:
        """Return the batches that were not given yet."""
        return self._batches

    @property
    def verified(self) -> bool:
        """Whether the server kept to what the reading relies on, as far as its answers show."""
        return not self.reasons

    def close(self) -> None:
        """End the reading now."""
        self._batches.close()

    def _read(self) -> Generator[Batch[Row], None, None]:
        yield from ()

    def _doubt(self, reason: str | None) -> None:
        if reason and reason not in self.reasons:
            self.reasons.append(reason)


class Progress:
    """
    Says every few seconds how a reading goes.

    :param hook: the hook, whose budget tells how long was waited
    :param reading: the reading
    """

    def __init__(self, hook: WtsChatHook, reading: Reading[Any]) -> None:
        self._budget = hook.budget
        self._reading = reading
        self._waited = self._budget.waited
        self._started = self._said = time.monotonic()

    def say(self, remaining: float | None, *, end: bool = False) -> None:
        """
        Log a line, if it is time.

        :param remaining: rows still to come, where known
        :param end: log it in any case
        """
        now = time.monotonic()
        if not end and now - self._said < _SAY_EVERY:
            return
        self._said = now
        reading, seconds = self._reading, max(now - self._started, 0.001)
        rate = reading.rows / seconds
        left = f", about {remaining / rate:.0f} s left" if remaining and rate and not end else ""
        log.info(
            "Read %d rows of about %s in %.0f s (%.0f/s) with %d requests, waited %.0f s for the account's limit%s",
            reading.rows,
            "?" if reading.expected is None else reading.expected,
            seconds,
            rate,
            reading.requests,
            self._budget.waited - self._waited,
            left,
        )


class Snapshot(Reading[Row]):
    """
    Reads lists as they are now, one after the other. Built by :func:`read_snapshot`.

    :param hook: the hook
    :param requests: the lists
    :param bulk: whether to leave the account's other clients room
    :param page_size: rows per page of those that are paged
    """

    def __init__(
        self, hook: WtsChatHook, requests: Sequence[Request[Any]], *, bulk: bool, page_size: int = MAX_PAGE_SIZE
    ) -> None:
        super().__init__()
        self._hook = hook
        self._requests = requests
        self._bulk = bulk
        self._page_size = page_size

    def _read(self) -> Generator[Batch[Row], None, None]:
        for request in self._requests:
            if isinstance(request, PagedRequest):
                paginator: Paginator[Row] = Paginator(request, page_size=self._page_size)
                while (step := paginator.next()) is not None:
                    yield self._batch(request, step, paginator)
                    self._doubt(paginator.reason)
            else:
                yield self._batch(request, request)
        self.until_reached = self.started_at

    def _batch(self, request: Request[Any], step: Request[Any], paginator: Paginator[Row] | None = None) -> Batch[Row]:
        answer = self._hook.answer(step, bulk=self._bulk)
        self.requests += 1
        self.started_at = self.started_at or answer.server_time
        rows = answer.value or [] if paginator is None else paginator.accept(answer.value)
        self.rows += len(rows)
        return Batch(rows, answer.server_time or datetime.now(UTC), request)


@dataclass(eq=False)
class _Source:
    """One of the lists that are read."""

    request: PagedRequest[Any]
    parts: int = 0
    begun: bool = False
    tail_from: datetime | None = None
    reached: datetime | None = None
    dropped: bool = False


_Kind = Literal["first", "window", "whole"]


@dataclass(eq=False)
class _Part:
    """A window of a list, read by one worker at a time."""

    source: _Source
    paginator: Paginator[Any]
    width: int
    kind: _Kind = "first"
    origin: _Part | None = None
    """What it was split from, until it has shown whether that was worth it."""
    dropped: bool = False
    last_key: str | None = None


class Changes(Reading[Row]):
    """
    Reads what changed. Built by :func:`read_changes`.

    :param hook: the hook
    :param requests: the lists
    :param since: start, included; ``None`` for the beginning
    :param until: end, excluded; ``None`` for now
    :param key: the field that the window is on
    :param workers: threads at most
    :param bulk: whether to leave the account's other clients room
    :param page_size: rows per page
    """

    def __init__(
        self,
        hook: WtsChatHook,
        requests: Sequence[PagedRequest[Row]],
        since: datetime | None,
        until: datetime | None,
        *,
        key: str,
        workers: int,
        bulk: bool,
        page_size: int,
    ) -> None:
        super().__init__()
        self.since = since
        self.until = until
        self._hook = hook
        self._requests = requests
        self._key = key
        self._count = workers
        self._bulk = bulk
        self._page_size = page_size
        self._sources: list[_Source] = []
        self._parts: list[_Part] = []

    def _read(self) -> Generator[Batch[Row], None, None]:
        progress = Progress(self._hook, self)
        with Workers[_Part](self._hook, self._count, bulk=self._bulk) as workers:
            for request in self._requests:
                source = _Source(request)
                self._sources.append(source)
                self._start(workers, self._part(source, self.since, self.until))
            while self._parts:
                answered = workers.take(LOOK_EVERY)
                if answered is not None and not answered.tag.dropped:
                    part = answered.tag
                    rows = self._take(workers, answered)
                    self.rows += len(rows)
                    self.requests = workers.requests
                    if rows:
                        yield Batch(rows, read_at(answered), part.source.request)
                progress.say(sum(map(_remaining, self._parts)))
            self.requests = workers.requests
        reached = [source.reached or self.since for source in self._sources]
        known = [moment for moment in reached if moment is not None]
        self.until_reached = min(known) if known and len(known) == len(reached) else self.since
        progress.say(0, end=True)

    def _part(self, source: _Source, after: datetime | None, before: datetime | None) -> _Part:
        paginator = Paginator(source.request, page_size=self._page_size, key=self._key, after=after, before=before)
        return _Part(source, paginator, width=self._count)

    def _start(self, workers: Workers[_Part], part: _Part) -> None:
        part.source.parts += 1
        self._parts.append(part)
        if not self._ask(workers, part):
            # The request's own bounds leave nothing of the window.
            part.kind = "whole"
            self._finish(workers, part, workers.server_time)

    def _ask(self, workers: Workers[_Part], part: _Part) -> bool:
        request = part.paginator.next()
        if request is None:
            return False
        workers.submit(part, request)
        return True

    def _take(self, workers: Workers[_Part], answered: Answered[_Part]) -> list[Row]:
        part, paginator = answered.tag, answered.tag.paginator
        if isinstance(answered.answer, BaseException):
            raise answered.answer
        self.started_at = self.started_at or answered.answer.server_time
        rows: list[Row] = paginator.accept(answered.answer.value)
        self._doubt(paginator.reason)
        if paginator.bounds_ignored and not part.source.dropped:
            self._give_up_windows(workers, part.source)
            return []
        if rows:
            part.last_key = rows[-1].get(row_field(self._key))  # type: ignore[attr-defined]  # rows are mappings
        if paginator.total is not None:
            self._learn(part)
            if not part.source.begun:
                self._begin(part)
        if not self._ask(workers, part):
            self._finish(workers, part, answered.not_before)
        self._split(workers)
        return rows

    def _begin(self, part: _Part) -> None:
        """Decide, by the first answer, what of a list may be read in parallel."""
        source, paginator = part.source, part.paginator
        source.begun = True
        self.expected = (self.expected or 0) + (paginator.total or 0)
        part.kind = "whole"
        if self.started_at is None:
            if source is self._sources[0]:
                self._say_no_clock()
        elif paginator.by_key and paginator.next() is not None:
            settled = self.started_at - SETTLED
            end = settled if self.until is None else min(settled, self.until)
            if paginator.position is None or paginator.position < end:
                part.kind = "window"
                source.tail_from = end if self.until is None or self.until > settled else None
                paginator.cut(end)

    def _learn(self, part: _Part) -> None:
        """Split less wide what a split has just shown to be empty, and wider again where one found rows."""
        if part.origin is not None:
            width = part.origin.width
            part.origin.width = min(self._count, width * 2) if part.paginator.remaining else max(1, width // 2)
            part.origin = None

    def _finish(self, workers: Workers[_Part], part: _Part, not_before: datetime | None) -> None:
        source = part.source
        self._parts.remove(part)
        source.parts -= 1
        if part.kind == "whole":
            source.reached = self._reached(part, not_before)
        elif not source.parts:
            source.reached = self.until
            if source.tail_from is not None:
                tail = self._part(source, source.tail_from, self.until)
                tail.kind = "whole"
                self._start(workers, tail)

    def _reached(self, part: _Part, not_before: datetime | None) -> datetime | None:
        moment = not_before
        if part.source.dropped or not part.paginator.by_key:
            moment = self.started_at
        if moment is None:
            # Without the server's clock its rows tell how late it is there at least.
            moment = instants.read(part.last_key) if part.last_key else self.since
        return moment if self.until is None or moment is None else min(moment, self.until)

    def _split(self, workers: Workers[_Part]) -> None:
        """Let idle workers take over a part of what the others have left."""
        least = _WORTH_PAGES * self._page_size
        candidates = [part for part in self._parts if part.kind == "window" and part.paginator.divisible]
        while workers.idle and candidates:
            part = max(candidates, key=_remaining)
            candidates.remove(part)
            if _remaining(part) < least:
                return
            pieces = min(workers.idle, part.width, _remaining(part) // self._page_size - 1)
            for paginator in part.paginator.divide(pieces):
                self._start(workers, _Part(part.source, paginator, width=self._count, kind="window", origin=part))

    def _give_up_windows(self, workers: Workers[_Part], source: _Source) -> None:
        """Read a list whose bounds the server ignores once, in place of once for each window."""
        source.dropped = True
        source.begun = True
        source.tail_from = None
        for part in [part for part in self._parts if part.source is source]:
            part.dropped = True
            self._parts.remove(part)
        source.parts = 0
        order = CREATED if CREATED in source.request.bounds else self._key
        source.request = source.request.having(order_by=order, order_direction="ASCENDING")
        whole = self._part(source, self.since, self.until)
        whole.kind = "whole"
        self._start(workers, whole)

    def _say_no_clock(self) -> None:
        log.warning(
            "The server's answers have no Date header, so one worker reads alone and how far it came is told by the "
            "newest row. A proxy on the way may strip it"
        )


def read_snapshot(
    hook: WtsChatHook, requests: Sequence[Request[Any]], *, bulk: bool = True, page_size: int = MAX_PAGE_SIZE
) -> Snapshot[Any]:
    """
    Read lists as they are now.

    :param hook: the hook
    :param requests: the lists, paged or not
    :param bulk: whether to leave the account's other clients room. Default: yes
    :param page_size: rows per page, 1 to 100
    :return: the reading
    """
    return Snapshot(hook, requests, bulk=bulk, page_size=page_size)


def read_at(answered: Answered[Any]) -> datetime:
    """
    Tell when rows were read: the server's clock, or the worker's where the server does not say.

    :param answered: what became of the request
    """
    said = answered.answer.server_time if isinstance(answered.answer, Answer) else None
    return said or datetime.now(UTC)


def _remaining(part: _Part) -> int:
    return part.paginator.remaining or 0


def read_changes(
    hook: WtsChatHook,
    request: PagedRequest[Row] | Sequence[PagedRequest[Row]],
    since: Any = None,
    until: Any = None,
    *,
    timezone: str = "UTC",
    key: str = UPDATED,
    workers: int = WORKERS,
    bulk: bool = True,
    page_size: int = MAX_PAGE_SIZE,
) -> Changes[Row]:
    """
    Read every row that changed in a window, in its newest version, whatever moves meanwhile.

    A row may come more than once; keep the newest by (``updatedAt``, ``read_at``). A window in the past is not
    repeatable: a row that changes again leaves it.

    :param hook: the hook
    :param request: the list, or several; without an order of their own
    :param since: start, included: datetime, date, or text. Default: the beginning
    :param until: end, excluded. Default: now, on the server's clock
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param key: the field that the window is on. Default: ``UpdatedAt``
    :param workers: threads at most, 1 to 64
    :param bulk: whether to leave the account's other clients room. Default: yes
    :param page_size: rows per page, 1 to 100
    :return: the reading: iterate over it, then read ``until_reached`` and ``verified``
    :raises WtsChatArgumentError: if the window is empty or runs backwards, or a list has an order of its own
    """
    low = None if since is None else instants.parse("since", since, timezone)
    high = None if until is None else instants.parse("until", until, timezone)
    if low is not None and high is not None:
        check_window(low, high)
    count = convert.required("workers", convert.integer("workers", workers, minimum=1, maximum=64))
    size = convert.required("page_size", convert.integer("page_size", page_size, minimum=1, maximum=MAX_PAGE_SIZE))
    requests = [request] if isinstance(request, PagedRequest) else list(request)
    for one in requests:
        if one.order_by or one.order_direction:
            msg = f"order_by: {one.label} has an order of its own, in which rows that move are lost; leave it out"
            raise WtsChatArgumentError(msg)
    return Changes(hook, requests, low, high, key=key, workers=count, bulk=bulk, page_size=size)
