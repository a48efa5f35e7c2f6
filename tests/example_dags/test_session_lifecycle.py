from __future__ import annotations

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import DAY, HOUR

pytestmark = pytest.mark.airflow

NAME = "session_lifecycle"


@pytest.fixture
def account(simulate) -> Simulator:
    return simulate(sessions=40, statuses={"COMPLETED": 1.0})


def test_newest_open_session_goes_through_its_life(account, run_example):
    world = account.world
    official = next(channel.id for channel in world.channels if channel["_official"])
    now = world.now()
    world.create_session(channel_id=official, at=now - DAY // 2)
    session = world.create_session(channel_id=official, at=now - 2 * HOUR)
    for status, window in (("PENDING", "EXPIRED"), ("STARTED", "ACTIVE")):
        world.create_session(status=status, window=window, channel_id=official, at=now - HOUR)

    run = run_example(NAME)
    assert run.state == "success", run.states
    assert set(run.states.values()) == {"success"}
    assert run.xcom("choose") == session.id

    assert [(write.operation, list(write.ids)[:1]) for write in account.books] == [
        ("PUT /chat/v2/session/{id}/partial", [session.id]),
        ("PUT /chat/v1/session/{id}/transfer", [session.id]),
        ("POST /chat/v1/session/{id}/message", [account.sends[0].message_id]),
        ("PUT /chat/v1/session/{id}/complete", [session.id]),
    ]
    (sent,) = account.sends
    assert (sent.session_id, sent.text) == (session.id, "We are looking into it.")
    after = world.sessions.get(session.id)
    assert after.status == "COMPLETED"
    assert after.reactivate
    assert after.metadata == {"handled_by": run.dag_run.dag_id, "run": run.dag_run.run_id}
    assert world.departments.get(after.department_id)["name"] == "Geral"


def test_session_and_department_can_be_given(account, run_example):
    world = account.world
    world.create_session(at=world.now() - HOUR)
    session = world.create_session()
    run = run_example(NAME, conf={"session_id": session.id, "department_name": "Vendas"})
    assert run.state == "success", run.states
    after = world.sessions.get(session.id)
    assert after.status == "COMPLETED"
    assert world.departments.get(after.department_id)["name"] == "Vendas"
    assert [send.session_id for send in account.sends] == [session.id]
