"""The example Dags that dispatch and alert, each as it stands, against the simulated account."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from airflow_provider_wtschat.campaigns import dispatch, following
from tests.conftest import load_dag
from tests.example_dags.conftest import EXAMPLES

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look at messages sooner than after a minute."""
    monkeypatch.setattr(dispatch, "LOOKS", (timedelta(seconds=0.2), timedelta(seconds=0.6)))
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)


def test_a_campaign_is_sent_once_and_followed(simulate, warehouse, run_example):
    simulator = simulate(sessions=20)
    simulator.world.failing_recipients.add("+55|11900003002")
    rehearsal = run_example("campaign", conf={"dry_run": True})
    assert (rehearsal.state, rehearsal.xcom("dispatch")["recipients"]) == ("success", 3)
    assert not simulator.sends
    for _ in range(2):
        run = run_example("campaign")
        assert run.errors == []
        assert run.xcom("report") == ["2"]
    result = run.xcom("dispatch")
    assert (result["sent"], result["delivery"]["FAILED"]) == (3, 1)
    assert sorted(send.parameters["nome"] for send in simulator.sends) == ["Ana", "Beto", "Carla"]


def test_reminders_go_out_in_their_morning_only(simulate, warehouse, run_example, monkeypatch):
    simulator = simulate(sessions=20)
    today = pendulum.now("America/Sao_Paulo").start_of("day")
    with closing(sqlite3.connect(warehouse.path)) as database:
        database.execute("CREATE TABLE invoices (number INT, phone TEXT, name TEXT, amount TEXT, paid INT, due_on)")
        rows = [(1, "11900004001", "Ana", "R$ 1", 0), (2, "11 90000-4001", "Ana", "R$ 2", 0),
                (3, "11900004002", "Beto", "R$ 3", 1), (4, "no phone", "Caio", "R$ 4", 0)]  # fmt: skip
        for day in (today, today.subtract(days=30)):
            database.executemany(f"INSERT INTO invoices VALUES (?, ?, ?, ?, ?, '{day.to_date_string()}')", rows)
        database.commit()

    def loosen(dag):
        # One of four cannot be reached, and noon may be over wherever this runs.
        task = dag.get_task("remind")
        task.max_failed = 3
        dag.get_task("in_time").python_callable = lambda: True
        if day == today:
            task.send_before = "2999-01-01"

    long_ago = today.subtract(days=30)
    late = run_example(
        "payment_reminders", run_type="backfill", interval=(long_ago.add(hours=-15), long_ago.add(hours=9))
    )
    assert (late.state, late.states["remind"]) == ("success", "skipped")
    assert simulator.sends == []

    for day, state in ((today.subtract(days=30), "failed"), (today, "success")):
        interval = (day.subtract(days=1).add(hours=9), day.add(hours=9))
        run = run_example("payment_reminders", run_type="backfill", interval=interval, change=loosen)
        assert run.state == state, run.errors
        if state == "failed":
            assert "send_before" in str(run.error("remind"))
    reminders = [send for send in simulator.sends if send.parameters and "nome" in send.parameters]
    assert [send.recipient for send in reminders] == ["+55|11900004001"]
    alerts = [send.text for send in simulator.sends if str(send.text).startswith("Alerta")]
    assert len(alerts) == 1
    assert "task remind of Dag example_wtschat_payment_reminders failed" in str(alerts[0])


@pytest.mark.parametrize(
    ("interval", "day"),
    [
        ({}, "2026-11-21"),
        ({"data_interval_end": None}, "2026-11-21"),
        ({"data_interval_end": pendulum.datetime(2026, 11, 20, 12)}, "2026-11-20"),
    ],
)
def test_reminders_by_hand_are_those_of_the_day(interval: dict[str, Any], day: str):
    # A run by hand in the morning goes as far as this; one of a later hour is skipped before.
    dag = load_dag(EXAMPLES / "example_wtschat_payment_reminders.py")
    campaign = dag.get_template_env().from_string(dag.get_task("remind").campaign)
    by_hand = SimpleNamespace(run_after=pendulum.datetime(2026, 11, 22, 2, 30))
    assert campaign.render(dag_run=by_hand, **interval) == f"payment reminders of {day}"


def test_who_asks_is_left_alone(simulate, warehouse, run_example):
    simulator = simulate(sessions=20)
    contact = simulator.world.create_contact(phone="+55|11900003001")
    with closing(sqlite3.connect(warehouse.path)) as database:
        database.execute("CREATE TABLE replies (phone TEXT, text TEXT)")
        database.executemany(
            "INSERT INTO replies VALUES (?, ?)", [("+55|11900003001", "Sair!"), ("11900003002", "não quero sair")]
        )
        database.commit()
    assert run_example("opt_out").xcom("opt_out") == {"replies": 2, "opt_outs": 1, "new": 1}
    tag = next(tag for tag in simulator.world.tags if tag["name"] == "VIP")
    assert tag.id in simulator.world.contacts.get(contact.id).tag_ids
    result = run_example("campaign", conf={"follow_up_for": 1}).xcom("dispatch")
    assert (result["sent"], result["suppressed"]) == (2, 1)
    assert "+55|11900003001" not in [send.recipient for send in simulator.sends]


def test_a_failure_is_told(simulate, run_example):
    simulator = simulate(sessions=20)
    assert run_example("failure_alert").state == "failed"
    (send,) = simulator.sends
    assert send.recipient == "+55|11900009001"
    assert "task load of Dag example_wtschat_failure_alert failed (try 1 of 1)" in str(send.text)
    assert "FileNotFoundError: the file of today has not arrived" in str(send.text)
    assert run_example("failure_alert", conf={"fails": False}).state == "success"
    assert len(simulator.sends) == 1
