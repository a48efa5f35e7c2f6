"""The tutorials, command by command, in an environment that has nothing but what they install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.local import free_port
from scripts.releases import NEWEST

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"


class Reader:
    """Somebody who does what a tutorial says, in a directory of their own.

    :param home: the directory.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "PATH": f"{home / 'venv' / 'bin'}:/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "airflow" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, home / "venv"], check=True)

    def install(self, command: str) -> None:
        """Install what a tutorial says, from the working copy."""
        (extras,) = re.fullmatch(r"pip install 'airflow-provider-wtschat(\[.+\])'", command).groups()
        pins = ["--constraint", str(NEWEST.pins)]
        python = ["--python", str(self.home / "venv" / "bin" / "python")]
        subprocess.run([UV, "pip", "install", "--quiet", *python, *pins, f"{ROOT}{extras}"], check=True)

    def save_dag(self, name: str, code: str) -> None:
        """Save a Dag where a tutorial says."""
        folder = self.home / "airflow" / "dags"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(code)

    def run(self, command: str) -> str:
        """Run a command of a tutorial, and return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(page: str) -> Iterator[str]:
    for block in blocks(page, "console"):
        yield from block.splitlines()


def test_a_first_load(reader: Reader):
    install, demo = commands("tutorial-first-load.md")
    reader.install(install)
    printed = reader.run(demo)
    for line in blocks("tutorial-first-load.md", "text")[0].splitlines():
        line = line.strip().rstrip("0123456789,")  # the simulated account goes on meanwhile
        assert line == "..." or line in printed
    query, operator = blocks("tutorial-first-load.md", "python")
    (reader.home / "query.py").write_text(query)
    counts = dict(line.split() for line in reader.run("python query.py").splitlines())
    assert sum(map(int, counts.values())) >= 5000
    (reader.home / "shown.py").write_text(operator)
    reader.run("python shown.py")
    assert (reader.home / "wtschat-demo" / "dags" / "wtschat_demo.py").exists()


@contextmanager
def account(reader: Reader, command: str) -> Iterator[None]:
    """Start the simulator as a tutorial says, and let Airflow know its connection."""
    words = re.sub(r"--port \d+", f"--port {free_port()}", command).split()
    words[0] = str(reader.home / "venv" / "bin" / "python")
    with subprocess.Popen(
        words, cwd=reader.home, env=reader.environment, stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout is not None
        try:
            printed = json.loads(simulator.stdout.readline())
            reader.environment["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = printed["connection_json"]
            yield
        finally:
            simulator.terminate()


def test_a_dag_that_answers(reader: Reader):
    install, simulator, export, migrate, run = commands("tutorial-answering.md")
    assert export == "export AIRFLOW_CONN_WTSCHAT_DEFAULT='...the value of connection_json...'"
    reader.install(install)
    with account(reader, simulator):
        (dag,) = blocks("tutorial-answering.md", "python")
        reader.save_dag("answer_sessions", dag)
        reader.run(migrate)
        reader.run(run)


def test_from_a_list_to_a_funnel(reader: Reader):
    install, simulator, export, migrate, run = commands("tutorial-campaign.md")
    table, dag, _, funnel = blocks("tutorial-campaign.md", "python")
    reader.install(install)
    (reader.home / "customers.csv").write_text(blocks("tutorial-campaign.md", "text")[0])
    for name, block in (("table", table), ("funnel", funnel)):
        (reader.home / f"{name}.py").write_text(block)
    reader.save_dag("reminders", dag)
    with account(reader, simulator):
        reader.run("python table.py")
        reader.run(migrate)
        reader.run(f"{export}\n{run}")
        reader.run(f"{export}\n{run}")  # nobody gets a second message
        counts = dict(line.split() for line in reader.run("python funnel.py").splitlines())
    assert (counts["planned"], counts["sent"]) == ("4", "4")
