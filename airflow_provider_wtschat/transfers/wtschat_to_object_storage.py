"""Copying what changed in WTS Chat into object storage."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import Kind, Reading, Resource, read
from airflow_provider_wtschat.operators.base import failing_for_good
from airflow_provider_wtschat.transfers.reading import Window, WtsChatLoadingBaseOperator, check_rejects
from airflow_provider_wtschat.warehouse.database import Load
from airflow_provider_wtschat.warehouse.rows import Shaper, Tally
from airflow_provider_wtschat.warehouse.storage import FORMATS, MANIFESTS, MARK, PROGRESS, WINDOW, Folder, Parts, stamp
from airflow_provider_wtschat.warehouse.tables import table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

PART_BYTES = 128 * 1024 * 1024
_PARENTS = 500
"""Parents complete after which they are recorded: a later try goes on from there."""


class WtsChatToObjectStorageOperator(WtsChatLoadingBaseOperator):
    """
    Copy what changed in WTS Chat into a folder of any object storage that Airflow knows.

    Rows are only ever added, in parts of a bounded size that carry the window and the attempt in their names. The
    manifest, written last as one object, is the only truth: read the parts that manifests name
    (:func:`airflow_provider_wtschat.warehouse.storage.named_parts`), and of the rows with one ``id`` the one with the
    newest (``updatedAt``, ``_read_at``). What an attempt left behind that did not finish is named by none.

    The next run goes on where the last manifest says that its load ended. A rerun deletes nothing, since a window in
    the past does not hold the same rows any more.

    :param path: the folder, such as ``s3://aws_default@lake/wtschat/sessions`` or ``file:///data/sessions``
        (templated)
    :param file_format: ``jsonl`` (a row of the API on each line, compressed by gzip) or ``parquet`` (typed columns and
        the row as ``payload``) (templated). Default: ``jsonl``
    :param object_storage_conn_id: connection of the storage, where the path does not name it (templated)
    :param part_bytes: size of a part, about (templated). Default: 128 MiB
    :param replace: remove what earlier attempts wrote for the same window, once this one has finished; only for a
        window with both ends given (templated). Default: no
    """

    template_fields: Sequence[str] = (
        *WtsChatLoadingBaseOperator.template_fields,
        "path",
        "file_format",
        "object_storage_conn_id",
        "part_bytes",
        "replace",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = WtsChatLoadingBaseOperator.template_fields_renderers

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

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Copy what changed.

        :param context: context of the task
        :return: the path of the manifest and its figures, and as ``manifests`` the paths of all that are new with it:
            of sessions with many messages, those of what was complete before the end
        :raises WtsChatFailedError: if it failed in a way that a retry cannot mend
        :raises WtsChatError: if a retry may help
        """
        with failing_for_good():
            resource = self.checked_resource()
            filters = self.checked_filters(resource)
            given = self.checked_window()
            replace = bool(convert.boolean("replace", self.replace))
            if replace and (given is None or given.since is None or given.until is None):
                msg = "replace: only a window with since and until can be replaced"
                raise WtsChatArgumentError(msg)
            tally = Tally()
            shaper = Shaper(table(resource.name), tally, self.editor(resource.row))
            arguments = self.reading_arguments()
            max_rejects = self.reject_limit()
            file_format = convert.required_text("file_format", self.file_format).strip().lower()
            if file_format not in FORMATS:
                convert.refuse("file_format", self.file_format, f"one of {', '.join(FORMATS)} is wanted")
            size = convert.required("part_bytes", convert.integer("part_bytes", self.part_bytes, minimum=1))
            path = convert.required_text("path", self.path)
            conn_id = convert.text("object_storage_conn_id", self.object_storage_conn_id)
            self.hook.resolve()
            started = time.monotonic()
            load = Load(path, self.wtschat_conn_id, resource.name, filters)
            copy = _Copy(self, resource, filters, Folder(path, conn_id, resource.name, load.digest))
            window = Window(None, None, given=False) if table(resource.name).dimension else self.window(copy.watermark)
            label = f"{resource.name}-{_end(window.since, 'beginning')}-{_end(window.until, 'now')}"
            with Parts(copy.folder, table(resource.name), file_format, label, size) as parts:
                reading = copy.read(window, arguments, replace=replace)
                figures = copy.take(reading, window, shaper, parts, tally, max_rejects)
            if replace:
                copy.replace(figures["manifest"].rpartition("/")[2], window)
            figures["seconds"] = round(time.monotonic() - started, 3)
            self.log.info(
                "Copied %s: %d rows in %d parts, %d requests, %.1f s; manifest %s",
                resource.name, figures["rows"], figures["parts"], figures["requests"], figures["seconds"],
                figures["manifest"],
            )  # fmt: skip
            self.tell_lineage(str(copy.folder.base), resource.name, figures)
            self.tell_outlets(context, figures)
            return figures


class _Copy:
    """One attempt at a copy."""

    def __init__(
        self, operator: WtsChatToObjectStorageOperator, resource: Resource, filters: Mapping[str, Any], folder: Folder
    ) -> None:
        self.folder = folder
        self._operator = operator
        self._resource = resource
        self._filters = filters
        self._manifests = folder.found()
        self._marks = [manifest for manifest in self._manifests if manifest.kind == MARK]
        self._last = folder.read(self._marks[-1].name) if self._marks else {}
        self._versions: dict[str, str] = {}
        self._settled_on: str | None = None
        self._totals = {"parts": 0, "bytes": 0}
        self._number = 0
        # What attempts before this one completed and no load has told of, since they did not finish.
        self._progress = [
            found.name
            for found in self._manifests
            if found.kind == PROGRESS
            and (not self._marks or found.end >= self._marks[-1].end)
            and found.name not in self._last.get("progress", ())
        ]

    @property
    def watermark(self) -> datetime | None:
        """The end of what was copied before."""
        return self._marks[-1].end if self._marks else None

    def read(self, window: Window, arguments: Mapping[str, Any], *, replace: bool) -> Reading[Any]:
        """Begin to read."""
        known = None
        settle: timedelta | None = None
        if self._resource.kind is Kind.CHILDREN:
            if not replace:
                recent = [found for found in self._manifests if window.since is None or found.end >= window.since]
                self._versions = self.folder.known(recent)
            known = self._known
            if not window.given and self._resource.parent == "sessions":
                today = f"{datetime.now(UTC):%Y-%m-%d}"
                settle = None if self._last.get("settled_on") == today else self._operator.settling()
                self._settled_on = today
        return read(
            self._operator.hook,
            self._resource.name,
            window.since,
            window.until,
            filters=self._filters,
            known=known,
            settle=settle,
            **arguments,
        )

    def take(
        self,
        reading: Reading[Any],
        window: Window,
        shaper: Shaper,
        parts: Parts,
        tally: Tally,
        max_rejects: int,
    ) -> dict[str, Any]:
        """Take all batches, write the manifest, and return the figures."""
        complete: dict[str, str] = {}
        try:
            for batch in reading:
                parts.write(shaper.shape(batch.rows, batch.read_at))
                check_rejects(tally, max_rejects)
                if batch.parent is not None and batch.complete:
                    complete[batch.parent.id] = batch.parent.version
                if len(complete) >= _PARENTS:
                    self._write(PROGRESS, reading, window, parts, tally, complete)
                    complete = {}
            moves = reading.verified and not window.given
            if not reading.verified:
                self._operator.log.warning(
                    "The reading is not verified (%s), so the next one begins where this one did",
                    "; ".join(reading.reasons),
                )
            manifest = self._write(MARK if moves else WINDOW, reading, window, parts, tally, complete)
        finally:
            reading.close()
        return {
            "manifest": self._address(manifest),
            "manifests": [self._address(name) for name in (*self._progress, manifest)],
            "resource": self._resource.name,
            "rows": reading.rows,
            **self._totals,
            "cleaned": tally.cleaned,
            "misfits": tally.misfits,
            "rejected": tally.rejected,
            "requests": reading.requests,
            "since": _written(window.since),
            "until": _written(window.until),
            "until_reached": _written(reading.until_reached),
            "verified": reading.verified,
        }

    def replace(self, manifest: str, window: Window) -> None:
        """Remove what earlier attempts wrote for the same window."""
        same = {"since": _written(window.since), "until": _written(window.until), "given": True}
        for found in self._manifests:
            content = self.folder.read(found.name)
            if found.name != manifest and all(content[name] == value for name, value in same.items()):
                self.folder.remove(found.name, [part["name"] for part in content["parts"]])

    def _address(self, name: str) -> str:
        return str(self.folder.base / MANIFESTS / name)

    def _known(self, ids: Sequence[str]) -> dict[str, str]:
        return {row_id: self._versions[row_id] for row_id in ids if row_id in self._versions}

    def _write(
        self,
        kind: str,
        reading: Reading[Any],
        window: Window,
        parts: Parts,
        tally: Tally,
        complete: Mapping[str, str],
    ) -> str:
        parts.put()
        reached = reading.until_reached if kind != PROGRESS else reading.started_at
        end = reached or reading.started_at or datetime.now(UTC)
        rest = f"{parts.attempt}-{self._number:04}"
        parents_file = None
        if complete:
            parents_file = f"{self._resource.name}-{stamp(end)}-{rest}.parents.json.gz"
            self.folder.put_bytes(gzip.compress(json.dumps(dict(complete)).encode(), mtime=0), parents_file)
        content = {
            "resource": self._resource.name,
            "filters": self._filters,
            "kind": kind,
            "since": _written(window.since),
            "until": _written(window.until),
            "given": window.given,
            "until_reached": _written(reading.until_reached),
            "started_at": _written(reading.started_at),
            "verified": reading.verified,
            "reasons": reading.reasons,
            "rows": sum(part["rows"] for part in parts.parts),
            "rejected": tally.rejected,
            "cleaned": tally.cleaned,
            "attempt": parts.attempt,
            "parts": parts.parts,
            "parents": len(complete),
            "parents_file": parents_file,
            "progress": self._progress,
            "settled_on": self._settled_on if kind == MARK else None,
        }
        name = self.folder.name(kind, end, rest)
        self.folder.put_bytes(json.dumps(content, indent=1, default=str).encode(), name)
        self._number += 1
        if kind == PROGRESS:
            self._progress.append(name)
        self._totals["parts"] += len(parts.parts)
        self._totals["bytes"] += sum(part["bytes"] for part in parts.parts)
        parts.parts = []
        return name


def _end(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else stamp(moment)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else instants.write(moment)
