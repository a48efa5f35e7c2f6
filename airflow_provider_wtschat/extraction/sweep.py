"""
Reading the pages of a window at once, by their numbers, and proving that nothing slipped between them.

Rows can only leave a window that ended before the reading began: one that changes gets a later instant. So while the
list says the same total, it is the same list, and pages with the same total fit together without a gap. Where the
totals of two neighbouring pages differ, or rows on both sides of their edge share an instant, what lies between is read
once more by key. Splitting a window costs a request for each split; this costs none as long as nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Generic, TypeVar

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.paging import Paginator, row_field
from airflow_provider_wtschat.api.request import Page, Request

Row = TypeVar("Row")

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Facts:
    """What a page shows."""

    rows: int
    total: int
    first: datetime | None
    last: datetime | None
    edges: frozenset[str]
    """Ids of the rows at the first and at the last instant."""


@dataclass(frozen=True)
class Gap:
    """
    What lies between two pages and has to be read by key.

    :param low: start, included
    :param high: end, included; ``None`` for the end of the window
    :param given: ids of rows at these two instants that were given already
    """

    low: datetime
    high: datetime | None
    given: frozenset[str]


class Sweep(Generic[Row]):
    """
    Says which pages to ask for, takes them in any order, and tells what has to be read by key.

    :param paginator: its window, of which the first page was read
    :param page: the first page
    :param gaps: how many gaps may show before the rest is read by key: what its splits would cost
    """

    def __init__(self, paginator: Paginator[Row], page: Page[Row], gaps: int) -> None:
        self.paginator = paginator
        self.failed = False
        """Whether what is still to be answered is of no use."""
        self.stopped = False
        """Whether no further page is asked for."""
        self._name = row_field(paginator.key)
        self._size = paginator.page_size
        facts = self._facts(page)
        if facts is None or facts.rows < self._size:
            self.failed = True
            facts = _Facts(0, 0, None, None, frozenset())
        self._pages = {1: facts}
        self._total = facts.total
        self._number = 1
        self._proved = 1
        self._allowed = gaps
        self._found = 0
        self._totals: set[int] = set()
        self._position = facts.last
        self._gaps: list[Gap] = []
        self._covered: datetime | None = None

    @property
    def position(self) -> datetime | None:
        """All rows before this instant were given, or are in the gaps that were taken."""
        if self._position is not None and self._position == self._covered:
            return self._position + _MICROSECOND
        return self._position

    @property
    def remaining(self) -> int:
        """How many rows are still to come."""
        return max(0, self._total - self._proved * self._size)

    @property
    def wants(self) -> bool:
        """Whether there are pages to ask for."""
        if self.failed or self.stopped:
            return False
        last = self._pages.get(self._number)
        # A full page is never known to be the last.
        return self._number * self._size < self._total or (last is not None and last.rows >= self._size)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be asked for or to be answered."""
        return self.failed or (not self.wants and self._proved == self._number)

    @property
    def unfinished(self) -> bool:
        """Whether the rest is to be read by key, from :attr:`position` on."""
        return self.failed or self.stopped

    def next(self) -> tuple[int, Request[Page[Row]]]:
        """Return the number of the next page, and the request for it."""
        self._number += 1
        return self._number, self.paginator.page(self._number)

    def accept(self, number: int, page: Page[Row]) -> list[Row]:
        """
        Note a page.

        :return: its rows that lie in the window
        """
        facts = self._facts(page)
        if facts is None or self.failed:
            self.fail()
            return []
        if (number - 1) * self._size + facts.rows > facts.total:
            # The total is capped, so that it says nothing of what was read so far either.
            self._position = None
            self.fail()
            return []
        self._pages[number] = facts
        self._totals.add(facts.total)
        # Each total but the first is a change, which will show as a gap.
        self.stopped = self.stopped or len(self._totals) - 1 > self._allowed
        # Numbers say nothing inside of a tie.
        self.stopped = self.stopped or (facts.rows == self._size and facts.first == facts.last)
        self._total = min(self._total, facts.total)
        while not self.failed and self._proved + 1 in self._pages:
            self._join(self._pages.pop(self._proved), self._pages[self._proved + 1])
        return self.paginator.inside(page["items"])

    def fail(self) -> None:
        """Leave the rest to be read by key, without what is still to be answered."""
        self.failed = True

    def take_gaps(self) -> list[Gap]:
        """Return what has to be read by key and was not returned before."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def _join(self, left: _Facts, right: _Facts) -> None:
        whole = left.total == right.total and left.rows == self._size
        apart = right.first is None or (left.last is not None and left.last < right.first)
        # A tie that spans several pages is read once, whatever leaves it meanwhile.
        again = left.last is not None and left.last == right.first == self._covered
        if left.last is not None and not (whole and apart) and not again:
            self._found += 1
            self.stopped = self.stopped or self._found > self._allowed
            self._gaps.append(Gap(left.last, right.first, left.edges | right.edges))
            self._covered = right.first
        self._proved += 1
        self._position = right.last or self._position
        if right.rows < self._size and (self._proved - 1) * self._size + right.rows < right.total:
            # It says that there are more, and gives none.
            self.fail()

    def _facts(self, page: Page[Row]) -> _Facts | None:
        """Return what a page shows, or ``None`` if it shows that this is no way to read the list."""
        rows: Any = page.get("items") if isinstance(page, dict) else None
        total = page.get("totalItems") if isinstance(page, dict) else None
        if not isinstance(rows, list) or not isinstance(total, int) or total < len(rows) or len(rows) > self._size:
            return None
        if self.paginator.request.mismatch(rows) is not None:
            return None
        try:
            moments = [instants.read(row[self._name]) for row in rows if isinstance(row, Mapping)]
        except (KeyError, ValueError, TypeError, OverflowError):
            return None
        if len(moments) < len(rows) or any(left > right for left, right in pairwise(moments)):
            return None
        if not moments:
            return _Facts(0, total, None, None, frozenset())
        ends = (moments[0], moments[-1])
        edges = frozenset(str(row.get("id")) for row, moment in zip(rows, moments, strict=True) if moment in ends)
        return _Facts(len(rows), total, *ends, edges)
