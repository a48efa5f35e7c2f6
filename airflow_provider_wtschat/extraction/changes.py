"""
Reading everything that changed: at the pace the account allows, and without losing what moves meanwhile.

Several workers read what lies before a minute ago, on the server's clock. A row that changes while they read leaves its
window, perhaps unread, for the end of the order; so **one** worker reads what has changed since, in ascending order,
along which rows can only move ahead. Reading up to now in parallel would lose them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.paging import CREATED, UPDATED, Paginator, row_field
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest
from airflow_provider_wtschat.budget.limits import BURST, READ
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatNotFoundError,
    WtsChatRefusedError,
    WtsChatServerError,
)
from airflow_provider_wtschat.extraction import pace, splitting
from airflow_provider_wtschat.extraction.clock import AHEAD
from airflow_provider_wtschat.extraction.reading import LOOK_EVERY, WORKERS, Batch, Progress, Reading, succeeded
from airflow_provider_wtschat.extraction.sweep import Gap, Sweep
from airflow_provider_wtschat.extraction.windows import check_window
from airflow_provider_wtschat.extraction.workers import Answered, Workers

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

Row = TypeVar("Row")
Position = Mapping[str, Any]
"""How far a reading came, as plain JSON."""
log = logging.getLogger(__name__)

SETTLED = timedelta(seconds=60)
"""How long before the reading began the windows end that are read in parallel."""

_WORTH_PAGES = 2
"""Pages that must be left for a sweep to pay."""
_WORTH_SPLIT = 4
"""Pages that a piece must have for a split to pay: it costs a request, and each piece ends with a page half full."""
_GAPS = 4
"""Gaps between the pages of a sweep after which splits cost less: they do not grow with what moves."""
_SAMPLE = 4
"""Lists of many in which rows without a key are looked for, beside those of a first load, where all are."""
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Unfiltered:
    """
    A list without the filter on a status, to be compared with the lists that name every status that is known.

    :param wide: the list without the filter
    :param usual: the lists of what it is known to show without the filter
    :param every: the lists of every status that is known
    """

    wide: PagedRequest[Any]
    usual: Sequence[PagedRequest[Any]]
    every: Sequence[PagedRequest[Any]]


class _Phase(Enum):
    """What a range of a list is to its reading."""

    FIRST = "not answered yet"
    WINDOW = "read in parallel with others"
    TAIL = "read by one worker to its end"


@dataclass(eq=False)
class _Source:
    """
    One of the lists that are read.

    :param key: the field that it is read over
    :param missing: give only rows without this field
    :param counted: whether its rows belong to what was expected
    """

    request: PagedRequest[Any]
    key: str
    missing: str | None = None
    counted: bool = True
    open: int = 0
    tail_from: datetime | None = None
    reached: datetime | None = None
    finished: bool = False
    unbounded: bool = False
    """Whether the server ignores its bounds, so that it is read once and whole."""
    rows: int = 0
    newest: str | None = None
    sweeps: list[Sweep[Any]] = field(default_factory=list)


@dataclass(eq=False)
class _Range:
    """A range of a list, read by one worker at a time."""

    source: _Source
    paginator: Paginator[Any]
    width: int
    phase: _Phase = _Phase.FIRST
    origin: _Range | None = None
    """What it was split from, until it has shown whether that was worth it."""
    dropped: bool = False
    gap: Gap | None = None
    """The gap of a sweep that it closes."""
    expected: int = 0
    """About how many rows it has, until the server says."""

    @property
    def remaining(self) -> int:
        return (self.paginator.remaining if self.paginator.answered else self.expected) or 0


@dataclass(frozen=True)
class _SweptPage:
    """A page of a sweep."""

    source: _Source
    sweep: Sweep[Any]
    number: int


@dataclass(frozen=True)
class _Count:
    """A count of rows."""

    index: int


_Job = _Range | _SweptPage | _Count


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
    :param also: another field that can move while the key does not
    :param unfiltered: what to compare the lists with
    :param parents_may_go: whether a list that is not found any more is an empty one
    :param thorough: whether to look for rows without the key
    :param resume: where another reading of the same lists was left
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
        also: str | None = None,
        unfiltered: Sequence[Unfiltered] = (),
        parents_may_go: bool = False,
        thorough: bool = False,
        resume: Position | None = None,
    ) -> None:
        super().__init__()
        self.since = since
        self.until = until
        self._hook = hook
        self._key = key
        self._count = workers
        self._bulk = bulk
        self._page_size = page_size
        self._also = also
        self._unfiltered = unfiltered
        self._parents_may_go = parents_may_go
        self._thorough = thorough
        self._resume = _usable(resume, since, until, key)
        self._sources = [_Source(request, key) for request in requests]
        self._ranges: list[_Range] = []
        self._touched: set[tuple[Any, Any, Any]] = set()

    @property
    def position(self) -> dict[str, Any]:
        """
        How far the reading came, as plain JSON: what the batches taken so far leave to be read.

        Keep it together with these batches, and a later reading with ``resume=`` goes on from there.
        """
        lists = {_digest(source.request): self._left(source) for source in self._sources if source.counted}
        window = {
            "key": self._key,
            "since": instants.write_or_none(self.since),
            "until": instants.write_or_none(self.until),
        }
        return {**window, "lists": lists}

    def _left(self, source: _Source) -> list[list[str | None]]:
        """Return the ranges of a list that are still to be read."""
        left: set[tuple[datetime | None, datetime | None]] = set()
        ranges = [each for each in self._ranges if each.source is source]
        if source.finished and source.reached is not None:
            if self.until is None or source.reached < self.until:
                left.add((source.reached, self.until))
        elif source.unbounded or not (ranges or source.sweeps) or any(not each.paginator.by_key for each in ranges):
            left.add((self.since, self.until))
        else:
            for each in ranges:
                paginator = each.paginator
                held = paginator.at.get(self._key)
                if held is not None:
                    left.add((held, held + _MICROSECOND))
                else:
                    left.add((paginator.position or paginator.after, paginator.before))
            left |= {(sweep.position or sweep.paginator.after, sweep.paginator.before) for sweep in source.sweeps}
            # What was read to its end while other ranges were not: it goes on from there.
            for moment in (source.tail_from, source.reached):
                if moment is not None and (self.until is None or moment < self.until):
                    left.add((moment, self.until))
        return [
            [instants.write_or_none(low), instants.write_or_none(high)]
            for low, high in sorted(left, key=lambda pair: pair[0] or _FIRST)
        ]

    def _read(self) -> Generator[Batch[Row], None, None]:
        progress = Progress(self._hook, self)
        with Workers[_Job](self._hook, self._count, bulk=self._bulk) as workers:
            self.clock = workers.clock
            for source in self._sources:
                self._open(workers, source, self._ranges_of(source))
            yield from self._run(workers, progress)
            reached = [source.reached or self.since for source in self._sources]
            if self.started_at is not None:
                yield from self._read_unnamed(workers, progress)
                yield from self._read_without_key(workers, progress)
                yield from self._read_touched(workers, progress)
            self.requests = workers.requests
        self._warn_of_clock()
        known = [moment for moment in reached if moment is not None]
        self.until_reached = min(known) if known and len(known) == len(reached) else self.since
        progress.say(0, end=True)

    def _run(self, workers: Workers[_Job], progress: Progress) -> Generator[Batch[Row], None, None]:
        """Read what is open."""
        while self._ranges or any(source.sweeps for source in self._sources):
            answered = workers.take(LOOK_EVERY)
            if answered is not None:
                job = answered.tag
                rows: list[Row] = []
                if isinstance(job, _Range) and not job.dropped:
                    rows = self._new(job.source, self._take(workers, job, answered), job.gap)
                elif isinstance(job, _SweptPage) and job.sweep in job.source.sweeps:
                    rows = self._new(job.source, self._take_swept(workers, job, answered))
                self.requests = workers.requests
                if rows and not isinstance(job, _Count):
                    self.rows += len(rows)
                    read_at = max(self.started_at or _FIRST, self.clock.at(answered.received))
                    yield Batch(rows, read_at, job.source.request)
                self._fill(workers)
            progress.say(self._remaining())

    def _new(self, source: _Source, rows: list[Any], gap: Gap | None = None) -> list[Any]:
        """Leave out what was given before in the same version, where that is likely."""
        if source.missing is not None:
            rows = [row for row in rows if not row.get(source.missing)]
        if gap is not None:
            # Within its bounds a row that was given at their instants is still the same.
            ends, name = (gap.low, gap.high), row_field(source.key)
            rows = [row for row in rows if row["id"] not in gap.given or instants.read(row[name]) not in ends]
        if self._also is None or self.started_at is None:
            return rows
        fresh = []
        name, settled = row_field(self._also), self._settled()
        for row in rows:
            text = row.get(name)
            version = row["id"], row.get(row_field(self._key)), text
            if source.counted:
                if _lies_from(settled, text):
                    self._touched.add(version)
            elif version in self._touched:
                continue
            fresh.append(row)
        return fresh

    def _note(self, source: _Source, rows: Sequence[Any]) -> None:
        source.rows += len(rows)
        if rows:
            source.newest = rows[-1].get(row_field(source.key)) or source.newest

    def _remaining(self) -> int:
        swept = sum(sweep.remaining for source in self._sources for sweep in source.sweeps)
        return swept + sum(each.remaining for each in self._ranges)

    def _ranges_of(self, source: _Source) -> list[tuple[datetime | None, datetime | None]]:
        """Return what is to be read of a list."""
        left = self._resume.get(_digest(source.request)) if self._resume is not None else None
        if left is None:
            return [(self.since, self.until)]
        ranges: list[tuple[datetime | None, datetime | None]] = []
        for low, high in left:
            after, before = instants.read_or_none(low), instants.read_or_none(high)
            if self.since is not None and (after is None or after < self.since):
                after = self.since
            if before is None or (self.until is not None and before > self.until):
                before = self.until
            if after is None or before is None or after < before:
                ranges.append((after, before))
        return ranges

    def _open(
        self, workers: Workers[_Job], source: _Source, ranges: Sequence[tuple[datetime | None, datetime | None]]
    ) -> None:
        if not ranges:
            source.finished, source.reached = True, self.until
        source.open += len(ranges)
        for after, before in ranges:
            self._start(workers, self._range(source, after, before))

    def _range(self, source: _Source, after: datetime | None, before: datetime | None) -> _Range:
        paginator = Paginator(
            source.request, page_size=self._page_size, key=source.key, after=after, before=before, confirm=True
        )
        return _Range(source, paginator, width=self._count)

    def _start(self, workers: Workers[_Job], each: _Range) -> None:
        self._ranges.append(each)
        if not self._ask(workers, each):
            # The request's own bounds leave nothing of the window.
            each.phase = _Phase.TAIL
            self._finish(workers, each, self.clock.now())

    def _ask(self, workers: Workers[_Job], each: _Range) -> bool:
        request = each.paginator.next()
        if request is None:
            return False
        workers.submit(each, request)
        return True

    def _take(self, workers: Workers[_Job], each: _Range, answered: Answered[_Job]) -> list[Row]:
        source, paginator = each.source, each.paginator
        if self._parents_may_go and isinstance(answered.answer, WtsChatNotFoundError):
            self._close(source, answered)
            return []
        answer = succeeded(answered)
        if self.started_at is None:
            self.started_at = self.clock.at(answered.sent)
            self._check_since()
        rows: list[Row] = paginator.accept(answer.value)
        self._note(source, rows)
        self._doubt(paginator.reason)
        if paginator.bounds_ignored and not source.unbounded:
            self._give_up_windows(workers, source)
            return []
        swept = False
        if paginator.answered:
            self._learn(each)
            if each.phase is _Phase.FIRST:
                swept = self._begin(each, answer.value)
        if swept:
            self._ranges.remove(each)
        elif not self._ask(workers, each):
            self._finish(workers, each, self.clock.at(answered.sent))
        return rows

    def _check_since(self) -> None:
        """Refuse a window that has not begun on any clock: nothing of it would be read, now and later."""
        latest = self.clock.latest()
        if self.since is not None and self.since > latest + AHEAD:
            raise WtsChatArgumentError(
                "since",
                f"the window begins at {instants.write(self.since)}, but by the server's clock and by this machine's "
                f"it is {instants.write(latest)} at most. If it follows from where an earlier load ended, that was "
                "told a wrong time: load again from an instant that has passed",
            )

    def _begin(self, each: _Range, page: Any) -> bool:
        """Decide, by the first answer, what of a range may be read in parallel; tell whether it is swept."""
        source, paginator = each.source, each.paginator
        if source.counted:
            self.expected = (self.expected or 0) + (paginator.total or 0)
        each.phase = _Phase.TAIL
        if self.started_at is None or not self.clock.known:
            if source is self._sources[0]:
                self._warn_of_no_clock()
            return False
        if not paginator.by_key or paginator.next() is None:
            return False
        settled = self.started_at - SETTLED
        before = paginator.before
        end = settled if before is None else min(settled, before)
        if paginator.position is not None and paginator.position >= end:
            return False
        each.phase = _Phase.WINDOW
        if before is None or before > settled:
            source.tail_from = end
        paginator.cut(end)
        pages = pace.pages(paginator.total or 0, self._page_size)
        if paginator.key != source.key or self._count == 1 or pages <= _WORTH_PAGES or source.missing:
            return False
        sweep: Sweep[Any] = Sweep(paginator, page, gaps=_GAPS)
        if sweep.failed:
            return False
        source.sweeps.append(sweep)
        return True

    def _fill(self, workers: Workers[_Job]) -> None:
        """Give idle workers something to do."""
        for source in self._sources:
            for sweep in source.sweeps:
                while workers.idle and sweep.wants:
                    number, request = sweep.next()
                    workers.submit(_SweptPage(source, sweep, number), request)
        self._split(workers)

    def _take_swept(self, workers: Workers[_Job], job: _SweptPage, answered: Answered[_Job]) -> list[Row]:
        source, sweep = job.source, job.sweep
        rows: list[Row] = []
        if isinstance(answered.answer, (WtsChatServerError, WtsChatRefusedError, WtsChatNotFoundError)):
            # It may be that the server does not go so far by number; by key it is asked otherwise.
            sweep.fail()
        else:
            rows = sweep.accept(job.number, succeeded(answered).value)
            self._note(source, rows)
        window = sweep.paginator
        for gap in sweep.take_gaps():
            before = window.before if gap.high is None else gap.high + _MICROSECOND
            self._open_window(workers, source, gap.low, before, gap)
        if sweep.ended:
            source.sweeps.remove(sweep)
            if sweep.unfinished:
                self._open_window(workers, source, sweep.position or window.after, window.before)
            self._finish_one(workers, source, None)
        return rows

    def _open_window(
        self,
        workers: Workers[_Job],
        source: _Source,
        after: datetime | None,
        before: datetime | None,
        gap: Gap | None = None,
    ) -> None:
        each = self._range(source, after, before)
        each.phase, each.gap = _Phase.WINDOW, gap
        source.open += 1
        self._start(workers, each)

    def _learn(self, each: _Range) -> None:
        """Split less wide what a split has just shown to be empty, and wider again where one found rows."""
        if each.origin is not None:
            width = each.origin.width
            each.origin.width = min(self._count, width * 2) if each.paginator.remaining else max(1, width // 2)
            each.origin = None

    def _finish(self, workers: Workers[_Job], each: _Range, moment: datetime) -> None:
        self._ranges.remove(each)
        reached = self._reached(each, moment) if each.phase is _Phase.TAIL else None
        self._finish_one(workers, each.source, reached)

    def _finish_one(self, workers: Workers[_Job], source: _Source, reached: datetime | None) -> None:
        """Note that a range of a list was read, and read the tail behind the last one."""
        source.open -= 1
        if reached is not None:
            source.reached = reached if source.reached is None else min(reached, source.reached)
        if source.open:
            return
        if source.tail_from is not None:
            tail = self._range(source, source.tail_from, self.until)
            tail.phase = _Phase.TAIL
            source.tail_from = source.reached = None
            source.open += 1
            self._start(workers, tail)
        else:
            source.finished = True
            source.reached = source.reached or self.until

    def _reached(self, each: _Range, moment: datetime) -> datetime | None:
        found: datetime | None = moment
        if each.source.unbounded or not each.paginator.by_key:
            found = self.started_at
        if not self.clock.known:
            # Without the server's clock its rows tell how late it is there at least.
            found = instants.read(each.source.newest) if each.source.newest else self.since
        return found if self.until is None or found is None else min(found, self.until)

    def _split(self, workers: Workers[_Job]) -> None:
        """Let idle workers take over a part of what the others have left."""
        if not workers.idle:
            return
        least = _WORTH_SPLIT * self._page_size
        windows = [each for each in self._ranges if each.phase is _Phase.WINDOW]
        candidates = [each for each in windows if splitting.divisible(each.paginator)]
        if not candidates:
            return
        spare = self._spare(workers)
        while workers.idle and candidates and spare > 0:
            each = max(candidates, key=lambda one: one.remaining)
            candidates.remove(each)
            if each.remaining < least:
                return
            pieces = min(workers.idle, each.width, each.remaining // least, spare)
            for span in splitting.divide(each.paginator, pieces):
                spare -= 1
                each.source.open += 1
                piece = each.paginator.over(span)
                self._start(
                    workers,
                    _Range(each.source, piece, self._count, _Phase.WINDOW, origin=each, expected=span.rows or 0),
                )

    def _spare(self, workers: Workers[_Job]) -> int:
        """Return how many splits the account's limits leave room for."""
        left = pace.pages(self._remaining(), max(1, self._page_size - 1))
        share = self._hook.budget.bulk_share if self._bulk else 1.0
        found = workers.idle
        for window in (BURST, READ):
            limit = window._replace(limit=window.share(share))
            made = workers.recent(window.seconds)
            found = min(found, pace.splits(left, made, workers.latency, self._count, limit))
        return found

    def _give_up_windows(self, workers: Workers[_Job], source: _Source) -> None:
        """Read a list whose bounds the server ignores once, in place of once for each window."""
        self._drop(source)
        source.unbounded = True
        order = CREATED if CREATED in source.request.bounds else source.key
        source.request = source.request.having(order_by=order, order_direction="ASCENDING")
        whole = self._range(source, self.since, self.until)
        whole.phase = _Phase.TAIL
        source.open = 1
        self._start(workers, whole)

    def _close(self, source: _Source, answered: Answered[_Job]) -> None:
        """Treat a list that is gone as an empty one."""
        log.info("%s is gone, so nothing is left to be read of it", source.request.label)
        self._drop(source)
        moment = self.clock.at(answered.sent)
        source.finished, source.reached = True, moment if self.until is None else min(moment, self.until)

    def _drop(self, source: _Source) -> None:
        for each in [each for each in self._ranges if each.source is source]:
            each.dropped = True
            self._ranges.remove(each)
        source.sweeps.clear()
        source.tail_from = None
        source.open = 0

    def _read_more(
        self, workers: Workers[_Job], progress: Progress, sources: Sequence[_Source], window: tuple[Any, Any]
    ) -> Generator[Batch[Row], None, None]:
        """Read further lists."""
        for source in sources:
            self._sources.append(source)
            self._open(workers, source, [window])
        yield from self._run(workers, progress)

    def _read_unnamed(self, workers: Workers[_Job], progress: Progress) -> Generator[Batch[Row], None, None]:
        """Read what has a status that the contract does not name."""
        bounds = _bounds(self._key, self.since, self.until)
        wanted = []
        for check in self._unfiltered:
            usual = self._total(workers, check.usual, bounds)
            wide = self._total(workers, [check.wide], bounds)
            if wide is None or usual is None or wide > usual:
                # Rows may have come between the two counts.
                again = self._total(workers, check.usual, bounds)
                if wide is not None and again is not None and wide <= again:
                    continue
                every = self._total(workers, check.every, bounds)
                if wide is None or every is None or wide != every:
                    log.warning(
                        "%s: without a filter on the status there are %s rows where %s were expected, so it is read "
                        "without one too. The API may have a status that this release does not know",
                        check.wide.label, wide, usual,
                    )  # fmt: skip
                    wanted.append(_Source(check.wide, self._key, counted=False))
        yield from self._read_more(workers, progress, wanted, (self.since, self.until))

    def _read_without_key(self, workers: Workers[_Job], progress: Progress) -> Generator[Batch[Row], None, None]:
        """Read rows that do not have the key: a window over it does not hold them."""
        if not self._thorough or self._key == CREATED:
            return
        sources = [source for source in self._sources if {CREATED, self._key} <= set(source.request.bounds)]
        if self.since is not None and len(sources) > _SAMPLE:
            sources = sorted(sources, key=lambda source: -source.rows)[:_SAMPLE]
        bounds = _bounds(CREATED, self.since, self.until)
        wanted = []
        for source in sources:
            if not source.unbounded and source.request.order_by is None:
                with_key = {**bounds, f"{self._key}.After": instants.write(_FIRST)}
                keyed = self._total(workers, [source.request], with_key)
                whole = self._total(workers, [source.request], bounds)
                if keyed is not None and whole is not None and whole > keyed:
                    # Rows may have come between the two counts.
                    keyed = self._total(workers, [source.request], with_key)
                if keyed is None or whole is None or whole > keyed:
                    wanted.append(_Source(source.request, CREATED, missing=row_field(self._key), counted=False))
        yield from self._read_more(workers, progress, wanted, (self.since, self.until))

    def _read_touched(self, workers: Workers[_Job], progress: Progress) -> Generator[Batch[Row], None, None]:
        """Read rows of which something moved that did not move the key."""
        also, before = self._also, self._settled()
        if also is None:
            return
        # Over the creation, which never moves: what the bounds compare does not show in the rows for sure.
        earlier, later = [], []
        for source in [source for source in self._sources if source.counted]:
            request = source.request
            own = any(request.bound(f"{also}.{end}") for end in ("After", "Before"))
            if own or source.unbounded or not {also, CREATED} <= set(request.bounds) or request.order_by:
                continue
            if self.since is not None:
                bounds = {**_bounds(also, self.since, before), f"{self._key}.Before": instants.write(self.since)}
                earlier.append(_Source(_bounded(request, bounds), CREATED, counted=False))
            if self.until is None or self.until > before:
                bounds = _bounds(also, before, self.until)
                later.append(_Source(_bounded(request, bounds), CREATED, counted=False))
        yield from self._read_more(workers, progress, [*earlier, *later], (None, None))

    def _settled(self) -> datetime:
        settled = (self.started_at or self.clock.now()) - SETTLED
        return settled if self.until is None else min(settled, self.until)

    def _total(
        self, workers: Workers[_Job], requests: Sequence[PagedRequest[Any]], bounds: Mapping[str, str]
    ) -> int | None:
        """Count the rows of lists, ``None`` where the server does not say."""
        totals: dict[int, int | None] = {}
        for index, request in enumerate(requests):
            own = {name: value for name, value in bounds.items() if request.bound(name) is None}
            workers.submit(_Count(index), request.page(1, 1, bounds=own))
        while len(totals) < len(requests):
            answered = workers.take(LOOK_EVERY)
            if answered is None or not isinstance(answered.tag, _Count):
                continue
            if self._parents_may_go and isinstance(answered.answer, WtsChatNotFoundError):
                totals[answered.tag.index] = 0
                continue
            page = succeeded(answered).value
            total = page.get("totalItems") if isinstance(page, dict) else None
            known = isinstance(total, int) and (total > 0 or not page.get("items"))
            totals[answered.tag.index] = total if known else None
        found = [total for total in totals.values() if total is not None]
        return sum(found) if len(found) == len(totals) else None

    def _warn_of_no_clock(self) -> None:
        log.warning(
            "The server's answers have no Date header, so one worker reads alone and how far it came is told by the "
            "newest row. A proxy on the way may strip it"
        )


def read_changes(
    hook: WtsChatHook,
    request: PagedRequest[Row] | Sequence[PagedRequest[Row]],
    since: Any = None,
    until: Any = None,
    *,
    timezone: str = "UTC",
    key: str = UPDATED,
    also: str | None = None,
    unfiltered: Sequence[Unfiltered] = (),
    parents_may_go: bool = False,
    thorough: bool = False,
    resume: Position | None = None,
    workers: int = WORKERS,
    bulk: bool = True,
    page_size: int | None = None,
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
    :param also: another bound that can move while the key does not, such as ``LastInteractionAt``: rows in which it
        moved in the window are read too
    :param unfiltered: lists without a filter on the status, to be compared with those that name every known status
    :param parents_may_go: take a list that is not found for an empty one: its parent was deleted. Default: no
    :param thorough: look for rows without the key as well, at a cost of two requests. Default: no
    :param resume: the ``position`` of an earlier reading of the same lists that did not end: what it gave is not read
        again. Default: read everything
    :param workers: threads at most, 1 to 64
    :param bulk: whether to leave the account's other clients room. Default: yes
    :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
    :return: the reading: iterate over it, then read ``until_reached`` and ``verified``
    :raises WtsChatArgumentError: if the window is empty or runs backwards, or a list has an order of its own; while
        reading, if the window lies in the future
    """
    low = None if since is None else instants.parse("since", since, timezone)
    high = None if until is None else instants.parse("until", until, timezone)
    if low is not None and high is not None:
        check_window(low, high)
    count = convert.required("workers", convert.integer("workers", workers, minimum=1, maximum=64))
    if page_size is not None:
        convert.integer("page_size", page_size, minimum=1, maximum=MAX_PAGE_SIZE)
    requests = [request] if isinstance(request, PagedRequest) else list(request)
    for one in requests:
        if one.order_by or one.order_direction:
            raise WtsChatArgumentError(
                "order_by", f"{one.label} has an order of its own, in which rows that move are lost; leave it out"
            )
    size = int(page_size or hook.resolve().page_size)
    return Changes(
        hook, requests, low, high, key=key, workers=count, bulk=bulk, page_size=size, also=also, unfiltered=unfiltered,
        parents_may_go=parents_may_go, thorough=thorough, resume=resume,
    )  # fmt: skip


def _usable(
    resume: Position | None, since: datetime | None, until: datetime | None, key: str
) -> Mapping[str, Any] | None:
    """Return the lists of a position, if it covers the window."""
    if resume is None or resume.get("key") != key or resume.get("until") != instants.write_or_none(until):
        return None
    began = resume.get("since")
    if began is not None and (since is None or instants.read(began) > since):
        return None
    lists = resume.get("lists")
    return lists if isinstance(lists, Mapping) else None


def _digest(request: PagedRequest[Any]) -> str:
    content = request.content or b""
    return hashlib.sha256(request.target.encode() + b"\n" + content).hexdigest()[:24]


def _bounds(name: str, after: datetime | None, before: datetime | None) -> dict[str, str]:
    """Return bounds that hold the first instant, and perhaps the last: whether the server includes it is not known."""
    low = after if after is None or after == _FIRST else after - _MICROSECOND
    ends = {f"{name}.After": low, f"{name}.Before": before}
    return {end: instants.write(moment) for end, moment in ends.items() if moment is not None}


def _bounded(request: PagedRequest[Row], bounds: Mapping[str, str]) -> PagedRequest[Row]:
    """Return the list with further bounds of its own."""
    own = {name for name in bounds if request.bound(name) is not None}
    added = tuple((name, value) for name, value in bounds.items() if name not in own)
    return request.having(query=(*request.query, *added))


def _lies_from(start: datetime, text: Any) -> bool:
    try:
        return instants.read(text) >= start
    except (ValueError, TypeError, OverflowError):
        return False
