"""
Run the tests that every release series of Airflow has to pass, each in an environment of its own: ``make compat``.

The environments are what Airflow's own constraint files make of them, where the project keeps a copy of the file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from scripts.local import ROOT
from scripts.releases import SERIES, WITH_SDK, install, make_environment

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


TESTS = {
    "2.11": (*EVERYWHERE, "tests/example_dags", "tests/test_secrets.py", "tests/sensors", *MESSAGES, *WAREHOUSE),
    "3.0": (*EVERYWHERE, "tests/sensors", OBJECT_STORAGE),
    "3.1": EVERYWHERE,
    "3.2": EVERYWHERE,
    "3.3": EVERYWHERE,
}
"""What each series has to pass; the newest release passes everything in `make tests`."""


def prepare(name: str, python: str) -> Path:
    """Make the environment of a series, unless it is there and up to date.

    :param name: the series, e.g. ``2.11``.
    :param python: path of the interpreter to use.
    :return: the environment's interpreter.
    """
    release = SERIES[name]
    home = ROOT / ".venvs" / name
    own = home / "bin" / "python"
    project = ROOT / "pyproject.toml"
    wanted = release.pins.read_bytes() + project.read_bytes() + f"{python} {release}".encode()
    key = hashlib.sha256(wanted).hexdigest()
    stamp = home / ".ready"
    if own.exists() and stamp.exists() and stamp.read_text() == key:
        return own
    make_environment(home, python)
    airflow = f"apache-airflow=={release.version}"
    package = ("--editable", ".", "--all-extras", "--requirements", project, "--group", "test")
    install(own, "--constraint", release.pins, airflow, *package)
    if release.without_sdk:
        install(own, WITH_SDK)
    stamp.write_text(key)
    return own


def main() -> int:
    """Test the series named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", nargs="*", metavar="SERIES", help=", ".join(TESTS))
    parser.add_argument("--prepare", action="store_true", help="make the environments and run nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.series) - set(TESTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(TESTS)}")

    failed = []
    for name in arguments.series or TESTS:
        release = SERIES[name]
        python = next(release.pythons(), None)
        if python is None:
            below = ".".join(map(str, release.python_below))
            print(f"Airflow {name}: skipped, because there is no Python from 3.11 and below {below} here.", flush=True)
            continue
        started = time.monotonic()
        own = prepare(name, python)
        if arguments.prepare:
            continue
        seconds = time.monotonic() - started
        print(f"Airflow {release.version}: environment ready after {seconds:.0f} s", flush=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
        command = [str(own), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "not soak", *TESTS[name]]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode != 0:
            failed.append(name)
    if failed:
        print(f"Failed on Airflow {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
