"""
Check the types of the code that users copy: Python blocks of README and docs, and the example Dags.

Pyright, because editors ask it; the package itself is checked by mypy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.local import ROOT

AIRFLOWS = (
    '"XComArg"',  # the result of a task, where its value is wanted
    '"ParamsDict"',  # what a mapping of params becomes
    'key in "Context"',
    '"CronDataIntervalTimetable"',
)
"""Parts of findings that are of Airflow's own types, which no Dag file can mend."""
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """
    Find the Python blocks of a page.

    :param page: a Markdown file
    :return: each block, with the number of the line that it begins in
    """
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


class Finding(NamedTuple):
    """Something that is wrong."""

    file: str
    line: int
    message: str


def pyright(project: Path) -> list[Finding]:
    """
    Run pyright.

    :param project: a folder with a ``pyrightconfig.json``
    :return: what is wrong
    :raises RuntimeError: if pyright does not run
    """
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", project],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except ValueError as error:
        msg = f"pyright did not run: {done.stdout}{done.stderr}"
        raise RuntimeError(msg) from error
    return [
        Finding(Path(one["file"]).name, one["range"]["start"]["line"] + 1, f"{one['message']} ({one.get('rule')})")
        for one in found
        if one["severity"] == "error"
    ]


def findings() -> list[Finding]:
    """Check everything, blocks as files of their own whose lines are those of their page."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    with tempfile.TemporaryDirectory() as folder:
        for page in pages:
            for line, code in blocks(page):
                name = f"{page.relative_to(ROOT).with_suffix('').as_posix().replace('/', '_')}_{line}.py"
                Path(folder, name).write_text("\n" * (line - 1) + code, encoding="utf-8")
        settings = {
            "include": [".", os.path.relpath(ROOT / "example_dags", folder)],
            "extraPaths": [str(ROOT)],
            "typeCheckingMode": "standard",
            # The docs show operators of providers that are not installed here.
            "reportMissingImports": "none",
            # `first >> second` is how tasks are chained.
            "reportUnusedExpression": "none",
        }
        Path(folder, "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        found = pyright(Path(folder))
    return [one for one in found if not any(part in one.message for part in AIRFLOWS)]


def main() -> int:
    """Print what is wrong."""
    found = findings()
    for one in found:
        print(f"{one.file}:{one.line}: {one.message}")
    print(f"pyright: {len(found)} errors in the code of README, docs and example_dags")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
