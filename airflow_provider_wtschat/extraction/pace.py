"""How many workers pay: what a split costs, and what is left of the account's limits."""

from __future__ import annotations

from math import ceil

from airflow_provider_wtschat.budget.limits import Window


def splits(left: int, made: int, latency: float, workers: int, window: Window) -> int:
    """
    Tell into how many more pieces a reading may be split.

    Each split costs about one request, since pages at its edges are half full. Where these few would not fit into what
    is left of the window, they would make the whole reading wait for the next one.

    :param left: requests that are needed without any split
    :param latency: seconds that a request takes
    :param workers: pieces that could be read at once
    :return: pieces beside the first
    """
    most = max(0, workers - 1)
    spare = min(most, -(made + left) % window.limit)
    slow, fast = left * latency / (spare + 1), left * latency / (most + 1)
    # Whatever lies in further windows has to wait for them, with many workers or with few.
    waiting = (made + left) // window.limit * window.seconds
    return spare if max(slow, waiting) <= max(fast, waiting) + window.seconds else most


def pages(rows: int, size: int) -> int:
    """Count the pages of a list."""
    return ceil(rows / size)
