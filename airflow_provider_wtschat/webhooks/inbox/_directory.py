"""An inbox in a directory, for all processes of a machine."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.webhooks.inbox._base import BEGINNING, Inbox, InboxError, Stored

_BUSY_SECONDS = 5.0
_LAST_PLACE = 2**63 - 1

# AUTOINCREMENT: the place of an event that was forgotten is never given again. SQLite has one writer at a time, so
# places are given in the order of the commits, and nobody who reads on from a place misses one before it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    place INTEGER PRIMARY KEY AUTOINCREMENT, conn_id TEXT NOT NULL, digest BLOB NOT NULL, received REAL NOT NULL,
    event TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS events_digest ON events (conn_id, digest);
CREATE INDEX IF NOT EXISTS events_place ON events (conn_id, place);
CREATE INDEX IF NOT EXISTS events_received ON events (received);
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (
    name TEXT PRIMARY KEY, after TEXT NOT NULL, until TEXT NOT NULL, kept REAL NOT NULL
) WITHOUT ROWID;
"""

# From one connection to the next in the index, rather than over all events.
_CONNECTIONS = """
WITH RECURSIVE found (conn_id) AS (
    SELECT min(conn_id) FROM events
    UNION ALL SELECT (SELECT min(conn_id) FROM events WHERE conn_id > found.conn_id) FROM found WHERE conn_id NOT NULL
)
SELECT conn_id FROM found WHERE conn_id NOT NULL
"""


class DirectoryInbox(Inbox):
    """
    Events in a SQLite file. A commit is on the disk when it returns, so one commit takes a whole batch.

    :param directory: made with mode 0700 if it is not there
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "webhooks-v1.sqlite"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()

    def describe(self) -> str:
        """Return where it is."""
        return str(self.path.parent)

    def put(self, batch: Sequence[tuple[str, WebhookEvent]]) -> list[bool]:
        """Store events in one transaction."""
        now = time.time()
        with self._use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            new = [
                connection.execute(
                    "INSERT OR IGNORE INTO events (conn_id, digest, received, event) VALUES (?, ?, ?, ?)",
                    (conn_id, bytes.fromhex(event.digest), now, json.dumps(event.reference(), separators=(",", ":"))),
                ).rowcount
                == 1
                for conn_id, event in batch
            ]
            connection.execute("COMMIT")
            return new

    def read(
        self, conn_id: str, *, after: str = BEGINNING, until: str | None = None, limit: int = 1000
    ) -> list[Stored]:
        """Return events in the order in which they were stored."""
        query = (
            "SELECT place, received, event, digest FROM events WHERE conn_id = ? AND place > ? AND place <= ? "
            "ORDER BY place LIMIT ?"
        )
        last = _LAST_PLACE if until is None else int(until or 0)
        rows = self._execute(query, conn_id, int(after or 0), last, limit)
        return [
            Stored(
                str(place),
                datetime.fromtimestamp(received, UTC),
                WebhookEvent.from_reference(json.loads(event), digest.hex()),
            )
            for place, received, event, digest in rows
        ]

    def end(self, conn_id: str) -> str:
        """Return the place of the latest event."""
        # Of all connections: events that were forgotten leave their places behind.
        rows = self._execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return str(rows[0][0]) if rows else BEGINNING

    def connections(self) -> list[str]:
        """Return the ids of the connections that have events."""
        return [conn_id for (conn_id,) in self._execute(_CONNECTIONS)]

    def newest(self, conn_id: str) -> datetime | None:
        """Return when the latest event was stored."""
        rows = self._execute("SELECT received FROM events WHERE conn_id = ? ORDER BY place DESC LIMIT 1", conn_id)
        return datetime.fromtimestamp(rows[0][0], UTC) if rows else None

    def cursor(self, name: str) -> str | None:
        """Return how far a reader has read."""
        rows = self._execute("SELECT place FROM cursors WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def cursors(self) -> dict[str, str]:
        """Return how far each reader has read."""
        return {name: str(place) for name, place in self._execute("SELECT name, place FROM cursors")}

    def move(self, name: str, place: str) -> None:
        """Remember how far a reader has read."""
        self._execute(
            "INSERT INTO cursors (name, place) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET place = max(place, excluded.place)",
            name, int(place or 0),
        )  # fmt: skip

    def remember(self, name: str, after: str, until: str) -> None:
        """Remember what somebody has read."""
        self._execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", name, after, until, time.time())

    def recall(self, name: str) -> tuple[str, str] | None:
        """Return what was remembered of a reading."""
        rows = self._execute("SELECT after, until FROM readings WHERE name = ?", name)
        return rows[0] if rows else None

    def prune(self, before: datetime) -> int:
        """Forget old events, and what was read then."""
        with self._use() as connection:
            connection.execute("DELETE FROM readings WHERE kept < ?", (before.timestamp(),))
            return connection.execute("DELETE FROM events WHERE received < ?", (before.timestamp(),)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._discard()

    def _execute(self, sql: str, *values: Any) -> list[Any]:
        with self._use() as connection:
            return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._process != os.getpid():
                    # A forked child: to close its parent's connection could take the parent's locks.
                    self._connection, self._process = None, os.getpid()
                if self._connection is None:
                    self._connection = self._connect()
                elif not self.path.exists():
                    # Else events would go on into a file that nobody else can find.
                    msg = "it was deleted"
                    raise FileNotFoundError(msg)
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                self._discard()
                msg = f"{self.path}: {error}"
                raise InboxError(msg) from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log and index the mode of the file.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
