"""What transfers need to know of databases beyond Airflow's hooks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException, BaseHook
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

try:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
except ImportError as error:
    msg = "Transfers with SQL need the extra 'sql': pip install 'airflow-provider-wtschat[sql]'"
    raise AirflowOptionalProviderFeatureException(msg) from error

__all__ = ["MYSQL", "POSTGRES", "SQLITE", "DbApiHook", "database", "driver", "streaming_cursor"]

SQLITE = frozenset({"sqlite3"})
POSTGRES = frozenset({"psycopg", "psycopg2"})
MYSQL = frozenset({"MySQLdb", "mysql", "pymysql"})


def database(argument: str, conn_id: Any) -> DbApiHook:
    """
    Return the hook of a database.

    :param argument: the argument that the id was given to, for the error
    :param conn_id: id of the connection
    :raises WtsChatArgumentError: if the connection is no database
    """
    name = convert.required_text(argument, conn_id)
    hook: Any = BaseHook.get_hook(name)
    if not isinstance(hook, DbApiHook):
        msg = f"{argument}: the connection {name!r} is no database, or its provider does not build on common.sql"
        raise WtsChatArgumentError(msg)
    return hook


def driver(connection: Any) -> str:
    """
    Name the driver of a DB-API connection.

    :param connection: the connection
    """
    return type(connection).__module__.partition(".")[0]


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
