"""Databases of the user's, through the hooks of their providers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException, get_database_hook
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.sql.dialects import Postgres, Values, driver_of
from airflow_provider_wtschat.sql.errors import explained

try:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
except ImportError as error:
    msg = "Transfers with SQL need the extra 'sql': pip install 'airflow-provider-wtschat[sql]'"
    raise AirflowOptionalProviderFeatureException(msg) from error

__all__ = ["DbApiHook", "checked_name", "connected", "connection_id", "read_query"]

_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_CHUNK = 1000


def connected(argument: str, conn_id: Any) -> DbApiHook:
    """
    Return the hook of a database.

    :raises WtsChatArgumentError: if the connection is not one to a database
    """
    name = convert.required_text(argument, conn_id)
    hook = get_database_hook(name)
    if not isinstance(hook, DbApiHook):
        msg = f"the connection {name!r} is no database, or its provider does not build on common.sql"
        raise WtsChatArgumentError(argument, msg)
    return hook


def connection_id(hook: DbApiHook) -> str:
    """Return the id of the connection of a hook, for errors."""
    return str(getattr(hook, str(hook.conn_name_attr), ""))


def checked_name(argument: str, name: Any) -> str:
    """
    Check the name of a table, with or without its schema, which goes into statements as it is.

    :raises WtsChatArgumentError: if that is not a name
    """
    text = convert.required_text(argument, name).strip()
    if not _TABLE.fullmatch(text):
        msg = f"{text!r} was given; a name such as wtschat_campaign or schema.wtschat_campaign is wanted"
        raise WtsChatArgumentError(argument, msg)
    return text


def read_query(
    hook: DbApiHook, argument: str, sql: str, parameters: Any = None
) -> Iterator[tuple[list[str], list[Values]]]:
    """
    Read what a query of the user's gives, a thousand rows at a time.

    :param argument: the argument that the query was given to, for the error
    :param parameters: its parameters, as the database's driver takes them
    :return: names of the columns, and rows
    :raises WtsChatDestinationError: if the database refuses the query
    """
    try:
        with _streaming_cursor(hook) as cursor:
            # Without parameters a driver leaves percent signs in the query alone.
            cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
            while rows := cursor.fetchmany(_CHUNK):
                # Known only now, where the server keeps the rows.
                yield [str(column[0]) for column in cursor.description], [tuple(row) for row in rows]
    except Exception as error:
        meaning = explained(error, f"{argument}: the query of the connection {connection_id(hook)!r}")
        if meaning is error:
            raise
        # Without its cause, whose words may quote a row.
        raise meaning from None


@contextmanager
def _streaming_cursor(hook: DbApiHook) -> Iterator[Any]:
    """Open a cursor that does not read all rows into memory, which those of two drivers do unless asked not to."""
    with closing(hook.get_conn()) as connection:
        name = driver_of(connection)
        if name in Postgres.drivers:
            # The server keeps the rows of a named cursor, for as long as the transaction lasts.
            hook.set_autocommit(connection, False)
            cursor = connection.cursor("wtschat")
        elif name == "MySQLdb":
            cursor = connection.cursor(import_module("MySQLdb.cursors").SSCursor)
        else:
            cursor = connection.cursor()
        with closing(cursor):
            yield cursor
