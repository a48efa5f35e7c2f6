"""The server's clock, as far as it can be trusted."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta

AHEAD = timedelta(minutes=5)
"""How far the server's clock may run ahead of this machine's before the earlier of the two is believed."""
_ANSWERS = 101


class ServerClock:
    """
    Tells the server's time by what several sources agree on.

    The ``Date`` header of one answer can be far off: a proxy or a cache on the way may have set it. So the time follows
    from the answers in the middle, and is never taken to be much later than on this machine's clock; a time that is too
    early costs some rows that are read again, one that is too late loses rows.
    """

    def __init__(self) -> None:
        # Seconds that a clock is ahead of this process's monotonic one.
        self._own = time.time() - time.monotonic()
        self._said: deque[float] = deque(maxlen=_ANSWERS)

    @property
    def known(self) -> bool:
        """Whether any answer told the time."""
        return bool(self._said)

    @property
    def ahead(self) -> timedelta | None:
        """How far the answers say that the server is ahead of this machine, ``None`` where they say nothing."""
        return timedelta(seconds=self._middle - self._own) if self._said else None

    @property
    def disagrees(self) -> bool:
        """Whether the answers say that the server is so far ahead that they are not believed."""
        return self.ahead is not None and self.ahead > AHEAD

    def note(self, said: datetime | None, received: float) -> None:
        """
        Note what an answer says.

        :param said: its ``Date``, ``None`` where it has none
        :param received: when it came, on the monotonic clock
        """
        if said is not None:
            self._said.append(said.timestamp() - received)

    def at(self, moment: float) -> datetime:
        """
        Return the server's time, rather too early than too late; this machine's where the server does not say.

        :param moment: when, on the monotonic clock
        """
        offset = self._own
        if len(self._said) == 1 or self.disagrees:
            offset = min(self._middle, self._own)
        elif self._said:
            offset = self._middle
        return datetime.fromtimestamp(moment + offset, UTC)

    def now(self) -> datetime:
        """Return the server's time now."""
        return self.at(time.monotonic())

    def latest(self) -> datetime:
        """Return the latest time that it may be now, by any of the clocks."""
        offset = max(self._middle, self._own) if self._said else self._own
        return datetime.fromtimestamp(time.monotonic() + offset, UTC)

    @property
    def _middle(self) -> float:
        return sorted(self._said)[(len(self._said) - 1) // 2]
