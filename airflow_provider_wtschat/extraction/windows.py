"""Cutting a long time into windows, to read each in a task of its own."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any, Literal, get_args

import pendulum

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

Unit = Literal["hour", "day", "week", "month", "year"]

_MOST = 1_024


def windows(since: Any, until: Any, *, by: Unit = "month", timezone: str = "UTC") -> list[dict[str, str]]:
    """
    Cut a time into windows that follow one another, for a backfill.

    Made for mapped tasks: ``Operator.partial(...).expand_kwargs(windows("2026-01-01", "2026-07-01"))``.

    :param since: start, included: datetime, date, or text such as ``2026-09-01``
    :param until: end, excluded
    :param by: ``hour``, ``day``, ``week`` (from Monday), ``month`` or ``year``, each as the local calendar has it; the
        first and the last window may be shorter. Default: ``month``
    :param timezone: IANA time zone of the calendar, and of dates that have none. Default: UTC
    :return: a ``since`` and an ``until`` in UTC for each window
    :raises WtsChatArgumentError: if a date is not one, since is not before until, or there were more than 1,024
        windows, which is how many tasks Airflow maps by default
    """
    low, high = check_window(since, until, timezone)
    if by not in get_args(Unit):
        raise WtsChatArgumentError("by", f"{by!r} was given; one of {', '.join(get_args(Unit))} is wanted")
    start = pendulum.instance(low).in_timezone(instants.time_zone(timezone)).start_of(by)
    cuts = [low]
    for number in itertools.count(1):
        cut = start.add(**{f"{by}s": number}).in_timezone(pendulum.UTC)
        if cut >= high:
            break
        if cut > cuts[-1]:  # not in the first of two hours of the same name
            cuts.append(cut)
        if len(cuts) > _MOST:
            raise WtsChatArgumentError(
                "by", f"windows of one {by} from since to until are more than {_MOST}; take longer ones"
            )
    ends = [*cuts[1:], high]
    return [
        {"since": instants.write(start), "until": instants.write(end)} for start, end in zip(cuts, ends, strict=True)
    ]


def check_window(since: Any, until: Any, timezone: str = "UTC") -> tuple[datetime, datetime]:
    """
    Read the ends of a window.

    :param timezone: IANA time zone of dates that have none. Default: UTC
    :return: both in UTC
    :raises WtsChatArgumentError: if one is not a date, or since is not before until
    """
    low, high = instants.parse("since", since, timezone), instants.parse("until", until, timezone)
    if low >= high:
        what = "is empty" if low == high else "runs backwards"
        reason = (
            f"the window from {instants.write(low)} to {instants.write(high)} {what}. On Airflow 3 a run "
            "without a data interval (@hourly, by hand, by an asset) has none to give: leave both out, or set a "
            "CronDataIntervalTimetable"
        )
        raise WtsChatArgumentError("since, until", reason)
    return low, high
