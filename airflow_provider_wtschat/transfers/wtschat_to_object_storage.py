"""Copying what changed in WTS Chat into object storage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import Kind, Reading, read
from airflow_provider_wtschat.operators._progress import DONE, Progress
from airflow_provider_wtschat.transfers.outbound import (
    Window,
    WtsChatLoadingBaseOperator,
    check_rejects,
    check_watermark,
    finished,
)
from airflow_provider_wtschat.warehouse.copies import Copy, Left, Manifests, Options, known
from airflow_provider_wtschat.warehouse.leases import Load
from airflow_provider_wtschat.warehouse.rows import Tally
from airflow_provider_wtschat.warehouse.storage import FORMATS, MANIFESTS, Folder, Parts
from airflow_provider_wtschat.warehouse.tables import table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatToObjectStorageOperator"]

PART_BYTES = 128 * 1024 * 1024


class WtsChatToObjectStorageOperator(WtsChatLoadingBaseOperator):
    """
    Copy what changed in WTS Chat into a folder of any object storage that Airflow knows.

    Rows are only ever added, in parts of a bounded size that carry the window and the attempt in their names. The
    manifest, written last as one object, is the only truth: read the parts that manifests name
    (:func:`airflow_provider_wtschat.warehouse.storage.named_parts`), and of the rows with one ``id`` the one with the
    newest (``updatedAt``, ``_read_at``). What an attempt left behind that did not finish is named by none.

    The next run goes on where the last manifest says that its load ended. Rows of the overlap that are as they were
    when they were copied are not copied again. A rerun deletes nothing, since a window in the past does not hold the
    same rows any more.

    Returns the path of the manifest and its figures, and as ``manifests`` the paths of all that are new with it.

    .. code-block:: python

        WtsChatToObjectStorageOperator(
            task_id="copy", resource="sessions", path="s3://aws_default@lake/wtschat/sessions", file_format="parquet"
        )

    :param path: the folder, such as ``s3://aws_default@lake/wtschat/sessions`` or ``file:///data/sessions``
        (templated)
    :param file_format: ``jsonl`` (a row of the API on each line, compressed by gzip) or ``parquet`` (typed columns and
        the row as ``payload``, and lists inside of rows in folders below, such as ``tags``) (templated). Default:
        ``jsonl``
    :param object_storage_conn_id: connection of the storage, where the path does not name it (templated)
    :param part_bytes: size of a part, about (templated). Default: 128 MiB
    :param replace: remove what earlier attempts wrote for the same window, once this one has finished; only for a
        window with both ends given (templated). Default: no
    """

    def __init__(
        self,
        *,
        path: str,
        file_format: str = "jsonl",
        object_storage_conn_id: str | None = None,
        part_bytes: int | str = PART_BYTES,
        replace: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.file_format = file_format
        self.object_storage_conn_id = object_storage_conn_id
        self.part_bytes = part_bytes
        self.replace = replace

    def act(self, context: Context) -> dict[str, Any]:
        """
        Copy what changed.

        :return: the path of the manifest and its figures, and as ``manifests`` the paths of all that are new with it:
            of sessions with many messages, those of what was complete before the end
        """
        resource = self.checked_resource()
        filters = self.checked_filters(resource)
        given = self.checked_window()
        replace = bool(convert.boolean("replace", self.replace))
        if replace and (given is None or given.since is None or given.until is None):
            raise WtsChatArgumentError("replace", "only a window with since and until can be replaced")
        tally = Tally()
        tables, shaping = self.shaping(resource, resource.name, tally)
        arguments = self.reading_arguments()
        rejects = self.reject_limit()
        file_format = convert.required_text("file_format", self.file_format).strip().lower()
        if file_format not in FORMATS:
            convert.refuse("file_format", self.file_format, f"one of {', '.join(FORMATS)} is wanted")
        if file_format == "jsonl":
            # On its lines rows have their lists inside.
            shaping = shaping.alone()
        size = convert.required("part_bytes", convert.integer("part_bytes", self.part_bytes, minimum=1))
        path = convert.required_text("path", self.path)
        conn_id = convert.text("object_storage_conn_id", self.object_storage_conn_id)
        overlap = timedelta(seconds=convert.required("overlap", convert.seconds("overlap", self.overlap)))
        self.hook.resolve()
        started = time.monotonic()
        load = Load(path, self.wtschat_conn_id, resource.name, filters)
        folder = Folder(path, conn_id, resource.name, load.digest)
        manifests = Manifests(folder)
        if given is None:
            check_watermark(manifests.watermark, f"Remove the newest manifest from {folder.base / MANIFESTS}")
        window = Window(None, None, given=False)
        if not table(resource.name).dimension:
            window = self.window(manifests.watermark)
        progress = Progress(
            context, "load", resource=resource.name, destination=path, given=window.given,
            since=instants.write_or_none(window.since), complete_until=instants.write_or_none(manifests.watermark),
        )  # fmt: skip
        progress.push(rows=0, requests=0)

        def look(reading: Reading[Any]) -> None:
            check_rejects(tally, rejects)
            if progress.due:
                progress.push(rows=reading.rows, requests=reading.requests)

        options = Options(
            resource=resource,
            filters=filters,
            since=window.since,
            until=window.until,
            given=window.given,
            overlap=overlap,
            look=look,
        )
        settled_on = None
        if resource.kind is Kind.CHILDREN and resource.parent == "sessions" and not window.given:
            settled_on = f"{datetime.now(UTC):%Y-%m-%d}"
        with ExitStack() as open_parts:
            parts = open_parts.enter_context(Parts(folder, tables.pop(resource.name), file_format, options.label, size))
            lists = {}
            for name, made in () if file_format == "jsonl" else tables.items():
                below = name.removeprefix(f"{resource.name}_")
                below_parts = Parts(folder, made, file_format, f"{below}-{options.label}", size, below)
                lists[below] = open_parts.enter_context(below_parts)
            left = Left() if replace else manifests.left(options)
            copy = Copy(manifests, parts, lists, shaping, tally, options, left, settled_on)
            reading = self._read(manifests, options, settled_on, arguments, left, replace=replace)
            figures = copy.take(reading)
        if replace:
            manifests.remove_same(options, figures["manifest"].rpartition("/")[2])
        figures["seconds"] = round(time.monotonic() - started, 3)
        progress.push(DONE, **finished(figures, given=window.given))
        self.log.info(
            "Copied %s: %d rows in %d parts, %d requests, %.1f s; manifest %s",
            resource.name, figures["rows"], figures["parts"], figures["requests"], figures["seconds"],
            figures["manifest"],
        )  # fmt: skip
        self.tell(context, str(folder.base), resource.name, figures)
        return figures

    def _read(
        self,
        manifests: Manifests,
        options: Options,
        settled_on: str | None,
        arguments: Mapping[str, Any],
        left: Left,
        *,
        replace: bool,
    ) -> Reading[Any]:
        children = options.resource.kind is Kind.CHILDREN
        versions = manifests.versions(options.since) if children and not replace else {}
        settled = settled_on is None or manifests.last.get("settled_on") == settled_on
        return read(
            self.hook,
            options.resource.name,
            options.since,
            options.until,
            filters=options.filters,
            known=known(versions) if children else None,
            settle=None if settled else self.settling(),
            resume=left.position,
            **arguments,
        )
