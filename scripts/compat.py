"""Run the tests that older Airflow lines have to pass, each line in an environment of its own: ``make compat``."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.local import BIN, ROOT

EVERYWHERE = (
    "tests/compat",
    "tests/hooks/test_connection_form.py",
    "tests/test_assets.py",
    "tests/test_conftest.py",
    "tests/test_house_rules.py",
    "tests/test_provider_info.py",
)
MESSAGES = ("tests/notifications", "tests/transfers/test_sql_to_wtschat.py")
OBJECT_STORAGE = "tests/transfers/test_wtschat_to_object_storage.py"
WAREHOUSE = (
    "tests/warehouse",
    "tests/transfers/test_wtschat_to_sql.py",
    "tests/transfers/test_wtschat_reconcile.py",
    OBJECT_STORAGE,
)


@dataclass(frozen=True)
class Line:
    """A line of Airflow releases.

    :param python_below: the first version of Python that it does not run on.
    :param tests: what it has to pass.
    """

    python_below: tuple[int, int]
    tests: tuple[str, ...]


LINES = {
    "2.11": Line(
        (3, 13),
        (*EVERYWHERE, "tests/example_dags", "tests/test_secrets.py", "tests/sensors", *MESSAGES, *WAREHOUSE),
    ),
    "3.0": Line((3, 13), (*EVERYWHERE, "tests/sensors", OBJECT_STORAGE)),
    "3.1": Line((3, 14), EVERYWHERE),
    "3.2": Line((3, 14), EVERYWHERE),
}


def interpreter(line: Line) -> str | None:
    """Find a Python for a line: the one of this environment, else one on the PATH.

    :param line: the line.
    :return: its path, or None if there is none.
    """
    if sys.version_info[:2] < line.python_below:
        return sys.executable
    names = (f"python3.{minor}" for minor in range(line.python_below[1] - 1, 10, -1))
    return next((path for path in map(shutil.which, names) if path), None)


def prepare(name: str, python: str) -> Path:
    """Make the environment of a line, unless it is there and up to date.

    :param name: the line, e.g. ``2.11``.
    :param python: path of the interpreter to use.
    :return: the environment's interpreter.
    """
    home = ROOT / ".venvs" / name
    own = home / "bin" / "python"
    constraints = ROOT / "constraints" / f"airflow-{name}.txt"
    project = ROOT / "pyproject.toml"
    key = hashlib.sha256(constraints.read_bytes() + project.read_bytes() + python.encode()).hexdigest()
    stamp = home / ".ready"
    if own.exists() and stamp.exists() and stamp.read_text() == key:
        return own
    uv = str(BIN / "uv")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, str(home)], check=True, cwd=ROOT)
    command = [uv, "pip", "install", "--quiet", "--python", str(own), "--constraint", str(constraints)]
    what = ["--editable", ".", "--all-extras", "--requirements", str(project), "--group", "test"]
    subprocess.run([*command, *what], check=True, cwd=ROOT)
    stamp.write_text(key)
    return own


def main() -> int:
    """Test the lines named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=", ".join(LINES))
    parser.add_argument("--prepare", action="store_true", help="make the environments and run nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.lines) - set(LINES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(LINES)}")

    failed = []
    for name in arguments.lines or LINES:
        line = LINES[name]
        python = interpreter(line)
        if python is None:
            below = ".".join(map(str, line.python_below))
            print(
                f"Airflow {name}: skipped, because it needs a Python below {below} and there is none here.", flush=True
            )
            continue
        started = time.monotonic()
        own = prepare(name, python)
        if arguments.prepare:
            continue
        print(f"Airflow {name}: environment ready after {time.monotonic() - started:.0f} s", flush=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
        command = [str(own), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "not soak", *line.tests]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode != 0:
            failed.append(name)
    if failed:
        print(f"Failed on Airflow {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
