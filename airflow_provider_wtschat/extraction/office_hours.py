"""
Office hours as rows.

The API tells them as one object without an id or an instant of its last change. The rows made of it have ids that stay
the same as long as the company, the day of the week and the number of the period do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import NAMESPACE_URL, uuid5

from airflow_provider_wtschat.api import agents, departments, types
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import WtsChatServerError

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

_WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_DAY = 24 * 60


class Company(TypedDict, total=False):
    """The company as its office hours tell of it."""

    id: types.Uuid
    updatedAt: types.Instant
    limitHours: bool
    offlineResponse: str | None
    timezoneDiff: float | None


class OfficeHoursPeriodRow(TypedDict, total=False):
    """A period of a day of the week; a day without any has one row without times."""

    id: types.Uuid
    updatedAt: types.Instant
    companyId: types.Uuid | None
    dayId: types.Uuid | None
    dayWeek: str | None
    weekday: int | None
    active: bool
    slot: int
    startTime: str | None
    endTime: str | None
    startMinute: int | None
    endMinute: int | None
    limitHours: bool
    timezoneDiff: float | None


def company_rows(hook: WtsChatHook, value: Any) -> list[Any]:
    """
    Make the row of the company.

    :param hook: the hook, which looks up the company's id
    :param value: what ``GET /core/v1/company/officehours`` answered
    :raises WtsChatServerError: if it is no object
    """
    told = _checked(value)
    company = _company(hook)
    common = {name: told.get(name) for name in ("limitHours", "offlineResponse", "timezoneDiff")}
    return [{"id": company or _key(hook, None), **common}]


def period_rows(hook: WtsChatHook, value: Any) -> list[Any]:
    """
    Make a row of each period of each day.

    :param hook: the hook, which looks up the company's id
    :param value: what ``GET /core/v1/company/officehours`` answered
    :raises WtsChatServerError: if it is no object
    """
    told = _checked(value)
    company = _company(hook)
    common = {"companyId": company, "limitHours": told.get("limitHours"), "timezoneDiff": told.get("timezoneDiff")}
    slots: dict[str, int] = defaultdict(int)
    rows = []
    for day in told.get("days") or ():
        name = str(day.get("dayWeek") or "").upper()
        periods = [period for period in day.get("periods") or () if isinstance(period, Mapping)]
        for period in sorted(periods, key=lambda one: str(one.get("startTime"))) or [{}]:
            which = name or str(day.get("id"))
            slots[which] += 1
            start, end = _minute(period.get("startTime")), _minute(period.get("endTime"))
            rows.append(
                {
                    "id": _key(hook, company, which, slots[which]),
                    **common,
                    "dayId": day.get("id"),
                    "dayWeek": day.get("dayWeek"),
                    "weekday": _WEEK.index(name) + 1 if name in _WEEK else None,
                    "active": day.get("active"),
                    "slot": slots[which],
                    "startTime": period.get("startTime"),
                    "endTime": period.get("endTime"),
                    "startMinute": start,
                    # Midnight at the end of a day is that of the day, not the one before it.
                    "endMinute": _DAY if end == 0 else end,
                }
            )
    return rows


def _checked(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = "The API answered something else than an object to the question for the office hours"
        raise WtsChatServerError(msg, retryable=True)
    return value


def _company(hook: WtsChatHook) -> str | None:
    """Look up the id of the company, which other rows tell."""
    requests: tuple[Request[Any], ...] = (departments.list_(), agents.list_())
    for request in requests:
        for row in hook.answer(request, bulk=True).value or ():
            if row.get("companyId"):
                return str(row["companyId"])
    return None


def _key(hook: WtsChatHook, company: str | None, *parts: Any) -> str:
    of = company or hook.resolve().account
    return str(uuid5(NAMESPACE_URL, "/".join(["wtschat:officehours", of, *map(str, parts)])))


def _minute(text: Any) -> int | None:
    """Read ``HH:mm`` as minutes since midnight."""
    hours, _, minutes = str(text or "").partition(":")
    if not (hours.isdigit() and minutes[:2].isdigit()):
        return None
    minute = int(hours) * 60 + int(minutes[:2])
    return minute if minute <= _DAY else None
