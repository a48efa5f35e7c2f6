"""The token is told nowhere; phone numbers and texts are in no log at INFO or above."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api import sends, sessions
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks.wtschat import TokenAuth, WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections
from tests.conftest import AIRFLOW_2
from tests.live import LiveAirflow

TOKEN = "pn_q7JxW2vKfTz9LmR4"
REVOKED = "pn_revokedB8sYd3HnGc5"
CASE = {
    "phone": "5511912345678",
    "stranger": "5521987650099",
    "text": "Segue o laudo da consulta",
    "parameter": "Doroteia",
}
PERSONAL = ("912345678", "987650099", "laudo da consulta", "Doroteia")
FAILS = {
    "refused_argument",
    "refused_by_api",
    "revoked",
    "uncertain",
    "unknown_contact",
    "wait_times_out",
}
PREFIX = {"plain": "", "bearer": "Bearer "}
# Airflow 2.11 runs one task at a time on SQLite, so there the connections take turns.
DAGS = {"secrets_both": list(PREFIX)} if AIRFLOW_2 else {f"secrets_{name}": [name] for name in PREFIX}

_LEVEL = re.compile(r"\[(debug|info|warning|error|critical) *\]|\b(DEBUG|INFO|WARNING|ERROR|CRITICAL) - ")


@pytest.mark.airflow
def test_real_airflow_tells_no_token_and_logs_no_personal_data(tmp_path: Path):
    home = tmp_path / "airflow"
    home.mkdir()
    account = Simulator(sessions=30, seed=9, token=TOKEN, message_step_s=0.2)
    given: dict[str, Any] = {}
    with account:
        session = account.world.create_session(contact_id=account.world.create_contact(phone=CASE["phone"]).id)
        account.inject("502", on="GET /chat/v2/session")
        account.inject("lost_after", on="POST /chat/v1/session/{id}/note", times=None)
        case = CASE | {"session_id": session.id, "dags": DAGS}
        for name, prefix in PREFIX.items():
            connection = connections(account, tmp_path / "warehouse.db")["wtschat_default"]
            given[name] = connection | {"password": prefix + TOKEN}
            given[f"{name}_revoked"] = connection | {"password": prefix + REVOKED}
        airflow = LiveAirflow(
            home,
            [Path(__file__).parent / "dags" / "one_of_each.py"],
            given,
            AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
            WTSCHAT_TEST_CASE=json.dumps(case),
        )
        with airflow:
            runs = [airflow.wait_for_run(dag_id, "scheduled", 180) for dag_id in DAGS]
            for run in runs:
                assert {task for task, state in run["states"].items() if state != "success"} == FAILS, run["states"]
            stored = list(database(airflow))
    assert len(account.sends) == len(DAGS) * 3
    account.check()

    logs = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith("airflow.db")]
    assert sum(path.name.endswith(".log") for path in logs) > sum(len(run["states"]) for run in runs)
    told = [(str(path), path.read_text(errors="replace")) for path in logs] + stored
    assert any("debug" in text.lower() for _, text in told)
    assert [(where, line) for where, text in told for line in text.splitlines() if TOKEN in line] == []
    assert [(where, line) for where, text in told for line in text.splitlines() if REVOKED in line] == []
    loud = [(path.name, line) for path in logs if path.suffix == ".log" for line in from_info_on(path.read_text())]
    assert len(loud) > 100
    assert [(name, line) for name, line in loud if any(piece in line for piece in PERSONAL)] == []


def database(airflow: LiveAirflow) -> Iterator[tuple[str, str]]:
    """Everything in the metadata database, but for the connections themselves."""
    for table in airflow.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'connection'"):
        for row in airflow.query(f"SELECT * FROM {table['name']}"):
            yield (
                table["name"],
                " ".join(
                    value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in row.values()
                ),
            )


def from_info_on(text: str) -> Iterator[str]:
    """The lines of a log that are not at DEBUG; what follows a line without a level of its own belongs to it."""
    level = "info"
    for line in text.splitlines():
        if line.startswith("{"):
            level = str(json.loads(line).get("level", level))
        elif found := _LEVEL.search(line):
            level = (found[1] or found[2]).lower()
        if level != "debug":
            yield line


# The same things as values in a program: what a debugger, an error report or a print would show.


@pytest.fixture(params=list(PREFIX.values()), ids=list(PREFIX))
def simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """An account behind ``wtschat_default``, with the token as people paste it."""
    with Simulator(sessions=20, seed=9, token=TOKEN, limits=False, strict=True) as account:
        connection = json.loads(account.connection_json) | {"password": request.param + TOKEN}
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
        yield account


def test_reprs_tell_no_token(simulator: Simulator):
    hook = WtsChatHook()
    request = sessions.list_()
    hook.run(request.page(1))
    settings = hook.resolve()
    assert settings.token == TOKEN
    shown = [hook, settings, TokenAuth(TOKEN), hook.get_conn(), hook.budget, request, WtsChatAsyncHook(), vars(hook)]
    assert [text for text in map(repr, shown) if TOKEN in text] == []
    assert TOKEN not in str(settings)


@pytest.mark.parametrize("fault", ["400", "401", "403", "404", "html", "cut_json", "lost_after", "form_error"])
def test_exceptions_tell_no_token_and_no_personal_data(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, fault: str
):
    simulator.inject(fault, on="POST /chat/v1/send/text")
    with caplog.at_level(logging.DEBUG), pytest.raises(WtsChatError) as caught:
        WtsChatHook().run(sends.send_text(to=CASE["phone"], text=CASE["text"]))
    told = []
    error: BaseException | None = caught.value
    while error is not None:
        told += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert [text for text in told if TOKEN in text or any(piece in text for piece in PERSONAL)] == []
    assert caplog.records
    assert [record for record in caplog.records if TOKEN in f"{record.getMessage()} {record.exc_text}"] == []
