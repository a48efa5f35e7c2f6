"""What the tests of dispatches share: an account, a warehouse with customers, and tries of a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_wtschat.budget import registry
from airflow_provider_wtschat.budget.limits import Limits, Window
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.simulator import Simulator

SEND = "POST /chat/v1/send/template/batch"


@dataclass
class Warehouse:
    """A database with a table of customers, behind the connection ``warehouse``."""

    connection: str
    hook: Any = field(init=False)

    def __post_init__(self) -> None:
        from airflow.providers.common.compat.sdk import BaseHook

        self.hook = BaseHook.get_hook("warehouse")

    def execute(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, and return what it found."""
        with closing(self.hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
            if rows is None:
                cursor.execute(sql)
            else:
                cursor.executemany(sql.replace("?", self.hook.placeholder), rows)
            found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            connection.commit()
        return found

    def fill(self, number: int, **columns: Callable[[int], Any]) -> None:
        """Store so many customers."""
        self.execute("CREATE TABLE customers (id INTEGER, phone VARCHAR(40), name VARCHAR(200), amount VARCHAR(40))")
        make = {"phone": phone, "name": lambda i: f"Cliente {i}", "amount": lambda i: f"R$ {i},00", **columns}
        rows = [(i, make["phone"](i), make["name"](i), make["amount"](i)) for i in range(1, number + 1)]
        self.execute("INSERT INTO customers VALUES (?, ?, ?, ?)", rows)

    def rows(self, table: str = "wtschat_campaign") -> list[SimpleNamespace]:
        """Return the rows of a dispatch."""
        names = ("campaign", "seq", "row_key", "sender_id", "phone", "content", "status", "claimed_by", "message_id",
                 "reason", "delivery", "failed_key")  # fmt: skip
        found = self.execute(f"SELECT {', '.join(names)} FROM {table} WHERE seq > 0 ORDER BY campaign, seq")
        return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in found]

    def statuses(self) -> dict[str, int]:
        """Count the rows of all dispatches by status."""
        counts: dict[str, int] = {}
        for row in self.rows():
            counts[row.status] = counts.get(row.status, 0) + 1
        return counts


def phone(number: int) -> str:
    """Return the phone number of a customer, as people write it."""
    return f"(11) 9{number // 10000 % 10000:04}-{number % 10000:04}"


@pytest.fixture
def warehouse(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty warehouse in SQLite."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", sqlite)
    return Warehouse(sqlite)


@pytest.fixture
def any_warehouse(database: str, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty warehouse in SQLite, PostgreSQL and MariaDB."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", database)
    return Warehouse(database)


@pytest.fixture
def options() -> dict[str, Any]:
    """Options of the simulator that a test changes by overriding this fixture or by its parameters."""
    return {}


@pytest.fixture
def simulator(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulated account behind the connection ``wtschat_default``, with short back-offs."""
    defaults = {
        "sessions": 20,
        "seed": 3,
        "limits": False,
        "strict": True,
        "message_step_s": 0.0,
        "retry_after": "never",
    }
    with Simulator(**{**defaults, **options}) as simulator:
        connect(simulator, monkeypatch)
        yield simulator


def connect(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the connection to an account with a budget of its own."""
    connection = {**json.loads(simulator.connection_json), "extra": {"account": uuid4().hex}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    # The account has no limits, so the client need not keep any.
    wide = Limits(burst=Window(10**6, 1.0), read=Window(10**6, 1.0), send=Window(10**6, 1.0))
    monkeypatch.setattr(registry, "Limits", lambda: wide)
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)


def channel(simulator: Simulator) -> str:
    """Return the number of a channel that sends."""
    return next(str(row["number"]) for row in simulator.world.channels if row["number"])


def arguments(simulator: Simulator, **changed: Any) -> dict[str, Any]:
    """Return the arguments of a dispatch to all customers."""
    return {
        "task_id": "dispatch",
        "campaign": "reminders",
        "sql": "SELECT * FROM customers ORDER BY id",
        "sql_conn_id": "warehouse",
        "recipient_column": "phone",
        "key_column": "id",
        "parameter_columns": {"nome": "name", "valor": "amount"},
        "template_name": "lembrete_pagamento",
        "from_channel": channel(simulator),
        **changed,
    }


def context(run_id: str = "run", task_id: str = "dispatch", dag_id: str = "dag") -> Any:
    """Return as much of a task's context as a dispatch uses."""
    return {"ti": SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=-1)}


@pytest.fixture
def dispatch(simulator: Simulator) -> Callable[..., dict[str, Any]]:
    """Run a try of a dispatch: ``dispatch(**arguments)``; ``run_id`` is of another task instance."""
    from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

    def run(run_id: str = "run", **changed: Any) -> dict[str, Any]:
        operator = SqlToWtsChatTemplateOperator(**arguments(simulator, **changed))
        return operator.execute(context(run_id))

    return run
