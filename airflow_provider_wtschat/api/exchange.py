"""
A conversation with the API: several calls, of which a later one depends on what an earlier one was answered with.

An exchange is a generator. It yields requests, is sent what they were answered with (an error of the provider is thrown
into it), and returns what came out. It does no I/O, so a look-up or a condition is written once and works in a worker,
in the triggerer and in a notifier: ``perform`` of either hook is what sends its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from airflow_provider_wtschat.api.paging import Paginator
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Request

__all__ = ["Exchange", "call", "pages", "rows"]

T = TypeVar("T")
Row = TypeVar("Row")

Exchange = Generator[Request[Any], Any, T]
"""Yields requests, is sent their answers, and returns a ``T``."""


def call(request: Request[T]) -> Exchange[T]:
    """
    Make one call.

    :param request: what to ask
    :return: what it was answered with
    """
    answer: T = yield request
    return answer


def pages(
    request: PagedRequest[Row], take: Callable[[list[Row]], T | None], *, page_size: int = MAX_PAGE_SIZE
) -> Exchange[T | None]:
    """
    Read a list, a page at a time, until something is found.

    :param request: the list
    :param take: is given the rows of each page; anything but ``None`` ends the reading
    :param page_size: rows per page, 1 to 100
    :return: what ``take`` found, or ``None`` if it found nothing
    """
    paginator = Paginator(request, page_size=page_size)
    while (step := paginator.next()) is not None:
        found = take(paginator.accept((yield step)))
        if found is not None:
            return found
    return None


def rows(request: PagedRequest[Row], *, page_size: int = MAX_PAGE_SIZE) -> Exchange[list[Row]]:
    """
    Read all rows of a list.

    :param request: the list
    :param page_size: rows per page, 1 to 100
    :return: every row
    """
    found: list[Row] = []
    yield from pages(request, found.extend, page_size=page_size)
    return found
