"""Fixtures of the tests of loads: ``reading``, an account to read, and ``destination``, each kind of database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.databases import SERVERS

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator import Simulator

DATABASES = ("sqlite", *SERVERS, "duckdb")


class Table:
    """
    A table that was loaded.

    :param name: its name
    :param conn_id: connection of its database
    """

    def __init__(self, name: str = "sessions", conn_id: str = "warehouse") -> None:
        self.name = name
        self.conn_id = conn_id

    def columns(self) -> set[str]:
        """Return the names of its columns; none if it is not there."""
        from airflow_provider_wtschat.warehouse.database import Database

        with Database(self.conn_id) as database:
            return database.columns(database.dialect.quote(self.name))

    def rows(self, columns: str, where: str = "") -> list[SimpleNamespace]:
        """Return its rows in order, as the database holds them."""
        from airflow_provider_wtschat.warehouse.database import Database

        names = columns.split(", ")
        with Database(self.conn_id) as database, database.transaction() as cursor:
            quoted = ", ".join(map(database.dialect.quote, names))
            found = database.ask(cursor, f"SELECT {quoted} FROM {database.dialect.quote(self.name)} {where} ORDER BY 1")
        return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in found]

    def payloads(self) -> list[dict[str, Any]]:
        """Return the payloads of its rows."""
        found = [row.payload for row in self.rows("id, payload")]
        return [json.loads(payload) if isinstance(payload, str) else payload for payload in found]

    def versions(self) -> dict[str, str]:
        """Return the instant of the last change of each row, by id; fails on an id that is there twice."""
        found = [(row["id"], row["updatedAt"]) for row in self.payloads()]
        assert len(found) == len(dict(found))
        return dict(found)

    def loaded(self) -> dict[str, Any]:
        """Return when each row was written, by id."""
        return {row.id: row.loaded_at for row in self.rows("id, loaded_at")}

    def watermark(self) -> str | None:
        """Return how far it was loaded, of the load without filters."""
        found = Table("wtschat_loads", self.conn_id).rows("watermark", f"WHERE destination = '{self.name}'")
        marks = [row.watermark for row in found if row.watermark]
        return marks[0] if marks else None


def execute(sql: str, conn_id: str = "warehouse") -> None:
    """Run a statement."""
    from airflow_provider_wtschat.warehouse.database import Database

    with Database(conn_id) as database, database.transaction() as cursor:
        cursor.execute(sql)


def load(resource: str = "sessions", **arguments: Any) -> dict[str, Any]:
    """Run a load as a task does."""
    return load_with({}, resource, **arguments)


def load_with(context: Any, resource: str = "sessions", **arguments: Any) -> dict[str, Any]:
    """Run a load with a context."""
    from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

    given = {"sql_conn_id": "warehouse", "workers": 4, "table": resource, **arguments}
    return WtsChatToSqlOperator(task_id="load", resource=resource, **given).execute(context)


def truth(simulator: Simulator, table: str = "sessions") -> dict[str, str]:
    """Return the instant of the last change of each row, by id, in the spelling of a load."""
    from airflow_provider_wtschat.warehouse.rows import one_spelling

    return {row: one_spelling(text) for row, text in simulator.world.truth(table).items()}


def messages(simulator: Simulator) -> set[str]:
    """Return the ids of the messages of all sessions."""
    world = simulator.world
    return {
        message.id for session in world.sessions for message in world.history.of(session.id) if message.type != "NOTE"
    }


def without_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers arrive without the header ``Date``, as behind some proxies."""
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

    whole = WtsChatHook.answer
    monkeypatch.setattr(
        WtsChatHook, "answer", lambda self, request, **how: replace(whole(self, request, **how), server_time=None)
    )


def connection_json(simulator: Simulator) -> str:
    """Return a connection to a simulator, with a budget of its own."""
    return json.dumps({**json.loads(simulator.connection_json), "extra": {"account": uuid4().hex}})


@pytest.fixture
def reading(request: pytest.FixtureRequest, no_limits: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """
    A simulated account behind the connection ``wtschat_default``.

    Options come from the marker ``reads``, as in ``@pytest.mark.reads(sessions=500)``.
    """
    from airflow_provider_wtschat.hooks import transport
    from airflow_provider_wtschat.simulator import Simulator

    marker = request.node.get_closest_marker("reads")
    options = {"sessions": 120, "seed": 11, "limits": False, "strict": True, **(marker.kwargs if marker else {})}
    with Simulator(**options) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", connection_json(simulator))
        monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
        yield simulator


@pytest.fixture(params=DATABASES)
def destination(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of database, empty, behind the connection ``warehouse``; its kind."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", request.getfixturevalue(request.param))
    return str(request.param)


def everywhere(first: str, *others: str) -> pytest.MarkDecorator:
    """Test a resource in each kind of database, and others, for which the statements are the same, in SQLite only.

    `make soak` tests them in all. The test takes ``resource`` and ``destination``.
    """
    cases: list[Any] = [(first, kind) for kind in DATABASES]
    for resource in others:
        cases += [(resource, kind) for kind in DATABASES[:1]]
        cases += [pytest.param(resource, kind, marks=pytest.mark.soak) for kind in DATABASES[1:]]
    return pytest.mark.parametrize(("resource", "destination"), cases, indirect=["destination"])


@pytest.fixture
def plain_destination(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty SQLite database behind the connection ``warehouse``."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", sqlite)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "reads(**options): options of the simulator behind the fixture `reading`")
