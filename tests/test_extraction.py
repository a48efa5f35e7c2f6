"""Reading what changed, over real HTTP, while the account lives on."""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import os
import random
import re
import signal
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_wtschat import extraction
from airflow_provider_wtschat.api import instants, portfolios, response, scheduled_messages, sessions
from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import PagedRequest, Paging
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatAuthenticationError, WtsChatNotFoundError
from airflow_provider_wtschat.extraction import (
    RESOURCES,
    Kind,
    Parent,
    ParentList,
    Reading,
    Version,
    read,
    read_changes,
    reading,
    windows,
)
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator, server, views
from airflow_provider_wtschat.simulator.errors import ProblemError
from airflow_provider_wtschat.simulator.routes.call import HANDLERS, query_bounds
from tests.api.test_contract import spec

DAY = timedelta(days=1)


def account(**options: Any) -> pytest.MarkDecorator:
    """Have the fixture ``simulator`` made with options."""
    return pytest.mark.parametrize("simulator", [pytest.param(options, id="")], indirect=True)


def connect(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    # An account of its own: a held budget of another test must not hold this one.
    connection = {**json.loads(simulator.connection_json), "extra": {"account": uuid4().hex}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)


@pytest.fixture
def simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(**{"seed": 1, "limits": False, "strict": True, **request.param}) as simulator:
        connect(monkeypatch, simulator)
        yield simulator


@pytest.fixture
def hook(no_limits: None) -> WtsChatHook:
    return WtsChatHook()


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if re.fullmatch(r"wtschat-\d+", thread.name):
            thread.join(5)
            assert not thread.is_alive(), thread.name


def newest(batches: Reading[Any]) -> dict[str, str]:
    """What a reader of the batches keeps: the newest version of each row."""
    kept: dict[str, datetime] = {}
    for batch in batches:
        for row in batch.rows:
            version = instants.read(row["updatedAt"])
            kept[row["id"]] = max(version, kept.get(row["id"], version))
    return {row_id: instants.write(version) for row_id, version in kept.items()}


def truth(simulator: Simulator, before: datetime | None = None) -> dict[str, str]:
    with simulator.world.lock:
        rows = {row.id: datetime.fromtimestamp(row.updated / 1e6, UTC) for row in simulator.world.sessions}
        micros = {row.id: row.updated % 1_000_000 for row in simulator.world.sessions}
    return {
        row_id: instants.write(moment.replace(microsecond=micros[row_id]))
        for row_id, moment in rows.items()
        if before is None or moment < before
    }


@account(sessions=3000)
def test_everything_comes_and_how_far_is_said(hook, simulator):
    changes = read_changes(hook, sessions.list_())
    assert newest(changes) == truth(simulator)
    assert changes.verified
    assert changes.expected == 3000
    assert changes.rows >= 3000
    assert changes.requests == len(simulator.requests) <= 30 + 24
    now = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC)
    assert now - timedelta(seconds=10) < changes.until_reached <= now


@pytest.mark.parametrize(
    "how",
    [
        {"bounds": "inclusive"},
        {"bounds": "exclusive", "tie": 900},
        {"tie": 900, "tie_order": "arbitrary"},
        {"tie": 900, "tie_created": 300, "tie_order": "arbitrary", "bounds": "exclusive", "changes_per_s": 20},
        {"clock_skew_s": 10.0},
        {"clock_skew_s": -10.0, "deletions": 0.3},
    ],
    ids=str,
)
def test_nothing_is_lost_while_rows_move(hook, monkeypatch, how):
    with Simulator(
        **{"sessions": 2500, "limits": False, "latency_ms": 15, "changes_per_s": 200, "strict": True, "seed": 3, **how}
    ) as simulator:
        connect(monkeypatch, simulator)
        at_start = set(truth(simulator))
        changes = read_changes(hook, sessions.list_(), workers=8)
        kept = newest(changes)
        simulator.world.churn.set_rate(0)
        assert changes.verified
        for row_id, version in truth(simulator, changes.until_reached).items():
            assert kept.get(row_id, "lost") >= version
        assert at_start - set(kept) <= at_start - set(truth(simulator))
        assert abs(changes.until_reached.timestamp() * 1e6 - simulator.world.now()) < 10e6


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_nothing_is_lost_over_many_accounts(hook, monkeypatch, seed):
    chance = random.Random(seed)
    options = {
        "sessions": chance.choice([150, 1200, 3000]),
        "changes_per_s": chance.choice([0, 20, 200]),
        "bounds": chance.choice(["inclusive", "exclusive"]),
        "tie_order": chance.choice(["stable", "arbitrary"]),
        "tie": chance.choice([0, 130, 1000]),
        "deletions": chance.choice([0.0, 0.3]),
        "clock_skew_s": chance.choice([-10.0, 0.0, 10.0]),
        "spread_days": chance.choice([0.05, 1.0, 90.0]),
        "latency_ms": chance.choice([0, 5, 20]),
        "faults": chance.choice(
            ["", "502=0.01,html=0.01,empty=0.01,truncated=0.01,cut_json=0.01,lost_after=0.01,500=0.01"]
        ),
    }
    with Simulator(limits=False, seed=seed, **options) as simulator:
        connect(monkeypatch, simulator)
        changes = read_changes(hook, sessions.list_(), workers=chance.choice([1, 3, 24]))
        kept = newest(changes)
        simulator.world.churn.set_rate(0)
        missing = {
            row_id for row_id, at in truth(simulator, changes.until_reached).items() if kept.get(row_id, "") < at
        }
    assert missing == set(), options
    assert changes.verified, (changes.reasons, options)


@account(sessions=3000, spread_days=30)
def test_a_window_in_the_past_holds_its_rows_and_no_others(hook, simulator):
    now = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC)
    since, until = now - 20 * DAY, now - 10 * DAY
    changes = read_changes(hook, sessions.list_(), since, until.isoformat())
    low, high = instants.write(since), instants.write(until)
    wanted = {row_id: at for row_id, at in truth(simulator).items() if low <= at < high}
    assert len(wanted) > 500
    assert newest(changes) == wanted
    assert changes.until_reached == until


@account(sessions=40)
def test_a_small_window_is_one_request(hook, simulator):
    changes = read_changes(hook, sessions.list_(), "2020-01-01")
    assert len(newest(changes)) == 40
    assert changes.requests == 1
    assert changes.until_reached is not None


@account(sessions=10)
def test_the_end_is_never_later_than_asked_for(hook, simulator):
    now = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC)
    soon, later = now - timedelta(seconds=5), now + DAY
    for until, most in ((soon, soon), (later, now + timedelta(seconds=10))):
        changes = read_changes(hook, sessions.list_(), now - DAY, until)
        list(changes)
        assert changes.until_reached <= most


@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-05-02", "2026-05-01"), ("2026-05-01", "2026-05-01"), ("yesterday", None), (None, "soon")],
)
@account(sessions=1)
def test_a_window_that_is_none_is_refused_before_any_request(hook, simulator, since, until):
    with pytest.raises(WtsChatArgumentError, match=r"since|until"):
        read_changes(hook, sessions.list_(), since, until)
    with pytest.raises(WtsChatArgumentError, match=r"since|until"):
        read(hook, "cards", since, until)
    assert simulator.requests == []


def test_an_order_of_its_own_is_refused(hook):
    with pytest.raises(WtsChatArgumentError, match="order_by"):
        read_changes(hook, sessions.list_(order_by="CreatedAt"))


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 65}, {"page_size": 101}, {"page_size": 0}])
def test_sizes_out_of_bounds_are_refused(hook, wrong):
    with pytest.raises(WtsChatArgumentError, match=next(iter(wrong))):
        read_changes(hook, sessions.list_(), **wrong)


@account(sessions=10)
def test_own_bounds_outside_of_the_window_leave_nothing(hook, simulator):
    changes = read_changes(hook, sessions.list_(updated_before="2020-01-01"), "2021-01-01", "2021-02-01")
    assert list(changes) == []
    assert simulator.requests == []
    assert changes.until_reached is not None


@pytest.mark.parametrize("wrong", ["ignore_order_by", "ignore_bounds"])
def test_a_server_that_ignores_order_or_bounds_costs_no_row(hook, monkeypatch, wrong):
    with Simulator(sessions=1500, limits=False, strict=True, **{wrong: True}) as simulator:
        connect(monkeypatch, simulator)
        since = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC) - 30 * DAY
        changes = read_changes(hook, sessions.list_(), since)
        low = instants.write(since)
        assert newest(changes) == {row_id: at for row_id, at in truth(simulator).items() if at >= low}
        assert not changes.verified
        assert any(("order" if wrong == "ignore_order_by" else "bounds") in reason for reason in changes.reasons)
        assert changes.until_reached <= datetime.fromtimestamp(simulator.world.now() / 1e6, UTC)
        assert changes.requests <= 15 + 2 * 24 + 5


@account(sessions=1200)
def test_without_a_clock_of_the_server_one_worker_reads_and_the_rows_tell(hook, simulator, monkeypatch, caplog):
    monkeypatch.setattr(response, "server_time", lambda headers: None)
    monkeypatch.setattr("airflow_provider_wtschat.hooks.wtschat.response.server_time", lambda headers: None)
    changes = read_changes(hook, sessions.list_())
    kept = newest(changes)
    assert kept == truth(simulator)
    assert instants.write(changes.until_reached) == max(kept.values())
    assert "Date header" in caplog.text
    assert changes.requests <= 14


@account(sessions=2000, latency_ms=5)
def test_no_more_pages_are_held_than_there_are_workers(hook, simulator):
    changes = read_changes(hook, sessions.list_(), workers=5)
    for taken, batch in enumerate(changes, start=1):
        assert len(batch.rows) <= 100
        assert len(simulator.requests) <= taken + 5 + 1


@account(sessions=2000, latency_ms=5)
def test_threads_speak_http_only(hook, simulator, monkeypatch):
    callers = set()
    original = WtsChatHook.get_connection

    def noted(conn_id):
        callers.add(threading.current_thread())
        return original(conn_id)

    monkeypatch.setattr(WtsChatHook, "get_connection", staticmethod(noted))
    assert len(newest(read_changes(hook, sessions.list_()))) == 2000
    assert callers == {threading.main_thread()}


@account(sessions=2000, latency_ms=5)
def test_a_reading_that_is_left_ends_its_threads(hook, simulator):
    changes = read_changes(hook, sessions.list_())
    next(iter(changes))
    next(iter(changes))
    assert any(thread.name.startswith("wtschat-") for thread in threading.enumerate() if thread.name[8:].isdigit())
    changes.close()
    assert changes.until_reached is None
    given = iter(read_changes(hook, sessions.list_()))
    next(given)
    with pytest.raises(ZeroDivisionError):
        given.throw(ZeroDivisionError)


@account(sessions=2000, latency_ms=5, strict=False)
def test_what_a_worker_meets_is_raised(hook, simulator):
    changes = iter(read_changes(hook, sessions.list_()))
    next(changes)
    simulator.world.token = "another"
    with pytest.raises(WtsChatAuthenticationError):
        list(changes)


@account(sessions=2000)
def test_a_timeout_of_the_task_ends_even_the_wait_for_the_limit(hook, simulator):
    class TaskTimeoutError(BaseException):
        pass

    def stop(*args):
        raise TaskTimeoutError

    changes = iter(read_changes(hook, sessions.list_()))
    next(changes)
    hook.budget.hold(500)
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(TaskTimeoutError):
            list(changes)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@account(sessions=1500)
def test_progress_is_said_without_personal_data(hook, simulator, monkeypatch, caplog):
    monkeypatch.setattr(reading, "_SAY_EVERY", 0.0)
    caplog.set_level(logging.INFO)
    list(read_changes(hook, sessions.list_()))
    lines = [record.getMessage() for record in caplog.records if record.name == reading.__name__]
    assert len(lines) > 3
    assert re.fullmatch(
        r"Read \d+ rows of about 1500 in \d+ s \(\d+/s\) with \d+ requests, waited \d+ s for the account's limit"
        r"(, about \d+ s left)?",
        lines[1],
    )


# --- Resources ---------------------------------------------------------------------------------------------------


def ids_of(batches: Reading[Any]) -> set[str]:
    return {row["id"] for batch in batches for row in batch.rows}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("sessions", "sessions"),
        ("contacts", "contacts"),
        ("cards", "cards"),
        ("panels", "panels"),
        ("templates", "templates"),
        ("chatbots", "chatbots"),
        ("sequences", "sequences"),
        ("sequence_contacts", "sequence_contacts"),
        ("portfolios", "portfolios"),
        ("portfolio_contacts", "portfolio_contacts"),
        ("scheduled_messages", "scheduled"),
        ("agents", "agents"),
        ("departments", "departments"),
        ("channels", "channels"),
        ("tags", "tags"),
        ("custom_fields", "custom_fields"),
    ],
)
@account(sessions=400, cards=150)
def test_everything_of_a_resource_comes(hook, simulator, name, table):
    if name == "scheduled_messages":
        template = next(iter(simulator.world.templates)).id
        for day in range(1, 4):
            hook.run(
                scheduled_messages.create(
                    to="11900000001", scheduling=f"2031-01-0{day}", template_id=template, template_parameters=["a", "b"]
                )
            )
    rows = list(getattr(simulator.world, table))
    assert rows
    if name == "sessions":
        simulator.world.change_session(rows[0].id, status="HIDDEN")
    found = read(hook, name)
    assert ids_of(found) == {row.id for row in rows}
    assert found.until_reached is not None


def test_every_resource_is_tried_above_or_read_by_parent():
    tried = inspect.getsource(inspect.getmodule(test_everything_of_a_resource_comes))
    for name, resource in RESOURCES.items():
        # Office hours and the company have tests of their own.
        elsewhere = name == "lost_reasons" or resource.rows is not None
        assert f'("{name}", ' in tried or resource.kind is Kind.CHILDREN or elsewhere


class Lookup:
    """Answers what resources look up, and nothing else."""

    def iterate(self, request: Any, *, bulk: bool) -> Iterator[dict[str, str]]:
        assert bulk
        yield {"id": "0b1c2d3e-0000-4000-8000-000000000001"}
        yield {"id": "0b1c2d3e-0000-4000-8000-000000000002"}


def defaults_of(service: str, method: str, path: str) -> dict[str, Any]:
    """Defaults that narrow what a list answers, by parameter."""
    folder = resources.files("airflow_provider_wtschat.simulator") / "contract"
    contract = json.loads((folder / f"{service}.json").read_text())
    operation = contract["paths"][path][method]
    found = {item["name"]: item["schema"].get("default") for item in operation.get("parameters", [])}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        properties = contract["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
        found |= {name: schema.get("default") for name, schema in properties.items()}
    paging = {"pagenumber", "pagesize"}
    return {name: value for name, value in found.items() if value is not None and name.lower() not in paging}


@pytest.mark.parametrize(("name", "filters"), [*((name, {}) for name in RESOURCES), ("contacts", {"name": "Ana"})])
def test_no_default_of_the_contract_narrows_what_is_read(name, filters):
    resource = RESOURCES[name]
    requests: Sequence[Any]
    if resource.kind is Kind.CHILDREN:
        requests = [resource.child("0b1c2d3e-0000-4000-8000-000000000001")]
    else:
        requests = resource.requests(Lookup(), filters)
    assert requests
    for request in requests:
        service, _, rest = request.route.lstrip("/").partition("/")
        given = {name for name, _ in request.query} | set(request.body or {})
        assert set(defaults_of(service, request.method.lower(), f"/{rest}")) <= given, request


@pytest.mark.parametrize(
    ("name", "parameter", "values"),
    [
        ("sessions", "Status", {"STARTED", "PENDING", "IN_PROGRESS", "COMPLETED", "HIDDEN"}),
        ("contacts", "Status", {"ACTIVE", "ARCHIVED", "BLOCKED"}),
        ("cards", "Statuses", {"OPEN", "WON", "LOST", "ARCHIVED"}),
        ("templates", "Archived", {"true", "false"}),
        (
            "scheduled_messages",
            "Status",
            {"SCHEDULED", "PROCESSED", "SENT", "DELIVERED", "READ", "CANCELED", "FAILED"},
        ),
        ("custom_fields", "EntityType", {"CONTACT", "PANEL"}),
        ("channels", "ChannelType", {"All"}),
    ],
)
def test_all_states_are_asked_for(name, parameter, values):
    requests = RESOURCES[name].requests(Lookup())
    assert {value for request in requests for key, value in request.query if key == parameter} == values


def test_every_list_of_the_api_is_a_resource_or_known_not_to_be():
    parent = "0b1c2d3e-0000-4000-8000-000000000001"
    asked = [
        request
        for resource in RESOURCES.values()
        for request in (resource.requests(Lookup()) if resource.child is None else [resource.child(parent)])
    ]
    read = {(request.method, request.route) for request in asked}
    lists = {name for name in OPERATIONS if name.partition(".")[2].startswith("list")}
    missing = {name for name in lists if spec(name).key not in read}
    # The same rows as another list gives, or settings that nobody loads into a warehouse.
    assert missing <= {
        "messages.list",
        "custom_fields.list_for_contacts",
        "panels.list_custom_fields",
        "departments.list_channels",
        "tags.list_colors",
        "webhooks.list_events",
        "webhooks.list_subscriptions",
        "webhooks.list",
    }


def test_filters_replace_what_would_be_asked_for():
    [request] = RESOURCES["sessions"].requests(Lookup(), {"status": "PENDING"})
    assert [value for name, value in request.query if name == "Status"] == ["PENDING"]
    [request] = RESOURCES["contacts"].requests(Lookup(), {"status": "BLOCKED", "tag_names": ["vip"]})
    assert request.paging is Paging.BODY
    assert request.body["status"] == "BLOCKED"
    [request] = RESOURCES["cards"].requests(Lookup(), {"panel_id": "0b1c2d3e-0000-4000-8000-000000000009"})
    assert isinstance(request, PagedRequest)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: extraction.find("session"), "one of sessions, contacts"),
        (lambda: RESOURCES["agents"].requests(Lookup(), {"name": "Ana"}), "filters: .*name"),
        (lambda: RESOURCES["messages"].requests(Lookup()), "parents"),
    ],
)
def test_what_cannot_be_read_is_said(call, words):
    with pytest.raises(WtsChatArgumentError, match=words):
        call()


# --- By parent ---------------------------------------------------------------------------------------------------


def messages_of(simulator: Simulator, kind: str) -> set[str]:
    world = simulator.world
    return {
        message.id
        for session in world.sessions
        for message in world.history.of(session.id)
        if (message.type == "NOTE") is (kind == "session_notes")
    }


@pytest.mark.parametrize("kind", ["messages", "session_notes"])
@account(sessions=60)
def test_children_of_all_parents_come(hook, simulator, kind):
    found = read(hook, kind)
    parents = {}
    rows = set()
    for batch in found:
        rows |= {row["id"] for row in batch.rows}
        parents[batch.parent.id] = batch.complete
        assert all(row["sessionId"] == batch.parent.id for row in batch.rows)
    assert rows >= messages_of(simulator, kind)
    assert set(parents) == {row.id for row in simulator.world.sessions}
    assert all(parents.values())
    assert found.until_reached is not None


@account(cards=30, sessions=10)
def test_notes_of_cards_come(hook, simulator):
    found = ids_of(read(hook, "card_notes"))
    assert found == {row.id for row in simulator.world.card_notes}


@account(sessions=60)
def test_only_parents_that_changed_are_read_again(hook, simulator):
    world = simulator.world
    known: dict[str, str] = {}

    def parents_read() -> set[str]:
        done = set()
        for batch in read(hook, "messages", "2020-01-01", known=lambda ids: {i: known[i] for i in ids if i in known}):
            if batch.complete:
                known[batch.parent.id] = batch.parent.version
                done.add(batch.parent.id)
        return done

    everyone = {row.id for row in world.sessions}
    assert parents_read() == everyone
    assert parents_read() == set()
    first, second = [row.id for row in world.sessions if row.status == "IN_PROGRESS"][:2]
    world.change_session(first, status="PENDING")
    world.add_inbound_message(second, "Olá")
    assert parents_read() == {first, second}


@account(sessions=60, reply_moves_updated=False)
def test_an_interaction_that_moves_nothing_else_is_enough(hook, simulator):
    world = simulator.world
    since = datetime.fromtimestamp(world.now() / 1e6, UTC)
    quiet = next(row.id for row in world.sessions if row.status == "PENDING")
    world.add_inbound_message(quiet, "Olá")
    found = {batch.parent.id for batch in read(hook, "messages", since)}
    assert found == {quiet}


def of_2020(text: str | None) -> str:
    version = Version.parse(text)
    assert version is not None
    return replace(version, day="2020-01-01").text()


@account(sessions=300)
def test_sessions_that_ended_lately_are_read_again_on_another_day(hook, simulator):
    world = simulator.world
    since = datetime.fromtimestamp(world.now() / 1e6, UTC) - timedelta(seconds=1)
    edge = (since - timedelta(hours=72)).timestamp() * 1e6
    ended = {row.id: row for row in world.sessions if row.end is not None and row.end > edge}
    assert ended
    [of_today, of_yesterday] = [read(hook, "messages", "2020-01-01").parents.chosen for _ in range(2)]
    today = {parent.id: parent.version for parent in of_today}
    yesterday = {parent.id: of_2020(parent.version) for parent in of_yesterday}

    def again(known: dict[str, str], **filters: Any) -> set[str]:
        found = read(
            hook,
            "messages",
            since,
            known=lambda ids: {i: known[i] for i in ids},
            settle=timedelta(hours=72),
            filters=filters,
        )
        return {parent.id for parent in found.parents.chosen}

    assert again(today) == set()
    assert again(yesterday) == set(ended)
    for department_id in [row.id for row in world.departments]:
        of_one = {session_id for session_id, row in ended.items() if row.department_id == department_id}
        assert again(yesterday, department_id=department_id) == of_one


@account(sessions=40)
def test_a_parent_that_is_gone_has_no_children(hook, simulator):
    messages = iter(read(hook, "messages", page_size=2, workers=1))
    first = next(messages)
    gone = next(row.id for row in simulator.world.sessions if row.id != first.parent.id)
    simulator.world.delete_session(gone)
    done = {batch.parent.id: len(batch.rows) for batch in messages if batch.complete}
    assert len(done) >= 39
    assert done.get(gone, 0) == 0


@account(sessions=20)
def test_a_404_without_a_key_is_no_parent_that_is_gone(hook, simulator, monkeypatch):
    real = simulator.application._perform

    def perform(call: Any) -> Any:
        if "/message" in call.operation.key:
            raise ProblemError({}, status=404, title="Not Found")
        return real(call)

    monkeypatch.setattr(simulator.application, "_perform", perform)
    with pytest.raises(WtsChatNotFoundError):
        list(read(hook, "messages"))


@account(sessions=50)
def test_the_cost_is_said_first_and_can_be_too_much(hook, simulator, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(WtsChatArgumentError, match=r"50 requests at least.*and 49 are allowed"):
        read(hook, "messages", max_requests=49)
    assert "messages: 50 requests at least" in caplog.text
    assert not any("/message" in entry.path for entry in simulator.requests)


# --- Windows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "how", "cuts"),
    [
        (
            "2026-01-15",
            "2026-04-01",
            {"timezone": "America/Sao_Paulo"},
            ["2026-01-15T03", "2026-02-01T03", "2026-03-01T03", "2026-04-01T03"],
        ),
        ("2025-12-31", "2026-01-02", {"by": "day"}, ["2025-12-31T00", "2026-01-01T00", "2026-01-02T00"]),
        # The clocks change in New York on March 8.
        (
            "2026-03-07",
            "2026-03-10",
            {"by": "day", "timezone": "America/New_York"},
            ["2026-03-07T05", "2026-03-08T05", "2026-03-09T04", "2026-03-10T04"],
        ),
        (
            "2026-09-02",
            "2026-09-15",
            {"by": "week"},
            ["2026-09-02T00", "2026-09-07T00", "2026-09-14T00", "2026-09-15T00"],
        ),
        # Clocks skip the midnight of November 4, and the night of February 18 has its last hour twice.
        (
            "2018-11-03",
            "2018-11-06",
            {"by": "day", "timezone": "America/Sao_Paulo"},
            ["2018-11-03T03", "2018-11-04T03", "2018-11-05T02", "2018-11-06T02"],
        ),
        (
            "2018-02-17 22:00",
            "2018-02-18 01:00",
            {"by": "hour", "timezone": "America/Sao_Paulo"},
            ["2018-02-18T00", "2018-02-18T01", "2018-02-18T02", "2018-02-18T03", "2018-02-18T04"],
        ),
        (
            "2026-01-01 22:10",
            "2026-01-02",
            {"by": "hour", "timezone": "Asia/Kolkata"},
            ["2026-01-01T16:40", "2026-01-01T17:30", "2026-01-01T18:30"],
        ),
        ("2026-01-01 22:30", "2026-01-02", {"by": "hour"}, ["2026-01-01T22:30", "2026-01-01T23", "2026-01-02T00"]),
        (
            "2024-06-01",
            "2026-02-01",
            {"by": "year"},
            ["2024-06-01T00", "2025-01-01T00", "2026-01-01T00", "2026-02-01T00"],
        ),
    ],
)
def test_windows_follow_the_calendar(since, until, how, cuts):
    found = windows(since, until, **how)
    ends = [f"{cut}:00" if len(cut) == 13 else cut for cut in cuts]
    assert [instants.read(window["since"]) for window in found] == [instants.read(f"{end}:00Z") for end in ends[:-1]]
    assert [window["until"] for window in found[:-1]] == [window["since"] for window in found[1:]]
    assert instants.read(found[-1]["until"]) == instants.read(f"{ends[-1]}:00Z")


@given(
    since=st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    hours=st.integers(1, 900),
    by=st.sampled_from(["hour", "day", "week", "month", "year"]),
    zone=st.sampled_from(["America/Sao_Paulo", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tehran"]),
)
@example(datetime(2018, 2, 18, 2, 10, tzinfo=UTC), 30, "hour", "America/Sao_Paulo")
def test_windows_follow_one_another_whatever_the_clocks_do(since: datetime, hours: int, by: str, zone: str):
    until = since + timedelta(hours=hours)
    found = windows(since, until, by=by, timezone=zone)
    cuts = [instants.read(window["since"]) for window in found] + [until]
    assert cuts == sorted(set(cuts))
    assert cuts[0] == since
    assert [window["until"] for window in found] == [instants.write(cut) for cut in cuts[1:]]
    for cut in cuts[1:-1]:
        local = cut.astimezone(ZoneInfo(zone))
        assert local.minute in (0, 30)
        assert by == "hour" or (local - timedelta(minutes=61)).day != local.day


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("2026-01-02", "2026-01-01"), "runs backwards"),
        (("2026-01-01", "2026-01-01"), "is empty"),
        (("2020-01-01", "2026-01-01", "hour"), "more than 1024"),
        (("2026-01-01", "2026-02-01", "fortnight"), "one of hour, day"),
        (("2026-01-01", "2026-02-01", "day", "Mars/Olympus"), "no IANA time zone"),
    ],
)
def test_windows_that_make_no_sense_are_refused(arguments, words):
    since, until, *rest = arguments
    with pytest.raises(WtsChatArgumentError, match=words):
        windows(since, until, **dict(zip(("by", "timezone"), rest, strict=False)))


def test_windows_go_into_expand_kwargs():
    assert json.loads(json.dumps(windows("2026-01-01", "2026-02-01"))) == [
        {"since": "2026-01-01T00:00:00.000000Z", "until": "2026-02-01T00:00:00.000000Z"}
    ]


# --- What a server does not say, or says wrongly -----------------------------------------------------------------


def handle(monkeypatch: pytest.MonkeyPatch, operation: str, handler: Any) -> None:
    """Answer an operation otherwise."""
    original = HANDLERS[operation]
    monkeypatch.setitem(HANDLERS, operation, lambda call: handler(call, original))


@account(sessions=600, spread_days=30)
def test_a_status_that_the_contract_does_not_name_comes_too(hook, simulator, monkeypatch, caplog):
    monkeypatch.setitem(views._STATUS_NAMES, "PAUSED", "Pausado")
    world = simulator.world
    everyone = [row.id for row in world.sessions]
    for row_id in everyone[:20]:
        world.change_session(row_id, status="PAUSED")
    world.change_session(everyone[30], status="HIDDEN")
    world.clock.advance(120)
    changes = read(hook, "sessions")
    assert ids_of(changes) == set(everyone)
    assert changes.verified
    assert "a status that this release does not know" in caplog.text


@account(sessions=600, spread_days=30)
def test_the_comparison_costs_a_few_requests(hook, simulator):
    simulator.world.change_session(next(iter(simulator.world.sessions)).id, status="HIDDEN")
    simulator.world.clock.advance(120)
    since = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC) - DAY
    changes = read(hook, "sessions", since)
    assert len(ids_of(changes)) < 100
    # One page; two counts for the status, two for the key; what was touched before and since.
    assert changes.requests <= 1 + 2 + 2 + 2


@pytest.mark.parametrize("name", ["contacts", "cards"])
@account(sessions=80, cards=40)
def test_other_resources_are_compared_too(hook, simulator, monkeypatch, name):
    table, service = {"contacts": ("contacts", "GET /core/v1/contact"), "cards": ("cards", "GET /crm/v2/panel/card")}[
        name
    ]
    hidden = "ACTIVE" if name == "contacts" else "OPEN"
    row_ids = {row.id for row in getattr(simulator.world, table)}

    def answer(call: Any, original: Any) -> Any:
        page = original(call)
        status = call.query.many("Statuses") or call.query.many("Status")
        if hidden in status:
            # Rows of a new status come without the filter only.
            gone = [row for row in page["items"] if row["id"] in new]
            page["items"] = [row for row in page["items"] if row not in gone]
            page["totalItems"] -= sum(row_id in new for row_id in listed(call, status))
        return page

    def listed(call: Any, status: Any) -> list[str]:
        panel = call.query.get("PanelId")
        rows = getattr(simulator.world, table)
        one = (
            (lambda row: row["panelId"] == panel and row["status"] in status)
            if panel
            else (lambda row: row.status in status)
        )
        return [row.id for row in rows if one(row)]

    rows = [
        (row.id, row["panelId"] if name == "cards" else "", row["status"] if name == "cards" else row.status)
        for row in getattr(simulator.world, table)
    ]
    some = [(row_id, place) for row_id, place, status in rows if status == hidden][:5]
    new = {row_id for row_id, _ in some}
    others = Counter(place for _, place, status in rows if status != hidden)
    for place, number in Counter(place for _, place in some).items():
        if number == others[place]:
            # As many new ones as a list leaves out by itself look like that list without a filter.
            new.discard(next(row_id for row_id, at in some if at == place))
    handle(monkeypatch, service, answer)
    simulator.world.clock.advance(120)
    assert ids_of(read(hook, name)) == row_ids


@pytest.mark.parametrize("since", [None, "2020-01-01", "0001-01-01"])
@account(sessions=900, spread_days=30)
def test_rows_without_the_key_come_too(hook, simulator, monkeypatch, since):
    without = {row.id for row in list(simulator.world.sessions)[:150]}
    simulator.world.clock.advance(120)

    def answer(call: Any, original: Any) -> Any:
        """Rows without updatedAt are sorted last, and no bound of it holds them."""
        query, world = call.query, simulator.world
        bounds = query_bounds(query, ("CreatedAt", "UpdatedAt", "LastInteractionAt"))
        keyed = "updatedat" in bounds

        def moment(row: Any, name: str) -> int | None:
            if name == "updatedat":
                return None if row.id in without else row.updated
            return row.created if name == "createdat" else row.interaction

        rows = [row for row in world.sessions if not (keyed and row.id in without)]
        for name, bound in bounds.items():
            rows = [row for row in rows if bound.after is None or moment(row, name) >= bound.after]
            rows = [row for row in rows if bound.before is None or moment(row, name) <= bound.before]
        order = (query.get("OrderBy") or "createdat").lower()
        rows.sort(key=lambda row: (moment(row, order) is None, moment(row, order) or 0, row.seq))
        size, number = query.get("PageSize", 15), query.get("PageNumber", 1)
        shown = rows[(number - 1) * size : number * size]
        items = [views.session(world, row) | ({"updatedAt": None} if row.id in without else {}) for row in shown]
        return {"items": items, "totalItems": len(rows), "hasMorePages": number * size < len(rows)}

    handle(monkeypatch, "GET /chat/v2/session", answer)
    changes = read(hook, "sessions", since)
    assert ids_of(changes) == {row.id for row in simulator.world.sessions}


@pytest.mark.parametrize("wrong", [lambda number: number == 1, lambda number: number % 3 == 0, lambda number: True])
@account(sessions=1500, spread_days=30)
def test_a_clock_that_is_far_ahead_moves_no_end(hook, simulator, monkeypatch, wrong):
    original, count = server.http_date, itertools.count(1)
    monkeypatch.setattr(
        server, "http_date", lambda micros: original(micros + (int(3.5 * 86_400e6) if wrong(next(count)) else 0))
    )
    now = datetime.fromtimestamp(simulator.world.now() / 1e6, UTC)
    for since in (None, now - timedelta(seconds=90)):
        changes = read_changes(hook, sessions.list_(), since)
        kept = newest(changes)
        assert kept.keys() >= truth(simulator).keys() or since is not None
        assert now - timedelta(minutes=1) < changes.until_reached < now + timedelta(minutes=2)


@account(sessions=5)
def test_a_window_in_the_future_is_refused(hook, simulator):
    with pytest.raises(WtsChatArgumentError, match="by the server's clock and by this machine's") as caught:
        list(read(hook, "sessions", datetime.now(UTC) + 2 * DAY))
    assert caught.value.argument == "since"
    # A little is the difference of two clocks.
    list(read(hook, "sessions", datetime.now(UTC) + timedelta(minutes=1)))


@account(sessions=900, reply_moves_updated=False, clock_skew_s=-600.0)
def test_a_reply_that_does_not_move_the_key_comes(hook, simulator):
    world = simulator.world
    world.clock.advance(300)
    before = datetime.fromtimestamp(world.now() / 1e6, UTC)
    world.clock.advance(120)
    replied = [row.id for row in world.sessions if row.status == "PENDING"][:30]
    for row_id in replied:
        world.add_inbound_message(row_id, "Olá")
    for later in (0, 300):
        world.clock.advance(later)
        found = read(hook, "sessions", before)
        assert ids_of(found) == set(replied)
        assert found.verified
        assert found.requests <= 9


@account(sessions=300)
def test_a_portfolio_of_more_than_a_page_is_verified(hook, simulator):
    portfolio = next(iter(simulator.world.portfolios)).id
    people = [row.id for row in simulator.world.contacts]
    assert len(people) < 100
    rows = [*people]
    for start in range(0, len(rows), 100):
        hook.run(portfolios.add_contacts(portfolio, contact_ids=rows[start : start + 100]))
    found = read(hook, "portfolio_contacts", page_size=20, filters={"portfolio_id": portfolio})
    assert len({row["contactId"] for batch in found for row in batch.rows}) == len(rows)
    assert found.verified
    assert found.until_reached is not None


# --- Pace, and going on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 8, 24])
@pytest.mark.parametrize("rows", [1_900, 2_950])
def test_requests_are_pages_and_hardly_more(hook, monkeypatch, workers, rows):
    with Simulator(
        sessions=rows, limits=False, strict=True, seed=1, spread_days=30, latency_ms=5, clock_skew_s=-900.0
    ) as account_:
        connect(monkeypatch, account_)
        account_.world.clock.advance(900)
        changes = read_changes(hook, sessions.list_(), workers=workers, page_size=10)
        assert newest(changes) == truth(account_)
        assert changes.verified
        # Some of the rows share an instant, which has to be read by key.
        assert changes.requests <= rows / 10 * 1.02 + 6


@pytest.mark.parametrize("how", [{}, {"changes_per_s": 50}, {"tie": 400, "tie_created": 200}], ids=str)
@pytest.mark.parametrize("batches", [1, 9])
def test_a_reading_that_was_left_goes_on(hook, monkeypatch, how, batches):
    with Simulator(
        **{"sessions": 1200, "limits": False, "strict": True, "seed": 3, "spread_days": 20, "latency_ms": 2, **how}
    ) as simulator:
        connect(monkeypatch, simulator)
        kept: dict[str, str] = {}
        position = None
        tries = requests = 0
        changes = None
        while changes is None or changes.until_reached is None:
            changes = read_changes(hook, sessions.list_(), resume=position, workers=6, page_size=50)
            taken = itertools.islice(changes, batches + tries * 5)
            for batch in taken:
                for row in batch.rows:
                    kept[row["id"]] = max(kept.get(row["id"], ""), instants.write(instants.read(row["updatedAt"])))
                position = json.loads(json.dumps(changes.position))
            changes.close()
            requests += changes.requests
            tries += 1
            assert tries < 30
        simulator.world.churn.set_rate(0)
        assert changes.verified
        for row_id, version in truth(simulator, changes.until_reached).items():
            assert kept.get(row_id, "lost") >= version
        assert tries > 2
        if not how:
            assert requests <= 24 + tries * (6 + 6)


@account(sessions=300)
def test_a_position_of_something_else_is_not_gone_on_from(hook, simulator):
    done = read_changes(hook, sessions.list_())
    list(done)
    other = read_changes(hook, sessions.list_(status=["PENDING"]), resume=done.position)
    assert newest(other)
    earlier = read_changes(
        hook, sessions.list_(), "2020-01-01", resume={**done.position, "since": "2021-01-01T00:00:00Z"}
    )
    assert len(newest(earlier)) == 300
    again = read_changes(hook, sessions.list_(), resume=done.position)
    assert len(newest(again)) < 5
    assert again.until_reached > done.until_reached - timedelta(seconds=2)


# --- Parents that go, and children that are not sure -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parent"), [("cards", "panels"), ("sequence_contacts", "sequences"), ("portfolio_contacts", "portfolios")]
)
@account(sessions=100, cards=60)
def test_a_parent_that_goes_between_listing_and_reading_is_empty(hook, simulator, monkeypatch, name, parent):
    table = getattr(simulator.world, parent)
    gone = next(iter(table)).id
    original = RESOURCES[name].asking

    def asking(hook: Any, filters: Any) -> Any:
        requests = original(hook, filters)
        table.delete(gone)
        return requests

    monkeypatch.setitem(RESOURCES, name, replace(RESOURCES[name], asking=asking))
    found = read(hook, name)
    assert ids_of(found)
    assert found.verified
    assert found.until_reached is not None


@account(sessions=40, cards=20)
def test_a_parent_that_is_asked_for_and_not_there_is_an_error(hook, simulator):
    with pytest.raises(WtsChatNotFoundError):
        list(read(hook, "cards", filters={"panel_id": str(uuid4())}))


@account(sessions=30)
def test_children_that_are_not_sure_are_not_complete(hook, simulator, monkeypatch):
    unsure = next(iter(simulator.world.sessions)).id

    def answer(call: Any, original: Any) -> Any:
        page = original(call)
        if call.path["id"] == unsure:
            page |= {"items": [], "totalItems": 7}
        return page

    handle(monkeypatch, "GET /chat/v1/session/{id}/message", answer)
    found = read(hook, "messages")
    complete = {batch.parent.id for batch in found if batch.complete}
    assert complete == {row.id for row in simulator.world.sessions} - {unsure}
    assert not found.verified


@account(sessions=60)
def test_the_page_size_of_the_connection_holds(hook, simulator, monkeypatch):
    connection = json.loads(os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"])
    connection["extra"]["page_size"] = 7
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    for batches in (read(hook, "sessions"), read(hook, "messages"), read_changes(hook, sessions.list_())):
        assert max(len(batch.rows) for batch in batches) <= 7


def test_parents_are_kept_in_a_file():
    parents = ParentList()
    tracemalloc.start()
    for start in range(0, 50_000, 100):
        parents.add(
            (f"{number:036d}", Version(f"{number}", None, "2026-01-01").text()) for number in range(start, start + 100)
        )
    assert sum(1 for _ in parents) == len(parents) == 50_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    parents.add([("0" * 36, "newer")], late=True)
    assert next(iter(parents)) == Parent("0" * 36, "newer")
    parents.remove(["0" * 36])
    assert len(parents) == 49_999


@pytest.mark.parametrize("text", [None, "", "a|b|2026-01-01", "[1]", "{}", "null"])
def test_a_version_that_is_not_one_is_none(text):
    assert Version.parse(text) is None
    assert not Version("a", None, "2026-01-01").same_state(Version.parse(text))
