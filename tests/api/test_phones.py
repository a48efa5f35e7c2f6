"""Phone numbers: any spelling in, one spelling out, and none in an error."""

from __future__ import annotations

import re

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


@pytest.mark.parametrize("country", ["", "Brasil", None, "+"])
def test_refuses_what_is_no_calling_code(country):
    with pytest.raises(WtsChatArgumentError, match=r"phone_country: .* is no calling code such as '55'"):
        phones.digits("to", "11900000001", country)


@pytest.mark.parametrize("value", ["+55 11 91234-56", "551191234567890123", "91234-5678", 91234567])
def test_errors_show_the_shape_and_not_the_number(value):
    with pytest.raises(WtsChatArgumentError) as caught:
        phones.digits("to", value)
    assert "1234" not in str(caught.value)
    assert "5678" not in str(caught.value)


@given(area=st.integers(11, 99), number=st.integers(20000000, 999999999), style=st.integers(0, 5))
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
