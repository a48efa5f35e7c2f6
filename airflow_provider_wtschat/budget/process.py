"""The budget of one process, counted in memory."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

from airflow_provider_wtschat.budget.limits import (
    GRACE,
    HELD,
    YIELDING,
    Limits,
    Pace,
    Refusal,
    Store,
    Window,
    is_full,
)


class ProcessStore(Store):
    """
    Slots of this process.

    Where no store is shared the process cannot see the others, but it sees by a 429 when together they were too many.

    :param share: share of the limits that this process may take
    :param clock: seconds, never going back
    """

    def __init__(self, limits: Limits, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self.whole = share
        """The share of the limits that this process may take at most."""
        self.users = 1
        """Among how many machines it is divided."""
        self._pace = Pace()
        self._clock = clock
        self._lock = threading.Lock()
        # Times of the answers in ascending order, with the number of the slot to tell equal ones apart.
        self._answers: dict[str, list[tuple[float, int]]] = {"burst": [], "read": [], "send": []}
        self._open: dict[int, float] = {}
        self._pauses = {"hold": 0.0, "burst": 0.0, "read": 0.0, "send": 0.0}

    def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
        """Take a slot, or return why there is none."""
        with self._lock:
            now = self._clock()
            refusal = self._refusal(now, send, bulk_share, self._share_at(now))
            if refusal is None:
                self._add(now, slot, send)
            return refusal

    def check(self, *, send: bool, bulk_share: float | None) -> Refusal | None:
        """Return why there is no slot in the whole share, however slow the process has become; takes none."""
        with self._lock:
            return self._refusal(self._clock(), send, bulk_share, self.whole)

    def add(self, slot: int, *, send: bool) -> None:
        """Count a slot that was taken elsewhere."""
        with self._lock:
            self._add(self._clock(), slot, send)

    def answer(self, slot: int, *, send: bool) -> None:
        """Note that the answer has arrived."""
        with self._lock:
            now = self._clock()
            opened = self._open.pop(slot, None)
            for name, _ in self._limits.of(send):
                answers = self._answers[name]
                if opened is not None:
                    at = bisect_left(answers, (opened, slot))
                    if at < len(answers) and answers[at] == (opened, slot):
                        del answers[at]
                insort(answers, (now, slot))

    def hold(self, seconds: float) -> None:
        """Refuse slots for a while, and halve the pace."""
        self.pause(seconds)
        with self._lock:
            self._pace = self._pace.halved(self._clock(), self._limits)

    def pause(self, seconds: float) -> None:
        """Refuse slots for a while."""
        with self._lock:
            self._pauses["hold"] = max(self._pauses["hold"], self._clock() + seconds)

    def restore(self) -> None:
        """Take the whole share again."""
        with self._lock:
            self._pace = Pace()

    def renewed(self) -> ProcessStore:
        """Make an empty one with the same limits."""
        return ProcessStore(self._limits, self.whole, self._clock)

    @property
    def share(self) -> float:
        """The share of the limits that this process takes now."""
        with self._lock:
            return self._share_at(self._clock())

    def _share_at(self, now: float) -> float:
        return self.whole * self._pace.at(now, self._limits) / self.users

    def _refusal(self, now: float, send: bool, bulk_share: float | None, share: float) -> Refusal | None:
        refusal, full = Refusal(max(0.0, self._pauses["hold"] - now), HELD), None
        share *= bulk_share or 1
        for name, window in self._limits.of(send):
            if bulk_share is not None and self._pauses[name] - now > refusal.wait:
                refusal = Refusal(self._pauses[name] - now, YIELDING)
            wait = window.wait(now, self._ranked(name, window, now, window.share(share)))
            if wait > refusal.wait:
                refusal, full = Refusal(wait, is_full(window, share)), name
        if full is not None and bulk_share is None:
            self._pauses[full] = now + refusal.wait + GRACE
        return refusal if refusal.wait > 0 else None

    def _ranked(self, name: str, window: Window, now: float, rank: int) -> float | None:
        answers = self._answers[name]
        del answers[: bisect_right(answers, now - window.seconds, key=lambda answer: answer[0])]
        return answers[-rank][0] if len(answers) >= rank else None

    def _add(self, now: float, slot: int, send: bool) -> None:
        self._open[slot] = now + self._limits.lease
        for name, _ in self._limits.of(send):
            insort(self._answers[name], (now + self._limits.lease, slot))
