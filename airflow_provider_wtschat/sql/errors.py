"""What the errors of a database mean, whichever driver raised them."""

from __future__ import annotations

import re
from collections.abc import Collection

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.exceptions import WtsChatDestinationError

_LONGEST_WORDS = 200
_PASSING_SQLITE = frozenset({5, 6, 7, 10, 13, 14, 15})
"""Result codes: busy, locked, no memory, I/O error, full, cannot open, protocol."""
_PASSING_STATES = ("08", "25006", "40", "53", "55", "57", "58")
"""SQLSTATEs: lost connections, a standby, conflicts of transactions, no resources, locks, a server that shuts down."""
_PASSING_MYSQL = frozenset(
    {-1, 0, 1021, 1037, 1038, 1040, 1041, 1047, 1053, 1135, 1158, 1159, 1160, 1161, 1180, 1203, 1205, 1213, 1290, 1836}
    | {1927, 2002, 2003, 2006, 2013, 2055, 3024, 4031}
)
"""Numbers of the same, and of too many connections."""
_PASSING_CLASSES = frozenset({"InterfaceError", "InternalError", "OperationalError"})
_QUOTING = frozenset({"DataError", "IntegrityError"})
"""Errors whose words quote what a row holds."""
_WORD = re.compile(r"""(['"`])(.*?)\1""")
_ALL_WORDS = re.compile(r"""(['"`])(.*)\1""")


def explained(error: Exception, about: str, names: Collection[str] | None = None) -> Exception:
    """
    Return an error that says what a database refused, without what its rows hold; other errors as they are.

    :param about: what was asked of which database, such as ``The query of sql_conn_id 'warehouse'``
    :param names: names of ours that it may quote; ``None`` for a statement of the user's, which it may quote
    """
    kinds = _kinds(error)
    if "Error" not in kinds:
        return error
    passing = _may_pass(error, kinds)
    told = f"{type(error).__name__} {_state(error) or ''}".rstrip() + _words(error, kinds, names)
    advice = "A retry may help" if passing else "A retry does not help: mend it, then clear the task"
    return WtsChatDestinationError(f"{about} failed with {told}. {advice}", retryable=passing)


def _may_pass(error: Exception, kinds: Collection[str]) -> bool:
    """Return whether the same statement may succeed later, on a new connection."""
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _PASSING_SQLITE
    if (number := _number(error)) is not None:
        return number in _PASSING_MYSQL
    if state := _state(error):
        return state.startswith(_PASSING_STATES)
    # What is left are connections that are gone, of which SQLite says ProgrammingError.
    return bool(_PASSING_CLASSES & set(kinds)) or type(error).__module__ == "sqlite3"


def _state(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _number(error: Exception) -> int | None:
    """Return the number that MySQL and MariaDB give each error; their classes do not tell a lost connection."""
    if isinstance(number := getattr(error, "errno", None), int):
        return number
    if type(error).__module__.partition(".")[0] in ("MySQLdb", "pymysql"):
        # These drivers have no attribute for it: what they document is that the number is the first argument.
        match error.args:
            case (int() as number, *_):
                return number
    return None


def _kinds(error: BaseException) -> set[str]:
    """Name the classes that DB-API 2.0 gives the errors of every driver."""
    return {kind.__name__ for kind in type(error).__mro__ if kind.__module__ != "builtins"}


def _words(error: Exception, kinds: Collection[str], names: Collection[str] | None) -> str:
    # PostgreSQL adds the statement and the values to what it says first.
    told = getattr(getattr(error, "diag", None), "message_primary", None) or getattr(error, "msg", None) or str(error)
    quotes = not _QUOTING.isdisjoint(kinds)
    if names is None:
        return "" if quotes else f": {convert.one_line(masked(told), _LONGEST_WORDS)}"

    def known(found: re.Match[str]) -> str:
        ours = found[2] in names or set(found[2].split(".")) <= set(names)
        return found[0] if ours else f"{found[1]}…{found[1]}"

    # A value may have quotes in it.
    first = str(told).strip().partition("\n")[0]
    return f": {convert.one_line(masked((_ALL_WORDS if quotes else _WORD).sub(known, first)), _LONGEST_WORDS)}"
