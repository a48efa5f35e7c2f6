"""Making a row of a table out of a row of the API."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.sql.dialects import Values as Values
from airflow_provider_wtschat.warehouse.tables import Column, Kinds, Table

_REFUSED = re.compile("[\0\ud800-\udfff]")
"""What no text of a database may hold: NUL, and halves of a character."""
_DURATION = re.compile(r"(?:(\d{1,6})\.)?(\d{1,4}):(\d{2}):(\d{2})(?:\.\d+)?")
_BIGGEST = 2**63
_LONGEST_ID = 64


@dataclass
class Tally:
    """
    What happened to rows on their way.

    :param cleaned: rows with characters that databases refuse, which were replaced
    :param misfits: values that do not fit their column, which is empty for them; the payload has them
    :param rejected: rows left out, since they have no id or no instant of their last change, or are no JSON
    """

    rows: int = 0
    cleaned: int = 0
    misfits: int = 0
    rejected: int = 0


class Shaper:
    """
    Makes rows of a table.

    Instants are written in one spelling, since the API has several: the same row has to have the same hash.

    :param tally: where to count
    :param edit: what to do to a row first, such as taking personal data out
    """

    def __init__(
        self,
        table: Table,
        tally: Tally,
        edit: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
        *,
        account: str = "",
    ) -> None:
        self._tally = tally
        self._account = account
        self._edit = edit
        self._untimed = table.untimed
        self._instants = [str(column.path[0]) for column in table.columns if column.kind is Kinds.INSTANT]
        self._columns = [(column, _FITS[column.kind]) for column in table.columns]

    def shape(
        self, rows: Iterable[Any], read_at: datetime, keep: Callable[[Mapping[str, Any]], None] | None = None
    ) -> list[Values]:
        """
        Make rows.

        :param read_at: when they were read, on the server's clock
        :param keep: is given each row that is taken, edited, its instants in one spelling
        :return: values of the table's ``loaded`` columns; instants are texts in one spelling
        """
        moment = instants.write(read_at)
        shaped = []
        for row in rows:
            self._tally.rows += 1
            values = self._one(row, moment, keep)
            if values is None:
                self._tally.rejected += 1
            else:
                shaped.append(values)
        return shaped

    def _one(self, row: Any, read_at: str, keep: Callable[[Mapping[str, Any]], None] | None) -> Values | None:
        if not isinstance(row, Mapping):
            return None
        edited = self._edit(row) if self._edit else dict(row)
        for name in self._instants:
            text = edited.get(name)
            if text is not None:
                edited[name] = one_spelling(text)
        if not self._untimed:
            # Rows are compared by the instant of their last change, so there must be one.
            edited["updatedAt"] = edited.get("updatedAt") or edited.get("createdAt")
        try:
            payload = json.dumps(edited, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
            if "\\u0000" in payload:
                raise UnicodeError
            data = payload.encode()
        except UnicodeError:
            edited = _clean(edited)
            payload = json.dumps(edited, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            data = payload.encode()
            self._tally.cleaned += 1
        except (TypeError, ValueError):
            return None
        if self._untimed:
            # After the payload and its hash, which are not to differ because of it.
            edited["updatedAt"] = read_at
        key = edited.get("id")
        if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_ID or not _is_instant(edited["updatedAt"]):
            return None
        if keep is not None:
            keep(edited)
        return (*self.values(edited), payload, hashlib.sha256(data).hexdigest(), read_at, self._account)

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """
        Return the values of the table's columns in a row.

        :param row: the row, edited, its instants in one spelling
        """
        values: list[Any] = []
        for column, fits in self._columns:
            path = column.path
            value = row.get(str(path[0])) if len(path) == 1 else _at(row, column)
            if column.seconds:
                value = seconds(value)
            if value is not None and not fits(value):
                self._tally.misfits += 1
                value = None
            values.append(value)
        return values


def one_spelling(text: Any) -> Any:
    """
    Write an instant of the API in one spelling; what is none stays as it is.

    :param text: such as ``2026-09-09T11:48:00.99776200``
    :return: such as ``2026-09-09T11:48:00.997762Z``
    """
    try:
        return instants.write(instants.read(text))
    except (TypeError, ValueError, OverflowError):
        return text


class Splitter:
    """
    Makes rows of the lists inside of rows.

    Their ids follow from the parent's id and their key; their hashes do not depend on when the parent changed.

    :param tally: where to count
    """

    def __init__(self, table: Table, tally: Tally, account: str) -> None:
        if table.child is None:
            raise TypeError(table.resource)
        self._child = table.child
        self._tally = tally
        self._account = account
        self._columns = [(column, _FITS[column.kind]) for column in table.child.columns]

    def split(self, row: Mapping[str, Any], read_at: str, account: str | None = None) -> list[Values]:
        """
        Make the rows of one parent.

        :param row: the parent, edited, its instants in one spelling
        :param account: the account of this row. Default: the splitter's own
        """
        found: dict[str, Values] = {}
        parent = row["id"]
        for item in self._child.items(row) or ():
            values = {column.name: self._value(item, column, fits) for column, fits in self._columns}
            key = [values[name] for name in self._child.key]
            if None in key:
                self._tally.misfits += 1
                continue
            row_id = hashlib.sha256("\n".join([parent, *map(str, key)]).encode()).hexdigest()
            payload = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            digest = hashlib.sha256(f"{parent}\n{payload}".encode()).hexdigest()
            told = (payload, digest, read_at, account or self._account)
            found[row_id] = (row_id, parent, *values.values(), row["updatedAt"], *told)
        return list(found.values())

    @staticmethod
    def _value(item: Mapping[str, Any], column: Column, fits: Callable[[Any], bool]) -> Any:
        value = _at(item, column)
        return value if value is not None and fits(value) else None


class Shaping:
    """
    Makes the rows of all tables that a resource fills.

    :param name: name of the resource's own table
    :param shapers: by table: what makes rows
    :param parts: by table: the field of a row whose list it holds
    :param splitters: by table: what takes a list out of a row
    """

    def __init__(
        self, name: str, shapers: Mapping[str, Shaper], parts: Mapping[str, str], splitters: Mapping[str, Splitter]
    ) -> None:
        self._name = name
        self._shapers = shapers
        self._parts = parts
        self.splitters = splitters

    def alone(self) -> Shaping:
        """Return what makes the rows of the resource's own table only."""
        return Shaping(self._name, {self._name: self._shapers[self._name]}, {}, {})

    def make(self, rows: Iterable[Any], read_at: datetime) -> dict[str, list[Values]]:
        """
        Make rows.

        :param read_at: when they were read, on the server's clock
        :return: values by table, the resource's own first
        """
        moment = instants.write(read_at)
        split: dict[str, list[Values]] = {name: [] for name in self.splitters}

        def keep(row: Mapping[str, Any]) -> None:
            for name, splitter in self.splitters.items():
                split[name] += splitter.split(row, moment)

        given = list(rows)
        made = {self._name: self._shapers[self._name].shape(given, read_at, keep)}
        for name, field in self._parts.items():
            inner = [one for row in given if isinstance(row, Mapping) for one in row.get(field) or ()]
            made[name] = self._shapers[name].shape(inner, read_at)
        return {**made, **split}


def seconds(text: Any) -> int | None:
    """
    Read a duration of the API in seconds.

    :param text: such as ``00:12:30`` or ``1.02:00:00`` with days
    :return: the seconds, ``None`` for anything else
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _at(row: Mapping[str, Any], column: Column) -> Any:
    value: Any = row
    for name in column.path:
        if isinstance(name, int):
            value = value[name] if isinstance(value, list) and len(value) > name else None
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 27 and value[-1] == "Z"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_BIGGEST <= value < _BIGGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e308


_FITS: dict[Kinds, Callable[[Any], bool]] = {
    Kinds.ID: lambda value: isinstance(value, str) and len(value) <= _LONGEST_ID,
    Kinds.TEXT: lambda value: isinstance(value, str),
    Kinds.INSTANT: _is_instant,
    Kinds.INTEGER: _is_integer,
    Kinds.NUMBER: _is_number,
    Kinds.MONEY: lambda value: _is_number(value) and abs(value) < 1e14,
    Kinds.HASH: lambda value: isinstance(value, str),
    Kinds.BOOLEAN: lambda value: isinstance(value, bool),
}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _REFUSED.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_clean(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value
