"""
Reading what belongs to other things: a request for each parent, so the parents are chosen with care.

A parent is read when it changed or had an interaction in the window, unless it is, to the instant, as it was when its
children were last read completely. So an overlap of windows never reads children twice. Statuses of messages move for
some days after a session has ended, which shows nowhere: once a day the sessions that ended lately are read again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api.paging import CREATED, Paginator
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatNotFoundError
from airflow_provider_wtschat.extraction.changes import Changes, read_changes
from airflow_provider_wtschat.extraction.reading import (
    LOOK_EVERY,
    WORKERS,
    Batch,
    Parent,
    Progress,
    Reading,
    Version,
    succeeded,
)
from airflow_provider_wtschat.extraction.resources import RESOURCES, Resource
from airflow_provider_wtschat.extraction.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

log = logging.getLogger(__name__)

Known = Callable[[Sequence[str]], Mapping[str, str]]
"""Tells, for ids of parents, the version at which the children of each were last read completely, where they were."""

_ASK_KNOWN = 500


class ParentList:
    """
    Parents, kept in a temporary file, so that the memory does not grow with their number.

    Can be iterated over more than once, and knows its length.
    """

    def __init__(self) -> None:
        # An empty name is a database on disk that goes when it is closed.
        self._kept = sqlite3.connect("")
        self._kept.execute("PRAGMA cache_size = -512")
        self._kept.execute("PRAGMA synchronous = OFF")
        self._kept.execute("CREATE TABLE parents (id TEXT PRIMARY KEY, version TEXT, late INTEGER NOT NULL DEFAULT 0)")

    def add(self, rows: Iterable[tuple[str, str]], *, late: bool = False) -> None:
        """
        Add parents, or replace the version of those that are there.

        :param rows: ids and versions
        :param late: whether they are to be read again on each day
        """
        with self._kept:
            self._kept.executemany(
                "INSERT INTO parents (id, version, late) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "version = excluded.version, late = max(late, excluded.late)",
                [(row_id, version, int(late)) for row_id, version in rows],
            )

    def remove(self, ids: Iterable[str]) -> None:
        """Remove parents."""
        with self._kept:
            self._kept.executemany("DELETE FROM parents WHERE id = ?", [(row_id,) for row_id in ids])

    def groups(self) -> Iterator[list[tuple[Parent, bool]]]:
        """Give the parents in groups, each with whether it is to be read again on each day."""
        last = 0
        while True:
            rows = self._kept.execute(
                "SELECT rowid, id, version, late FROM parents WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (last, _ASK_KNOWN),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [(Parent(row_id, version), bool(late)) for _, row_id, version, late in rows]

    def __iter__(self) -> Iterator[Parent]:
        """Return the parents, in the order in which they came first."""
        return (parent for group in self.groups() for parent, _ in group)

    def __len__(self) -> int:
        """Count the parents."""
        count: int = self._kept.execute("SELECT COUNT(*) FROM parents").fetchone()[0]
        return count


@dataclass(frozen=True)
class Parents:
    """
    Which parents to read.

    :param chosen: the parents
    :param unchanged: how many more would have come, but are known to be unchanged
    :param until_reached: every change of a parent before this instant is among them
    :param reasons: why that is not sure
    """

    chosen: ParentList
    unchanged: int
    until_reached: datetime | None
    reasons: list[str]


def choose_parents(
    hook: WtsChatHook,
    resource: Resource,
    since: datetime | None,
    until: datetime | None,
    *,
    known: Known | None = None,
    settle: timedelta | None = None,
    filters: Mapping[str, Any] | None = None,
    workers: int = WORKERS,
    bulk: bool = True,
) -> Parents:
    """
    Choose the parents whose children may have changed.

    :param since: start of the window, included
    :param until: end of the window, excluded; ``None`` for now
    :param known: tells what was read before; default: nothing
    :param settle: also choose sessions that ended within this time, unless they were read today. Give it once a day
    """
    of = RESOURCES[resource.parent or ""]
    lists = _lists(of.requests(hook, filters))
    changed = read_changes(
        hook, lists, since, until, also=of.also, unfiltered=of.comparisons(lists, filters),
        parents_may_go=of.parents_may_go(filters), thorough=True, workers=workers, bulk=bulk,
    )  # fmt: skip
    parents = ParentList()
    readings = [changed]
    day = _collect(parents, changed)
    if settle is not None and of.name == "sessions":
        clock = changed.clock.now()
        ended = {**(filters or {}), "ended_after": clock - settle, "ended_before": clock}
        readings.append(read_changes(hook, _lists(of.requests(hook, ended)), key=CREATED, workers=workers, bulk=bulk))
        _collect(parents, readings[-1], day, late=True)
    found = len(parents)
    for group in parents.groups():
        parents.remove(_unchanged(group, known))
    reasons = [reason for reading in readings for reason in reading.reasons]
    return Parents(parents, found - len(parents), changed.until_reached, list(dict.fromkeys(reasons)))


class Children(Reading[Any]):
    """
    Reads the children of parents. Built by :func:`read_children`.

    :param child: builds the list of one parent's children
    """

    def __init__(
        self,
        hook: WtsChatHook,
        child: Callable[[str], PagedRequest[Any]],
        parents: Parents,
        *,
        workers: int,
        bulk: bool,
        page_size: int,
    ) -> None:
        super().__init__()
        self.parents = parents
        self.reasons.extend(parents.reasons)
        self._hook = hook
        self._child = child
        self._count = workers
        self._bulk = bulk
        self._page_size = page_size

    def _read(self) -> Generator[Batch[Any], None, None]:
        progress = Progress(self._hook, self)
        waiting = iter(self.parents.chosen)
        count = left = len(self.parents.chosen)
        with Workers[tuple[Parent, Paginator[Any]]](self._hook, self._count, bulk=self._bulk) as workers:
            self.clock = workers.clock
            self._begin(workers, waiting)
            while workers.underway:
                answered = workers.take(LOOK_EVERY)
                progress.say(None if not self.rows else left * self.rows / max(1, count - left))
                if answered is None:
                    continue
                parent, paginator = answered.tag
                rows: list[Any] = []
                following = None
                # A parent that was deleted since it was chosen has no children; a proxy's 404 has no key.
                if not (isinstance(answered.answer, WtsChatNotFoundError) and answered.answer.key):
                    rows = paginator.accept(succeeded(answered).value)
                    self._doubt(paginator.reason)
                    following = paginator.next()
                if self.started_at is None:
                    self.started_at = self.clock.at(answered.sent)
                if following is not None:
                    workers.submit(answered.tag, following)
                else:
                    left -= 1
                    self._begin(workers, waiting)
                self.rows += len(rows)
                self.requests = workers.requests
                read_at = max(self.started_at, self.clock.at(answered.received))
                complete = following is None and paginator.verified
                yield Batch(rows, read_at, paginator.request, parent, complete=complete)
        self._warn_of_clock()
        self.until_reached = self.parents.until_reached
        progress.say(0, end=True)

    def _begin(self, workers: Workers[tuple[Parent, Paginator[Any]]], waiting: Iterable[Parent]) -> None:
        for parent in waiting if workers.idle else ():
            paginator: Paginator[Any] = Paginator(
                self._child(parent.id), page_size=self._page_size, key=CREATED, confirm=True
            )
            first = paginator.next()
            if first is not None:
                workers.submit((parent, paginator), first)
            if not workers.idle:
                return


def read_children(
    hook: WtsChatHook,
    resource: Resource,
    parents: Parents,
    *,
    max_requests: int | None = None,
    workers: int = WORKERS,
    bulk: bool = True,
    page_size: int | None = None,
) -> Children:
    """
    Read the children of parents, all of them for each parent.

    Each batch tells its parent; keep the parent's ``version`` once its last batch (``complete``) is stored, so that a
    later try goes on from there.

    :param parents: whose, see :func:`choose_parents`
    :param max_requests: refuse if more parents than this would have to be asked for
    :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
    :raises WtsChatArgumentError: if it would take more than ``max_requests``, or the resource has no parents
    """
    if resource.child is None:
        raise WtsChatArgumentError("resource", f"{resource.name} is not read by its parents")
    check_cost(resource.name, len(parents.chosen), max_requests, parents.unchanged)
    size = page_size or hook.resolve().page_size
    return Children(hook, resource.child, parents, workers=workers, bulk=bulk, page_size=size)


def check_cost(name: str, count: int, max_requests: int | None, unchanged: int = 0) -> None:
    """
    Say what reading by parent costs, and refuse what is too much.

    :raises WtsChatArgumentError: if there are more parents than requests allowed
    """
    log.info(
        "%s: %d requests at least, one for each parent (%d parents left out as unchanged), about %.0f minutes at the "
        "account's limit",
        name,
        count,
        unchanged,
        count / 200,
    )
    if max_requests is not None and count > max_requests:
        raise WtsChatArgumentError(
            "max_requests",
            f"{name} would take {count} requests at least, one for each parent, and {max_requests} are "
            "allowed; take a shorter window, or allow more",
        )


def _collect(parents: ParentList, reading: Changes[Any], day: str | None = None, *, late: bool = False) -> str:
    """Add what a reading gives, and return the day of its beginning."""
    for batch in reading:
        day = day or f"{reading.started_at or batch.read_at:%Y-%m-%d}"
        # A version that is given later is the newer one.
        parents.add(
            (
                (row["id"], Version(row.get("updatedAt"), row.get("lastInteractionDate"), day).text())
                for row in batch.rows
            ),
            late=late,
        )
    return day or f"{reading.clock.now():%Y-%m-%d}"


def _lists(requests: Sequence[Any]) -> list[PagedRequest[Any]]:
    return [request for request in requests if isinstance(request, PagedRequest)]


def _unchanged(group: Sequence[tuple[Parent, bool]], known: Known | None) -> list[str]:
    """Return the parents whose children need not be read."""
    before = known([parent.id for parent, _ in group]) if known is not None else {}
    unchanged = []
    for parent, late in group:
        now, read = Version.parse(parent.version), Version.parse(before.get(parent.id))
        # One that ended lately is read again on another day, though nothing of it changed.
        if now is not None and (now == read if late else now.same_state(read)):
            unchanged.append(parent.id)
    return unchanged
