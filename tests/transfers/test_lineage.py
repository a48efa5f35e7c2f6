"""What Airflow is told of a load: its figures on the outlets, and once where rows came from and went to."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A collector of hook lineage of the test's own, as it is while somebody listens."""
    from airflow.providers.common.compat import sdk

    collector = sdk.HookLineageCollector()
    monkeypatch.setattr(sdk, "get_hook_lineage_collector", lambda: collector)
    return collector


def uris(lineages: Any) -> list[tuple[str, int]]:
    return [((getattr(found, "asset", None) or found.dataset).uri, found.count) for found in lineages]


def lineage(collector: Any) -> Any:
    return collector.collected_assets


def test_table_is_told_once(reading, destination, collected):
    operator = WtsChatToSqlOperator(task_id="load", resource="sessions", sql_conn_id="warehouse")
    operator.execute({})
    host = reading.url.removeprefix("http://")
    assert uris(lineage(collected).inputs) == [(f"wtschat://{host}/sessions", 1)]
    ((uri, count),) = uris(lineage(collected).outputs)
    scheme = {"sqlite": "file", "duckdb": "file", "postgres": "postgres"}.get(destination, "mysql")
    assert uri.startswith(f"{scheme}://")
    assert uri.rpartition("/")[2] == "wtschat_sessions"
    assert count == 1
    assert "tests@" not in uri


def test_folder_is_told_once(reading, tmp_path, collected):
    WtsChatToObjectStorageOperator(task_id="copy", resource="tags", path=f"file://{tmp_path}").execute({})
    assert [uri.rpartition("/")[2] for uri, _ in uris(lineage(collected).inputs)] == ["tags"]
    assert [uri for uri, _ in uris(lineage(collected).outputs)] == [f"file://{tmp_path}"]


def test_figures_are_on_the_outlets(reading, plain_destination):
    from airflow.providers.common.compat.sdk import Asset

    class Event:
        def __init__(self) -> None:
            self.extra: dict[str, Any] = {}

    asset = Asset("warehouse://wtschat/sessions")
    events = {asset: Event()}
    operator = WtsChatToSqlOperator(task_id="load", resource="sessions", sql_conn_id="warehouse", outlets=[asset])
    operator.execute({"outlet_events": events})
    assert events[asset].extra["rows"] == 120
    assert events[asset].extra["watermark"]
