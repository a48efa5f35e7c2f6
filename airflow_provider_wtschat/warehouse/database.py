"""A database that rows are loaded into: its connection, its transactions, and the tables in it."""

from __future__ import annotations

import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from airflow_provider_wtschat._compat import BaseHook, get_database_hook
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError, WtsChatError
from airflow_provider_wtschat.warehouse.dialects import (
    Dialect,
    DuckDbBusyError,
    check_duckdb,
    dialect_of,
    duckdb_connection,
)
from airflow_provider_wtschat.warehouse.rows import Values
from airflow_provider_wtschat.warehouse.tables import Column, Kinds

log = logging.getLogger(__name__)

LONGEST_NAME = 63
"""Characters of a table's name: PostgreSQL cuts off what is longer, without an error."""

_IDLE, _HELD = 0.3, 2.0
"""Seconds after which a DuckDB file that rests is closed, and for which it is held at most while it is used."""
_QUOTED = re.compile(r"""(['"`])(.*?)\1""")
_MAY_PASS = {"OperationalError", "InterfaceError", "InternalError"}
"""Classes of PEP 249 for what may be gone at the next try: a lost connection, a lock, memory, a full disk."""


class Database:
    """
    A database that rows are loaded into, open within its ``with`` block.

    A DuckDB file belongs to one process at a time. It is opened by the first transaction and closed by :meth:`rest`,
    while rows are read, so that loads into one file take turns.

    :param sql_conn_id: id of the connection
    :param schema: schema of its tables, where it is not the connection's own
    :param wait: seconds to wait for a DuckDB file that another process has open
    """

    def __init__(self, sql_conn_id: str, schema: str | None = None, *, wait: float = 60.0) -> None:
        described = BaseHook.get_connection(sql_conn_id)
        self.dialect: Dialect = dialect_of(described.conn_type or "", sql_conn_id)
        self._conn_id = sql_conn_id
        self._schema = schema
        self._wait = wait
        self._names: set[str] = set()
        self._connection: Any = None
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._opened_at = 0.0
        self._file: tuple[str, str | None] | None = None
        if self.dialect.name == "duckdb":
            check_duckdb(sql_conn_id, described.host)
            self._file = (str(described.host), described.extra_dejson.get("memory_limit"))
        else:
            hook = get_database_hook(sql_conn_id)
            with self._telling():
                self._connection = hook.get_conn()
                self.dialect.prepare(self._connection)

    def __enter__(self) -> Database:
        """Return the database."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def rest(self) -> None:
        """Let other processes have a file that belongs to one at a time, soon, until the next transaction."""
        if self._file is None or self._connection is None:
            return
        if time.monotonic() - self._opened_at > _HELD:
            self.close()
            return
        # To close a file and open it again takes time, and the next rows may be here already.
        self._timer = threading.Timer(_IDLE, self.close)
        self._timer.daemon = True
        self._timer.start()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """
        Open a transaction; it is committed unless the block fails.

        :raises WtsChatDestinationError: if the database refuses something
        """
        if self._timer is not None:
            self._timer.cancel()
        with self._lock, self._telling(), self.dialect.cursor(connection := self._connected()) as cursor:
            self.dialect.begin(cursor)
            try:
                yield cursor
                connection.commit()
            except BaseException:
                # What failed matters more than that the connection is gone, too.
                with suppress(Exception):
                    connection.rollback()
                raise

    def named(self, name: str) -> str:
        """
        Return the name of a table, with its schema.

        :param name: the name alone
        """
        return f"{self._schema}.{name}" if self._schema else name

    def ask(self, cursor: Any, sql: str, values: Sequence[Any] = ()) -> list[Values]:
        """
        Run a query, or a statement.

        :param cursor: a cursor
        :param sql: the statement, with ``?`` for each bound value
        :param values: the values
        :return: its rows, none for a statement
        """
        cursor.execute(sql.replace("?", self.dialect.placeholder), tuple(values))
        return [tuple(row) for row in cursor.fetchall()] if sql.lstrip().upper().startswith("SELECT") else []

    def columns(self, table: str) -> set[str]:
        """
        Return the names of a table's columns; none if it is not there.

        :param table: name of the table, with its schema
        """
        with self.transaction() as cursor:
            return self.dialect.columns(cursor, table)

    def ensure(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        indexes: Iterable[str] = (),
        *,
        own: bool = False,
    ) -> set[str]:
        """
        Make a table, or add to it the columns that it does not have.

        :param table: name of the table, with its schema
        :param columns: its columns
        :param key: names of the columns of its key
        :param indexes: columns to index
        :param own: whether it is of the load's own
        :return: names of the columns that it had before
        :raises WtsChatArgumentError: if there is another table of that name
        """
        quote, kinds = self.dialect.quote, self.dialect.kinds
        alone = table.rpartition(".")[2]
        if len(alone) > LONGEST_NAME:
            reason = f"{alone} has {len(alone)} letters, and a database may cut it off after {LONGEST_NAME}"
            raise WtsChatArgumentError("table", f"{reason}; give a shorter name")
        self._names |= {table, alone, *(column.name for column in columns)}
        there = self.columns(table)
        if not there:
            parts = []
            for column in columns:
                # Keys of MySQL have to be short, and texts of a key are ids or names.
                short = self.dialect.name == "mysql" and column.name in key and column.kind is Kinds.TEXT
                parts.append(
                    f"{quote(column.name)} {'VARCHAR(190)' if short else kinds[column.kind]}"
                    f"{'' if own else self.dialect.column_comment(column.comment)}"
                )
            parts.append(f"PRIMARY KEY ({', '.join(map(quote, key))})")
            statements = [f"CREATE TABLE {quote(table)} ({', '.join(parts)}){self.dialect.table_options}"]
            said = [self.dialect.comment(table, column.name, column.comment) for column in (() if own else columns)]
            statements += filter(None, said)
            for name in indexes if self.dialect.indexed else ():
                # Of the table's schema, whose name an index cannot have.
                index = quote(shortened(alone, f"_{name}"))
                statements.append(f"CREATE INDEX {index} ON {quote(table)} ({quote(name)})")
            self._define(table, statements)
            return there
        needed = {column.name for column in columns if column.name in (*key, "payload", "hash")}
        if not own and not needed <= there:
            missing = ", ".join(sorted(needed - there))
            raise WtsChatArgumentError("table", f"{table} is there, but was not made for this: it has no {missing}")
        for column in columns:
            if column.name not in there:
                log.info("Adding the column %s to %s", column.name, table)
                self._define(table, [self.dialect.add_column(table, column)], column.name)
        return there

    def _define(self, table: str, statements: Sequence[str], column: str | None = None) -> None:
        try:
            with self.transaction() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except WtsChatError:
            # Another run may have done the same in this moment.
            there = self.columns(table)
            if not there or (column is not None and column not in there):
                raise

    def _connected(self) -> Any:
        if self._file is not None and self._connection is None:
            self._connection = self._opened(*self._file)
            self._opened_at = time.monotonic()
        return self._connection

    def _opened(self, path: str, memory_limit: str | None) -> Any:
        deadline = time.monotonic() + self._wait
        while True:
            try:
                return duckdb_connection(path, memory_limit)
            except DuckDbBusyError as busy:
                if time.monotonic() >= deadline:
                    message = (
                        f"The DuckDB file {path} could not be opened within {self._wait:.0f} s: {busy}. One process at "
                        "a time can open it; end the other one, or wait longer (lock_timeout)"
                    )
                    raise WtsChatDestinationError(message, retryable=True) from None
            time.sleep(random.uniform(0.02, 0.1))  # noqa: S311

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell an error of the driver as one of the provider, without values of rows, which may be personal data."""
        try:
            yield
        except WtsChatError:
            raise
        except Exception as error:
            classes = {base.__name__ for base in type(error).__mro__}
            if "Error" not in classes:
                raise
            code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
            said = f"{type(error).__name__}{f' {code}' if code else ''}: {self._masked(error)}"
            message = f"The database of the connection {self._conn_id!r} refused: {said}"
            # SQLite has one class for a lock and for a statement that it does not take.
            retryable = bool(classes & _MAY_PASS) and getattr(error, "sqlite_errorname", "") != "SQLITE_ERROR"
            raise WtsChatDestinationError(message, retryable=retryable) from None

    def _masked(self, error: Exception) -> str:
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        text = str(primary or error).strip().partition("\n")[0]

        def known(match: re.Match[str]) -> str:
            inner = match[2]
            return (
                match[0] if inner in self._names or set(inner.split(".")) <= self._names else f"{match[1]}…{match[1]}"
            )

        return _QUOTED.sub(known, text)


def shortened(name: str, suffix: str) -> str:
    """
    Return a name with a suffix that no database cuts off, different for names that begin alike.

    :param name: the name
    :param suffix: what is added to it
    """
    whole = name + suffix
    if len(whole) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
    return f"{name[: LONGEST_NAME - len(suffix) - 11]}_{digest}{suffix}"
