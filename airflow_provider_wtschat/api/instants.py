"""Instants: what people write, what the API sends, what goes out."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

When = str | date
"""What a user may give as an instant: text, date, datetime (pendulum too)."""


def parse(name: str, value: Any, zone: str = "UTC") -> datetime:
    """
    Read an instant that a user gave.

    :param name: name of the argument, for the error
    :param value: datetime (pendulum too), date, or text such as ``2026-09-01``, ``2026-09-01 08:30`` or ISO 8601
    :param zone: IANA time zone of a value that has none of its own. Default: UTC
    :return: the instant in UTC
    :raises WtsChatArgumentError: if it is no date, or the zone does not exist
    """
    try:
        local = ZoneInfo(zone)
    except (KeyError, ValueError, OSError, TypeError) as error:
        msg = f"{zone!r} is no IANA time zone such as 'America/Sao_Paulo'"
        raise WtsChatArgumentError("timezone", msg) from error
    moment = _moment(value)
    if moment is None:
        msg = (
            f"{shown(value)} is no date. Give a datetime, '2026-09-01', '2026-09-01 08:30' or ISO 8601 "
            "such as '2026-09-01T08:30:00Z'"
        )
        raise WtsChatArgumentError(name, msg)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=local)
    try:
        # A plain datetime, whatever subclass came in: pendulum's would colour every later computation.
        plain = moment.astimezone(UTC)
    except OverflowError as error:
        msg = f"{shown(value)} is out of range"
        raise WtsChatArgumentError(name, msg) from error
    return datetime(
        plain.year, plain.month, plain.day, plain.hour, plain.minute, plain.second, plain.microsecond, tzinfo=UTC
    )


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value == value else None  # pandas' NaT is a datetime that equals nothing
    if isinstance(value, date):
        return datetime.combine(value, time())
    try:
        return datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None


def read(text: str) -> datetime:
    """
    Read an instant that the API sent: UTC, with or without ``Z``, with any number of fractional digits.

    :param text: such as ``2026-09-09T11:48:00.99776200``
    :return: the instant in UTC, cut to microseconds, which is what the server compares
    :raises ValueError: if it is no instant
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
