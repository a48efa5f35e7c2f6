"""Splits are worth what they cost."""

from __future__ import annotations

import pytest

from airflow_provider_wtschat.budget import Window
from airflow_provider_wtschat.extraction import pace

BURST = Window(200, 5.0)
READ = Window(1_000, 300.0)


@pytest.mark.parametrize(
    ("left", "made", "latency", "window", "expected"),
    [
        # All of it fits into one burst with as many splits as there are workers.
        (50, 1, 0.12, BURST, 23),
        # Only so many splits fit, and what they cost more would be waited for longer.
        (190, 1, 0.12, READ, 23),
        (990, 2, 0.12, READ, 8),
        (985, 15, 0.12, READ, 0),
        # A burst is soon over, so that its edge is worth less than the workers.
        (195, 1, 0.5, BURST, 23),
        # In several bursts the limit sets the pace, with a few workers as well.
        (594, 1, 0.12, BURST, 5),
        (0, 0, 0.12, BURST, 0),
    ],
)
def test_as_many_splits_as_pay(left, made, latency, window, expected):
    assert pace.splits(left, made, latency, 24, window) == expected


@pytest.mark.parametrize("workers", [1, 0])
def test_one_worker_has_nobody_to_split_with(workers):
    assert pace.splits(500, 1, 0.12, workers, BURST) == 0


@pytest.mark.parametrize(("rows", "expected"), [(0, 0), (1, 1), (100, 1), (101, 2), (19_000, 190)])
def test_pages(rows, expected):
    assert pace.pages(rows, 100) == expected
