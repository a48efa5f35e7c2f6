"""
One set of strict converters for everything that reaches the API.

Airflow renders templates to text, so ``"None"``, ``"False"`` and ``"['A', 'B']"`` arrive where a value was meant.
Each converter takes the name of the argument and raises ``WtsChatArgumentError`` with it for what it refuses; ``None``
means "not given" and stays ``None``.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Number
from typing import Any, NoReturn, TypedDict, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from airflow_provider_wtschat.api import instants, phones
from airflow_provider_wtschat.api.masking import shown
from airflow_provider_wtschat.api.types import OrderDirection
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

E = TypeVar("E", bound=Enum)
V = TypeVar("V")
C = TypeVar("C", list[str] | None, dict[str, Any] | None)


class Order(TypedDict):
    """The caller's own order of a list."""

    order_by: str | None
    order_direction: str | None


MAX_BATCH = 100
_NOTHING = frozenset({"", "none", "null", "undefined", "nan", "nat"})
# People are called so; nothing renders to a value that is written like a name.
_PEOPLE = frozenset({"Nan", "Nat", "Null"})
_HALF = re.compile("[\ud800-\udfff]")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def refuse(name: str, value: Any, wanted: str, *, personal: bool = True) -> NoReturn:
    """Refuse a value, saying what is ``wanted`` instead; one that may say something about a person is not quoted."""
    msg = f"{shown(value, personal=personal)} was given; {wanted}"
    # Without its cause: what a conversion says quotes the value.
    raise WtsChatArgumentError(name, msg) from None


def is_nothing(value: Any) -> bool:
    """Return whether a value is what a template renders where there was nothing."""
    if not isinstance(value, str):
        return value is None
    word = value.strip()
    return word.lower() in _NOTHING and word not in _PEOPLE


def text(name: str, value: Any, *, max_length: int | None = None) -> str | None:
    """Convert a text that says something: text or number, but not blank, nor ``None``, ``null`` or ``undefined``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, Number, UUID)):
        refuse(name, value, "a text is wanted")
    result = str(value)
    if is_nothing(result):
        refuse(name, value, "a text is wanted. Did a template render to nothing?")
    if not result.isascii() and _HALF.search(result):
        refuse(name, value, "it ends within a character, as an emoji that was cut in half; cut it elsewhere")
    if max_length is not None and len(result) > max_length:
        msg = f"{len(result)} characters were given; at most {max_length} are allowed"
        raise WtsChatArgumentError(name, msg)
    return result


def required(name: str, value: V | None) -> V:
    """Refuse an argument that was not given."""
    if value is None:
        msg = "is required, but nothing was given"
        raise WtsChatArgumentError(name, msg)
    return value


def required_text(name: str, value: Any) -> str:
    """Convert a text without which there is no request."""
    return required(name, text(name, required(name, value)))


def identifier(name: str, value: Any) -> str:
    """Convert an id that the contract does not call a UUID."""
    result = required_text(name, value).strip()
    if result in (".", ".."):
        # In a path these are steps, not names: the request would go to another operation.
        refuse(name, value, "an id is wanted")
    return result


def uuid(name: str, value: Any) -> str | None:
    """Convert an id that the contract calls a UUID."""
    if value is None:
        return None
    result = str(value).strip().lower()
    if not _UUID.fullmatch(result):
        hint = " Did a template render to nothing?" if is_nothing(value) else ""
        refuse(name, value, f"an id such as '0b1c2d3e-0000-4000-8000-000000000001' is wanted.{hint}")
    return result


def required_uuid(name: str, value: Any) -> str:
    """
    Convert an id without which there is no request.

    :raises WtsChatArgumentError: if it is not given or no UUID
    """
    return required(name, uuid(name, required(name, value)))


def only_id(value: str | None) -> str | None:
    """Keep a value that is an id, where a name would do as well."""
    return value if value is not None and _UUID.fullmatch(value.strip().lower()) else None


def boolean(name: str, value: Any) -> bool | None:
    """Convert a truth value: a bool, or true/false/1/0/yes/no in any case."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    refuse(name, value, "true or false is wanted")


def integer(name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None) -> int | None:
    """Convert a whole number, in text too."""
    result = number(name, value, minimum=minimum, maximum=maximum)
    if result is None:
        return None
    if result != int(result):
        refuse(name, value, "a whole number is wanted")
    return int(result)


def number(name: str, value: Any, *, minimum: float | None = None, maximum: float | None = None) -> float | int | None:
    """Convert a number, in text too."""
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, (str, Number)) or "_" in str(value):
            raise ValueError
        # By way of text, which numbers of other libraries (Decimal, numpy) have in common.
        result = int(str(value)) if re.fullmatch(r"\s*[+-]?\d+\s*", str(value)) else float(str(value))
        if not math.isfinite(result):
            raise ValueError
    except ValueError:
        refuse(name, value, "a number is wanted")
    if (minimum is not None and result < minimum) or (maximum is not None and result > maximum):
        low = "" if minimum is None else f" from {minimum}"
        high = "" if maximum is None else f" to {maximum}"
        refuse(name, value, f"a number{low}{high} is wanted")
    return result


def choice(name: str, value: Any, allowed: type[E], *, never: Iterable[E] = ()) -> str | None:
    """
    Convert one of the values that the contract lists.

    :param value: the value, in any case; ``NONE`` and ``UNDEFINED``, where listed, in capitals only
    :param never: values of the contract that are not valid here
    :raises WtsChatArgumentError: if it is not one of them; the error shows them
    """
    if value is None:
        return None
    if isinstance(value, Enum):
        value = value.value
    excluded = {member.value for member in never}
    values = [str(member.value) for member in allowed if member.value not in excluded]
    found = next((known for known in values if known.lower() == str(value).strip().lower()), None)
    # A template that renders to nothing renders to "None"; the contract's own value is "NONE".
    if found is None or (is_nothing(value) and found != value.strip()):
        refuse(name, value, f"one of {', '.join(values)} is wanted", personal=False)
    return found


def listing(name: str, value: Any) -> list[Any] | None:
    """
    Convert a list.

    :param value: list, tuple, set or other iterable; JSON or Python text of one; or a single value
    :raises WtsChatArgumentError: if it is a mapping, or text that stands for nothing
    """
    if value is None:
        return None
    if isinstance(value, str):
        if is_nothing(value):
            refuse(name, value, "a list is wanted. Did a template render to nothing?")
        parsed = _parsed(value) if value.strip()[:1] in ("[", "(", "{") else value
        value = [value] if isinstance(parsed, str) else parsed
    if isinstance(value, Mapping):
        refuse(name, value, "a list is wanted")
    if isinstance(value, (set, frozenset)):
        # The same arguments are the same request, whatever order a set happens to have.
        return sorted(value, key=str)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    return [value]


def list_of(name: str, value: Any, convert: Callable[[str, Any], V | None]) -> list[V] | None:
    """Convert a list, see :func:`listing`, and convert each of its items; an error names the item."""
    items = listing(name, value)
    if items is None:
        return None
    return [required(f"{name}[{i}]", convert(f"{name}[{i}]", item)) for i, item in enumerate(items)]


def uuids(name: str, value: Any) -> list[str] | None:
    """Convert a list of ids, see :func:`listing`."""
    return list_of(name, value, uuid)


def texts(name: str, value: Any) -> list[str] | None:
    """Convert a list of texts, see :func:`listing`."""
    return list_of(name, value, text)


def choices(name: str, value: Any, allowed: type[E], *, never: Iterable[E] = ()) -> list[str] | None:
    """
    Convert a list of values that the contract lists.

    :param value: as :func:`listing` takes it
    :param never: values of the contract that are not valid here
    :raises WtsChatArgumentError: naming the item, with the values allowed
    """
    excluded = tuple(never)
    if isinstance(value, str) and is_nothing(value):
        value = [value]
    return list_of(name, value, lambda item_name, item: choice(item_name, item, allowed, never=excluded))


def mapping(name: str, value: Any) -> dict[str, Any] | None:
    """Convert a mapping, or JSON or Python text of one."""
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, (dict, Mapping)):  # to ask an abstract class alone takes ten times as long
        refuse(name, value, "a mapping such as {'key': 'value'} is wanted")
    return {str(key): item for key, item in value.items()}


def texts_by_key(name: str, value: Any) -> dict[str, str] | None:
    """
    Convert a filter by keys and their values.

    :param value: mapping, or JSON or Python text of one; a value is a text, number or truth value
    :raises WtsChatArgumentError: if it is empty, or a value is nothing
    """
    pairs = some(name, mapping(name, value))
    if pairs is None:
        return None
    texts = {key: _query_text(item) if isinstance(item, bool) else item for key, item in pairs.items()}
    return {key: required_text(f"{name}[{key!r}]", item) for key, item in texts.items()}


def instant(name: str, value: Any, zone: str = "UTC") -> str | None:
    """Convert an instant, see :func:`airflow_provider_wtschat.api.instants.parse`, and write it as the API takes it."""
    return None if value is None else instants.write(instants.parse(name, value, zone))


def seconds(name: str, value: Any) -> float | None:
    """Convert a duration that is not negative: seconds, in text too, or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return number(name, value, minimum=0)


def url(name: str, value: Any) -> str | None:
    """
    Convert an http(s) URL.

    :raises WtsChatArgumentError: if it is not one
    """
    if value is None:
        return None
    result = required_text(name, value).strip()
    pieces = urlsplit(result)
    if pieces.scheme not in ("http", "https") or not pieces.netloc:
        refuse(name, value, "a URL that begins with https:// or http:// is wanted")
    return result


def email(name: str, value: Any, *, max_length: int | None = None) -> str | None:
    """
    Convert an e-mail address.

    :raises WtsChatArgumentError: if it is not one
    """
    result = text(name, value, max_length=max_length)
    if result is not None and not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", result.strip()):
        refuse(name, value, "an e-mail address such as 'maria@example.com' is wanted")
    return result and result.strip()


def phone(name: str, value: Any, country: str = phones.DEFAULT_COUNTRY) -> str | None:
    """Convert a phone number and write it as digits with its country code."""
    return None if value is None else phones.digits(name, value, country)


def address(
    name: str, value: Any, country: str = phones.DEFAULT_COUNTRY, *, ids: bool = False, users: bool = False
) -> str | None:
    """
    Convert a phone number, or what the API takes in its place.

    :param value: any spelling of the number, or one of the two below
    :param country: calling code of a number written without one. Default: 55 (Brazil)
    :param ids: whether an id will do
    :param users: whether an Instagram user such as ``@company`` will do
    :raises WtsChatArgumentError: if it is neither
    """
    if value is None:
        return None
    result = str(value).strip()
    if ids and _UUID.fullmatch(result.lower()):
        return result.lower()
    if users and re.fullmatch(r"@[\w.]+", result):
        return result
    return phones.digits(name, value, country)


def file(name: str, value: Any) -> str | None:
    """Convert a file in either of the API's ways to name one: its public URL, or the id of an uploaded file."""
    if value is None:
        return None
    result = str(value).strip()
    return uuid(name, value) if _UUID.fullmatch(result.lower()) else url(name, result)


def rows(name: str, value: Any, allowed: Collection[str]) -> list[dict[str, Any]] | None:
    """
    Convert a list of mappings.

    :param value: list of mappings, text of one, or a single mapping
    :param allowed: keys that a mapping may have; ``None`` in one means "not given"
    :raises WtsChatArgumentError: if an item is not a mapping, or has another key
    """
    parsed = _parsed(value) if isinstance(value, str) else value
    items = listing(name, [parsed] if isinstance(parsed, Mapping) else parsed)
    if items is None:
        return None
    found = [required(f"{name}[{i}]", mapping(f"{name}[{i}]", item)) for i, item in enumerate(items)]
    for i, row in enumerate(found):
        unknown = next((key for key in row if key not in allowed), None)
        if unknown is not None:
            refuse(f"{name}[{i}]", unknown, f"an item has any of {', '.join(allowed)}")
    return found


def batch(name: str, value: Any, allowed: Collection[str], *, maximum: int = MAX_BATCH) -> list[dict[str, Any]]:
    """
    Convert the items of a request that does many things at once.

    :param value: as :func:`rows` takes it
    :param allowed: keys that an item may have; ``None`` in one means "not given"
    :param maximum: most items that one request takes. Default: 100
    :raises WtsChatArgumentError: if none or too many are given, or an item has another key
    """
    items = required(name, rows(name, value, allowed))
    if not 1 <= len(items) <= maximum:
        msg = f"{len(items)} items were given; one request takes 1 to {maximum}"
        raise WtsChatArgumentError(name, msg)
    return items


def given(**values: Any) -> dict[str, Any]:
    """Keep what was given: the arguments that are not ``None``."""
    return {name: value for name, value in values.items() if value is not None}


def some(name: str, value: C) -> C:
    """Refuse a filter that is a list or mapping without items: it would not filter."""
    if value is not None and not value:
        msg = "an empty filter was given, with which the API answers the whole account; leave it out"
        raise WtsChatArgumentError(name, msg)
    return value


def filters(**values: Any) -> dict[str, Collection[str]]:
    """
    Say what rows look like that fit the filters of a list.

    :param values: what was asked for, by the field of a row; ``None`` for no filter, and a mapping for one by key
    """
    held: dict[str, Collection[str]] = {}
    for name, value in given(**values).items():
        if isinstance(value, Mapping):
            held |= {f"{name}.{key}": (str(item),) for key, item in value.items()}
        else:
            held[name] = tuple(value) if isinstance(value, list) else (_query_text(value),)
    return held


def query(**values: Any) -> tuple[tuple[str, str], ...]:
    """
    Build query parameters: ``None`` is left out, a list repeats its name, a mapping becomes ``Name[key]``.

    :param values: values by the contract's names; a ``.`` in a name is written ``__``
    """
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = key.replace("__", ".")
        if value is None:
            continue
        if isinstance(value, list):
            pairs.extend((name, _query_text(item)) for item in value)
        elif isinstance(value, dict):
            pairs.extend((f"{name}[{inner}]", _query_text(item)) for inner, item in value.items())
        else:
            pairs.append((name, _query_text(value)))
    return tuple(pairs)


def window(name: str, after: Any, before: Any, zone: str = "UTC", *, argument: str) -> dict[str, str | None]:
    """
    Build the two bounds of a date filter for :func:`query`.

    :param name: the contract's name, such as ``CreatedAt``
    :param argument: stem of the arguments' names for the error
    :raises WtsChatArgumentError: if a bound is not an instant, or ``after`` is later than ``before``
    """
    first, last = f"{argument}_after", f"{argument}_before"
    low, high = instant(first, after, zone), instant(last, before, zone)
    if low is not None and high is not None and low > high:
        raise WtsChatArgumentError(first, f"{low} is later than {last}, {high}")
    return {f"{name}__After": low, f"{name}__Before": high}


def period(
    created_after: Any, created_before: Any, updated_after: Any, updated_before: Any, zone: str = "UTC"
) -> tuple[tuple[str, str], ...]:
    """Build the query of the date filters that nearly every list has."""
    return query(
        **window("CreatedAt", created_after, created_before, zone, argument="created"),
        **window("UpdatedAt", updated_after, updated_before, zone, argument="updated"),
    )


def order(order_by: Any, order_direction: Any) -> Order:
    """Convert the caller's order to fields of a :class:`~airflow_provider_wtschat.api.request.PagedRequest`."""
    return {
        "order_by": text("order_by", order_by),
        "order_direction": choice("order_direction", order_direction, OrderDirection),
    }


def listed(
    *,
    created_after: Any = None,
    created_before: Any = None,
    updated_after: Any = None,
    updated_before: Any = None,
    timezone: str = "UTC",
    order_by: Any = None,
    order_direction: Any = None,
) -> tuple[tuple[tuple[str, str], ...], Order]:
    """Convert what nearly every list takes: its :func:`period`, and its :func:`order`."""
    return period(created_after, created_before, updated_after, updated_before, timezone), order(
        order_by, order_direction
    )


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(value: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def one_line(value: str, limit: int = 1024) -> str:
    """
    Flatten a text to what WhatsApp takes as a template parameter: one line, no runs of spaces, no longer than allowed.

    :param limit: longest text WhatsApp takes. Default: 1024 characters
    """
    flat = " ".join(value.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "\u2026"


def template_parameters(name: str, value: Any) -> dict[str, str] | None:
    """
    Convert the parameters of a template.

    :param value: mapping of a parameter's name to its value, or a list for parameters named 1, 2, 3...; text of either
    :return: the mapping, each value flattened to one line and cut to what WhatsApp takes
    :raises WtsChatArgumentError: if it is neither, or a value is empty, which WhatsApp refuses
    """
    if value is None:
        return None
    parsed = _parsed(value) if isinstance(value, str) else value
    if not isinstance(parsed, (str, dict, Mapping)) and isinstance(parsed, Iterable):
        parsed = {str(position): item for position, item in enumerate(parsed, start=1)}
    if not isinstance(parsed, (dict, Mapping)):
        refuse(name, value, "a mapping of names to values, or a list of values, is wanted")
    values = mapping(name, parsed) or {}
    return {key: template_parameter(f"{name}[{key!r}]", item) for key, item in values.items()}


def template_parameter(name: str, value: Any) -> str:
    """Convert the value of one parameter of a template, see :func:`template_parameters`."""
    return one_line(required_text(name, value))


def pascal(name: str) -> str:
    """Write a body property, such as ``departmentId``, as a field mask names it."""
    return name[:1].upper() + name[1:]


def not_both(first: str, one: Any, second: str, other: Any) -> None:
    """
    Refuse two arguments of which the API would silently ignore one.

    :raises WtsChatArgumentError: if both were given
    """
    if one is not None and other is not None:
        argument = f"{first}, {second}"
        msg = "both were given, of which the API ignores one; give one of them"
        raise WtsChatArgumentError(argument, msg)


def changes(
    values: Mapping[str, Any],
    clear: Any,
    clearable: Mapping[str, str],
    *,
    masks: Mapping[str, str] | None = None,
    left_out: Iterable[str] = (),
    flags: Iterable[str] = (),
    argument: str = "clear",
) -> dict[str, Any]:
    """
    Build the body of an update that changes only the fields named in a mask.

    :param clear: names of arguments to empty, as :func:`listing` takes them
    :param clearable: body property by argument name, for what can be emptied
    :param masks: names in the mask of the properties that are not named there as in the body
    :param left_out: properties that the contract does not let be null; named in the mask and left out they are null too
    :param flags: names in the mask that stand for a value by themselves
    :param argument: what to name in the error where nothing is to change
    :return: values, nulls and the mask
    :raises WtsChatArgumentError: if a name is not clearable, or is set as well, or nothing is to change
    """
    arguments = texts("clear", clear) or []
    for name in arguments:
        if name not in clearable:
            refuse("clear", name, f"any of {', '.join(clearable)} are wanted", personal=False)
        if clearable[name] in values:
            raise WtsChatArgumentError(name, "is both set and named in clear; do one of the two")
    emptied = list(dict.fromkeys(clearable[name] for name in arguments))
    named = {name: (masks or {}).get(name, pascal(name)) for name in (*values, *clearable.values())}
    taken = {named[name] for name in values}
    for name in emptied:
        if named[name] in taken:
            twins = [argument for argument, body_name in clearable.items() if named[body_name] == named[name]]
            msg = f"{' or '.join(twins)} is both set and cleared; do one of the two"
            raise WtsChatArgumentError("clear", msg)
    fields = list(dict.fromkeys([*(named[name] for name in (*values, *emptied)), *flags]))
    if not fields:
        msg = "nothing to update; give at least one field a new value"
        raise WtsChatArgumentError(argument, msg + (", or name one to empty in clear" if clearable else ""))
    kept = set(left_out)
    return {**values, **{name: None for name in emptied if name not in kept}, "fields": fields}


def plain(name: str, value: Any) -> Any:
    """
    Convert any value that has a JSON form, and give it that form.

    :param value: None, bool, number (Decimal too), text, date, time, datetime, UUID, enum, or a list or mapping of such
    :return: the value in JSON; a datetime with a zone in UTC, dates and times without one as they are
    :raises WtsChatArgumentError: if a value has no JSON form
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(name, value.value)
    if isinstance(value, (str, UUID)):
        if not (text := str(value)).isascii() and _HALF.search(text):
            refuse(name, value, "it ends within a character, as an emoji that was cut in half; cut it elsewhere")
        return text
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, (int, float)):
        return number(name, value)
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else instants.write(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(f"{name}[{i}]", item) for i, item in enumerate(value)]
    refuse(name, value, "a value that has a JSON form is wanted")


def json_mapping(name: str, value: Any) -> dict[str, Any] | None:
    """Convert a mapping of free keys to values that have a JSON form, or JSON or Python text of one."""
    given_mapping = mapping(name, value)
    return None if given_mapping is None else {key: plain(f"{name}[{key!r}]", v) for key, v in given_mapping.items()}
