"""The account's limits, counted when a request arrives, over sliding windows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

BURST = (200, 5.0)
WINDOW = (1000, 300.0)
SEND = (1000, 120.0)


class SlidingWindow:
    """At most so many requests in any span of so many seconds."""

    def __init__(self, requests: int, seconds: float) -> None:
        """Start empty.

        :param seconds: per how many seconds.
        """
        self.requests = requests
        self.seconds = seconds
        self._arrivals: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Return in how many seconds there is room; 0 if there is."""
        while self._arrivals and self._arrivals[0] <= now - self.seconds:
            self._arrivals.popleft()
        if len(self._arrivals) < self.requests:
            return 0.0
        return self._arrivals[0] + self.seconds - now if self._arrivals else self.seconds

    def count(self, now: float) -> None:
        """Note an arrival."""
        self._arrivals.append(now)


class Limits:
    """All windows of the account. Requests that are turned away take up no room."""

    def __init__(self, settings: bool | Mapping[str, Any]) -> None:
        """Start with empty windows.

        :param settings: True for the real limits, False for none, or a mapping with any of ``burst``, ``window`` and
            ``send``, each (requests, seconds), and ``sends_count_twice``.
        :raises ValueError: a name in the mapping is unknown.
        """
        given = settings if isinstance(settings, Mapping) else {}
        unknown = set(given) - {"burst", "window", "send", "sends_count_twice"}
        if unknown:
            msg = f"limits knows burst, window, send and sends_count_twice, not {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        shared = [SlidingWindow(*given.get("burst", BURST)), SlidingWindow(*given.get("window", WINDOW))]
        sends = [SlidingWindow(*given.get("send", SEND))]
        if settings is False:
            shared, sends = [], []
        self._shared = shared
        self._sends = sends + shared if given.get("sends_count_twice") else sends

    def arrive(self, *, is_send: bool) -> float:
        """Count a request.

        :param is_send: whether it goes to the send API, which has a limit of its own.
        :return: 0 if it may go on, else in how many seconds there will be room.
        """
        now = time.monotonic()
        windows = self._sends if is_send else self._shared
        wait = max((window.wait(now) for window in windows), default=0.0)
        if wait == 0.0:
            for window in windows:
                window.count(now)
        return wait
