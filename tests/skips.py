"""
Let no test be skipped by accident.

A skip has a reason that somebody wrote. Those that pytest makes up (a parametrized test without cases, a skip without
words) fail the run, and so does a module that cannot be imported where all of the extras have to be installed: with
``CI`` in the environment, on the newest release of Airflow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from importlib import metadata
from typing import TypeVar

import pytest

from scripts.releases import NEWEST

NOBODY_WROTE = re.compile(
    r"(Skipped: )?(|Skipped:?|unconditional skip|got empty parameter set.*|async def function.*|no reason.*)"
)
NOT_INSTALLED = re.compile(r"(Skipped: )?could not import .*")

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def is_accident(reason: str, *, complete: bool) -> bool:
    """Say whether nobody decided that the test is skipped.

    :param reason: what pytest reports
    :param complete: whether everything that tests may need is installed
    """
    return bool(NOBODY_WROTE.fullmatch(reason) or (complete and NOT_INSTALLED.fullmatch(reason)))


def _failed_by_accident(report: _Report) -> _Report:
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        complete = "CI" in os.environ and metadata.version("apache-airflow") == NEWEST.version
        reason = report.longrepr[2]
        if is_accident(reason, complete=complete):
            report.outcome, report.longrepr = "failed", f"skipped by accident: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that is skipped by accident fail."""
    return _failed_by_accident((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a module that is skipped by accident fail."""
    return _failed_by_accident((yield))
