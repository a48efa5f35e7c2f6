"""What the databases say differently."""

from __future__ import annotations

import importlib.util
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.warehouse.rows import Values
from airflow_provider_wtschat.warehouse.tables import Column, Kinds

NEWER = (
    "{s}.hash <> {t}.hash AND ({s}.updated_at > {t}.updated_at "
    "OR ({s}.updated_at = {t}.updated_at AND {s}.read_at >= {t}.read_at))"
)
"""When a row that was read replaces the one that is there."""
SAME = "{s}.hash = {t}.hash"
"""When a row that was made out of the payload anew replaces the one that is there."""


class Dialect(ABC):
    """A kind of database."""

    name: ClassVar[str]
    kinds: ClassVar[dict[Kinds, str]]
    """The type of a column by what it holds."""
    placeholder: ClassVar[str] = "?"
    """What stands for a bound value."""
    quote_character: ClassVar[str] = '"'
    clock: ClassVar[str]
    """The database's clock, in seconds since the epoch."""
    staging_prefix: ClassVar[str] = "CREATE TABLE"
    for_update: ClassVar[str] = ""
    table_options: ClassVar[str] = ""
    keyed: ClassVar[bool] = True
    """Whether a key helps to find a few rows of a staging table."""
    indexed: ClassVar[bool] = True
    """Whether indexes help readers; they cost memory."""
    at_once: ClassVar[int | None] = None
    """Rows that a transaction may merge, where memory bounds it."""

    @contextmanager
    def cursor(self, connection: Any) -> Iterator[Any]:
        """
        Open a cursor.

        :param connection: the connection
        """
        with closing(connection.cursor()) as cursor:
            yield cursor

    def count(self, cursor: Any) -> int:
        """
        Return how many rows the statement wrote that was just executed.

        :param cursor: the cursor
        """
        return max(0, int(cursor.rowcount))

    def quote(self, name: str) -> str:
        """
        Write a name so that it is one, whatever is in it.

        :param name: name of a column, or of a table with or without its schema
        """
        mark = self.quote_character
        return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in name.split("."))

    def value(self, kind: Kinds, value: Any) -> Any:
        """
        Write a value as the database takes it.

        :param kind: what the column holds
        :param value: the value; an instant in its one spelling
        """
        return value

    def prepare(self, connection: Any) -> None:  # noqa: B027  # most need nothing
        """
        Make a new connection ready.

        :param connection: the connection
        """

    def begin(self, cursor: Any) -> None:  # noqa: B027  # most drivers begin one by themselves
        """
        Begin a transaction that others wait for.

        :param cursor: a cursor
        """

    @abstractmethod
    def columns(self, cursor: Any, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param cursor: a cursor
        :param table: name of the table
        """

    def insert(self, cursor: Any, table: str, columns: Sequence[Column], rows: Sequence[Values]) -> None:
        """
        Put many rows into a table.

        :param cursor: a cursor
        :param table: name of the table
        :param columns: its columns
        :param rows: values of these columns
        """
        names = ", ".join(self.quote(column.name) for column in columns)
        marks = ", ".join([self.placeholder] * len(columns))
        # Names are quoted, and values are bound.
        sql = f"INSERT INTO {self.quote(table)} ({names}) VALUES ({marks})"  # noqa: S608
        cursor.executemany(sql, self.adapted(columns, rows))

    def adapted(self, columns: Sequence[Column], rows: Iterable[Values]) -> list[Values]:
        """
        Write rows as the database takes them.

        :param columns: the columns
        :param rows: their values
        """
        changed = [place for place, column in enumerate(columns) if self._changes(column.kind)]
        if not changed:
            return list(rows)
        result = []
        for row in rows:
            values = list(row)
            for place in changed:
                if values[place] is not None:
                    values[place] = self.value(columns[place].kind, values[place])
            result.append(tuple(values))
        return result

    def merge(
        self,
        cursor: Any,
        target: str,
        staged: str,
        columns: Sequence[Column],
        moment: Any,
        *,
        when: str = NEWER,
        part: tuple[int, int] = (0, 1),
    ) -> int:
        """
        Bring the newest staged row of each id into the table.

        :param cursor: a cursor
        :param target: name of the table
        :param staged: name of the staging table
        :param columns: the columns to bring, ``id`` first
        :param moment: the moment of the load
        :param when: when a staged row ``{s}`` replaces the row ``{t}`` that is there
        :param part: which part of the rows, of how many
        :return: rows written
        """
        t, s = self.quote(target), self.quote(staged)
        names = [self.quote(column.name) for column in columns]
        loaded = self.quote("loaded_at")
        sets = ", ".join(f"{name} = excluded.{name}" for name in [*names[1:], loaded])
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, {loaded}) "  # noqa: S608
            f"SELECT {', '.join(names)}, {self.cast(Kinds.INSTANT)} FROM {s} WHERE superseded = 0 "
            f"ON CONFLICT (id) DO UPDATE SET {sets} WHERE {when.format(s='excluded', t=t)}",
            (moment,),
        )
        return self.count(cursor)

    def cast(self, kind: Kinds) -> str:
        """
        Write the mark of a bound value whose type the database cannot guess.

        :param kind: what it is
        """
        return f"CAST({self.placeholder} AS {self.kinds[kind]})"

    def upsert(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> str:
        """
        Write the statement that stores one row by its key.

        :param table: name of the table
        :param columns: its columns, the keys first
        :param keys: the columns of the key
        """
        marks = ", ".join([self.placeholder] * len(columns))
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
        return (
            f"INSERT INTO {self.quote(table)} ({', '.join(columns)}) VALUES ({marks}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}"
        )

    def insert_if_new(self, table: str, columns: Sequence[str]) -> str:
        """
        Write the statement that stores one row unless its key is there.

        :param table: name of the table
        :param columns: its columns
        """
        marks = ", ".join([self.placeholder] * len(columns))
        return (
            f"INSERT INTO {self.quote(table)} ({', '.join(columns)}) VALUES ({marks}) "  # noqa: S608
            "ON CONFLICT DO NOTHING"
        )

    def column_comment(self, text: str) -> str:
        """
        Write what says, where a table is made, what a column holds.

        :param text: a sentence
        :return: what follows the column's type; empty where the database has none
        """
        return ""

    def comment(self, table: str, column: str, text: str) -> str | None:
        """
        Write the statement that says what a column holds.

        :param table: name of the table
        :param column: name of the column
        :param text: a sentence
        :return: the statement, ``None`` where the database has none
        """
        return None

    def add_column(self, table: str, column: Column) -> str:
        """
        Write the statement that adds a column.

        :param table: name of the table
        :param column: the column
        """
        return f"ALTER TABLE {self.quote(table)} ADD COLUMN {self.quote(column.name)} {self.kinds[column.kind]}"

    def _changes(self, kind: Kinds) -> bool:
        return False


class Sqlite(Dialect):
    """SQLite. Instants are texts in UTC with microseconds, which sort as they should."""

    name = "sqlite"
    clock = "(julianday('now') - 2440587.5) * 86400.0"
    kinds: ClassVar[dict[Kinds, str]] = {
        Kinds.ID: "TEXT",
        Kinds.TEXT: "TEXT",
        Kinds.INSTANT: "TEXT",
        Kinds.INTEGER: "INTEGER",
        Kinds.NUMBER: "REAL",
        Kinds.MONEY: "NUMERIC",
        Kinds.BOOLEAN: "BOOLEAN",
        Kinds.JSON: "TEXT",
        Kinds.HASH: "TEXT",
    }

    def prepare(self, connection: Any) -> None:
        """
        Wait for other writers, and leave transactions to us.

        :param connection: the connection
        """
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 60000")

    def begin(self, cursor: Any) -> None:
        """
        Begin a transaction that writes, so that it waits now and not in its middle.

        :param cursor: a cursor
        """
        cursor.execute("BEGIN IMMEDIATE")

    def columns(self, cursor: Any, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param cursor: a cursor
        :param table: name of the table
        """
        schema, _, name = table.rpartition(".")
        cursor.execute("SELECT name FROM pragma_table_info(?, ?)", (name, schema or "main"))
        return {row[0] for row in cursor.fetchall()}


class Postgres(Dialect):
    """PostgreSQL, through psycopg 2 or 3."""

    name = "postgres"
    placeholder = "%s"
    clock = "EXTRACT(EPOCH FROM clock_timestamp())"
    # It is gone after a crash of the server, as the attempt that it belongs to.
    staging_prefix = "CREATE UNLOGGED TABLE"
    for_update = " FOR UPDATE"
    kinds: ClassVar[dict[Kinds, str]] = {
        Kinds.ID: "TEXT",
        Kinds.TEXT: "TEXT",
        Kinds.INSTANT: "TIMESTAMPTZ",
        Kinds.INTEGER: "BIGINT",
        Kinds.NUMBER: "DOUBLE PRECISION",
        Kinds.MONEY: "NUMERIC(18, 4)",
        Kinds.BOOLEAN: "BOOLEAN",
        Kinds.JSON: "JSONB",
        Kinds.HASH: "TEXT",
    }

    def comment(self, table: str, column: str, text: str) -> str | None:
        """
        Write the statement that says what a column holds.

        :param table: name of the table
        :param column: name of the column
        :param text: a sentence
        """
        return f"COMMENT ON COLUMN {self.quote(table)}.{self.quote(column)} IS '{_escaped(text)}'"

    def columns(self, cursor: Any, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param cursor: a cursor
        :param table: name of the table
        """
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (self.quote(table),),
        )
        return {row[0] for row in cursor.fetchall()}

    def insert(self, cursor: Any, table: str, columns: Sequence[Column], rows: Sequence[Values]) -> None:
        """
        Put many rows into a table, by COPY.

        :param cursor: a cursor
        :param table: name of the table
        :param columns: its columns
        :param rows: values of these columns
        """
        names = ", ".join(self.quote(column.name) for column in columns)
        sql = f"COPY {self.quote(table)} ({names}) FROM STDIN"
        text = "\n".join("\t".join(map(_copied, row)) for row in rows) + "\n"
        if hasattr(cursor, "copy_expert"):
            cursor.copy_expert(sql, io.StringIO(text))
            return
        with cursor.copy(sql) as copy:
            copy.write(text)


def _copied(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\") if "\\" in value else value
        return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return str(value)


class MySql(Dialect):
    """MySQL and MariaDB. Instants are in UTC."""

    name = "mysql"
    placeholder = "%s"
    quote_character = "`"
    clock = "UNIX_TIMESTAMP(NOW(6))"
    for_update = " FOR UPDATE"
    table_options = " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
    kinds: ClassVar[dict[Kinds, str]] = {
        Kinds.ID: "VARCHAR(64)",
        Kinds.TEXT: "MEDIUMTEXT",
        Kinds.INSTANT: "DATETIME(6)",
        Kinds.INTEGER: "BIGINT",
        Kinds.NUMBER: "DOUBLE",
        Kinds.MONEY: "DECIMAL(18, 4)",
        Kinds.BOOLEAN: "BOOLEAN",
        Kinds.JSON: "JSON",
        Kinds.HASH: "CHAR(64)",
    }

    def prepare(self, connection: Any) -> None:
        """
        Have every character pass, each statement see what others committed, and errors be errors.

        :param connection: the connection
        """
        if hasattr(connection, "set_character_set"):
            connection.set_character_set("utf8mb4")
        else:
            connection.set_charset_collation("utf8mb4", "utf8mb4_bin")
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")

    def value(self, kind: Kinds, value: Any) -> Any:
        """
        Write an instant without its zone, for which there is no room.

        :param kind: what the column holds
        :param value: the value
        """
        return str(value).replace("T", " ").removesuffix("Z") if kind is Kinds.INSTANT else value

    def column_comment(self, text: str) -> str:
        """
        Write what says, where a table is made, what a column holds.

        :param text: a sentence
        """
        return f" COMMENT '{_escaped(text)}'"

    def columns(self, cursor: Any, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param cursor: a cursor
        :param table: name of the table
        """
        schema, _, name = table.rpartition(".")
        cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
            (schema or None, name),
        )
        return {row[0] for row in cursor.fetchall()}

    def merge(
        self,
        cursor: Any,
        target: str,
        staged: str,
        columns: Sequence[Column],
        moment: Any,
        *,
        when: str = NEWER,
        part: tuple[int, int] = (0, 1),
    ) -> int:
        """
        Bring the newest staged row of each id into the table.

        :param cursor: a cursor
        :param target: name of the table
        :param staged: name of the staging table
        :param columns: the columns to bring, ``id`` first
        :param moment: the moment of the load
        :param when: when a staged row ``{s}`` replaces the row ``{t}`` that is there
        :param part: which part of the rows, of how many
        :return: rows written
        """
        t, s = self.quote(target), self.quote(staged)
        names = [self.quote(column.name) for column in columns]
        loaded = self.quote("loaded_at")
        sets = ", ".join(f"t.{name} = s.{name}" for name in names[1:])
        cursor.execute(
            f"UPDATE {t} AS t JOIN {s} AS s ON s.id = t.id "  # noqa: S608
            f"SET t.{loaded} = %s, {sets} WHERE s.superseded = 0 AND {when.format(s='s', t='t')}",
            (moment,),
        )
        written = self.count(cursor)
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, {loaded}) "  # noqa: S608
            f"SELECT {', '.join(f's.{name}' for name in names)}, %s FROM {s} AS s "
            f"LEFT JOIN {t} AS t ON t.id = s.id WHERE s.superseded = 0 AND t.id IS NULL",
            (moment,),
        )
        return written + self.count(cursor)

    def cast(self, kind: Kinds) -> str:
        """
        Write the mark of a bound value.

        :param kind: what it is
        """
        return self.placeholder

    def upsert(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> str:
        """
        Write the statement that stores one row by its key.

        :param table: name of the table
        :param columns: its columns, the keys first
        :param keys: the columns of the key
        """
        marks = ", ".join([self.placeholder] * len(columns))
        sets = ", ".join(f"{name} = VALUES({name})" for name in columns if name not in keys)
        return (
            f"INSERT INTO {self.quote(table)} ({', '.join(columns)}) VALUES ({marks}) "  # noqa: S608
            f"ON DUPLICATE KEY UPDATE {sets}"
        )

    def insert_if_new(self, table: str, columns: Sequence[str]) -> str:
        """
        Write the statement that stores one row unless its key is there.

        :param table: name of the table
        :param columns: its columns
        """
        marks = ", ".join([self.placeholder] * len(columns))
        return f"INSERT IGNORE INTO {self.quote(table)} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608

    def _changes(self, kind: Kinds) -> bool:
        return kind is Kinds.INSTANT


class DuckDb(Dialect):
    """DuckDB. Instants are in UTC: a type with a zone would need another package to be read."""

    name = "duckdb"
    # It keeps in memory what a transaction writes.
    at_once = 5_000
    indexed = False
    clock = "epoch(current_timestamp)"
    keyed = False
    kinds: ClassVar[dict[Kinds, str]] = {
        Kinds.ID: "VARCHAR",
        Kinds.TEXT: "VARCHAR",
        Kinds.INSTANT: "TIMESTAMP",
        Kinds.INTEGER: "BIGINT",
        Kinds.NUMBER: "DOUBLE",
        Kinds.MONEY: "DECIMAL(18, 4)",
        Kinds.BOOLEAN: "BOOLEAN",
        Kinds.JSON: "JSON",
        Kinds.HASH: "VARCHAR",
    }

    @contextmanager
    def cursor(self, connection: Any) -> Iterator[Any]:
        """
        Return the connection itself: a cursor would be another one, with transactions of its own.

        :param connection: the connection
        """
        yield connection

    def count(self, cursor: Any) -> int:
        """
        Return how many rows the statement wrote that was just executed.

        :param cursor: the cursor
        """
        row = cursor.fetchone()
        return int(row[0]) if row else 0

    def begin(self, cursor: Any) -> None:
        """
        Begin a transaction.

        :param cursor: a cursor
        """
        cursor.execute("BEGIN")

    def comment(self, table: str, column: str, text: str) -> str | None:
        """
        Write the statement that says what a column holds.

        :param table: name of the table
        :param column: name of the column
        :param text: a sentence
        """
        return f"COMMENT ON COLUMN {self.quote(table)}.{self.quote(column)} IS '{_escaped(text)}'"

    def columns(self, cursor: Any, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param cursor: a cursor
        :param table: name of the table
        """
        schema, _, name = table.rpartition(".")
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = ? "
            "AND table_schema = COALESCE(?, current_schema()) AND table_catalog = current_database()",
            (name, schema or None),
        )
        return {row[0] for row in cursor.fetchall()}

    def insert(self, cursor: Any, table: str, columns: Sequence[Column], rows: Sequence[Values]) -> None:
        """
        Put many rows into a table, a column at a time: row by row it would take a hundred times as long.

        :param cursor: a cursor
        :param table: name of the table
        :param columns: its columns
        :param rows: values of these columns
        """
        names = ", ".join(self.quote(column.name) for column in columns)
        values = []
        for column in columns:
            # Instants and JSON arrive as texts.
            given = "VARCHAR" if column.kind in (Kinds.INSTANT, Kinds.JSON) else self.kinds[column.kind]
            values.append(f"CAST(unnest(CAST(? AS {given}[])) AS {self.kinds[column.kind]})")
        sql = f"INSERT INTO {self.quote(table)} ({names}) SELECT {', '.join(values)}"
        cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])

    def merge(
        self,
        cursor: Any,
        target: str,
        staged: str,
        columns: Sequence[Column],
        moment: Any,
        *,
        when: str = NEWER,
        part: tuple[int, int] = (0, 1),
    ) -> int:
        """
        Bring the newest staged row of each id into the table.

        Rows that change are taken out and put in again: to update them in place takes many times as long, and memory
        that grows with the table.

        :param cursor: the connection
        :param target: name of the table
        :param staged: name of the staging table
        :param columns: the columns to bring, ``id`` first
        :param moment: the moment of the load
        :param when: when a staged row ``{s}`` replaces the row ``{t}`` that is there
        :param part: which part of the rows, of how many
        :return: rows written
        """
        t, s = self.quote(target), self.quote(staged)
        names = [self.quote(column.name) for column in columns]
        number, parts = part
        chosen = f"s.superseded = 0 AND hash(s.id) % {parts} = {number}"
        new = ", ".join(f"s.{name} AS {name}" for name in names[1:])
        at = self.cast(Kinds.INSTANT)
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE wtschat_changed AS SELECT t.* REPLACE ({new}, {at} AS loaded_at) "  # noqa: S608
            f"FROM {s} AS s JOIN {t} AS t ON t.id = s.id WHERE {chosen} AND {when.format(s='s', t='t')}",
            (moment,),
        )
        cursor.execute(f"DELETE FROM {t} WHERE id IN (SELECT id FROM wtschat_changed)")  # noqa: S608
        written = self.count(cursor)
        cursor.execute(f"INSERT INTO {t} BY NAME SELECT * FROM wtschat_changed")  # noqa: S608
        cursor.execute("DROP TABLE wtschat_changed")
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, loaded_at) SELECT {', '.join(f's.{name}' for name in names)}, {at} "  # noqa: S608
            f"FROM {s} AS s LEFT JOIN {t} AS t ON t.id = s.id WHERE {chosen} AND t.id IS NULL",
            (moment,),
        )
        return written + self.count(cursor)


def _escaped(text: str) -> str:
    return text.replace("'", "''").replace("%", "%%")


class DuckDbBusyError(Exception):
    """Another process has the file open."""


DUCKDB_MEMORY = "256MB"
"""What DuckDB may keep in memory, unless the connection says otherwise; by itself it takes most of a machine."""


def check_duckdb(conn_id: str, path: str | None) -> None:
    """
    Check, before anything is read, that a DuckDB file can be used.

    :param conn_id: id of the connection
    :param path: path of its file
    :raises AirflowOptionalProviderFeatureException: if DuckDB is not installed
    :raises WtsChatArgumentError: if there is no path, or no folder for the file
    """
    if importlib.util.find_spec("duckdb") is None:
        msg = "A connection of type duckdb needs DuckDB: pip install 'airflow-provider-wtschat[duckdb]'"
        raise AirflowOptionalProviderFeatureException(msg)
    if not path:
        raise WtsChatArgumentError("sql_conn_id", f"the connection {conn_id!r} has no path of a DuckDB file (host)")
    folder = Path(path).absolute().parent
    if not folder.is_dir() or Path(path).is_dir():
        reason = f"the connection {conn_id!r} names the DuckDB file {path}, and there is no folder {folder} for it"
        raise WtsChatArgumentError("sql_conn_id", reason)


def duckdb_connection(path: str, memory_limit: str | None = None) -> Any:
    """
    Open a DuckDB database.

    :param path: path of its file
    :param memory_limit: what it may keep in memory, such as ``2GB``. Default: :data:`DUCKDB_MEMORY`
    :raises DuckDbBusyError: if the file cannot be opened now
    """
    import duckdb

    # One thread is faster than several for batches of this size.
    config: dict[str, Any] = {
        "memory_limit": memory_limit or DUCKDB_MEMORY,
        "threads": 1,
        "preserve_insertion_order": False,
    }
    try:
        return duckdb.connect(path, config=config)
    except duckdb.IOException as error:
        message = f"{error}"
        raise DuckDbBusyError(message) from None


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "sqlite": Sqlite,
    "postgres": Postgres,
    "mysql": MySql,
    "duckdb": DuckDb,
}
"""By type of connection."""


def dialect_of(conn_type: str, conn_id: str) -> Dialect:
    """
    Return the dialect of a connection.

    :param conn_type: type of the connection
    :param conn_id: its id, for the error
    :raises WtsChatArgumentError: if there is none; the error names them
    """
    if conn_type not in DIALECTS:
        raise WtsChatArgumentError(
            "sql_conn_id",
            f"the connection {conn_id!r} is of type {conn_type!r}; known are {', '.join(DIALECTS)}. Other warehouses "
            "load the Parquet of WtsChatToObjectStorageOperator with an operator of their own, and merge it with the "
            "statement that merge_sql prints",
        )
    return DIALECTS[conn_type]()
