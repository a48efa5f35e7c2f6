"""What the API server tells the page; who may ask is tested in tests/webhooks/test_api_server.py, on a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_wtschat.budget import get_budget
from airflow_provider_wtschat.page._app import budget


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", str(tmp_path))
    return str(tmp_path)


def test_of_a_dag_that_a_user_may_not_read_only_the_number_of_requests_is_told(
    spec: str, monkeypatch: pytest.MonkeyPatch
):
    for dag_id, task_id in (("open", "load"), ("open", "load"), ("secret", "pay"), ("hidden", "fire")):
        monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", dag_id)
        monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", task_id)
        with get_budget("pn_secret", spec, name="wtschat_default").slot():
            pass
    told = budget({"open", "idle"})
    (account,) = told["accounts"]
    assert account["connections"] == ["wtschat_default"]
    assert account["users"] == [
        {"dag_id": "open", "task_id": "load", "other": None, "requests": 2},
        {"dag_id": None, "task_id": None, "other": "other Dags", "requests": 2},
    ]
    assert account["windows"]["read"] == {"used": 4, "limit": 1000, "seconds": 300.0}
    assert [word for word in ("pn_secret", "hidden", "fire", "pay") if word in str(told)] == []


def test_why_there_is_nothing_to_tell(spec: str, monkeypatch: pytest.MonkeyPatch):
    assert budget(set()) == {"accounts": [], "why": None}
    for where, why in (("process", "process"), ("no/directory", "unreadable")):
        monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", where)
        assert budget(set()) == {"accounts": [], "why": why}
    # A file that is no database.
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", spec)
    Path(spec, "budget-v3-0123456789abcdef.sqlite").write_text("nothing of the kind " * 100)
    assert budget(set()) == {"accounts": [], "why": "unreadable"}
