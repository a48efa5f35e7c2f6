"""A run in which a test was skipped by accident is not green."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local import ROOT
from tests.conftest import AIRFLOW_2

CASES = {
    "reason": "def test_it(): pytest.skip('there is no database')",
    "no_cases": "@pytest.mark.parametrize('case', [])\ndef test_it(case): pass",
    "unconditional": "@pytest.mark.skip\ndef test_it(): pass",
    "no_reason": "def test_it(): pytest.skip()",
    "not_installed": "def test_it(): pytest.importorskip('a_module_that_nobody_has')",
}


@pytest.mark.skipif(AIRFLOW_2, reason="nothing of it depends on Airflow")
@pytest.mark.parametrize(
    ("case", "ci", "workers", "green"),
    [
        ("reason", True, 0, True),
        ("no_cases", False, 0, False),
        ("no_cases", False, 2, False),
        ("unconditional", False, 0, False),
        ("no_reason", False, 0, False),
        ("not_installed", False, 0, True),
        ("not_installed", True, 0, False),
    ],
)
def test_an_accident_fails_the_run(case, ci, workers, green, tmp_path: Path):
    (tmp_path / "test_case.py").write_text(f"import pytest\n\n{CASES[case]}\n\ndef test_other(): pass\n")
    environment = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.skips", "-n", str(workers), "-c", os.devnull, "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == (0 if green else 1), done.stdout + done.stderr
    assert ("skipped by accident" in done.stdout) is not green


def test_every_skip_has_a_reason():
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skip"):
                named = bool(node.args) or any(keyword.arg == "reason" for keyword in node.keywords)
                wrong += [] if named else [f"{path.relative_to(ROOT)}:{node.lineno}"]
    assert wrong == []
