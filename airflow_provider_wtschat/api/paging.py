"""
Reading a paged list without losing rows, whatever moves while it is read.

Page numbers lose rows: one that leaves the list, or jumps to its end, draws its neighbours a place forward, over the
edge of a page that was read already. So a list is read **by key**: in the order of an instant, always page 1 of what
lies after the last instant read. Rows that share one instant (a **tie**) are read by key over another instant inside
it, and only rows that share both by number.

Nothing here does I/O: a :class:`Paginator` says what to ask and takes the answer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, Page, PagedRequest, Paging, Request
from airflow_provider_wtschat.exceptions import WtsChatServerError

Row = TypeVar("Row")
Limits = tuple[datetime | None, datetime | None]
log = logging.getLogger(__name__)

CREATED = "CreatedAt"
UPDATED = "UpdatedAt"

_MICROSECOND = timedelta(microseconds=1)
_BEHIND_TIE = timedelta(milliseconds=1)
"""How far behind a tie its neighbour begins, so that bounds that the server includes do not reach the tie again."""
_QUIET_ROUNDS = 20
"""How often rows that are equal in every key are read again without anything new before that is given up."""
_ROW_FIELDS = {"LastInteractionAt": "lastInteractionDate"}
_BY_NUMBER = "it was read by page number, which loses rows that move while it is read"


def row_field(name: str) -> str:
    """
    Name the field of a row that holds what a bound compares.

    :param name: such as ``UpdatedAt``
    """
    return _ROW_FIELDS.get(name, name[:1].lower() + name[1:])


class Paginator(Generic[Row]):
    """
    Reads a paged list: says what to ask next, takes the answer, gives the rows.

    Over a key that never changes (``CreatedAt``) each row is given once. Over one that moves (``UpdatedAt``) a row
    that changes meanwhile is given again in its newer version; no version is given twice.

    A list is read by page number, and the reading is not ``verified``, if the request has an order of its own, if the
    list takes no bounds of the key, or if the answers show that the server ignores order or bounds. A list that fits
    on one page is verified in any case.

    :param request: the list. Its own bounds are kept
    :param page_size: rows per page, 1 to 100
    :param key: the field to read over, in its ascending order
    :param after: read from here on, this instant included
    :param before: read up to here, this instant excluded
    :param at: other fields, and the instant to which each is held
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
    ) -> None:
        self.request = request
        self.page_size = page_size
        self.total: int | None = None
        """Rows that the list had at the first answer."""
        self.reason: str | None = None
        """Why the reading is not verified."""
        self.bounds_ignored = False
        """Whether the server was seen to ignore bounds."""
        self._after = after
        self._before = before
        self._at = dict(at or {})
        self._doubt: str | None = None
        self._estimate: int | None = None
        keys = tuple(name for name in _keys(request, key) if name not in self._at)
        self.key = keys[0] if keys else key
        limits = {name: _limits(request, name) for name in (*keys, *self._at, self.key)}
        self._own = limits[self.key]
        self._level: _Keys | _Numbers = _Numbers(None)
        if keys:
            low, high = self._own
            # One microsecond too low and filtered here: that is right whether or not the server includes the bound.
            if after is not None and (low is None or low <= after):
                low = after - _MICROSECOND
            if before is not None and (high is None or before < high):
                high = before
            held: dict[str, datetime] = {}
            for name, moment in self._at.items():
                held |= _around(name, moment, limits[name])
            self._level = _Keys(keys, {**limits, self.key: (low, high)}, held)

    @property
    def verified(self) -> bool:
        """Whether every row that was in the list all the time is sure to have been given."""
        return self.reason is None

    @property
    def by_key(self) -> bool:
        """Whether the list is read by key."""
        return isinstance(self._level, _Keys)

    @property
    def after(self) -> datetime | None:
        """Where the reading begins."""
        return self._after

    @property
    def before(self) -> datetime | None:
        """Where the reading ends."""
        return self._before

    @property
    def position(self) -> datetime | None:
        """All rows before this instant of the key were given."""
        return self._level.position if isinstance(self._level, _Keys) else None

    @property
    def remaining(self) -> int | None:
        """How many rows are still to come, as far as the server tells."""
        return self._estimate if self.total is None else self._level.remaining

    @property
    def divisible(self) -> bool:
        """Whether :attr:`remaining` is known well enough to :meth:`divide` by."""
        return isinstance(self._level, _Keys) and self._level.sure

    def cut(self, before: datetime) -> None:
        """
        Let the reading end earlier; rows from there on are left to another.

        :param before: end, this instant excluded; later than :attr:`position`
        """
        if self._before is None or before < self._before:
            self._before = before
            if isinstance(self._level, _Keys):
                self._level.cut(before)

    def divide(self, pieces: int) -> list[Paginator[Row]]:
        """
        Leave a part of what remains to others.

        The instants between which to cut follow from how close rows lay on the last page, and from how many remain.
        Inside a tie first what lies behind it is left to another, then the tie itself is cut.

        :param pieces: how many others there are
        :return: as many readings, or fewer if there is nothing to divide
        """
        level, key, at = self._level, self.key, self._at
        if not isinstance(level, _Keys):
            return []
        tie, tie_at = level.tie, level.tie_at
        if isinstance(tie, _Keys) and tie_at is not None:
            behind = tie_at + _BEHIND_TIE
            if self._before is None or self._before > behind:
                rest = self._piece(key, behind, self._before, at, level.behind)
                self.cut(behind)
                level.rest = level.behind = 0
                return [rest]
            level, key, at = tie, tie.key, {**at, key: tie_at}
        cuts = level.cuts(pieces, self.page_size)
        if not cuts:
            return []
        share = level.remaining // (len(cuts) + 1)
        end = level.end if level is tie else self._before
        if level is tie:
            level.cut(cuts[0])
        else:
            self.cut(cuts[0])
        level.rest = share
        return [self._piece(key, low, high, at, share) for low, high in zip(cuts, [*cuts[1:], end], strict=True)]

    def _piece(
        self, key: str, after: datetime, before: datetime | None, at: Mapping[str, datetime], rows: int
    ) -> Paginator[Row]:
        piece = Paginator(self.request, page_size=self.page_size, key=key, after=after, before=before, at=at)
        piece._estimate = rows
        return piece

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

    def accept(self, page: Page[Row]) -> list[Row]:
        """
        Take the answer to what :meth:`next` returned.

        :param page: the answer
        :return: its rows, without those that were given before
        :raises WtsChatServerError: if it is no page, or holds rows that a filter of the request does not allow
        """
        sight = self._look(page)
        mismatch = self.request.mismatch(sight.rows)
        problem = f"the filter on {mismatch}" if mismatch else self._level.ignored(sight)
        if problem is not None:
            if self._doubt is None:
                # A row may change between being found and being read; what a server ignores, it ignores again.
                self._doubt = problem
                return []
            if mismatch:
                self._refuse(mismatch)
            self._fall_back(problem)
            return []
        self._doubt = None
        if self.total is None:
            self.total = sight.total
        rows = self._level.accept(sight)
        if isinstance(self._level, _Keys):
            self.reason = self.reason or self._level.reason
        elif self._level.next() is not None:
            self.reason = self.reason or _BY_NUMBER
        return [row for row in rows if self._within(row)]

    def _look(self, page: Page[Row]) -> _Sight:
        rows = page.get("items") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            msg = f"{self.request.label}: the answer is no page of a list"
            raise WtsChatServerError(msg, status=200, method=self.request.method, path=self.request.label)
        return _Sight(rows, int(page.get("totalItems") or 0), says_more=page.get("hasMorePages") is True)

    def _refuse(self, mismatch: str) -> None:
        msg = (
            f"{self.request.label}: the server ignored the filter on {mismatch} and answered with rows that it does "
            "not allow, so the whole account would have come. Nothing of it was taken; check the value of the filter"
        )
        raise WtsChatServerError(msg, status=200, method=self.request.method, path=self.request.label)

    def _fall_back(self, problem: str) -> None:
        self._doubt = None
        self.bounds_ignored = self.bounds_ignored or problem.startswith("the bounds")
        self.reason = f"the server ignored {problem}, so {_BY_NUMBER}"
        log.warning("%s: %s", self.request.label, self.reason)
        if isinstance(self._level, _Keys):
            # By number over what does not move, if the server takes that order at all.
            key = CREATED if CREATED in self.request.bounds else self.key
            self._level = _Numbers(key, {} if self.bounds_ignored else self._level.whole, self._level.recent)

    def _within(self, row: Row) -> bool:
        moment = _instant(row, row_field(self.key))
        if moment is None:
            return True
        if any(_instant(row, row_field(name)) != held for name, held in self._at.items()):
            return False
        low, high = self._own
        return not (
            (low is not None and moment < low)
            or (high is not None and moment > high)
            or (self._after is not None and moment < self._after)
            or (self._before is not None and moment >= self._before)
        )


class _Ask(NamedTuple):
    """What a level wants to be asked."""

    number: int
    order_by: str | None
    bounds: Mapping[str, datetime]


@dataclass(frozen=True)
class _Sight:
    """What an answer shows."""

    rows: list[Any]
    total: int
    says_more: bool

    @property
    def more(self) -> bool:
        """Whether the list goes on behind page 1."""
        return bool(self.rows) and (self.says_more or self.total > len(self.rows))


@dataclass
class _Keys:
    """
    Read by key.

    :param keys: the fields to go by: the first here, the others inside its ties
    :param limits: lowest ``After`` and highest ``Before`` to ask for, by field
    :param held: bounds of the levels around this one
    """

    keys: Sequence[str]
    limits: Mapping[str, Limits]
    held: Mapping[str, datetime] = field(default_factory=dict)

    low: datetime | None = field(init=False)
    high: datetime | None = field(init=False)
    end: datetime | None = None
    position: datetime | None = None
    rest: int = 0
    behind: int = 0
    pace: timedelta | None = None
    reason: str | None = None
    recent: dict[str, datetime | None] = field(default_factory=dict)
    tie: _Keys | _Equal | None = None
    tie_at: datetime | None = None
    whole: dict[str, datetime] = field(init=False)
    _current: bool = False
    _asked: Limits = (None, None)
    _given_to_low: bool = False
    _includes_bounds: bool = False
    _finished: bool = False

    def __post_init__(self) -> None:
        self.low, self.high = self.limits[self.key]
        self.whole = self._bounds(self.low, self.high)

    @property
    def key(self) -> str:
        return self.keys[0]

    @property
    def _moves(self) -> bool:
        return self.key != CREATED

    @property
    def remaining(self) -> int:
        return self.rest if self.tie is None else self.tie.remaining + self.behind

    @property
    def sure(self) -> bool:
        return self._current if self.tie is None else self.tie.sure

    def cut(self, before: datetime) -> None:
        """Leave what lies from an instant on."""
        self.end = before
        self._current = False
        if self.high is None or before < self.high:
            self.high = before

    def cuts(self, pieces: int, page_size: int) -> list[datetime]:
        """Return where to cut what remains, so that the rows on each side are about as many."""
        start, end = self.position, self.high
        if start is None or pieces < 1:
            return []
        if self.pace:
            # The next page is under way; and where rows lie close, they end before the bound does.
            last = start + self.pace * (self.rest + page_size)
            end = last if end is None else min(end, last)
            start += self.pace * page_size
        if end is None:
            return []
        step = (end - start) / (pieces + 1)
        return [] if step < 2 * _MICROSECOND else [start + step * number for number in range(1, pieces + 1)]

    def next(self) -> _Ask | None:
        if self.tie is not None:
            ask = self.tie.next()
            if ask is not None:
                return ask
            self._leave_tie()
        if self.high is not None and self.low is not None:
            behind = self.low >= self.high if self._given_to_low else self.low > self.high
            self._finished = self._finished or behind
        if self._finished:
            return None
        self._asked = self.low, self.high
        return _Ask(1, self.key, self._bounds(self.low, self.high))

    @property
    def begun(self) -> bool:
        return self.position is not None or self._finished

    def ignored(self, sight: _Sight) -> str | None:
        if self.tie is not None:
            return self.tie.ignored(sight)
        last: datetime | None = None
        low, high = self._asked
        name = row_field(self.key)
        for row in sight.rows:
            moment = _instant(row, name)
            if moment is None:
                return f"{name} and gave rows without it"
            if last is not None and moment < last:
                return f"the order by {self.key}"
            if (low is not None and moment < low) or (high is not None and moment > high):
                return f"the bounds of {self.key}"
            last = moment
        if not sight.rows and sight.total:
            return f"its own count of {sight.total} rows and gave none"
        return None

    def accept(self, sight: _Sight) -> list[Any]:
        if self.tie is not None:
            return self._accept_tie(sight)
        name = row_field(self.key)
        rows = [(instants.read(row[name]), row) for row in sight.rows]
        last = rows[-1][0] if rows else None
        self._current = self._asked[1] == self.high
        self.rest = max(0, sight.total - len(rows) if self._current else self.rest - len(rows))
        if rows:
            self.pace = (rows[-1][0] - (self.position or rows[0][0])) / len(rows)
            if self.end is not None:
                rows = [(moment, row) for moment, row in rows if moment < self.end]
        if self._given_to_low and rows and rows[0][0] == self.low:
            # The tie that was just read comes again: the server includes the bound.
            self._includes_bounds = True
            self._given_to_low = False
            rows = [(moment, row) for moment, row in rows if moment != self.low]
            self.low = _later(self.low)
            if not rows and sight.more:
                return []
        fresh = self._unseen(rows)
        if not sight.more or last is None or (self.end is not None and last >= self.end):
            self._finished = True
            self.position = self.high
            return fresh
        low = last - _MICROSECOND
        stuck = self.low is not None and low <= self.low
        if stuck or (len(rows) > 1 and rows[0][0] == last):
            self._enter_tie(last)
        else:
            self.low = low
            self._given_to_low = False
        self.position = last
        self._remember(rows, since=low)
        return fresh

    def _enter_tie(self, at: datetime) -> None:
        held = {**self.held, **_around(self.key, at, (self.low, self.high))}
        self.tie_at = at
        self.behind = self.rest
        self.tie = _Keys(self.keys[1:], self.limits, held) if len(self.keys) > 1 else _Equal(self.key, held)

    def _leave_tie(self) -> None:
        self.low = _later(self.tie_at) if self._includes_bounds else self.tie_at
        self._given_to_low = not self._includes_bounds
        self.rest = self.behind
        self.tie = self.tie_at = None

    def _accept_tie(self, sight: _Sight) -> list[Any]:
        tie, name = self.tie, row_field(self.key)
        if tie is None:
            return []
        # The bounds around a tie may include its neighbours, which come again in their own place.
        first = not tie.begun
        rows = [(self.tie_at, row) for row in tie.accept(sight) if _instant(row, name) == self.tie_at]
        if first:
            self.behind = max(0, self.rest - sight.total)
        self.reason = self.reason or tie.reason
        fresh = self._unseen(rows)
        if isinstance(tie, _Keys) and tie._moves:
            # What changes in there comes again at the end of the tie, as long as the tie is read.
            self._remember(rows)
        return fresh

    def _unseen(self, rows: Iterable[tuple[datetime | None, Any]]) -> list[Any]:
        return [
            row
            for moment, row in rows
            if row["id"] not in self.recent or (self._moves and self.recent[row["id"]] != moment)
        ]

    def _remember(self, rows: Iterable[tuple[datetime | None, Any]], since: datetime | None = None) -> None:
        # Only what lies behind the next bound can come again, so that the memory does not grow with the list.
        if since is not None:
            self.recent = {
                row_id: moment for row_id, moment in self.recent.items() if moment is not None and moment >= since
            }
        self.recent.update((row["id"], moment) for moment, row in rows)

    def _bounds(self, low: datetime | None, high: datetime | None) -> dict[str, datetime]:
        ends = {f"{self.key}.After": low, f"{self.key}.Before": high}
        return {**self.held, **{name: moment for name, moment in ends.items() if moment is not None}}


@dataclass
class _Equal:
    """
    Read rows that are equal in every key: by number, again and again until the distinct ids reach the total.

    :param key: the field to order by
    :param held: bounds that hold all keys
    """

    key: str
    held: Mapping[str, datetime]

    reason: str | None = None
    _given: set[str] = field(default_factory=set)
    _number: int = 1
    _quiet: int = 0
    _grew: bool = False
    _total: int = -1
    _counted: set[str] = field(default_factory=set)
    _finished: bool = False

    @property
    def begun(self) -> bool:
        return self._total >= 0

    @property
    def remaining(self) -> int:
        return max(0, self._total - len(self._counted))

    @property
    def sure(self) -> bool:
        return False

    def next(self) -> _Ask | None:
        return None if self._finished else _Ask(self._number, self.key, self.held)

    def ignored(self, sight: _Sight) -> str | None:
        return None

    def accept(self, sight: _Sight) -> list[Any]:
        ids = {row["id"] for row in sight.rows}
        fresh = [row for row in sight.rows if row["id"] not in self._given]
        self._given |= ids
        if fresh:
            self._quiet = 0
        if sight.total > self._total:
            self._recount(sight.total)
        self._grew = self._grew or not ids <= self._counted
        self._counted |= ids
        # Rows can leave while they are counted. Then the count falls short, and a new one begins.
        if len(self._counted) >= self._total:
            self._finished = True
        elif sight.says_more and sight.rows:
            self._number += 1
        elif self._quiet < _QUIET_ROUNDS:
            self._number = 1
            self._quiet += 1
            if not self._grew:
                self._recount(sight.total)
            self._grew = False
        else:
            self._finished = True
            self.reason = (
                f"of {self._total} rows that are equal in every instant {len(self._counted)} were found in the last "
                "rounds"
            )
        return fresh

    def _recount(self, total: int) -> None:
        self._total = total
        self._counted = set()


class _Numbers:
    """
    Read by page number.

    :param key: the field to order by; ``None`` for the caller's own order
    :param bounds: bounds to ask for
    :param given: rows that were given already
    """

    def __init__(
        self, key: str | None, bounds: Mapping[str, datetime] | None = None, given: Iterable[str] = ()
    ) -> None:
        self.key = key
        self.bounds = bounds or {}
        self.remaining = 0
        self.count = 0
        self._number = 1
        self._finished = False
        # A row that slips comes again on the next page.
        self._recent: deque[set[str]] = deque([set(given)], maxlen=3)

    def next(self) -> _Ask | None:
        return None if self._finished else _Ask(self._number, self.key, self.bounds)

    def ignored(self, sight: _Sight) -> str | None:
        return None

    def accept(self, sight: _Sight) -> list[Any]:
        fresh = [row for row in sight.rows if not any(row["id"] in ids for ids in self._recent)]
        self._recent.append({row["id"] for row in sight.rows})
        self.count += len(sight.rows)
        self._number += 1
        self.remaining = max(0, sight.total - self.count)
        self._finished = not sight.rows or not (sight.says_more or self.count < sight.total)
        return fresh


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
    low, high = limits
    lowest, highest = moment - _MICROSECOND, moment + _MICROSECOND
    return {
        f"{name}.After": lowest if low is None else max(lowest, low),
        f"{name}.Before": highest if high is None else min(highest, high),
    }


def _instant(row: Any, name: str) -> datetime | None:
    text = row.get(name)
    try:
        return instants.read(text) if text else None
    except (ValueError, TypeError):
        return None


def _later(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment + _MICROSECOND
