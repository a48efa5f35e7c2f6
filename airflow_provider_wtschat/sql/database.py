"""A database that has tables of ours: its connection, its transactions, and making the tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, ClassVar, Self, TypeVar, cast

import tenacity

from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError, WtsChatError
from airflow_provider_wtschat.sql.dialects import Dialect, Values, dialect_of_driver, driver_of
from airflow_provider_wtschat.sql.errors import explained

T = TypeVar("T")

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_PAUSE = 0.2


class Database:
    """
    A database that has tables of ours; the first statement opens its connection.

    Work given to :meth:`do` is a transaction that may be done again: one that fails for a reason that may pass is
    repeated on a new connection.

    :param about: what is asked of which database, for errors
    """

    attempts: ClassVar[int] = _ATTEMPTS

    def __init__(self, hook: Any, about: str) -> None:
        self._hook = hook
        self._about = about
        self._names: set[str] = set()
        self._connection: Any = None
        self._dialect: Dialect | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def dialect(self) -> Dialect:
        """How the database writes what databases write differently."""
        if self._dialect is None:
            self._connected()
        return cast("Dialect", self._dialect)

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(Exception):
                    connection.close()

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[Any]:
        """
        Open a transaction; it is committed unless the block fails.

        :param writes: whether it changes anything, so that it waits for other writers now and not in its middle
        :raises WtsChatDestinationError: if the database refuses something
        """
        try:
            with self._lock, self._transaction(writes) as cursor:
                yield cursor
        except Exception as error:
            meaning = explained(error, self._about, self._names)
            if meaning is error:
                raise
            if isinstance(meaning, WtsChatDestinationError) and meaning.retryable:
                self.close()
            # Without its cause, whose words may quote a row.
            raise meaning from None
        except BaseException:
            # Nobody knows what the connection was doing.
            self.close()
            raise

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Any]:
        connection = self._connected()
        with self.dialect.cursor(connection) as cursor:
            self.dialect.begin(cursor, writes)
            try:
                yield cursor
                connection.commit()
            except Exception:
                try:
                    connection.rollback()
                except Exception:  # what failed matters more than that the connection is gone, too
                    self.close()
                raise

    def do(self, work: Callable[[Any], T], *, unless: Callable[[], bool] = lambda: False, writes: bool = True) -> T:
        """
        Do something in a transaction; if that fails for a reason that may pass, again on a new connection.

        :param work: is given a cursor
        :param unless: whether doing it again has become needless
        :raises WtsChatDestinationError: if the database refuses it
        """

        def once() -> T:
            with self.transaction(writes=writes) as cursor:
                return work(cursor)

        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, WtsChatDestinationError) and bool(error.retryable) and not unless()
            ),
            wait=tenacity.wait_random_exponential(multiplier=_PAUSE, max=5),
            stop=tenacity.stop_after_attempt(self.attempts),
            reraise=True,
        )
        result: T = again(once)
        return result

    def execute(self, cursor: Any, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        """
        Execute a statement in a transaction that is under way.

        :param sql: the statement, with a question mark for each value, or what the dialect wrote for it
        :param many: values of the one ``{many}`` in it
        """
        mark = self.dialect.placeholder
        text = sql.replace("?", mark)
        # The values of {many} go where it stands, which is behind as many other values as there are places before it.
        place = text.partition("{many}")[0].count(mark)
        given = [*values[:place], *many, *values[place:]]
        cursor.execute(
            text.replace("{many}", ", ".join([mark] * len(many))),
            tuple([value.value if isinstance(value, Enum) else value for value in given]),
        )

    def ask(self, cursor: Any, sql: str, *values: Any, many: Sequence[Any] = ()) -> list[Values]:
        """Read rows in a transaction that is under way, see :meth:`execute`."""
        self.execute(cursor, sql, *values, many=many)
        return [tuple(row) for row in cursor.fetchall()]

    def query(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> list[Values]:
        """Read rows in a transaction of their own, see :meth:`execute`."""
        return self.do(lambda cursor: self.ask(cursor, sql, *values, many=many), writes=False)

    def change(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        """Change rows in a transaction of their own, see :meth:`execute`."""
        self.do(lambda cursor: self.execute(cursor, sql, *values, many=many))

    def columns(self, table: str, *, must: bool = False) -> set[str]:
        """
        Return the names of a table's columns, in small letters; none if it cannot be read.

        :param table: its name, as it stands in a statement
        :param must: whether that it cannot be read is an error
        """

        def read(cursor: Any) -> set[str]:
            cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608  # a name that was checked or quoted
            found = {str(column[0]).lower() for column in cursor.description}
            cursor.fetchall()
            return found

        try:
            return self.do(read, writes=False)
        except WtsChatDestinationError as error:
            if must or error.retryable:
                raise
            return set()

    def make(
        self,
        table: str,
        columns: Mapping[str, str],
        constraints: Sequence[str] = (),
        then: Sequence[str] = (),
        needed: Set[str] = frozenset(),
    ) -> set[str]:
        """
        Make a table where it is not there, and add columns that one of an earlier version lacks.

        A login without the right to create tables will do where the table is there.

        :param table: its name, as it stands in a statement
        :param columns: definitions with the name, by name; those that are added later must not be NOT NULL
        :param then: statements to run where the table is made
        :param needed: columns without which it is another table of that name
        :return: the columns that it had before
        :raises WtsChatArgumentError: if there is another table of that name
        """
        self._names |= {table, *columns}
        there = before = self.columns(table)
        if not before:
            lines = ", ".join([*columns.values(), *constraints])
            create = f"CREATE TABLE IF NOT EXISTS {table} ({lines}){self.dialect.table_options}"
            self._define([create, *then], lambda: bool(self.columns(table)))
            there = self.columns(table, must=True)
        if missing := ", ".join(sorted(needed - there)):
            raise WtsChatArgumentError("table", f"{table} is there, but was not made for this: it has no {missing}")
        for name, definition in columns.items():
            if name not in there:
                log.info("Adding the column %s to %s", name, table)
                add = f"ALTER TABLE {table} ADD COLUMN {definition}"
                self._define([add], lambda name=name: name in self.columns(table))  # type: ignore[misc]
        return before

    def index(self, table: str, name: str, *columns: str) -> None:
        """Make an index where that is possible; without it everything works, and slower."""
        with suppress(WtsChatError):
            self.do(lambda cursor: cursor.execute(f"CREATE INDEX {name} ON {table} ({', '.join(columns)})"))

    def _define(self, statements: Sequence[str], done: Callable[[], bool]) -> None:
        """Do what several workers may be doing at once, of which one fails."""

        def run(cursor: Any) -> None:
            for statement in statements:
                cursor.execute(statement)

        try:
            self.do(run)
        except WtsChatDestinationError:
            if not done():
                raise

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> Any:
        connection = self._hook.get_conn()
        if self._dialect is None:
            self._dialect = dialect_of_driver(connection)
        if self._dialect is None:
            connection.close()
            msg = f"tables are kept in SQLite, PostgreSQL or MySQL; the connection's driver is {driver_of(connection)}"
            raise WtsChatArgumentError("table_conn_id", msg)
        if self._hook.supports_autocommit:
            self._hook.set_autocommit(connection, False)
        self._dialect.prepare(connection)
        return connection
