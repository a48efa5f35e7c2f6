"""The columns that a resource has as a table, made from the contract's types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from airflow_provider_wtschat.api import types
from airflow_provider_wtschat.extraction import RESOURCES, Kind, find
from airflow_provider_wtschat.sql.dialects import Field
from airflow_provider_wtschat.sql.dialects import Kinds as Kinds


@dataclass(frozen=True)
class Column(Field):
    """
    A column.

    :param name: its name, in snake_case
    :param path: where the value is in a row of the API; empty for what the load itself adds
    :param seconds: whether the value is a text such as ``00:12:30`` that is stored in seconds
    :param told: what it holds, in a sentence, where that is not a field of the API
    """

    path: tuple[str | int, ...] = ()
    seconds: bool = False
    told: str = ""

    @property
    def comment(self) -> str:
        """What the column holds, in a sentence."""
        if self.told:
            return self.told
        if self.name in _COMMENTS and (not self.path or self.seconds):
            return _COMMENTS[self.name]
        path = ".".join(str(name) for name in self.path if isinstance(name, str))
        return f"{path} of the API" if path else _COMMENTS.get(self.name, "id of the row that holds the list")


_COMMENTS = {
    "id": "made of the parent's id and what tells its rows apart",
    "updated_at": "when the row that holds the list had changed last",
    "time_wait_seconds": "timeWait of the API in seconds",
    "time_service_seconds": "timeService of the API in seconds",
    "payload": "the whole row as JSON, without personal data that was left out",
    "hash": "SHA-256 of the payload: it differs if anything does",
    "read_at": "when the row was read, on the server's clock",
    "account": "the account that the row is of",
    "loaded_at": "when the row was written, or marked; incremental models go by it",
    "deleted_at": "since when the account has no such row",
    "missing_since": "since when the row is not among those that are there",
}
"""What the columns hold that the load itself adds."""


@dataclass(frozen=True)
class Child:
    """
    A list inside of the rows of a resource, as a table of its own.

    :param name: what is added to the name of the resource's table
    :param parent: column with the id of the row that it is in
    :param key: columns that tell the rows of one parent apart
    :param columns: all columns that come out of the list
    :param items: takes the list out of a row; ``None`` if the row does not tell
    """

    name: str
    parent: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    items: Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]] | None] = field(compare=False)


@dataclass(frozen=True)
class Table:
    """
    A resource as a table.

    :param columns: columns with values of a row
    :param dimension: whether all rows are read each time, so that those which are gone show
    :param indexes: columns that others join on
    :param parent: for what is read by parent: the column with the id of the parent
    :param child: for a list inside of other rows: what it is
    :param untimed: whether the API does not tell when a row changed last: then it is when this version was read first
    """

    resource: str
    row: type
    columns: tuple[Column, ...]
    dimension: bool = False
    indexes: tuple[str, ...] = ()
    parent: str | None = None
    child: Child | None = None
    untimed: bool = False

    @property
    def loaded(self) -> tuple[Column, ...]:
        """The columns that come with a row: those of the API, then those of the reading."""
        return (*self.columns, PAYLOAD, HASH, READ_AT, ACCOUNT)

    @property
    def mark(self) -> Column:
        """The column that says since when a row is gone."""
        return MISSING_SINCE if self.dimension or self.child else DELETED_AT

    @property
    def stored(self) -> tuple[Column, ...]:
        """All columns of the table in a database."""
        return (*self.loaded, LOADED_AT, self.mark)


PAYLOAD = Column("payload", Kinds.JSON)
HASH = Column("hash", Kinds.HASH)
READ_AT = Column("read_at", Kinds.INSTANT)
ACCOUNT = Column("account", Kinds.TEXT)
LOADED_AT = Column("loaded_at", Kinds.INSTANT)
DELETED_AT = Column("deleted_at", Kinds.INSTANT)
MISSING_SINCE = Column("missing_since", Kinds.INSTANT)

_NESTED = {
    "sessions": ("classification",),
    "cards": ("responsibleUser", "lostReason"),
    "channels": ("identity",),
}
"""Objects inside of a row whose fields become columns; everything else that is nested is in the payload."""

_MONEY = {"cards": ("monetary_amount",), "sessions": ("classification_amount",)}
"""Amounts, which are decimals."""

_UTM = tuple(
    Column(f"utm_{snaked}", Kinds.TEXT, ("utm", name))
    for name, snaked in (
        ("source", "source"), ("sourceId", "source_id"), ("medium", "medium"), ("campaign", "campaign"),
        ("content", "content"), ("headline", "headline"), ("term", "term"), ("clid", "clid"),
        ("referralUrl", "referral_url"),
    )
)  # fmt: skip

_ADDED: dict[str, tuple[Column, ...]] = {
    "sessions": (
        *_UTM,
        Column("time_wait_seconds", Kinds.INTEGER, ("timeWait",), seconds=True),
        Column("time_service_seconds", Kinds.INTEGER, ("timeService",), seconds=True),
    ),
    "contacts": _UTM,
    "messages": (
        *(Column(column.name, column.kind, ("details", *column.path)) for column in _UTM),
        Column("transcription", Kinds.TEXT, ("details", "transcription", "text")),
        Column("template_category_id", Kinds.ID, ("details", "templateCategoryId")),
        Column("template_category_name", Kinds.TEXT, ("details", "templateCategoryName")),
        Column("error_key", Kinds.TEXT, ("details", "errors", 0, "key")),
        Column("error_text", Kinds.TEXT, ("details", "errors", 0, "text")),
        Column("file_name", Kinds.TEXT, ("details", "file", "name")),
        Column("file_type", Kinds.TEXT, ("details", "file", "type")),
        Column("file_mime_type", Kinds.TEXT, ("details", "file", "mimeType")),
        Column("file_size", Kinds.INTEGER, ("details", "file", "size")),
        Column("file_url", Kinds.TEXT, ("details", "file", "publicUrl")),
    ),
}
"""Values that lie deeper in a row."""

_TIMES = ("created_at", "updated_at", "loaded_at")
_INDEXES = {
    "sessions": (*_TIMES, "contact_id", "department_id", "user_id"),
    "contacts": (*_TIMES,),
    "cards": (*_TIMES, "panel_id", "session_id"),
    "agents": ("user_id",),
    "messages": (*_TIMES, "session_id"),
    "session_notes": (*_TIMES, "session_id"),
    "card_notes": (*_TIMES, "card_id"),
    "sequence_contacts": ("loaded_at", "sequence_id", "contact_id"),
    "portfolio_contacts": ("loaded_at", "portfolio_id", "contact_id"),
    "scheduled_messages": ("loaded_at", "contact_id"),
    "lost_reasons": ("panel_id",),
    "templates": ("channel_id",),
}


def _ids(name: str, column: str) -> Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]] | None]:
    def items(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]] | None:
        return None if name not in row else [{column: value} for value in row[name] or ()]

    return items


def _rows(name: str) -> Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]] | None]:
    def items(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]] | None:
        return None if name not in row else [item for item in row[name] or () if isinstance(item, Mapping)]

    return items


def _custom_fields(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]] | None:
    if "customFields" not in row:
        return None
    fields = row["customFields"]
    if not isinstance(fields, Mapping):
        return []
    # A list of one is how some fields of contacts come.
    single = {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in fields.items()}
    return [
        {"key": key, "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
        for key, value in single.items()
        if value is not None
    ]


def _files(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]] | None:
    details = row.get("details")
    told = details if isinstance(details, Mapping) else {}
    files = [*(told.get("files") or ()), told.get("file")]
    found = {file["id"]: file for file in files if isinstance(file, Mapping) and isinstance(file.get("id"), str)}
    ids = [*(row.get("filesIds") or ()), row.get("fileId"), *found]
    return [found.get(file_id, {"id": file_id}) for file_id in dict.fromkeys(ids) if isinstance(file_id, str)]


def _child(
    name: str,
    parent: str,
    key: tuple[Column, ...],
    items: Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]] | None],
    *columns: Column,
) -> Child:
    return Child(name, parent, tuple(column.name for column in key), (*key, *columns), items)


_FIELD = Column("key", Kinds.TEXT, ("key",)), Column("value", Kinds.TEXT, ("value",))
_TAG = Column("tag_id", Kinds.ID, ("tag_id",))
_CONTACT = Column("contact_id", Kinds.ID, ("contact_id",))
_MEMBER = (
    Column("is_agent", Kinds.BOOLEAN, ("isAgent",)),
    Column("is_supervisor", Kinds.BOOLEAN, ("isSupervisor",)),
)

CHILDREN: dict[str, tuple[Child, ...]] = {
    "contacts": (
        _child("tags", "contact_id", (_TAG,), _ids("tagIds", "tag_id")),
        _child("custom_fields", "contact_id", _FIELD[:1], _custom_fields, _FIELD[1]),
    ),
    "cards": (
        _child("contacts", "card_id", (_CONTACT,), _ids("contactIds", "contact_id")),
        _child("tags", "card_id", (_TAG,), _ids("tagIds", "tag_id")),
        _child("custom_fields", "card_id", _FIELD[:1], _custom_fields, _FIELD[1]),
    ),
    "agents": (
        _child(
            "departments", "agent_id", (Column("department_id", Kinds.ID, ("departmentId",)),), _rows("departments"),
            Column("user_id", Kinds.ID, ("userId",)), *_MEMBER,
        ),
    ),
    "departments": (
        _child(
            "agents", "department_id", (Column("user_id", Kinds.ID, ("userId",)),), _rows("agents"), *_MEMBER,
        ),
        _child(
            "channels", "department_id", (Column("channel_id", Kinds.ID, ("id",)),), _rows("channels"),
            Column("number", Kinds.TEXT, ("number",)), Column("name", Kinds.TEXT, ("name",)),
            Column("type", Kinds.TEXT, ("type",)),
        ),
    ),
    "messages": (
        _child(
            "files", "message_id", (Column("file_id", Kinds.ID, ("id",)),), _files,
            Column("name", Kinds.TEXT, ("name",)), Column("type", Kinds.TEXT, ("type",)),
            Column("mime_type", Kinds.TEXT, ("mimeType",)), Column("extension", Kinds.TEXT, ("extension",)),
            Column("size", Kinds.INTEGER, ("size",)), Column("url", Kinds.TEXT, ("publicUrl",)),
        ),
    ),
}  # fmt: skip
"""Lists inside of rows that have no rows of their own in the API."""

_MADE = {
    "id": "made of what tells the rows apart; of the company its own, where another row tells it",
    "updated_at": "when this version was read first: the API does not tell when it changed",
    "company_id": "companyId of the API, of the departments or agents",
    "day_id": "days.id of the API",
    "day_week": "days.dayWeek of the API, such as MONDAY",
    "weekday": "the day of the week, 1 for Monday to 7 for Sunday",
    "active": "days.active of the API: whether there are office hours on this day",
    "slot": "number of the period in its day, from 1, by its start",
    "start_time": "days.periods.startTime of the API, such as 09:00; empty for a day without periods",
    "end_time": "days.periods.endTime of the API",
    "start_minute": "start_time in minutes since midnight, local time",
    "end_minute": "end_time in minutes since midnight; 1440 at the end of the day, less than the start across midnight",
    "timezone_diff": "timezoneDiff of the API: hours from UTC to local time",
    "limit_hours": "limitHours of the API: whether office hours count at all",
}
"""What columns hold of rows that the API does not give as such."""

_PARENTS = {"messages": "session_id", "session_notes": "session_id", "card_notes": "card_id"}

PARTS = {"panels": {"panel_steps": "steps"}}
"""Lists inside of a row that are tables of their own: by resource, the field of each."""

_PART_ROWS: dict[str, type] = {"panel_steps": types.PanelStep}
_DIMENSIONS = ("panels", *_PART_ROWS)


@cache
def table(resource: str) -> Table:
    """
    Return the table of a resource.

    :param resource: name of a resource, or of one of :data:`PARTS`
    :raises WtsChatArgumentError: if there is none of that name
    """
    row = _PART_ROWS.get(resource) or find(resource).row
    dimension = resource in _DIMENSIONS or (resource in RESOURCES and RESOURCES[resource].kind is Kind.SNAPSHOT)
    untimed = resource in RESOURCES and RESOURCES[resource].rows is not None
    columns = tuple(_columns(row, resource))
    if untimed:
        columns = tuple(replace(column, told=_MADE.get(column.name, "")) for column in columns)
    return Table(resource, row, columns, dimension, _INDEXES.get(resource, ()), _PARENTS.get(resource), untimed=untimed)


def snake(name: str) -> str:
    """
    Write a field's name as a column's.

    :param name: such as ``createdAt``
    :return: such as ``created_at``
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def child_table(resource: str, child: Child) -> Table:
    """Return the table of a list inside of rows."""
    columns = (
        Column("id", Kinds.HASH),
        Column(child.parent, Kinds.ID),
        *child.columns,
        Column("updated_at", Kinds.INSTANT),
    )
    ids = [column.name for column in columns if column.kind is Kinds.ID]
    name = f"{resource.removesuffix('s')}_{child.name}"
    return Table(name, dict, columns, indexes=(*ids, "loaded_at"), parent=child.parent, child=child)


@cache
def fields(row: type) -> dict[str, Any]:
    """
    Return the fields of a type of the contract, without ``None``.

    :param row: a TypedDict of :mod:`airflow_provider_wtschat.api.types`
    :return: the type of each field, its annotations kept
    """
    return {name: present(kind) for name, kind in get_type_hints(row, include_extras=True).items()}


def present(kind: Any) -> Any:
    """
    Remove ``None`` from a type.

    :param kind: such as ``str | None``
    """
    if get_origin(kind) in (Union, UnionType):
        return next(option for option in get_args(kind) if option is not NoneType)
    return kind


def _columns(row: type, resource: str) -> list[Column]:
    columns: dict[str, Column] = {}
    nested = _NESTED.get(resource, ())
    for name, kind in fields(row).items():
        inside = fields(kind).items() if name in nested else [("", kind)]
        for inner, inner_kind in inside:
            path = (name, inner) if inner else (name,)
            label, scalar = "_".join(map(snake, path)), _scalar(inner_kind)
            # A card tells the id of its responsible user twice.
            if scalar is not None and label not in columns:
                columns[label] = Column(label, scalar, path)
    for column in _ADDED.get(resource, ()):
        columns.setdefault(column.name, column)
    for name in _MONEY.get(resource, ()):
        columns[name] = replace(columns[name], kind=Kinds.MONEY)
    return list(columns.values())


def _scalar(kind: Any) -> Kinds | None:
    if get_origin(kind) is Annotated:
        return Kinds.INSTANT if kind == types.Instant else Kinds.ID
    if get_origin(kind) is not None or is_typeddict(kind):
        return None
    return {str: Kinds.TEXT, int: Kinds.INTEGER, float: Kinds.NUMBER, bool: Kinds.BOOLEAN}.get(kind)
