"""The releases of Airflow that the package is tried on, and the Pythons that are there to try them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.local import BIN, ROOT

CONSTRAINTS = ROOT / "constraints"
OLDEST_PYTHON = (3, 11)
WITH_SDK = "apache-airflow-providers-common-compat>=1.14,<1.15"
"""
What to install after Airflow 2.11.0 and 3.0.6, whose constraint files pin an older one, to import from
``airflow.providers.common.compat.sdk`` as the example Dags do. docs/versions.md shows the line.
"""


@dataclass(frozen=True)
class Release:
    """
    A release of Airflow.

    :param version: e.g. ``3.2.1``
    :param python_below: the first version of Python that it does not run on
    :param without_sdk: its constraint file pins a common-compat that has no ``sdk``
    """

    version: str
    python_below: tuple[int, int]
    without_sdk: bool = False

    @property
    def official(self) -> Path | None:
        """Airflow's own constraint file; None where the project keeps no copy of it."""
        path = CONSTRAINTS / "official" / f"airflow-{self.version}.txt"
        return path if path.exists() else None

    @property
    def pins(self) -> Path:
        """All versions of the environment that the tests run in."""
        return CONSTRAINTS / f"airflow-{self.version}.txt"

    def pythons(self) -> Iterator[str]:
        """Find the interpreters that it runs on: the one of this environment, then those on the PATH, newest first."""
        seen = set()
        names = (f"python3.{minor}" for minor in range(self.python_below[1] - 1, OLDEST_PYTHON[1] - 1, -1))
        for path in (sys.executable, *filter(None, map(shutil.which, names))):
            version = python_version(path)
            if version is not None and OLDEST_PYTHON <= version < self.python_below and version not in seen:
                seen.add(version)
                yield path


def python_version(python: str) -> tuple[int, int] | None:
    """
    Ask an interpreter for its version.

    :param python: path of the interpreter
    :return: e.g. ``(3, 12)``; None if it does not start, as the shims of version managers may not
    """
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


NEWEST = Release("3.3.2", (3, 14))
"""What `make` sets up in .venv."""
SERIES = {
    "2.11": Release("2.11.2", (3, 13)),
    "3.0": Release("3.0.6", (3, 13), without_sdk=True),
    "3.1": Release("3.1.8", (3, 14)),
    "3.2": Release("3.2.1", (3, 14)),
    "3.3": Release("3.3.1", (3, 14)),
}
"""One release of each series, by the name of the series."""
OLDEST = Release("2.11.0", (3, 13), without_sdk=True)


def make_environment(home: Path, python: str) -> Path:
    """
    Make an empty virtual environment, in place of what was there.

    :param home: where
    :param python: the interpreter to make it from
    :return: the environment's interpreter
    """
    subprocess.run([BIN / "uv", "venv", "--quiet", "--clear", "--python", python, home], check=True, cwd=ROOT)
    return home / "bin" / "python"


def install(python: Path, *arguments: str | Path, compiled: bool = True) -> None:
    """
    Install into an environment.

    :param python: the environment's interpreter
    :param arguments: what ``uv pip install`` takes
    :param compiled: compile all of it: else each process of Airflow compiles two thousand modules first
    :raises CalledProcessError: if it does not resolve
    """
    compiling = "--compile-bytecode" if compiled else "--no-compile-bytecode"
    command = [BIN / "uv", "pip", "install", "--quiet", compiling, "--python", python, *arguments]
    subprocess.run(command, check=True, cwd=ROOT)
