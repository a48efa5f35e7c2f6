"""How far a feed has read, and from where it reads next. No I/O, and no clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta


class Cursor:
    """
    The place that a reader of changes has reached.

    Rows may become visible out of order, so each reading goes back a little (``slack``); they may become visible late,
    so some readings go back further (``overlap``): each one while what lies there fills no more than a page, else one
    in ``overlap_every`` seconds.

    :param slack: seconds that each reading goes back
    :param overlap: seconds that a reading goes back for rows that became visible late
    :param overlap_every: seconds between two readings that go back so far
    """

    def __init__(self, *, slack: float, overlap: float, overlap_every: float) -> None:
        self._slack = timedelta(seconds=slack)
        self._overlap = timedelta(seconds=overlap)
        self._overlap_every = overlap_every
        self.position: datetime | None = None
        """All changes before it were read."""
        self.floor: datetime | None = None
        """Nothing before it will be read again: where the next reading that goes back far begins."""
        self._overlap_due = 0.0

    def start(self, clock: float) -> datetime | None:
        """
        Return from where the next reading is to begin, ``None`` where nothing was read yet.

        :param clock: seconds of a clock that never goes back
        """
        if self.position is None:
            return None
        if self.floor is not None and self._overlap_due <= clock:
            return self.floor
        return self.position - self._slack

    def reset(self) -> None:
        """Forget the place."""
        self.position = self.floor = None

    def reading(self, start: datetime, clock: float) -> Reading:
        """
        Begin a reading.

        :param clock: seconds of a clock that never goes back
        """
        return Reading(self, start, clock)

    def finish(self, reading: Reading) -> None:
        """Move to the place that a complete reading has reached."""
        self.position = reading.position
        if self.floor is None or reading.start <= self.floor:
            self.floor = reading.position - self._overlap
            self._overlap_due = reading.clock + (self._overlap_every if reading.pages > 1 else 0.0)

    def settled(self, server_time: datetime, now: datetime) -> datetime:
        """Return before which instant nothing is expected any more."""
        # Of two clocks the one behind, since a clock ahead would leave changes out.
        return min(server_time, now) - self._slack


class Reading:
    """
    One reading, page by page.

    :param cursor: whose reading it is
    :param clock: when it began
    """

    def __init__(self, cursor: Cursor, start: datetime, clock: float) -> None:
        self.start = start
        self.clock = clock
        self.pages = 0
        self.position = cursor.position or start
        self._cursor = cursor

    def accept(self, moments: Iterable[datetime], server_time: datetime | None, now: datetime) -> None:
        """
        Note a page.

        :param server_time: the server's clock, where the answer told it
        """
        if self.pages == 0 and server_time is not None:
            # It goes on although nothing changes: else what changed last, which may be much, came again each time.
            self.position = max(self.position, self._cursor.settled(server_time, now))
        self.pages += 1
        self.position = max([self.position, *moments])
