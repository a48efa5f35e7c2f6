"""Every operator in a real Dag against the simulated account, once plain and once mapped."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.operators.approval import WhatsAppApprovalOperator
from airflow_provider_wtschat.simulator import Simulator
from tests.conftest import FinishedRun, finish
from tests.operators.account import Account
from tests.operators.cases import CASES, operators
from tests.operators.conftest import connect, new_dag

pytestmark = pytest.mark.airflow


# An approval needs Airflow's UI and its triggerer: test_approval.py.
def test_every_operator_has_a_case():
    assert {case.operator for case in CASES} == operators() - {WhatsAppApprovalOperator}


@dataclass
class Ran:
    """What the one run of all cases came to."""

    account: Account
    given: dict[str, Any]
    run: FinishedRun
    said: str


@pytest.fixture(scope="module")
def ran(shared_simulator: Simulator, airflow_db: Path) -> Ran:
    """Run a Dag with two tasks for each case, one of them mapped, wherever the first case that needs it is run."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(log), redirect_stderr(log):
        account = connect(shared_simulator, patch)
        given = {case.id: [case.arguments(account) for _ in range(3)] for case in CASES}
        with new_dag() as dag:
            for case in CASES:
                plain, *mapped = given[case.id]
                case.operator(task_id=case.id, **plain)
                case.operator.partial(task_id=f"{case.id}_mapped").expand_kwargs(mapped)
        run = finish(dag)
    logging.getLogger().removeHandler(handler)
    return Ran(account, given, run, log.getvalue())


def test_all_in_one_dag(ran: Ran):
    assert ran.run.errors == []
    assert ran.run.state == "success"


def test_the_log_tells_neither_token_nor_person(ran: Ran):
    account = ran.account
    assert "GetSessionOperator" in ran.said
    assert account.simulator.token not in ran.said
    phones = [contact.phone for contact in account.world.contacts if contact.phone]
    assert [phone for phone in phones if phone in ran.said or "".join(filter(str.isdigit, phone)) in ran.said] == []
    assert [send.text for send in account.simulator.sends if send.text and f"'{send.text}'" in ran.said] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("mapped", [False, True], ids=["plain", "mapped"])
def test_xcom_is_what_the_account_holds(ran: Ran, case: Any, mapped: bool):
    given = ran.given[case.id]
    if not mapped:
        case.check(ran.account, given[0], ran.run.xcom(case.id))
        return
    for map_index, arguments in enumerate(given[1:]):
        case.check(ran.account, arguments, ran.run.xcom(f"{case.id}_mapped", map_index=map_index))
