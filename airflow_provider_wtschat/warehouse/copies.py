"""One attempt at a copy into object storage."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.extraction import Batch, Changes, Reading, Resource
from airflow_provider_wtschat.warehouse.rows import Shaping, Tally, Values
from airflow_provider_wtschat.warehouse.storage import MANIFESTS, MARK, PROGRESS, WINDOW, Folder, Parts, stamp
from airflow_provider_wtschat.warehouse.tables import Table, table

log = logging.getLogger(__name__)

PARENTS = 500
"""Parents complete after which they are recorded: a later try goes on from there."""
ROWS = 50_000
"""Rows after which is recorded how far the reading came: a later try goes on from there."""
_MARGIN = timedelta(minutes=10)
"""How far the next copy may begin before the overlap, since clocks differ."""
_DIGEST = 16
"""Characters of a row's hash that tell its versions apart."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    What to copy.

    :param filters: what was asked for
    :param since: start of the window
    :param given: whether the window was given; the watermark stays then
    :param overlap: how far the next copy goes back
    :param look: is called with the reading after rows were shaped; it fails if too many had to be left out
    """

    resource: Resource
    filters: Mapping[str, Any]
    since: datetime | None
    until: datetime | None
    given: bool
    overlap: timedelta
    look: Callable[[Reading[Any]], None]

    @property
    def label(self) -> str:
        """What the names of its parts begin with."""
        low = "beginning" if self.since is None else stamp(self.since)
        return f"{self.resource.name}-{low}-{'now' if self.until is None else stamp(self.until)}"


@dataclass(frozen=True)
class Left:
    """
    What attempts at a copy left that did not finish.

    :param position: how far the last one came
    :param progress: their manifests
    """

    position: dict[str, Any] | None = None
    progress: Sequence[str] = ()


class Manifests:
    """What earlier attempts at a copy left in its folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.found = folder.found()
        marks = [manifest for manifest in self.found if manifest.kind == MARK]
        self._last = marks[-1] if marks else None
        self.last: dict[str, Any] = folder.read(self._last.name) if self._last else {}
        self.progress = [
            manifest.name
            for manifest in self.found
            if manifest.kind == PROGRESS
            and (self._last is None or manifest.end >= self._last.end)
            and manifest.name not in self.last.get("progress", ())
        ]
        """Those of attempts that did not finish, which no later manifest names."""

    @property
    def watermark(self) -> datetime | None:
        """The end of what was copied before."""
        return self._last.end if self._last else None

    def versions(self, since: datetime | None) -> dict[str, str]:
        """Return the versions of parents whose children were copied."""
        return self.folder.known(found for found in self.found if since is None or found.end >= since)

    def left(self, options: Options) -> Left:
        """Return what attempts at the same left that did not finish."""
        if options.given:
            kept = self.folder.left(options.label)
            return Left(kept.get("position"), kept.get("progress", []))
        for name in reversed(self.progress):
            if not (content := self.folder.read(name))["given"]:
                return Left(content.get("position"), self.progress)
        return Left(None, self.progress)

    def copied(self) -> dict[str, str]:
        """Return the digests of the newest rows that were copied, by id, which the next copy reads again."""
        name = self.last.get("copied_file")
        return self.folder.read_compressed(name) if name else {}

    def remove_same(self, options: Options, but: str) -> None:
        """Remove what earlier attempts wrote for the same window."""
        same = {
            "since": instants.write_or_none(options.since),
            "until": instants.write_or_none(options.until),
            "given": True,
        }
        for found in self.found:
            content = self.folder.read(found.name)
            if found.name != but and all(content[name] == value for name, value in same.items()):
                children = content.get("children", {}).values()
                parts = [*content["parts"], *(part for child in children for part in child)]
                self.folder.remove(found.name, [part["name"] for part in parts])


class Copy:
    """
    One attempt at a copy.

    :param parts: where rows go
    :param children: where the rows of lists inside of rows go, by name of the list
    :param shaping: makes rows
    :param tally: what happened to rows
    :param left: what earlier attempts at the same left, where this one goes on
    :param settled_on: the day on which what had ended is read again with this
    """

    def __init__(
        self,
        manifests: Manifests,
        parts: Parts,
        children: Mapping[str, Parts],
        shaping: Shaping,
        tally: Tally,
        options: Options,
        left: Left,
        settled_on: str | None = None,
    ) -> None:
        self._folder = manifests.folder
        self._parts = parts
        self._children = children
        self._shaping = shaping
        self._tally = tally
        self._options = options
        self._settled_on = settled_on
        self._progress = list(left.progress)
        self._table: Table = table(options.resource.name)
        windowed = not self._table.dimension and not options.given
        self._before = manifests.copied() if windowed else {}
        self._copied: dict[str, tuple[str, str]] = {}
        names = [column.name for column in self._table.loaded]
        self._id, self._updated, self._hash = (names.index(name) for name in ("id", "updated_at", "hash"))
        self._complete: dict[str, str] = {}
        self._rows = 0
        self._skipped = 0
        self._totals = {"parts": 0, "bytes": 0}
        self._listed = dict.fromkeys(children, 0)
        self._number = 0

    def take(self, reading: Reading[Any]) -> dict[str, Any]:
        """Store all batches, write the manifest, and return the figures."""
        options = self._options
        try:
            for batch in reading:
                self._take(batch, reading)
            moves = reading.verified and not options.given
            if not reading.verified:
                log.warning(
                    "The reading is not verified (%s), so the next one begins where this one did",
                    "; ".join(reading.reasons),
                )
            manifest = self._write(MARK if moves else WINDOW, reading)
            if options.given:
                self._folder.keep_left(options.label, None)
        finally:
            reading.close()
        return {
            "manifest": self._address(manifest),
            "manifests": [self._address(name) for name in (*self._progress, manifest)],
            "resource": options.resource.name,
            "rows": reading.rows - self._skipped,
            "unchanged": self._skipped,
            **self._totals,
            **({"children": self._listed} if self._listed else {}),
            "cleaned": self._tally.cleaned,
            "misfits": self._tally.misfits,
            "rejected": self._tally.rejected,
            "requests": reading.requests,
            "since": instants.write_or_none(options.since),
            "until": instants.write_or_none(options.until),
            "until_reached": instants.write_or_none(reading.until_reached),
            "verified": reading.verified,
        }

    def _take(self, batch: Batch[Any], reading: Reading[Any]) -> None:
        name = self._options.resource.name
        made = self._shaping.make(batch.rows, batch.read_at)
        shaped = made[name]
        self._options.look(reading)
        new = [row for row in shaped if self._is_new(row, reading)]
        self._skipped += len(shaped) - len(new)
        self._rows += len(new)
        self._parts.write(new)
        whole = len(new) == len(shaped)
        versions = set() if whole else {(row[self._id], row[self._updated]) for row in new}
        for child, parts in self._children.items():
            rows = made[f"{name}_{child}"]
            if not whole:
                parent, updated = parts.places
                rows = [row for row in rows if (row[parent], row[updated]) in versions]
            self._listed[child] += len(rows)
            parts.write(rows)
        if batch.parent is not None and batch.complete:
            self._complete[batch.parent.id] = batch.parent.version
        far = isinstance(reading, Changes) and self._rows >= ROWS and reading.verified
        if len(self._complete) >= PARENTS or far:
            self._write(PROGRESS, reading)
            self._complete = {}
            self._rows = 0

    def _is_new(self, row: Values, reading: Reading[Any]) -> bool:
        """Return whether a row is to be copied, and keep its digest if the next copy will read it again."""
        if self._table.dimension or self._table.parent is not None:
            return True
        row_id, updated, digest = row[self._id], row[self._updated], row[self._hash][:_DIGEST]
        if self._again(updated, reading.started_at):
            there = self._copied.get(row_id)
            if there == (updated, digest):
                # A reading may give a row twice.
                return False
            if there is None or there[0] <= updated:
                self._copied[row_id] = (updated, digest)
        known: str | None = self._before.get(row_id)
        return bool(known != digest)

    def _again(self, updated: str, started_at: datetime | None) -> bool:
        """Return whether the next copy will read a row again, as far as this one knows."""
        if self._options.since is not None or started_at is None:
            # Sessions are read by their interactions, too, whenever they changed.
            return self._options.since is not None
        least: str = instants.write(started_at - self._options.overlap - _MARGIN)
        return updated >= least

    def _address(self, name: str) -> str:
        return str(self._folder.base / MANIFESTS / name)

    def _write(self, kind: str, reading: Reading[Any]) -> str:
        options, parts = self._options, self._parts
        parts.put()
        for child in self._children.values():
            child.put()
        reached = reading.until_reached if kind != PROGRESS else reading.started_at
        end = reached or reading.started_at or datetime.now(UTC)
        rest = f"{parts.attempt}-{self._number:04}"
        beside = f"{options.resource.name}-{stamp(end)}-{rest}"
        parents_file = copied_file = position = None
        if self._complete:
            parents_file = f"{beside}.parents.json.gz"
            self._folder.put_compressed(self._complete, parents_file)
        if kind == MARK and self._copied:
            copied_file = f"{beside}.copied.json.gz"
            self._folder.put_compressed({name: digest for name, (_, digest) in self._copied.items()}, copied_file)
        if kind == PROGRESS and isinstance(reading, Changes):
            position = reading.position
        content = {
            "resource": options.resource.name,
            "filters": options.filters,
            "kind": kind,
            "since": instants.write_or_none(options.since),
            "until": instants.write_or_none(options.until),
            "given": options.given,
            "until_reached": instants.write_or_none(reading.until_reached),
            "started_at": instants.write_or_none(reading.started_at),
            "verified": reading.verified,
            "reasons": reading.reasons,
            "rows": sum(part["rows"] for part in parts.parts),
            "rejected": self._tally.rejected,
            "cleaned": self._tally.cleaned,
            "attempt": parts.attempt,
            "parts": parts.parts,
            "children": {name: child.parts for name, child in self._children.items()},
            "parents": len(self._complete),
            "parents_file": parents_file,
            "copied_file": copied_file,
            "position": position,
            "progress": self._progress,
            "settled_on": self._settled_on if kind == MARK else None,
        }
        name = self._folder.name(kind, end, rest)
        self._folder.put_bytes(json.dumps(content, indent=1, default=str).encode(), name)
        self._number += 1
        if kind == PROGRESS:
            self._progress.append(name)
            if options.given:
                self._folder.keep_left(options.label, {"position": position, "progress": self._progress})
        self._totals["parts"] += len(parts.parts)
        for each in (parts, *self._children.values()):
            self._totals["bytes"] += sum(part["bytes"] for part in each.parts)
            each.parts = []
        return name


def known(versions: Mapping[str, str]) -> Callable[[Sequence[str]], dict[str, str]]:
    """Return what tells the versions of parents."""
    return lambda ids: {row_id: versions[row_id] for row_id in ids if row_id in versions}
