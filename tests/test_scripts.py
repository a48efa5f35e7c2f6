"""The commands that a newcomer types first."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from airflow_provider_wtschat.demo._airflow import fresh_home
from scripts import registry

ROOT = Path(__file__).parents[1]


def left_running(home: Path) -> list[str]:
    """Processes that work in the command's home."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if environment.get("AIRFLOW_HOME") == str(home):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def start(home: Path, module: str = "airflow_provider_wtschat.demo", *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, "--home", str(home), *options]
    # As in a terminal, where Ctrl-C reaches every process of the foreground group.
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_demo_loads_an_account_whatever_an_earlier_one_left(tmp_path: Path):
    home = tmp_path / "a directory with blanks"
    fresh_home(home)
    for name in ("airflow.db", "warehouse.sqlite"):
        (home / name).write_text("left behind")
    umask = os.umask(0o077)
    try:
        process = start(home)
        output, _ = process.communicate(timeout=300)
    finally:
        os.umask(umask)
    assert process.returncode == 0, output
    first, second = (int(rows.replace(",", "")) for rows in re.findall(r"sessions in the table +([\d,]+)", output))
    assert 5000 <= first < second
    with closing(sqlite3.connect(home / "warehouse.sqlite")) as database:
        counted = "SELECT count(*), count(DISTINCT id) FROM wtschat_sessions"
        assert database.execute(counted).fetchone() == (second, second)
        assert database.execute("SELECT count(*) FROM wtschat_contacts").fetchone() > (1000,)
    changed = [int(rows.replace(",", "")) for rows in re.findall(r"new or changed +([\d,]+)", output)]
    assert changed[0] == first
    assert 0 < changed[1] < 2000
    assert output.count(", of which 0 met the account's limit") == 2
    assert "copy the Dag into your Dags folder" in output
    assert left_running(home) == []


def test_demo_empties_no_directory_that_it_has_not_made(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    process = start(tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is not empty" in output
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_interrupted_demo_leaves_nothing_running(tmp_path: Path, number):
    process = start(tmp_path)
    try:
        for line in process.stdout:
            if "runs the Dag" in line:
                break
        log = tmp_path / "logs" / "first-load.log"
        wait_until(lambda: log.exists() and "load_contacts" in log.read_text())
        assert len(left_running(tmp_path)) == 1
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, output
    assert left_running(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ui_comes_up_with_every_example_and_goes_down_again(tmp_path: Path):
    examples = len(list((ROOT / "example_dags").glob("example_*.py")))
    process = start(tmp_path, "scripts.ui", "--port", "0")
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line.startswith("Ctrl-C ends it"):
                break
        (url,) = re.findall(rf"Airflow is up with {examples} example Dags: (http://127\.0\.0\.1:\d+)", "".join(seen))
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=10) as answer:
            assert json.load(answer)["scheduler"]["status"] == "healthy"
        assert len(left_running(tmp_path)) >= 4
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert left_running(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_clean_removes_all_that_is_ignored(tmp_path: Path):
    """Whatever git ignores is made by one of the commands."""
    project = tmp_path / "a directory with blanks"
    (project / "package").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", project)
    kept = {"Makefile", "docs", "dbt_wtschat", "package"}
    ignored = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line and not line.startswith("#")]
    assert len(ignored) > 10
    for pattern in ignored:
        name = pattern.rstrip("/").replace("[co]", "c").replace("*", "" if pattern.startswith(".") else "x")
        for folder in (project, project / "package") if name in ("__pycache__", "x.pyc") else (project,):
            (folder / name).mkdir(parents=True) if pattern.endswith("/") else (folder / name).touch()
    subprocess.run(["make", "clean"], cwd=project, check=True, capture_output=True)
    assert {str(path.relative_to(project)) for path in project.rglob("*")} == kept


def test_the_registry_is_told_of_everything():
    assert registry.PATH.read_text() == registry.text(), "run make registry"


def test_every_command_that_a_page_names_is_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.*")]
    named = {
        (path.name, word)
        for path in pages
        for words in re.findall(r"(?:`|run: )make ((?:[a-z]+ ?)+)", path.read_text())
        for word in words.split()
    }
    assert len(named) > 20
    assert {(page, word) for page, word in named if word not in targets} == set()
