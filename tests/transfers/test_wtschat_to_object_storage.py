"""Copying into object storage: parts that are only added, and manifests that are the only truth."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.warehouse import copies, storage
from airflow_provider_wtschat.warehouse.rows import one_spelling
from airflow_provider_wtschat.warehouse.storage import named_parts
from airflow_provider_wtschat.warehouse.tables import table as storage_table
from tests.loading import messages, truth


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty folder."""
    return tmp_path / "lake"


def copy(lake: Path, resource: str = "sessions", **arguments: Any) -> dict[str, Any]:
    operator = WtsChatToObjectStorageOperator(
        task_id="copy", resource=resource, path=f"file://{lake}", **{"workers": 4, **arguments}
    )
    return operator.execute({})


def files(lake: Path) -> set[str]:
    return {path.name for path in lake.rglob("*") if path.is_file()}


def manifest(figures: dict[str, Any]) -> dict[str, Any]:
    return json.loads(Path(figures["manifest"].removeprefix("file://")).read_text())


def lines(lake: Path, resource: str | None = None) -> list[dict[str, Any]]:
    """Read the parts that manifests name."""
    rows = []
    for part in named_parts(f"file://{lake}", resource=resource):
        with gzip.open(part.removeprefix("file://"), "rt", encoding="utf-8") as file:
            rows += [json.loads(line) for line in file]
    return rows


def newest(rows: list[dict[str, Any]]) -> dict[str, str]:
    ordered = sorted(rows, key=lambda row: (row["updatedAt"], row["_read_at"]))
    return {row["id"]: row["updatedAt"] for row in ordered}


@pytest.mark.reads(sessions=300, odd_characters=0.3)
def test_what_manifests_name_is_what_the_account_holds(reading, lake):
    figures = copy(lake, part_bytes=20_000)
    assert newest(lines(lake)) == truth(reading)
    told = manifest(figures)
    assert told["rows"] == figures["rows"] == 300
    assert figures["parts"] == len(told["parts"]) > 1
    assert told["until_reached"] == figures["until_reached"]
    assert told["verified"] is True
    for part in told["parts"]:
        content = (lake / part["name"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (part["sha256"], part["bytes"])
        assert len(gzip.decompress(content).splitlines()) == part["rows"]
    assert figures.pop("manifests") == [figures["manifest"]]
    assert all(isinstance(value, (str, int, float, bool, type(None))) for value in figures.values())


def test_next_copy_goes_on_and_removes_nothing(reading, lake):
    first = copy(lake)
    there = {name: (lake / name).read_bytes() for name in files(lake) if name.endswith(".jsonl.gz")}
    changed, gone = list(truth(reading))[:2]
    reading.world.change_session(changed, title="Outro")
    reading.world.delete_session(gone)
    second = copy(lake)
    assert second["since"] < first["until_reached"]
    assert second["rows"] < 120
    assert {name: (lake / name).read_bytes() for name in there} == there
    rows = newest(lines(lake))
    assert rows.pop(gone)
    assert rows == truth(reading)


@pytest.mark.reads(sessions=150, spread_days=1)
def test_rows_of_the_overlap_are_copied_once(reading, lake):
    def copied() -> dict[str, Any]:
        # The header Date has no parts of a second.
        reading.world.clock.advance(2)
        return copy(lake)

    assert copied()["rows"] == 150
    second = copied()
    assert (second["rows"], second["parts"]) == (0, 0)
    assert second["unchanged"] > 100
    changed = next(iter(truth(reading)))
    reading.world.change_session(changed, title="Outro")
    assert copied()["rows"] == 1
    assert newest(lines(lake)) == truth(reading)
    assert copied()["rows"] == 0
    # Who removes what is beside the manifests gets more, never less.
    for path in (lake / "_manifests").glob("*.copied.json.gz"):
        path.unlink()
    assert copied()["rows"] > 100


@pytest.mark.reads(sessions=1_500)
@pytest.mark.parametrize("window", [{}, {"since": "2001-01-01", "until": "2037-01-01"}], ids=["first", "given"])
def test_copy_that_was_killed_goes_on_from_where_it_was(window, reading, lake, monkeypatch):
    monkeypatch.setattr(copies, "ROWS", 200)
    reading.inject("401", on="GET /chat/v2/session", skip=12, times=None)
    with pytest.raises(WtsChatFailedError):
        copy(lake, workers=1, **window)
    reading.application.faults.clear()
    there = len(lines(lake))
    assert there >= 800
    if window:
        # Another window, and the load without one, go their own ways.
        assert copy(lake, since="2001-01-01", until="2002-01-01")["rows"] == 0
    figures = copy(lake, workers=1, **window)
    assert figures["rows"] <= 1_500 - there + 400
    assert newest(lines(lake)) == truth(reading)
    told = [json.loads(Path(name.removeprefix("file://")).read_text()) for name in figures["manifests"]]
    assert sum(content["rows"] for content in told) == len(lines(lake))
    if window:
        assert copy(lake, workers=1, **window)["rows"] == 1_500, "what has finished is read again"


def test_folders_of_killed_attempts_are_removed(reading, lake, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, signal; from airflow_provider_wtschat.warehouse.storage import Folder, Parts; "
        "from airflow_provider_wtschat.warehouse.tables import table; "
        f"parts = Parts(Folder('file://{lake}', None, 'tags', '0' * 16), table('tags'), 'jsonl', 'x', 1); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.glob("wtschat-parts-*")
    monkeypatch.setattr(storage, "_YOUNG", -1.0)
    folder = storage.Folder(f"file://{lake}", None, "tags", "0" * 16)
    with storage.Parts(folder, storage_table("tags"), "jsonl", "x", 1):
        (live,) = tmp_path.glob("wtschat-parts-*")
        assert live != left
        copy(lake, "tags")
        assert live.exists(), "it belongs to an attempt that runs"
    assert list(tmp_path.glob("wtschat-parts-*")) == []


def test_copy_without_a_change_is_a_manifest_alone(reading, lake):
    copy(lake)
    before = files(lake)
    figures = copy(lake, overlap=0)
    assert (figures["rows"], figures["parts"]) == (0, 0)
    # Beside it lies what the account got in the last minutes, if anything, which the next copy reads again.
    assert len({name for name in files(lake) - before if not name.endswith(".copied.json.gz")}) == 1


@pytest.mark.reads(sessions=900)
def test_what_an_attempt_left_behind_counts_for_nothing(reading, lake):
    reading.inject("401", on="GET /chat/v2/session", skip=6, times=None)
    with pytest.raises(WtsChatFailedError):
        copy(lake, part_bytes=1, workers=1)
    assert files(lake)
    assert named_parts(f"file://{lake}") == []
    reading.application.faults.clear()
    assert copy(lake)["since"] is None
    assert newest(lines(lake)) == truth(reading)
    assert len({row["id"] for row in lines(lake)}) == 900


def test_window_that_is_given_leaves_the_mark_alone_and_can_be_replaced(reading, lake):
    window = {"since": "2020-01-01", "until": "2030-01-01"}
    copy(lake, **window)
    assert copy(lake, overlap=0)["since"] is None
    before = files(lake)
    copy(lake, **window)
    assert before < files(lake)
    assert len(lines(lake)) == 360
    copy(lake, replace=True, **window)
    assert len(lines(lake)) == 240
    assert newest(lines(lake)) == truth(reading)
    with pytest.raises(WtsChatFailedError, match="replace"):
        copy(lake, replace=True)


def test_filters_have_marks_of_their_own(reading, lake):
    copy(lake)
    assert copy(lake, filters={"created_after": "2020-01-01"})["since"] is None
    assert copy(lake)["since"] is not None


@pytest.mark.reads(sessions=9)
def test_retry_goes_on_with_the_parents_that_are_left(reading, lake, monkeypatch):
    monkeypatch.setattr(copies, "PARENTS", 2)
    reading.inject("401", on="GET /chat/v1/session/{id}/message", skip=5, times=None)
    with pytest.raises(WtsChatFailedError):
        copy(lake, "messages", workers=1)
    reading.application.faults.clear()
    figures = copy(lake, "messages", workers=1)
    assert figures["requests"] <= 5
    assert set(newest(lines(lake))) == messages(reading)
    # Who loads what is new with each copy misses nothing of the try that failed, and gets nothing again.
    told = [json.loads(Path(name.removeprefix("file://")).read_text()) for name in figures["manifests"]]
    assert sorted(part["name"] for content in told for part in content["parts"]) == sorted(
        name for name in files(lake) if name.endswith(".jsonl.gz")
    )
    assert len(told) > 2
    figures = copy(lake, "messages")
    assert figures["requests"] == 0
    assert figures["manifests"] == [figures["manifest"]]
    answered = next(iter(truth(reading)))
    reading.world.add_inbound_message(answered, "Oi")
    assert copy(lake, "messages")["requests"] == 1
    assert set(newest(lines(lake))) == messages(reading)


@pytest.mark.reads(sessions=200, odd_characters=0.2)
def test_parquet_has_types(reading, lake):
    parquet = pytest.importorskip("pyarrow.parquet")
    copy(lake, file_format="parquet", part_bytes=1)
    tables = [parquet.read_table(part.removeprefix("file://")) for part in named_parts(f"file://{lake}")]
    (schema,) = {table.schema for table in tables} if len(tables) == 1 else {tables[0].schema}
    kinds = {field.name: str(field.type) for field in schema}
    assert (kinds["updated_at"], kinds["read_at"]) == ("timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]")
    assert (kinds["unread_count"], kinds["classification_amount"]) == ("int64", "decimal128(18, 4)")
    rows = [row for table in tables for row in table.to_pylist()]
    assert {row["id"]: one_spelling(row["updated_at"].isoformat()) for row in rows} == truth(reading)
    assert all(json.loads(row["payload"])["id"] == row["id"] for row in rows)
    assert all(row["read_at"] <= datetime.now(UTC).replace(year=2100) for row in rows)


def test_parquet_needs_pyarrow(reading, lake, monkeypatch):
    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"airflow-provider-wtschat\[parquet\]"):
        copy(lake, file_format="parquet")


def test_dimension_is_whole_each_time(reading, lake):
    copy(lake, "departments")
    copy(lake, "departments")
    assert len(lines(lake, "departments")) == 2 * len(list(reading.world.departments))


def test_personal_data_is_nowhere_in_the_folder(reading, lake):
    phone = "+55|11987654321"
    reading.world.create_contact(name="Bernadete Quixabeira", phone=phone)
    copy(lake, "contacts", personal_data="drop")
    told = json.dumps(lines(lake))
    assert "Bernadete" not in told
    assert "11987654321" not in told
    copy(lake, "contacts", exclude=["email"])
    assert "Bernadete" in json.dumps(lines(lake))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"file_format": "csv"}, "jsonl, parquet"),
        ({"part_bytes": 0}, "part_bytes"),
        ({"filters": {"status": "PENDING"}}, "filter_is_snapshot"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "backwards"),
        ({"max_rejects": "few"}, "max_rejects"),
    ],
)
def test_refused_before_any_request(reading, lake, arguments, words):
    with pytest.raises(WtsChatFailedError, match=words):
        copy(lake, **arguments)
    assert reading.requests == []
    assert not lake.exists()


def test_rows_that_are_none_fail_the_copy(reading, lake, monkeypatch):
    from airflow_provider_wtschat.simulator import views

    whole = views.session
    monkeypatch.setattr(views, "session", lambda *a, **k: {**whole(*a, **k), "updatedAt": None, "createdAt": None})
    with pytest.raises(WtsChatError, match="max_rejects"):
        copy(lake)
    assert named_parts(f"file://{lake}") == []


def test_other_storages_get_whole_objects(reading, monkeypatch):
    """Where a file that is written piece by piece could be half there, everything is put at once."""
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach  # type: ignore[import-not-found, no-redef]

    puts: list[str] = []
    put_bytes = MemoryFileSystem.pipe_file

    def put_file(self, lpath, rpath, **kwargs):
        puts.append(rpath.rpartition("/")[2])
        put_bytes(self, rpath, Path(lpath).read_bytes())

    def pipe_file(self, path, value, **kwargs):
        puts.append(path.rpartition("/")[2])
        put_bytes(self, path, value, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    attach("memory", fs=MemoryFileSystem())
    operator = WtsChatToObjectStorageOperator(
        task_id="copy", resource="sessions", path="memory://lake/sessions", part_bytes=1
    )
    figures = operator.execute({})
    names = [name.rpartition("/")[2] for name in named_parts("memory://lake/sessions")]
    assert puts[: len(names)] == names
    assert puts[-1] == figures["manifest"].rpartition("/")[2], "it is put when everything that it names is there"
    assert {path.rpartition("/")[2] for path in MemoryFileSystem.store} == set(puts)
    assert len(names) == figures["parts"] > 0
