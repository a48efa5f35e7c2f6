"""How far a task has come, in XCom while it runs."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.operators import _progress
from airflow_provider_wtschat.operators._progress import DONE, KEY, RUNNING, Progress
from airflow_provider_wtschat.simulator import Simulator
from tests.loading import load_with


class Pushed:
    """Stands for the task instance."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.values: list[dict[str, Any]] = []

    def xcom_push(self, key: str, value: dict[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        assert key == KEY
        self.values.append(value)


def test_facts_add_up_and_come_no_more_often_than_they_should(monkeypatch: pytest.MonkeyPatch):
    clock: Any = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(_progress, "time", clock)
    pushed = Pushed()
    progress = Progress({"ti": pushed}, "load", destination="sessions")
    for second in range(0, 60):
        clock.now = float(second)
        if progress.due:
            progress.push(rows=second)
    progress.push(DONE, verified=True)
    assert [value["rows"] for value in pushed.values] == [0, 10, 20, 30, 40, 50, 50]
    last = pushed.values[-1]
    assert instants.read(last.pop("at"))
    assert last == {
        "version": 1,
        "kind": "load",
        "state": "done",
        "destination": "sessions",
        "rows": 50,
        "verified": True,
    }


def test_nothing_is_pushed_where_none_is_wanted(caplog: pytest.LogCaptureFixture):
    pushed = Pushed()
    without = SimpleNamespace(task_id="load")  # a task instance that has no XCom, as of other people's tests
    for context in ({}, {"ti": without}, {"ti": pushed, "task": SimpleNamespace(do_xcom_push=False)}):
        progress = Progress(context, "load")
        assert not progress.due
        progress.push(rows=1)
    assert pushed.values == []
    assert caplog.records == []


def test_a_task_goes_on_where_pushing_fails(caplog: pytest.LogCaptureFixture):
    progress = Progress({"ti": Pushed(RuntimeError("secret"))}, "load")
    with caplog.at_level(logging.WARNING):
        progress.push(rows=1)
        progress.push(rows=2)
    assert [record.getMessage() for record in caplog.records] == [
        "How far the task has come cannot be pushed to XCom: RuntimeError"
    ]


@pytest.mark.reads(sessions=250)
def test_a_load_tells_how_far_it_is(reading: Simulator, plain_destination: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_progress, "EVERY", 0.0)
    pushed = Pushed()
    figures = load_with({"ti": pushed})
    began, *between, ended = pushed.values
    assert (began["state"], began["rows"], began["complete_until"]) == (RUNNING, 0, None)
    assert 0 < between[0]["rows"] <= figures["rows"] == 250
    assert ended["state"] == DONE
    assert ended["complete_until"] == figures["watermark"]
    assert (ended["destination"], ended["resource"], ended["verified"]) == ("sessions", "sessions", True)
    # A window that was given says nothing of what lies before it.
    pushed.values.clear()
    load_with({"ti": pushed}, since="2026-01-01", until="2026-01-02")
    assert (pushed.values[-1]["given"], pushed.values[-1]["complete_until"]) == (True, None)
