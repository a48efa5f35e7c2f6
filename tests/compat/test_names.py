"""Every name of Airflow is found whatever common-compat is installed, and it is the same thing."""

from __future__ import annotations

import json
import sys
import threading
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import pytest

from airflow_provider_wtschat import _compat
from airflow_provider_wtschat.sql.sources import connected
from airflow_provider_wtschat.warehouse.database import Database

SDK = "airflow.providers.common.compat.sdk"


def newest(name: str) -> object:
    """What common-compat itself gives, where it has the name."""
    for place in (SDK, "airflow.providers.common.compat.triggers"):
        try:
            return getattr(import_module(place), name)
        except (ImportError, AttributeError):
            continue
    return None


@pytest.mark.parametrize("name", sorted(_compat._PLACES))
def test_a_name_is_found_without_common_compat(name, monkeypatch: pytest.MonkeyPatch):
    expected = newest(name) or getattr(_compat, name)
    monkeypatch.setitem(sys.modules, SDK, None)
    assert _compat._find(name) is expected


def test_what_is_not_there_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(_compat._PLACES, "Nothing", ("airflow.sdk", "airflow.nowhere"))
    with pytest.raises(ImportError, match=r"no Nothing; looked in airflow\.sdk, airflow\.nowhere"):
        from airflow_provider_wtschat._compat import Nothing  # noqa: F401
    with pytest.raises(AttributeError, match="Unknown"):
        _ = _compat.Unknown


@pytest.mark.parametrize("newest_airflow", [True, False])
async def test_a_connection_is_read_off_the_event_loop_where_airflow_would_block_it(
    newest_airflow, monkeypatch: pytest.MonkeyPatch
):
    if newest_airflow and not hasattr(_compat.Connection, "aextra_dejson"):
        pytest.skip("Connection.aextra_dejson came with Airflow 3.3.2")
    if not newest_airflow:
        monkeypatch.delattr(_compat.Connection, "aextra_dejson", raising=False)
    description = {"conn_type": "wtschat", "password": "pn_secret", "extra": {"timeout": 3}}
    monkeypatch.setenv("AIRFLOW_CONN_OFF_LOOP", json.dumps(description))
    threads = []
    get_connection = _compat.BaseHook.get_connection

    def watched(conn_id: str) -> object:
        threads.append(threading.current_thread())
        return get_connection(conn_id)

    monkeypatch.setattr(_compat.BaseHook, "get_connection", staticmethod(watched))
    connection = await _compat.get_async_connection("off_loop")
    assert connection.password == "pn_secret"
    assert await _compat.get_async_extra_dejson(connection) == {"timeout": 3}
    assert threading.main_thread() not in threads
    assert bool(threads) is not newest_airflow


@pytest.mark.parametrize("kind", ["postgres", "mysql", "sqlite"])
@pytest.mark.parametrize("connect", [Database, partial(connected, "sql_conn_id")], ids=["load", "campaign"])
def test_a_database_without_its_provider_says_which_extra_it_needs(kind, connect, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_THERE", json.dumps({"conn_type": kind, "host": "127.0.0.1"}))
    monkeypatch.setattr(
        _compat, "find_spec", lambda name: None if name == f"airflow.providers.{kind}" else find_spec(name)
    )
    advice = rf"'there' leads to \w+, whose provider is not installed: .* 'airflow-provider-wtschat\[{kind}\]'"
    with pytest.raises(_compat.AirflowOptionalProviderFeatureException, match=advice):
        connect("there")
