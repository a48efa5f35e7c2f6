"""
The statements that other warehouses need to take over the Parquet of a copy.

Load the parts that manifests name into a table as they are, with the warehouse's own operator, and merge that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.sql.dialects import DuckDb, Postgres
from airflow_provider_wtschat.warehouse.dictionary import tables
from airflow_provider_wtschat.warehouse.tables import PARTS, Column, Kinds, Table

__all__ = ["create_sql", "mark_sql", "merge_sql"]


@dataclass(frozen=True)
class _Flavour:
    """How a warehouse writes names and types."""

    quotes: str
    types: Mapping[Kinds, str]
    upper: bool = False
    now: str = "CURRENT_TIMESTAMP"
    reads: Mapping[Kinds, str] = field(default_factory=dict)
    """How a value of Parquet, or of a table with its types, is read where that is not done by itself."""

    def name(self, name: str) -> str:
        return f"{self.quotes}{name.upper() if self.upper else name}{self.quotes}"

    def read(self, column: Column) -> str:
        name = self.name(column.name)
        return f"{self.reads[column.kind].format(name)} AS {name}" if column.kind in self.reads else name


def _types(
    text: str, instant: str, integer: str, number: str, boolean: str, money: str = "DECIMAL(18, 4)"
) -> dict[Kinds, str]:
    texts = dict.fromkeys((Kinds.ID, Kinds.TEXT, Kinds.JSON, Kinds.HASH), text)
    return {
        **texts,
        Kinds.INSTANT: instant,
        Kinds.INTEGER: integer,
        Kinds.NUMBER: number,
        Kinds.MONEY: money,
        Kinds.BOOLEAN: boolean,
    }


_FLAVOURS = {
    "bigquery": _Flavour(
        "`", _types("STRING", "TIMESTAMP", "INT64", "FLOAT64", "BOOL", "NUMERIC(18, 4)"), now="CURRENT_TIMESTAMP()",
    ),
    "databricks": _Flavour(
        "`", _types("STRING", "TIMESTAMP", "BIGINT", "DOUBLE", "BOOLEAN"), now="CURRENT_TIMESTAMP()",
    ),
    # As WtsChatToSqlOperator makes them.
    "duckdb": _Flavour(
        '"', DuckDb.kinds, now="make_timestamp(epoch_us(now()))",
        # Whatever zone the session has.
        reads={Kinds.INSTANT: "make_timestamp(epoch_us({}))", Kinds.JSON: "CAST({} AS JSON)"},
    ),
    "postgres": _Flavour('"', Postgres.kinds, reads={Kinds.JSON: "CAST({} AS JSONB)"}),
    # What is loaded by name without quotes is upper case there.
    "snowflake": _Flavour(
        '"', _types("VARCHAR", "TIMESTAMP_TZ", "NUMBER(38, 0)", "DOUBLE", "BOOLEAN"), upper=True,
        now="CURRENT_TIMESTAMP()",
    ),
}  # fmt: skip


def create_sql(dialect: str, resource: str, name: str) -> str:
    """
    Write the statement that makes the table to merge into.

    Its columns are those that ``WtsChatToSqlOperator`` makes, of the same types in PostgreSQL and DuckDB.

    :param dialect: ``bigquery``, ``databricks``, ``duckdb``, ``postgres`` or ``snowflake``
    :param resource: name of the resource, or with that of a list inside of its rows, such as ``contacts_tags``
    :param name: name of the table, as the warehouse writes it
    :return: the statement
    :raises WtsChatArgumentError: if the warehouse or the resource is not known
    """
    flavour = _flavour(dialect)
    columns = _table(resource).stored
    lines = ",\n".join(f"  {flavour.name(column.name)} {flavour.types[column.kind]}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {name} (\n{lines}\n)"


def merge_sql(dialect: str, resource: str, *, target: str, source: str) -> str:
    """
    Write the statement that merges loaded parts into a table.

    There is one row for each id then, in its newest version by ``updated_at``, then ``read_at``; a row is written only
    if it differs from the one that is there, and ``loaded_at`` moves only then. Of a list inside of rows the instants
    of its row move, too, for :func:`mark_sql`.

    :param dialect: ``bigquery``, ``databricks``, ``duckdb``, ``postgres`` (from 15) or ``snowflake``
    :param resource: name of the resource, or with that of a list inside of its rows, such as ``contacts_tags``
    :param target: the table to merge into, as the warehouse writes it
    :param source: the table with the loaded parts, as the warehouse writes it; in DuckDB also ``read_parquet(...)``
    :return: the statement
    :raises WtsChatArgumentError: if the warehouse or the resource is not known
    """
    flavour = _flavour(dialect)
    made = _table(resource)
    names = [flavour.name(column.name) for column in made.loaded]
    reads = ", ".join(flavour.read(column) for column in made.loaded)
    row_id, updated, read, digest = map(flavour.name, ("id", "updated_at", "read_at", "hash"))
    loaded, listed = flavour.name("loaded_at"), ", ".join(names)
    newer = f"(s.{updated} > t.{updated}\n  OR (s.{updated} = t.{updated} AND s.{read} >= t.{read}))"
    differs, moment = f"s.{digest} <> t.{digest} AND {newer}", flavour.now
    marks = []
    if _in_rows(made):
        missing = flavour.name("missing_since")
        again = f"s.{digest} <> t.{digest} OR t.{missing} IS NOT NULL"
        differs, moment = newer, f"CASE WHEN {again} THEN {flavour.now} ELSE t.{loaded} END"
        marks = [f"{missing} = NULL"]
    sets = ",\n    ".join([*(f"{name} = s.{name}" for name in names if name != row_id), *marks, f"{loaded} = {moment}"])
    return (
        f"MERGE INTO {target} AS t\n"  # noqa: S608
        "USING (\n"
        f"  SELECT {listed} FROM (\n"
        f"    SELECT {reads}, ROW_NUMBER() OVER (\n"
        f"      PARTITION BY {row_id} ORDER BY {updated} DESC, {read} DESC\n"
        f"    ) AS place FROM {source}\n"
        "  ) AS ranked WHERE place = 1\n"
        f") AS s ON t.{row_id} = s.{row_id}\n"
        f"WHEN MATCHED AND {differs} THEN UPDATE SET\n"
        f"    {sets}\n"
        f"WHEN NOT MATCHED THEN INSERT ({listed}, {loaded})\n"
        f"  VALUES ({', '.join(f's.{name}' for name in names)}, {flavour.now})"
    )


def mark_sql(dialect: str, resource: str, *, target: str, parents: str) -> str:
    """
    Write the statement that marks what was taken out of lists inside of rows.

    Run it when the rows and their lists were merged: what the newest version of a row does not hold any more gets
    ``missing_since``, and :func:`merge_sql` clears that if it comes back.

    :param dialect: ``bigquery``, ``databricks``, ``duckdb``, ``postgres`` (from 15) or ``snowflake``
    :param resource: name of the resource with that of the list, such as ``contacts_tags``
    :param target: the table with the lists, as the warehouse writes it
    :param parents: the table with the rows, as the warehouse writes it
    :return: the statement
    :raises WtsChatArgumentError: if the warehouse or the list is not known
    """
    flavour, made = _flavour(dialect), _table(resource)
    if not _in_rows(made):
        known = ", ".join(name for name, one in tables() if _in_rows(one))
        raise WtsChatArgumentError("resource", f"{resource!r} was given; one of {known} is wanted")
    names = ("id", "updated_at", "read_at", "loaded_at", "missing_since", made.parent or "panel_id")
    row_id, updated, read, loaded, missing, parent = map(flavour.name, names)
    later = f"s.{read} > t.{read}"
    if made.child is not None:
        # A step has an instant of its own change; what else is in rows has that of its row.
        later = f"(s.{updated} > t.{updated} OR (s.{updated} = t.{updated} AND {later}))"
    return (
        f"MERGE INTO {target} AS t\n"
        f"USING {parents} AS s ON t.{parent} = s.{row_id}\n"
        f"WHEN MATCHED AND t.{missing} IS NULL AND {later} THEN UPDATE SET\n"
        f"    {missing} = s.{read},\n"
        f"    {loaded} = {flavour.now}"
    )


def _table(name: str) -> Table:
    known = dict(tables())
    if name not in known:
        raise WtsChatArgumentError("resource", f"{name!r} was given; one of {', '.join(known)} is wanted")
    return known[name]


def _in_rows(made: Table) -> bool:
    """Return whether a table holds what is inside of rows of another one."""
    return made.child is not None or any(made.resource in parts for parts in PARTS.values())


def _flavour(dialect: str) -> _Flavour:
    if dialect not in _FLAVOURS:
        raise WtsChatArgumentError("dialect", f"{dialect!r} was given; one of {', '.join(_FLAVOURS)} is wanted")
    return _FLAVOURS[dialect]
