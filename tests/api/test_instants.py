"""Instants: what people write, what the API sends, what goes out."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

SAO_PAULO = "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2026-09-01", "UTC", "2026-09-01T00:00:00.000000Z"),
        ("2026-09-01", SAO_PAULO, "2026-09-01T03:00:00.000000Z"),
        ("2026-09-01 08:30", "UTC", "2026-09-01T08:30:00.000000Z"),
        (" 2026-09-01 08:30\n", SAO_PAULO, "2026-09-01T11:30:00.000000Z"),
        ("2026-09-01T08:30:00Z", SAO_PAULO, "2026-09-01T08:30:00.000000Z"),
        ("2026-09-01T08:30:00.9977620Z", "UTC", "2026-09-01T08:30:00.997762Z"),
        ("2026-09-01T08:30:00-03:00", "UTC", "2026-09-01T11:30:00.000000Z"),
        (date(2026, 9, 1), SAO_PAULO, "2026-09-01T03:00:00.000000Z"),
        (datetime(2026, 9, 1, 8, 30), SAO_PAULO, "2026-09-01T11:30:00.000000Z"),
        (datetime(2026, 9, 1, 8, 30, tzinfo=timezone(timedelta(hours=2))), SAO_PAULO, "2026-09-01T06:30:00.000000Z"),
        (pendulum.datetime(2026, 9, 1, 8, 30, tz=SAO_PAULO), "UTC", "2026-09-01T11:30:00.000000Z"),
        (pendulum.date(2026, 9, 1), "UTC", "2026-09-01T00:00:00.000000Z"),
        (datetime(1, 1, 1), "UTC", "0001-01-01T00:00:00.000000Z"),
        # Clocks were set back in this night: the first of the two instants that the text could mean.
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00.000000Z"),
        (datetime(2026, 10, 25, 2, 30), "Europe/Berlin", "2026-10-25T00:30:00.000000Z"),
        (datetime(2026, 10, 25, 2, 30, fold=1), "Europe/Berlin", "2026-10-25T01:30:00.000000Z"),
        (pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Berlin"), "UTC", "2026-10-25T01:30:00.000000Z"),
        # They were set forward over this half hour, and over this midnight.
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:30:00.000000Z"),
        ("2018-11-04", SAO_PAULO, "2018-11-04T03:00:00.000000Z"),
    ],
)
def test_takes_and_writes(value, zone, expected):
    moment = instants.parse("at", value, zone)
    assert type(moment) is datetime
    assert moment.tzinfo is UTC
    assert instants.write(moment) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "None",
        "yesterday",
        "2026-02-30",
        "1/9/2026",
        "now",
        "P1D",
        "2026-01-01/2026-02-01",
        7,
        1.5,
        True,
        None,
        [],
        "08:30",
    ],
)
def test_refuses_what_is_no_date(value):
    with pytest.raises(WtsChatArgumentError, match=r"^at: .* is no date"):
        instants.parse("at", value)


@pytest.mark.parametrize("zone", ["Brasília", "", "../etc/passwd", "America", None, 7])
def test_refuses_what_is_no_zone(zone):
    with pytest.raises(WtsChatArgumentError, match=r"^timezone: .* is no IANA time zone such as 'America/Sao_Paulo'"):
        instants.parse("at", "2026-09-01", zone)


def test_refuses_what_lies_outside_of_time():
    with pytest.raises(WtsChatArgumentError, match=r"at: .* is out of range"):
        instants.parse("at", datetime(1, 1, 1), "Asia/Tokyo")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-09T11:48:23.38Z", datetime(2026, 9, 9, 11, 48, 23, 380000, UTC)),
        ("2026-09-09T11:48:00.9977620Z", datetime(2026, 9, 9, 11, 48, 0, 997762, UTC)),
        ("2026-09-09T11:48:00.99776200", datetime(2026, 9, 9, 11, 48, 0, 997762, UTC)),
        ("2026-09-09T11:48:00.99776299Z", datetime(2026, 9, 9, 11, 48, 0, 997762, UTC)),
        ("2026-09-09T11:48:56Z", datetime(2026, 9, 9, 11, 48, 56, 0, UTC)),
        ("2026-09-09T11:48:56", datetime(2026, 9, 9, 11, 48, 56, 0, UTC)),
    ],
)
def test_reads_every_text_of_the_api(text, expected):
    assert instants.read(text) == expected
    assert instants.read(text).utcoffset() == timedelta(0)


def test_read_refuses_what_is_no_instant():
    with pytest.raises(ValueError, match="Invalid isoformat"):
        instants.read("soon")


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC)),
    st.sampled_from([UTC, ZoneInfo(SAO_PAULO), ZoneInfo("Asia/Kolkata")]),
)
def test_what_is_written_is_read_back_and_sorts_as_text(moment, zone):
    text = instants.write(moment.astimezone(zone))
    assert instants.read(text) == moment
    assert instants.parse("at", text, SAO_PAULO) == moment
    assert instants.write(moment - timedelta(microseconds=1)) < text


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Tokyo", "UTC"])
def test_an_instant_of_the_api_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch, zone: str):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for text in (
            "2026-09-09T11:48:00.99776200",
            "2026-09-09T11:48:00.9977620Z",
            "2026-09-09T08:48:00.997762-03:00",
        ):
            assert instants.read(text) == datetime(2026, 9, 9, 11, 48, 0, 997762, tzinfo=UTC)
            assert instants.write(instants.read(text)) == "2026-09-09T11:48:00.997762Z"
    finally:
        monkeypatch.undo()
        time.tzset()
