"""
Install the package as Airflow's users do, with Airflow's constraint files, and import all of it: ``make constraints``.

Every release with every Python that is there, then the oldest versions that the package allows. Prints a table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.local import BIN, ROOT
from scripts.releases import NEWEST, OLDEST, SERIES, Release, install, make_environment, python_version

RELEASES = {release.version: release for release in (OLDEST, *SERIES.values(), NEWEST)}
IMPORT_ALL = ROOT / "scripts" / "import_all.py"


@dataclass(frozen=True)
class Case:
    """
    One environment.

    :param name: what the table calls it
    :param release: the release of Airflow
    :param python: path of the interpreter
    :param options: further options of ``uv pip install``
    """

    name: str
    release: Release
    python: str
    options: tuple[str | Path, ...]


def cases(names: list[str]) -> list[Case]:
    """
    List the environments to try.

    :param names: the releases, and ``lowest``
    :return: the environments
    """
    found = []
    for name in names:
        release = OLDEST if name == "lowest" else RELEASES[name]
        options: tuple[str | Path, ...] = ("--constraint", release.official or release.pins)
        if name == "lowest":
            options = ("--resolution", "lowest-direct")
        pythons = list(release.pythons())[: 1 if name == "lowest" else None]
        found += [Case(name, release, python, options) for python in pythons]
    return found


def try_out(case: Case, wheel: Path, home: Path) -> str:
    """
    Install into an environment and import everything.

    :param case: the environment
    :param wheel: the package
    :param home: where to make the environment
    :return: what failed; empty if nothing did
    """
    python = make_environment(home, case.python)
    try:
        # Not compiled: it is imported once, and most of it never.
        install(python, *case.options, f"apache-airflow=={case.release.version}", wheel, compiled=False)
    except subprocess.CalledProcessError:
        return "does not resolve"
    done = subprocess.run([python, "-I", IMPORT_ALL], cwd=home, capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def build_wheel(folder: Path) -> Path:
    """
    Build the package.

    :param folder: where to
    :return: the wheel
    """
    subprocess.run([BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    """Try the releases named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*RELEASES, "lowest"]
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=", ".join(known))
    names = parser.parse_args().releases
    if unknown := set(names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")

    failed = 0
    with tempfile.TemporaryDirectory(prefix="wtschat-constraints-") as folder:
        wheel = build_wheel(Path(folder))
        print("Airflow  Python  versions            result")
        for case in cases(names or known):
            problem = try_out(case, wheel, Path(folder) / "environment")
            failed += bool(problem)
            source = "ours" if case.release.official is None else "Airflow's own"
            if case.name == "lowest":
                source = "lowest allowed"
            python = ".".join(map(str, python_version(case.python) or ()))
            print(f"{case.release.version:<8} {python:<7} {source:<19} {problem or 'imports'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
