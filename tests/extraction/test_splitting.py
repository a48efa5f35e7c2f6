"""What is divided among workers comes together again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.api.paging import CREATED, UPDATED, Paginator
from airflow_provider_wtschat.extraction.splitting import divide, divisible
from tests.api.test_paging import LATER, Server, at, ids, many, servers


def divided(paginator: Paginator[Any], pieces: int) -> list[Paginator[Any]]:
    return [paginator.over(span) for span in divide(paginator, pieces)]


@given(
    server=servers,
    size=st.integers(2, 5),
    key=st.sampled_from([CREATED, UPDATED]),
    bounded=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=300, deadline=None)
def test_what_is_divided_comes_together_again(server, size, key, bounded, chance):
    paginators = [Paginator(sessions.list_(), page_size=size, key=key, before=at(11) if bounded else None)]
    underway = [(paginators[0], paginators[0].next())]
    found = []
    while underway:
        paginator, request = underway.pop(chance.randrange(len(underway)))
        found += [row["id"] for row in paginator.accept(server.answer(request))]
        following = [(paginator, paginator.next())]
        if divisible(paginator) or chance.random() < 0.3:
            following += [(piece, piece.next()) for piece in divided(paginator, chance.randint(1, 4))]
        underway += [(one, step) for one, step in following if step is not None]
        assert server.requests < 2_000, "no end"
    column = 0 if key == CREATED else 1
    wanted = [row_id for row_id, moments in server.rows.items() if not bounded or moments[column] < 11]
    assert sorted(set(found)) == sorted(wanted)
    if len({moments[column] for moments in server.rows.values()}) == len(server.rows):
        assert len(found) == len(wanted)


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_large_tie_is_divided_too(inclusive):
    server = Server({f"{i:05d}": (10 * i, 5_000) for i in range(3_200)} | many(500), inclusive=inclusive)
    paginator = Paginator(sessions.list_(), key=UPDATED, before=at(LATER))
    paginators, found, most = [paginator], [], 0
    while paginators:
        paginator = paginators.pop(0)
        if (request := paginator.next()) is None:
            continue
        found += ids(iter(paginator.accept(server.answer(request))))
        paginators.append(paginator)
        if divisible(paginator) and (paginator.remaining or 0) > 300:
            paginators += divided(paginator, 4)
        most = max(most, len(paginators))
    assert sorted(found) == sorted(server.rows)
    assert most > 5
    assert server.requests < 32 + 5 + 40


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("edge", [499, 500, 501, 510])
def test_a_tie_at_the_end_of_a_window_is_left_to_the_next(inclusive, edge):
    rows = {f"{i:03d}": (10 * i, 500 if i < 40 else 400) for i in range(60)}
    server = Server(rows, inclusive=inclusive)
    for window in ({"before": at(edge)}, {"after": at(edge)}):
        paginators, found = [Paginator(sessions.list_(), page_size=5, key=UPDATED, **window)], []
        while paginators:
            paginator = paginators.pop(0)
            if (request := paginator.next()) is None:
                continue
            found += ids(iter(paginator.accept(server.answer(request))))
            paginators += [paginator, *divided(paginator, 3)]
        wanted = {row_id for row_id, (_, updated) in rows.items() if (updated < edge) is ("before" in window)}
        assert set(found) == wanted
