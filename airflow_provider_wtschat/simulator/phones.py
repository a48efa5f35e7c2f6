"""Phone numbers as the account stores them."""

from __future__ import annotations

import re

# Enough to split the numbers of the account's neighbours; everything else counts as Brazilian.
_CALLING_CODES = ("351", "595", "598", "591", "55", "54", "56", "57", "51", "52", "34", "39", "44", "49", "1")


def stored_phone(text: str) -> str | None:
    """Return a phone as the API stores it, e.g. ``+55|11900000001``; None if the text is no phone."""
    country, bar, national = text.strip().partition("|")
    digits = _digits(text)
    if re.search(r"[^\d\s()+|.\-/]", text) or not 8 <= len(digits) <= 15:
        return None
    if bar:
        return f"+{_digits(country)}|{_digits(national)}"
    # Ten or eleven digits are a national number, whatever they start with: 55 is an area code too.
    if len(digits) <= 11 and not text.strip().startswith("+"):
        return f"+55|{digits}"
    for code in _CALLING_CODES:
        if digits.startswith(code):
            return f"+{code}|{digits[len(code) :]}"
    return f"+{digits[:2]}|{digits[2:]}"


def formatted_phone(stored: str | None) -> str | None:
    """Return a stored phone as people read it, e.g. ``(11) 90000-0001``."""
    if stored is None:
        return None
    country, _, national = stored.partition("|")
    if country == "+55" and len(national) in (10, 11):
        return f"({national[:2]}) {national[2:-4]}-{national[-4:]}"
    return f"{country} {national}"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
