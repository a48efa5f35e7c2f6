"""What every handler needs: the request it answers, and pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from airflow_provider_wtschat.simulator.errors import ApiError, ProblemError
from airflow_provider_wtschat.simulator.instants import parse_instant
from airflow_provider_wtschat.simulator.openapi import Operation, Query
from airflow_provider_wtschat.simulator.records import Record, Row
from airflow_provider_wtschat.simulator.tables import Bound, Selection, Table, select_from
from airflow_provider_wtschat.simulator.world import World

R = TypeVar("R", bound=Row)

DEFAULT_PAGE_SIZE = 15
LARGEST_PAGE_SIZE = 100


@dataclass(slots=True)
class Call:
    """One request that is in order so far."""

    world: World
    operation: Operation
    path: Mapping[str, str]
    query: Query
    body: Any
    ids: list[str] = field(default_factory=list)
    """Ids of what was created or changed, for the books."""

    def instant(self, text: str) -> int:
        """Read an instant that the contract has let pass, in microseconds since the epoch."""
        instant = parse_instant(text)
        if instant is None:
            raise ProblemError({"$": [f"The value '{text}' is not an instant."]})
        return instant.micros

    def touched(self, *ids: str) -> None:
        """Note what was created or changed."""
        self.ids.extend(ids)


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that takes its time."""

    wait_s: Callable[[], float]
    """How long to wait before looking again; 0 when the answer is ready."""
    answer: Callable[[], Any]
    patience_s: float
    """How long to wait in all."""


Handler = Callable[[Call], Any]

HANDLERS: dict[str, Handler] = {}
"""By operation, e.g. ``GET /chat/v2/session``."""


def handles(operation: str) -> Callable[[Handler], Handler]:
    """Register a handler."""

    def register(handler: Handler) -> Handler:
        HANDLERS[operation] = handler
        return handler

    return register


def found(row: R | None, otherwise: ApiError) -> R:
    """Return a row, or refuse.

    :raises ApiError: there is no row.
    """
    if row is None:
        raise otherwise
    return row


@dataclass(frozen=True, slots=True)
class Paging:
    """What a request says about pages and order."""

    number: int
    size: int
    order_by: str | None
    direction: str | None


_echo = count()


def query_paging(query: Query) -> Paging:
    """Read the paging of a list."""
    return Paging(
        query.get("PageNumber", 1),
        query.get("PageSize", DEFAULT_PAGE_SIZE),
        query.get("OrderBy"),
        query.get("OrderDirection"),
    )


def query_bounds(query: Query, names: Iterable[str]) -> dict[str, Bound]:
    """Read ``NAME.After`` and ``NAME.Before``.

    :param names: as the contract spells them, e.g. ``UpdatedAt``.
    """
    bounds = {}
    for name in names:
        bound = Bound(query.get(f"{name}.After"), query.get(f"{name}.Before"))
        if bound != Bound():
            bounds[name.lower()] = bound
    return bounds


def page(
    world: World,
    rows: Table[R] | Iterable[R],
    view: Callable[[R], Any],
    *,
    paging: Paging,
    bounds: Mapping[str, Bound],
    matches: Callable[[R], bool] | None = None,
    signature: Hashable = None,
) -> dict[str, Any]:
    """Answer one page of a list in the usual envelope.

    :param rows: a table, or some of its rows.
    :param matches: which rows belong to the list; all by default.
    :param signature: equal for lists whose ``matches`` are equal.
    :raises ApiError: the page is too large.
    """
    if not 1 <= paging.size <= LARGEST_PAGE_SIZE:
        raise ApiError(500, None, "Ocorreu um erro inesperado")
    orders = rows.orders if isinstance(rows, Table) else frozenset({"createdat", "updatedat"})
    order = (paging.order_by or "").lower()
    known = order in orders and not world.options.ignore_order_by
    direction = paging.direction or ("ASCENDING" if known else "DESCENDING")
    selection: Selection[R] = Selection(
        bounds=bounds,
        matches=matches,
        signature=signature,
        order=order if known else "createdat",
        descending=True if world.options.ignore_order_by else direction == "DESCENDING",
    )
    number = max(1, paging.number)
    choose = rows.select if isinstance(rows, Table) else _choose_from(rows)
    chosen, total = choose(selection, (number - 1) * paging.size, paging.size, world.manners, world.ties)
    pages = -(-total // paging.size)
    shown = direction if next(_echo) % 2 else {"ASCENDING": "asc", "DESCENDING": "desc"}[direction]
    return {
        "pageNumber": number,
        "pageSize": paging.size,
        "orderBy": order or "createdat",
        "orderDirection": shown,
        "items": [view(row) for row in chosen],
        "totalItems": total,
        "totalPages": pages,
        "hasMorePages": number < pages,
    }


def _choose_from(rows: Iterable[R]) -> Callable[..., tuple[list[R], int]]:
    return lambda *arguments: select_from(rows, *arguments)


def list_page(
    call: Call,
    rows: Table[R] | Iterable[R],
    view: Callable[[R], Any],
    *,
    matches: Callable[[R], bool] | None = None,
    bounds: Iterable[str] = ("CreatedAt", "UpdatedAt"),
) -> dict[str, Any]:
    """Answer one page of a list whose paging is in the query."""
    query = call.query
    return page(
        call.world,
        rows,
        view,
        paging=query_paging(query),
        bounds=query_bounds(query, bounds),
        matches=matches,
        signature=(call.operation.key, call.path.get("id"), _filters(query)) if matches else None,
    )


_NO_FILTERS = {"PageNumber", "PageSize", "OrderBy", "OrderDirection", "IncludeDetails"}


def _filters(query: Query) -> Hashable:
    return tuple(sorted((name, str(value)) for name, value in query.values.items() if name not in _NO_FILTERS))


def contains(text: str | None, wanted: str | None) -> bool:
    """Tell whether a text has another in it, whatever the case; everything has None."""
    return wanted is None or wanted.casefold() in (text or "").casefold()


def masked(call: Call, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a partial update: those whose field is named in the mask, null where it has no value.

    :param fields: property of the body by the name in the mask.
    """
    body = call.body or {}
    return {fields[name]: body.get(fields[name]) for name in body.get("fields") or () if name in fields}


def by_id(table: Table[Record], row_id: str | None, text: str) -> Record:
    """Return a row of a table, or refuse with ``ENTITY_NOT_FOUND``.

    :raises ApiError: there is no such row.
    """
    return found(table.get(row_id.lower() if row_id else None), ApiError(500, "ENTITY_NOT_FOUND", text))
