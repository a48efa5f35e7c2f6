"""
Let no test be skipped by accident.

A skip has a reason that somebody wrote. Those that pytest makes up (a parametrized test without cases, a skip without
words) fail the run, and so does a module that cannot be imported where all of the extras have to be installed: with
``CI`` in the environment, on the newest release of Airflow.
"""

from __future__ import annotations

import os
import re
from importlib import metadata

import pytest

from scripts.releases import NEWEST

NOBODY_WROTE = re.compile(
    r"(Skipped: )?(|Skipped:?|unconditional skip|got empty parameter set.*|async def function.*|no reason.*)"
)
NOT_INSTALLED = re.compile(r"(Skipped: )?could not import .*")

_accidents: list[str] = []


def is_accident(reason: str, *, complete: bool) -> bool:
    """Say whether nobody decided that the test is skipped.

    :param reason: what pytest reports
    :param complete: whether everything that tests may need is installed
    """
    return bool(NOBODY_WROTE.fullmatch(reason) or (complete and NOT_INSTALLED.fullmatch(reason)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note accidents; with several workers this runs in the process that gathers their reports."""
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        complete = "CI" in os.environ and metadata.version("apache-airflow") == NEWEST.version
        if is_accident(report.longrepr[2], complete=complete):
            _accidents.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run."""
    if _accidents and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why."""
    if _accidents:
        terminalreporter.section("skipped by accident", red=True)
        for line in _accidents:
            terminalreporter.line(line)
