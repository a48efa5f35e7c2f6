"""Statements on any database that keeps the promise of a dispatch, in transactions that may be repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from enum import Enum
from importlib import import_module
from typing import Any, TypeVar

import tenacity

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException, get_database_hook
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError

try:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
except ImportError as error:
    msg = "Transfers with SQL need the extra 'sql': pip install 'airflow-provider-wtschat[sql]'"
    raise AirflowOptionalProviderFeatureException(msg) from error

__all__ = ["Database", "DbApiHook", "checked_name", "connected", "connection_id", "explained", "streaming_cursor"]

T = TypeVar("T")

SQLITE = frozenset({"sqlite3"})
POSTGRES = frozenset({"psycopg", "psycopg2"})
MYSQL = frozenset({"MySQLdb", "mysql", "pymysql"})

_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_ATTEMPTS = 4
_PAUSE = 0.2
_BUSY_MS = 60_000
_LONGEST_WORDS = 200
_PASSING_SQLITE = frozenset({5, 6, 10, 13, 14, 15})
"""Result codes: busy, locked, I/O error, full, cannot open, protocol."""
_PASSING_STATES = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE: lost connections, conflicts of transactions, no resources, locks, a server that shuts down."""
_PASSING_MYSQL = frozenset({-1, 1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013, 2055})
_QUOTING = frozenset({"DataError", "IntegrityError"})
"""Errors whose words quote what a row holds."""


def connected(argument: str, conn_id: Any) -> DbApiHook:
    """
    Return the hook of a database.

    :param argument: the argument that the id was given to, for the error
    :param conn_id: id of the connection
    :raises WtsChatArgumentError: if the connection is not one to a database
    """
    name = convert.required_text(argument, conn_id)
    hook = get_database_hook(name)
    if not isinstance(hook, DbApiHook):
        msg = f"the connection {name!r} is no database, or its provider does not build on common.sql"
        raise WtsChatArgumentError(argument, msg)
    return hook


def connection_id(hook: DbApiHook) -> str:
    """
    Return the id of the connection of a hook, for errors.

    :param hook: the hook
    """
    return str(getattr(hook, str(hook.conn_name_attr), ""))


def checked_name(argument: str, name: Any) -> str:
    """
    Take the name of a table, which goes into statements as it is.

    :param argument: the argument that it was given to, for the error
    :param name: the name, with or without its schema
    :raises WtsChatArgumentError: if that is not a name
    """
    text = convert.required_text(argument, name).strip()
    if not _TABLE.fullmatch(text):
        msg = f"{text!r} was given; a name such as wtschat_campaign or schema.wtschat_campaign is wanted"
        raise WtsChatArgumentError(argument, msg)
    return text


def driver(connection: Any) -> str:
    """
    Name the driver of a DB-API connection.

    :param connection: the connection
    """
    return type(connection).__module__.partition(".")[0]


def may_pass(error: BaseException) -> bool:
    """
    Tell whether the same statement may succeed later, on a new connection.

    :param error: what a driver raised
    """
    kinds = _kinds(error)
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _PASSING_SQLITE
    if state := getattr(error, "pgcode", None):
        return str(state).startswith(_PASSING_STATES)
    if isinstance(number := getattr(error, "errno", None), int):
        return number in _PASSING_MYSQL
    # What is left are connections that are gone, of which SQLite says ProgrammingError.
    return bool(kinds & {"InterfaceError", "OperationalError"}) or type(error).__module__ == "sqlite3"


def explained(error: Exception, about: str) -> Exception:
    """
    Return an error that says what a database refused, without what its rows hold; other errors as they are.

    :param error: what was raised
    :param about: what was asked of which database, such as ``The query of sql_conn_id 'warehouse'``
    """
    if "Error" not in _kinds(error):
        return error
    # PostgreSQL adds the statement and the values to what it says first.
    told = getattr(getattr(error, "diag", None), "message_primary", None) or getattr(error, "msg", None) or str(error)
    words = "" if _QUOTING & _kinds(error) else f": {convert.one_line(masked(told), _LONGEST_WORDS)}"
    passing = may_pass(error)
    advice = "A retry may help" if passing else "A retry does not help: mend it, then clear the task"
    return WtsChatError(f"{about} failed with {type(error).__name__}{words}. {advice}", retryable=passing)


def _kinds(error: BaseException) -> set[str]:
    """Name the classes that DB-API 2.0 gives the errors of every driver."""
    return {kind.__name__ for kind in type(error).__mro__ if kind.__module__ != "builtins"}


@contextmanager
def streaming_cursor(hook: DbApiHook) -> Iterator[Any]:
    """
    Open a cursor that does not read all rows into memory, which those of two drivers do unless they are asked not to.

    :param hook: hook of the database
    """
    with closing(hook.get_conn()) as connection:
        name = driver(connection)
        if name in POSTGRES:
            # The server keeps the rows of a named cursor, for as long as the transaction lasts.
            hook.set_autocommit(connection, False)
            cursor = connection.cursor("wtschat")
        elif name == "MySQLdb":
            cursor = connection.cursor(import_module("MySQLdb.cursors").SSCursor)
        else:
            cursor = connection.cursor()
        with closing(cursor):
            yield cursor


class Database:
    """
    A database that keeps tables of campaigns: SQLite, PostgreSQL or MySQL.

    Every piece of work is a transaction of its own. One that fails for a reason that may pass is done again on a new
    connection, so all of them are written to be repeatable.

    :param hook: hook of the database
    :param about: what is asked of which database, for errors
    """

    def __init__(self, hook: DbApiHook, about: str) -> None:
        self._hook = hook
        self._about = about
        self._connection: Any = None

    def ensure(self, table: str, columns: Mapping[str, str], *constraints: str) -> set[str]:
        """
        Make a table where it is missing, and add columns that one of an earlier version lacks.

        A login without the right to create tables will do where the table is there.

        :param table: its name
        :param columns: definition by name; those that are added later must not be NOT NULL
        :param constraints: constraints of the table
        :return: the columns that were made
        :raises WtsChatArgumentError: if the table's engine knows no transactions
        """
        there = self._columns(table)
        before = there or set()
        if there is None:
            lines = ", ".join([*(f"{name} {kind}" for name, kind in columns.items()), *constraints])
            self._unless_done(
                lambda cursor: cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({lines}){self._table_options()}"),
                lambda: self._columns(table) is not None,
            )
            there = self._columns(table) or set()
        for name, kind in columns.items():
            if name not in there:
                self._add_column(table, name, kind)
        self._check_engine(table)
        return columns.keys() - before

    def query(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> list[Any]:
        """
        Read rows.

        :param sql: the statement, with a question mark for each value
        :param values: the values
        :param many: values of the one ``{many}`` in it
        """

        def read(cursor: Any) -> list[Any]:
            self.execute(cursor, sql, *values, many=many)
            return [tuple(row) for row in cursor.fetchall()]

        return self.do(read)

    def change(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        """
        Change rows.

        :param sql: the statement, with a question mark for each value
        :param values: the values
        :param many: values of the one ``{many}`` in it
        """
        self.do(lambda cursor: self.execute(cursor, sql, *values, many=many))

    def execute(self, cursor: Any, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        """
        Execute a statement in a transaction that is under way.

        :param cursor: its cursor
        :param sql: the statement, with a question mark for each value
        :param values: the values
        :param many: values of the one ``{many}`` in it
        """
        # The values of {many} go where it stands, which is behind as many other values as there are places before it.
        place = sql.partition("{many}")[0].count("?")
        given = [*values[:place], *many, *values[place:]]
        text = sql.replace("{many}", ", ".join("?" * len(many)))
        cursor.execute(
            text.replace("?", self._hook.placeholder),
            tuple(value.value if isinstance(value, Enum) else value for value in given),
        )

    def do(self, work: Callable[[Any], T], *, unless: Callable[[], bool] = lambda: False) -> T:
        """
        Do something in a transaction; if that fails for a reason that may pass, again on a new connection.

        :param work: is given a cursor
        :param unless: whether doing it again has become needless
        :raises WtsChatError: if the database refuses it
        """
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, Exception) and _is_of_driver(error) and may_pass(error) and not unless()
            ),
            wait=tenacity.wait_random_exponential(multiplier=_PAUSE, max=5),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            reraise=True,
        )
        try:
            result: T = again(self._transact, work)
        except Exception as error:
            meaning = explained(error, self._about)
            if meaning is error:
                raise
            # Without its cause, whose words may quote a row.
            raise meaning from None
        return result

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _columns(self, table: str) -> set[str] | None:
        """Return the names of a table's columns; ``None`` if it cannot be read."""

        def read(cursor: Any) -> set[str]:
            cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608  # a name that was checked
            found = {str(column[0]).lower() for column in cursor.description}
            cursor.fetchall()
            return found

        try:
            return self.do(read)
        except WtsChatArgumentError:
            raise
        except WtsChatError as error:
            if error.retryable:
                raise
            return None

    def _add_column(self, table: str, name: str, kind: str) -> None:
        self._unless_done(
            lambda cursor: cursor.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"),
            lambda: name in (self._columns(table) or ()),
        )

    def index(self, table: str, name: str, *columns: str) -> None:
        """
        Make an index where that is possible; without it everything works, and slower.

        :param table: name of the table, one that :meth:`ensure` has just made or added a column to
        :param name: name of the index
        :param columns: its columns
        """
        with suppress(WtsChatError):
            self.do(lambda cursor: cursor.execute(f"CREATE INDEX {name} ON {table} ({', '.join(columns)})"))

    def _unless_done(self, work: Callable[[Any], Any], done: Callable[[], bool]) -> None:
        """Do what several workers may be doing at once, of which one fails."""
        try:
            self.do(work)
        except WtsChatError:
            if not done():
                raise

    def _table_options(self) -> str:
        # Keys and campaigns that differ in case are different ones, which MySQL's default does not see.
        mysql = driver(self._connect()) in MYSQL
        return " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if mysql else ""

    def _check_engine(self, table: str) -> None:
        if driver(self._connect()) not in MYSQL:
            return
        schema, _, name = table.rpartition(".")
        found = self.query(
            "SELECT e.engine, e.transactions FROM information_schema.tables t"
            " JOIN information_schema.engines e ON e.engine = t.engine"
            " WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ?",
            schema or None, name,
        )  # fmt: skip
        for engine, transactions in found:
            if transactions != "YES":
                msg = (
                    f"{table} has the engine {engine}, which knows no transactions, so a message could be sent twice; "
                    f"run ALTER TABLE {table} ENGINE=InnoDB"
                )
                raise WtsChatArgumentError("table", msg)

    def _transact(self, work: Callable[[Any], T]) -> T:
        try:
            connection = self._connect()
            with closing(connection.cursor()) as cursor:
                result = work(cursor)
            connection.commit()
        except BaseException:
            # Nobody knows what the connection was doing.
            self.close()
            raise
        return result

    def _connect(self) -> Any:
        if self._connection is None:
            connection = self._hook.get_conn()
            name = driver(connection)
            if name not in SQLITE | POSTGRES | MYSQL:
                connection.close()
                msg = f"the table of a dispatch lives in SQLite, PostgreSQL or MySQL; the connection's driver is {name}"
                raise WtsChatArgumentError("table_conn_id", msg)
            if self._hook.supports_autocommit:
                self._hook.set_autocommit(connection, False)
            if name in SQLITE:
                connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            self._connection = connection
        return self._connection


def _is_of_driver(error: BaseException) -> bool:
    return "Error" in _kinds(error)
