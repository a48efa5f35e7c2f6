"""Phone numbers: any spelling in, one spelling out."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any

from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

DEFAULT_COUNTRY = "55"
# ITU-T E.164: calling codes of one and of two digits; every other code has three.
_ONE_DIGIT = frozenset("17")
_TWO_DIGITS = frozenset(
    ("20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
     "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
     "91", "92", "93", "94", "95", "98")
)  # fmt: skip
_NINTH_DIGIT = re.compile(r"^(55[1-9]{2})9([6-9]\d{7})$")
_ALLOWED = re.compile(r"[+0-9\s().|/\-\u2010-\u2015]+")


def parts(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> tuple[str, str]:
    """
    Split a phone number into country code and national number.

    :param name: name of the argument, for the error
    :param value: ``+55|11900000001``, ``+55 11 90000-0001``, ``(11) 90000-0001``, ``5511900000001``, ...
    :param country: calling code of a number written without one, digits only. Default: 55 (Brazil)
    :return: such as ``("55", "11900000001")``
    :raises WtsChatArgumentError: if it is no phone number
    """
    text = str(value).strip() if isinstance(value, (str, Integral)) and not isinstance(value, bool) else ""
    number = re.sub(r"\D", "", text)
    code = re.sub(r"[^0-9]", "", str(country))
    if not code:
        msg = f"{country!r} is no calling code such as '55'"
        raise WtsChatArgumentError("phone_country", msg)
    text = text.removeprefix("(") if text.startswith("(+") else text
    # The shortest numbers of the world, those of some islands, have seven digits with their country code.
    shortest = 7 if text.startswith("+") else 8
    if not _ALLOWED.fullmatch(text) or not shortest <= len(number) <= 17 or "+" in text[1:]:
        raise _no_phone(name, value)
    if "|" in text:
        left, _, right = text.partition("|")
        found, national = re.sub(r"\D", "", left), re.sub(r"\D", "", right)
    elif text.startswith("+") or number.startswith("00"):
        found, national = _split(number.removeprefix("00") if not text.startswith("+") else number)
    elif code == DEFAULT_COUNTRY:
        # A Brazilian number has 10 or 11 digits with its area code. So twelve or thirteen digits begin with the
        # country, and ten or eleven never do, although 55 is an area code too.
        number = number.removeprefix("0") if len(number) in (11, 12) else number
        if len(number) in (10, 11):
            found, national = code, number
        elif len(number) in (12, 13) and number.startswith(code):
            found, national = code, number[2:]
        else:
            raise _no_phone(name, value)
    elif number.startswith(code) and len(number) - len(code) >= 8:
        found, national = code, number[len(code) :]
    else:
        found, national = code, number.removeprefix("0")
    if found == DEFAULT_COUNTRY:
        # No area code begins with 0: it is the prefix of a long-distance call.
        national = national.removeprefix("0")
    right_length = len(national) in (10, 11) if found == DEFAULT_COUNTRY else 4 <= len(national) <= 14
    if not found or found.startswith("0") or not right_length or len(found) + len(national) > 15:
        raise _no_phone(name, value)
    return found, national


def digits(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as digits with its country code, the form that addresses a recipient or a look-up.

    :param name: name of the argument, for the error
    :param value: any spelling of the number
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``5511900000001``
    :raises WtsChatArgumentError: if it is no phone number
    """
    return "".join(parts(name, value, country))


def stored(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as the API stores it.

    :param name: name of the argument, for the error
    :param value: any spelling of the number
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``+55|11900000001``
    :raises WtsChatArgumentError: if it is no phone number
    """
    code, national = parts(name, value, country)
    return f"+{code}|{national}"


def person(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as what all numbers of one person have in common.

    Brazilian mobile numbers got a ninth digit, a 9 before those that began with 6 to 9: with it or without it, the
    number reaches the same person.

    :param name: name of the argument, for the error
    :param value: any spelling of the number
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``551188887777`` for ``+55 11 98888-7777``, to compare with and not to write to
    :raises WtsChatArgumentError: if it is no phone number
    """
    return _NINTH_DIGIT.sub(r"\1\2", digits(name, value, country))


def _split(number: str) -> tuple[str, str]:
    width = 1 if number[:1] in _ONE_DIGIT else 2 if number[:2] in _TWO_DIGITS else 3
    return number[:width], number[width:]


def _no_phone(name: str, value: Any) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        name,
        f"{shown(value)} (digits shown as 9) is no phone number. "
        "Give it with area code, such as '(11) 90000-0001', or with country code, such as '+55 11 90000-0001'",
    )
