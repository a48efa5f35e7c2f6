"""Office hours and the company: rows made of one object that has no id and no instant of its last change."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_wtschat.api import departments
from airflow_provider_wtschat.exceptions import WtsChatServerError
from airflow_provider_wtschat.extraction.office_hours import company_rows, period_rows
from airflow_provider_wtschat.simulator.routes import company
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from tests.loading import Table, load

COMPANY = "0b1c2d3e-0000-4000-8000-000000000001"


class Hook:
    """Knows a company by its departments, or none."""

    def __init__(self, company_id: str | None = COMPANY) -> None:
        self._rows = [{"id": "x", "companyId": company_id}]

    def answer(self, request, *, bulk):
        return SimpleNamespace(value=self._rows if request.route == departments.list_().route else None)

    def resolve(self):
        return SimpleNamespace(account="shop")


def told(*days):
    return {"limitHours": True, "offlineResponse": None, "timezoneDiff": -3.0, "days": list(days)}


def day(name, *periods, day_id="d", active=True):
    return {
        "id": day_id, "dayWeek": name, "active": active,
        "periods": [dict(zip(("startTime", "endTime"), period, strict=True)) for period in periods],
    }  # fmt: skip


def test_a_row_is_a_period_and_ids_stay_whatever_else_changes():
    rows = period_rows(
        Hook(),
        told(
            day("MONDAY", ("13:00", "18:00"), ("08:00", "12:00")),
            day("SUNDAY", active=False),
            day("FRIDAY", ("22:00", "00:00")),
            day("FERIADO", ("8h", None)),
        ),
    )
    assert [
        (row["weekday"], row["slot"], row["startMinute"], row["endMinute"], row["active"]) for row in rows
    ] == [
        (1, 1, 480, 720, True), (1, 2, 780, 1080, True), (7, 1, None, None, False), (5, 1, 1320, 1440, True),
        (None, 1, None, None, True),
    ]  # fmt: skip
    assert {row["companyId"] for row in rows} == {COMPANY}
    again = period_rows(Hook(), told(day("Sunday", day_id="e"), day("monday", ("09:00", "12:00"), day_id="f")))
    assert [row["id"] for row in again] == [rows[2]["id"], rows[0]["id"]]
    others = (
        period_rows(Hook("0b1c2d3e-0000-4000-8000-000000000002"), told(day("MONDAY"))),
        period_rows(Hook(None), told(day("MONDAY"))),
    )
    assert len({rows[0]["id"], *(row["id"] for made in others for row in made)}) == 3


@pytest.mark.parametrize("nothing", [{"days": None}, {}, {"days": [{"periods": None}]}])
def test_what_is_not_told_is_empty(nothing):
    assert [row["startMinute"] for row in period_rows(Hook(), nothing)] == [None] * len(nothing.get("days") or ())
    assert company_rows(Hook(), nothing)[0]["id"] == COMPANY
    assert company_rows(Hook(None), nothing)[0]["id"]


@pytest.mark.parametrize("make", [company_rows, period_rows])
def test_an_answer_that_is_no_object_does_not_empty_the_table(make):
    with pytest.raises(WtsChatServerError) as raised:
        make(Hook(), None)
    assert raised.value.retryable


@pytest.mark.reads(sessions=3)
def test_loads_write_what_changed_and_mark_what_is_gone(reading, destination, monkeypatch):
    for resource in ("company", "office_hours"):
        load(resource, history=True)
    (firm,) = Table("company").rows("id, timezone_diff, limit_hours")
    assert firm.id == reading.world.company_id
    columns = "id, weekday, slot, start_minute, end_minute, missing_since, updated_at"
    before = Table("office_hours").rows(columns)
    assert sorted((row.weekday, row.start_minute, row.end_minute) for row in before if row.start_minute) == [
        (day, 540, 1080) for day in range(1, 6)
    ]
    assert load("office_hours", history=True)["written"] == 0
    assert Table("office_hours").rows(columns) == before

    morning, afternoon = {"startTime": "08:00", "endTime": "12:00"}, {"startTime": "13:00", "endTime": "18:00"}
    monkeypatch.setattr(company, "_OPEN", morning)
    assert load("office_hours", history=True)["written"] == 5
    with monkeypatch.context() as saturdays:
        saturdays.setattr(company, "WORKDAYS", 6)
        saturdays.setattr(company, "_WEEK", company._WEEK[:6])
        assert load("office_hours", history=True)["gone"] == 1
    (gone,) = [row for row in Table("office_hours").rows(columns) if row.missing_since]
    assert gone.weekday == 7
    monkeypatch.setattr(company, "_OPEN", afternoon)
    load("office_hours", history=True)
    kept = Table("office_hours_history").rows("start_minute, weekday")
    assert [row.start_minute for row in kept if row.weekday == 1] == [480, 540, 780]
    compared = WtsChatReconcileOperator(
        task_id="compare", resource="office_hours", table="office_hours", sql_conn_id="warehouse"
    ).execute({})
    assert (compared["missing"], compared["deleted"]) == (0, 0)
