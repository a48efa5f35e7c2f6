"""Instants as microseconds since the epoch, the several texts the API prints them in, and the simulator's clock."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?P<zone>Z|[+-]\d\d:\d\d)?", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ParsedInstant:
    """An instant read from a text."""

    micros: int
    zone: str | None
    """As written; None where the text has none, which means UTC."""


def parse_instant(text: str) -> ParsedInstant | None:
    """Read an RFC 3339 instant, cutting it to microseconds; None if the text is none."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    zone = match["zone"]
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return ParsedInstant(micros_of(moment if zone else moment.replace(tzinfo=UTC)), zone)


def micros_of(moment: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def datetime_of(micros: int) -> datetime:
    """Return microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def instant_text(micros: int, style: int = 0) -> str:
    """Print an instant in one of the spellings seen in the API's answers; none of them loses a microsecond.

    :param micros: microseconds since the epoch.
    :param style: picks the spelling; any whole number.
    """
    seconds, fraction = divmod(micros, SECOND)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    head = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    match style % 6:
        case 0:
            return f"{head}.{fraction:06}Z"
        case 1:
            return f"{head}.{fraction:06}0Z"
        case 2:
            return f"{head}.{fraction:06}00"
        case 3:
            return f"{head}.{fraction:06}"
        case 4:
            return f"{head}Z" if fraction == 0 else f"{head}.{f'{fraction:06}'.rstrip('0').ljust(2, '0')}Z"
        case _:
            return f"{head}.{fraction:06}00Z"


def http_date(micros: int) -> str:
    """Print an instant as HTTP headers have it."""
    return format_datetime(datetime_of(micros).replace(microsecond=0), usegmt=True)


class Clock:
    """The server's clock: real time plus an offset, unless frozen."""

    def __init__(self, offset: int = 0) -> None:
        """Let the clock run.

        :param offset: how far ahead of real time (microseconds).
        """
        self._offset = offset
        self._frozen: int | None = None

    @staticmethod
    def _real() -> int:
        return time.time_ns() // 1000

    def now(self) -> int:
        """Return the server's time in microseconds since the epoch."""
        return self._real() + self._offset if self._frozen is None else self._frozen

    def freeze(self, at: int | None = None) -> None:
        """Stop the clock.

        :param at: what it shows from then on (microseconds since the epoch); where it is by default.
        """
        self._frozen = self.now() if at is None else at

    def resume(self) -> None:
        """Let a frozen clock run on from where it stopped."""
        if self._frozen is not None:
            self._offset, self._frozen = self._frozen - self._real(), None

    def advance(self, seconds: float) -> None:
        """Put the clock forward, frozen or not."""
        step = round(seconds * SECOND)
        if self._frozen is None:
            self._offset += step
        else:
            self._frozen += step
