"""
Reading everything of an account, losing nothing, at the pace that the account allows.

:func:`read_changes` reads what changed in a list, :func:`read` any of the :data:`RESOURCES`, :func:`windows` cuts a
backfill into tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.extraction.changes import Changes, Position, Unfiltered, read_changes
from airflow_provider_wtschat.extraction.children import (
    Children,
    Known,
    ParentList,
    Parents,
    check_cost,
    choose_parents,
    read_children,
)
from airflow_provider_wtschat.extraction.clock import ServerClock
from airflow_provider_wtschat.extraction.reading import (
    WORKERS,
    Batch,
    Parent,
    Reading,
    Snapshot,
    Version,
)
from airflow_provider_wtschat.extraction.resources import RESOURCES, Kind, Resource, find
from airflow_provider_wtschat.extraction.windows import check_window, windows

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

__all__ = [
    "RESOURCES",
    "WORKERS",
    "Batch",
    "Changes",
    "Children",
    "Kind",
    "Known",
    "Parent",
    "ParentList",
    "Parents",
    "Position",
    "Reading",
    "Resource",
    "ServerClock",
    "Snapshot",
    "Unfiltered",
    "Version",
    "check_window",
    "choose_parents",
    "find",
    "read",
    "read_changes",
    "read_children",
    "windows",
]


def read(
    hook: WtsChatHook,
    resource: str,
    since: Any = None,
    until: Any = None,
    *,
    timezone: str = "UTC",
    filters: Mapping[str, Any] | None = None,
    known: Known | None = None,
    settle: timedelta | None = None,
    max_requests: int | None = None,
    workers: int = WORKERS,
    bulk: bool = True,
    page_size: int | None = None,
    resume: Position | None = None,
) -> Reading[Any]:
    """
    Read everything of a resource that changed in a window, or all of it where the API gives it whole only.

    :param hook: the hook
    :param resource: name of the resource, one of :data:`RESOURCES`
    :param since: start, included: datetime, date, or text. Default: the beginning
    :param until: end, excluded. Default: now, on the server's clock
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param filters: arguments of the list's function, such as ``{"department_id": "..."}``; for what is read by parent,
        of the parents' list
    :param known: for what is read by parent: tells the versions of parents whose children were read, see
        :func:`choose_parents`
    :param settle: for messages and notes of sessions: also read sessions that ended within this time; once a day
    :param max_requests: for what is read by parent: refuse more parents than this
    :param workers: threads at most
    :param bulk: whether to leave the account's other clients room. Default: yes
    :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
    :param resume: for what is read by window: the ``position`` of an earlier reading of the same that did not end.
        Default: read everything
    :return: the reading: iterate over it, then read ``until_reached`` and ``verified``
    :raises WtsChatArgumentError: if an argument is refused
    """
    found = find(resource)
    low = None if since is None else instants.parse("since", since, timezone)
    high = None if until is None else instants.parse("until", until, timezone)
    if low is not None and high is not None:
        check_window(low, high)
    if found.kind is Kind.SNAPSHOT:
        return Snapshot(hook, found.requests(hook, filters), bulk=bulk, page_size=page_size, rows=found.rows)
    if found.kind is Kind.CHILDREN:
        parents = choose_parents(
            hook, found, low, high, known=known, settle=settle, filters=filters, workers=workers, bulk=bulk
        )
        return read_children(
            hook, found, parents, max_requests=max_requests, workers=workers, bulk=bulk, page_size=page_size
        )
    lists = [request for request in found.requests(hook, filters) if isinstance(request, PagedRequest)]
    if found.by_parent:
        check_cost(found.name, len(lists), max_requests)
    return read_changes(
        hook, lists, low, high, also=found.also, unfiltered=found.comparisons(lists, filters),
        parents_may_go=found.parents_may_go(filters), thorough=True, resume=resume, workers=workers, bulk=bulk,
        page_size=page_size,
    )  # fmt: skip
