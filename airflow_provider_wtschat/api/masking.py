"""Showing values in errors, which are logged, without showing what they say about a person."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from datetime import date
from numbers import Number
from typing import Any

_LONGEST_WORD = 60
_LONGEST_TERM = 20
_WORD = re.compile(r"[^\s'\"{}\[\]]*")
# Ids and dates are tried first, because many of them would pass for a phone number.
_PIECES = re.compile(
    r"(?P<keep>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<!\d)\d{4}(?P<a>[-/.])\d\d?(?P=a)\d\d?(?!\d)(?:[T ][\d:.]+)?"
    r"|(?<!\d)\d\d?(?P<b>[-/.])\d\d?(?P=b)\d{4}(?![\d-])(?: [\d:]+)?)"
    r"|(?<![\w-])\(?\+?\(?\d(?:[\s().|/-]*\d){7,}",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """Write the digits of everything that could be a phone number as 9; ids and dates in the text stay."""
    return _PIECES.sub(lambda found: found[0] if found["keep"] else re.sub(r"\d", "9", found[0]), text)


def shown(value: Any, *, personal: bool = True) -> str:
    """
    Describe a refused value: words, numbers and dates as they are, everything longer by its kind and size.

    :param personal: whether it may say something about a person, so that of two words only the length is shown
    """
    if isinstance(value, str):
        date_like = masked(value) == value and not re.search(r"[^\W\d_]{2}", value)
        brief = len(value) <= _LONGEST_WORD and (date_like or _WORD.fullmatch(value.strip()))
        brief = brief or (not personal and len(value) <= _LONGEST_TERM)
        return repr(masked(value)) if brief else f"a text of {len(value)} characters"
    if value is None or isinstance(value, (Number, date)):
        return masked(repr(value))
    if isinstance(value, (Mapping, Sized)):
        return f"a {type(value).__name__} of {len(value)} items"
    return f"a value of type {type(value).__name__}"
