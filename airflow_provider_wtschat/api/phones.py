"""Phone numbers: any spelling in, one spelling out."""

from __future__ import annotations

import re
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

if TYPE_CHECKING:
    # Imported where a number needs it: it takes a third of a second, which no Dag file should wait for.
    from phonenumbers import PhoneNumber

__all__ = ["DEFAULT_COUNTRY", "Region", "digits", "parts", "person", "region", "stored", "timezone"]

DEFAULT_COUNTRY = "55"
_NINTH_DIGIT = re.compile(r"^(\+?55[1-9]{2})(9?)([6-9]\d{7})$")
"""A Brazilian mobile number, with or without the digit that was put before numbers that began with 6 to 9."""
_ALLOWED = re.compile(r"[+0-9\s().|/\-\u2010-\u2015]+")
_NOT_A_DIGIT = re.compile(r"[^0-9]")
# phonenumbers takes the mobile numbers of Recife for Fernando de Noronha and those of Belém and São Luís for Manaus,
# an hour or two off; each area code lies in one state, and so nearly always in one zone.
_BRAZILIAN_ZONES = {
    **dict.fromkeys(("71", "73", "74", "75", "77"), "America/Bahia"),
    **dict.fromkeys(("79", "82"), "America/Maceio"),
    **dict.fromkeys(("81", "87"), "America/Recife"),
    **dict.fromkeys(("83", "84", "85", "86", "88", "89", "98", "99"), "America/Fortaleza"),
    **dict.fromkeys(("91", "94", "96"), "America/Belem"),
    **dict.fromkeys(("65", "66"), "America/Cuiaba"),
    **dict.fromkeys(("92", "97"), "America/Manaus"),
    "63": "America/Araguaina",
    "67": "America/Campo_Grande",
    "68": "America/Rio_Branco",
    "69": "America/Porto_Velho",
    "93": "America/Santarem",
    "95": "America/Boa_Vista",
}
_BRAZILIAN_AREAS = frozenset(
    (*_BRAZILIAN_ZONES, "11", "12", "13", "14", "15", "16", "17", "18", "19", "21", "22", "24", "27", "28", "31", "32",
     "33", "34", "35", "37", "38", "41", "42", "43", "44", "45", "46", "47", "48", "49", "51", "53", "54", "55", "61",
     "62", "64")
)  # fmt: skip


class Region(NamedTuple):
    """Where a phone number belongs."""

    country: str | None
    """ISO 3166 code such as ``BR``; ``None`` for a number of no country, such as one that begins with +800."""
    area: str | None
    """Area code such as ``11`` in Brazil and ``202`` in the countries of +1; ``None`` elsewhere, or without one."""


def parts(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> tuple[str, str]:
    """
    Split a phone number into country code and national number.

    :param name: name of the argument, for the error
    :param value: ``+55|11900000001``, ``+55 11 90000-0001``, ``(11) 90000-0001``, ``5511900000001``, ...
    :param country: calling code of a number written without one, digits only. Default: 55 (Brazil)
    :return: such as ``("55", "11900000001")``
    :raises WtsChatArgumentError: if it is not a phone number
    """
    text = str(value).strip() if isinstance(value, (str, Integral)) and not isinstance(value, bool) else ""
    number = _NOT_A_DIGIT.sub("", text)
    code = _NOT_A_DIGIT.sub("", str(country))
    if not code:
        raise _no_calling_code(country)
    text = text.removeprefix("(") if text.startswith("(+") else text
    if not _ALLOWED.fullmatch(text) or len(number) > 17 or "+" in text[1:]:
        raise _no_phone(name, value)
    if "|" in text:
        left, _, right = text.partition("|")
        found = _as_stored(_NOT_A_DIGIT.sub("", left), _NOT_A_DIGIT.sub("", right))
    elif text.startswith("+"):
        found = _international(number)
    elif number.startswith("00"):
        found = _international(number.removeprefix("00"))
    elif code == DEFAULT_COUNTRY:
        found = _brazilian(number)
        if not found and len(number) == 11:
            raise _no_brazilian_mobile(name, value)
    else:
        found = _national(number, code, country)
    if not found:
        raise _no_phone(name, value)
    return found


def digits(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as digits with its country code, the form that addresses a recipient or a look-up.

    :param name: name of the argument, for the error
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``5511900000001``
    :raises WtsChatArgumentError: if it is not a phone number
    """
    return "".join(parts(name, value, country))


def stored(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as the API stores it.

    :param name: name of the argument, for the error
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``+55|11900000001``
    :raises WtsChatArgumentError: if it is not a phone number
    """
    code, national = parts(name, value, country)
    return f"+{code}|{national}"


def person(name: str, value: Any, country: str = DEFAULT_COUNTRY) -> str:
    """
    Write a phone number as what all numbers of one person have in common.

    Brazilian mobile numbers have one with and one without their ninth digit.

    :param name: what to call the number in an error
    :param value: the number, in any spelling
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :return: such as ``551188887777`` for ``+55 11 98888-7777``, to compare with and not to write to
    :raises WtsChatArgumentError: if it is not a phone number
    """
    return without_ninth_digit(digits(name, value, country))


def without_ninth_digit(number: str) -> str:
    """
    Return what all numbers of one person have in common.

    Brazilian mobile numbers got a ninth digit, a 9 before those that began with 6 to 9: with it or without it, the
    number reaches the same person.

    :param number: in international form, with or without its plus sign
    """
    return _NINTH_DIGIT.sub(r"\1\3", number)


def with_ninth_digit(number: str) -> str:
    """Return the other number of the person, where :func:`without_ninth_digit` may have left out a digit."""
    return _NINTH_DIGIT.sub(r"\g<1>9\3", number)


def region(number: str) -> Region:
    """
    Tell the country of a phone number, and its area code in Brazil and in the countries of +1.

    :param number: the number with its country code, as :func:`digits` and :func:`stored` write it
    :return: such as ``Region("BR", "11")``
    :raises WtsChatArgumentError: if it is not a phone number
    """
    import phonenumbers

    code, national = parts("number", f"+{_NOT_A_DIGIT.sub('', number)}")
    if code == DEFAULT_COUNTRY:
        return Region("BR", national[:2] if national[:2] in _BRAZILIAN_AREAS and len(national) >= 10 else None)
    # One calling code can be that of several countries; a number that is not in use counts as one of the largest.
    country = phonenumbers.region_code_for_number(_number(code, national))
    country = country or phonenumbers.region_code_for_country_code(int(code))
    return Region(country if country not in ("ZZ", "001") else None, national[:3] if code == "1" else None)


def timezone(number: str) -> tuple[str, ...]:
    """
    Tell the time zones in which the owner of a phone number may be.

    :param number: the number with its country code, as :func:`digits` and :func:`stored` write it
    :return: IANA names such as ``("America/Sao_Paulo",)``; several where country or area has several, none for a number
        of no country
    :raises WtsChatArgumentError: if it is not a phone number
    """
    code, national = parts("number", f"+{_NOT_A_DIGIT.sub('', number)}")
    if code == DEFAULT_COUNTRY and len(national) >= 10 and national[:2] in _BRAZILIAN_AREAS:
        return (_BRAZILIAN_ZONES.get(national[:2], "America/Sao_Paulo"),)
    from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number, time_zones_for_number

    # Of a number that is not in use the area is known all the same.
    wanted = _number(code, national)
    zones = time_zones_for_number(wanted)
    if zones == (UNKNOWN_TIMEZONE,):
        zones = time_zones_for_geographical_number(wanted)
    return tuple(zone for zone in zones if zone != UNKNOWN_TIMEZONE)


def _as_stored(code: str, national: str) -> tuple[str, str] | None:
    """Keep what the API has already split: what it stores has to come back to it unchanged."""
    if code == DEFAULT_COUNTRY:
        return _of_brazil(national)
    right = 1 <= len(code) <= 3 and not code.startswith("0") and 4 <= len(national) <= 14
    return (code, national) if right and len(code) + len(national) <= 15 else None


def _international(number: str) -> tuple[str, str] | None:
    if number.startswith(DEFAULT_COUNTRY):
        return _of_brazil(number[2:])
    return _parsed(f"+{number}", None)


def _brazilian(number: str) -> tuple[str, str] | None:
    """Split a number without a plus: ten or eleven digits never begin with the country, although 55 is an area too."""
    if len(number) in (12, 13) and number.startswith(DEFAULT_COUNTRY):
        return _of_brazil(number[2:])
    national = number.removeprefix("0") if len(number) in (11, 12) else number
    area_first = not national.startswith("0")
    if area_first and (len(national) == 10 or (len(national) == 11 and national[2] == "9")):
        return DEFAULT_COUNTRY, national
    # Nine digits that begin with 9 are a mobile number whose area code was forgotten, not one of 0900.
    return None if number.startswith("9") else _parsed(number, "BR", valid=True)


def _of_brazil(national: str) -> tuple[str, str] | None:
    # No area code begins with 0: it is the prefix of a long-distance call.
    national = national.removeprefix("0")
    if len(national) in (10, 11):
        return DEFAULT_COUNTRY, national
    # Numbers without an area code, such as 0800 and 4004, and calls by way of a carrier.
    return _parsed(national, "BR", valid=True)


def _national(number: str, code: str, country: Any) -> tuple[str, str] | None:
    import phonenumbers

    home = phonenumbers.region_code_for_country_code(int(code))
    if home == "ZZ":
        raise _no_calling_code(country)
    if home == "001":
        return _parsed(f"+{code}{number}", None)
    # Some write a prefix of long-distance calls where their country has none.
    return _parsed(number, home) or _parsed(number.removeprefix("0"), home)


# The same number is written, compared and asked for its zone, one after the other.
@lru_cache(maxsize=1024)
def _parsed(text: str, home: str | None, *, valid: bool = False) -> tuple[str, str] | None:
    """
    Split a number by the rules of its country.

    Possible, by its length, is enough unless it has to be ``valid``: numbering plans grow before any library knows. A
    number that lacks its area code is possible nowhere.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(text, home)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not (possible and not valid) and not phonenumbers.is_valid_number(number):
        return None
    return str(number.country_code), phonenumbers.national_significant_number(number)


def _number(code: str, national: str) -> PhoneNumber:
    import phonenumbers

    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        country_code=int(code),
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def _no_calling_code(country: Any) -> WtsChatArgumentError:
    return WtsChatArgumentError("phone_country", f"{country!r} is no calling code such as '55'")


def _no_phone(name: str, value: Any) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        name,
        f"{shown(value)} (digits shown as 9) is no phone number. "
        "Give it with area code, such as '(11) 90000-0001', or with country code, such as '+55 11 90000-0001'",
    )


def _no_brazilian_mobile(name: str, value: Any) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        name,
        f"{shown(value)} (digits shown as 9) is no phone number of Brazil, where a number of 11 digits has a 9 after "
        "its area code. Write a number of another country with a plus, such as '+1 202 555 0100'",
    )
