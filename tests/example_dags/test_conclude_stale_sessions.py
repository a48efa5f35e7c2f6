from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import DAY, HOUR

pytestmark = pytest.mark.airflow

NAME = "conclude_stale_sessions"
CONCLUDE = "PUT /chat/v1/session/{id}/complete"


@pytest.fixture
def account(simulate) -> Simulator:
    """An account without open sessions, but for those that `stale` and `others` open."""
    return simulate(sessions=40, statuses={"COMPLETED": 1.0})


def stale(account: Simulator, number: int, idle_days: int = 8) -> set[str]:
    at = account.world.now() - idle_days * DAY
    statuses = ("PENDING", "IN_PROGRESS")
    return {account.world.create_session(status=statuses[i % 2], at=at - i * HOUR).id for i in range(number)}


def others(account: Simulator) -> None:
    """What must stay: touched lately, however old; and statuses in which nobody waits."""
    world = account.world
    long_ago = world.now() - 30 * DAY
    recent = world.create_session(status="PENDING", at=long_ago)
    world.add_inbound_message(recent.id)
    world.create_session(status="IN_PROGRESS", at=world.now() - 6 * DAY)
    for status in ("STARTED", "HIDDEN"):
        world.create_session(status=status, at=long_ago)


def concluded(account: Simulator) -> list[str]:
    """What was concluded, as often as it was."""
    return [session_id for write in account.books if write.operation == CONCLUDE for session_id in write.ids]


def test_each_stale_session_is_concluded_by_a_task_of_its_own(account, run_example):
    wanted = stale(account, 12)
    others(account)
    run = run_example(NAME)
    assert run.state == "success"
    assert run.states["conclude_each"] == ["success"] * 12
    assert run.xcom("conclude_all") == {"concluded": 0, "refused": 0}
    assert sorted(concluded(account)) == sorted(wanted)
    assert all(write.body["reactivateOnNewMessage"] for write in account.books)


def test_any_number_is_concluded_in_one_task(account, run_example):
    def cut(dag: Any) -> None:
        """Cut the list as Airflow's limit does, but after a few instead of a thousand."""
        dag.task_dict["list_stale"].page_size = 2
        dag.task_dict["list_stale"].max_pages = 2

    wanted = stale(account, 230)
    others(account)
    run = run_example(NAME, change=cut)
    assert run.state == "success"
    each = len(run.xcom("list_stale"))
    assert 2 <= each <= 4
    assert run.xcom("list_stale", key="truncated")
    assert run.states["conclude_each"] == ["success"] * each
    assert run.xcom("conclude_all") == {"concluded": 230 - each, "refused": 0}
    assert sorted(concluded(account)) == sorted(wanted)


def test_nothing_stale_concludes_nothing(account, run_example):
    others(account)
    run = run_example(NAME)
    assert run.state == "success", run.states
    assert concluded(account) == []


def test_idle_days_can_be_given(account, run_example):
    stale(account, 3, idle_days=8)
    wanted = stale(account, 3, idle_days=20)
    assert run_example(NAME, conf={"idle_days": 14}).state == "success"
    assert sorted(concluded(account)) == sorted(wanted)
