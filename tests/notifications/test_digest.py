"""Many failures make one message: which alerts are told, which are counted, and that none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_wtschat.api.quiet import QuietHours
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.notifications import digest
from airflow_provider_wtschat.notifications.digest import Digest
from airflow_provider_wtschat.notifications.wtschat import WtsChatNotifier
from airflow_provider_wtschat.simulator import Simulator

PHONE, SAME, OTHER = "+55 11 98888-7777", "(11) 8888-7777", "(21) 97777-6666"
SEND = "POST /chat/v1/send/text"


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with Simulator(sessions=10, seed=5, limits=False, strict=True, retry_after="never") as simulator:
        yield simulator


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of digests, which a test moves on."""
    now = [time.time()]
    monkeypatch.setattr(digest, "time", SimpleNamespace(time=lambda: now[0]))
    return now


@pytest.fixture
def simulator(
    shared: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: list[float]
) -> Iterator[Simulator]:
    connection = {**json.loads(shared.connection_json), "extra": {"account": uuid4().hex}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
    shared.world.books.clear()
    yield shared
    shared.application.faults.clear()


def failure(dag_id: str, task_id: str = "load") -> dict[str, Any]:
    return {"ti": SimpleNamespace(dag_id=dag_id, task_id=task_id, run_id="r", map_index=-1, state="failed")}


def call(notifier: WtsChatNotifier, context: Mapping[str, Any]) -> None:
    notifier(context)


def await_it(notifier: WtsChatNotifier, context: Mapping[str, Any]) -> None:
    asyncio.run(notifier.async_notify(context))


both = pytest.mark.parametrize("send", [call, await_it], ids=["sync", "async"])


def texts(simulator: Simulator) -> list[str]:
    return [str(entry.text) for entry in simulator.sends]


@both
def test_many_failures_make_one_message(simulator: Simulator, clock: list[float], send: Any) -> None:
    notifier = WtsChatNotifier(to=PHONE, digest=300)
    for number in range(20):
        send(notifier, failure("sales" if number < 13 else "stock"))
    assert texts(simulator) == ["Airflow: task load of Dag sales failed in run r"]
    clock[0] += 299
    send(notifier, failure("sales"))
    assert len(simulator.sends) == 1
    clock[0] += 2
    send(notifier, failure("later"))
    assert texts(simulator)[1].startswith("Airflow: task load of Dag later failed in run r And 20 alerts since 20")
    assert texts(simulator)[1].endswith("UTC: sales (13), stock (7)")
    clock[0] += 301
    send(notifier, failure("alone"))
    assert texts(simulator)[2] == "Airflow: task load of Dag alone failed in run r"


@both
def test_a_person_is_one_however_the_number_is_written_and_others_are_told(simulator: Simulator, send: Any) -> None:
    send(WtsChatNotifier(to=PHONE, digest=300), failure("a"))
    send(WtsChatNotifier(to=[SAME, OTHER], digest=300), failure("b"))
    assert [str(entry.recipient) for entry in simulator.sends] == ["+55|11988887777", "+55|21977776666"]


def test_what_no_later_alert_told_of_is_told_by_flush(simulator: Simulator, clock: list[float]) -> None:
    notifier = WtsChatNotifier(to=PHONE, digest=300, text="Something failed")
    for _ in range(3):
        notifier(failure("sales"))
    notifier.flush()
    assert texts(simulator) == ["Something failed"]
    clock[0] += 301
    notifier.flush()
    notifier.flush()
    assert len(simulator.sends) == 2
    assert texts(simulator)[1].startswith("Airflow: 2 alerts since ")
    clock[0] += 301
    notifier.flush()
    assert len(simulator.sends) == 2
    WtsChatNotifier(to=PHONE).flush()
    assert len(simulator.sends) == 2


@both
@pytest.mark.parametrize("own", [False, True])
def test_a_template_says_what_was_counted_unless_it_has_parameters_of_its_own(
    simulator: Simulator, clock: list[float], send: Any, own: bool
) -> None:
    channel = next(str(row["number"]) for row in simulator.world.channels if row["number"])
    notifier = WtsChatNotifier(
        to=PHONE,
        digest=60,
        from_channel=channel,
        template_name="alerta_airflow",
        template_parameters=["own"] if own else None,
    )
    for _ in range(2):
        send(notifier, failure("sales"))
    clock[0] += 61
    send(notifier, failure("sales"))
    last = str(simulator.sends[-1].parameters["1"])
    assert len(simulator.sends) == 2
    assert last == "own" if own else last.endswith("sales (1)")


@both
def test_a_text_of_ones_own_says_what_was_counted(simulator: Simulator, clock: list[float], send: Any) -> None:
    notifier = WtsChatNotifier(to=PHONE, digest=60, text="Look!")
    for _ in range(3):
        send(notifier, failure("sales"))
    clock[0] += 61
    send(notifier, failure("sales"))
    assert texts(simulator)[0] == "Look!"
    assert texts(simulator)[1].startswith("Look!\n\nAnd 2 alerts since ")


@both
@pytest.mark.parametrize(("fault", "again"), [("401", True), ("form_error", True), ("lost_after", False)])
def test_what_was_not_sent_is_told_by_the_next(simulator: Simulator, send: Any, fault: str, again: bool) -> None:
    notifier = WtsChatNotifier(to=PHONE, digest=300)
    simulator.inject(fault, on=SEND)
    send(notifier, failure("first"))
    before = len(simulator.sends)
    send(notifier, failure("second"))
    told = texts(simulator)[before:]
    if not again:  # it may have arrived, so the second is counted
        assert told == []
        return
    assert len(told) == 1
    assert told[0].startswith("Airflow: task load of Dag second failed in run r And 1 alerts since ")
    assert told[0].endswith("first (1)")


def test_of_many_who_fail_at_the_same_time_one_tells(tmp_path: Path) -> None:
    path = tmp_path / "x" / "alerts.db"
    with ThreadPoolExecutor(16) as threads:
        turns = list(threads.map(lambda number: Digest(60, path).take("person", f"dag{number % 2}"), range(64)))
    (turn,) = [turn for turn in turns if turn is not None]
    assert turn.counted == {}
    rest = Digest(0, path).take("person", None)
    assert rest is not None
    assert rest.alerts == 63
    assert sum(rest.counted.values()) == 63


def test_one_who_waited_for_the_file_does_not_tell_again(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "alerts.db", digest._digest

    def overtaken(person: str, salt: bytes) -> str:
        # Meanwhile another process tells, a moment later by the clock.
        monkeypatch.setattr(digest, "_digest", real)
        clock[0] += 1
        assert Digest(60, path).take("person", "d") is not None
        clock[0] -= 0.5
        return real(person, salt)

    monkeypatch.setattr(digest, "_digest", overtaken)
    assert Digest(60, path).take("person", "d") is None


def test_a_clock_that_was_set_back_silences_nobody(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "alerts.db"
    assert Digest(60, path).take("person", "d") is not None
    clock[0] -= 10_000
    assert Digest(60, path).take("person", "d") is not None


@both
def test_a_file_that_cannot_be_used_loses_no_alert(
    simulator: Simulator, send: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any, capfd: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "file"))
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        send(WtsChatNotifier(to=PHONE, digest=300), failure("a"))
    assert len(simulator.sends) == 2
    assert "cannot be used" in caplog.text + "".join(capfd.readouterr())


def test_the_file_knows_nobody(simulator: Simulator, tmp_path: Path) -> None:
    for number in range(3):
        WtsChatNotifier(to=[PHONE, OTHER], digest=300, text="Segredo")(failure(f"dag{number}"))
    path = tmp_path / "wtschat" / "alerts.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    for word in (b"8888", b"7777", b"Segredo", simulator.token.encode()):
        assert word not in content
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM told").fetchone() == (2,)


@pytest.mark.parametrize("wrong", ["soon", -1, "None"])
def test_a_refused_digest_is_logged(simulator: Simulator, wrong: Any, caplog: Any, capfd: Any) -> None:
    WtsChatNotifier(to=PHONE, digest=wrong)(failure("a"))
    assert "digest" in caplog.text + "".join(capfd.readouterr())
    assert not simulator.sends


def in_run(run_id: str, dag_id: str = "sales") -> dict[str, Any]:
    return {"ti": SimpleNamespace(dag_id=dag_id, task_id="load", run_id=run_id, map_index=-1, state="failed")}


@both
def test_one_alert_for_a_dag_run_and_person(simulator: Simulator, send: Any) -> None:
    notifier = WtsChatNotifier(to=[PHONE, OTHER], once_per_run=True)
    for _ in range(5):
        send(notifier, in_run("r1"))
    # The same person in three spellings, on three notifiers.
    for spelling in (SAME, "5511988887777", "011 98888-7777"):
        send(WtsChatNotifier(to=spelling, once_per_run=True), in_run("r1"))
    assert sorted(str(entry.recipient) for entry in simulator.sends) == ["+55|11988887777", "+55|21977776666"]
    send(notifier, in_run("r1", "stock"))
    send(notifier, in_run("r2"))
    assert len(simulator.sends) == 6
    assert any(text.endswith("UTC: sales (7)") for text in texts(simulator))


def test_what_was_not_sent_does_not_count_for_its_run(simulator: Simulator) -> None:
    notifier = WtsChatNotifier(to=PHONE, once_per_run=True)
    simulator.inject("400", on=SEND, times=1)
    notifier(in_run("r1"))
    assert not simulator.sends
    notifier(in_run("r1"))
    assert len(simulator.sends) == 1


@both
def test_nobody_is_told_in_quiet_hours_and_nothing_is_lost(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, send: Any
) -> None:
    night: list[bool] = [True]
    judged: list[str] = []

    def next_start(self: Any, phone: str, now: Any) -> Any:
        judged.append(phone)
        return now if night[0] else None

    monkeypatch.setattr(QuietHours, "next_start", next_start)
    notifier = WtsChatNotifier(to=PHONE, quiet_hours="22:00-07:00")
    for _ in range(3):
        send(notifier, failure("sales"))
    notifier.flush()
    assert (texts(simulator), judged[0]) == ([], "+5511988887777")
    night[0] = False
    notifier.flush()
    assert len(texts(simulator)) == 1
    assert texts(simulator)[0].endswith("UTC: sales (3)")
    send(notifier, failure("sales"))
    assert len(texts(simulator)) == 2


@pytest.mark.parametrize(
    "wrong", [{"quiet_hours": "late"}, {"quiet_days": ["DOMINGO"]}, {"once_per_run": "perhaps"}, {"to": None}]
)
def test_refused_quiet_hours_are_logged(simulator: Simulator, wrong: Any, caplog: Any, capfd: Any) -> None:
    session_id = simulator.world.create_session().id if "to" in wrong else None
    given = {"to": PHONE, "session_id": session_id, "quiet_hours": "22:00-07:00", **wrong}
    WtsChatNotifier(**given)(failure("a"))
    assert "was not sent" in caplog.text + "".join(capfd.readouterr())
    assert not simulator.sends


def test_a_file_of_an_earlier_version_is_used_on(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    Digest(60, path).take("somebody", "a")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE runs; PRAGMA user_version = 1")
    assert Digest(0, path).take("somebody", "a", run_id="r1") is not None
    assert Digest(0, path).take("somebody", "a", run_id="r1") is None
