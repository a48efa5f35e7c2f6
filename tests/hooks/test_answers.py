"""Answers that are kept for the look-ups of names: by many processes, for one token, for a while."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api import lookup
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatServerError
from airflow_provider_wtschat.hooks import answers
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator
from tests.live import LiveAirflow

AGENT = "Ana Souza"
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(sessions=20, seed=7, limits=False, strict=True) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", str(tmp_path / "wtschat"))
        yield simulator


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "wtschat" / f"lookups-{os.geteuid()}"


def find(name: str = AGENT) -> str:
    return WtsChatHook(max_retries=0).perform(lookup.agent(name))


def find_anew(name: str = AGENT) -> str:
    """Look up as a task that has just begun does: with nothing in memory."""
    answers.forget()
    return find(name)


def lists(simulator: Simulator) -> int:
    return sum(request.path == "/core/v1/agent" for request in simulator.requests)


def test_processes_that_look_up_at_once_ask_once(simulator: Simulator) -> None:
    names = [row["name"] for row in simulator.world.agents]
    children = [FORK.Process(target=find_anew, args=(names[i % len(names)],)) for i in range(12)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 12
    assert lists(simulator) == 1


def test_files_are_for_this_user_alone(simulator: Simulator, directory: Path) -> None:
    find_anew()
    (file,) = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert simulator.token not in file.name + file.read_text()


def test_another_token_sees_nothing_of_it(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    find_anew()
    connection = json.loads(simulator.connection_json) | {"password": "pn_another", "extra": {"account": "same"}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    before = len(simulator.requests)
    with pytest.raises(Exception, match="not authorized"):
        find()
    assert len(simulator.requests) == before + 1


def test_each_run_of_a_dag_looks_again(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("first", "first", "second"):
        monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", run)
        find_anew()
    assert lists(simulator) == 2


def test_a_name_that_is_new_is_found_and_one_that_is_unknown_is_asked_for_once_more(simulator: Simulator) -> None:
    find_anew()
    world = simulator.world
    agent = world.change(world.agents, next(iter(world.agents)), name="Nova Pessoa")
    assert find("Nova Pessoa") == agent["userId"]
    assert lists(simulator) == 2
    assert find_anew("Nova Pessoa")
    assert lists(simulator) == 2
    with pytest.raises(WtsChatArgumentError, match="Nova Pessoa"):
        find_anew("Ninguém")
    assert lists(simulator) == 3


@pytest.mark.parametrize("shift", [lookup.MAX_AGE + 1, -60])
def test_an_old_answer_and_one_of_the_future_are_not_taken(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    find_anew()
    now = time.time
    monkeypatch.setattr(answers.time, "time", lambda: now() + shift)
    find()
    assert lists(simulator) == 2
    find_anew()
    assert lists(simulator) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"asked": null}', b'{"asked": 1e30, "answer": []}', b"\xff"])
def test_a_file_that_says_nothing_is_written_anew(simulator: Simulator, directory: Path, content: bytes) -> None:
    find_anew()
    (file,) = directory.iterdir()
    file.write_bytes(content)
    assert find_anew()
    assert lists(simulator) == 2
    assert find_anew()
    assert lists(simulator) == 2


def test_without_a_directory_memory_has_to_do(
    simulator: Simulator, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.parent.mkdir()
    directory.write_text("not a directory")
    find_anew()
    find()
    assert lists(simulator) == 1
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
    find_anew()
    find()
    assert lists(simulator) == 2


def test_a_file_that_is_a_link_is_left_alone(simulator: Simulator, directory: Path, tmp_path: Path) -> None:
    find_anew()
    (file,) = directory.iterdir()
    elsewhere = file.rename(tmp_path / "elsewhere")
    before = elsewhere.read_bytes()
    file.symlink_to(elsewhere)
    find_anew()
    assert lists(simulator) == 2
    assert elsewhere.read_bytes() == before


def test_an_error_is_not_kept(simulator: Simulator) -> None:
    simulator.inject("502")
    with pytest.raises(WtsChatServerError):
        find_anew()
    assert find_anew()


def test_a_process_that_is_killed_while_it_asks_holds_nobody_up(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST_WAIT", 3600.0)
    simulator.inject("slow", delay_s=3600)
    asking, waiting = (FORK.Process(target=find_anew) for _ in range(2))
    asking.start()
    while not lists(simulator):
        time.sleep(0.02)
    waiting.start()
    threading.Timer(0.5, os.kill, (asking.pid, signal.SIGKILL)).start()
    asking.join(60)
    waiting.join(60)
    assert waiting.exitcode == 0
    assert lists(simulator) == 2


def test_a_process_that_asks_for_long_is_not_waited_for(
    simulator: Simulator, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST_WAIT", 0.2)
    hook = WtsChatHook()
    request: Any = next(lookup.agent(AGENT))
    answers.forget()
    other = answers.KeptAnswer(hook.resolve(), request)
    assert find_anew()
    other.close()
    assert lists(simulator) == 1


def test_what_is_kept_is_bounded(simulator: Simulator, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_FILES", 5)
    monkeypatch.setattr(answers, "MOST_IN_MEMORY", 3)
    for number in range(9):
        monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", str(number))
        find_anew() if number < 4 else find()
    assert len(answers._memory) == 3
    assert len(list(directory.iterdir())) <= 6
    for file in directory.iterdir():
        os.utime(file, (0, 0))
    find_anew()
    assert len(list(directory.iterdir())) == 1
    monkeypatch.setattr(answers, "LARGEST", 10)
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "large")
    find_anew()
    find_anew()
    assert lists(simulator) == 9 + 1 + 2


DAG = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_wtschat.operators.session import AssignSessionOperator, ListSessionsOperator

with DAG("assign", schedule=None):
    rows = ListSessionsOperator(task_id="rows", status=["PENDING"], fields=["id"], max_rows=500)
    AssignSessionOperator.partial(task_id="assign", user_name="Ana Souza").expand(
        session_id=rows.output.map(lambda row: row["id"])
    )
"""


@pytest.mark.soak
@pytest.mark.airflow
def test_twelve_mapped_tasks_of_a_real_run_read_the_agents_once(tmp_path: Path) -> None:
    file = tmp_path / "assign.py"
    file.write_text(DAG)
    home = tmp_path / "airflow"
    home.mkdir()
    with Simulator(sessions=0, seed=7, strict=True) as account:
        for _ in range(12):
            account.world.create_session(status="PENDING")
        airflow = LiveAirflow(
            home, [file], {"wtschat_default": json.loads(account.connection_json)}, AIRFLOW__CORE__PARALLELISM="4"
        )
        with airflow:
            airflow.cli("dags", "trigger", "assign")
            run = airflow.wait_for_run("assign", "manual", seconds=300)
        assert run["state"] == "success", run["states"]
        assert sum("/assignee" in request.path for request in account.requests) == 12
        assert lists(account) == 1
