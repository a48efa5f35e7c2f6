"""What is kept of each load: who runs it now, and how far it came."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.tables import Column, Kinds

log = logging.getLogger(__name__)

LOADS = "wtschat_loads"
PARENTS = "wtschat_parents"
LEASE = 120.0
"""Seconds after which a run that shows no sign of life is taken for dead."""

_LOOK_EVERY = 1.0
_FREE = "locked_by = NULL, locked_until = NULL, staging = NULL"
"""What is changed of a row that nobody holds any more."""
KEY = ("destination", "source", "resource", "filter_digest")
_TEXTS = (
    "filters",
    "watermark",
    "settled_on",
    "loaded_at",
    "locked_by",
    "staging",
    "window_given",
    "filled",
    "described",
    "position",
)


@dataclass(frozen=True)
class Load:
    """
    What is loaded, and where to. Each has a watermark of its own.

    :param destination: name of the table
    :param source: id of the connection that it is read by
    :param filters: what was asked for
    :param window: the window where it was given; there is no watermark then
    :param account: the account that its rows are of. Default: the source
    """

    destination: str
    source: str
    resource: str
    filters: Mapping[str, Any]
    window: str = ""
    account: str = ""

    @property
    def digest(self) -> str:
        """Tells sources, filters and windows apart."""
        told = json.dumps([self.source, self.filters, self.window], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key of its row."""
        return (self.destination, self.source, self.resource, self.digest)

    @property
    def shared_key(self) -> tuple[str, str, str, str]:
        """The key of the row that all loads of the table share."""
        return (self.destination, "", "", "")


def ensure_state(database: Database) -> None:
    """Make the tables that keep what was loaded."""
    loads = [*(Column(name, Kinds.TEXT) for name in (*KEY, *_TEXTS)), Column("locked_until", Kinds.NUMBER)]
    database.ensure(database.named(LOADS), loads, KEY, own=True)
    parents = ("destination", "source", "resource", "parent_id", "version")
    database.ensure(database.named(PARENTS), [Column(name, Kinds.TEXT) for name in parents], parents[:-1], own=True)


class Lease:
    """
    The row of a load in the table ``wtschat_loads``, held by one run at a time.

    :param holder: who runs, for those who wait
    :param wait: seconds to wait for another run of the same load
    """

    def __init__(self, database: Database, load: Load, *, holder: str, wait: float) -> None:
        self.attempt = f"{time.time_ns():x}"[-12:]
        self.watermark: datetime | None = None
        """The end of what was loaded before."""
        self.settled_on = ""
        """The day on which what had ended was last read again."""
        self.position: dict[str, Any] | None = None
        """How far a run came that did not end."""
        self._database = database
        self._load = load
        self._holder = f"{holder} ({self.attempt})"
        self._wait = wait
        self._renewed = 0.0
        self._table = database.dialect.quote(database.named(LOADS))
        self._where = " AND ".join(f"{name} = ?" for name in KEY)

    def claim(self) -> list[str]:
        """
        Take the row, waiting for whoever has it.

        :return: attempts that were killed, whose staging tables are still there
        :raises WtsChatArgumentError: if the table is of another resource
        :raises WtsChatDestinationError: if another run did not give the row back in time; retryable
        """
        self._check_resource()
        database, dialect = self._database, self._database.dialect
        columns = (*KEY, "filters", "window_given")
        if_new = dialect.insert_if_new(database.named(LOADS), columns)
        filters = json.dumps(dict(self._load.filters), default=str)
        deadline = time.monotonic() + self._wait
        told = False
        while True:
            with database.transaction() as cursor:
                cursor.execute(if_new, (*self._load.key, filters, self._load.window or None))
                # One row that all merges into the table wait for.
                cursor.execute(if_new, (*self._load.shared_key, "null", None))
            with database.transaction() as cursor:
                asked = (
                    f"SELECT watermark, settled_on, position, staging, locked_by FROM {self._table} "  # noqa: S608
                    f"WHERE {self._where}{dialect.for_update}"
                )
                found = database.ask(cursor, asked, *self._load.key)
                self._update(
                    cursor,
                    f"locked_by = ?, staging = ?, locked_until = {dialect.clock} + ? WHERE {self._where} "
                    f"AND (locked_until IS NULL OR locked_until < {dialect.clock})",
                    self._holder, self.attempt, LEASE, *self._load.key,
                )  # fmt: skip
                claimed = bool(dialect.count(cursor))
            # Whoever cleared up after a dead run may have removed the row in between.
            watermark, settled_on, position, leftover, holder = found[0] if found else (None,) * 5
            if claimed:
                break
            if time.monotonic() >= deadline:
                message = (
                    f"{self._load.resource} is being loaded into {self._load.destination} by {holder}. Let one run at "
                    "a time load a table (max_active_runs=1), or wait for it longer (lock_timeout)"
                )
                raise WtsChatDestinationError(message, retryable=True)
            if not told:
                log.info("Waiting for %s, which is loading %s", holder, self._load.destination)
                told = True
            time.sleep(_LOOK_EVERY)
        self.watermark = instants.read(watermark) if watermark else None
        self.settled_on = settled_on or ""
        self.position = json.loads(position) if position else None
        self._renewed = time.monotonic()
        return [*([leftover] if leftover else []), *self._abandoned()]

    def renew(self, cursor: Any) -> None:
        """
        Show a sign of life.

        :raises WtsChatDestinationError: if another run has taken over; retryable
        """
        dialect = self._database.dialect
        renewed = f"locked_until = {dialect.clock} + ? WHERE {self._where} AND locked_by = ?"
        self._update(cursor, renewed, LEASE, *self._load.key, self._holder)
        if not dialect.count(cursor):
            message = (
                f"Another run has taken over the load of {self._load.destination}: this one was silent for too long"
            )
            raise WtsChatDestinationError(message, retryable=True)
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """
        Show a sign of life, if it is time. Call it while rows are read.

        :raises WtsChatDestinationError: if another run has taken over; retryable
        """
        if time.monotonic() - self._renewed > LEASE / 4:
            with self._database.transaction() as cursor:
                self.renew(cursor)
            self._database.rest()

    def give_back(self) -> None:
        """Let others have the row."""
        with self._database.transaction() as cursor:
            mine, key = f"{self._where} AND locked_by = ?", (*self._load.key, self._holder)
            if self._load.window:
                # One that did not end keeps how far it came, for the next try.
                ended = f"DELETE FROM {self._table} WHERE {mine} AND position IS NULL"  # noqa: S608
                self._database.execute(cursor, ended, *key)
            self._update(cursor, f"{_FREE} WHERE {mine}", *key)

    def lock_table(self, cursor: Any) -> None:
        """Wait for other merges into the table, until the end of the transaction."""
        sql = f"SELECT 1 FROM {self._table} WHERE {self._where}{self._database.dialect.for_update}"  # noqa: S608
        self._database.ask(cursor, sql, *self._load.shared_key)

    def set(self, cursor: Any, column: str, value: str | None) -> None:
        """
        Keep something of the load.

        :param column: ``settled_on``, ``loaded_at`` or ``position``
        """
        self._update(cursor, f"{column} = ? WHERE {self._where}", value, *self._load.key)

    def move(self, cursor: Any, since: datetime | None, until_reached: datetime) -> None:
        """Move the watermark, forward only, and never past what was not read."""
        mark = instants.write(until_reached)
        least = "" if since is None else instants.write(since)
        ahead = f"watermark = ? WHERE {self._where} AND (watermark IS NULL OR (watermark < ? AND watermark >= ?))"
        self._update(cursor, ahead, mark, *self._load.key, mark, least)
        if self.watermark is None or until_reached > self.watermark:
            self.watermark = until_reached

    def only_source(self) -> bool:
        """Return whether this connection alone has loaded the table so far."""
        found = self._database.query(
            f"SELECT DISTINCT source FROM {self._table} "  # noqa: S608
            "WHERE destination = ? AND source <> '' AND loaded_at IS NOT NULL",
            self._load.destination,
        )
        return {source for (source,) in found} == {self._load.source}

    def complete_until(self) -> datetime | None:
        """Return how far this connection has loaded all rows of the table, whichever window this run was given."""
        kept = self._kept("watermark", replace(self._load, filters={}, window="").key)
        return instants.read(kept) if kept else None

    def of_tables(self, column: str) -> dict[str, Any]:
        """
        Return what is kept of each table, by its name.

        :param column: ``filled``: columns that hold a value for every row that has one; or ``described``: a digest of
            the indexes and comments that the table has been given
        """
        told: dict[str, Any] = json.loads(self._kept(column, self._load.shared_key) or "{}")
        return told

    def keep_of_tables(self, column: str, told: Mapping[str, Any]) -> None:
        """Keep what :meth:`of_tables` returns later."""
        with self._database.transaction() as cursor:
            self._update(cursor, f"{column} = ? WHERE {self._where}", json.dumps(told), *self._load.shared_key)

    def _update(self, cursor: Any, changes: str, *values: Any) -> None:
        self._database.execute(cursor, f"UPDATE {self._table} SET {changes}", *values)  # noqa: S608

    def _kept(self, column: str, key: Sequence[str]) -> str | None:
        found = self._database.query(f"SELECT {column} FROM {self._table} WHERE {self._where}", *key)  # noqa: S608
        return found[0][0] if found else None

    def _check_resource(self) -> None:
        found = self._database.query(
            f"SELECT DISTINCT resource FROM {self._table} WHERE destination = ? AND resource <> ''",  # noqa: S608
            self._load.destination,
        )
        others = sorted({resource for (resource,) in found} - {self._load.resource})
        if others:
            raise WtsChatArgumentError(
                "table",
                f"{self._load.destination} holds {', '.join(others)}, and {self._load.resource} beside them would "
                "make each load mark the other's rows as gone; give a table of its own",
            )

    def _abandoned(self) -> list[str]:
        """Clear up after other loads of the table whose runs were killed and never came again, such as backfills."""
        database, dialect = self._database, self._database.dialect
        dead = f"WHERE destination = ? AND staging <> ? AND locked_until < {dialect.clock}"
        of = (self._load.destination, self.attempt)
        with database.transaction() as cursor:
            found = database.ask(cursor, f"SELECT staging FROM {self._table} {dead}{dialect.for_update}", *of)  # noqa: S608
            ended = f"DELETE FROM {self._table} {dead} AND window_given IS NOT NULL AND position IS NULL"  # noqa: S608
            database.execute(cursor, ended, *of)
            self._update(cursor, f"{_FREE} {dead}", *of)
        return [attempt for (attempt,) in found]
