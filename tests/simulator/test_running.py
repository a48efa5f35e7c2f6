"""The command line, the process of its own, the fixture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from airflow_provider_wtschat.simulator import ContractBroken, Options, Simulator, SpawnedSimulator
from airflow_provider_wtschat.simulator.__main__ import parser

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "airflow_provider_wtschat.simulator"]


@pytest.fixture(scope="module")
def spawned() -> Iterator[SpawnedSimulator]:
    with Simulator.spawn(sessions=30, limits=False, message_step_s=0.05, statuses={"PENDING": 1.0}) as sim:
        yield sim


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_command_says_where_it_is_and_ends_on_a_signal(name: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--sessions", "20", "--limits", "off", "--seed", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["url"].startswith("http://127.0.0.1:")
    headers = {"Authorization": ready["token"]}
    page = requests.get(f"{ready['url']}/chat/v2/session", headers=headers, timeout=10).json()
    assert page["totalItems"] == 20
    process.send_signal(getattr(signal, name))
    _, readable = process.communicate(timeout=15)
    assert process.returncode == 0
    assert ready["url"] in readable
    assert "Traceback" not in readable


def test_the_command_fails_in_strict_mode_if_the_contract_was_broken() -> None:
    process = subprocess.Popen(
        [*COMMAND, "--sessions", "5", "--strict"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    requests.get(f"{ready['url']}/v2/session", timeout=10)
    process.terminate()
    _, readable = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "Breach of the contract: GET /v2/session" in readable


def test_every_option_is_on_the_command_line() -> None:
    line = (
        "--sessions 9 --statuses PENDING=1,STARTED=2 --scopes chat,crm --faults all=0.05 --no-scheduled-messages "
        '--limits {"burst":[20,0.5]} --bounds exclusive --tie-order arbitrary --latency-ms 50 --strict'
    )
    given = parser().parse_args(line.split())
    assert (given.sessions, given.statuses, given.scopes) == (9, {"PENDING": 1.0, "STARTED": 2.0}, ("chat", "crm"))
    assert (given.limits, given.scheduled_messages, given.strict) == ({"burst": [20, 0.5]}, False, True)
    assert (given.bounds, given.tie_order, given.latency_ms) == ("exclusive", "arbitrary", 50.0)
    defaults = vars(parser().parse_args([]))
    options = {name: value for name, value in defaults.items() if name not in ("port", "options", "exit_with_parent")}
    assert Options(**options) == Options()


@pytest.mark.parametrize("line", ["--bounds both", "--sessions many", "--faults 502"])
def test_a_wrong_command_line(line: str) -> None:
    done = subprocess.run([*COMMAND, *line.split()], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode != 0


def test_options_survive_json() -> None:
    options = Options(sessions=3, limits={"burst": (2, 1.0)}, scopes=("chat",), statuses={"PENDING": 1.0})
    again = Options.from_json(options.to_json())
    assert again.to_json() == options.to_json()
    assert again.scopes == ("chat",)


@pytest.mark.parametrize("wrong", [{"bounds": "both"}, {"now": "yesterday"}, {"sesions": 3}, {"limits": {"brust": 1}}])
def test_wrong_options(wrong: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Simulator(**wrong)


def test_a_spawned_simulator_is_steered_from_here(spawned: SpawnedSimulator) -> None:
    http = requests.Session()
    http.headers["Authorization"] = spawned.token
    session = spawned.call("create_session", status="PENDING")
    spawned.inject("503", on="PUT /chat/v1/session/{id}/complete")
    url = f"{spawned.url}/chat/v1/session/{session['id']}/complete"
    assert [http.put(url, json={}, timeout=10).status_code for _ in range(2)] == [503, 200]
    assert [entry["status"] for entry in spawned.requests] == [503, 200]
    assert [(write["operation"], write["ids"]) for write in spawned.books] == [
        ("PUT /chat/v1/session/{id}/complete", [session["id"]])
    ]
    message = spawned.call("add_inbound_message", session_id=session["id"], text="Hello")
    assert message["text"] == "Hello"
    assert len(spawned.call("truth", table="sessions")) == 32
    spawned.call("delete_session", session_id=session["id"])
    assert spawned.summary["sessions"] == 31
    before = spawned.summary["now"]
    spawned.call("advance", seconds=3600)
    assert spawned.summary["now"] - before >= 3_600_000_000
    with pytest.raises(ValueError, match="unknown call"):
        spawned.call("explode")
    with pytest.raises(ValueError, match="there is no session"):
        spawned.call("conclude_session", session_id="x")
    http.get(f"{spawned.url}/chat/v2/session", params={"contactId": "x"}, timeout=10)
    with pytest.raises(ContractBroken):
        spawned.check()
    spawned.call("clear_books")
    assert spawned.requests == spawned.books == spawned.sends == spawned.violations == []


def test_a_spawned_simulator_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import os, airflow_provider_wtschat.simulator as s\n"
        "sim = s.Simulator.spawn(sessions=5)\n"
        "print(sim.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    pid = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or b"Z" in Path(f"/proc/{pid}/stat").read_bytes().split()[2:3]:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the simulator outlived its parent")


@pytest.mark.parametrize("name", ["connection_json", "connection_uri"])
def test_a_connection_for_airflow(spawned: SpawnedSimulator, name: str) -> None:
    from airflow.models.connection import Connection

    text = getattr(spawned, name)
    connection = Connection.from_json(text) if text.startswith("{") else Connection(uri=text)
    assert (connection.conn_type, connection.password) == ("wtschat", spawned.token)
    if name == "connection_json":
        assert connection.host == spawned.url
    else:
        assert f"{connection.schema}://{connection.host}:{connection.port}" == spawned.url


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_provider_wtschat.simulator.pytest_plugin"]\n')
    (tmp_path / "test_own.py").write_text(
        """
import json, os, pytest, requests

def ask(**query):
    connection = json.loads(os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"])
    headers = {"Authorization": "Bearer " + connection["password"]}
    return requests.get(connection["host"] + "/chat/v2/session", params=query, headers=headers, timeout=10).json()

def test_default(wtschat_simulator):
    assert ask()["totalItems"] == 50
    assert len(wtschat_simulator.requests) == 1

@pytest.mark.wtschat_simulator(sessions=7)
def test_marked(wtschat_simulator):
    assert ask()["totalItems"] == 7

def test_strict(wtschat_simulator):
    ask(contactId="x")

def test_an_account_of_its_own(wtschat_simulator):
    assert os.environ["AIRFLOW__WTSCHAT__BUDGET"] == "process"
    accounts.add(json.loads(os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"])["extra"]["account"])

def test_and_another(wtschat_simulator):
    test_an_account_of_its_own(wtschat_simulator)
    assert len(accounts) == 2

accounts = set()

def test_alone():
    assert "AIRFLOW_CONN_WTSCHAT_DEFAULT" not in os.environ
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("AIRFLOW_CONN_WTSCHAT_DEFAULT", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
    )
    assert "5 passed" in done.stdout or "6 passed, 1 error" in done.stdout, done.stdout
    assert "contactId is unknown" in done.stdout
