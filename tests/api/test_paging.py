from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.api import instants, sessions
from airflow_provider_wtschat.api.paging import CREATED, UPDATED, Ignored, Paginator, row_field
from airflow_provider_wtschat.api.request import PagedRequest, Paging, Request
from airflow_provider_wtschat.api.types import Session
from airflow_provider_wtschat.exceptions import WtsChatServerError

START = datetime(2026, 3, 1, tzinfo=UTC)
LATER = 10_000


def at(micros: int) -> datetime:
    return START + timedelta(microseconds=micros)


@dataclass
class Server:
    """A list of the API in memory, as odd as it may be."""

    rows: dict[str, tuple[int, int]]
    """Created and updated, by id."""
    inclusive: bool = True
    shuffled_ties: bool = False
    ignore_order: bool = False
    ignore_bounds: bool = False
    page_cap: int = 100
    totals: int | None = None
    """The most that ``totalItems`` says; below zero it is left out."""
    more: str = "known"
    """What ``hasMorePages`` follows from: what is ``known``, the ``totals`` that are said, or it is ``absent``."""
    seed: int = 0
    requests: int = 0
    now: int = LATER
    seen: list[dict[str, str]] = field(default_factory=list)
    spell: Callable[[datetime], str] = instants.write

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def change(self, row_id: str) -> None:
        self.now += 1
        self.rows[row_id] = (self.rows[row_id][0], self.now)

    def create(self, row_id: str) -> None:
        self.now += 1
        self.rows[row_id] = (self.now, self.now)

    def answer(self, request: Request[Any]) -> Any:
        self.requests += 1
        if request.method == "POST":
            query = {
                **{name[:1].upper() + name[1:]: str(value) for name, value in request.body.items()},
                **{
                    f"{name[:1].upper()}{name[1:]}.{end.capitalize()}": value
                    for name in ("createdAt", "updatedAt")
                    for end, value in request.body.get(name, {}).items()
                },
            }
        else:
            query = dict(request.query)
        self.seen.append(query)
        rows = [(row_id, *moments) for row_id, moments in self.rows.items()]
        for column, name in enumerate((CREATED, UPDATED), start=1):
            for end, sign in (("After", 1), ("Before", -1)):
                if f"{name}.{end}" in query and not self.ignore_bounds:
                    bound = (instants.read(query[f"{name}.{end}"]) - START) // timedelta(microseconds=1)
                    least = 0 if self.inclusive else 1
                    rows = [row for row in rows if (row[column] - bound) * sign >= least]
        column = 2 if query.get("OrderBy") == UPDATED else 1
        if self.shuffled_ties:
            self.rng.shuffle(rows)
        else:
            rows.sort()
        rows.sort(key=lambda row: row[column])
        if self.ignore_order or query.get("OrderDirection") == "DESCENDING":
            rows.sort(key=lambda row: -row[1])
        size = min(int(query.get("PageSize", 15)), self.page_cap)
        first = (int(query.get("PageNumber", 1)) - 1) * size
        said = len(rows) if self.totals is None else min(len(rows), self.totals)
        page = {
            "items": [
                {"id": row_id, "createdAt": self.spell(at(created)), "updatedAt": self.spell(at(updated))}
                for row_id, created, updated in rows[first : first + size]
            ],
            "totalItems": said,
            "hasMorePages": first + size < (said if self.more == "totals" else len(rows)),
        }
        if said < 0:
            del page["totalItems"]
        if self.more == "absent":
            del page["hasMorePages"]
        return page


def read(server: Server, paginator: Paginator[Any], between: Callable[[], None] = lambda: None) -> Iterator[Any]:
    while (request := paginator.next()) is not None:
        assert server.requests < 5_000, "no end"
        yield from paginator.accept(server.answer(request))
        between()


def ids(rows: Iterator[Any]) -> list[str]:
    return [row["id"] for row in rows]


def many(count: int, *, tie: int = 0, both: bool = False) -> dict[str, tuple[int, int]]:
    """Rows 10 us apart, of which some share an updatedAt, or both instants."""
    rows = {}
    for i in range(count):
        tied = 100 <= i < 100 + tie
        rows[f"{i:06d}"] = (1000 if tied and both else 10 * i, 1000 if tied else 10 * i)
    return rows


instants_near = st.integers(0, 12)
accounts = st.dictionaries(st.integers(0, 40).map(str), st.tuples(instants_near, instants_near), max_size=30)
actions = st.lists(st.tuples(st.sampled_from(["change", "create", "delete", ""]), st.integers(0, 40)), max_size=20)
servers = st.builds(
    Server, rows=accounts, inclusive=st.booleans(), shuffled_ties=st.booleans(), seed=st.integers(0, 99)
)


def doing(server: Server, todo: list[tuple[str, int]], gone: set[str]) -> Callable[[], None]:
    left = iter(todo)

    def act() -> None:
        action, number = next(left, ("", 0))
        row_id = str(number)
        if action == "create":
            server.create(f"new {server.now}")
        elif row_id in server.rows:
            if action == "change":
                server.change(row_id)
            elif action == "delete":
                del server.rows[row_id]
                gone.add(row_id)

    return act


@given(server=servers, todo=actions, size=st.integers(2, 5))
@settings(max_examples=300, deadline=None)
def test_over_created_every_row_comes_once(server, todo, size):
    before = set(server.rows)
    gone: set[str] = set()
    paginator = Paginator(sessions.list_(), page_size=size)
    found = ids(read(server, paginator, doing(server, todo, gone)))
    assert len(found) == len(set(found))
    assert before - gone <= set(found)
    assert paginator.verified


@given(server=servers, todo=actions, size=st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_over_updated_the_newest_version_comes(server, todo, size):
    paginator = Paginator(sessions.list_(), page_size=size, key=UPDATED)
    found = [(row["id"], row["updatedAt"]) for row in read(server, paginator, doing(server, todo, set()))]
    assert len(found) == len(set(found))
    # What changed after the last request is the next reading's business; nothing changes in the last answer.
    newest = {row_id: instants.write(at(updated)) for row_id, (_, updated) in server.rows.items() if updated < LATER}
    assert set(newest.items()) <= set(found)
    assert paginator.verified


@given(server=servers, todo=actions, size=st.integers(2, 5), ends=st.tuples(instants_near, instants_near))
@settings(max_examples=200, deadline=None)
def test_a_window_holds_its_first_instant_and_not_its_last(server, todo, size, ends):
    low, high = min(ends), max(ends)
    paginator = Paginator(sessions.list_(), page_size=size, key=UPDATED, after=at(low), before=at(high))
    found = set(ids(read(server, paginator, doing(server, todo, set()))))
    stayed = {row_id for row_id, (_, updated) in server.rows.items() if low <= updated < high}
    assert stayed <= found


@given(server=servers, todo=actions)
@settings(max_examples=100, deadline=None)
def test_windows_side_by_side_share_no_row(server, todo):
    found = []
    for low, high in ((None, 3), (3, 7), (7, None)):
        paginator = Paginator(
            sessions.list_(),
            page_size=3,
            key=UPDATED,
            after=None if low is None else at(low),
            before=None if high is None else at(high),
        )
        found += ids(read(server, paginator))
    assert sorted(found) == sorted(server.rows)


@given(server=servers, size=st.integers(2, 5), low=instants_near, high=instants_near)
@settings(max_examples=200, deadline=None)
def test_the_callers_own_bounds_are_kept(server, size, low, high):
    low, high = min(low, high), max(low, high)
    request = sessions.list_(
        created_after=at(low), created_before=at(high), updated_after=at(low), updated_before=at(high)
    )
    everything = server.answer(request.page(size=100))["items"]
    for key in (CREATED, UPDATED):
        paginator = Paginator(request, page_size=size, key=key)
        assert sorted(ids(read(server, paginator))) == sorted(row["id"] for row in everything)
    for query in server.seen:
        for name in (CREATED, UPDATED):
            assert at(low) <= instants.read(query[f"{name}.After"])
            assert instants.read(query[f"{name}.Before"]) <= at(high)


@given(server=servers, size=st.integers(2, 5), order=st.booleans(), key=st.sampled_from([CREATED, UPDATED]))
@settings(max_examples=200, deadline=None)
def test_a_server_that_ignores_order_or_bounds_loses_nothing_that_stays(server, size, order, key):
    server.shuffled_ties = False
    server.ignore_order, server.ignore_bounds = order, not order
    column = 0 if key == CREATED else 1
    if order:
        # An ignored order shows only where it differs from the one asked for.
        first = server.answer(Paginator(sessions.list_(), page_size=size, key=key, after=at(2)).next())["items"]
        assume(any(left[row_field(key)] > right[row_field(key)] for left, right in pairwise(first)))
    # A reading that begins above some rows, so that ignored bounds show.
    paginator = Paginator(sessions.list_(), page_size=size, key=key, after=at(2))
    found = ids(read(server, paginator))
    assert set(found) == {row_id for row_id, moments in server.rows.items() if moments[column] >= 2}


@pytest.mark.parametrize("wrong", ["ignore_order", "ignore_bounds"])
def test_what_the_server_ignores_is_noticed(wrong, caplog):
    server = Server(many(1000), **{wrong: True})
    paginator = Paginator(sessions.list_(), key=UPDATED, after=at(5))
    assert sorted(ids(read(server, paginator))) == sorted(set(server.rows) - {"000000"})
    assert not paginator.verified
    assert ("order" if wrong == "ignore_order" else "bounds") in paginator.reason
    assert paginator.ignored is (Ignored.BOUNDS if wrong == "ignore_bounds" else Ignored.ORDER)
    assert paginator.bounds_ignored is (wrong == "ignore_bounds")
    assert "by page number" in caplog.text
    assert server.requests <= 13


def test_one_odd_answer_is_asked_for_again():
    server = Server(many(500))
    paginator = Paginator(sessions.list_())
    found = []
    while (request := paginator.next()) is not None:
        page = server.answer(request)
        if server.requests == 3:
            page["items"].reverse()
        found += [row["id"] for row in paginator.accept(page)]
    assert found == sorted(server.rows)
    assert paginator.verified


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize(
    ("rows", "key", "at_most"),
    [
        (many(10_000), UPDATED, 102),
        (many(10_000), CREATED, 102),
        (many(20_000, tie=3_200), UPDATED, 208),
        (many(20_000, tie=3_200), CREATED, 203),
        (many(0), CREATED, 1),
        (many(99), CREATED, 1),
        # A full page is not known to be the last.
        (many(100), CREATED, 2),
        (many(101), CREATED, 2),
    ],
)
def test_requests_are_few(rows, key, at_most, inclusive):
    server = Server(rows, inclusive=inclusive)
    paginator = Paginator(sessions.list_(), key=key)
    assert (
        ids(read(server, paginator)) == sorted(rows)
        if key == CREATED
        else len(ids(read(server, paginator))) == len(rows)
    )
    assert server.requests <= at_most
    assert paginator.total == len(rows)
    assert paginator.verified


@pytest.mark.parametrize("inclusive", [True, False])
def test_rows_equal_in_every_instant_come_although_their_order_changes_each_time(inclusive):
    server = Server(many(2_000, tie=700, both=True), inclusive=inclusive, shuffled_ties=True)
    paginator = Paginator(sessions.list_(), key=UPDATED)
    assert sorted(ids(read(server, paginator))) == sorted(server.rows)
    assert paginator.verified


def test_rows_that_never_come_are_said_to_be_missing():
    server = Server(many(400, tie=200, both=True))
    paginator = Paginator(sessions.list_(), key=UPDATED)
    hidden = "000150"
    while (request := paginator.next()) is not None:
        page = server.answer(request)
        page["items"] = [row for row in page["items"] if row["id"] != hidden]
        paginator.accept(page)
    assert not paginator.verified
    assert paginator.reason.startswith("of 200 rows that are equal in every instant 199 were found")


def test_acting_on_each_row_of_a_filter_reaches_all():
    server = Server(many(742, tie=250, both=True), shuffled_ties=True)
    done = []
    for row in read(server, Paginator(sessions.list_())):
        done.append(row["id"])
        del server.rows[row["id"]]
    assert sorted(done) == [f"{i:06d}" for i in range(742)]


def test_memory_stays_flat():
    server = Server(many(20_000))
    paginator = Paginator(sessions.list_(), key=UPDATED)
    most = 0
    while (request := paginator.next()) is not None:
        paginator.accept(server.answer(request))
        most = max(most, len(paginator._level.seen.versions))
    assert most <= 101


@pytest.mark.parametrize(
    "request_",
    [
        sessions.list_(order_by="LastInteractionAt"),
        sessions.list_(order_by="CreatedAt", order_direction="DESCENDING"),
        sessions.list_(order_direction="DESCENDING"),
        sessions.list_().having(bounds=()),
        sessions.list_().having(bounds=(UPDATED,)),
        sessions.list_().having(paging=Paging.PORTFOLIO),
    ],
)
def test_an_own_order_or_no_bounds_is_read_by_number(request_):
    server = Server(many(250))
    paginator = Paginator(request_, page_size=50)
    numbers = []
    found = []
    while (request := paginator.next()) is not None:
        query = dict(request.query)
        numbers.append(int(query.get("PageNumber") or query["Page"]))
        assert query.get("OrderBy") == request_.order_by
        assert query.get("OrderDirection") == (request_.order_direction if "PageNumber" in query else None)
        found += paginator.accept(server.answer(request.__class__(**{**vars(request), "query": numbered(query)})))
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert len(found) == 250
    assert not paginator.verified
    assert "by page number" in paginator.reason


def numbered(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple({**query, "PageNumber": query.get("PageNumber") or query["Page"]}.items())


def test_a_list_of_one_page_is_whole_whatever_its_order():
    server = Server(many(30))
    paginator = Paginator(sessions.list_(order_by="LastInteractionAt"))
    assert len(ids(read(server, paginator))) == 30
    assert paginator.verified
    assert server.requests == 1


def test_a_body_takes_page_order_and_bounds():
    request: PagedRequest[Session] = PagedRequest(
        method="POST",
        route="/core/v1/contact/filter",
        body={"status": "ACTIVE", "createdAt": {"after": instants.write(at(95))}},
        result=Session,
        safe_to_repeat=True,
        paging=Paging.BODY,
        bounds=(CREATED, UPDATED),
    )
    server = Server(many(1000))
    paginator = Paginator(request, key=UPDATED)
    assert ids(read(server, paginator)) == sorted(server.rows)[10:]
    assert paginator.verified


def test_a_smaller_page_than_asked_for_is_read_on():
    server = Server(many(250), page_cap=15)
    assert ids(read(server, Paginator(sessions.list_()))) == sorted(server.rows)


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f0Z", "%Y-%m-%dT%H:%M:%S.%f00"])
def test_spellings_of_instants_do_not_matter(form):
    server = Server(many(250, tie=120), spell=lambda moment: moment.strftime(form))
    assert sorted(ids(read(server, Paginator(sessions.list_(), key=UPDATED)))) == sorted(server.rows)


def test_an_ignored_filter_is_an_error_before_a_row_is_given():
    user = "0b1c2d3e-0000-4000-8000-000000000001"
    server = Server(many(300))
    paginator = Paginator(sessions.list_(user_id=user))
    page = server.answer(paginator.next())
    for row in page["items"]:
        row["userId"] = "0b1c2d3e-0000-4000-8000-000000000002"
    assert paginator.accept(page) == []
    with pytest.raises(WtsChatServerError, match="ignored the filter on userId") as caught:
        paginator.accept(page)
    assert not caught.value.retryable
    assert (caught.value.method, caught.value.path) == ("GET", "/chat/v2/session")
    assert user not in str(caught.value)


@pytest.mark.parametrize("answer", [[], None, {}, {"items": None}, "text"])
def test_what_is_no_page_is_an_error(answer):
    with pytest.raises(WtsChatServerError, match="no page of a list") as caught:
        Paginator(sessions.list_()).accept(answer)
    assert (caught.value.method, caught.value.path) == ("GET", "/chat/v2/session")


def test_rows_without_the_key_are_read_by_number():
    paginator = Paginator(sessions.list_())
    page = {"items": [{"id": str(i)} for i in range(3)], "totalItems": 3, "hasMorePages": False}
    found = []
    while (request := paginator.next()) is not None:
        assert paginator.accept(page) is not None
        found.append(dict(request.query))
    assert len(found) == 3
    assert not paginator.verified


def test_a_server_that_always_says_more_comes_to_an_end():
    server = Server(many(250))
    paginator = Paginator(sessions.list_())
    found = []
    while (request := paginator.next()) is not None:
        assert server.requests < 50
        found += [row["id"] for row in paginator.accept({**server.answer(request), "hasMorePages": True})]
    assert found == sorted(server.rows)


def test_rows_that_are_counted_and_do_not_come_leave_the_reading_unverified():
    paginator = Paginator(sessions.list_())
    while paginator.next() is not None:
        assert paginator.accept({"items": [], "totalItems": 7, "hasMorePages": False}) == []
    assert paginator.ignored is Ignored.COUNT
    assert not paginator.verified


def test_a_reading_that_is_cut_leaves_the_rest_to_another():
    server = Server(many(1000))
    paginator = Paginator(sessions.list_(), key=UPDATED, before=at(9000))
    found = [row["id"] for row in paginator.accept(server.answer(paginator.next()))]
    assert paginator.remaining == 900 - 100 + int(server.inclusive)
    assert paginator.position == at(990)
    asked = paginator.next()
    paginator.cut(at(1500))
    found += [row["id"] for row in paginator.accept(server.answer(asked))]
    found += ids(read(server, paginator))
    assert found == sorted(server.rows)[:150]
    assert paginator.verified


def test_the_first_total_is_kept():
    server = Server(many(250))
    paginator = Paginator(sessions.list_())
    list(read(server, paginator, lambda: server.create(f"new {server.now}") if server.requests < 4 else None))
    assert paginator.total == 250


@pytest.mark.parametrize(
    ("bound", "name"),
    [(CREATED, "createdAt"), (UPDATED, "updatedAt"), ("LastInteractionAt", "lastInteractionDate")],
)
def test_fields_of_rows(bound, name):
    assert row_field(bound) == name


@pytest.mark.parametrize("totals", [None, -1, 0, 1, 20, 30, 200], ids=lambda totals: f"totals {totals}")
@pytest.mark.parametrize("more", ["known", "totals", "absent"])
@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize(
    ("rows", "key"),
    [
        (many(600), CREATED),
        (many(600), UPDATED),
        (many(600, tie=290), UPDATED),
        (many(600, tie=290, both=True), UPDATED),
        (many(600, tie=480, both=True), CREATED),
    ],
    ids=["created", "updated", "a tie", "a tie in both", "nearly all in both"],
)
def test_what_a_server_does_not_say_is_not_known(totals, more, inclusive, rows, key):
    if totals is not None and totals < 0 and more == "totals":
        return
    server = Server(rows, inclusive=inclusive, totals=totals, more=more)
    paginator = Paginator(sessions.list_(), page_size=20, key=key)
    assert sorted(set(ids(read(server, paginator)))) == sorted(rows)
    # How many rows are equal in both instants is told by the total alone.
    both = max(Counter(rows.values()).values())
    assert paginator.verified or (both > 20 and totals is not None)
    assert paginator.verified is not (both > 20 and totals is not None and totals < both)


@pytest.mark.parametrize("more", ["known", "absent"])
@pytest.mark.parametrize("size", [15, 100])
@pytest.mark.parametrize("request_", [sessions.list_(), sessions.list_(order_by="LastInteractionAt")])
def test_pages_smaller_than_asked_for_and_without_a_total_come_too(more, size, request_):
    server = Server(many(310, tie=60), totals=-1, more=more, page_cap=size)
    paginator = Paginator(request_)
    assert sorted(ids(read(server, paginator))) == sorted(server.rows)
    assert paginator.total is None
    assert paginator.remaining is None
    assert server.requests < 40


def test_a_server_that_pays_no_attention_to_the_page_number_is_noticed():
    server = Server(many(250), totals=-1, more="absent")
    paginator = Paginator(sessions.list_(order_by="LastInteractionAt"))
    first = server.answer(paginator.next())
    while paginator.next() is not None:
        server.requests += 1
        assert server.requests < 10
        paginator.accept(first)
    assert not paginator.verified


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
@pytest.mark.parametrize("both", [True, False])
def test_the_ends_of_the_calendar_are_instants_like_others(inclusive, moment, both):
    micros = (moment.replace(tzinfo=UTC) - START) // timedelta(microseconds=1)
    rows = many(50) | {f"edge {i:03d}": (micros if both else 10 * i, micros) for i in range(250)}
    server = Server(rows, inclusive=inclusive)
    for bounds in ({}, {"after": datetime.min.replace(tzinfo=UTC)}):
        paginator = Paginator(sessions.list_(), key=UPDATED, **bounds)
        assert sorted(set(ids(read(server, paginator)))) == sorted(rows)
        assert paginator.verified


@given(
    server=st.builds(Server, rows=accounts, shuffled_ties=st.booleans(), seed=st.integers(0, 99)),
    todo=actions,
    size=st.integers(2, 5),
)
@settings(max_examples=300, deadline=None)
def test_a_list_without_a_key_is_confirmed_by_a_second_reading(server, todo, size):
    before = set(server.rows)
    gone: set[str] = set()
    paginator = Paginator(sessions.list_(order_by="LastInteractionAt"), page_size=size, confirm=True)
    found = [(row["id"], row["updatedAt"]) for row in read(server, paginator, doing(server, todo, gone))]
    assert len(found) == len(set(found))
    if paginator.verified:
        assert before - gone <= {row_id for row_id, _ in found}


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (99, 1), (250, 6)])
@pytest.mark.parametrize("totals", [None, 0])
def test_a_list_without_a_key_that_stays_as_it_is_is_verified(count, requests, totals):
    server = Server(many(count), totals=totals)
    paginator = Paginator(sessions.list_().having(bounds=()), confirm=True)
    assert sorted(ids(read(server, paginator))) == sorted(server.rows)
    assert paginator.verified
    assert server.requests == requests
