"""A run in which a test was skipped by accident is not green."""

from __future__ import annotations

import ast
import os

import pytest

from scripts.local import ROOT
from tests.conftest import AIRFLOW_2

CASES = {
    "reason": "def test_it(): pytest.skip('there is no database')",
    "no_cases": "@pytest.mark.parametrize('case', [])\ndef test_it(case): pass",
    "unconditional": "@pytest.mark.skip\ndef test_it(): pass",
    "no_reason": "def test_it(): pytest.skip()",
    "not_installed": "def test_it(): pytest.importorskip('a_module_that_nobody_has')",
    "module_not_installed": "pytest.importorskip('a_module_that_nobody_has')",
}


@pytest.mark.skipif(AIRFLOW_2, reason="nothing of it depends on Airflow")
@pytest.mark.parametrize(
    ("case", "ci", "workers", "code"),
    [
        ("reason", True, 0, 0),
        ("no_cases", False, 0, 1),
        ("no_cases", False, 2, 1),
        ("unconditional", False, 0, 1),
        ("no_reason", False, 0, 1),
        ("not_installed", False, 0, 0),
        ("not_installed", True, 0, 1),
        ("module_not_installed", False, 0, 5),
        ("module_not_installed", True, 0, 2),
    ],
)
def test_an_accident_fails_the_run(case, ci, workers, code, pytester, monkeypatch):
    pytester.makepyfile(test_case=f"import pytest\n\n{CASES[case]}\n\ndef test_other(): pass\n")
    for name in [name for name in os.environ if name == "CI" or name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if ci:
        monkeypatch.setenv("CI", "true")
    run = pytester.runpytest_subprocess if workers else pytester.runpytest_inprocess
    done = run("-q", "-p", "tests.skips", "-n", str(workers), "-c", os.devnull, ".")
    assert done.ret == code
    assert ("skipped by accident" in done.stdout.str()) is (code in (1, 2))


def test_every_skip_has_a_reason():
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if ".skip(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skip"):
                named = bool(node.args) or any(keyword.arg == "reason" for keyword in node.keywords)
                wrong += [] if named else [f"{path.relative_to(ROOT)}:{node.lineno}"]
    assert wrong == []
