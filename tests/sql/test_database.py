"""One database with tables of ours, on each kind, and what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError
from airflow_provider_wtschat.sql.database import Database
from airflow_provider_wtschat.sql.dialects import Kinds
from airflow_provider_wtschat.sql.errors import explained
from airflow_provider_wtschat.sql.sources import connected
from tests.databases import SERVERS

ROOM = {"id": "id INTEGER", "name": "name VARCHAR(5)"}


@pytest.fixture
def opened(database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Database]:
    """Open the database, as a login of its own where one is named; ``connections`` counts how often."""

    def open_as(login: str | None = None) -> Database:
        described = json.loads(database) | ({"login": login, "password": "x"} if login else {})
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(described))
        made = Database(connected("sql_conn_id", "warehouse"), "The test")
        opening = made._open

        def counted() -> Any:
            made.connections = getattr(made, "connections", 0) + 1  # type: ignore[attr-defined]
            return opening()

        made._open = counted  # type: ignore[method-assign]
        return made

    return open_as


def test_a_table_is_made_once_and_gets_what_is_new(opened):
    with opened() as database:
        assert database.make("room", ROOM, ["PRIMARY KEY (id)"]) == set()
        assert database.make("room", ROOM | {"floor": "floor INTEGER"}) == {"id", "name"}
        assert database.columns("room") == {"id", "name", "floor"}
        with pytest.raises(WtsChatArgumentError, match="it has no door"):
            database.make("room", ROOM, needed={"id", "door"})
        database.change("INSERT INTO room (id, name) VALUES (?, ?)", 1, "one")
        assert database.query("SELECT id FROM room WHERE name = ? AND id IN ({many})", "one", many=[1, 2]) == [(1,)]
        # A value goes where its place is, whoever wrote the place.
        named = f"SELECT id FROM room WHERE name = {database.dialect.cast(Kinds.TEXT)} AND id IN ({{many}}) AND id < ?"
        assert database.query(named, "one", 2, many=[1, 3]) == [(1,)]


def test_what_fails_leaves_nothing_behind(opened):
    with opened() as database:
        database.make("room", ROOM, ["PRIMARY KEY (id)"])

        def fill(cursor: Any, how: type[BaseException] | None) -> None:
            database.execute(cursor, "INSERT INTO room (id, name) VALUES (?, ?)", 1, "one")
            if how is not None:
                raise how
            database.execute(cursor, "INSERT INTO room (id, nam) VALUES (?, ?)", 1, "one")

        for how, raised in [(RuntimeError,) * 2, (KeyboardInterrupt,) * 2, (None, WtsChatDestinationError)]:
            with pytest.raises(raised):
                database.do(partial(fill, how=how))
        assert database.query("SELECT count(*) FROM room") == [(0,)]


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELECT nothing FROM room", "SELEC"])
def test_what_cannot_pass_is_tried_once(opened, sql):
    with opened() as database:
        database.make("room", ROOM, ["PRIMARY KEY (id)"])
        with pytest.raises(WtsChatDestinationError, match=r"The test failed with .* A retry does not help") as raised:
            database.query(sql)
        assert not raised.value.retryable
        database.query("SELECT 1")
        assert database.connections == 1


def test_a_right_that_is_missing_is_not_asked_for_again(opened, database, request):
    if "sqlite" in database:
        pytest.skip("it has no rights")
    login = f"reader{uuid4().hex[:8]}"
    schema = json.loads(database)["schema"]
    with opened() as owner:
        owner.make("room", ROOM, ["PRIMARY KEY (id)"])
        if owner.dialect.name == "mysql":
            user = f"{login}@'%'"
            server = request.getfixturevalue(f"{request.node.callspec.params['database']}_server")
            server.query(f"CREATE USER {user} IDENTIFIED BY 'x'; GRANT SELECT ON {schema}.room TO {user}")
        else:
            owner.change(f"CREATE ROLE {login} LOGIN")
            owner.change(f"GRANT SELECT ON room TO {login}")
    with opened(login) as reader:
        assert reader.query("SELECT * FROM room") == []
        with pytest.raises(WtsChatDestinationError, match=r"denied .*A retry does not help"):
            reader.change("INSERT INTO room (id) VALUES (1)")
        assert reader.connections == 1


def test_a_connection_that_the_server_ended_is_replaced(opened, database):
    if "sqlite" in database:
        pytest.skip("it has no server")
    with opened() as killed, opened() as killer:
        pid, end = {
            "mysql": ("SELECT CONNECTION_ID()", "KILL {}"),
            "postgres": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        }[killed.dialect.name]
        ((number,),) = killed.query(pid)
        killer.do(lambda cursor: cursor.execute(end.format(number)))
        ((other,),) = killed.query(pid)
        assert other != number


@pytest.mark.parametrize("kind", [name for name in SERVERS if name != "postgres"])
def test_the_clock_goes_on_when_summer_time_ends(kind, request, monkeypatch):
    """By it a load sees that another one is dead; the test's servers are in New York."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", request.getfixturevalue(kind))
    second_half_past_one = 1_793_514_600  # 2026-11-01T06:30:00Z, an hour after the first one
    with Database(connected("sql_conn_id", "warehouse"), "The test") as database, database.transaction() as cursor:
        cursor.execute(f"SET timestamp = {second_half_past_one}")
        assert database.ask(cursor, f"SELECT {database.dialect.clock}") == [(second_half_past_one,)]


def test_a_change_of_a_table_does_not_wait_for_its_readers_for_ever(opened, monkeypatch):
    with opened() as reader, opened() as changer:
        if changer.dialect.name != "mysql":
            pytest.skip("it has no such lock, or another limit")
        reader.make("room", ROOM, ["PRIMARY KEY (id)"])
        with reader.transaction() as cursor:
            reader.ask(cursor, "SELECT * FROM room")
            assert changer.query("SELECT @@lock_wait_timeout") == [(60,)]
            changer.change("SET SESSION lock_wait_timeout = 1")
            with pytest.raises(WtsChatDestinationError, match="A retry may help"), changer.transaction() as other:
                other.execute("ALTER TABLE room ADD COLUMN floor INTEGER")


class Error(Exception):
    """As DB-API 2.0 has it."""


class IntegrityError(Error):
    """As DB-API 2.0 has it, for a row that does not fit."""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Duplicate entry 'O'Brien 5511999990000' for key 'x'", "Duplicate entry '…'"),
        ("UNIQUE constraint failed: room.id", "UNIQUE constraint failed: room.id"),
        ("column 'name' cannot be null", "column 'name' cannot be null"),
    ],
)
def test_values_of_rows_are_in_no_message(said, shown):
    words = str(explained(IntegrityError(said), "It", {"name"}))
    assert words == f"It failed with IntegrityError: {shown}. A retry does not help: mend it, then clear the task"
    assert "…" in words or said in words
    assert str(explained(IntegrityError(said), "It")).startswith("It failed with IntegrityError. ")


@pytest.mark.parametrize(("number", "retryable"), [(1142, False), (1045, False), (1205, True), (2006, True)])
def test_drivers_of_mysql_that_give_only_a_number(number, retryable):
    """``MySQLdb`` needs a compiler, so it is not here; its errors are made as it makes them."""
    kind = type("OperationalError", (Error,), {"__module__": "MySQLdb"})
    assert explained(kind(number, "INSERT command denied"), "It").retryable is retryable
