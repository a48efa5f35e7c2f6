"""
Write constraints/airflow-*.txt, the versions that the environments of `make` are built from: ``make pins``.

For a release with a file in constraints/official they are that file's, and a choice of ours for what it does not name.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

from scripts.local import BIN, ROOT
from scripts.releases import CONSTRAINTS, NEWEST, SERIES, Release

TOOLS = re.compile(r"(pytest(-[a-z]+)?|hypothesis)==")
"""What runs the tests is ours to choose; some of Airflow's files name releases that are too old for them."""


def main() -> None:
    """Resolve each release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="renew what is pinned already")
    options = ["--upgrade"] if parser.parse_args().upgrade else []
    for release in (NEWEST, *SERIES.values()):
        pin(release, *options)
    _compile("--group", "pyproject.toml:dist", "--output-file", CONSTRAINTS / "dist.txt", *options)


def pin(release: Release, *options: str) -> None:
    """
    Resolve one release.

    :param release: the release
    :param options: further options of ``uv pip compile``
    """
    limits = [f"apache-airflow=={release.version}"]
    if release.official is not None:
        limits += [line for line in release.official.read_text().splitlines() if not TOOLS.match(line)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraint:
        constraint.write("\n".join(limits))
        constraint.flush()
        group = "bench" if release is NEWEST else "test"
        wanted = ("pyproject.toml", "--all-extras", "--group", group, "--constraint", constraint.name)
        _compile(*wanted, "--output-file", release.pins, *options)


def _compile(*arguments: str | Path) -> None:
    command: list[str | Path] = [BIN / "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    subprocess.run([*command, "--no-header", "--no-annotate", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
