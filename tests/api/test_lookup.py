"""Names in place of ids, against the simulated account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_wtschat.api import lookup
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import answers
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator
from tests.operators.account import Account


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(sessions=20, seed=7, limits=False, strict=True) as simulator:
        world = simulator.world
        for name in ("Duplo", "Duplo"):
            world.record(world.sequences, active=True, companyId=world.company_id, name=name, enabled=True)
        for number in range(30):
            world.record(world.sequences, active=True, companyId=world.company_id, name=f"S{number:02}", enabled=True)
        yield simulator


@pytest.fixture
def account(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    return Account(simulator)


class Names:
    """Performs look-ups, with either hook."""

    def __init__(self, perform: Callable[[Exchange[str]], str]) -> None:
        self._perform = perform

    def __getattr__(self, name: str) -> Callable[..., str]:
        return lambda *args, **kwargs: self._perform(getattr(lookup, name)(*args, **kwargs))


@pytest.fixture(params=["sync", "async"])
def names(request: pytest.FixtureRequest, account: Account) -> Names:
    answers.forget()
    if request.param == "sync":
        return Names(WtsChatHook().perform)
    return Names(lambda exchange: asyncio.run(WtsChatAsyncHook().perform(exchange)))


def channel(account: Account, name: str) -> Any:
    return next(row for row in account.world.channels if row["identity"]["displayName"] == name)


@pytest.mark.parametrize("spelling", ["Matriz", " Matriz ", "+55|1133330001", "(11) 3333-0001", "551133330001"])
def test_channel_by_name_or_number(account: Account, names: Names, spelling: str):
    assert names.channel(spelling) == channel(account, "Matriz").id
    assert names.channel_number(spelling) == "+551133330001"


def test_channel_without_a_number(account: Account, names: Names):
    assert names.channel("@exemplo") == channel(account, "@exemplo").id
    with pytest.raises(WtsChatArgumentError, match=r"^from_channel_name: the channel '@exemplo' has no number"):
        names.channel_number("@exemplo")


@pytest.mark.parametrize("name", ["Ana Souza", "ana@example.com"])
def test_agent_is_a_user(account: Account, names: Names, name: str):
    assert names.agent(name) == account.agent("Ana Souza") != account.named("/core/v1/agent", "Ana Souza")["id"]


def test_the_others(account: Account, names: Names):
    assert names.department("Vendas") == account.department("Vendas")
    assert names.template("boas_vindas") == account.template("boas_vindas")
    assert names.chatbot("Triagem") == account.bot("Triagem")
    assert names.sequence("Pós-venda") == account.sequence("Pós-venda")
    panel = names.panel("Vendas")
    assert panel == account.panel("Vendas")["id"]
    assert names.step("Lead", panel_id=panel) == account.step("Vendas", "Lead")
    assert names.panel_of_step(account.step("Vendas", "Fechado")) == panel


def test_each_list_is_read_once(account: Account, names: Names):
    known = {"department": "Geral", "agent": "Ana Souza", "chatbot": "Triagem", "sequence": "S01", "panel": "Vendas"}
    for look, name in {**known, "channel": "Filial", "template": "boas_vindas"}.items():
        before = account.requests
        assert getattr(names, look)(name) == getattr(names, look)(name)
        assert account.requests == before + 1


@pytest.mark.parametrize(
    ("look", "name", "said"),
    [
        ("department", "vendas", r"^department_name: nothing is named exactly 'vendas'; there are .*'Vendas'"),
        ("agent", "Ana", r"^user_name: .*'Ana Souza'"),
        ("template", "boas", r"^template_name: .*'boas_vindas'"),
        ("sequence", "S99", r"'Duplo', .*'S16' and 14 more$"),
        ("sequence", "Duplo", r"^sequence_name: 2 have the name 'Duplo'; give the id of one of them: [0-9a-f-]{36}, "),
        ("panel", "None", r"^panel_name: .*template"),
        ("chatbot", " ", r"^bot_name: "),
        ("panel_of_step", "0b1c2d3e-0000-4000-8000-000000000001", r"^step_id: no panel"),
    ],
)
def test_an_unknown_or_ambiguous_name_lists_the_candidates(names: Names, look: str, name: str, said: str):
    with pytest.raises(WtsChatArgumentError, match=said):
        getattr(names, look)(name)


def test_the_error_names_the_argument(names: Names):
    with pytest.raises(WtsChatArgumentError, match=r"^responsible_user_name: "):
        names.agent("Zé", argument="responsible_user_name")
