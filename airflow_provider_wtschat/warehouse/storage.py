"""
Parts and manifests in a folder of any object storage.

Parts are only ever added. What counts is what manifests name: a part that none of them names is what an attempt left
behind that did not finish. A manifest's name tells how far its load came, so that listing a folder is enough to know
where to go on.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import re
import secrets
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, ClassVar, cast

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException, ObjectStoragePath
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.warehouse.rows import Values
from airflow_provider_wtschat.warehouse.tables import Kinds, Table

MANIFESTS = "_manifests"
"""The folder of the manifests, below that of the parts."""
MARK, WINDOW, PROGRESS = "mark", "window", "progress"
"""What a manifest says: the mark moved, a window that was given is complete, some parents are complete."""

_LOCAL, _LOCK = "wtschat-parts-", ".lock"
"""Names of the folder on this machine, and of the file in it that the process holds locked which writes there."""
_LEFT = ".left"
"""What the name of an object ends with that is no manifest: how far attempts at a given window came."""
_YOUNG = 60.0
"""Seconds for which a folder on this machine is left alone."""

_ROWS_AT_ONCE = 5_000
_NAME = re.compile(
    r"(?P<resource>[a-z_]+)-(?P<digest>[0-9a-f]{16})-(?P<kind>[a-z]+)-(?P<end>\d{8}T\d{12}Z)-(?P<rest>.+)\.json"
)


@dataclass(frozen=True)
class Found:
    """
    A manifest by its name.

    :param end: how far its load came
    """

    name: str
    kind: str
    end: datetime


class PartFile(ABC):
    """A part that is being written, on this machine."""

    suffix: ClassVar[str]

    def __init__(self, path: Path, table: Table) -> None:
        self.path = path
        self.table = table
        self.rows = 0

    @abstractmethod
    def write(self, rows: Sequence[Values]) -> None:
        """
        Append rows.

        :param rows: values of the table's ``loaded`` columns
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    @property
    def size(self) -> int:
        """Bytes written so far, about."""
        return self.path.stat().st_size


class JsonLines(PartFile):
    """A row of the API on each line, with ``_read_at`` and ``_account``, compressed."""

    suffix = "jsonl.gz"

    def __init__(self, path: Path, table: Table) -> None:
        super().__init__(path, table)
        self._file = TextIOWrapper(cast("Any", gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)), encoding="utf-8")
        names = [column.name for column in table.loaded]
        self._payload, self._read_at = names.index("payload"), names.index("read_at")
        self._account = names.index("account")

    def write(self, rows: Sequence[Values]) -> None:
        """Append rows."""
        self._file.writelines(
            f'{row[self._payload][:-1]},"_read_at":"{row[self._read_at]}","_account":{json.dumps(row[self._account])}}}\n'
            for row in rows
        )
        self.rows += len(rows)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class Parquet(PartFile):
    """The columns of the table, ``payload`` with the whole row among them."""

    suffix = "parquet"

    def __init__(self, path: Path, table: Table) -> None:
        super().__init__(path, table)
        arrow, parquet = _pyarrow()
        kinds = {
            Kinds.INSTANT: arrow.timestamp("us", "UTC"),
            Kinds.INTEGER: arrow.int64(),
            Kinds.NUMBER: arrow.float64(),
            Kinds.MONEY: arrow.decimal128(18, 4),
            Kinds.BOOLEAN: arrow.bool_(),
        }
        names = [column.name for column in table.loaded]
        types = [kinds.get(column.kind, arrow.string()) for column in table.loaded]
        self._schema = arrow.schema(list(zip(names, types, strict=True)))
        self._arrow = arrow
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Values] = []

    def write(self, rows: Sequence[Values]) -> None:
        """Append rows."""
        self._waiting += rows
        self.rows += len(rows)
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        arrow = self._arrow
        columns = []
        for field, values in zip(self._schema, zip(*self._waiting, strict=True), strict=True):
            given = field.type
            if arrow.types.is_timestamp(field.type) or arrow.types.is_decimal(field.type):
                given = arrow.string()
            texts = [None if value is None else _amount(value) for value in values] if given != field.type else values
            columns.append(arrow.array(texts, given).cast(field.type))
        self._writer.write_table(arrow.Table.from_arrays(columns, schema=self._schema))
        self._waiting = []


FORMATS: dict[str, type[PartFile]] = {"jsonl": JsonLines, "parquet": Parquet}
"""Kinds of parts by name."""


class Folder:
    """
    A folder of object storage with the parts and manifests of a load.

    :param conn_id: connection of the storage, where the path does not name it
    :param digest: tells loads with other filters apart
    """

    def __init__(self, path: str, conn_id: str | None, resource: str, digest: str) -> None:
        self.base = ObjectStoragePath(path.rstrip("/"), conn_id=conn_id)
        self._prefix = f"{resource}-{digest}-"

    def found(self) -> list[Found]:
        """List the manifests of this load, by how far they came."""
        folder = self.base / MANIFESTS
        if not folder.exists():
            return []
        matches = [(path.name, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
        manifests = [
            Found(name, match["kind"], _read_stamp(match["end"]))
            for name, match in matches
            if match and name.startswith(self._prefix)
        ]
        return sorted(manifests, key=lambda manifest: (manifest.end, manifest.name))

    def read(self, name: str) -> dict[str, Any]:
        """Read a manifest."""
        manifest: dict[str, Any] = json.loads((self.base / MANIFESTS / name).read_bytes())
        return manifest

    def known(self, manifests: Iterable[Found]) -> dict[str, str]:
        """
        Return the versions of parents whose children manifests name.

        :param manifests: the manifests, the oldest first
        """
        versions: dict[str, str] = {}
        for manifest in manifests:
            parents = self.read(manifest.name).get("parents_file")
            if parents:
                versions |= self.read_compressed(parents)
        return versions

    def read_compressed(self, name: str) -> dict[str, str]:
        """Read a small object that lies beside the manifests; empty if it is not there any more."""
        path = self.base / MANIFESTS / name
        content: dict[str, str] = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}
        return content

    def put_compressed(self, content: Mapping[str, str], name: str) -> None:
        """Put a small object beside the manifests."""
        self.put_bytes(gzip.compress(json.dumps(dict(content)).encode(), mtime=0), name)

    def left(self, window: str) -> dict[str, Any]:
        """Return how far attempts at a given window came that did not finish; empty if there are none."""
        path = self.base / MANIFESTS / f"{self._prefix}{window}{_LEFT}"
        kept: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        return kept

    def keep_left(self, window: str, content: Mapping[str, Any] | None) -> None:
        """
        Keep how far an attempt at a given window came.

        :param content: what :meth:`left` returns later; ``None`` once it has finished
        """
        name = f"{self._prefix}{window}{_LEFT}"
        if content is None:
            self.remove(name, ())
        else:
            self.put_bytes(json.dumps(content).encode(), name)

    def put(self, local: Path, name: str) -> None:
        """
        Put a file into the folder, whole.

        A file that is written there piece by piece can be half there after an exception.
        """
        target = self.base / name
        target.fs.makedirs(str(target.path).rpartition("/")[0], exist_ok=True)
        target.fs.put_file(str(local), str(target.path))

    def put_bytes(self, content: bytes, name: str) -> None:
        """Put a small object beside the manifests, whole."""
        target = self.base / MANIFESTS / name
        target.fs.makedirs(str((self.base / MANIFESTS).path), exist_ok=True)
        put_whole(target.fs, str(target.path), content)

    def remove(self, name: str, parts: Iterable[str]) -> None:
        """Remove a manifest, and then the parts that it names."""
        (self.base / MANIFESTS / name).unlink(missing_ok=True)
        for part in parts:
            (self.base / part).unlink(missing_ok=True)

    def name(self, kind: str, end: datetime, rest: str) -> str:
        """Return the name of a manifest."""
        return f"{self._prefix}{kind}-{stamp(end)}-{rest}.json"


class LocalFolder:
    """A folder on this machine for what goes into an object storage; one of a killed process goes with the next."""

    def __init__(self) -> None:
        remove_left_folders()
        self._folder = tempfile.TemporaryDirectory(prefix=_LOCAL)
        self.path = Path(self._folder.name)
        # Held until this process ends, however it ends.
        self._lock = (self.path / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        self._lock.close()
        self._folder.cleanup()


class Parts:
    """
    Writes the parts of one attempt: on this machine first, then whole into the folder.

    Use it in a ``with`` block, which removes what lies on this machine.

    :param folder: where they go
    :param file_format: ``jsonl`` or ``parquet``
    :param label: begin of their names: resource and window
    :param max_bytes: bytes of a part, about, after which the next one begins
    :param below: name of a folder below, for the lists inside of rows
    """

    def __init__(
        self, folder: Folder, table: Table, file_format: str, label: str, max_bytes: int, below: str = ""
    ) -> None:
        self.attempt = secrets.token_hex(6)
        self.parts: list[dict[str, Any]] = []
        """Those that are in the folder and no manifest names yet."""
        self._folder = folder
        self._table = table
        self._kind = FORMATS[file_format]
        self._label = label
        self._below = f"{below}/" if below else ""
        self._max_bytes = max_bytes
        self._number = 0
        self._open: PartFile | None = None
        self._local = LocalFolder()

    @property
    def places(self) -> tuple[int, int]:
        """Where in a row of a list the id of its parent is, and the parent's last change."""
        names = [column.name for column in self._table.loaded]
        return names.index(self._table.parent or "id"), names.index("updated_at")

    def __enter__(self) -> Parts:
        """Return the parts."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove what lies on this machine."""
        if self._open is not None:
            self._open.close()
        self._local.remove()

    def write(self, rows: Sequence[Values]) -> None:
        """
        Append rows.

        :param rows: values of the table's ``loaded`` columns
        """
        if not rows:
            return
        if self._open is None:
            path = self._local.path / f"{self._label}-{self.attempt}-{self._number:05}.{self._kind.suffix}"
            self._open = self._kind(path, self._table)
            self._number += 1
        self._open.write(rows)
        if self._open.size >= self._max_bytes:
            self.put()

    def put(self) -> None:
        """Finish the part that is open, and put it into the folder."""
        part, self._open = self._open, None
        if part is None:
            return
        part.close()
        name = f"{self._below}{part.path.name}"
        self._folder.put(part.path, name)
        with part.path.open("rb") as content, closing(content):
            checksum = hashlib.file_digest(content, "sha256").hexdigest()
        self.parts.append({"name": name, "rows": part.rows, "bytes": part.size, "sha256": checksum})
        part.path.unlink()


def put_whole(fs: Any, path: str, content: bytes | Path) -> None:
    """
    Put an object, so that it is there whole or not at all.

    :param fs: the file system
    :param content: what is in it, or the file on this machine that holds it
    """
    known = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    # A file of a disk is there from its first byte on, also if this process is killed then.
    whole = "file" not in known
    target = path if whole else f"{path}.part"
    if isinstance(content, Path):
        fs.put_file(str(content), target)
    else:
        fs.pipe_file(target, content)
    if not whole:
        fs.mv(target, path)


def remove_left_folders() -> None:
    """Remove the folders on this machine of attempts that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_LOCAL}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _YOUNG:
                # It may not have its lock yet.
                continue
            with (folder / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def named_parts(
    path: str, *, conn_id: str | None = None, resource: str | None = None, child: str | None = None
) -> list[str]:
    """
    Return the parts in a folder that manifests name: those to read.

    Of rows with the same ``id`` the one with the newest (``updatedAt``, ``_read_at``) counts. Of a list inside of rows
    those count that were read with this version of their row: the same ``updated_at`` and ``read_at``.

    :param conn_id: connection of the storage, where the path does not name it
    :param resource: name of the resource. Default: all
    :param child: name of a list inside of its rows, such as ``tags``. Default: the rows themselves
    :return: their addresses, in the order in which they were written
    """
    base = ObjectStoragePath(path.rstrip("/"), conn_id=conn_id)
    folder = base / MANIFESTS
    if not folder.exists():
        return []
    names = []
    for manifest in sorted(folder.iterdir(), key=lambda found: found.name):
        match = _NAME.fullmatch(manifest.name)
        if match and resource in (None, match["resource"]):
            content: Mapping[str, Any] = json.loads(manifest.read_bytes())
            parts = content["parts"] if child is None else content.get("children", {}).get(child, [])
            names += [(match["end"], str(base / part["name"])) for part in parts]
    return [name for _, name in sorted(names)]


def _amount(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4f}"


def stamp(moment: datetime) -> str:
    """
    Write an instant so that it can be part of a name, and names sort as instants do.

    :return: such as ``20260909T114800997762Z``
    """
    return re.sub(r"[-:.]", "", instants.write(moment))


def _read_stamp(text: str) -> datetime:
    return instants.read(f"{text[:8]}T{text[9:15]}.{text[15:21]}Z")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        msg = "file_format='parquet' needs pyarrow: pip install 'airflow-provider-wtschat[parquet]'"
        raise AirflowOptionalProviderFeatureException(msg) from error
    return pyarrow, parquet
