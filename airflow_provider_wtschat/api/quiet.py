"""Quiet hours: when nobody is written to, by the clock where a number is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__: list[str] = []

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

_HOURS = re.compile(r"(\d{1,2}):(00|15|30|45)\s*(?:-|to)\s*(\d{1,2}):(00|15|30|45)")
_QUARTER = timedelta(minutes=15)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class QuietHours:
    """
    When nobody is written to, by the clocks where they live.

    :param start: when it begins, each day
    :param end: when it ends; before ``start`` it is on the next day
    :param days: numbers of days that are quiet from midnight to midnight, 0 for Monday
    """

    start: time | None
    end: time | None
    days: frozenset[int]

    @classmethod
    def read(cls, hours: Any, days: Any) -> Self | None:
        """
        Check the arguments.

        :param hours: such as ``20:00-08:00``
        :param days: names of days, such as ``["SUNDAY"]``
        :return: the quiet hours; ``None`` for none
        """
        text, names = convert.text("quiet_hours", hours), convert.texts("quiet_days", days) or []
        if text is None and not names:
            return None
        bounds: tuple[time | None, time | None] = (None, None)
        if text is not None:
            found = _HOURS.fullmatch(text.strip())
            parts = [int(part) for part in found.groups()] if found else []
            if not parts or parts[0] > 23 or parts[2] > 23 or parts[:2] == parts[2:]:
                msg = f"{text!r} was given; two quarters of an hour that differ are wanted, such as '20:00-08:00'"
                raise WtsChatArgumentError("quiet_hours", msg)
            bounds = (time(parts[0], parts[1]), time(parts[2], parts[3]))
        wanted = [name.strip().upper() for name in names]
        if unknown := [name for name in wanted if name not in DAYS]:
            raise WtsChatArgumentError("quiet_days", f"{unknown[0]!r} is no day; there are {', '.join(DAYS)}")
        quiet = cls(start=bounds[0], end=bounds[1], days=frozenset(map(DAYS.index, wanted)))
        if len(quiet.days) == len(DAYS):
            raise WtsChatArgumentError("quiet_days", "all seven days were given, so nothing would ever be sent")
        return quiet

    def next_start(self, phone: str, now: datetime) -> datetime | None:
        """
        Return when somebody may be written to.

        :param phone: number in international form, by which it is known in which time zones it may be
        :return: when the quiet hours end; ``None`` if they are not now
        """
        quarter = _quarter_of(now)
        moment = self._best(zones_of(phone), quarter)
        return None if moment == quarter else moment

    def sure_until(self, now: datetime) -> datetime:
        """Return until when everybody stays awake who is awake now."""
        return _quarter_of(now) + _QUARTER

    @lru_cache(maxsize=4096)  # noqa: B019  # a value that lives as long as its dispatch
    def _best(self, zones: tuple[str, ...], quarter: datetime) -> datetime:
        """
        Return the first quarter of an hour, of the next week, that suits all of some zones, or as many as any does.

        :param zones: where a number may be
        :param quarter: the first to judge
        """
        clocks = [ZoneInfo(zone) for zone in zones]
        best, most = quarter, -1
        for number in range(_WEEK // _QUARTER):
            moment = quarter + number * _QUARTER
            awake = sum(not self._is_quiet(moment.astimezone(clock)) for clock in clocks)
            if awake > most:
                best, most = moment, awake
            if awake == len(clocks):
                break
        return best

    def _is_quiet(self, local: datetime) -> bool:
        if local.weekday() in self.days:
            return True
        if self.start is None or self.end is None:
            return False
        clock = local.time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


def _quarter_of(now: datetime) -> datetime:
    """Return when a quarter of an hour began. The hours of every time zone do at one of UTC, so it is quiet or not."""
    return now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)


@lru_cache(maxsize=4096)
def zones_of(phone: str) -> tuple[str, ...]:
    """Return the time zones in which a number may be; UTC where that is not known."""
    try:
        return phones.timezone(phone) or ("UTC",)
    except WtsChatArgumentError:
        return ("UTC",)
