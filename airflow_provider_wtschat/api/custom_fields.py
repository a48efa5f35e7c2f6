"""Custom fields: their definitions, and the values that they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import CustomField, CustomFieldEntity, CustomFieldType

__all__ = ["decode", "encode", "list_", "list_for_contacts"]


def list_(*, entity_type: str | None = None, nested_list: bool | None = None) -> Request[list[CustomField]]:
    """
    List the definitions of custom fields: ``GET /core/v1/custom-field``.

    The fields of one panel lists :func:`airflow_provider_wtschat.api.panels.list_custom_fields`.

    :param entity_type: ``CONTACT`` or ``PANEL``. Default of the API: ``CONTACT``
    :param nested_list: put fields inside their groups. Default of the API: false, groups and fields in one list
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/core/v1/custom-field",
        list[CustomField],
        EntityType=convert.choice("entity_type", entity_type, CustomFieldEntity),
        NestedList=convert.boolean("nested_list", nested_list),
    )


def list_for_contacts(*, nested_list: bool | None = None) -> Request[list[CustomField]]:
    """
    List the definitions of the custom fields of contacts: ``GET /core/v1/contact/custom-field``.

    :param nested_list: put fields inside their groups. Default of the API: false, groups and fields in one list
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/core/v1/contact/custom-field", list[CustomField], NestedList=convert.boolean("nested_list", nested_list)
    )


def encode(
    definitions: Iterable[CustomField] | None,
    values: Mapping[str, Any] | str | None,
    *,
    timezone: str = "UTC",
) -> dict[str, Any] | None:
    """
    Turn values into what the API takes.

    The API ignores unknown keys and values of the wrong type without an error, so with the definitions at hand every
    value is held against them. Without definitions values only get their JSON form.

    :param definitions: answer of :func:`list_`, :func:`list_for_contacts` or
        :func:`airflow_provider_wtschat.api.panels.list_custom_fields`, nested or not; ``None`` for none
    :param values: value by the field's key; ``None`` as a value empties the field. Dates and times have no zone; an
        option is named by its name or id
    :param timezone: IANA time zone of a ``DATETIME`` value that has none. Default: UTC
    :return: the values in JSON; ``None`` if nothing was given
    :raises WtsChatArgumentError: if a key or an option is unknown or a value impossible; the error shows the candidates
    """
    given = convert.mapping("custom_fields", values)
    if given is None:
        return None
    if definitions is None:
        return {key: _said(_name(key), value) for key, value in given.items()}
    known = _by_key(definitions)
    encoded: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            candidates = ", ".join(f"{k} ({d.get('name')})" for k, d in known.items()) or "none"
            convert.refuse("custom_fields", key, f"the key of a field is wanted; there are: {candidates}")
        encoded[key] = None if value is None else _encoded(_name(key), known[key], value, timezone)
    return encoded


def decode(definitions: Iterable[CustomField], values: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Turn values that the API sent into Python values.

    A value that does not fit its field, and one of an unknown field, stay as they came.

    :param definitions: definitions of the fields, as :func:`encode` takes them
    :param values: ``customFields`` of a contact or a card
    :return: value by key: int, float, bool, date, time, datetime (UTC), text, or a list of texts for ``MULTISELECT``
    """
    known = _by_key(definitions)
    return {key: _decoded(known.get(key), value) for key, value in (values or {}).items()}


def _name(key: str) -> str:
    return f"custom_fields[{key!r}]"


def _by_key(definitions: Iterable[CustomField]) -> dict[str, CustomField]:
    found: dict[str, CustomField] = {}
    for definition in definitions:
        key = definition.get("key")
        if key and definition.get("type") != CustomFieldType.GROUP:
            found[key] = definition
        found.update(_by_key(definition.get("children") or ()))
    return found


def _said(name: str, value: Any) -> Any:
    if isinstance(value, str) and convert.is_nothing(value):
        wanted = "a value is wanted, or None to empty the field. Did a template render to nothing?"
        convert.refuse(name, value, wanted)
    return convert.plain(name, value)


def _encoded(name: str, definition: CustomField, value: Any, timezone: str) -> Any:
    kind = definition.get("type")
    if kind == CustomFieldType.MULTISELECT:
        items = convert.listing(name, value) or []
        return list(dict.fromkeys(_option(f"{name}[{i}]", definition, item) for i, item in enumerate(items)))
    if kind == CustomFieldType.SINGLESELECT:
        return _option(name, definition, _single(value))
    writer = _WRITERS.get(kind or "")
    if definition.get("isValueRange") and isinstance(value, (list, tuple)):
        return [_encoded(f"{name}[{i}]", {**definition, "isValueRange": False}, v, timezone)
                for i, v in enumerate(value)]  # fmt: skip
    if kind == CustomFieldType.DATETIME:
        single = _single(value)
        # What the API sent is in UTC, whatever the caller's zone is.
        return convert.instant(name, single, "UTC" if _is_of_the_api(single) else timezone)
    # A type that came after this was written is the API's to judge.
    return _said(name, value) if writer is None else writer(name, _single(value))


def _single(value: Any) -> Any:
    # The API itself sends values of contacts as lists of one; what was read must be fit to be written.
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _option(name: str, definition: CustomField, value: Any) -> str:
    options = definition.get("options") or []
    for option in options:
        if value is not None and str(value) in (option.get("name"), option.get("id")):
            return str(option.get("name"))
    names = ", ".join(repr(option.get("name")) for option in options) or "none"
    convert.refuse(name, value, f"one of the field's options is wanted; there are: {names}")


def _text(name: str, value: Any) -> str | None:
    return convert.text(name, str(value) if isinstance(value, (Decimal, date, time)) else value)


def _is_of_the_api(value: Any) -> bool:
    """Return whether it is an instant as the API writes it and no user does: seven or eight digits of a second."""
    return isinstance(value, str) and re.fullmatch(r"\s*[\d/-]{10}T[\d:]{8}\.\d{7,8}Z?\s*", value) is not None


def _date(name: str, value: Any) -> str:
    moment: date | None = value if isinstance(value, date) else None
    if isinstance(value, str):
        try:
            if _is_of_the_api(value):
                return _read_date(value).isoformat()
            moment = datetime.fromisoformat(_dashed(value))
        except ValueError:
            convert.refuse(name, value, "a date such as '2026-09-01' is wanted")
    if moment is None:
        convert.refuse(name, value, "a date such as '2026-09-01' is wanted")
    if not isinstance(moment, datetime):
        return moment.isoformat()
    if moment.time() != time():
        # Which day an instant lies on depends on the zone, and the field has none.
        convert.refuse(name, str(value), "a date without a time of day is wanted, such as '2026-09-01'")
    return moment.date().isoformat()


def _time(name: str, value: Any) -> str:
    moment = value if isinstance(value, time) else None
    if isinstance(value, str):
        try:
            moment = time.fromisoformat(value.strip())
        except ValueError:
            convert.refuse(name, value, "a time of day such as '08:30' is wanted")
    if moment is None or moment.tzinfo is not None:
        convert.refuse(name, value, "a time of day without a zone is wanted, such as '08:30'")
    return moment.isoformat(timespec="seconds")


_WRITERS: Mapping[str, Callable[[str, Any], Any]] = {
    CustomFieldType.STRING: _text,
    CustomFieldType.TEXT: _text,
    CustomFieldType.INTEGER: convert.integer,
    CustomFieldType.FLOAT: convert.number,
    CustomFieldType.BOOLEAN: convert.boolean,
    CustomFieldType.DATE: _date,
    CustomFieldType.TIME: _time,
}


def _decoded(definition: CustomField | None, value: Any) -> Any:
    if definition is None or value is None:
        return value
    kind = definition.get("type")
    if kind == CustomFieldType.MULTISELECT:
        return value if isinstance(value, list) else [value]
    if isinstance(value, list) and len(value) != 1:
        return [_decoded(definition, item) for item in value] if definition.get("isValueRange") else value
    single = _single(value)
    reader = _READERS.get(kind or "")
    try:
        return single if reader is None else reader(single)
    except (ValueError, TypeError):
        return single


def _dashed(value: str) -> str:
    """Write ``2006/03/01``, as the API sends some dates, with dashes."""
    return re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", value.strip())


def _read_date(value: Any) -> date:
    # A zone behind it would be no zone of the date's: the day is what it says.
    return date.fromisoformat(re.split("[T ]", _dashed(str(value)))[0])


def _read_instant(value: Any) -> datetime:
    return instants.read(_dashed(str(value)))


_READERS: Mapping[str, Callable[[Any], Any]] = {
    CustomFieldType.INTEGER: lambda value: convert.integer("value", value),
    CustomFieldType.FLOAT: float,
    CustomFieldType.BOOLEAN: lambda value: convert.boolean("value", value),
    CustomFieldType.DATE: _read_date,
    CustomFieldType.TIME: time.fromisoformat,
    CustomFieldType.DATETIME: _read_instant,
}
