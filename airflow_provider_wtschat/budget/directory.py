"""The budget that the processes of a machine share through a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from airflow_provider_wtschat.budget.limits import (
    CLOCK_SLACK,
    GRACE,
    HELD,
    RECOVERY,
    YIELDING,
    Limits,
    Pace,
    Refusal,
    SharedStore,
    StoreError,
    is_full,
    of_limits,
)
from airflow_provider_wtschat.budget.usage import NAMES_KEPT, Taken, Usage, count, current_user

_BUSY_SECONDS = 2.0
_PURGE_EVERY = 256
_FILE = "budget-v3-"

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE slots (id INTEGER PRIMARY KEY, send INTEGER NOT NULL, answered REAL NOT NULL, user TEXT NOT NULL);
CREATE INDEX slots_answered ON slots (answered);
CREATE INDEX slots_send_answered ON slots (send, answered);
CREATE TABLE pauses (name TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE pace (id INTEGER PRIMARY KEY, part REAL NOT NULL, since REAL NOT NULL, users INTEGER NOT NULL);
INSERT INTO pace VALUES (0, 1, 0, 1);
CREATE TABLE names (name TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;
"""

# One statement is one transaction: it takes the lock and gives it back within a single call of the library, and no
# process ever holds the file while its threads wait for each other.
_TAKE = """
INSERT INTO slots (id, send, answered, user)
SELECT :slot, :send, :now + :lease, :user
WHERE NOT EXISTS (SELECT 1 FROM pauses WHERE until > :now AND name IN ('hold', :name_0, :name_1))
  AND coalesce((SELECT answered FROM slots ORDER BY answered DESC LIMIT 1 OFFSET :limit_0 - 1), 0)
      <= :now - :seconds_0
  AND coalesce((SELECT answered FROM slots WHERE send = :send ORDER BY answered DESC LIMIT 1 OFFSET :limit_1 - 1), 0)
      <= :now - :seconds_1
"""
_ANSWER = "UPDATE slots SET answered = ? WHERE id = ?"
_NAME = "INSERT INTO names (name, seen) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seen = excluded.seen"
_PURGE = "DELETE FROM slots WHERE answered < ?"
_LOOK = """
SELECT (SELECT answered FROM slots ORDER BY answered DESC LIMIT 1 OFFSET :limit_0 - 1),
       (SELECT answered FROM slots WHERE send = :send ORDER BY answered DESC LIMIT 1 OFFSET :limit_1 - 1),
       (SELECT until FROM pauses WHERE name = 'hold'),
       (SELECT max(until) FROM pauses WHERE name IN (:name_0, :name_1)),
       (SELECT max(answered) FROM slots)
"""
_PAUSE = """
INSERT INTO pauses (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = max(until, excluded.until)
"""
# As limits.Pace.halved, but in one statement: processes that met the same 429 halve it once.
_SLOW_DOWN = """
UPDATE pace SET part = min(1.0, part + :recovery * max(0, :now - since)) / 2, since = :now
WHERE part = 1 OR :now < since OR :now - since >= :burst
"""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}

_inherited: list[sqlite3.Connection] = []
"""Connections that a forked child has from its parent. Closing them there could take the parent's locks."""


class DirectoryStore(SharedStore):
    """
    Slots in a SQLite file of the account, which every process of the machine reads and writes.

    Times are the machine's wall clock, which all its processes and containers share. When it steps back by more than a
    lease, answers from the future count as answered now; a smaller step costs at most its own length. The file holds
    nothing but counts of minutes, so a damaged one is replaced.

    :param directory: made with mode 0700 if it is not there
    :param account: digest of the account, part of the file's name
    :param clock: seconds, the same for all processes
    :param share: share of the limits that this machine may take
    """

    def __init__(
        self,
        directory: Path,
        account: str,
        limits: Limits,
        clock: Callable[[], float] = time.time,
        *,
        share: float = 1.0,
    ) -> None:
        self.path = directory / f"{_FILE}{account}.sqlite"
        self._limits = limits
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._takes = 0

    def describe(self) -> str:
        """Return who shares the budget."""
        return f"shared by the processes of this machine ({self.path.parent}){of_limits(self._share)}"

    def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
        """Take a slot, or return why there is none."""
        (name_0, window_0), (name_1, window_1) = self._limits.of(send)
        values = {
            "slot": slot,
            "user": current_user(),
            "send": send,
            # Read before the lock is there: by then it is too early, if anything, which errs on the safe side.
            "now": self._clock(),
            "lease": self._limits.lease,
            "name_0": None if bulk_share is None else name_0,
            "name_1": None if bulk_share is None else name_1,
            "seconds_0": window_0.seconds,
            "seconds_1": window_1.seconds,
        }
        with self._use() as connection:
            self._check_file()
            if self._takes % _PURGE_EVERY == 0:
                connection.execute(_PURGE, (self._clock() - self._limits.longest,))
            self._takes += 1
            share = self._share_now(connection) * (1.0 if bulk_share is None else bulk_share)
            values |= {"limit_0": window_0.share(share), "limit_1": window_1.share(share)}
            if connection.execute(_TAKE, values).rowcount:
                return None
            *ranked, hold, pause, latest = connection.execute(_LOOK, values).fetchone()
            now = self._clock()
            if latest is not None and latest > now + self._limits.lease + CLOCK_SLACK:
                connection.execute("UPDATE slots SET answered = :now WHERE answered > :now", {"now": now})
                connection.execute("DELETE FROM pauses")
                return Refusal(0.0, "the clock stepped back")
            refusal, full = Refusal(max(0.0, (hold or 0.0) - now), HELD), None
            if pause is not None and pause - now > refusal.wait:
                refusal = Refusal(pause - now, YIELDING)
            for (name, window), at in zip(self._limits.of(send), ranked, strict=True):
                wait = window.wait(now, at)
                if wait > refusal.wait:
                    refusal, full = Refusal(wait, is_full(window, share)), name
            if full is not None and bulk_share is None:
                connection.execute(_PAUSE, (full, now + refusal.wait + GRACE))
            return refusal

    def answer(self, slot: int, *, send: bool) -> None:
        """Note that the answer has arrived."""
        now = self._clock()
        with self._use() as connection:
            connection.execute(_ANSWER, (now, slot))

    def hold(self, seconds: float) -> None:
        """Refuse slots to every process for a while, and halve the pace."""
        now = self._clock()
        burst, recovery = self._limits.burst.seconds, RECOVERY / self._limits.read.seconds
        with self._use() as connection:
            connection.execute(_PAUSE, ("hold", now + seconds))
            connection.execute(_SLOW_DOWN, {"now": now, "burst": burst, "recovery": recovery})

    def note_name(self, name: str) -> None:
        """Remember a connection of the account."""
        with self._use() as connection:
            connection.execute(_NAME, (name, self._clock()))

    def usage(self) -> Usage:
        """Return what is used now, without taking part."""
        now = self._clock()
        try:
            # Read only, and closed at once: whoever shows it need not be whoever sends.
            with contextlib.closing(
                sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
            ) as connection:
                taken = connection.execute(
                    "SELECT send, user, answered FROM slots WHERE answered > ?", (now - self._limits.longest,)
                )
                windows, users = count(map(Taken._make, taken), now, self._limits, self._share_now(connection))
                names = connection.execute("SELECT name FROM names WHERE seen > ? ORDER BY name", (now - NAMES_KEPT,))
                held = connection.execute("SELECT max(until) FROM pauses WHERE name = 'hold'").fetchone()[0]
                return Usage(
                    names=tuple(name for (name,) in names),
                    windows=windows,
                    held=max(0.0, (held or 0.0) - now),
                    users=users,
                )
        except (sqlite3.Error, OSError) as error:
            msg = f"{self.path}: {error}"
            raise StoreError(msg) from error

    def beside(self) -> list[SharedStore]:
        """Return the stores of all accounts in the directory."""
        names = (path.stem.removeprefix(_FILE) for path in sorted(self.path.parent.glob(f"{_FILE}*.sqlite")))
        return [
            DirectoryStore(self.path.parent, account, self._limits, self._clock, share=self._share)
            for account in names
            if not account.endswith("-alone")
        ]

    def note_users(self, users: int) -> None:
        """Take only the part of one of several machines."""
        with self._use() as connection:
            connection.execute("UPDATE pace SET users = ?", (users,))

    def after_fork(self) -> None:
        """Leave the parent's connection alone, in a forked child."""
        self._lock = threading.Lock()
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None

    def _share_now(self, connection: sqlite3.Connection) -> float:
        part, since, users = connection.execute("SELECT part, since, users FROM pace").fetchone()
        return float(self._share * Pace(part, since).at(self._clock(), self._limits) / users)

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                self._discard(error)
                msg = f"{self.path}: {error}"
                raise StoreError(msg) from error

    def _connect(self) -> sqlite3.Connection:
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            self._create()
        status = self.path.stat()
        if status.st_uid != os.geteuid() != 0:
            msg = f"it belongs to another user (uid {status.st_uid})"
            raise PermissionError(msg)
        self._file = (status.st_dev, status.st_ino)
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # Counts of minutes need not survive a power failure.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def _create(self) -> None:
        """Put the file in place complete, so that no process ever sees half of it."""
        with self._directory_lock():
            if self.path.exists():
                return
            for suffix in ("-wal", "-shm"):  # of a file that was deleted: SQLite would replay them into the new one
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.stem}-", dir=self.path.parent)
            os.close(handle)
            try:
                with contextlib.closing(sqlite3.connect(name)) as connection:
                    connection.executescript(_SCHEMA)
                os.rename(name, self.path)
            except BaseException:
                os.unlink(name)
                raise

    @contextlib.contextmanager
    def _directory_lock(self) -> Iterator[None]:
        # Not a lock on the file: closing any handle of that would drop those that SQLite has on it.
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _check_file(self) -> None:
        """Notice a file that was deleted or replaced: its old readers would go on counting for themselves."""
        status = os.stat(self.path)
        if (status.st_dev, status.st_ino) != self._file:
            msg = "it was replaced"
            raise FileNotFoundError(msg)

    def _discard(self, error: Exception) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            with contextlib.suppress(OSError), self._directory_lock():
                self._check_file()
                self.path.unlink()
