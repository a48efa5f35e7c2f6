"""A call to the API as a value."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, Literal, Required, Self, TypedDict, TypeVar
from urllib.parse import quote, urlencode

from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["MAX_PAGE_SIZE", "Method", "Page", "PagedRequest", "Paging", "Query", "Request"]

T = TypeVar("T")
Row = TypeVar("Row")
Method = Literal["GET", "POST", "PUT", "DELETE"]
Query = tuple[tuple[str, str], ...]

MAX_PAGE_SIZE = 100
_PHONE = re.compile(r"\+?\d[\d |()-]{6,}")
_SORTABLE = ("CreatedAt", "UpdatedAt", "LastInteractionAt")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _comparable(value: Any) -> str:
    """Write a value so that two spellings of the same are the same: letters in any case, phone numbers in any form."""
    text = str(value).strip().lower()
    if not _PHONE.fullmatch(text):
        return text.removeprefix("@")
    number = re.sub(r"\D", "", text)
    try:
        return phones.person("filter", f"+{number}")
    except WtsChatArgumentError:
        return number


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


class Page(TypedDict, Generic[Row], total=False):
    """The envelope of a paged list, as the API sends it."""

    items: Required[list[Row]]
    pageNumber: int
    pageSize: int
    totalItems: int
    totalPages: int
    hasMorePages: bool
    orderBy: str | None
    orderDirection: str | None


class Paging(Enum):
    """Where a paged list takes its page and order."""

    QUERY = "PageNumber, PageSize, OrderBy and OrderDirection in the query"
    BODY = "pageNumber, pageSize, orderBy and orderDirection in the body"
    PORTFOLIO = "Page, PageSize and either OrderBy or OrderByDesc in the query"


@dataclass(frozen=True, kw_only=True)
class BaseRequest(Generic[T]):
    """
    What :class:`Request` and :class:`PagedRequest` have in common.

    :param method: HTTP method
    :param route: path with placeholders, as in the contract, service prefix included
    :param path_params: values of the placeholders
    :param query: names and values in the contract's spelling; a list repeats its name
    :param body: JSON body, or ``None`` for none
    :param result: type of the answer; ``type(None)`` where the answer carries nothing of use
    :param safe_to_repeat: whether sending it twice does no harm
    :param max_age: seconds for which the answer is kept for the same request of other tasks, and which an earlier
        answer may be old to be taken in place of a new one; 0 for a new one that is kept. Default: neither
    """

    method: Method
    route: str
    path_params: Mapping[str, str] = field(default_factory=dict)
    query: Query = ()
    body: Any = None
    result: Any
    safe_to_repeat: bool
    max_age: float | None = None

    @property
    def path(self) -> str:
        """The path to ask for, placeholders filled and quoted."""
        return self.route.format(**{name: quote(value, safe="") for name, value in self.path_params.items()})

    @property
    def target(self) -> str:
        """Path and query to ask for."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def label(self) -> str:
        """Method and path for logs and errors, see :attr:`shown_path`."""
        return f"{self.method} {self.shown_path}"

    @property
    def shown_path(self) -> str:
        """The path for errors: ids are shown, other values (phones) are not."""
        shown = {
            name: value if _UUID.fullmatch(value) else "{" + name + "}" for name, value in self.path_params.items()
        }
        return self.route.format(**shown)

    @property
    def is_send(self) -> bool:
        """Whether it counts against the sending limit of the account instead of the general one."""
        return self.route.startswith("/chat/v1/send/")

    @property
    def content(self) -> bytes | None:
        """
        The body as it is sent, ``None`` for none.

        :raises WtsChatArgumentError: if a value in it has no JSON
        """
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            msg = f"a value in the body of {self.label} has no JSON ({error})"
            raise WtsChatArgumentError("body", msg) from error

    def having(self, **changes: Any) -> Self:
        """
        Return a copy with other values.

        :param changes: fields of the request and their new values
        """
        return replace(self, **changes)

    def __repr__(self) -> str:
        """Show neither query nor body: they hold personal data."""
        return f"<{type(self).__name__} {self.label}>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Request(BaseRequest[T]):
    """One call, ready to be sent with ``hook.run``. Its arguments are those of :class:`BaseRequest`."""


@dataclass(frozen=True, kw_only=True, repr=False)
class PagedRequest(BaseRequest[Row]):
    """
    A list whose rows come in pages, to be read with ``hook.iterate``. ``result`` is the type of a row.

    It is no :class:`Request`, so type checkers refuse to send it with ``hook.run``; one :meth:`page` of it is.

    :param paging: where page and order go
    :param bounds: the fields (``CreatedAt``, ``UpdatedAt``, ...) that the list takes ``.After`` and ``.Before`` for
    :param order_by: the caller's own order, ``None`` for none
    :param order_direction: ``ASCENDING`` or ``DESCENDING``, the caller's own
    :param filters: fields of a row and the values that the request's filters allow in them; ``metadata.city`` is a key
        of a mapping, and of a list one item is enough. The API ignores a filter that it does not know and answers with
        the whole account, so a reader compares
    :param may_be_null: those of these fields that are null also where the API does not say them
    """

    paging: Paging = Paging.QUERY
    bounds: tuple[str, ...] = ()
    filters: Mapping[str, Collection[str]] = field(default_factory=dict)
    may_be_null: tuple[str, ...] = ()
    order_by: str | None = None
    order_direction: str | None = None

    def __post_init__(self) -> None:
        """Refuse an order by what no row has: the API ignores it without an error."""
        fields = getattr(self.result, "__annotations__", None)
        if self.order_by is None or not fields:
            return
        known = dict.fromkeys((*self.bounds, *_SORTABLE, *(name[:1].upper() + name[1:] for name in fields)))
        if self.order_by.strip().lower() not in {name.lower() for name in known}:
            msg = f"{shown(self.order_by)} was given; a field of a row is wanted, any of {', '.join(known)}"
            raise WtsChatArgumentError("order_by", msg)

    def page(
        self,
        number: int = 1,
        size: int = MAX_PAGE_SIZE,
        *,
        order_by: str | None = None,
        order_direction: str | None = None,
        bounds: Mapping[str, str] | None = None,
    ) -> Request[Page[Row]]:
        """
        Return the request for one page.

        :param number: page, from 1
        :param size: rows per page, 1 to 100
        :param order_by: order of this reading; default: the caller's own
        :param order_direction: direction of this reading; default: the caller's own
        :param bounds: bounds that replace the request's own, such as ``{"UpdatedAt.After": "..."}``
        :raises WtsChatArgumentError: if there is no such page or size; the API answers HTTP 500 to a size over 100
        """
        if number < 1 or not 1 <= size <= MAX_PAGE_SIZE:
            msg = f"{number}, {size} were given; pages begin with 1, and one has 1 to {MAX_PAGE_SIZE} rows"
            raise WtsChatArgumentError("number, size", msg)
        by = order_by or self.order_by
        direction = order_direction or self.order_direction
        body, query = self.body, self.query
        if bounds and self.paging is not Paging.BODY:
            query = (*((name, value) for name, value in query if name not in bounds), *bounds.items())
        if self.paging is Paging.BODY:
            order = {"orderBy": by, "orderDirection": direction}
            body = {
                **(body or {}),
                **self._body_bounds(bounds or {}),
                "pageNumber": number,
                "pageSize": size,
                **{name: value for name, value in order.items() if value is not None},
            }
        elif self.paging is Paging.PORTFOLIO:
            query = (*query, ("Page", str(number)), ("PageSize", str(size)))
            if by:
                # Both names take a field's name: the contract calls neither of them a boolean.
                query = (*query, ("OrderByDesc" if direction == "DESCENDING" else "OrderBy", by))
        else:
            query = (*query, ("PageNumber", str(number)), ("PageSize", str(size)))
            query += tuple((n, v) for n, v in (("OrderBy", by), ("OrderDirection", direction)) if v)
        return Request(
            method=self.method,
            route=self.route,
            path_params=self.path_params,
            query=query,
            body=body,
            result=Page,
            safe_to_repeat=self.safe_to_repeat,
            max_age=self.max_age,
        )

    def mismatch(self, rows: Iterable[Any]) -> str | None:
        """
        Name the first filter that a row does not fit, or ``None``.

        :param rows: rows of an answer
        """
        allowed = {name: set(map(_comparable, values)) for name, values in self.filters.items()}
        for row in rows:
            for name, values in allowed.items():
                field_name, _, inner = name.partition(".")
                if field_name not in row:
                    continue
                value = row[field_name]
                if value is None and field_name in self.may_be_null:
                    continue
                if inner:
                    value = value.get(inner) if isinstance(value, Mapping) else None
                said = value if isinstance(value, (list, tuple)) else [value]
                if values.isdisjoint(map(_comparable, said)):
                    return name
        return None

    def bound(self, name: str) -> str | None:
        """
        Return one of the request's own bounds.

        :param name: such as ``UpdatedAt.After``
        """
        if self.paging is Paging.BODY:
            field_name, _, end = _camel(name).partition(".")
            return ((self.body or {}).get(field_name) or {}).get(end.lower())
        return next((value for key, value in self.query if key == name), None)

    def _body_bounds(self, bounds: Mapping[str, str]) -> dict[str, dict[str, str]]:
        filters: dict[str, dict[str, str]] = {}
        for name, value in bounds.items():
            field_name, _, end = _camel(name).partition(".")
            own = (self.body or {}).get(field_name) or {}
            filters.setdefault(field_name, dict(own))[end.lower()] = value
        return filters


AnyRequest = Request[Any] | PagedRequest[Any]
"""What a function of an operation builds: most make one call, lists are read page by page."""
