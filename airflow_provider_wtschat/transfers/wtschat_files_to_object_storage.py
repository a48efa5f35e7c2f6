"""Copying the files of messages into object storage."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat._compat import ObjectStoragePath
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError, WtsChatServerError
from airflow_provider_wtschat.extraction import check_window, read
from airflow_provider_wtschat.hooks.downloads import AllowedHosts, Downloads, Failure
from airflow_provider_wtschat.transfers.outbound import WtsChatOutboundBaseOperator, past, table_name
from airflow_provider_wtschat.transfers.wtschat_to_sql import LOCK_TIMEOUT
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.files import Figures, File, FileCopy
from airflow_provider_wtschat.warehouse.storage import MANIFESTS
from airflow_provider_wtschat.warehouse.tables import CHILDREN, Kinds

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatFilesToObjectStorageOperator"]

MAX_BYTES = 1024 * 1024 * 1024
FILE_TIMEOUT = 600.0
FILE_WORKERS = 8
TABLE = "wtschat_messages_files"
_ROWS = 1_000


class WtsChatFilesToObjectStorageOperator(WtsChatOutboundBaseOperator):
    """
    Copy the files of messages into a folder of any object storage that Airflow knows, each once.

    The files are those of a table that ``WtsChatToSqlOperator`` loaded (``sql_conn_id``), those that are given
    (``files``), or those of sessions that changed in a window (``since``), which takes a request for each session. A
    file is stored as ``<first two letters of its id>/<id>.<extension>``, and named with its bytes and SHA-256 by a list
    in ``_manifests``, which is written after it was put whole: only what a list names counts, and the next run copies
    what none names. :func:`airflow_provider_wtschat.warehouse.files.copied_files` reads the lists.

    Addresses are followed only to hosts in ``allowed_hosts``, redirects included, and never with the API's token. Files
    that the server has no more are recorded and not asked for again, unless they get another address.

    Returns counts of files by what became of them, and their bytes.

    .. code-block:: python

        WtsChatFilesToObjectStorageOperator(
            task_id="files",
            path="s3://aws_default@lake/wtschat/files",
            sql_conn_id="warehouse",
            allowed_hosts=["*.wts.chat"],
        )

    :param path: the folder, such as ``s3://aws_default@lake/wtschat/files`` (templated)
    :param allowed_hosts: hosts that files may come from: ``files.example.com``, ``*.example.com`` for those below it,
        or with scheme and port where it is not https at its usual port: ``http://files.example.com:8080`` (templated).
        An attempt that meets others names them
    :param object_storage_conn_id: connection of the storage, where the path does not name it (templated)
    :param sql_conn_id: connection of the database with the table of files (templated)
    :param table: name of that table (templated). Default: ``wtschat_messages_files``
    :param files: the files: a list of mappings with ``file_id``, ``url`` and ``message_id``, and where known
        ``mime_type`` and ``extension``, such as the output of a task (templated)
    :param since: with ``sql_conn_id``: only rows that were loaded since then. Alone: start of the window of changes
        (templated). Default: all rows of the table
    :param until: end of it, excluded (templated). Default: now
    :param timezone: IANA time zone of dates that have none (templated). Default: UTC
    :param private_addresses: whether hosts may have addresses that are not of the internet (templated). Default: no
    :param max_bytes: bytes of a file at most (templated). Default: 1 GiB
    :param file_timeout: seconds that one try at a file may take at most: timedelta or seconds (templated). Default: 600
    :param workers: files that are copied at the same time at most (templated). Default: 8
    :param again: ask again for files that were gone (templated). Default: no
    :param max_failed: files that may fail before the task does, after everything else was copied; those that are gone
        do not count (templated). Default: 0
    :param fail_if_gone: count those that are gone, too (templated). Default: no
    :param max_requests: with a window: refuse more requests than this (templated). Default: no bound
    :param lock_timeout: seconds to wait for a DuckDB file that another process has open (templated). Default: 180
    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    template_fields_renderers: ClassVar[dict[str, str]] = {"files": "json"}

    def __init__(
        self,
        *,
        path: str,
        allowed_hosts: Iterable[str] | str,
        object_storage_conn_id: str | None = None,
        sql_conn_id: str | None = None,
        table: str = TABLE,
        files: Iterable[Mapping[str, Any]] | str | None = None,
        since: When | None = None,
        until: When | None = None,
        timezone: str = "UTC",
        private_addresses: bool | str = False,
        max_bytes: int | str = MAX_BYTES,
        file_timeout: Any = FILE_TIMEOUT,
        workers: int | str = FILE_WORKERS,
        again: bool | str = False,
        max_failed: int | str = 0,
        fail_if_gone: bool | str = False,
        max_requests: int | str | None = None,
        lock_timeout: float | str = LOCK_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.allowed_hosts = allowed_hosts
        self.object_storage_conn_id = object_storage_conn_id
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.files = files
        self.since = since
        self.until = until
        self.timezone = timezone
        self.private_addresses = private_addresses
        self.max_bytes = max_bytes
        self.file_timeout = file_timeout
        self.workers = workers
        self.again = again
        self.max_failed = max_failed
        self.fail_if_gone = fail_if_gone
        self.max_requests = max_requests
        self.lock_timeout = lock_timeout

    def act(self, context: Context) -> dict[str, Any]:
        """
        Copy what is not there yet.

        :return: ``copied``, ``bytes``, ``there`` (already), ``gone`` and ``failed`` files, the number of files by
            reason (``reasons``), the reason by id of a message for the first hundred (``failures``), and the paths of
            the new lists (``manifests``)
        """
        allowed = AllowedHosts(convert.texts("allowed_hosts", self.allowed_hosts) or [])
        private = bool(convert.boolean("private_addresses", self.private_addresses))
        max_bytes = convert.required("max_bytes", convert.integer("max_bytes", self.max_bytes, minimum=1))
        seconds = convert.required("file_timeout", convert.seconds("file_timeout", self.file_timeout))
        workers = convert.required("workers", convert.integer("workers", self.workers, minimum=1, maximum=64))
        again = bool(convert.boolean("again", self.again))
        max_failed = convert.required("max_failed", convert.integer("max_failed", self.max_failed, minimum=0))
        if_gone = bool(convert.boolean("fail_if_gone", self.fail_if_gone))
        path = convert.required_text("path", self.path).rstrip("/")
        conn_id = convert.text("object_storage_conn_id", self.object_storage_conn_id)
        found = self._files()
        settings = self.hook.resolve()
        started = time.monotonic()
        base = ObjectStoragePath(path, conn_id=conn_id)
        copy = FileCopy(
            base,
            lambda stop: Downloads(
                settings, allowed, private=private, max_bytes=max_bytes, file_timeout=seconds, stop=stop
            ),
            workers=workers,
            again=again,
        )
        told = copy.run(found)
        figures = {
            "path": str(base), "copied": told.copied, "bytes": told.bytes, "there": told.there, "gone": told.gone,
            "failed": told.failed, "reasons": dict(told.reasons), "failures": told.failures,
            "manifests": [str(base / MANIFESTS / name) for name in told.lists],
            "seconds": round(time.monotonic() - started, 3),
        }  # fmt: skip
        self.log.info(
            "Copied %d files (%d bytes) to %s in %.1f s; %d were there already, %d are gone, %d failed %s",
            told.copied, told.bytes, path, figures["seconds"], told.there, told.gone, told.failed,
            figures["reasons"],
        )  # fmt: skip
        self.tell(context, str(base), "messages", figures)
        if told.failed + (told.gone if if_gone else 0) > max_failed:
            raise _failed(told, max_failed)
        return figures

    def _files(self) -> Iterator[File]:
        zone = convert.required_text("timezone", self.timezone)
        since = None if self.since is None else past("since", instants.parse("since", self.since, zone))
        until = None if self.until is None else instants.parse("until", self.until, zone)
        if since is not None and until is not None:
            check_window(since, until)
        if self.files is not None:
            if self.sql_conn_id is not None or since is not None or until is not None:
                raise WtsChatArgumentError("files", "are given, so sql_conn_id, since and until have nothing to say")
            return iter([_given(number, row) for number, row in enumerate(convert.listing("files", self.files) or [])])
        if self.sql_conn_id is not None:
            return self._of_table(since, until)
        if since is None:
            reason = "give one of them: a table (sql_conn_id), a list (files), or the begin of a window (since)"
            raise WtsChatArgumentError("sql_conn_id, files, since", reason)
        most = convert.integer("max_requests", self.max_requests, minimum=1)
        reading = read(self.hook, "messages", since, until, max_requests=most)
        return (_of_item(row["id"], item) for batch in reading for row in batch.rows for item in _items(row))

    def _of_table(self, since: Any, until: Any) -> Iterator[File]:
        conn_id = convert.required_text("sql_conn_id", self.sql_conn_id)
        schema, name = table_name("table", self.table)
        wait = convert.required("lock_timeout", convert.seconds("lock_timeout", self.lock_timeout))
        names = ("id", "file_id", "message_id", "url", "mime_type", "extension")
        # On this machine's disk, so that neither memory nor a connection is held while files are copied.
        with closing(sqlite3.connect("")) as kept:
            kept.execute("CREATE TABLE files (file_id, message_id, url, mime_type, extension)")
            with Database(conn_id, schema, wait=wait) as database:
                there = database.columns(name)
                if not there >= {*names, "missing_since", "account", "loaded_at"}:
                    reason = f"there is no table {name} of files; load messages with WtsChatToSqlOperator first"
                    raise WtsChatArgumentError("table", reason)
                at = database.dialect.cast(Kinds.INSTANT)
                bounds = [("loaded_at >=", since), ("loaded_at <", until)]
                given = [(sql, database.instant(moment)) for sql, moment in bounds if moment is not None]
                quoted = ", ".join(map(database.dialect.quote, names))
                sql = (
                    f"SELECT {quoted} FROM {database.dialect.quote(name)} WHERE id > ? "  # noqa: S608
                    "AND missing_since IS NULL AND (account = ? OR account IS NULL) "
                    f"{''.join(f'AND {bound} {at} ' for bound, _ in given)}ORDER BY id LIMIT {_ROWS}"
                )
                values = [self.account(), *(moment for _, moment in given)]
                last = ""
                while True:
                    rows = database.query(sql, last, *values)
                    kept.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", [row[1:] for row in rows])
                    if len(rows) < _ROWS:
                        break
                    last = rows[-1][0]
            for row in kept.execute("SELECT * FROM files"):
                yield File(row[0], row[1], *row[2:])


def _items(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    (child,) = CHILDREN["messages"]
    return child.items(row) or ()


def _of_item(message_id: str, item: Mapping[str, Any]) -> File:
    texts = (item.get(name) for name in ("publicUrl", "mimeType", "extension"))
    return File(str(item["id"]), message_id, *(text if isinstance(text, str) else None for text in texts))


def _given(number: int, row: Any) -> File:
    known = {"file_id", "message_id", "url", "mime_type", "extension"}
    if not isinstance(row, Mapping) or not {"file_id", "url", "message_id"} <= set(row):
        place = f"files[{number}]"
        raise WtsChatArgumentError(
            place, f"a mapping with file_id, url and message_id is wanted, of {', '.join(sorted(known))}"
        )
    texts = (None if row.get(name) is None else str(row[name]) for name in ("url", "mime_type", "extension"))
    return File(str(row["file_id"]), str(row["message_id"]), *texts)


def _failed(told: Figures, most: int) -> Exception:
    reasons = ", ".join(f"{reason} {number}" for reason, number in told.reasons.most_common())
    message = f"{told.failed} files were not copied, and {most} may fail (max_failed): {reasons}"
    if told.hosts:
        hosts = ", ".join(f"{host} ({number})" for host, number in told.hosts.most_common(10))
        message += f". Hosts that are not allowed: {hosts}; add to allowed_hosts those that you trust"
    if told.reasons[Failure.NO_ADDRESS.value]:
        message += ". Rows have no address: they were loaded without personal data, which addresses are"
    if told.passing:
        return WtsChatServerError(f"{message}. The next try copies what is left", retryable=True)
    return WtsChatFailedError(message)
