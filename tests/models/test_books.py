"""Each figure of the models equals what the account's books say, after loads of a living account that were killed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import SECOND
from airflow_provider_wtschat.warehouse import leases
from scripts.charts import questions
from tests.models.account import OPTIONS, Living, dispatch, past
from tests.models.books import Books, Rows, instant, statuses_seen
from tests.models.dbt import DBT, MISSING, Built
from tests.transfers.conftest import connect

pytestmark = [pytest.mark.soak, pytest.mark.skipif(not DBT.exists(), reason=MISSING)]

KEYS = {
    "fct_messages": ("message_id",),
    "fct_sessions": ("session_id",),
    "agent_daily": ("day", "user_id"),
    "department_daily": ("day", "department_key"),
    "backlog_daily": ("day", "department_key"),
    "template_daily": ("day", "template_id"),
    "fct_campaigns": ("campaign",),
    "fct_campaign_failures": ("campaign", "failed_key"),
    "fct_cards": ("card_id",),
    "contact_summary": ("contact_id",),
}


@pytest.mark.parametrize("seed", range(int(os.environ.get("WTSCHAT_SEEDS", "5"))))
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_models_equal_the_books(kind: str, seed: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(leases, "LEASE", 1.0)
    monkeypatch.setattr(leases, "_LOOK_EVERY", 0.05)
    connection = request.getfixturevalue(kind)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection)
    monkeypatch.setenv("AIRFLOW_CONN_CRM", f'{{"conn_type": "sqlite", "host": "{tmp_path / "crm.db"}"}}')
    with Simulator(**{**OPTIONS, "seed": seed, "now": past()}) as simulator:
        connect(simulator, monkeypatch)
        living = Living(simulator, seed)
        built = Built(connection, tmp_path)
        living.conclude()
        living.rest()
        living.reopen()
        living.round()
        built.dbt("run", "--quiet", "--select", "+fct_messages")
        dispatch(living, tmp_path, "crm" if kind == "duckdb" else "warehouse")
        living.round()
        living.compare()
        if kind == "duckdb":
            copy_dispatch(tmp_path / "crm.db", built)
        variables = {
            "wtschat_as_of": instant(living.world.now() // SECOND * SECOND).isoformat(" "),  # type: ignore[union-attr]
            "wtschat_csat_field": "pontos",
            "wtschat_conversion_tag": "VIP",
        }
        said = built.dbt("build", variables=variables)
        assert " WARN=0 ERROR=0 " in said, said[-3000:]
        check(built, living)
        unanswered = [name for name, sql in questions().items() if not built.rows(sql)]
        assert unanswered == []


def copy_dispatch(path: Path, built: Built) -> None:
    """Bring the table of a dispatch beside the landing tables: dispatches do not run in DuckDB."""
    with closing(sqlite3.connect(path)) as database, built.cursor() as cursor:
        found = database.execute("SELECT * FROM wtschat_campaign")
        names = [column[0] for column in found.description]
        columns = ", ".join(f"{name} {'INTEGER' if name == 'seq' else 'VARCHAR'}" for name in names)
        cursor.execute(f"CREATE TABLE wtschat_campaign ({columns})")
        cursor.executemany(f"INSERT INTO wtschat_campaign VALUES ({', '.join('?' * len(names))})", found.fetchall())


def check(built: Built, living: Living) -> None:
    """Compare every model with the books."""
    assert living.killed
    statuses = statuses_seen(living, built.rows("SELECT id, status, read_at FROM stg_wtschat__messages"))
    books = Books(living, statuses)
    compared = {}
    for model, keys in KEYS.items():
        expected: Rows = getattr(books, model)()
        query = f"SELECT * FROM {model}" + (" WHERE NOT is_deleted" if model == "fct_messages" else "")
        rows = {key_of(row, keys): row for row in built.rows(query)}
        assert rows.keys() == expected.keys(), (model, rows.keys() ^ expected.keys())
        wrong = list(differences(model, rows, expected))
        assert wrong == [], (len(wrong), wrong[:8])
        compared[model] = sum(len(row) for row in expected.values())
    check_seen(built, books)
    print(f"\n{built.kind}: killed {living.killed}, values compared: {compared}")


def check_seen(built: Built, books: Books) -> None:
    """Compare what only versions tell: loads see some of it, and nothing else."""
    rows = {row["session_id"]: row for row in built.rows("SELECT * FROM fct_sessions")}
    exact = 0
    for session_id, bounds in books.changes().items():
        for name, (least, most) in bounds.items():
            assert least <= rows[session_id][name] <= most, (session_id, name, rows[session_id][name], least, most)
        exact += bounds["reopenings_seen"][0] == bounds["reopenings_seen"][1]
    assert exact > 0.8 * len(rows), (exact, len(rows))
    assert any(row["is_reopened"] for row in rows.values())
    stays = {
        (row["card_id"], row["step_id"], row["entered_at"])
        for row in built.rows("SELECT * FROM fct_card_steps WHERE stay > 1")
    }
    happened = set(books.stays())
    assert stays <= happened
    assert stays, happened


def key_of(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    found = tuple(row[name] for name in names)
    return found if len(found) > 1 else found[0]


def differences(model: str, rows: Rows, expected: Rows) -> Iterator[tuple[str, Any, str, Any, Any]]:
    """Yield the values that are not the books'."""
    for key, values in expected.items():
        for name, value in values.items():
            found = rows[key][name]
            if isinstance(found, Decimal):
                found = float(found)
            same = found == pytest.approx(value) if isinstance(value, float) else found == value
            if not same:
                yield model, key, name, found, value
