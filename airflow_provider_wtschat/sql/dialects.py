"""What the databases say differently."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

Values = tuple[Any, ...]


class Kinds(Enum):
    """What a column holds; each database has its own type for it."""

    ID = "id"
    TEXT = "text"
    INSTANT = "instant"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"
    BOOLEAN = "boolean"
    JSON = "json"
    HASH = "hash"


@dataclass(frozen=True)
class Field:
    """What a database needs to know of a column."""

    name: str
    kind: Kinds


NEWER = (
    "{s}.hash <> {t}.hash AND ({s}.updated_at > {t}.updated_at "
    "OR ({s}.updated_at = {t}.updated_at AND {s}.read_at >= {t}.read_at))"
)
"""When a row that was read replaces the one that is there."""
SAME = "{s}.hash = {t}.hash"
"""When a row that was made out of the payload anew replaces the one that is there."""


@dataclass(frozen=True)
class Merge:
    """
    How the newest staged row of each id comes into a table.

    :param columns: the columns to bring, ``id`` first
    :param moment: the moment of the load, as the database takes it
    :param when: when a staged row ``{s}`` replaces the row ``{t}`` that is there
    :param part: which part of the rows, of how many
    """

    target: str
    staged: str
    columns: Sequence[Field]
    moment: Any
    when: str = NEWER
    part: tuple[int, int] = (0, 1)


class Dialect:
    """A kind of database."""

    name: ClassVar[str]
    drivers: ClassVar[frozenset[str]]
    """Modules of the drivers, DB-API 2.0, that lead to it."""
    kinds: ClassVar[dict[Kinds, str]]
    """The type of a column by what it holds."""
    rewritten: ClassVar[frozenset[Kinds]] = frozenset()
    """Of what kinds values have to be written in another way."""
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
        """Open a cursor."""
        with closing(connection.cursor()) as cursor:
            yield cursor

    def count(self, cursor: Any) -> int:
        """Return how many rows the statement wrote that was just executed."""
        return max(0, int(cursor.rowcount))

    def quote(self, name: str) -> str:
        """Write a name so that it is one, whatever is in it."""
        mark = self.quote_character
        return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in name.split("."))

    def value(self, kind: Kinds, value: Any) -> Any:
        """Write a value as the database takes it."""
        return value

    def prepare(self, connection: Any) -> None:
        """Make a new connection ready."""

    def begin(self, cursor: Any, writes: bool = True) -> None:
        """Begin a transaction that others wait for if it writes."""

    def insert(self, cursor: Any, table: str, columns: Sequence[Field], rows: Sequence[Values]) -> None:
        """Put many rows into a table."""
        names = [self.quote(column.name) for column in columns]
        cursor.executemany(self.insert_one(table, names), self.adapted(columns, rows))

    def adapted(self, columns: Sequence[Field], rows: Iterable[Values]) -> list[Values]:
        """Write rows as the database takes them."""
        changed = [place for place, column in enumerate(columns) if column.kind in self.rewritten]
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

    def merge(self, cursor: Any, given: Merge) -> int:
        """Bring staged rows into their table, and return how many were new or had changed."""
        t, s = self.quote(given.target), self.quote(given.staged)
        names = [self.quote(column.name) for column in given.columns]
        loaded = self.quote("loaded_at")
        sets = ", ".join(f"{name} = excluded.{name}" for name in [*names[1:], loaded])
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, {loaded}) "  # noqa: S608
            f"SELECT {', '.join(names)}, {self.cast(Kinds.INSTANT)} FROM {s} WHERE superseded = 0 "
            f"ON CONFLICT (id) DO UPDATE SET {sets} WHERE {given.when.format(s='excluded', t=t)}",
            (given.moment,),
        )
        return self.count(cursor)

    def cast(self, kind: Kinds) -> str:
        """Write the mark of a bound value whose type the database cannot guess."""
        return f"CAST({self.placeholder} AS {self.kinds[kind]})"

    def insert_one(self, table: str, columns: Sequence[str]) -> str:
        """Write the statement that stores one row."""
        marks = ", ".join([self.placeholder] * len(columns))
        return f"INSERT INTO {self.quote(table)} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608

    def upsert(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> str:
        """Write the statement that stores one row by its key."""
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
        return f"{self.insert_one(table, columns)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}"

    def insert_if_new(self, table: str, columns: Sequence[str]) -> str:
        """Write the statement that stores one row unless its key is there."""
        return f"{self.insert_one(table, columns)} ON CONFLICT DO NOTHING"

    def column_comment(self, text: str) -> str:
        """Write what follows a column's type and says what it holds; nothing where the database has none."""
        return ""

    def comment(self, table: str, column: str, text: str) -> str | None:
        """Write the statement that says what a column holds, where the database has one."""
        return None

    def uncommented(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that say nothing of what they hold, where the database has comments."""
        return set()

    def add_comments(self, cursor: Any, table: str, comments: Mapping[str, str]) -> None:
        """Have columns of a table say what they hold, where the database has comments."""

    def indexed_columns(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that begin an index, whoever made it."""
        return set()


class _CommentOn(Dialect):
    """A database in which a statement of its own says what a column holds."""

    def comment(self, table: str, column: str, text: str) -> str:
        """Write the statement that says what a column holds."""
        return f"COMMENT ON COLUMN {self.quote(table)}.{self.quote(column)} IS '{_escaped(text)}'"

    def add_comments(self, cursor: Any, table: str, comments: Mapping[str, str]) -> None:
        """Have columns of a table say what they hold."""
        for column, text in comments.items():
            cursor.execute(self.comment(table, column, text))


class Sqlite(Dialect):
    """SQLite. Instants are texts in UTC with microseconds, which sort as they should."""

    name = "sqlite"
    drivers = frozenset({"sqlite3"})
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
        """Wait for other writers, and leave transactions to us."""
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 60000")

    def begin(self, cursor: Any, writes: bool = True) -> None:
        """Begin a transaction that writes, so that it waits now and not in its middle; one that reads needs none."""
        if writes:
            cursor.execute("BEGIN IMMEDIATE")

    def indexed_columns(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that begin an index, whoever made it."""
        schema, name = _split(table)
        sql = "SELECT i.name FROM pragma_index_list(?, ?) AS l JOIN pragma_index_info(l.name, ?) AS i WHERE i.seqno = 0"
        return _names(cursor, sql, name, schema or "main", schema or "main")


class Postgres(_CommentOn):
    """PostgreSQL, through psycopg 2 or 3."""

    name = "postgres"
    drivers = frozenset({"psycopg", "psycopg2"})
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

    def uncommented(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that say nothing of what they hold."""
        return _names(
            cursor,
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped "
            "AND col_description(attrelid, attnum) IS NULL",
            self.quote(table),
        )

    def indexed_columns(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that begin an index, whoever made it."""
        return _names(
            cursor,
            "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid "
            "AND a.attnum = i.indkey[0] WHERE i.indrelid = to_regclass(%s) AND i.indpred IS NULL",
            self.quote(table),
        )

    def insert(self, cursor: Any, table: str, columns: Sequence[Field], rows: Sequence[Values]) -> None:
        """Put many rows into a table, by COPY."""
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
    drivers = frozenset({"MySQLdb", "mysql", "pymysql"})
    rewritten = frozenset({Kinds.INSTANT})
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
        Have every character pass, each statement see what others committed, errors be errors, and instants be in UTC.

        In the server's own zone the hour in which summer time ends comes twice. A change of a table that somebody reads
        would wait for a year, and who reads after it as well.
        """
        if hasattr(connection, "set_character_set"):
            connection.set_character_set("utf8mb4")
        else:
            connection.set_charset_collation("utf8mb4", "utf8mb4_bin")
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
                "lock_wait_timeout = 60"
            )

    def value(self, kind: Kinds, value: Any) -> Any:
        """Write an instant without its zone, for which there is no room."""
        return str(value).replace("T", " ").removesuffix("Z") if kind is Kinds.INSTANT else value

    def column_comment(self, text: str) -> str:
        """Write what says, where a table is made, what a column holds."""
        return f" COMMENT '{_escaped(text)}'"

    def uncommented(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that say nothing of what they hold."""
        return {name for name, _ in self._bare(cursor, table)}

    def add_comments(self, cursor: Any, table: str, comments: Mapping[str, str]) -> None:
        """Have columns say what they hold, in one statement that does not write the table anew."""
        # MariaDB checks that JSON is JSON by a constraint, which is part of a column's definition.
        kept = [
            f"MODIFY {self.quote(name)} {kind} COMMENT '{_escaped(comments[name])}'"
            for name, kind in self._bare(cursor, table)
            if name in comments
        ]
        if kept:
            cursor.execute(f"ALTER TABLE {self.quote(table)} {', '.join(kept)}, ALGORITHM=INPLACE, LOCK=NONE")

    def _bare(self, cursor: Any, table: str) -> list[tuple[str, str]]:
        cursor.execute(
            "SELECT c.column_name, c.column_type, c.character_set_name, c.collation_name "
            "FROM information_schema.columns AS c WHERE c.table_schema = COALESCE(%s, DATABASE()) "
            "AND c.table_name = %s AND c.column_comment = '' AND c.is_nullable = 'YES' AND c.extra = '' "
            "AND (c.column_default IS NULL OR c.column_default = 'NULL') "
            "AND c.column_name <> 'payload'",
            _split(table),
        )
        return [
            (name, f"{_said(kind)} CHARACTER SET {letters} COLLATE {order} NULL" if letters else f"{_said(kind)} NULL")
            for name, kind, letters, order in cursor.fetchall()
        ]

    def indexed_columns(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that begin an index, whoever made it."""
        return _names(
            cursor,
            "SELECT column_name FROM information_schema.statistics "
            "WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s AND seq_in_index = 1",
            *_split(table),
        )

    def merge(self, cursor: Any, given: Merge) -> int:
        """Bring staged rows into their table, and return how many were new or had changed."""
        t, s = self.quote(given.target), self.quote(given.staged)
        names = [self.quote(column.name) for column in given.columns]
        loaded = self.quote("loaded_at")
        sets = ", ".join(f"t.{name} = s.{name}" for name in names[1:])
        cursor.execute(
            f"UPDATE {t} AS t JOIN {s} AS s ON s.id = t.id "  # noqa: S608
            f"SET t.{loaded} = %s, {sets} WHERE s.superseded = 0 AND {given.when.format(s='s', t='t')}",
            (given.moment,),
        )
        written = self.count(cursor)
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, {loaded}) "  # noqa: S608
            f"SELECT {', '.join(f's.{name}' for name in names)}, %s FROM {s} AS s "
            f"LEFT JOIN {t} AS t ON t.id = s.id WHERE s.superseded = 0 AND t.id IS NULL",
            (given.moment,),
        )
        return written + self.count(cursor)

    def cast(self, kind: Kinds) -> str:
        """Write the mark of a bound value."""
        return self.placeholder

    def upsert(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> str:
        """Write the statement that stores one row by its key."""
        sets = ", ".join(f"{name} = VALUES({name})" for name in columns if name not in keys)
        return f"{self.insert_one(table, columns)} ON DUPLICATE KEY UPDATE {sets}"

    def insert_if_new(self, table: str, columns: Sequence[str]) -> str:
        """Write the statement that stores one row unless its key is there."""
        return self.insert_one(table, columns).replace("INSERT INTO", "INSERT IGNORE INTO", 1)


class DuckDb(_CommentOn):
    """DuckDB. Instants are in UTC: a type with a zone would need another package to be read."""

    name = "duckdb"
    drivers = frozenset()
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
        """Return the connection itself: a cursor would be another one, with transactions of its own."""
        yield connection

    def count(self, cursor: Any) -> int:
        """Return how many rows the statement wrote that was just executed."""
        row = cursor.fetchone()
        return int(row[0]) if row else 0

    def begin(self, cursor: Any, writes: bool = True) -> None:
        """Begin a transaction."""
        cursor.execute("BEGIN")

    def uncommented(self, cursor: Any, table: str) -> set[str]:
        """Find the columns of a table that say nothing of what they hold."""
        return _names(
            cursor,
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = COALESCE(?, current_schema()) "
            "AND table_name = ? AND comment IS NULL",
            *_split(table),
        )

    def insert(self, cursor: Any, table: str, columns: Sequence[Field], rows: Sequence[Values]) -> None:
        """Put many rows into a table, a column at a time: row by row it would take a hundred times as long."""
        names = ", ".join(self.quote(column.name) for column in columns)
        values = []
        for column in columns:
            # Instants and JSON arrive as texts.
            given = "VARCHAR" if column.kind in (Kinds.INSTANT, Kinds.JSON) else self.kinds[column.kind]
            values.append(f"CAST(unnest(CAST(? AS {given}[])) AS {self.kinds[column.kind]})")
        sql = f"INSERT INTO {self.quote(table)} ({names}) SELECT {', '.join(values)}"
        cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])

    def merge(self, cursor: Any, given: Merge) -> int:
        """
        Bring the newest staged row of each id into the table.

        Rows that change are taken out and put in again: to update them in place takes many times as long, and memory
        that grows with the table.

        :return: rows written
        """
        t, s = self.quote(given.target), self.quote(given.staged)
        names = [self.quote(column.name) for column in given.columns]
        number, parts = given.part
        chosen = f"s.superseded = 0 AND hash(s.id) % {parts} = {number}"
        new = ", ".join(f"s.{name} AS {name}" for name in names[1:])
        at = self.cast(Kinds.INSTANT)
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE wtschat_changed AS SELECT t.* REPLACE ({new}, {at} AS loaded_at) "  # noqa: S608
            f"FROM {s} AS s JOIN {t} AS t ON t.id = s.id WHERE {chosen} AND {given.when.format(s='s', t='t')}",
            (given.moment,),
        )
        cursor.execute(f"DELETE FROM {t} WHERE id IN (SELECT id FROM wtschat_changed)")  # noqa: S608
        written = self.count(cursor)
        cursor.execute(f"INSERT INTO {t} BY NAME SELECT * FROM wtschat_changed")  # noqa: S608
        cursor.execute("DROP TABLE wtschat_changed")
        cursor.execute(
            f"INSERT INTO {t} ({', '.join(names)}, loaded_at) SELECT {', '.join(f's.{name}' for name in names)}, {at} "  # noqa: S608
            f"FROM {s} AS s LEFT JOIN {t} AS t ON t.id = s.id WHERE {chosen} AND t.id IS NULL",
            (given.moment,),
        )
        return written + self.count(cursor)


def _names(cursor: Any, sql: str, *values: Any) -> set[str]:
    """Run a query for names."""
    cursor.execute(sql, values)
    return {row[0] for row in cursor.fetchall()}


def _split(table: str) -> tuple[str | None, str]:
    """Return a table's schema, if it was given, and its name."""
    schema, _, name = table.rpartition(".")
    return schema or None, name


def _said(kind: Any) -> str:
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _escaped(text: str) -> str:
    return text.replace("'", "''")


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "sqlite": Sqlite,
    "postgres": Postgres,
    "mysql": MySql,
    "duckdb": DuckDb,
}
"""By type of connection."""


def driver_of(connection: Any) -> str:
    """Name the driver of a DB-API connection."""
    return type(connection).__module__.partition(".")[0]


def dialect_of_driver(connection: Any) -> Dialect | None:
    """Return the dialect of what a connection leads to; ``None`` if there is none."""
    driver = driver_of(connection)
    return next((kind() for kind in (Sqlite, Postgres, MySql) if driver in kind.drivers), None)
