"""A database that rows are loaded into: one of the connection's type, or a DuckDB file."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import (
    AirflowOptionalProviderFeatureException,
    BaseHook,
    get_database_hook,
)
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError
from airflow_provider_wtschat.sql.database import Database as _Database
from airflow_provider_wtschat.sql.dialects import DIALECTS
from airflow_provider_wtschat.warehouse.tables import Column, Kinds

if TYPE_CHECKING:
    from filelock import FileLock

log = logging.getLogger(__name__)

LONGEST_NAME = 63
"""Characters of a table's name: PostgreSQL cuts off what is longer, without an error."""

_IDLE, _HELD = 0.3, 2.0
"""Seconds after which a DuckDB file that rests is closed, and for which it is held at most while it is used."""
_DUCKDB_MEMORY = "256MB"
"""What DuckDB may keep in memory, unless the connection says otherwise; by itself it takes most of a machine."""


class Database(_Database):
    """
    A database that rows are loaded into, open within its ``with`` block.

    A DuckDB file belongs to one process at a time. It is opened by the first transaction and closed by :meth:`rest`,
    while rows are read, so that loads into one file take turns, by a lock on an empty file beside it.

    :param schema: schema of its tables, where it is not the connection's own
    :param wait: seconds to wait for a DuckDB file that another process has open
    """

    # A load goes on where it stopped, in another try of the task.
    attempts = 1

    def __init__(self, sql_conn_id: str, schema: str | None = None, *, wait: float = 60.0) -> None:
        described = BaseHook.get_connection(sql_conn_id)
        kind = described.conn_type or ""
        if kind not in DIALECTS:
            raise WtsChatArgumentError(
                "sql_conn_id",
                f"the connection {sql_conn_id!r} is of type {kind!r}; known are {', '.join(DIALECTS)}. Other "
                "warehouses load the Parquet of WtsChatToObjectStorageOperator with an operator of their own, and "
                "merge it with the statement that merge_sql prints",
            )
        self._schema = schema
        self._wait = wait
        self._timer: threading.Timer | None = None
        self._opened_at = 0.0
        self._file: tuple[str, str | None] | None = None
        self._turn: FileLock | None = None
        if kind == "duckdb":
            _check_duckdb(sql_conn_id, described.host)
            self._file = (str(described.host), described.extra_dejson.get("memory_limit"))
        hook = None if self._file else get_database_hook(sql_conn_id)
        super().__init__(hook, f"The database of the connection {sql_conn_id!r}")
        self._dialect = DIALECTS[kind]()

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

    def close(self) -> None:
        """Close the connection, and let the next process have a DuckDB file."""
        with self._lock:
            super().close()
            turn, self._turn = self._turn, None
            if turn is not None:
                turn.release()

    def instant(self, moment: datetime) -> Any:
        """Write an instant as the database takes it."""
        return self.dialect.value(Kinds.INSTANT, instants.write(moment))

    def named(self, name: str) -> str:
        """Return the name of a table, with its schema."""
        return f"{self._schema}.{name}" if self._schema else name

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

        :param table: its name, with its schema
        :param own: whether it is of the load's own
        :return: names of the columns that it had before
        :raises WtsChatArgumentError: if there is another table of that name
        """
        dialect, quote = self.dialect, self.dialect.quote
        alone = table.rpartition(".")[2]
        if len(alone) > LONGEST_NAME:
            reason = f"{alone} has {len(alone)} letters, and a database may cut it off after {LONGEST_NAME}"
            raise WtsChatArgumentError("table", f"{reason}; give a shorter name")
        self._names |= {table, alone}
        definitions = {}
        for column in columns:
            # Keys of MySQL have to be short, and texts of a key are ids or names.
            short = dialect.name == "mysql" and column.name in key and column.kind is Kinds.TEXT
            comment = "" if own else dialect.column_comment(column.comment)
            kind = "VARCHAR(190)" if short else dialect.kinds[column.kind]
            definitions[column.name] = f"{quote(column.name)} {kind}{comment}"
        said = [dialect.comment(table, column.name, column.comment) for column in (() if own else columns)]
        # An index is of its table's schema, whose name it cannot have.
        indexed = [
            f"CREATE INDEX {quote(shortened(alone, f'_{name}'))} ON {quote(table)} ({quote(name)})"
            for name in (indexes if dialect.indexed else ())
        ]
        needed = set() if own else {column.name for column in columns if column.name in (*key, "payload", "hash")}
        return self.make(
            quote(table),
            definitions,
            [f"PRIMARY KEY ({', '.join(map(quote, key))})"],
            [*filter(None, said), *indexed],
            needed=needed,
        )

    def describe(self, table: str, columns: Sequence[Column], indexes: Iterable[str]) -> bool:
        """
        Index a table that is there already, and have its columns say what they hold, as far as that is not so yet.

        Without the right to do it everything works, too, and what cannot be done is logged.

        :param table: its name, with its schema
        :return: whether there is nothing left that another try could do
        """
        dialect = self.dialect
        alone = table.rpartition(".")[2]

        def comment(cursor: Any) -> None:
            bare = dialect.uncommented(cursor, table)
            dialect.add_comments(
                cursor, table, {column.name: column.comment for column in columns if column.name in bare}
            )

        def wanted(cursor: Any) -> list[str]:
            there = dialect.indexed_columns(cursor, table)
            return [name for name in indexes if name not in there] if dialect.indexed else []

        try:
            self.do(comment)
            for name in self.do(wanted, writes=False):
                log.info("Indexing %s of %s", name, table)
                index = dialect.quote(shortened(alone, f"_{name}"))
                statement = f"CREATE INDEX {index} ON {dialect.quote(table)} ({dialect.quote(name)})"
                self._define([statement], lambda name=name: name not in self.do(wanted, writes=False))  # type: ignore[misc]
        except WtsChatDestinationError as error:
            log.warning("The table %s stays without some indexes or comments: %s", table, error)
            return not error.retryable
        return True

    def _connected(self) -> Any:
        if self._timer is not None:
            self._timer.cancel()
        return super()._connected()

    def _open(self) -> Any:
        if self._file is None:
            return super()._open()
        import duckdb
        from filelock import FileLock, Timeout

        path, memory_limit = self._file
        # One thread is faster than several for batches of this size.
        config: dict[str, Any] = {
            "memory_limit": memory_limit or _DUCKDB_MEMORY,
            "threads": 1,
            "preserve_insertion_order": False,
        }
        # DuckDB's own lock is not enough: it reads the head of the file before it locks it, and writes over what
        # another process stored in between.
        turn = FileLock(f"{path}.lock", thread_local=False, is_singleton=True)
        deadline = time.monotonic() + self._wait
        try:
            turn.acquire(self._wait, poll_interval=0.05)
        except Timeout as busy:
            raise self._taken(path, busy) from None
        try:
            while True:
                try:
                    connection = duckdb.connect(path, config=config)
                    break
                except duckdb.IOException as busy:
                    if time.monotonic() >= deadline:
                        raise self._taken(path, busy) from None
                    time.sleep(random.uniform(0.02, 0.1))  # noqa: S311
        except BaseException:
            turn.release()
            raise
        self._turn = turn
        self._opened_at = time.monotonic()
        return connection

    def _taken(self, path: str, busy: Exception) -> WtsChatDestinationError:
        message = (
            f"The DuckDB file {path} could not be opened within {self._wait:.0f} s: {busy}. One process at a time can "
            "open it; end the other one, or wait longer (lock_timeout)"
        )
        return WtsChatDestinationError(message, retryable=True)


def _check_duckdb(conn_id: str, path: str | None) -> None:
    """Check, before anything is read, that a DuckDB file can be used."""
    if not (importlib.util.find_spec("duckdb") and importlib.util.find_spec("filelock")):
        msg = "A connection of type duckdb needs DuckDB: pip install 'airflow-provider-wtschat[duckdb]'"
        raise AirflowOptionalProviderFeatureException(msg)
    if not path:
        raise WtsChatArgumentError("sql_conn_id", f"the connection {conn_id!r} has no path of a DuckDB file (host)")
    folder = Path(path).absolute().parent
    if not folder.is_dir() or Path(path).is_dir():
        reason = f"the connection {conn_id!r} names the DuckDB file {path}, and there is no folder {folder} for it"
        raise WtsChatArgumentError("sql_conn_id", reason)


def shortened(name: str, suffix: str) -> str:
    """Return a name with a suffix that no database cuts off, different for names that begin alike."""
    whole = name + suffix
    if len(whole) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
    return f"{name[: LONGEST_NAME - len(suffix) - 11]}_{digest}{suffix}"
