"""Dividing a reading among workers: which part of what a paginator still has before it is left to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from airflow_provider_wtschat.api.paging import Paginator, Span

_BEHIND_TIE = timedelta(milliseconds=1)
"""How far behind a tie its neighbour begins, so that bounds that the server includes do not reach the tie again."""
_SHORTEST = timedelta(microseconds=2)


def divisible(paginator: Paginator[object]) -> bool:
    """Return whether rows are left to divide, of which the number is known."""
    ahead = paginator.ahead
    return bool(ahead and ahead[-1].sure and ahead[-1].rows)


def divide(paginator: Paginator[object], pieces: int) -> list[Span]:
    """
    Leave a part of what a paginator has before it to others.

    Inside of a tie first what lies behind it is left to another, then the tie itself is cut.

    :return: what was left, in as many pieces, or in fewer if there is nothing to divide
    """
    ahead = paginator.ahead
    for around in ahead[:-1]:
        behind = around.start + _BEHIND_TIE
        if around.end is None or around.end > behind:
            paginator.cut(behind, key=around.key, rows=0)
            return [replace(around, start=behind)]
    moments = _moments(ahead[-1], pieces, paginator.page_size) if ahead else []
    if not moments:
        return []
    mine, *others = ahead[-1].cut(*moments)
    paginator.cut(moments[0], key=mine.key, rows=mine.rows)
    return others


def _moments(span: Span, pieces: int, page_size: int) -> list[datetime]:
    """Return where to cut a span, so that the rows on each side are about as many."""
    start, end = span.start, span.latest
    if span.pace:
        # The next page is under way; and where rows lie close, they end before the bound does.
        try:
            last = start + span.pace * ((span.rows or 0) + page_size)
            end = last if end is None else min(end, last)
            start += span.pace * page_size
        except OverflowError:
            return []
    if end is None:
        return []
    step = (end - start) / (pieces + 1)
    return [] if step < _SHORTEST else [start + step * number for number in range(1, pieces + 1)]
