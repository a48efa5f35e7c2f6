"""What every handler needs: the request it answers, and pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from airflow_provider_wtschat.simulator.errors import (
    ApiError,
    ProblemError,
    cannot_save,
    form_error,
    not_found,
    session_not_found,
)
from airflow_provider_wtschat.simulator.instants import parse_instant
from airflow_provider_wtschat.simulator.openapi import Operation, Query
from airflow_provider_wtschat.simulator.records import Record, Row, Session
from airflow_provider_wtschat.simulator.tables import Bound, Selection, Table
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


def handles(*operations: str) -> Callable[[Handler], Handler]:
    """Register a handler of one operation, or of several that differ by little more than their address."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operations, handler))
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

    number: int = 1
    size: int = DEFAULT_PAGE_SIZE
    order_by: str | None = None
    direction: str | None = None


_echo = count()


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
    paging: Paging | None = None,
    bounds: Mapping[str, Bound] | None = None,
    matches: Callable[[R], bool] | None = None,
    signature: Hashable = None,
) -> dict[str, Any]:
    """Answer one page of a list in the usual envelope.

    :param rows: a table, or some of its rows.
    :param matches: which rows belong to the list; all by default.
    :param signature: equal for lists whose ``matches`` are equal.
    :raises ApiError: the page is too large.
    """
    paging = paging or Paging()
    if not 1 <= paging.size <= LARGEST_PAGE_SIZE:
        raise ApiError(500, None, "Ocorreu um erro inesperado")
    if isinstance(rows, Table):
        table = rows
    else:
        table = Table()
        table.load(rows)
    order = (paging.order_by or "").lower()
    known = order in table.orders and not world.options.ignore_order_by
    direction = paging.direction or ("ASCENDING" if known else "DESCENDING")
    selection: Selection[R] = Selection(
        bounds=bounds or {},
        matches=matches,
        signature=signature,
        order=order if known else "createdat",
        descending=True if world.options.ignore_order_by else direction == "DESCENDING",
    )
    number = max(1, paging.number)
    chosen, total = table.select(selection, (number - 1) * paging.size, paging.size, world.manners, world.ties)
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
        paging=Paging(**{field: query.values[name] for name, field in _PAGING.items() if name in query.values}),
        bounds=query_bounds(query, bounds),
        matches=matches,
        signature=(call.operation.key, call.path.get("id"), _filters(query)) if matches else None,
    )


_PAGING = {"PageNumber": "number", "PageSize": "size", "OrderBy": "order_by", "OrderDirection": "direction"}
_NO_FILTERS = {*_PAGING, "IncludeDetails"}


def _filters(query: Query) -> Hashable:
    return tuple(sorted((name, str(value)) for name, value in query.values.items() if name not in _NO_FILTERS))


def contains(text: str | None, wanted: str | None) -> bool:
    """Return whether a text has another in it, whatever the case; everything has None."""
    return wanted is None or wanted.casefold() in (text or "").casefold()


def masked(call: Call, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a partial update: those whose field is named in the mask, null where it has no value.

    :param fields: property of the body by the name in the mask.
    """
    body = call.body or {}
    return {fields[name]: body.get(fields[name]) for name in body.get("fields") or () if name in fields}


def user(world: World, user_id: str) -> Record:
    """Return the agent with a ``userId``.

    :raises ApiError: there is no such agent.
    """
    return found(world.agent_of(user_id.lower()), not_found("Usuário não encontrado"))


def open_session(world: World, session_id: str) -> Session:
    """Return a session that is not over.

    :raises ApiError: there is no such session, or it is over.
    """
    session = found(world.sessions.get(session_id.lower()), session_not_found())
    if session.status == "COMPLETED":
        raise cannot_save("O atendimento já foi concluído")
    return session


def check_unique(table: Table[Record], name: str, value: str, own: Record | None, refusal: str) -> None:
    """Make sure that no other row has the same.

    :param own: the row that is to have the value; None for a new one.
    :raises ApiError: one has.
    """
    if any(row[name] == value and (own is None or row.id != own.id) for row in table):
        raise form_error(refusal)


def by_id(table: Table[Record], row_id: str | None, text: str) -> Record:
    """Return a row of a table, or refuse with ``ENTITY_NOT_FOUND``.

    :raises ApiError: there is no such row.
    """
    return found(table.get(row_id.lower() if row_id else None), not_found(text))
