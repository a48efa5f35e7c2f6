"""
Requests, by their method: ``build.get("/core/v1/tag", list[Tag])``.

GET, PUT and DELETE are safe to repeat, as HTTP defines them; a PUT may say otherwise, and a POST always says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed
from airflow_provider_wtschat.api.request import PagedRequest, Query, Request


def get(route: str, result: Any, path_params: Mapping[str, str] | None = None, **query: Any) -> Request[Any]:
    """Build a request that reads; ``query`` as :func:`~airflow_provider_wtschat.api.converters.query` takes it."""
    return Request(
        method="GET",
        route=route,
        path_params=path_params or {},
        query=convert.query(**query),
        result=result,
        safe_to_repeat=True,
    )


def post(
    route: str, result: Any, path_params: Mapping[str, str] | None = None, *, body: Any = None, safe_to_repeat: bool
) -> Request[Any]:
    """Build a request that creates, sends or does something."""
    return Request(
        method="POST",
        route=route,
        path_params=path_params or {},
        body=body,
        result=result,
        safe_to_repeat=safe_to_repeat,
    )


def put(
    route: str, result: Any, path_params: Mapping[str, str], *, body: Any, safe_to_repeat: bool = True
) -> Request[Any]:
    """Build a request that says what is to be the case."""
    return Request(
        method="PUT", route=route, path_params=path_params, body=body, result=result, safe_to_repeat=safe_to_repeat
    )


def delete(route: str, result: Any, path_params: Mapping[str, str], *, body: Any = None) -> Request[Any]:
    """Build a request that deletes."""
    return Request(method="DELETE", route=route, path_params=path_params, body=body, result=result, safe_to_repeat=True)


def listing(
    route: str,
    row: Any,
    listed: Listed,
    path_params: Mapping[str, str] | None = None,
    *,
    query: Query = (),
    bounds: tuple[str, ...] = ("CreatedAt", "UpdatedAt"),
    filters: Mapping[str, Collection[str]] | None = None,
    may_be_null: tuple[str, ...] = (),
) -> PagedRequest[Any]:
    """Build a list that takes a period of time and an order, and is read page by page."""
    period, order = convert.listed(**listed)
    return PagedRequest(
        method="GET",
        route=route,
        path_params=path_params or {},
        query=query + period,
        result=row,
        safe_to_repeat=True,
        bounds=bounds,
        filters=filters or {},
        may_be_null=may_be_null,
        **order,
    )
