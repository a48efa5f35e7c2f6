"""Staging tables: where the rows of one attempt wait until they are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.warehouse.database import LONGEST_NAME, Database
from airflow_provider_wtschat.warehouse.rows import Values
from airflow_provider_wtschat.warehouse.tables import Column, Kinds, Table

_SEQ = Column("seq", Kinds.INTEGER)


class Staging:
    """
    The staging tables of an attempt, one for each table.

    :param tables: the tables that rows go to
    :param attempt: tells attempts apart
    """

    def __init__(self, database: Database, tables: Mapping[str, Table], attempt: str) -> None:
        self.rows = 0
        """Rows that wait."""
        self._database = database
        self._tables = tables
        self._attempt = attempt
        self._sequence = 0

    def name(self, table: str, attempt: str | None = None) -> str:
        """Return the name of the staging table that an attempt, by default this one, has for a table."""
        # Names of databases are short, and those of two tables may begin alike.
        schema, dot, alone = table.rpartition(".")
        suffix = f"_{attempt or self._attempt}_{list(self._tables).index(table)}"
        return f"{schema}{dot}{alone[: LONGEST_NAME - len(suffix)]}{suffix}"

    def quoted(self, table: str) -> str:
        """Return the name of the staging table of a table as it stands in a statement."""
        return self._database.dialect.quote(self.name(table))

    def create(self) -> None:
        """Make the staging tables."""
        dialect = self._database.dialect
        for name, table in self._tables.items():
            parts = [f"{dialect.quote(column.name)} {dialect.kinds[column.kind]}" for column in table.loaded]
            seq = f"seq {dialect.kinds[Kinds.INTEGER]}" + (" PRIMARY KEY" if dialect.keyed else "")
            with self._database.transaction() as cursor:
                cursor.execute(
                    f"{dialect.staging_prefix} {self.quoted(name)} "
                    f"({seq}, superseded {dialect.kinds[Kinds.INTEGER]} DEFAULT 0, {', '.join(parts)})"
                    f"{dialect.table_options}"
                )

    def drop(self, attempt: str | None = None) -> None:
        """Remove the staging tables of an attempt, by default this one."""
        with self._database.transaction() as cursor:
            for name in self._tables:
                staging = self._database.dialect.quote(self.name(name, attempt))
                cursor.execute(f"DROP TABLE IF EXISTS {staging}")

    def add(self, cursor: Any, table: str, rows: Sequence[Values], columns: Sequence[Column] | None = None) -> None:
        """
        Put rows into a staging table.

        :param columns: the columns. Default: the ``loaded`` ones of the table
        """
        if not rows:
            return
        numbered = [(self._sequence + number, *row) for number, row in enumerate(rows)]
        given = (_SEQ, *(columns or self._tables[table].loaded))
        self._database.dialect.insert(cursor, self.name(table), given, numbered)
        self._sequence += len(rows)
        self.rows += len(rows)

    def supersede(self, cursor: Any, table: str, level: int, key: str) -> None:
        """
        Tell the newest row of each key from the others.

        :param level: what ``superseded`` is for the others
        """
        staging = self.quoted(table)
        newest = "ORDER BY updated_at DESC, read_at DESC, seq DESC"
        cursor.execute(
            f"UPDATE {staging} SET superseded = {level} WHERE seq IN (SELECT seq FROM ("  # noqa: S608
            f"SELECT seq, ROW_NUMBER() OVER (PARTITION BY {key} {newest}) AS place FROM {staging}"
            ") AS ranked WHERE place > 1)"
        )

    def clear(self, cursor: Any) -> None:
        """Remove all rows."""
        for name in self._tables:
            cursor.execute(f"DELETE FROM {self.quoted(name)}")  # noqa: S608
        self.rows = 0
