"""
Answers that are kept for a while, so that many tasks which look the same name up ask for its list once.

On Airflow 3, and with most executors of Airflow 2, each task is a process of its own, so memory alone would keep
nothing from one mapped task to the next. Answers lie in files beside the account's request budget, readable by this
user alone, and in the memory of the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.hooks.connection import ConnectionSettings

__all__ = ["KeptAnswer"]

LONGEST_WAIT = 5.0
"""Seconds to wait for another process that asks for the same; after them each asks for itself."""
LONGEST_LIFE = 3600.0
MOST_IN_MEMORY = 64
MOST_FILES = 500
LARGEST = 2_000_000

_memory: OrderedDict[str, tuple[float, Any]] = OrderedDict()
_memory_lock = threading.Lock()


class KeptAnswer:
    """
    The place of one request's answer: ``found`` tells whether it holds one that is young enough, ``value`` which.

    Another process that asks for the same waits until this one is closed.

    :param settings: the connection: what one token may read is not shown to another
    :param request: the request, one that has a ``max_age``
    """

    def __init__(self, settings: ConnectionSettings, request: Request[Any]) -> None:
        self.found = False
        self.value: Any = None
        now = time.time()
        self._since = now - (request.max_age or 0)
        # A run sees what an earlier run saw only if neither of them says which run it is.
        run = [os.environ.get(name, "") for name in ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID")]
        asked = [settings.base_url, settings.token, *run, request.method, request.target, request.body]
        self._key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        self._asking_since = now
        # An object, which Python closes if a cancelled task leaves it behind.
        self._file: BinaryIO | None = None
        with _memory_lock:
            asked_at, value = _memory.get(self._key, (0.0, None))
        if self._is_young(asked_at):
            self.found, self.value = True, value
            return
        directory = _directory()
        if directory is not None:
            # Without the file it is asked for and kept in memory: nothing fails for the want of a cache.
            with suppress(OSError):
                self._file = _open(directory, self._key)
                self._read(self._file)

    def keep(self, value: Any) -> None:
        """Keep an answer that has just come."""
        self.value = value
        with _memory_lock:
            _memory[self._key] = (self._asking_since, value)
            _memory.move_to_end(self._key)
            while len(_memory) > MOST_IN_MEMORY:
                _memory.popitem(last=False)
        if self._file is None:
            return
        content = json.dumps({"asked": self._asking_since, "answer": value}).encode()
        with suppress(OSError):
            self._file.truncate(0)
            if len(content) <= LARGEST:
                self._file.seek(0)
                self._file.write(content)

    def close(self) -> None:
        """Let other processes go on."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_young(self, asked_at: float) -> bool:
        # A clock that was set back makes an answer of the future: it is not to be trusted.
        return self._since <= asked_at <= time.time()

    def _read(self, file: BinaryIO) -> None:
        try:
            kept = json.loads(file.read())
            young = self._is_young(float(kept["asked"]))
        except (ValueError, TypeError, KeyError):
            young = False  # new, or written by a process that was killed meanwhile
        if young:
            self.found, self.value = True, kept["answer"]
        self._asking_since = time.time()


def forget() -> None:
    """Forget what this process keeps in memory."""
    with _memory_lock:
        _memory.clear()


def _directory() -> Path | None:
    budget = conf.get("wtschat", "budget", fallback="").strip()
    if budget == "process":
        return None
    if not budget.startswith(("/", "~")):
        budget = os.path.join(os.environ.get("AIRFLOW_HOME", "~/airflow"), "wtschat")
    return Path(budget).expanduser() / f"lookups-{os.geteuid()}"


def _open(directory: Path, key: str) -> BinaryIO:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _tidy(directory)
    number = os.open(directory / f"{key}.json", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = os.fdopen(number, "r+b", buffering=0)
    try:
        if os.fstat(number).st_uid != os.geteuid():
            msg = "it belongs to another user"
            raise PermissionError(msg)
        give_up = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
            else:
                return file
    except BaseException:
        file.close()
        raise


def _tidy(directory: Path) -> None:
    """Remove what no look-up takes any more, and the oldest where there are too many."""
    ages = {}
    for path in directory.iterdir():
        # Another process may have removed it.
        with suppress(FileNotFoundError):
            ages[path] = time.time() - path.stat().st_mtime
    for position, path in enumerate(sorted(ages, key=ages.__getitem__)):
        if position >= MOST_FILES or ages[path] > LONGEST_LIFE:
            path.unlink(missing_ok=True)


def _after_fork() -> None:
    global _memory_lock
    _memory_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
