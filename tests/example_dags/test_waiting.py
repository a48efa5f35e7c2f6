"""The example Dags that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed
from tests.conftest import FinishedRun
from tests.waiting import QUICK

pytestmark = pytest.mark.airflow


def test_wait_for_sessions(
    simulate: Callable[..., Simulator], run_example: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PACE", QUICK)
    simulator = simulate(sessions=100)
    for _ in range(2):  # late in the evening the account may have none of its own
        simulator.world.create_session(status="PENDING", type="INDIVIDUAL", window="ACTIVE")

    def hurry(dag: Any) -> None:
        dag.get_task("ask").partial_kwargs["poll_interval"] = 0.1

    run = run_example("wait_for_sessions", change=hurry, conf={"sessions": 2})
    assert run.state == "success", run.errors
    chosen = run.xcom("choose")
    assert len(chosen) == 2
    # Mapped tasks run in any order.
    assert sorted(send.session_id for send in simulator.sends) == sorted(chosen)
    assert {simulator.world.sessions.get(each).status for each in chosen} == {"COMPLETED"}
    assert {run.xcom("ask", map_index=index)["status"] for index in range(2)} <= {"DELIVERED", "READ"}
    assert [run.xcom("wait", map_index=index)["id"] for index in range(2)] == chosen
    assert sum(run.xcom("count").values()) == 2


def test_session_events_read_what_no_run_has_read(
    simulate: Callable[..., Simulator], run_example: Callable[..., FinishedRun]
) -> None:
    simulator = simulate(sessions=20)
    assert run_example("session_events").state == "success"
    concluded = [simulator.world.create_session(status="PENDING", type="INDIVIDUAL").id for _ in range(2)]
    for session_id in concluded:
        simulator.world.conclude_session(session_id)
    run = run_example("session_events")
    assert run.state == "success", run.errors
    assert [row["id"] for row in run.xcom("read")] == concluded
    assert sum(run.xcom("count").values()) == 2


@pytest.mark.parametrize(("answer", "status"), [("Pode sim!", "COMPLETED"), ("2", "IN_PROGRESS")])
def test_ask_contact(
    simulate: Callable[..., Simulator],
    run_example: Callable[..., FinishedRun],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: str,
) -> None:
    monkeypatch.setattr(feed, "PACE", QUICK)
    simulator = simulate(sessions=40)
    one = simulator.world.create_session(status="IN_PROGRESS", type="INDIVIDUAL").id
    simulator.world.add_inbound_message(one)

    def reply() -> None:
        for _ in range(2000):
            if simulator.sends:
                break
            time.sleep(0.02)
        simulator.world.add_inbound_message(str(simulator.sends[0].session_id), answer)

    thread = threading.Thread(target=reply)
    thread.start()
    run = run_example("ask_contact", change=lambda dag: setattr(dag.get_task("ask"), "poll_interval", 0.1))
    thread.join()
    assert run.state == "success", run.errors
    assert run.states["conclude" if status == "COMPLETED" else "leave_open"] == "success"
    assert simulator.world.sessions.get(run.xcom("choose")).status == status
    assert len(simulator.sends) == 1
