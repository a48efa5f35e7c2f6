"""Instants: what people write, what the API sends, what goes out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pendulum

from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["When", "parse", "read", "time_zone", "write"]

When = str | date | datetime | pendulum.DateTime
"""What a user may give as an instant."""


def parse(name: str, value: Any, zone: str = "UTC") -> datetime:
    """
    Read an instant that a user gave.

    :param name: name of the argument, for the error
    :param value: datetime (pendulum too), date, or text such as ``2026-09-01``, ``2026-09-01 08:30`` or ISO 8601
    :param zone: IANA time zone of a value that has none of its own. Default: UTC
    :return: the instant in UTC
    :raises WtsChatArgumentError: if it is not a date, or the zone does not exist
    """
    local = time_zone(zone)
    try:
        moment = _moment(value, local)
        if moment is None:
            reason = (
                f"{shown(value)} is no date. Give a datetime, '2026-09-01', '2026-09-01 08:30' or ISO 8601 "
                "such as '2026-09-01T08:30:00Z'"
            )
            raise WtsChatArgumentError(name, reason)
        utc = moment.in_timezone(pendulum.UTC)
    except OverflowError as error:
        raise WtsChatArgumentError(name, f"{shown(value)} is out of range") from error
    # A plain datetime: arithmetic with pendulum's would make more of pendulum's.
    return datetime.combine(utc.date(), utc.time(), UTC)


def time_zone(name: str) -> pendulum.Timezone:
    """
    Find a time zone.

    :param name: IANA name, such as ``America/Sao_Paulo``
    :return: the zone
    :raises WtsChatArgumentError: if no zone has that name
    """
    try:
        zone = pendulum.timezone(name)
    except (AttributeError, ValueError, OSError) as error:
        raise _no_zone(name) from error
    if not isinstance(zone, pendulum.Timezone):  # a number makes a fixed offset
        raise _no_zone(name)
    return zone


def _no_zone(name: Any) -> WtsChatArgumentError:
    return WtsChatArgumentError("timezone", f"{name!r} is no IANA time zone such as 'America/Sao_Paulo'")


def _moment(value: Any, zone: pendulum.Timezone) -> pendulum.DateTime | None:
    if isinstance(value, str):
        value = _parsed(value.strip(), zone)
    if isinstance(value, datetime):
        # pandas' NaT is a datetime that equals nothing.
        return pendulum.instance(value, tz=value.tzinfo or zone) if value == value else None
    if isinstance(value, date):
        return pendulum.datetime(value.year, value.month, value.day, tz=zone)
    return None


def _parsed(text: str, zone: pendulum.Timezone) -> Any:
    if not text[:1].isdigit():  # pendulum reads "now" and durations too
        return None
    try:
        moment = pendulum.parse(text, exact=True, tz=zone)
    except ValueError:
        return None
    # A text means two instants where clocks are set back: the first, as elsewhere in Python; pendulum takes the second.
    return moment.replace(fold=0) if isinstance(moment, pendulum.DateTime) else moment


def read(text: str) -> datetime:
    """
    Read an instant that the API sent: UTC, with or without ``Z``, with any number of fractional digits.

    :param text: such as ``2026-09-09T11:48:00.99776200``
    :return: the instant in UTC, cut to microseconds, which is what the server compares
    :raises ValueError: if it is not an instant
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def write(moment: datetime) -> str:
    """
    Write an instant as the API takes it: UTC with microseconds.

    :param moment: an instant with a zone
    :return: such as ``2026-09-09T11:48:00.997762Z``
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def read_or_none(text: str | None) -> datetime | None:
    """Read an instant, where there is one."""
    return None if text is None else read(text)


def write_or_none(moment: datetime | None) -> str | None:
    """Write an instant, where there is one."""
    return None if moment is None else write(moment)
