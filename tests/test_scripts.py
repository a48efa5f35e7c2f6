"""The commands that a newcomer types first."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]


def left_running(home: Path) -> list[str]:
    """Processes that work in the command's home."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if environment.get("AIRFLOW_HOME") == str(home):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def start(home: Path, script: str = "demo", *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"scripts.{script}", "--home", str(home), *options]
    # As in a terminal, where Ctrl-C reaches every process of the foreground group.
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def test_demo_loads_sessions_whatever_an_earlier_one_left(tmp_path: Path):
    (tmp_path / "airflow.db").write_text("left behind")
    (tmp_path / "warehouse.db").write_text("left behind")
    process = start(tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    rows = int(re.search(r"rows loaded +([\d,]+)", output)[1].replace(",", ""))
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (rows,)
    assert rows > 4000
    assert ", of which 0 were refused" in output
    assert left_running(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing_running(tmp_path: Path, number):
    process = start(tmp_path)
    try:
        for line in process.stdout:
            if "runs the Dag" in line:
                break
        time.sleep(1)  # into the Dag
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
    process = start(tmp_path, "ui", "--port", "0")
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
