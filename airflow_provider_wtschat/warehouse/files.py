"""
Copying the files of messages into object storage, each once.

A file is believed to be there only if a list in ``_manifests`` names it, which is written after the file was put whole.
So whatever kills a copy, half a file is never taken for one; what no list names is copied again under the same name.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from airflow_provider_wtschat._compat import ObjectStoragePath
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatDestinationError
from airflow_provider_wtschat.hooks.downloads import Downloaded, DownloadError, Downloads, Failure
from airflow_provider_wtschat.warehouse.storage import MANIFESTS, LocalFolder, put_whole, stamp

log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z_-]{0,62}[0-9A-Za-z])?")
_SUFFIX = re.compile(r"\.?([0-9A-Za-z]{1,10})")
_NAME = re.compile(r"files-\d{8}T\d{12}Z-[0-9a-f]{12}-\d{5}\.jsonl\.gz")
_AT_ONCE = 500
"""Files that a list names at most."""
_SAY_EVERY = 10.0
_LIST_EVERY = 20.0
"""Seconds after which what was copied is listed, so that little is copied again after a kill."""
_MANY = 200
"""Lists that are made one."""
_GRACE = 1.0
_TOLD = 100
"""Failures that are told by message."""


@dataclass(frozen=True)
class File:
    """
    A file of a message.

    :param message_id: id of a message that has it
    :param url: where it is
    :param mime_type: what the API says that it is
    :param extension: the end of its name
    """

    id: str
    message_id: str
    url: str | None
    mime_type: str | None = None
    extension: str | None = None

    @property
    def object_name(self) -> str:
        """Its name in the folder, made of its id."""
        match = _SUFFIX.fullmatch(self.extension or "")
        return f"{self.id[:2].lower()}/{self.id}{f'.{match[1].lower()}' if match else ''}"

    @property
    def address_digest(self) -> str:
        """What tells its address apart without showing it: a signed one is a permission."""
        return hashlib.sha256((self.url or "").encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class Figures:
    """
    What became of the files.

    :param copied: files that were copied
    :param bytes: their bytes
    :param there: files that were there already
    :param gone: files that the server has no more, those that were so before included
    :param failed: files that failed for another reason
    :param reasons: number of files by reason, those that are gone included
    :param failures: by id of a message the reason, of the first hundred
    :param hosts: number of files by host that is not allowed
    :param lists: names of the lists that are new
    """

    copied: int = 0
    bytes: int = 0
    there: int = 0
    gone: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)
    lists: list[str] = field(default_factory=list)
    passing: int = 0
    """Of those that failed: what may be over at the next try."""

    def note(self, file: File, error: DownloadError) -> None:
        """Count a file that was not copied."""
        failure = error.failure
        self.reasons[failure.value] += 1
        self.gone += failure is Failure.GONE
        self.failed += failure is not Failure.GONE
        self.passing += failure.passing
        if failure in (Failure.HOST, Failure.PRIVATE) and len(self.hosts) < _TOLD:
            self.hosts[error.host] += 1
        if len(self.failures) < _TOLD:
            self.failures.setdefault(file.message_id, failure.value)


class Copied:
    """
    What the lists of a folder name. It lies on this machine's disk, so that memory does not grow with it.

    Use it in a ``with`` block.
    """

    def __init__(self, base: ObjectStoragePath) -> None:
        self._base = base
        # A database without a name is a file that is gone with its connection.
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE entries (id TEXT PRIMARY KEY, gone TEXT, line TEXT) WITHOUT ROWID")
        self.lists: list[str] = []
        """Names of the lists that were read."""
        for name in _names(base):
            if self._take(name):
                self.lists.append(name)

    def __enter__(self) -> Copied:
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove it."""
        self._database.close()

    def state(self, file: File) -> bool | None:
        """
        Tell whether a file is there.

        :return: ``True`` if it is, ``False`` if its server had no such file at this address, else ``None``
        """
        row = self._database.execute("SELECT gone FROM entries WHERE id = ?", (file.id,)).fetchone()
        if row is None:
            return None
        if row[0] is None:
            return True
        return False if row[0] == file.address_digest else None

    def note(self, entry: Mapping[str, Any]) -> None:
        """Note an entry of a list."""
        line = json.dumps(entry, separators=(",", ":"))
        self._database.execute(
            "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET gone = excluded.gone, "
            "line = excluded.line WHERE entries.gone IS NOT NULL",
            (entry["id"], entry.get("gone"), line),
        )

    def lines(self) -> Iterator[str]:
        """Give all entries as text."""
        for (line,) in self._database.execute("SELECT line FROM entries ORDER BY id"):
            yield line

    def _take(self, name: str) -> bool:
        try:
            with self._database:
                for entry in _entries(self._base, name):
                    self.note(entry)
        except FileNotFoundError:
            # Another copy has made it one with others.
            return False
        except (OSError, EOFError, ValueError, KeyError) as error:
            log.warning("The list %s cannot be read (%s); the files that it alone names are copied again", name, error)
            return False
        return True


class FileCopy:
    """
    One attempt at a copy.

    :param downloads: makes what downloads, once for each thread
    :param again: whether to ask again for files that were gone
    """

    def __init__(
        self,
        base: ObjectStoragePath,
        downloads: Callable[[threading.Event], Downloads],
        *,
        workers: int,
        again: bool = False,
    ) -> None:
        self.figures = Figures()
        self._base = base
        # Here, since threads must not ask Airflow for connections.
        self._fs = base.fs
        self._folder = str(base.path)
        self._downloads = downloads
        self._workers = workers
        self._again = again
        self._attempt = secrets.token_hex(6)
        self._number = 0
        self._entries: list[dict[str, Any]] = []
        self._listed_at = self._said_at = time.monotonic()
        self._stop = threading.Event()
        self._asked: SimpleQueue[File | None] = SimpleQueue()
        self._answered: SimpleQueue[tuple[File, Downloaded | BaseException]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self, files: Iterable[File]) -> Figures:
        """
        Copy what is not there.

        :param files: the files; one may come several times
        :return: what became of them
        """
        local = LocalFolder()
        try:
            with Copied(self._base) as copied, closing(sqlite3.connect("")) as seen:
                seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
                self._copy(self._wanted(files, copied, seen), copied, local.path)
                if len(copied.lists) + len(self.figures.lists) > _MANY:
                    self._make_one(copied, local.path)
        finally:
            self._stop.set()
            for _ in self._threads:
                self._asked.put(None)
            until = time.monotonic() + _GRACE
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
            local.remove()
        return self.figures

    def _wanted(self, files: Iterable[File], copied: Copied, seen: sqlite3.Connection) -> Iterator[File]:
        for file in files:
            if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (file.id,)).rowcount:
                continue
            state = copied.state(file)
            if state:
                self.figures.there += 1
            elif state is False and not self._again:
                self.figures.gone += 1
                self.figures.reasons[Failure.GONE.value] += 1
            elif not _ID.fullmatch(file.id):
                self.figures.note(file, DownloadError(Failure.BAD_ID))
            elif not file.url:
                self.figures.note(file, DownloadError(Failure.NO_ADDRESS))
            else:
                yield file

    def _copy(self, wanted: Iterator[File], copied: Copied, local: Path) -> None:
        underway = 0
        try:
            for file in wanted:
                self._submit(file, local)
                underway += 1
                while underway >= self._workers or (underway and not self._answered.empty()):
                    underway -= self._take(copied)
            while underway:
                underway -= self._take(copied)
        finally:
            # Also of an attempt that ends in an exception: what was copied is there.
            self._list()

    def _submit(self, file: File, local: Path) -> None:
        if len(self._threads) < self._workers:
            name = f"wtschat-files-{len(self._threads) + 1}"
            work = (self._downloads(self._stop), local / name)
            thread = threading.Thread(target=self._work, args=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._asked.put(file)

    def _take(self, copied: Copied) -> int:
        try:
            file, found = self._answered.get(timeout=1.0)
        except Empty:
            self._say()
            return 0
        at = instants.write(datetime.now(UTC))
        entry: dict[str, Any] | None = None
        if isinstance(found, Downloaded):
            self.figures.copied += 1
            self.figures.bytes += found.size
            entry = {
                "id": file.id, "object": file.object_name, "bytes": found.size, "sha256": found.sha256,
                "mime_type": file.mime_type or found.mime_type, "message_id": file.message_id, "at": at,
            }  # fmt: skip
        elif isinstance(found, DownloadError):
            self.figures.note(file, found)
            if found.failure is Failure.GONE:
                entry = {"id": file.id, "gone": file.address_digest, "status": found.status,
                         "message_id": file.message_id, "at": at}  # fmt: skip
        else:
            raise found
        if entry is not None:
            self._entries.append(entry)
            copied.note(entry)
        if len(self._entries) >= _AT_ONCE or time.monotonic() - self._listed_at > _LIST_EVERY:
            self._list()
        self._say()
        return 1

    def _say(self) -> None:
        if time.monotonic() - self._said_at > _SAY_EVERY:
            self._said_at = time.monotonic()
            told = self.figures
            log.info("Copied %d files (%d bytes), %d there already, %d gone, %d failed",
                     told.copied, told.bytes, told.there, told.gone, told.failed)  # fmt: skip

    def _list(self) -> None:
        self._listed_at = time.monotonic()
        if self._entries:
            text = "".join(f"{json.dumps(entry, separators=(',', ':'))}\n" for entry in self._entries)
            self._put_list(gzip.compress(text.encode(), mtime=0))
            self._entries = []

    def _put_list(self, content: bytes | Path) -> None:
        name = f"files-{stamp(datetime.now(UTC))}-{self._attempt}-{self._number:05}.jsonl.gz"
        self._number += 1
        folder = self._base / MANIFESTS
        self._fs.makedirs(str(folder.path), exist_ok=True)
        put_whole(self._fs, str((folder / name).path), content)
        self.figures.lists.append(name)

    def _make_one(self, copied: Copied, local: Path) -> None:
        """Make the lists one, and remove them when it is there."""
        whole = local / "lists"
        with gzip.open(whole, "wt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in copied.lines())
        before = [*copied.lists, *self.figures.lists]
        self._put_list(whole)
        self.figures.lists = self.figures.lists[-1:]
        for old in before:
            (self._base / MANIFESTS / old).unlink(missing_ok=True)

    # In the threads

    def _work(self, downloads: Downloads, local: Path) -> None:
        try:
            while (file := self._asked.get()) is not None and not self._stop.is_set():
                found: Downloaded | BaseException
                try:
                    found = self._one(downloads, file, local)
                except BaseException as error:
                    found = error
                self._answered.put((file, found))
        finally:
            downloads.close()

    def _one(self, downloads: Downloads, file: File, local: Path) -> Downloaded:
        found = downloads.fetch(file.url or "", local)
        if found.mime_type == "text/html" and not (file.mime_type or "").startswith("text/"):
            raise DownloadError(Failure.NOT_THE_FILE)
        target = f"{self._folder.rstrip('/')}/{file.object_name}"
        try:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(local), target)
        except Exception as error:
            message = f"The storage did not take the file {file.id}: {type(error).__name__}"
            raise WtsChatDestinationError(message, retryable=True) from error
        return found


def copied_files(path: str, *, conn_id: str | None = None) -> Iterator[dict[str, Any]]:
    """
    Give the files of messages that were copied into a folder.

    :param conn_id: connection of the storage, where the path does not name it
    :return: of each its ``id``, its address as ``path``, ``bytes``, ``sha256``, ``mime_type`` and the ``message_id`` of
        a message that has it
    """
    base = ObjectStoragePath(path.rstrip("/"), conn_id=conn_id)
    with Copied(base) as copied:
        for line in copied.lines():
            entry: dict[str, Any] = json.loads(line)
            if "object" in entry:
                yield {**entry, "path": str(base / entry.pop("object"))}


def _names(base: ObjectStoragePath) -> list[str]:
    folder = base / MANIFESTS
    return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.exists() else []


def _entries(base: ObjectStoragePath, name: str) -> Iterator[dict[str, Any]]:
    path = base / MANIFESTS / name
    packed = path.open("rb")  # type: ignore[no-untyped-call]  # Airflow has no types for it
    with packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
