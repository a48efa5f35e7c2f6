"""The tutorials, command by command, in an environment that has nothing but what they install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
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


def test_a_dag_that_answers(reader: Reader):
    install, simulator, export, migrate, run = commands("tutorial-answering.md")
    reader.install(install)
    port = free_port()
    command = simulator.replace("8900", str(port)).split()
    command[0] = str(reader.home / "venv" / "bin" / "python")
    with subprocess.Popen(
        command, cwd=reader.home, env=reader.environment, stdout=subprocess.PIPE, text=True
    ) as account:
        try:
            printed = json.loads(account.stdout.readline())
            name = re.match(r"export (\w+)='\.\.\.the value of connection_json\.\.\.'", export)[1]
            reader.environment[name] = printed["connection_json"]
            (dag,) = blocks("tutorial-answering.md", "python")
            dags = reader.home / "airflow" / "dags"
            dags.mkdir(parents=True)
            (dags / "answer_sessions.py").write_text(dag)
            reader.run(migrate)
            reader.run(run)
        finally:
            account.terminate()
