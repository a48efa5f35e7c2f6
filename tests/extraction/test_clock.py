"""The server's clock is what several sources agree on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_wtschat.extraction.clock import AHEAD, ServerClock

DAYS = timedelta(days=3.5)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # How far each answer is ahead of this machine, and how far the clock may be at most and at least.
        ([], (timedelta(0), timedelta(0))),
        ([timedelta(0)], (timedelta(0), timedelta(0))),
        ([DAYS], (timedelta(0), timedelta(0))),
        ([DAYS, timedelta(0)], (timedelta(0), timedelta(0))),
        ([timedelta(0), DAYS, timedelta(0)], (timedelta(0), timedelta(0))),
        ([-DAYS, timedelta(0), timedelta(0)], (timedelta(0), timedelta(0))),
        ([DAYS] * 20, (timedelta(0), timedelta(0))),
        # Two that agree on a little are believed.
        ([10 * SECOND] * 3, (10 * SECOND, 10 * SECOND)),
        ([-10 * SECOND] * 3, (-10 * SECOND, -10 * SECOND)),
        ([-10 * SECOND], (-10 * SECOND, -10 * SECOND)),
        ([10 * SECOND], (timedelta(0), timedelta(0))),
        ([-DAYS] * 3, (-DAYS, -DAYS)),
    ],
)
def test_what_is_believed(answers, expected):
    clock = ServerClock()
    for ahead in answers:
        clock.note(datetime.now(UTC) + ahead, time.monotonic())
    low, high = expected
    assert datetime.now(UTC) + low - SECOND / 10 <= clock.now() <= datetime.now(UTC) + high + SECOND / 10
    assert clock.known is bool(answers)


def test_a_clock_that_is_not_believed_says_so():
    clock = ServerClock()
    assert not clock.disagrees
    assert clock.ahead is None
    for _ in range(3):
        clock.note(datetime.now(UTC) + DAYS, time.monotonic())
    assert clock.disagrees
    assert clock.ahead > AHEAD
    assert clock.latest() > datetime.now(UTC) + DAYS - SECOND


def test_an_answer_without_a_date_says_nothing():
    clock = ServerClock()
    clock.note(None, time.monotonic())
    assert not clock.known
