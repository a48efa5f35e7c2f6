"""The columns that a resource has as a table, made from the contract's types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from airflow_provider_wtschat.api import types
from airflow_provider_wtschat.extraction import RESOURCES, Kind, find


class Kinds(Enum):
    """What a column holds; each database has its own type for it."""

    ID = "id"
    TEXT = "text"
    INSTANT = "instant"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"
    HASH = "hash"


@dataclass(frozen=True)
class Column:
    """
    A column.

    :param name: its name, in snake_case
    :param kind: what it holds
    :param path: where the value is in a row of the API; empty for what the load itself adds
    """

    name: str
    kind: Kinds
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """
    A resource as a table.

    :param resource: name of the resource
    :param row: type of a row
    :param columns: columns with values of a row
    :param dimension: whether all rows are read each time, so that those which are gone show
    :param indexes: columns that others join on
    :param parent: for what is read by parent: the column with the id of the parent
    """

    resource: str
    row: type
    columns: tuple[Column, ...]
    dimension: bool = False
    indexes: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def loaded(self) -> tuple[Column, ...]:
        """The columns that come with a row: those of the API, then those of the reading."""
        return (*self.columns, PAYLOAD, HASH, READ_AT, ACCOUNT)

    @property
    def mark(self) -> Column:
        """The column that says since when a row is gone."""
        return MISSING_SINCE if self.dimension else DELETED_AT

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

_INDEXES = {
    "agents": ("user_id",),
    "messages": ("session_id",),
    "session_notes": ("session_id",),
    "card_notes": ("card_id",),
}

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
    columns = tuple(_columns(row, resource))
    return Table(resource, row, columns, dimension, _INDEXES.get(resource, ()), _PARENTS.get(resource))


def snake(name: str) -> str:
    """
    Write a field's name as a column's.

    :param name: such as ``createdAt``
    :return: such as ``created_at``
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


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
    Take ``None`` out of a type.

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
    return list(columns.values())


def _scalar(kind: Any) -> Kinds | None:
    if get_origin(kind) is Annotated:
        return Kinds.INSTANT if kind == types.Instant else Kinds.ID
    if get_origin(kind) is not None or is_typeddict(kind):
        return None
    return {str: Kinds.TEXT, int: Kinds.INTEGER, float: Kinds.NUMBER, bool: Kinds.BOOLEAN}.get(kind)
