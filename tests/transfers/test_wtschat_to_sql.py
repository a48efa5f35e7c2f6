"""Loading into a table, on every kind of database."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatDestinationError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatServerError,
)
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from airflow_provider_wtschat.warehouse import leases
from airflow_provider_wtschat.warehouse.database import Database
from airflow_provider_wtschat.warehouse.leases import Load
from airflow_provider_wtschat.warehouse.runs import Run
from airflow_provider_wtschat.warehouse.tables import table
from tests.loading import Table, execute, load, messages, truth

DAY = timedelta(days=1)
_TOLD = "id, title, unread_count, start_at"


@pytest.mark.reads(sessions=250, odd_characters=0.3, tie=30)
def test_table_is_what_the_account_holds(reading, destination):
    figures = load()
    assert Table().versions() == truth(reading)
    assert (figures["written"], figures["rejected"]) == (250, 0)
    assert figures["rows"] >= 250
    assert figures["cleaned"] > 0
    assert figures["verified"]
    assert figures["misfits"] == 0

    session = reading.world.sessions.get(Table().rows("id")[0].id)
    row = Table().rows("id, status, channel_id, unread_count, updated_at, created_at", f"WHERE id = '{session.id}'")[0]
    assert (row.status, row.channel_id) == (session.status, session.channel_id)
    assert row.created_at <= row.updated_at


def test_second_load_writes_what_changed_and_nothing_else(reading, destination):
    load()
    before, mark = Table().loaded(), Table().watermark()
    changed, gone = list(truth(reading))[:2]
    reading.world.change_session(changed, title="Outro")
    reading.world.delete_session(gone)
    created = reading.world.create_session().id

    figures = load()
    after = Table().loaded()
    assert figures["written"] == 2
    assert {row for row in after if after[row] != before.get(row)} == {changed, created}
    assert gone in after, "a load removes nothing"
    assert Table().watermark() >= mark
    assert Table().versions() | {gone: ""} == truth(reading) | {gone: ""}


@pytest.mark.reads(sessions=200, changes_per_s=0.004)
def test_three_days_without_a_load_are_caught_up_by_the_next(reading, plain_destination):
    load()
    before = Table().versions()
    reading.world.clock.advance(3 * DAY.total_seconds())
    reading.world.settle()
    reading.world.churn.set_rate(0)
    load()
    after = Table().versions()
    assert after == truth(reading)
    assert set(before) < set(after), "sessions were created meanwhile, and none was removed"
    assert sum(after[row] != before[row] for row in before) > 100


def test_older_version_does_not_replace_a_newer_one(reading, destination):
    load()
    execute("UPDATE sessions SET updated_at = '2031-01-01 00:00:00', hash = 'another'")
    assert load()["written"] == 0


def test_missing_columns_come_back_and_unknown_fields_stay_in_the_payload(reading, destination):
    load()
    execute("ALTER TABLE sessions DROP COLUMN title")
    assert "title" not in Table().columns()
    changed = next(iter(truth(reading)))
    reading.world.change_session(changed, title="Outro")
    load()
    (row,) = Table().rows("id, title", f"WHERE id = '{changed}'")
    assert row.title == "Outro"


def test_column_that_is_new_to_a_table_is_filled_for_all_rows(reading, destination):
    load()
    told = {row.id: (row.title, row.unread_count, row.start_at) for row in Table().rows(_TOLD)}
    assert all(start for _, _, start in told.values())
    before = Table().loaded()
    for column in ("title", "unread_count", "start_at"):
        execute(f"ALTER TABLE sessions DROP COLUMN {column}")
    assert load()["written"] == 0
    assert {row.id: (row.title, row.unread_count, row.start_at) for row in Table().rows(_TOLD)} == told
    after = Table().loaded()
    assert all(after[row] > before[row] for row in after), "incremental models go by loaded_at"
    load()
    assert Table().loaded() == after


def test_filling_goes_on_after_it_was_killed(reading, destination, monkeypatch):
    load()
    told = {row.id: row.title for row in Table().rows("id, title")}
    execute("ALTER TABLE sessions DROP COLUMN title")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_fill_table", killed)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert {row.title for row in Table().rows("title")} == {None}
    load()
    assert {row.id: row.title for row in Table().rows("id, title")} == told


def test_dimensions_keep_what_is_gone(reading, destination):
    load("departments")
    everything = Table("departments").rows("id, missing_since")
    assert all(row.missing_since is None for row in everything)
    gone = everything[0].id
    kept = reading.world.departments.get(gone)
    reading.world.departments.delete(gone)
    load("departments")
    marked = {row.id for row in Table("departments").rows("id, missing_since") if row.missing_since}
    assert marked == {gone}
    reading.world.departments.put(kept)
    load("departments")
    assert not any(row.missing_since for row in Table("departments").rows("id, missing_since"))


def test_part_of_a_dimension_says_nothing_of_the_rest(reading, plain_destination):
    load("channels")
    load("channels", filters={"channel_type": "Instagram"})
    assert not any(row.missing_since for row in Table("channels").rows("id, missing_since"))


def test_panels_bring_their_steps(reading, destination):
    load("panels", table="boards")
    steps = {step["id"]: step["title"] for panel in Table("boards").payloads() for step in panel["steps"]}
    assert {row.id: row.title for row in Table("boards_steps").rows("id, title")} == steps
    assert len(steps) > 3


def test_history_keeps_every_version_that_was_seen(reading, destination):
    load(history=True)
    changed = next(iter(truth(reading)))
    for title in ("Um", "Dois"):
        reading.world.change_session(changed, title=title)
        load(history=True)
    load(history=True)
    versions = Table("sessions_history").rows("updated_at, title", f"WHERE id = '{changed}'")
    assert [row.title for row in versions][1:] == ["Um", "Dois"]
    assert len(Table("sessions_history").rows("id")) == 122

    periods = Table("sessions_periods").rows("valid_from, valid_to, title", f"WHERE id = '{changed}'")
    assert [row.title for row in periods][1:] == ["Um", "Dois"]
    assert [row.valid_to for row in periods] == [*(row.valid_from for row in periods[1:]), None]
    mark = "2031-01-01T00:00:00.000000Z" if destination == "sqlite" else "2031-01-01 00:00:00"
    execute(f"UPDATE sessions SET deleted_at = '{mark}' WHERE id = '{changed}'")
    closed = Table("sessions_periods").rows("valid_from, valid_to", f"WHERE id = '{changed}'")[-1]
    assert str(closed.valid_to).startswith("2031")


def test_periods_follow_columns_that_are_new(reading, destination, monkeypatch):
    if destination == "duckdb":
        pytest.skip("it drops no column of a table with a key")
    load(history=True)
    execute("DROP VIEW sessions_periods")
    for name in ("sessions", "sessions_history"):
        execute(f"ALTER TABLE {name} DROP COLUMN title")
    execute("CREATE VIEW sessions_periods AS SELECT id FROM sessions_history")
    load(history=True)
    assert len(Table("sessions_periods").rows("valid_from, id, title")) >= 120


@pytest.mark.reads(sessions=12)
def test_children_are_read_once(reading, destination):
    figures = load("messages")
    told = messages(reading)
    assert set(Table("messages").versions()) == told
    assert figures["rows"] == len(told) > 12

    assert load("messages")["requests"] == 0
    answered = next(iter(truth(reading)))
    reading.world.add_inbound_message(answered, "Oi")
    figures = load("messages")
    assert (figures["requests"], figures["written"]) == (1, 1)


@pytest.mark.reads(sessions=8)
def test_retry_goes_on_with_the_parents_that_are_left(reading, plain_destination, monkeypatch):
    from airflow_provider_wtschat.transfers import wtschat_to_sql

    monkeypatch.setattr(wtschat_to_sql, "_PARENTS", 2)
    reading.inject("401", on="GET /chat/v1/session/{id}/message", skip=5, times=None)
    with pytest.raises(WtsChatFailedError):
        load("messages", workers=1)
    reading.application.faults.clear()
    assert load("messages", workers=1)["requests"] <= 4
    assert set(Table("messages").versions()) == messages(reading)


@pytest.mark.reads(sessions=1_500)
def test_first_load_that_was_killed_goes_on_from_where_it_was(reading, destination, monkeypatch):
    from airflow_provider_wtschat.transfers import wtschat_to_sql

    monkeypatch.setattr(wtschat_to_sql, "_KEPT_ROWS", 200)
    reading.inject("401", on="GET /chat/v2/session", skip=12, times=None)
    with pytest.raises(WtsChatFailedError):
        load(workers=1)
    reading.application.faults.clear()
    there = len(Table().rows("id"))
    assert there >= 800
    assert Table().watermark() is None
    changed = next(iter(Table().versions()))
    reading.world.change_session(changed, title="Outro")
    figures = load(workers=1)
    assert figures["rows"] <= 1_500 - there + 400
    assert figures["verified"]
    assert Table().versions() == truth(reading)
    assert Table().watermark() is not None
    assert {row.position for row in Table("wtschat_loads").rows("position")} == {None}


@pytest.mark.reads(sessions=900)
def test_window_that_was_killed_goes_on_from_where_it_was(reading, plain_destination, monkeypatch):
    from airflow_provider_wtschat.transfers import wtschat_to_sql

    monkeypatch.setattr(wtschat_to_sql, "_KEPT_ROWS", 200)
    window = {"since": "2020-01-01", "until": "2030-01-01", "workers": 1}
    reading.inject("401", on="GET /chat/v2/session", skip=8, times=None)
    with pytest.raises(WtsChatFailedError):
        load(**window)
    reading.application.faults.clear()
    there = len(Table().rows("id"))
    assert there >= 400
    load(**{**window, "since": "2021-01-01"})
    figures = load(**window)
    assert figures["rows"] <= 900 - there + 400
    assert Table().versions() == truth(reading)
    # What has ended leaves no row, and the window that is given again is read anew.
    assert {row.position for row in Table("wtschat_loads").rows("position")} == {None}
    assert load(**window)["rows"] == 900


def test_windows_that_are_given_leave_the_mark_alone(reading, plain_destination):
    load(since="2020-01-01", until="2030-01-01")
    assert Table().watermark() is None
    load()
    mark = Table().watermark()
    figures = load(since="2020-01-01")
    assert Table().watermark() == mark
    assert figures["rows"] == 120
    assert figures["watermark"] is None


def test_each_filter_has_a_mark_of_its_own(reading, plain_destination):
    load()
    (channel, *_) = {row.channel_id for row in Table().rows("channel_id")}
    figures = load(filters={"channel_ids": [channel]}, initial_since="2021-05-01")
    assert figures["since"] == "2021-05-01T00:00:00.000000Z"
    assert load()["since"] > "2026"


def test_mark_stays_when_the_server_ignores_the_order(reading, plain_destination):
    from dataclasses import replace

    load()
    mark = Table().watermark()
    reading.world.clock.advance(3600)
    reading.world.options = replace(reading.world.options, ignore_order_by=True, tie_order="arbitrary")
    figures = load(overlap=timedelta(days=400))
    assert figures["verified"] is False
    assert Table().watermark() == mark


@pytest.mark.reads(clock_skew_s=3.5 * 86_400)
def test_watermark_moves_no_further_than_both_clocks_agree_on(reading, plain_destination, caplog):
    load()
    mark = instants.read(Table().watermark())
    assert abs(mark - datetime.now(UTC)) < timedelta(minutes=2)
    assert "which is not believed" in caplog.text
    reading.world.change_session(next(iter(truth(reading))), title="Outro")
    assert load()["written"] == 1


def test_watermark_ahead_of_every_clock_is_refused(reading, plain_destination):
    load()
    ahead = instants.write(datetime.now(UTC) + 4 * DAY)
    execute(f"UPDATE wtschat_loads SET watermark = '{ahead}' WHERE source <> ''")
    with pytest.raises(WtsChatFailedError, match="UPDATE wtschat_loads SET watermark") as raised:
        load()
    assert ahead in str(raised.value)
    execute(str(raised.value).partition("missing from: ")[2])
    assert load()["rows"] == 120


REFUSED = {
    "initial_since in the future": ({"initial_since": datetime.now(UTC) + DAY}, "initial_since.* future"),
    "since in the future": ({"since": datetime.now(UTC) + DAY}, "since.* future"),
    "resource": ({"resource": "chats"}, "sessions, contacts"),
    "status filter": ({"filters": {"status": ["PENDING"]}}, "filter_is_snapshot"),
    "own window": ({"filters": {"updated_after": "2026-01-01"}}, "since and until"),
    "unknown filter": ({"filters": {"colour": "red"}, "filter_is_snapshot": True}, "colour"),
    "reversed window": ({"since": "2026-02-01", "until": "2026-01-01"}, "backwards"),
    "empty window": ({"since": "2026-02-01", "until": "2026-02-01"}, "empty"),
    "rendered to nothing": ({"since": "None"}, "since"),
    "window of a dimension": ({"resource": "agents", "since": "2026-02-01"}, "no window"),
    "table": ({"table": "x; DROP TABLE y"}, "table"),
    "personal data": ({"personal_data": "hide"}, "keep, hash, drop"),
    "no key": ({"personal_data": "hash"}, "personal_data_conn_id"),
    "exclude": ({"exclude": ["contactDetails.colour"]}, "contactDetails.colour"),
    "exclude the id": ({"exclude": ["id"]}, "cannot be left out"),
    "workers": ({"workers": "none"}, "workers"),
    "rejects": ({"max_rejects": -1}, "max_rejects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_request(case, reading, plain_destination):
    arguments, words = REFUSED[case]
    with pytest.raises(WtsChatFailedError, match=words):
        load(**arguments)
    assert reading.requests == []


def test_filters_on_what_changes_can_be_wanted(reading, plain_destination):
    load(filters={"status": ["PENDING"]}, filter_is_snapshot="true")
    assert {row.status for row in Table().rows("status")} == {"PENDING"}


MISFITS = {
    "column of its own that must be given": "CREATE TABLE sessions ({columns}, shop INTEGER NOT NULL)",
    "no key": "CREATE TABLE sessions ({plain})",
}


@pytest.mark.parametrize("case", MISFITS)
def test_table_that_takes_no_rows_is_refused_before_any_request(case, reading, destination):
    if destination in ("mariadb", "mysql", "duckdb") and case == "no key":
        pytest.skip("these merge without a key")
    load()
    database_types = {"id": "VARCHAR(64)"}
    with Database("warehouse") as database:
        kinds = database.dialect.kinds
        parts = [
            f"{database.dialect.quote(one.name)} {database_types.get(one.name, kinds[one.kind])}"
            for one in table("sessions").stored
        ]
    execute("DROP TABLE sessions")
    plain = ", ".join(parts)
    execute(MISFITS[case].format(plain=plain, columns=plain.replace("VARCHAR(64)", "VARCHAR(64) PRIMARY KEY", 1)))
    asked = len(reading.requests)
    with pytest.raises(WtsChatFailedError, match="sessions does not take rows of sessions, so nothing was read"):
        load()
    assert len(reading.requests) == asked
    assert Table().rows("id") == []


def test_table_of_the_longest_name_keeps_its_history_apart(reading, destination):
    name = "s" * 55
    load(table=name, history=True)
    assert len(Table(f"{name}_history").rows("id")) == len(Table(name).rows("id")) == 120
    for longer in (f"{name}{'t' * 1}", "s" * 64):
        with pytest.raises(WtsChatFailedError, match=r"table: .* letters"):
            load(table=longer, history=True)


def test_killed_backfill_leaves_nothing_behind(reading, destination, monkeypatch):
    backfill = Load("sessions", "wtschat_default", "sessions", {}, "2020-01-01T00:00:00.000000Z/")
    monkeypatch.setattr(leases, "LEASE", 0.0)
    database = Database("warehouse")
    dead = Run(database, backfill, {"sessions": table("sessions")}, holder="backfill", wait=0)
    dead.__enter__()
    database.close()
    monkeypatch.setattr(leases, "LEASE", 120.0)
    assert Table(dead.staging.name("sessions")).columns()
    load()
    assert not Table(dead.staging.name("sessions")).columns()
    assert {row.window_given for row in Table("wtschat_loads").rows("window_given")} == {None}


def test_local_fault_is_not_the_server_s(destination):
    """What the database says is told as such, and holds no value of a row."""
    with (
        Database("warehouse") as database,
        pytest.raises(WtsChatDestinationError) as raised,
        database.transaction() as cursor,
    ):
        database.ask(cursor, "SELECT * FROM no_such_table WHERE name = 'Bernadete Quixabeira'")
    assert not isinstance(raised.value, WtsChatServerError)
    assert "Bernadete" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_six_loads_into_one_duckdb_file_take_turns(duckdb, reading, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", duckdb)
    resources = ("sessions", "contacts", "tags", "agents", "departments", "channels")
    fork = multiprocessing.get_context("fork")
    loads = [fork.Process(target=load, args=[one], kwargs={"lock_timeout": 60}) for one in resources]
    for process in loads:
        process.start()
    for process in loads:
        process.join(120)
    assert [process.exitcode for process in loads] == [0] * 6
    for one in resources:
        assert Table(one).versions() == truth(reading, one)


def test_other_tables_are_left_alone(reading, destination):
    execute("CREATE TABLE sessions (id INTEGER)")
    with pytest.raises(WtsChatFailedError, match="not made for this"):
        load()
    assert Table().columns() == {"id"}


def test_second_run_waits_and_then_says_who_has_the_table(reading, plain_destination):
    other = Load("sessions", "wtschat_default", "sessions", {})
    with (
        Database("warehouse") as database,
        Run(database, other, {"sessions": table("sessions")}, holder="dag.task of run", wait=0),
    ):
        with pytest.raises(WtsChatError, match=r"by dag\.task of run") as raised:
            load(lock_timeout=0)
        assert raised.value.retryable
    load(lock_timeout=0)


def test_run_that_fell_silent_is_taken_over(reading, destination, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.0)
    tables = {"sessions": table("sessions")}
    other = Load("sessions", "wtschat_default", "sessions", {})
    with Database("warehouse") as database:
        silent = Run(database, other, tables, holder="silent", wait=0)
        with silent:
            load(lock_timeout=5)
            with pytest.raises(WtsChatError, match="taken over"):
                silent.flush()
            assert not Table(silent.staging.name("sessions")).columns(), "what it staged is gone"
    assert Table().versions() == truth(reading)


def test_rows_that_cannot_be_stored_fail_the_load_or_are_counted(reading, plain_destination, monkeypatch):
    from airflow_provider_wtschat.simulator import views

    whole = views.session
    broken = next(iter(truth(reading)))

    def without_id(world, session, *rest, **details):
        row = whole(world, session, *rest, **details)
        return {**row, "id": None} if session.id == broken else row

    monkeypatch.setattr(views, "session", without_id)
    with pytest.raises(WtsChatError, match="max_rejects"):
        load()
    assert Table().rows("id") == []
    assert load(max_rejects=5)["rejected"] >= 1
    assert len(Table().rows("id")) == 119


def test_arguments_render_as_text(reading, plain_destination):
    figures = load(
        filters="{'created_after': '2020-01-01'}", overlap="3600", workers="3", history="False", max_rejects="0",
        lock_timeout="1", settle="7200",
    )  # fmt: skip
    assert figures["rows"] == 120
    assert {"sql_conn_id", "table", "resource", "wtschat_conn_id"} <= set(WtsChatToSqlOperator.template_fields)


def test_duckdb_must_be_there(monkeypatch):

    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", '{"conn_type": "duckdb", "host": "/tmp/x"}')
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"airflow-provider-wtschat\[duckdb\]"):
        Database("warehouse")


def test_connections_of_other_kinds_are_refused(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "http://example.com")
    with pytest.raises(WtsChatArgumentError, match="merge_sql"):
        Database("warehouse")


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_personal_data_is_nowhere_in_the_table(mode, reading, plain_destination, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_PEPPER", '{"conn_type": "generic", "password": "a long and random key"}')
    reading.world.create_contact(name="Bernadete Quixabeira", phone="+55|11987654321", email="bernadete@example.com")
    load("contacts", personal_data=mode, personal_data_conn_id="pepper")
    load("contacts", table="plain")
    columns = ", ".join(sorted(Table("contacts").columns()))
    told = str(Table("contacts").rows(columns))
    for secret in ("Bernadete", "987654321", "bernadete@", *(row.name for row in Table("plain").rows("name"))):
        assert secret not in told
    names = {row.name for row in Table("contacts").rows("name")}
    assert names == {None} if mode == "drop" else len(names) > 10
    assert Table("contacts").versions() == truth(reading, "contacts")


def test_progress_and_counts_tell_nothing_personal(reading, plain_destination, caplog, capsys):
    reading.world.create_contact(name="Bernadete Quixabeira", phone="+55|11987654321")
    load("contacts")
    load("messages")
    told = " ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.INFO)
    # The log of a task goes another way on Airflow 3.
    told += "".join(capsys.readouterr())
    assert "Loaded contacts into contacts" in told
    for secret in ("Bernadete", "987654321", reading.token, "Mensagem de exemplo"):
        assert secret not in told
