"""The place that a feed has reached."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.triggers.cursor import Cursor

START = datetime(2026, 9, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def read(cursor: Cursor, clock: float, *pages: list[float], start: float | None = None) -> float:
    """Read pages of changes, and return from where."""
    begin = cursor.start(clock) if start is None else at(start)
    assert begin is not None
    reading = cursor.reading(begin, clock)
    for page in pages:
        reading.accept([at(moment) for moment in page], at(clock), at(clock))
    cursor.finish(reading)
    return (begin - START).total_seconds()


def test_it_begins_nowhere() -> None:
    cursor = Cursor(slack=5, overlap=120, overlap_every=60)
    assert cursor.start(0) is None
    read(cursor, 1000, [], start=900)
    cursor.reset()
    assert cursor.start(2000) is None


def test_each_reading_goes_back_far_while_little_lies_there() -> None:
    cursor = Cursor(slack=5, overlap=120, overlap_every=60)
    read(cursor, 1000, [], start=900)
    assert read(cursor, 1010, []) == 995 - 120
    assert read(cursor, 1020, []) == 1005 - 120


def test_where_much_lies_only_some_readings_go_back_far() -> None:
    cursor = Cursor(slack=5, overlap=120, overlap_every=60)
    read(cursor, 1000, [990], [999], start=900)
    assert read(cursor, 1010, []) == 999 - 5
    assert read(cursor, 1059, []) == 1005 - 5
    # A minute after the last that did; it begins where that one ended, so that nothing lies between.
    assert read(cursor, 1061, [], []) == 999 - 120
    assert cursor.floor == at(1056 - 120)


def test_of_two_clocks_the_one_behind_counts() -> None:
    cursor = Cursor(slack=5, overlap=120, overlap_every=60)
    reading = cursor.reading(at(900), 0)
    reading.accept([], at(5000), at(1000))
    assert reading.position == at(995)
    # Without the server's clock only what was read moves it.
    reading = cursor.reading(at(900), 0)
    reading.accept([at(950)], None, at(1000))
    assert reading.position == at(950)


@given(st.lists(st.tuples(st.floats(0.1, 300), st.integers(0, 3)), min_size=1, max_size=30))
def test_no_moment_is_passed_over_and_the_place_never_goes_back(steps: list[tuple[float, int]]) -> None:
    cursor = Cursor(slack=5, overlap=120, overlap_every=60)
    clock = 1000.0
    read(cursor, clock, [], start=900)
    for seconds, pages in steps:
        clock += seconds
        before, known = cursor.position, cursor.floor
        assert before is not None
        begin = at(read(cursor, clock, *([[clock - 1]] * (pages + 1))))
        assert cursor.position is not None
        assert cursor.position >= before >= begin
        # What is said to be never read again is not.
        assert known is not None
        assert begin >= known
        assert cursor.floor is not None
        assert cursor.floor >= known
