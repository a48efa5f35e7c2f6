"""When, how often and how fast: quiet hours where people live, caps, a pace, and a few messages first."""

from __future__ import annotations

import inspect
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.quiet import DAYS, QuietHours, zones_of
from airflow_provider_wtschat.campaigns import dispatch as engine
from airflow_provider_wtschat.campaigns import following
from airflow_provider_wtschat.campaigns.table import STALE_AFTER, CampaignTable
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from tests.transfers.conftest import SEND, Warehouse, arguments, context

Try = Callable[..., dict[str, Any]]

SAO_PAULO, MANAUS, RIO_BRANCO = "+5511900000001", "+5592900000001", "+5568900000001"
LOS_ANGELES, TOKYO, TOLL_FREE, RUSSIA = "+14155550134", "+819012345678", "+18005550100", "+79161234567"
MONDAY = "2026-11-23T"


def batches(simulator: Simulator) -> list[int]:
    """Return how many messages each request carried."""
    return [len(write.body["messages"]) for write in simulator.books if "messages" in (write.body or {})]


# Quiet hours


@pytest.mark.parametrize(
    ("phone", "hours", "days", "now", "then"),
    [
        (SAO_PAULO, "20:00-08:00", None, "23:30", "2026-11-24T11:00"),
        (SAO_PAULO, "20:00 to 08:00", None, "10:59", MONDAY + "11:00"),
        (SAO_PAULO, "20:00-08:00", None, "11:00", None),
        (SAO_PAULO, "20:00-08:00", None, "22:59", None),
        (MANAUS, "20:00-08:00", None, "23:30", None),  # an hour behind
        (MANAUS, "20:00-08:00", None, "11:30", MONDAY + "12:00"),
        (RIO_BRANCO, "20:00-08:00", None, "12:30", MONDAY + "13:00"),
        (LOS_ANGELES, "20:00-08:00", None, "12:00", MONDAY + "16:00"),
        (TOKYO, "20:00-08:00", None, "12:00", MONDAY + "23:00"),
        (SAO_PAULO, "12:00-14:00", None, "15:30", MONDAY + "17:00"),
        (SAO_PAULO, None, ["monday"], "02:59", None),  # it is Sunday there
        (SAO_PAULO, None, ["monday"], "03:00", "2026-11-24T03:00"),
        (SAO_PAULO, "20:00-08:00", ["MONDAY", "tuesday"], "12:00", "2026-11-25T11:00"),
    ],
)
def test_quiet_hours_are_those_of_the_recipient(phone: str, hours: str | None, days: Any, now: str, then: str | None):
    quiet = QuietHours.read(hours, days)
    assert quiet is not None
    found = quiet.next_start(phone, datetime.fromisoformat(f"{MONDAY}{now}:30+00:00"))
    assert found == (None if then is None else datetime.fromisoformat(f"{then}:00+00:00"))


@settings(deadline=None)
@given(
    phone=st.sampled_from([SAO_PAULO, MANAUS, RIO_BRANCO, LOS_ANGELES, TOKYO, TOLL_FREE, RUSSIA, "+6837012"]),
    bounds=st.tuples(st.integers(0, 95), st.integers(0, 95)).filter(lambda pair: pair[0] != pair[1]),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_nobody_is_written_to_in_quiet_hours(phone: str, bounds: tuple[int, int], now: datetime):
    start, end = (f"{quarter // 4:02}:{quarter % 4 * 15:02}" for quarter in bounds)
    quiet = QuietHours.read(f"{start}-{end}", None)
    assert quiet is not None
    moment = quiet.next_start(phone, now)
    assert moment is None or moment > now - timedelta(minutes=1)
    at = now if moment is None else moment
    zones = [ZoneInfo(zone) for zone in zones_of(phone)]
    first, last = (quarter * 15 for quarter in bounds)

    def asleep(moment: datetime) -> int:
        local = [moment.astimezone(zone) for zone in zones]
        clocks = [clock.hour * 60 + clock.minute for clock in local]
        return sum((first <= clock < last) if first < last else (clock >= first or clock < last) for clock in clocks)

    day = [at.replace(minute=0, second=0) + timedelta(minutes=15 * quarter) for quarter in range(96)]
    # In every zone in which the number may be, or in as many as ever.
    assert asleep(at) == min(map(asleep, day))
    if len(zones) == 1:
        assert not asleep(at)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"quiet_hours": "late"}, "quiet_hours: 'late' was given; two quarters"),
        ({"quiet_hours": "20:00-20:00"}, "quiet_hours: .* two quarters of an hour that differ"),
        ({"quiet_hours": "24:00-08:00"}, "quiet_hours: .* two quarters"),
        ({"quiet_hours": "20:07-08:00"}, "quiet_hours: .* two quarters"),
        ({"quiet_days": ["domingo"]}, "quiet_days: 'DOMINGO' is no day; there are MONDAY"),
        ({"quiet_days": list(DAYS)}, "quiet_days: all seven"),
        ({"quiet_hours": "20:00-08:00", "schedule_at": "2999-01-01"}, "schedule_at: .* quiet_hours"),
        ({"max_per_contact": 1}, "max_per_contact: a number of messages and a time"),
        ({"max_per_contact": (0, 60)}, r"max_per_contact\[0\]"),
        ({"max_per_contact": (1, timedelta(days=31))}, "max_per_contact: .* over 31 days.* longer retention"),
        ({"per_minute": 0}, "per_minute"),
        ({"canary": 10}, "canary: give max_failed too"),
        ({"canary": 0, "max_failed": 1}, "canary"),
    ],
)
def test_what_is_wrong_is_said(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, changed: dict[str, Any], said: str
):
    warehouse.fill(2)
    with pytest.raises(WtsChatFailedError, match=said):
        dispatch(**changed)
    assert not simulator.sends


def quiet_in_sao_paulo() -> str:
    """Return quiet hours in which it is night in Brazil, and day in Japan, whenever the test runs."""
    now = datetime.now(ZoneInfo("America/Sao_Paulo"))
    start, end = now - timedelta(hours=2), now + timedelta(hours=2)
    return f"{start:%H}:00-{end:%H}:00"


def test_whoever_sleeps_gets_the_message_later(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    numbers = [SAO_PAULO, TOKYO, "+5511900000002", "+819012345679"]
    any_warehouse.fill(4, phone=lambda i: numbers[i - 1])
    quiet = {"quiet_hours": quiet_in_sao_paulo()}
    with pytest.raises(TaskDeferred) as deferred:
        dispatch(**quiet, deferrable=True)
    assert deferred.value.trigger.purpose == "quiet hours"
    rows = any_warehouse.rows()
    assert [(row.status, row.claimed_by is None) for row in rows] == [("planned", True), ("sent", False)] * 2
    ((moment,),) = any_warehouse.execute("SELECT DISTINCT not_before FROM wtschat_campaign WHERE status = 'planned'")
    assert deferred.value.trigger.look_at == moment
    asked = len(simulator.requests)
    with pytest.raises(TaskDeferred):
        dispatch(**quiet, deferrable=True)
    assert SEND.partition(" ")[2] not in [entry.path for entry in simulator.requests[asked:]]
    # It would be too late then.
    with pytest.raises(WtsChatFailedError, match=r"send_before: .* before the end of the quiet hours"):
        dispatch(**quiet, send_before=datetime.now(UTC) + timedelta(minutes=30))
    any_warehouse.execute("UPDATE wtschat_campaign SET not_before = '2020-01-01T00:00:00.000000Z' WHERE seq > 0")
    assert dispatch()["sent"] == 4
    assert len(simulator.sends) == 4


def test_a_worker_waits_for_the_morning(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(150)

    def sleeps(phone: str) -> bool:
        return int(phone[-2:]) % 2 == 1

    def next_start(self: QuietHours, phone: str, now: datetime) -> datetime | None:
        # Their morning comes when everybody else has had the message.
        return now + timedelta(seconds=0.5) if sleeps(phone) and sum(batches(simulator)) < 75 else None

    monkeypatch.setattr(QuietHours, "next_start", next_start)
    assert dispatch(quiet_days=["SUNDAY"])["sent"] == 150
    order = [sleeps(one["to"]) for write in simulator.books for one in (write.body or {}).get("messages", ())]
    assert order == [False] * 75 + [True] * 75


def test_a_request_that_waits_too_long_goes_out_in_the_morning(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(3)
    evening, morning = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (1.5, 4))
    monkeypatch.setattr(
        QuietHours, "next_start", lambda *_: morning if evening <= datetime.now(UTC) < morning else None
    )
    monkeypatch.setattr(QuietHours, "sure_until", lambda self, now: evening if now < evening else morning)
    simulator.inject("429", on=SEND, retry_after=2)
    assert dispatch(quiet_days=["SUNDAY"])["sent"] == 3
    assert all(send.at >= morning.timestamp() * 1e6 for send in simulator.sends)


def test_a_request_that_waits_too_long_is_not_sent_too_late(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    simulator.inject("429", on=SEND, retry_after=3)
    with pytest.raises(WtsChatFailedError, match=r"send_before: .* is over"):
        dispatch(send_before=datetime.now(UTC) + timedelta(seconds=2))
    assert (warehouse.statuses(), simulator.sends) == ({"planned": 3}, [])


# Caps


def test_nobody_gets_more_than_the_cap(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    numbers = ["11 98765-4321", "11 97777-7777", "11 96666-6666"]
    any_warehouse.fill(3, phone=lambda i: numbers[i - 1])
    assert dispatch()["sent"] == 3
    cap = {"max_per_contact": "[1, 604800]"}
    any_warehouse.execute("UPDATE customers SET phone = '11 8765-4321' WHERE id = 1")  # the same person
    any_warehouse.execute("UPDATE customers SET phone = '11 95555-5555' WHERE id = 3")
    result = dispatch(campaign="second", **cap)
    assert (result["sent"], result["suppressed"]) == (1, 2)
    reasons = {row.reason for row in any_warehouse.rows() if row.status == "suppressed"}
    assert reasons == {"max_per_contact: had 1 messages of campaigns in 7 days, 0:00:00"}
    assert dispatch(campaign="third", max_per_contact=(2, timedelta(days=7)))["sent"] == 3
    long_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()[:26] + "Z"
    any_warehouse.execute(f"UPDATE wtschat_campaign SET claimed_at = '{long_ago}' WHERE claimed_at IS NOT NULL")
    assert dispatch(campaign="fourth", **cap)["sent"] == 3


def test_the_cap_holds_within_a_request(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(5, phone=lambda i: "11 90000-0001")
    result = dispatch(duplicate_recipients="allow", max_per_contact=(2, timedelta(hours=1)))
    assert (result["sent"], result["suppressed"]) == (2, 3)


def test_two_campaigns_at_once_write_to_everybody_once(
    any_warehouse: Warehouse, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    # Airflow 2's wrapper of the method knows the main thread alone.
    execute = inspect.unwrap(SqlToWtsChatTemplateOperator.execute)

    def work(campaign: str) -> dict[str, Any]:
        return execute(
            SqlToWtsChatTemplateOperator(**arguments(simulator, campaign=campaign, max_per_contact=[1, 604800])),
            context(),
        )

    # Each has claimed the same people before the other one counts what they had, and has counted before it goes on.
    together, real = threading.Barrier(2), CampaignTable.messages_to

    def wait() -> None:
        with suppress(threading.BrokenBarrierError):
            together.wait(1)

    def counted(self: CampaignTable, *args: Any) -> Any:
        wait()
        found = real(self, *args)
        wait()
        return found

    monkeypatch.setattr(CampaignTable, "messages_to", counted)
    monkeypatch.setattr(engine, "_TURN", timedelta(seconds=0.2))
    any_warehouse.fill(120)
    with ThreadPoolExecutor() as workers:
        results = list(workers.map(work, ("one", "other")))
    assert Counter(send.recipient for send in simulator.sends).most_common(1)[0][1] == 1
    assert [len(simulator.sends), sum(result["sent"] for result in results)] == [120, 120]
    assert all(result["sent"] + result["suppressed"] == 120 for result in results)


def test_a_campaign_that_died_holds_no_other_up(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(1)
    dispatch(campaign="died")
    long_ago = instants.write(datetime.now(UTC) - STALE_AFTER)
    warehouse.execute(f"UPDATE wtschat_campaign SET status = 'claimed', claimed_at = '{long_ago}' WHERE seq > 0")
    assert dispatch(max_per_contact=[1, 604800])["suppressed"] == 1


# Pace


def test_a_pace_is_kept(warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "_MINUTE", timedelta(seconds=1.5))
    warehouse.fill(150)
    started = time.monotonic()
    assert dispatch(per_minute=40)["sent"] == 150
    assert time.monotonic() - started > 3 * 1.5
    assert all(size <= 40 for size in batches(simulator))


# A few first


def test_the_first_messages_go_first(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)
    any_warehouse.fill(250, phone=lambda i: "nobody" if i < 3 else f"119{i:08}")
    started = time.monotonic()
    canary = {"canary": 30, "canary_wait": 2, "max_failed": 3, "max_invalid": 2}
    assert dispatch(**canary)["sent"] == 248
    assert time.monotonic() - started > 2
    assert batches(simulator) == [30, 100, 100, 18]
    looked = [entry for entry in simulator.requests if entry.operation == "GET /chat/v1/session/{id}/message"]
    assert len(looked) == 30
    assert dispatch(**canary)["sent"] == 248


@pytest.mark.parametrize("options", [{"message_step_s": 0.1}], ids=["slowly"])
@pytest.mark.parametrize(("most", "goes_on"), [(4, False), (5, True), (0.1, False), (0.2, True)])
def test_the_others_follow_only_if_the_first_fared_well(
    warehouse: Warehouse,
    simulator: Simulator,
    dispatch: Try,
    monkeypatch: pytest.MonkeyPatch,
    most: float,
    goes_on: bool,
):
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)
    warehouse.fill(60)
    simulator.world.failing_recipients |= {f"+55|119{i:08}" for i in range(1, 6)}
    canary = {"canary": 30, "canary_wait": 1, "max_failed": most}
    if goes_on:
        assert dispatch(**canary)["sent"] == 60
        return
    for _ in range(2):
        with pytest.raises(WtsChatFailedError, match="canary: 5 of the first 30 messages failed"):
            dispatch(**canary)
    assert warehouse.statuses() == {"sent": 30, "planned": 30}
    assert dispatch()["sent"] == 60


@pytest.mark.parametrize("options", [{"message_step_s": 0.1}], ids=["slowly"])
def test_the_others_wait_until_it_is_known_how_the_first_fared(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try
):
    warehouse.fill(60)
    simulator.world.failing_recipients |= {f"+55|119{i:08}" for i in range(1, 6)}
    canary = {"canary": 30, "canary_wait": 0.5, "max_failed": 4, "deferrable": True}
    simulator.inject("503", on="GET /chat/v1/session/{id}/message", times=None)
    with pytest.raises(TaskDeferred) as deferred:
        dispatch(**canary)
    assert deferred.value.trigger.purpose == "canary"
    simulator.application.faults.clear()
    with pytest.raises(WtsChatFailedError, match="canary: 5 of the first 30 messages failed"):
        dispatch(**canary)
    assert warehouse.statuses() == {"sent": 30, "planned": 30}


def test_no_worker_is_held_while_the_first_are_watched(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(60)
    with pytest.raises(TaskDeferred) as deferred:
        dispatch(canary=30, max_failed=0, deferrable=True)
    assert deferred.value.trigger.purpose == "canary"
    assert warehouse.statuses() == {"sent": 30, "planned": 30}
