"""
The statements that other warehouses need to take over the Parquet of a copy.

Load the parts that manifests name into a table as they are, with the warehouse's own operator, and merge that one.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.warehouse.tables import Kinds, table

__all__ = ["create_sql", "merge_sql"]


@dataclass(frozen=True)
class _Flavour:
    """How a warehouse writes names and types."""

    quotes: str
    types: dict[Kinds, str]
    upper: bool = False
    now: str = "CURRENT_TIMESTAMP"

    def name(self, name: str) -> str:
        return f"{self.quotes}{name.upper() if self.upper else name}{self.quotes}"


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
    "duckdb": _Flavour('"', _types("VARCHAR", "TIMESTAMP WITH TIME ZONE", "BIGINT", "DOUBLE", "BOOLEAN")),
    "postgres": _Flavour('"', _types("TEXT", "TIMESTAMPTZ", "BIGINT", "DOUBLE PRECISION", "BOOLEAN")),
    # What is loaded by name without quotes is upper case there.
    "snowflake": _Flavour(
        '"', _types("VARCHAR", "TIMESTAMP_TZ", "NUMBER(38, 0)", "DOUBLE", "BOOLEAN"), upper=True,
        now="CURRENT_TIMESTAMP()",
    ),
}  # fmt: skip


def create_sql(dialect: str, resource: str, name: str) -> str:
    """
    Write the statement that makes the table to merge into.

    :param dialect: ``bigquery``, ``databricks``, ``duckdb``, ``postgres`` or ``snowflake``
    :param resource: name of the resource
    :param name: name of the table, as the warehouse writes it
    :return: the statement
    :raises WtsChatArgumentError: if the warehouse or the resource is not known
    """
    flavour = _flavour(dialect)
    columns = table(resource).stored
    lines = ",\n".join(f"  {flavour.name(column.name)} {flavour.types[column.kind]}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {name} (\n{lines}\n)"


def merge_sql(dialect: str, resource: str, *, target: str, source: str) -> str:
    """
    Write the statement that merges loaded parts into a table.

    There is one row for each id then, in its newest version by ``updated_at``, then ``read_at``; a row is written only
    if it differs from the one that is there, and ``loaded_at`` moves only then.

    :param dialect: ``bigquery``, ``databricks``, ``duckdb``, ``postgres`` (from 15) or ``snowflake``
    :param resource: name of the resource
    :param target: the table to merge into, as the warehouse writes it
    :param source: the table with the loaded parts, as the warehouse writes it
    :return: the statement
    :raises WtsChatArgumentError: if the warehouse or the resource is not known
    """
    flavour = _flavour(dialect)
    names = [flavour.name(column.name) for column in table(resource).loaded]
    row_id, updated, read, digest = map(flavour.name, ("id", "updated_at", "read_at", "hash"))
    loaded, listed = flavour.name("loaded_at"), ", ".join(names)
    sets = ",\n    ".join([*(f"{name} = s.{name}" for name in names if name != row_id), f"{loaded} = {flavour.now}"])
    return (
        f"MERGE INTO {target} AS t\n"  # noqa: S608
        "USING (\n"
        f"  SELECT {listed} FROM (\n"
        f"    SELECT {listed}, ROW_NUMBER() OVER (\n"
        f"      PARTITION BY {row_id} ORDER BY {updated} DESC, {read} DESC\n"
        f"    ) AS place FROM {source}\n"
        "  ) AS ranked WHERE place = 1\n"
        f") AS s ON t.{row_id} = s.{row_id}\n"
        f"WHEN MATCHED AND s.{digest} <> t.{digest} AND (s.{updated} > t.{updated}\n"
        f"  OR (s.{updated} = t.{updated} AND s.{read} >= t.{read})) THEN UPDATE SET\n"
        f"    {sets}\n"
        f"WHEN NOT MATCHED THEN INSERT ({listed}, {loaded})\n"
        f"  VALUES ({', '.join(f's.{name}' for name in names)}, {flavour.now})"
    )


def _flavour(dialect: str) -> _Flavour:
    if dialect not in _FLAVOURS:
        raise WtsChatArgumentError("dialect", f"{dialect!r} was given; one of {', '.join(_FLAVOURS)} is wanted")
    return _FLAVOURS[dialect]
