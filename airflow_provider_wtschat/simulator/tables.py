"""Rows by id, lists in order: what the simulator has in place of a database."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from random import Random
from typing import Generic, TypeVar

from airflow_provider_wtschat.simulator.records import Row

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Bound:
    """A range on one instant of the rows."""

    after: int | None = None
    before: int | None = None

    def limits(self, inclusive: bool) -> tuple[int, int]:
        """Return the lowest and the highest instant inside."""
        step = 0 if inclusive else 1
        lowest = -(2**63) if self.after is None else self.after + step
        highest = 2**63 if self.before is None else self.before - step
        return lowest, highest


@dataclass(frozen=True, slots=True)
class Selection(Generic[R]):
    """Which rows a list asks for."""

    bounds: Mapping[str, Bound] = field(default_factory=dict)
    """By the name of an order, e.g. ``updatedat``."""
    matches: Callable[[R], bool] | None = None
    signature: Hashable = None
    """Equal for selections whose ``matches`` are equal, so that the pages of one list share the work."""
    order: str = "createdat"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Manners:
    """Where the real API is not known, or known to differ: how lists behave."""

    inclusive: bool = True
    """Whether ``After`` and ``Before`` include the bound."""
    arbitrary_ties: bool = False
    """Whether rows that are equal in the order come in another sequence each time."""
    ignore_bounds: bool = False


@dataclass(slots=True)
class Changes:
    """How often anything has changed; tables that share it forget their results together."""

    count: int = 0


class _Index(Generic[R]):
    """Rows sorted by one instant and, where that is equal, by their sequence."""

    def __init__(self, key: Callable[[R], int]) -> None:
        self.key = key
        self.keys = array("q")
        self.rows: list[R] = []

    def load(self, rows: Iterable[R]) -> None:
        self.rows = sorted(rows, key=lambda row: (self.key(row), row.seq))
        self.keys = array("q", map(self.key, self.rows))

    def add(self, row: R) -> None:
        key = self.key(row)
        position = bisect_right(self.keys, key)
        while position and self.keys[position - 1] == key and self.rows[position - 1].seq > row.seq:
            position -= 1
        self.keys.insert(position, key)
        self.rows.insert(position, row)

    def remove(self, row: R) -> None:
        position = bisect_left(self.keys, self.key(row))
        while self.rows[position].id != row.id:
            position += 1
        del self.keys[position], self.rows[position]

    def span(self, bound: Bound | None, inclusive: bool) -> tuple[int, int]:
        if bound is None:
            return 0, len(self.keys)
        lowest, highest = bound.limits(inclusive)
        low = bisect_left(self.keys, lowest)
        return low, max(low, bisect_right(self.keys, highest))


class Table(Generic[R]):
    """Rows of one kind.

    ``get`` always knows the newest version; lists may be told to show it later.
    """

    _REMEMBERED = 16

    def __init__(
        self, orders: Mapping[str, Callable[[R], int]] | None = None, *, changes: Changes | None = None
    ) -> None:
        """Make an empty table.

        :param orders: by which instants its lists can be ordered and bounded; created and updated by default.
        :param changes: the count of changes, if it is to be shared with other tables.
        """
        keys: Mapping[str, Callable[[R], int]] = orders or {
            "createdat": lambda row: row.created,
            "updatedat": lambda row: row.updated,
        }
        self._rows: dict[str, R] = {}
        self._listed: dict[str, R] = {}
        self._indexes = {name: _Index(key) for name, key in keys.items()}
        self._late: list[tuple[int, int, R]] = []
        self._late_order = count()
        self.watch: Callable[[R | None, R], None] | None = None
        """Is told of each version that is stored, and of the one before it."""
        self._changes = changes or Changes()
        self._results: OrderedDict[Hashable, tuple[int, list[R]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def get(self, row_id: str | None) -> R | None:
        """Return the newest version of a row."""
        return None if row_id is None else self._rows.get(row_id)

    @property
    def orders(self) -> frozenset[str]:
        """Names by which lists can be ordered."""
        return frozenset(self._indexes)

    def load(self, rows: Iterable[R]) -> None:
        """Fill an empty table at once."""
        self._rows = {row.id: row for row in rows}
        self._listed = dict(self._rows)
        for index in self._indexes.values():
            index.load(self._listed.values())
        self._changes.count += 1

    def put(self, row: R, *, listed_at: int | None = None) -> None:
        """Store a new version of a row, or a new row.

        :param listed_at: when lists begin to show it; at once by default.
        """
        old = self._rows.get(row.id)
        self._rows[row.id] = row
        if self.watch is not None:
            self.watch(old, row)
        if listed_at is None:
            self._list(row)
        else:
            heapq.heappush(self._late, (listed_at, next(self._late_order), row))

    def delete(self, row_id: str) -> R | None:
        """Remove a row from everywhere; return what it was."""
        row = self._rows.pop(row_id, None)
        listed = self._listed.pop(row_id, None)
        if listed is not None:
            for index in self._indexes.values():
                index.remove(listed)
            self._changes.count += 1
        return row

    def settle(self, now: int) -> None:
        """Let lists show what has become visible by now."""
        while self._late and self._late[0][0] <= now:
            row = heapq.heappop(self._late)[2]
            listed = self._listed.get(row.id)
            if row.id in self._rows and (listed is None or listed.updated <= row.updated):
                self._list(row)

    def _list(self, row: R) -> None:
        old = self._listed.get(row.id)
        self._listed[row.id] = row
        for index in self._indexes.values():
            if old is not None:
                index.remove(old)
            index.add(row)
        self._changes.count += 1

    def pick(self, rng: Random) -> R | None:
        """Return any listed row."""
        rows = self._indexes["createdat"].rows
        return rows[rng.randrange(len(rows))] if rows else None

    def select(
        self, selection: Selection[R], start: int, size: int, manners: Manners, rng: Random
    ) -> tuple[list[R], int]:
        """Return one page of a list, and how many rows the list has."""
        if manners.ignore_bounds:
            selection = replace(selection, bounds={})
        order = self._indexes[selection.order]
        others = {name: bound for name, bound in selection.bounds.items() if name != selection.order}
        rows: Sequence[R]
        if others or selection.matches is not None:
            rows = self._filtered(selection, manners)
            low, high = 0, len(rows)
        else:
            rows = order.rows
            low, high = order.span(selection.bounds.get(selection.order), manners.inclusive)
        total = high - low
        first, last = min(start, total), min(start + size, total)
        if selection.descending:
            first, last = total - last, total - first
        if manners.arbitrary_ties:
            page = _shuffle_ties(rows, order.key, low, high, low + first, low + last, rng)
        else:
            page = list(rows[low + first : low + last])
        if selection.descending:
            page.reverse()
        return page, total

    def _filtered(self, selection: Selection[R], manners: Manners) -> list[R]:
        """Return all rows of a selection, ascending in its order."""
        signature = (tuple(sorted(selection.bounds.items(), key=lambda item: item[0])), selection.signature)
        remembered = (signature, selection.order, manners.inclusive)
        memorable = selection.matches is None or selection.signature is not None
        known = self._results.get(remembered)
        if memorable and known is not None and known[0] == self._changes.count:
            return known[1]
        spans = {name: self._indexes[name].span(bound, manners.inclusive) for name, bound in selection.bounds.items()}
        spans.setdefault(selection.order, (0, len(self._listed)))
        # The narrowest range leaves the fewest rows to look at; at a draw the order itself, which saves the sorting.
        narrowest = min(spans, key=lambda name: (spans[name][1] - spans[name][0], name != selection.order))
        low, high = spans[narrowest]
        candidates = self._indexes[narrowest].rows[low:high]
        for name, bound in selection.bounds.items():
            if name != narrowest:
                key = self._indexes[name].key
                lowest, highest = bound.limits(manners.inclusive)
                candidates = [row for row in candidates if lowest <= key(row) <= highest]
        if selection.matches is not None:
            candidates = list(filter(selection.matches, candidates))
        if narrowest != selection.order:
            key = self._indexes[selection.order].key
            candidates.sort(key=lambda row: (key(row), row.seq))
        if memorable:
            self._results[remembered] = (self._changes.count, candidates)
            if len(self._results) > self._REMEMBERED:
                self._results.popitem(last=False)
        return candidates


def _shuffle_ties(
    rows: Sequence[R], key: Callable[[R], int], low: int, high: int, first: int, last: int, rng: Random
) -> list[R]:
    """Cut ``rows[first:last]`` out as if rows with equal keys had been shuffled in ``rows[low:high]``."""
    if first >= last:
        return []
    begin, end = first, last
    while begin > low and key(rows[begin - 1]) == key(rows[first]):
        begin -= 1
    while end < high and key(rows[end]) == key(rows[last - 1]):
        end += 1
    shuffled: list[R] = []
    for _, group in groupby(rows[begin:end], key):
        tie = list(group)
        rng.shuffle(tie)
        shuffled += tie
    return shuffled[first - begin : last - begin]
