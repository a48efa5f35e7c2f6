"""The database servers that other tests stand on."""

from __future__ import annotations

from contextlib import closing

import pytest


def test_database_is_empty_and_takes_rows(database: str, monkeypatch: pytest.MonkeyPatch):
    from airflow.providers.common.compat.sdk import BaseHook

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", database)
    hook = BaseHook.get_connection("warehouse").get_hook()
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("CREATE TABLE thing (id INTEGER)")
        cursor.execute("INSERT INTO thing VALUES (1)")
        connection.commit()
        cursor.execute("SELECT id FROM thing")
        assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
