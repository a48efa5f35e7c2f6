"""A number in international form goes to itself, by every way there is to write to somebody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import phonenumbers
import pytest

from airflow_provider_wtschat.notifications.wtschat import WtsChatNotifier
from airflow_provider_wtschat.operators.message import SendTemplateBatchOperator, SendTextOperator
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from tests.transfers.conftest import SEND, Warehouse, arguments, channel, context

KINDS = ("MOBILE", "FIXED_LINE", "VOIP", "PERSONAL_NUMBER")
"""Numbers that people have; nobody writes to a toll-free one."""
HOMES = (pytest.param("55", marks=pytest.mark.soak), "1", pytest.param("34", marks=pytest.mark.soak))
"""Values of ``phone_country``: it never matters to a number in international form. The most numbers begin with 1."""


SHORTEST = 8
"""Some islands have seven digits, which the simulated account refuses: see tests/api/test_phones.py."""


def example(region: str, kind: str) -> tuple[str, str] | None:
    """Return an example of a kind of number of a country: its digits, and the number as people write it."""
    number = phonenumbers.example_number_for_type(region, getattr(phonenumbers.PhoneNumberType, kind))
    if number is None:
        return None
    written, digits = (
        phonenumbers.format_number(number, getattr(phonenumbers.PhoneNumberFormat, form))
        for form in ("INTERNATIONAL", "E164")
    )
    return (digits.removeprefix("+"), written) if len(digits) > SHORTEST else None


def examples(*kinds: str) -> dict[str, str]:
    """Return examples of each country, as people write them, by their digits."""
    return dict(filter(None, (example(region, kind) for region in sorted(REGIONS) for kind in kinds)))


REGIONS = phonenumbers.SUPPORTED_REGIONS
NUMBERS = examples(*KINDS)
ONE_PER_COUNTRY = {written: digits for digits, written in examples("FIXED_LINE").items()}


def addressed(simulator: Simulator) -> list[str]:
    """Return the recipients as the requests named them, digits only."""
    bodies = [write.body for write in simulator.books if "to" in write.body or "messages" in write.body]
    named = [item["to"] for body in bodies for item in body.get("messages", [body])]
    return ["".join(sign for sign in to if sign.isdigit()) for to in named]


def store(warehouse: Warehouse) -> None:
    digits = list(NUMBERS)
    warehouse.fill(len(digits), phone=lambda i: NUMBERS[digits[i - 1]])


@pytest.fixture
def options() -> dict[str, Any]:
    return {"check_answers": False}


@pytest.mark.parametrize("country", HOMES)
def test_a_campaign_writes_to_the_numbers_of_its_query(
    warehouse: Warehouse, simulator: Simulator, dispatch: Callable[..., dict[str, Any]], country: str
):
    store(warehouse)
    simulator.inject("lost_before", on=SEND)
    result = dispatch(phone_country=country, max_recipients=10_000)
    assert (result["sent"], result["uncertain"]) == (len(NUMBERS) - 100, 100)
    assert addressed(simulator) == list(NUMBERS)[100:]
    paths = [entry.path for entry in simulator.requests if "/phonenumber/" in entry.path]
    assert [path.rpartition("/")[2] for path in paths] == list(NUMBERS)[:100]
    assert [row.phone for row in warehouse.rows() if row.status == "uncertain"] == [
        f"+{digits}" for digits in list(NUMBERS)[:100]
    ]


@pytest.mark.parametrize("country", HOMES)
def test_a_scheduled_campaign_writes_to_the_numbers_of_its_query(
    warehouse: Warehouse, simulator: Simulator, dispatch: Callable[..., dict[str, Any]], country: str
):
    numbers = list(ONE_PER_COUNTRY)
    warehouse.fill(len(numbers), phone=lambda i: numbers[i - 1])
    dispatch(phone_country=country, schedule_at="2999-01-01", duplicate_recipients="allow")
    assert addressed(simulator) == list(ONE_PER_COUNTRY.values())


def test_a_batch_writes_to_the_numbers_it_is_given(simulator: Simulator):
    numbers = list(NUMBERS)
    SendTemplateBatchOperator(
        task_id="batch",
        template_name="boas_vindas",
        from_channel=channel(simulator),
        messages=[{"to": written} for written in NUMBERS.values()],
    ).execute(single_try())
    assert addressed(simulator) == numbers


def test_a_text_goes_to_the_number_it_is_given(simulator: Simulator):
    for written in ONE_PER_COUNTRY:
        operator = SendTextOperator(task_id="text", to=written, text="olá", from_channel=channel(simulator))
        operator.execute(single_try())
    assert addressed(simulator) == list(ONE_PER_COUNTRY.values())


def test_a_notification_goes_to_the_number_it_is_given(simulator: Simulator):
    numbers = list(ONE_PER_COUNTRY)
    for start in range(0, len(numbers), 50):
        WtsChatNotifier(to=numbers[start : start + 50], text="olá", from_channel=channel(simulator)).notify({})
    assert addressed(simulator) == list(ONE_PER_COUNTRY.values())


def single_try() -> Any:
    found = context()
    found["ti"].try_number = 1
    found["ti"].xcom_push = lambda key, value: None
    return found


def test_rows_that_an_earlier_version_planned_go_where_it_meant(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Callable[..., dict[str, Any]]
):
    """It kept digits with the country's code and no plus sign."""
    numbers = ["14155550134", "34612345678", "5511900000001", "5521987654321", "4791234567"]
    any_warehouse.fill(len(numbers), phone=lambda i: f"+{numbers[i - 1]}")
    with SqlToWtsChatTemplateOperator(**arguments(simulator))._dispatch(context()) as planner:
        planner.table.create()
        planner._people.create()
        planner._plan()
    any_warehouse.execute("UPDATE wtschat_campaign SET phone = substr(phone, 2) WHERE seq > 0")
    assert {row.phone for row in any_warehouse.rows()} == set(numbers)
    assert dispatch()["sent"] == len(numbers)
    assert addressed(simulator) == numbers


@pytest.mark.parametrize("country", HOMES)
def test_a_channel_that_is_found_by_its_name_sends(
    warehouse: Warehouse, simulator: Simulator, dispatch: Callable[..., dict[str, Any]], country: str
):
    found = next(row for row in simulator.world.channels if row["number"])
    names = {"from_channel": None, "from_channel_name": found["identity"]["displayName"], "phone_country": country}
    warehouse.fill(1, phone=lambda i: "+55 11 90000-0001")
    assert dispatch(**names)["sent"] == 1
    operator = SendTextOperator(task_id="text", to="+55 11 90000-0001", text="olá", **names)
    assert operator.execute(single_try())["id"]
    assert [send.channel_id for send in simulator.sends] == [found.id] * 2
