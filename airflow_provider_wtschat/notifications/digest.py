"""
Which alerts are told now, and which are counted for the next one: many failures make one message.

The processes of a machine share it through a file. It holds times, counts and ids of Dags, and of people a digest that
is salted and slow to guess.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BUSY_SECONDS = 4.0
_ITERATIONS = 50_000
"""Makes each guess at a phone number cost some 30 ms."""
_CLOCK_SLACK = 60.0
_KEPT_SECONDS = 30 * 86_400.0
_NAMED = 3
"""So many Dags are named in a summary."""

_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS salt (id INTEGER PRIMARY KEY CHECK (id = 0), value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS told (person TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (
    person TEXT NOT NULL, dag_id TEXT NOT NULL, alerts INTEGER NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (person, dag_id)
);
CREATE TABLE IF NOT EXISTS runs (
    person TEXT NOT NULL, dag_id TEXT NOT NULL, run_id TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (person, dag_id, run_id)
);
PRAGMA user_version = 2;
"""


@dataclass(frozen=True)
class Turn:
    """
    A person's turn to be told.

    :param before: when the person was told before
    :param counted: by Dag, how many alerts were not told since
    :param since: when the first of those came
    :param run_id: the Dag run of which the person is told once
    """

    person: str
    before: float | None
    counted: dict[str, int]
    since: float | None
    run_id: str | None = None

    @property
    def alerts(self) -> int:
        """How many alerts were not told since."""
        return sum(self.counted.values())

    def summary(self) -> str:
        """Describe how many alerts were not told, and of which Dags; empty if there are none."""
        if not self.counted or self.since is None:
            return ""
        dags = sorted(self.counted.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{dag_id or 'no Dag'} ({count})" for dag_id, count in dags[:_NAMED])
        rest = f" and {len(dags) - _NAMED} other Dags" if len(dags) > _NAMED else ""
        moment = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"{self.alerts} alerts since {moment}: {named}{rest}"


class Digest:
    """
    Alerts to one person in a window of time.

    :param seconds: how long a person who was told is told of nothing else
    :param path: the file. Default: ``alerts.db`` in ``$AIRFLOW_HOME/wtschat``
    """

    def __init__(self, seconds: float, path: Path | None = None) -> None:
        self._seconds = seconds
        self._path = path or Path(os.environ.get("AIRFLOW_HOME", "~/airflow"), "wtschat", "alerts.db").expanduser()

    def take(self, person: str, dag_id: str | None, *, run_id: str | None = None, quiet: bool = False) -> Turn | None:
        """
        Take a person's turn to be told of an alert, or count the alert.

        :param person: who it is; one text for one person
        :param dag_id: id of the Dag that the alert is about, empty if it is about none; ``None`` to tell only of what
            was counted
        :param run_id: the Dag run, if the person is told of it once; ``None`` to tell of each alert
        :param quiet: whether the person is not to be told now
        :return: the turn, with what was counted before; ``None`` if the alert was counted, or there is nothing to tell
        :raises sqlite3.Error: if the file cannot be used
        :raises OSError: if the file cannot be used
        """
        with self._transaction() as database:
            salt = _salt(database)
        # Slow, so others are not kept waiting for it.
        known = _digest(person, salt)
        with self._transaction() as database:
            # Only now, since another process may have told while this one waited for the file.
            now = time.time()
            row = database.execute("SELECT at FROM told WHERE person = ?", (known,)).fetchone()
            before = None if row is None else float(row[0])
            # A clock that was set back must not silence alerts for long.
            lately = before is not None and -_CLOCK_SLACK <= now - before < self._seconds
            if quiet or lately or (run_id is not None and _has_told(database, known, dag_id, run_id)):
                if dag_id is not None:
                    self._count(database, known, dag_id, 1, now)
                return None
            rows = database.execute("SELECT dag_id, alerts, since FROM waiting WHERE person = ?", (known,)).fetchall()
            if dag_id is None and not rows:
                return None
            database.execute("DELETE FROM waiting WHERE person = ? OR since < ?", (known, now - _KEPT_SECONDS))
            database.execute("DELETE FROM told WHERE at < ?", (now - _KEPT_SECONDS,))
            database.execute("DELETE FROM runs WHERE at < ?", (now - _KEPT_SECONDS,))
            database.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (known, now))
            if run_id is not None:
                database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", (known, dag_id or "", run_id, now))
        counted = {str(dag): int(alerts) for dag, alerts, _ in rows}
        return Turn(known, before, counted, min((float(since) for *_, since in rows), default=None), run_id)

    def give_back(self, turn: Turn, dag_id: str | None) -> None:
        """
        Let the next alert tell, since this one is known not to have been sent.

        :param dag_id: id of the Dag of the alert that was not told, ``None`` if it told of what was counted only
        """
        counted = dict(turn.counted)
        if dag_id is not None:
            counted[dag_id] = counted.get(dag_id, 0) + 1
        with self._transaction() as database:
            database.execute("DELETE FROM told WHERE person = ?", (turn.person,))
            if turn.before is not None:
                database.execute("INSERT INTO told VALUES (?, ?)", (turn.person, turn.before))
            if turn.run_id is not None:
                database.execute(
                    "DELETE FROM runs WHERE person = ? AND dag_id = ? AND run_id = ?",
                    (turn.person, dag_id or "", turn.run_id),
                )
            for one, alerts in counted.items():
                self._count(database, turn.person, one, alerts, turn.since or time.time())

    def _count(self, database: sqlite3.Connection, person: str, dag_id: str, alerts: int, since: float) -> None:
        database.execute(
            "INSERT INTO waiting VALUES (?, ?, ?, ?) ON CONFLICT (person, dag_id) "
            "DO UPDATE SET alerts = alerts + excluded.alerts, since = min(since, excluded.since)",
            (person, dag_id, alerts, since),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as database:
            if database.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                database.executescript(_SCHEMA)
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def _has_told(database: sqlite3.Connection, person: str, dag_id: str | None, run_id: str) -> bool:
    found = database.execute(
        "SELECT 1 FROM runs WHERE person = ? AND dag_id = ? AND run_id = ?", (person, dag_id or "", run_id)
    )
    return found.fetchone() is not None


def _salt(database: sqlite3.Connection) -> bytes:
    database.execute("INSERT OR IGNORE INTO salt VALUES (0, ?)", (os.urandom(16),))
    return bytes(database.execute("SELECT value FROM salt").fetchone()[0])


def _digest(person: str, salt: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", person.encode(), salt, _ITERATIONS).hex()
