"""Pages that are read at once fit together, or what lies between them is read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.api.paging import UPDATED, Paginator
from airflow_provider_wtschat.extraction.sweep import Sweep
from tests.api.test_paging import LATER, Server, at, many, read

END = LATER - 1


def first(server: Server, size: int) -> tuple[Paginator[Any], Any]:
    paginator = Paginator(sessions.list_(), page_size=size, key=UPDATED)
    page = server.answer(paginator.next())
    paginator.accept(page)
    paginator.cut(at(END))
    return paginator, page


def sweep_all(
    server: Server, size: int, move: Any = lambda: None, take: Any = lambda waiting: 0
) -> tuple[set[tuple[str, str]], list[tuple[Any, Any]]]:
    """
    Sweep with four requests under way, answered in any order, and read by key what it leaves.

    :return: the versions of rows that came, and what was left to be read by key
    """
    paginator, page = first(server, size)
    found = paginator.inside(page["items"])
    sweep: Sweep[Any] = Sweep(paginator, page, gaps=3)
    waiting: list[tuple[int, Any]] = []
    ranges = []
    while not sweep.ended or waiting:
        while sweep.wants and len(waiting) < 4:
            number, request = sweep.next()
            waiting.append((number, server.answer(request)))
            move()
        if waiting:
            number, page = waiting.pop(take(waiting))
            found += sweep.accept(number, page)
            ranges += [(gap.low, gap.high) for gap in sweep.take_gaps()]
        assert server.requests < 2_000, "no end"
    if sweep.unfinished:
        ranges.append((sweep.position, None))
    for low, high in ranges:
        before = at(END) if high is None else high + (at(1) - at(0))
        found += read(server, Paginator(sessions.list_(), page_size=size, key=UPDATED, after=low, before=before))
    return {(row["id"], row["updatedAt"]) for row in found}, ranges


def test_nothing_that_moves_costs_no_request_more_than_its_pages():
    server = Server(many(900))
    paginator, page = first(server, 10)
    sweep: Sweep[Any] = Sweep(paginator, page, gaps=3)
    found = len(page["items"])
    while sweep.wants:
        number, request = sweep.next()
        found += len(sweep.accept(number, server.answer(request)))
    assert sweep.ended
    assert not sweep.unfinished
    assert found == 900
    # A full page is never known to be the last.
    assert server.requests == 90 + 1


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("every", [1, 2, 0], ids=lambda every: f"a change in {every}" if every else "no change")
def test_a_tie_over_several_pages_is_left_to_be_read_by_key_once(every, shuffled):
    server = Server(many(600, tie=200), shuffled_ties=shuffled)
    leaving = iter(sorted(server.rows)[150:300])
    moves = 0

    def move() -> None:
        nonlocal moves
        moves += 1
        if every and moves % every == 0:
            server.change(next(leaving))

    found, ranges = sweep_all(server, 10, move)
    assert {row_id for row_id, (_, updated) in server.rows.items() if updated < END} <= {row_id for row_id, _ in found}
    tie = at(1000)
    assert sum(low <= tie and (high is None or tie <= high) for low, high in ranges) == 1
    # The pages, those that were under way in the tie, and the tie by key.
    assert server.requests < 60 + 4 + 20 + 15


instants_ = st.integers(0, 400)


@given(
    rows=st.dictionaries(st.integers(0, 200).map(str), st.tuples(instants_, instants_), min_size=12, max_size=120),
    changes=st.lists(st.tuples(st.sampled_from(["change", "delete", "", "", ""]), st.integers(0, 200)), max_size=60),
    size=st.integers(2, 9),
    inclusive=st.booleans(),
    shuffled=st.booleans(),
    totals=st.sampled_from([None, None, None, 7, 30, 0, -1]),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=400, deadline=None)
def test_every_row_that_stays_comes(rows, changes, size, inclusive, shuffled, totals, chance):
    server = Server(rows, inclusive=inclusive, shuffled_ties=shuffled, totals=totals)
    todo = iter(changes)

    def move() -> None:
        what, number = next(todo, ("", 0))
        if str(number) in server.rows:
            if what == "change":
                server.change(str(number))
            elif what == "delete":
                del server.rows[str(number)]

    found, _ = sweep_all(server, size, move, lambda waiting: chance.randrange(len(waiting)))
    # What left the window is somebody else's: the tail, which is read afterwards.
    stayed = {row_id for row_id, (_, updated) in server.rows.items() if updated < END}
    assert stayed <= {row_id for row_id, _ in found}
