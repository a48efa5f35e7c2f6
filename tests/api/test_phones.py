"""Phone numbers: any spelling in, one spelling out, and none in an error."""

from __future__ import annotations

import re
import subprocess
import sys
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.exceptions import WtsChatArgumentError


@pytest.mark.parametrize(
    ("value", "country", "expected"),
    [
        ("+55|11900000001", "55", "+55|11900000001"),
        ("+55|1190000000", "55", "+55|1190000000"),
        ("+55 11 90000-0001", "55", "+55|11900000001"),
        ("+55 (11) 90000-0001", "55", "+55|11900000001"),
        ("(+55) 11 90000-0001", "55", "+55|11900000001"),
        ("+55 (011) 3000-0001", "55", "+55|1130000001"),
        ("0055 11 90000-0001", "55", "+55|11900000001"),
        ("(11) 90000-0001", "55", "+55|11900000001"),
        ("011 90000-0001", "55", "+55|11900000001"),
        ("11 3000-0001", "55", "+55|1130000001"),
        ("5511900000001", "55", "+55|11900000001"),
        (5511900000001, "55", "+55|11900000001"),
        ("551130000001", 55, "+55|1130000001"),
        (" 11900000001\n", "+55", "+55|11900000001"),
        ("11\u201390000\u20110001", "55", "+55|11900000001"),
        # 55 is an area code of Brazil too.
        ("55 90000-0001", "55", "+55|55900000001"),
        ("5530000001", "55", "+55|5530000001"),
        ("5555900000001", "55", "+55|55900000001"),
        ("+1 202 555 0100", "55", "+1|2025550100"),
        ("+351 912 345 678", "55", "+351|912345678"),
        ("+44 20 7946 0000", "55", "+44|2079460000"),
        ("+7 495 000-00-00", "55", "+7|4950000000"),
        ("+683 7012", "55", "+683|7012"),
        ("202 555 0100", "1", "+1|2025550100"),
        ("12025550100", "1", "+1|2025550100"),
        ("0912345678", "351", "+351|912345678"),
        # Numbers of Brazil that have no area code, and a call by way of a carrier.
        ("0800 701 2345", "55", "+55|8007012345"),
        ("+55 800 12 3456", "55", "+55|800123456"),
        ("0800 12 3456", "55", "+55|800123456"),
        ("4004-1234", "55", "+55|40041234"),
        ("+55 4004 1234", "55", "+55|40041234"),
        ("0500 123 4567", "55", "+55|5001234567"),
        ("0 15 11 90000-0001", "55", "+55|11900000001"),
        ("+98 9601", "55", "+98|9601"),
        # In Italy the zero belongs to the number, and 39 begins mobile numbers too.
        ("+39 06 698 12345", "55", "+39|0669812345"),
        ("06 698 12345", "39", "+39|0669812345"),
        ("391 234 5678", "39", "+39|3912345678"),
        ("+44 (0)20 7946 0000", "55", "+44|2079460000"),
        ("020 7946 0000", "44", "+44|2079460000"),
        ("7012", "683", "+683|7012"),
        ("+800 1234 5678", "55", "+800|12345678"),
        ("1234 5678", "800", "+800|12345678"),
        # What the API stores goes back as it is, also where people write it in another way today.
        ("+52|15512345678", "55", "+52|15512345678"),
    ],
)
def test_spellings(value, country, expected):
    assert phones.stored("phone", value, country) == expected
    assert phones.digits("phone", value, country) == re.sub(r"\D", "", expected)
    assert phones.parts("phone", value, country) == tuple(expected[1:].split("|"))


@pytest.mark.parametrize(
    "value",
    ["", "None", "90000-0001", "900000001", "1190000000123456", "11 90000-000a", "+", "+55", "+55|", "++5511900000001",
     "11+900000001", "+00 1190000001", "@maria", True, 1.5, None, [], 5511900000001.0,
     "\uff11\uff11\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11",
     "+5511900000001; DROP", "661190000000112"],
)  # fmt: skip
def test_refused(value):
    with pytest.raises(WtsChatArgumentError, match=r"^to: .* is no phone number"):
        phones.digits("to", value)


@pytest.mark.parametrize("value", ["12025550100", "1 (202) 555-0100", 44207946000, "11000000001"])
def test_a_number_of_another_country_without_a_plus_is_not_taken_for_brazilian(value):
    with pytest.raises(WtsChatArgumentError, match=r"^to: .* is no phone number of Brazil.* with a plus"):
        phones.digits("to", value)
    assert phones.digits("to", f"+{value}" if value != "11000000001" else f"+55{value}")


def test_every_number_of_the_library_in_international_form_is_itself():
    numbers = {
        phonenumbers.format_number(number, style): number
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in phonenumbers.PhoneNumberType.values()
        for number in [phonenumbers.example_number_for_type(region, kind)]
        if number is not None
        for style in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    }
    assert len(numbers) > 1_500
    for text, number in numbers.items():
        wanted = f"+{number.country_code}|{phonenumbers.national_significant_number(number)}"
        assert phones.stored("phone", text) == wanted, text
        assert phones.stored("phone", wanted) == wanted


@pytest.mark.parametrize(
    ("number", "region", "zones"),
    [
        ("5511988887777", ("BR", "11"), ("America/Sao_Paulo",)),
        ("+55|1188887777", ("BR", "11"), ("America/Sao_Paulo",)),  # a mobile number before the ninth digit
        ("5581988887777", ("BR", "81"), ("America/Recife",)),
        ("5591988887777", ("BR", "91"), ("America/Belem",)),
        ("5592988887777", ("BR", "92"), ("America/Manaus",)),
        ("5568988887777", ("BR", "68"), ("America/Rio_Branco",)),
        ("5540041234", ("BR", None), None),
        ("+1 202 555 0100", ("US", "202"), ("America/New_York",)),
        ("+1 808 234 5678", ("US", "808"), ("Pacific/Honolulu",)),
        ("+1 416 234 5678", ("CA", "416"), ("America/Toronto",)),
        ("+351 912 345 678", ("PT", None), None),
        ("+39|0236618300", ("IT", None), ("Europe/Rome",)),
        ("+800 1234 5678", (None, None), ()),
    ],
)
def test_where_a_number_belongs(number: str, region: tuple[str | None, str | None], zones: tuple[str, ...] | None):
    assert phones.region(number) == region
    found = phones.timezone(number)
    assert all(ZoneInfo(zone) for zone in found)
    if zones is not None:
        assert found == zones
    else:
        assert len(found) > 1


def test_the_areas_of_brazil_are_those_of_the_library():
    areas = {
        area
        for area in map(str, range(10, 100))
        if phonenumbers.is_valid_number(phonenumbers.parse(f"+55 {area} 98888 7777", None))
    }
    assert {area for area in map(str, range(10, 100)) if phones.region(f"55{area}988887777").area} == areas


def test_the_library_is_loaded_when_a_number_needs_it():
    script = (
        "import sys\n"
        "from airflow_provider_wtschat.api import phones, sends\n"
        "phones.person('to', '(11) 98888-7777')\n"
        "assert 'phonenumbers' not in sys.modules\n"
        "phones.person('to', '+1 202 555 0100')\n"
        "assert 'phonenumbers' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("country", ["", "Brasil", None, "+", "999"])
def test_refuses_what_is_no_calling_code(country):
    with pytest.raises(WtsChatArgumentError, match=r"phone_country: .* is no calling code such as '55'"):
        phones.digits("to", "11900000001", country)


@pytest.mark.parametrize("value", ["+55 11 91234-56", "551191234567890123", "91234-5678", 91234567])
def test_errors_show_the_shape_and_not_the_number(value):
    with pytest.raises(WtsChatArgumentError) as caught:
        phones.digits("to", value)
    assert "1234" not in str(caught.value)
    assert "5678" not in str(caught.value)


@given(
    area=st.integers(11, 99),
    number=st.integers(20000000, 99999999) | st.integers(900000000, 999999999),
    style=st.integers(0, 5),
)
def test_every_spelling_of_a_brazilian_number_is_the_same_number(area, number, style):
    local = str(number)
    spellings = [
        f"+55|{area}{local}",
        f"({area}) {local[:-4]}-{local[-4:]}",
        f"55{area}{local}",
        f"0{area}{local}",
        f"+55 {area} {local[:-4]} {local[-4:]}",
        f"{area}{local}",
    ]
    assert phones.stored("to", spellings[style]) == f"+55|{area}{local}"
    # What went out once goes out again unchanged.
    assert phones.digits("to", phones.digits("to", spellings[style])) == f"55{area}{local}"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("+55 11 98888-7777", "11 8888-7777", True),
        ("(11) 98888-7777", "5511988887777", True),
        ("(21) 99666-5555", "+55|2196665555", True),
        ("(21) 99666-5555", "+55|219666-5556", False),
        ("(11) 98888-7777", "(21) 98888-7777", False),
        ("11 95555-4444", "11 5555-4444", False),  # a landline
        ("+1 202 555 0100", "+1 (202) 555-0100", True),
        ("+351 912 345 678", "912345678", None),
    ],
)
def test_one_person_has_several_numbers(first: str, second: str, same: bool | None):
    if same is None:
        with pytest.raises(WtsChatArgumentError):
            phones.person("to", second)
        return
    assert (phones.person("to", first) == phones.person("to", second)) is same
