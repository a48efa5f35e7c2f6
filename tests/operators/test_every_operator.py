"""Every operator in a real Dag against the simulated account, once plain and once mapped."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest

import airflow_provider_wtschat.operators
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator
from tests.operators.account import Account
from tests.operators.cases import CASES
from tests.operators.conftest import new_dag

pytestmark = pytest.mark.airflow


def operators() -> set[type]:
    """Return every operator that a Dag can use."""
    package = airflow_provider_wtschat.operators
    modules = [import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)]
    return {
        value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, WtsChatBaseOperator)
        and value.__module__ == module.__name__
        and (name == "WtsChatOperator" or not name.startswith("WtsChat"))
    }


def test_every_operator_has_a_case():
    assert {case.operator for case in CASES} == operators()


@pytest.fixture(scope="module")
def ran() -> dict[str, Any]:
    """What the one run of all cases came to."""
    return {}


def test_all_in_one_dag(run_dag, account: Account, ran: dict[str, Any], capfd: pytest.CaptureFixture[str], caplog: Any):
    given = {case.id: [case.arguments(account) for _ in range(3)] for case in CASES}
    with new_dag() as dag:
        for case in CASES:
            plain, *mapped = given[case.id]
            case.operator(task_id=case.id, **plain)
            case.operator.partial(task_id=f"{case.id}_mapped").expand_kwargs(mapped)
    run = run_dag(dag)
    ran.update(account=account, given=given, run=run)
    assert run.errors == []
    assert run.state == "success"
    said = "".join(capfd.readouterr()) + caplog.text
    assert "GetSessionOperator" in said
    assert account.simulator.token not in said
    phones = [contact.phone for contact in account.world.contacts if contact.phone]
    assert [phone for phone in phones if phone in said or "".join(filter(str.isdigit, phone)) in said] == []
    assert [send.text for send in account.simulator.sends if send.text and f"'{send.text}'" in said] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("mapped", [False, True], ids=["plain", "mapped"])
def test_xcom_is_what_the_account_holds(ran: dict[str, Any], case: Any, mapped: bool):
    if not ran:
        pytest.skip("needs test_all_in_one_dag")
    given = ran["given"][case.id]
    if not mapped:
        case.check(ran["account"], given[0], ran["run"].xcom(case.id))
        return
    for map_index, arguments in enumerate(given[1:]):
        case.check(ran["account"], arguments, ran["run"].xcom(f"{case.id}_mapped", map_index=map_index))
