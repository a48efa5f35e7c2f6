"""
Reading what belongs to other things: a request for each parent, so the parents are chosen with care.

A parent is read when it changed or had an interaction in the window, unless it is, to the instant, as it was when its
children were last read completely. So an overlap of windows never reads children twice. Statuses of messages move for
some days after a session has ended, which shows nowhere: once a day the sessions that ended lately are read again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_wtschat.api.paging import CREATED, Paginator
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatNotFoundError
from airflow_provider_wtschat.extraction.reading import (
    LOOK_EVERY,
    WORKERS,
    Batch,
    Changes,
    Parent,
    Progress,
    Reading,
    read_at,
    read_changes,
)
from airflow_provider_wtschat.extraction.resources import RESOURCES, Resource
from airflow_provider_wtschat.extraction.workers import Workers
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

log = logging.getLogger(__name__)

Known = Callable[[Sequence[str]], Mapping[str, str]]
"""Tells, for ids of parents, the version at which the children of each were last read completely, where they were."""

_ASK_KNOWN = 500


@dataclass(frozen=True)
class Parents:
    """
    Which parents to read.

    :param chosen: the parents
    :param unchanged: how many more would have come, but are known to be unchanged
    :param until_reached: every change of a parent before this instant is among them
    :param reasons: why that is not sure
    """

    chosen: list[Parent]
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

    :param hook: the hook
    :param resource: what to read of them
    :param since: start of the window, included
    :param until: end of the window, excluded; ``None`` for now
    :param known: tells what was read before; default: nothing
    :param settle: also choose sessions that ended within this time, unless they were read today. Give it once a day
    :param filters: arguments of the parents' list
    :param workers: threads at most
    :param bulk: whether to leave the account's other clients room
    :return: the parents
    """
    of = RESOURCES[resource.parent or ""]
    requests = of.requests(hook, filters)
    changed = read_changes(hook, _lists(requests), since, until, workers=workers, bulk=bulk)
    rows = _by_id(changed)
    readings: list[Changes[Any]] = [changed]
    late: set[str] = set()
    if of.name == "sessions":
        wanted = dict(filters or {})
        clock = changed.started_at or datetime.now(UTC)
        # Over creation, which never moves: what the interaction is compared with does not show in the rows for sure.
        if since is not None:
            active = {**wanted, "last_interaction_after": since, "last_interaction_before": until}
            readings.append(_over_creation(hook, of, active, workers, bulk=bulk))
            rows |= _by_id(readings[-1])
        if settle is not None:
            ended = {**wanted, "ended_after": clock - settle, "ended_before": clock}
            readings.append(_over_creation(hook, of, ended, workers, bulk=bulk))
            found = _by_id(readings[-1])
            late = set(found)
            rows |= found
    day = f"{changed.started_at or datetime.now(UTC):%Y-%m-%d}"
    chosen = [Parent(row_id, f"{state}|{day}") for row_id, state in rows.items()]
    fresh = [parent for batch in _batches(chosen) for parent in _unread(batch, known, late)]
    reasons = [reason for reading in readings for reason in reading.reasons]
    return Parents(fresh, len(chosen) - len(fresh), changed.until_reached, list(dict.fromkeys(reasons)))


class Children(Reading[Any]):
    """
    Reads the children of parents. Built by :func:`read_children`.

    :param hook: the hook
    :param child: builds the list of one parent's children
    :param parents: whose
    :param workers: threads at most
    :param bulk: whether to leave the account's other clients room
    :param page_size: rows per page
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
        left = len(self.parents.chosen)
        with Workers[tuple[Parent, Paginator[Any]]](self._hook, self._count, bulk=self._bulk) as workers:
            self._begin(workers, waiting)
            while workers.underway:
                answered = workers.take(LOOK_EVERY)
                progress.say(None if not self.rows else left * self.rows / max(1, len(self.parents.chosen) - left))
                if answered is None:
                    continue
                parent, paginator = answered.tag
                rows: list[Any] = []
                following = None
                if isinstance(answered.answer, Answer):
                    self.started_at = self.started_at or answered.answer.server_time
                    rows = paginator.accept(answered.answer.value)
                    self._doubt(paginator.reason)
                    following = paginator.next()
                elif not isinstance(answered.answer, WtsChatNotFoundError):
                    # A parent that was deleted since it was chosen has no children.
                    raise answered.answer
                if following is not None:
                    workers.submit(answered.tag, following)
                else:
                    left -= 1
                    self._begin(workers, waiting)
                self.rows += len(rows)
                self.requests = workers.requests
                yield Batch(rows, read_at(answered), paginator.request, parent, complete=following is None)
        self.until_reached = self.parents.until_reached
        progress.say(0, end=True)

    def _begin(self, workers: Workers[tuple[Parent, Paginator[Any]]], waiting: Iterable[Parent]) -> None:
        for parent in waiting if workers.idle else ():
            paginator = Paginator(self._child(parent.id), page_size=self._page_size, key=CREATED)
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
    page_size: int = MAX_PAGE_SIZE,
) -> Children:
    """
    Read the children of parents, all of them for each parent.

    Each batch tells its parent; keep the parent's ``version`` once its last batch (``complete``) is stored, so that a
    later try goes on from there.

    :param hook: the hook
    :param resource: what to read
    :param parents: whose, see :func:`choose_parents`
    :param max_requests: refuse if more parents than this would have to be asked for
    :param workers: threads at most
    :param bulk: whether to leave the account's other clients room
    :param page_size: rows per page, 1 to 100
    :return: the reading
    :raises WtsChatArgumentError: if it would take more than ``max_requests``, or the resource has no parents
    """
    if resource.child is None:
        msg = f"resource: {resource.name} is not read by its parents"
        raise WtsChatArgumentError(msg)
    check_cost(resource.name, len(parents.chosen), max_requests, parents.unchanged)
    return Children(hook, resource.child, parents, workers=workers, bulk=bulk, page_size=page_size)


def check_cost(name: str, count: int, max_requests: int | None, unchanged: int = 0) -> None:
    """
    Say what reading by parent costs, and refuse what is too much.

    :param name: name of the resource
    :param count: parents to ask for
    :param max_requests: requests allowed
    :param unchanged: parents left out
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
        msg = (
            f"max_requests: {name} would take {count} requests at least, one for each parent, and {max_requests} are "
            "allowed; take a shorter window, or allow more"
        )
        raise WtsChatArgumentError(msg)


def _over_creation(
    hook: WtsChatHook, of: Resource, filters: Mapping[str, Any], workers: int, *, bulk: bool
) -> Changes[Any]:
    return read_changes(hook, _lists(of.requests(hook, filters)), key=CREATED, workers=workers, bulk=bulk)


def _by_id(reading: Changes[Any]) -> dict[str, str]:
    newest: dict[str, str] = {}
    for batch in reading:
        for row in batch.rows:
            # A version that is given later is the newer one.
            newest[row["id"]] = f"{row.get('updatedAt')}|{row.get('lastInteractionDate')}"
    return newest


def _unread(parents: Sequence[Parent], known: Known | None, late: set[str]) -> list[Parent]:
    before = known([parent.id for parent in parents]) if known is not None else {}
    chosen = []
    for parent in parents:
        read = before.get(parent.id, "")
        # One that ended lately is read again on another day, though nothing of it changed.
        same = read == parent.version if parent.id in late else _state(read) == _state(parent.version)
        if not same:
            chosen.append(parent)
    return chosen


def _state(version: str) -> str:
    return version.rpartition("|")[0]


def _batches(parents: Sequence[Parent]) -> Iterable[Sequence[Parent]]:
    return (parents[start : start + _ASK_KNOWN] for start in range(0, len(parents), _ASK_KNOWN))


def _lists(requests: Sequence[Any]) -> list[PagedRequest[Any]]:
    return [request for request in requests if isinstance(request, PagedRequest)]
