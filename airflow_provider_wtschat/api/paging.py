"""
Reading a paged list without losing rows while they change.

Page numbers lose rows: when a row leaves the list, or moves to its end, the rows behind it move one place forward, and
one of them slips onto a page that was read already. So a list is read **by key**: in ascending order of an instant,
always page 1 of what lies after the last instant read. Rows that share one instant (a **tie**) are read by key over
another instant, and only rows that share both are read by page number.

Nothing here does I/O: a :class:`Paginator` says what to ask next and takes the answer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, Page, PagedRequest, Paging, Request
from airflow_provider_wtschat.exceptions import WtsChatServerError

__all__ = ["CREATED", "UPDATED", "Ignored", "Paginator", "Span", "row_field"]

Row = TypeVar("Row")
Limits = tuple[datetime | None, datetime | None]
log = logging.getLogger(__name__)

CREATED = "CreatedAt"
UPDATED = "UpdatedAt"

_MICROSECOND = timedelta(microseconds=1)
_QUIET_ROUNDS = 20
"""How often rows that are equal in every key are read again without anything new before the paginator gives up."""
_UNCOUNTED_ROUNDS = 5
"""The same where the server does not say how many there are."""
_CONFIRMING_ROUNDS = 5
"""How often a list is read by page number until two readings agree."""
_REPEATED_PAGES = 3
"""After so many pages without a new row the server does not look at the page number."""
_ROW_FIELDS = {"LastInteractionAt": "lastInteractionDate"}
_BY_NUMBER = "it was read by page number, which loses rows that move while it is read"


class Ignored(Enum):
    """What of a request a server was seen to ignore."""

    ORDER = "the order"
    BOUNDS = "the bounds"
    KEY = "the field to order by, which some rows do not have"
    COUNT = "its own count of rows, none of which came"


def row_field(name: str) -> str:
    """Name the field of a row that a bound compares: ``updatedAt`` for ``UpdatedAt``."""
    return _ROW_FIELDS.get(name, name[:1].lower() + name[1:])


@dataclass(frozen=True)
class Span:
    """
    Rows that are still to be read by key, from one instant to another.

    :param key: the field to go by
    :param start: where it begins, this instant included
    :param end: where it ends, this instant excluded; ``None`` for the end of the list
    :param at: other fields, and the instant to which each is held
    :param latest: the latest instant that the bounds leave
    :param pace: time between two rows on the last page
    :param rows: about how many rows it has; ``None`` where the server does not say
    :param sure: whether ``rows`` follows from the last answer
    """

    key: str
    start: datetime
    end: datetime | None
    at: Mapping[str, datetime]
    latest: datetime | None
    pace: timedelta | None
    rows: int | None
    sure: bool

    def cut(self, *moments: datetime) -> list[Span]:
        """
        Cut it into pieces.

        :param moments: where, in ascending order
        """
        rows = None if self.rows is None else self.rows // (len(moments) + 1)
        ends = pairwise([self.start, *moments])
        pieces = [replace(self, start=start, end=end, rows=rows) for start, end in ends]
        return [*pieces, replace(self, start=[self.start, *moments][-1], rows=rows)]


class Paginator(Generic[Row]):
    """
    Reads a paged list: says what to ask next, takes the answer, gives the rows.

    Over a key that never changes (``CreatedAt``) each row is given once. Over one that moves (``UpdatedAt``) a row
    that changes meanwhile is given again in its newer version; no version is given twice.

    A list is read by page number, and the reading is not ``verified``, if the request has an order of its own, if the
    list takes no bounds of the key, or if the answers show that the server ignores order or bounds. A list that fits
    on one page is verified in any case.

    What the server does not say is not known: without ``totalItems`` and ``hasMorePages`` the list is read until a
    page brings nothing new.

    :param request: the list. Its own bounds are kept
    :param page_size: rows per page, 1 to 100
    :param key: the field to read over, in its ascending order
    :param after: read from here on, this instant included
    :param before: read up to here, this instant excluded
    :param at: other fields, and the instant to which each is held
    :param confirm: read a list that takes no key until two readings of it agree, and call it verified then
    """

    def __init__(
        self,
        request: PagedRequest[Row],
        *,
        page_size: int = MAX_PAGE_SIZE,
        key: str = CREATED,
        after: datetime | None = None,
        before: datetime | None = None,
        at: Mapping[str, datetime] | None = None,
        confirm: bool = False,
    ) -> None:
        self.request = request
        self.page_size = page_size
        self.answered = False
        """Whether an answer was taken."""
        self.total: int | None = None
        """Rows that the list had at the first answer, ``None`` where the server does not say."""
        self.reason: str | None = None
        """Why the reading is not verified."""
        self.ignored: Ignored | None = None
        """What the server was seen to ignore, so that the list is read by page number."""
        self.after = after
        self.before = before
        self.at = dict(at or {})
        self._doubt: Ignored | str | None = None
        keys = tuple(name for name in _keys(request, key) if name not in self.at)
        self.key = keys[0] if keys else key
        limits = {name: _limits(request, name) for name in (*keys, *self.at, self.key)}
        self._own = limits[self.key]
        self._level: _Level = _Numbers(None, confirm=confirm)
        if keys:
            held: dict[str, datetime] = {}
            for name, moment in self.at.items():
                held |= _around(name, moment, limits[name])
            self._level = _Keys(keys, limits, held, start=after, end=before)

    @property
    def verified(self) -> bool:
        """Whether every row that was in the list all the time is sure to have been given."""
        return self.reason is None

    @property
    def bounds_ignored(self) -> bool:
        """Whether the server was seen to ignore bounds."""
        return self.ignored is Ignored.BOUNDS

    @property
    def by_key(self) -> bool:
        """Whether the list is read by key."""
        return self._level.by_key

    @property
    def position(self) -> datetime | None:
        """All rows before this instant of the key were given; ``None`` where that is not known."""
        return self._level.position

    @property
    def remaining(self) -> int | None:
        """How many rows are still to come, as far as the server tells."""
        return self._level.remaining if self.answered else None

    @property
    def ahead(self) -> list[Span]:
        """What is still to be read by key: all of it and then, inside of a tie, what is left of the tie."""
        return self._level.ahead(self.at)

    def cut(self, before: datetime, *, key: str | None = None, rows: int | None = None) -> None:
        """
        Let the reading end earlier; rows from there on are left to another.

        :param before: end, this instant excluded; later than where :attr:`ahead` begins
        :param key: the field whose span in :attr:`ahead` is to end. Default: that of the whole reading
        :param rows: about how many rows are left until there. Default: as many as were
        """
        if key in (None, self.key):
            self.before = before if self.before is None else min(before, self.before)
        self._level.cut(before, key or self.key, rows)

    def over(self, span: Span) -> Paginator[Row]:
        """Return a paginator of the same list for a part of what lay ahead of this one."""
        return Paginator(
            self.request, page_size=self.page_size, key=span.key, after=span.start, before=span.end, at=span.at
        )

    def next(self) -> Request[Page[Row]] | None:
        """Return what to ask next, or ``None`` when all rows were given."""
        ask = self._level.next()
        if ask is None:
            return None
        bounds = {name: instants.write(moment) for name, moment in ask.bounds.items()}
        if ask.order_by is None:
            return self.request.page(ask.number, self.page_size, bounds=bounds)
        return self.request.page(
            ask.number, self.page_size, order_by=ask.order_by, order_direction="ASCENDING", bounds=bounds
        )

    def page(self, number: int) -> Request[Page[Row]]:
        """Return the request for a page by its number, from 1, of the window as a whole and in the order of the key."""
        bounds = {name: instants.write(moment) for name, moment in self._level.window.items()}
        return self.request.page(number, self.page_size, order_by=self.key, order_direction="ASCENDING", bounds=bounds)

    def accept(self, page: Page[Row]) -> list[Row]:
        """
        Accept the answer to what :meth:`next` returned.

        :return: its rows, without those that were given before
        :raises WtsChatServerError: if it is not a page, or holds rows that a filter of the request does not allow
        """
        sight = self._look(page)
        mismatch = self.request.mismatch(sight.rows)
        problem: Ignored | str | None = mismatch or self._level.ignored(sight)
        if problem is not None:
            if self._doubt is None:
                # A row may change between being found and being read; what a server ignores, it ignores again.
                self._doubt = problem
            elif isinstance(problem, Ignored):
                self._fall_back(problem)
            else:
                self._refuse(problem)
            return []
        self._doubt = None
        if not self.answered:
            self.answered = True
            self.total = sight.total
        rows = self._level.accept(sight)
        self.reason = self.reason or self._level.reason
        return self.inside(rows)

    def _look(self, page: Page[Row]) -> _Sight:
        rows = page.get("items") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            msg = f"{self.request.label}: the answer is no page of a list"
            raise WtsChatServerError(msg, status=200, method=self.request.method, path=self.request.shown_path)
        total, more = page.get("totalItems"), page.get("hasMorePages")
        counted = total if isinstance(total, int) and total >= len(rows) else None
        return _Sight(rows, counted, more if isinstance(more, bool) else None, full=len(rows) >= self.page_size)

    def _refuse(self, mismatch: str) -> None:
        msg = (
            f"{self.request.label}: the server ignored the filter on {mismatch} and answered with rows that it does "
            "not allow, so the whole account would have come. Nothing of it was taken; check the value of the filter"
        )
        raise WtsChatServerError(msg, status=200, method=self.request.method, path=self.request.shown_path)

    def _fall_back(self, ignored: Ignored) -> None:
        self._doubt = None
        self.ignored = ignored
        self.reason = f"the server ignored {ignored.value} ({self.key}), so {_BY_NUMBER}"
        log.warning("%s: %s", self.request.label, self.reason)
        # By number over what does not move, if the server takes that order at all.
        key = CREATED if CREATED in self.request.bounds else self.key
        self._level = self._level.by_number(key, bounded=ignored is not Ignored.BOUNDS)

    def inside(self, rows: Iterable[Row]) -> list[Row]:
        """Return those of the rows that lie in the window."""
        name = row_field(self.key)
        held = [(row_field(other), moment) for other, moment in self.at.items()]
        low, high = self._own
        start = max((moment for moment in (low, self.after) if moment is not None), default=None)
        end = self.before

        def lies_inside(row: Row) -> bool:
            moment = _instant(row, name)
            if moment is None:
                return True
            if start is not None and moment < start:
                return False
            if (high is not None and moment > high) or (end is not None and moment >= end):
                return False
            return all(_instant(row, other) == at for other, at in held)

        return [row for row in rows if lies_inside(row)]


class _Ask(NamedTuple):
    """What a level wants to be asked."""

    number: int
    order_by: str | None
    bounds: Mapping[str, datetime]


@dataclass(frozen=True)
class _Sight:
    """
    What an answer shows.

    :param total: rows of the list; ``None`` where the server does not say, or says less than there are on the page
    :param says_more: whether there are more pages; ``None`` where the server does not say
    :param full: whether the page has as many rows as were asked for
    """

    rows: list[Any]
    total: int | None
    says_more: bool | None
    full: bool

    def ends(self, before: int = 0) -> bool:
        """Return whether nothing can come behind this page."""
        if not self.rows:
            return True
        # A total may be capped, and so may be what is derived from it: a full page is never known to be the last.
        if self.says_more or self.full:
            return False
        if self.total is None:
            return self.says_more is False
        return self.total <= before + len(self.rows)

    @property
    def ids(self) -> set[str]:
        return {row["id"] for row in self.rows}


class _Level(Protocol):
    """One way to read a list, or a tie inside of one."""

    reason: str | None
    """Why what was read this way is not verified."""

    @property
    def by_key(self) -> bool: ...
    @property
    def key(self) -> str | None: ...
    @property
    def begun(self) -> bool: ...
    @property
    def position(self) -> datetime | None: ...
    @property
    def remaining(self) -> int | None: ...
    @property
    def window(self) -> Mapping[str, datetime]:
        """The bounds of all that is read this way."""

    def next(self) -> _Ask | None: ...
    def ignored(self, sight: _Sight) -> Ignored | None: ...
    def accept(self, sight: _Sight) -> list[Any]: ...
    def ahead(self, at: Mapping[str, datetime]) -> list[Span]: ...
    def cut(self, before: datetime, key: str, rows: int | None) -> None: ...
    def by_number(self, key: str, *, bounded: bool) -> _Numbers: ...


class _Unordered:
    """What the two ways to read by page number have in common: nothing of them can be cut."""

    by_key = False
    position: datetime | None = None
    window: Mapping[str, datetime]

    def ignored(self, sight: _Sight) -> Ignored | None:
        return None

    def ahead(self, at: Mapping[str, datetime]) -> list[Span]:
        return []

    def cut(self, before: datetime, key: str, rows: int | None) -> None:
        return None


@dataclass
class _Seen:
    """
    What was given and can come again.

    :param moves: whether a row that comes with another instant is a newer version of it
    """

    moves: bool
    versions: dict[str, datetime | None] = field(default_factory=dict)

    def fresh(self, rows: Iterable[tuple[datetime | None, Any]]) -> list[Any]:
        return [
            row
            for moment, row in rows
            if row["id"] not in self.versions or (self.moves and self.versions[row["id"]] != moment)
        ]

    def add(self, rows: Iterable[tuple[datetime | None, Any]]) -> None:
        self.versions.update((row["id"], moment) for moment, row in rows)

    def forget(self, before: datetime | None) -> None:
        # Only what lies behind the next bound can come again, so that the memory does not grow with the list.
        if before is not None:
            self.versions = {
                row_id: moment for row_id, moment in self.versions.items() if moment is not None and moment >= before
            }


@dataclass
class _Outlook:
    """
    How much is still to come.

    :param rest: rows, ``None`` where the server does not say
    :param current: whether ``rest`` follows from what the last answer said
    :param pace: time between two rows on the last page
    """

    rest: int | None = 0
    current: bool = False
    pace: timedelta | None = None


class _Keys:
    """
    Read by key.

    Of a page are taken the rows that were not given before (*trim*). What is left of a page that ends inside of a tie
    is read by a level of its own (*tie*); behind any other the next page begins (*advance*).

    :param keys: the fields to go by: the first here, the others inside of its ties
    :param limits: the caller's own ``After`` and ``Before``, by field
    :param held: bounds of the levels around this one
    :param start: read from here on, included
    :param end: read up to here, excluded
    """

    by_key = True

    def __init__(
        self,
        keys: Sequence[str],
        limits: Mapping[str, Limits],
        held: Mapping[str, datetime] | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        self.reason: str | None = None
        self.end = end
        self.position: datetime | None = None
        self.seen = _Seen(moves=keys[0] != CREATED)
        self._keys = keys
        self._limits = limits
        self._held = dict(held or {})
        self._low, self._high = limits[keys[0]]
        self._done: datetime | None = None
        """Up to here, included, nothing more is wanted."""
        if start is not None and (self._low is None or self._low <= start):
            # One microsecond too low and trimmed: that is right whether or not the server includes the bound.
            self._low = self._done = _earlier(start)
        if end is not None and (self._high is None or end < self._high):
            self._high = end
        self._lowest = self._low
        self._whole = self._bounds(self._low, self._high)
        self._asked: Limits = (None, None)
        self._includes_bounds = False
        self._finished = False
        self._outlook = _Outlook()
        self._tie: _Keys | _Equal | None = None
        self._tie_at: datetime | None = None

    @property
    def key(self) -> str:
        return self._keys[0]

    @property
    def begun(self) -> bool:
        return self.position is not None or self._finished

    @property
    def remaining(self) -> int | None:
        inside = 0 if self._tie is None else self._tie.remaining
        return None if self._outlook.rest is None or inside is None else self._outlook.rest + inside

    @property
    def window(self) -> Mapping[str, datetime]:
        return self._bounds(self._lowest, self._high)

    def ahead(self, at: Mapping[str, datetime]) -> list[Span]:
        """Return what is still to be read here and, behind it, what is still to be read of a tie."""
        outlook, tie = self._outlook, self._tie
        if self.position is None:
            return []
        # Until a tie was answered for the first time, its rows count among those behind it.
        sure = outlook.current and (tie is None or tie.begun)
        span = Span(self.key, self.position, self.end, at, self._high, outlook.pace, outlook.rest, sure)
        return [span] if tie is None else [span, *tie.ahead({**at, self.key: self.position})]

    def cut(self, before: datetime, key: str, rows: int | None) -> None:
        """Leave what lies from an instant on."""
        if key != self.key:
            if self._tie is not None:
                self._tie.cut(before, key, rows)
            return
        self.end = before if self.end is None else min(before, self.end)
        self._high = self.end if self._high is None else min(self.end, self._high)
        self._outlook.current = False
        self._outlook.rest = self._outlook.rest if rows is None else rows

    def by_number(self, key: str, *, bounded: bool) -> _Numbers:
        """Return what reads the same by page number."""
        return _Numbers(key, self._whole if bounded else {}, self.seen.versions)

    def next(self) -> _Ask | None:
        """Return what to ask next."""
        if self._tie is not None:
            ask = self._tie.next()
            if ask is not None:
                return ask
            self._leave_tie()
        if self._high is not None and self._low is not None:
            nothing = self._low >= self._high if self._done == self._low else self._low > self._high
            self._finished = self._finished or nothing
        if self._finished:
            return None
        self._asked = self._low, self._high
        return _Ask(1, self.key, self._bounds(self._low, self._high))

    def ignored(self, sight: _Sight) -> Ignored | None:
        """Return what of the request an answer shows to be ignored."""
        if self._tie is not None:
            return self._tie.ignored(sight)
        last: datetime | None = None
        low, high = self._asked
        name = row_field(self.key)
        for row in sight.rows:
            moment = _instant(row, name)
            if moment is None:
                return Ignored.KEY
            if last is not None and moment < last:
                return Ignored.ORDER
            if (low is not None and moment < low) or (high is not None and moment > high):
                return Ignored.BOUNDS
            last = moment
        return Ignored.COUNT if not sight.rows and sight.total else None

    def accept(self, sight: _Sight) -> list[Any]:
        """Accept an answer and return its new rows."""
        if self._tie is not None:
            return self._accept_tie(self._tie, sight)
        name = row_field(self.key)
        found = [(instants.read(row[name]), row) for row in sight.rows]
        self._look_ahead(sight, found)
        rows = self._trim(found)
        fresh = self.seen.fresh(rows)
        if sight.ends() or (self.end is not None and found[-1][0] >= self.end):
            self._finished = True
            self.position = self._high
        elif not rows:
            # Only what was given before: the server includes the bound, so ask for what lies behind it.
            self._skip(found[-1][0])
            self._outlook.current = False
        else:
            self._go_on(rows)
        return fresh

    def _look_ahead(self, sight: _Sight, found: Sequence[tuple[datetime, Any]]) -> None:
        outlook = self._outlook
        outlook.current = self._asked[1] == self._high
        if not outlook.current:
            outlook.rest = None if outlook.rest is None else max(0, outlook.rest - len(found))
        else:
            outlook.rest = None if sight.total is None else sight.total - len(found)
        if found:
            outlook.pace = (found[-1][0] - (self.position or found[0][0])) / len(found)

    def _trim(self, found: list[tuple[datetime, Any]]) -> list[tuple[datetime, Any]]:
        """Leave out what is not wanted, and learn from it whether the server includes bounds."""
        done, end = self._done, self.end
        if done is not None and found and found[0][0] <= done:
            self._includes_bounds = True
        return [
            (moment, row) for moment, row in found if (done is None or moment > done) and (end is None or moment < end)
        ]

    def _go_on(self, rows: Sequence[tuple[datetime, Any]]) -> None:
        last = rows[-1][0]
        low = _earlier(last)
        stuck = low is None or (self._low is not None and low <= self._low and self._done != self._low)
        if stuck or rows[0][0] == last:
            self._enter_tie(last)
        else:
            self._advance(low)
        self.position = last
        self.seen.forget(low)
        self.seen.add(rows)

    def _advance(self, low: datetime | None) -> None:
        self._low = self._done = low

    def _skip(self, moment: datetime) -> None:
        self._low = _later(moment)
        self._finished = self._low is None

    def _enter_tie(self, at: datetime) -> None:
        held = {**self._held, **_around(self.key, at, self._limits[self.key])}
        self._tie_at = at
        self._tie = _Keys(self._keys[1:], self._limits, held) if len(self._keys) > 1 else _Equal(self.key, held)

    def _leave_tie(self) -> None:
        self._done = self._low = self._tie_at
        self._tie = self._tie_at = None
        if self._includes_bounds and self._done is not None:
            self._skip(self._done)

    def _accept_tie(self, tie: _Keys | _Equal, sight: _Sight) -> list[Any]:
        # The bounds around a tie may include its neighbours, which come again in their own place.
        first, name = not tie.begun, row_field(self.key)
        rows = [(self._tie_at, row) for row in tie.accept(sight) if _instant(row, name) == self._tie_at]
        if first and self._outlook.rest is not None:
            # Those that were on the page before are in the tie once more.
            self._outlook.rest = max(0, self._outlook.rest - (sight.total or 0))
        self.reason = self.reason or tie.reason
        fresh = self.seen.fresh(rows)
        if tie.by_key and tie.key != CREATED:
            # What changes in there comes again at the end of the tie, as long as the tie is read.
            self.seen.add(rows)
        return fresh

    def _bounds(self, low: datetime | None, high: datetime | None) -> dict[str, datetime]:
        ends = {f"{self.key}.After": low, f"{self.key}.Before": high}
        return {**self._held, **{name: moment for name, moment in ends.items() if moment is not None}}


class _Equal(_Unordered):
    """
    Read rows that are equal in every key: by number, again and again until the distinct ids reach the total.

    :param key: the field to order by
    :param held: bounds that hold all keys
    """

    def __init__(self, key: str, held: Mapping[str, datetime]) -> None:
        self.key = key
        self.reason: str | None = None
        self.window = held
        self._given: set[str] = set()
        self._counted: set[str] = set()
        self._page: set[str] = set()
        self._total: int | None = None
        self._trusted = True
        """Whether the server says how many there are."""
        self._number = 1
        self._quiet = 0
        self._grew = False
        self._begun = self._finished = False

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def remaining(self) -> int | None:
        return None if self._total is None else max(0, self._total - len(self._counted))

    def next(self) -> _Ask | None:
        return None if self._finished else _Ask(self._number, self.key, self.window)

    def by_number(self, key: str, *, bounded: bool) -> _Numbers:
        return _Numbers(key, self.window if bounded else {}, self._given)

    def accept(self, sight: _Sight) -> list[Any]:
        self._begun = True
        ids = sight.ids
        fresh = [row for row in sight.rows if row["id"] not in self._given]
        self._given |= ids
        if fresh:
            self._quiet = 0
        if sight.rows and sight.total is None:
            self._trusted = False
        elif sight.total is not None and (self._total is None or sight.total > self._total):
            self._recount(sight.total)
        self._grew = self._grew or not ids <= self._counted
        self._counted |= ids
        turned, self._page = ids != self._page, ids
        if self._total is not None and len(self._counted) > self._total:
            # More than the server counts: its count is capped.
            self._trusted = False
        if (self._number == 1 and sight.ends()) or (self._number == 2 and not sight.rows and not self._trusted):
            # All of them were on one page.
            self._finished = True
        elif (sight.full or sight.says_more or not self._trusted) and sight.rows and turned:
            self._number += 1
        else:
            self._end_round(sight)
        return fresh

    def _end_round(self, sight: _Sight) -> None:
        # Rows can leave while they are counted. Then the count falls short, and a new one begins.
        if self._trusted and self._total is not None and len(self._counted) >= self._total:
            self._finished = True
        elif self._quiet < (_QUIET_ROUNDS if self._trusted else _UNCOUNTED_ROUNDS):
            self._number = 1
            self._page = set()
            self._quiet += 1
            if not self._grew:
                self._recount(sight.total)
            self._grew = False
        else:
            self._finished = True
            self.reason = (
                f"of {self._total} rows that are equal in every instant {len(self._counted)} were found in the last "
                "rounds"
                if self._trusted
                else f"{len(self._given)} rows that are equal in every instant were found, and the server does not say "
                "how many there are"
            )

    def _recount(self, total: int | None) -> None:
        self._total = total
        self._counted = set()


class _Numbers(_Unordered):
    """
    Read by page number.

    :param key: the field to order by; ``None`` for the caller's own order
    :param given: rows that were given already
    :param confirm: read until two readings agree
    """

    def __init__(
        self,
        key: str | None,
        bounds: Mapping[str, datetime] | None = None,
        given: Iterable[str] = (),
        *,
        confirm: bool = False,
    ) -> None:
        self.key = key
        self.reason: str | None = None
        self.remaining: int | None = 0
        self.window = bounds or {}
        self._confirm = confirm
        self._count = 0
        self._number = 1
        self._repeated = 0
        self._finished = False
        # A row that slips comes again on the next page.
        self._recent: deque[set[str]] = deque([set(given)], maxlen=3)
        self._round: set[tuple[str, Any]] = set()
        self._rounds: list[set[tuple[str, Any]]] = []

    @property
    def begun(self) -> bool:
        return self._number > 1

    def next(self) -> _Ask | None:
        return None if self._finished else _Ask(self._number, self.key, self.window)

    def by_number(self, key: str, *, bounded: bool) -> _Numbers:
        return self

    def accept(self, sight: _Sight) -> list[Any]:
        if self._confirm:
            return self._accept_round(sight)
        fresh = [row for row in sight.rows if not any(row["id"] in ids for ids in self._recent)]
        self._recent.append(sight.ids)
        self._turn(sight, repeated=not fresh)
        if sight.rows and self._number > 2:
            self.reason = self.reason or _BY_NUMBER
        return fresh

    def _accept_round(self, sight: _Sight) -> list[Any]:
        versions = [((row["id"], row.get("updatedAt")), row) for row in sight.rows]
        known = set().union(*self._rounds, self._round)
        fresh = [row for version, row in versions if version not in known]
        again = all(version in self._round for version, _ in versions)
        self._round.update(version for version, _ in versions)
        alone = self._number == 1 and not self._rounds and sight.ends()
        self._turn(sight, repeated=again)
        if self._finished and not alone and self._round:
            self._end_round(sight)
        return fresh

    def _end_round(self, sight: _Sight) -> None:
        whole = sight.total is None or sight.total == len(self._round)
        if whole and self._rounds and self._rounds[-1] == self._round:
            return
        self._rounds.append(self._round)
        if len(self._rounds) == _CONFIRMING_ROUNDS:
            self.reason = _BY_NUMBER
            return
        self._finished = False
        self._round, self._count, self._number = set(), 0, 1

    def _turn(self, sight: _Sight, *, repeated: bool) -> None:
        self._finished = sight.ends(self._count)
        self._count += len(sight.rows)
        self._number += 1
        self.remaining = None if sight.total is None else max(0, sight.total - self._count)
        self._repeated = self._repeated + 1 if repeated and sight.rows else 0
        if self._repeated >= _REPEATED_PAGES:
            self._finished = True
            self.reason = "the server answered one page number like another"


def _keys(request: PagedRequest[Any], key: str) -> tuple[str, ...]:
    # The list of Paging.PORTFOLIO has no direction, so nobody knows what its order means.
    if request.order_by or request.order_direction or request.paging is Paging.PORTFOLIO or key not in request.bounds:
        return ()
    wanted = dict.fromkeys((key, CREATED, UPDATED))
    return tuple(name for name in wanted if name in request.bounds)


def _limits(request: PagedRequest[Any], name: str) -> Limits:
    low, high = request.bound(f"{name}.After"), request.bound(f"{name}.Before")
    return (instants.read(low) if low else None), (instants.read(high) if high else None)


def _around(name: str, moment: datetime, limits: Limits) -> dict[str, datetime]:
    lowest = [bound for bound in (_earlier(moment), limits[0]) if bound is not None]
    highest = [bound for bound in (_later(moment), limits[1]) if bound is not None]
    return {
        **({f"{name}.After": max(lowest)} if lowest else {}),
        **({f"{name}.Before": min(highest)} if highest else {}),
    }


def _instant(row: Any, name: str) -> datetime | None:
    text = row.get(name)
    try:
        return instants.read(text) if text else None
    except (ValueError, TypeError, OverflowError):
        return None


def _earlier(moment: datetime) -> datetime | None:
    """Return the microsecond before, ``None`` where the calendar begins."""
    try:
        return moment - _MICROSECOND
    except OverflowError:
        return None


def _later(moment: datetime) -> datetime | None:
    """Return the microsecond behind, ``None`` where the calendar ends."""
    try:
        return moment + _MICROSECOND
    except OverflowError:
        return None
