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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.local import ROOT
from scripts.releases import SERIES, WITH_SDK, install, make_environment

EVERYWHERE = (
    "tests/compat",
    "tests/hooks/test_connection_form.py",
    "tests/notifications/test_wtschat.py::test_a_deadline_alert_is_told",
    "tests/notifications/test_wtschat.py::test_a_failure_is_told",
    "tests/test_assets.py",
    "tests/test_conftest.py",
    # The other rules are about the source, which is the same for each series.
    "tests/test_house_rules.py::test_arguments_shadow_nothing_of_airflow",
    "tests/test_house_rules.py::test_importing_is_cheap_and_reads_no_connection",
    "tests/test_provider_info.py",
)
OBJECT_STORAGE = "tests/transfers/test_wtschat_to_object_storage.py"

TESTS = {
    "2.11": (
        (*EVERYWHERE, "tests/example_dags", "tests/test_secrets.py", "tests/notifications", OBJECT_STORAGE),
        ("tests/sensors", "tests/transfers/test_sql_to_wtschat.py"),
        ("tests/warehouse", "tests/transfers/test_wtschat_to_sql.py", "tests/transfers/test_wtschat_reconcile.py"),
    ),
    "3.0": ((*EVERYWHERE, "tests/sensors", OBJECT_STORAGE),),
    "3.1": (EVERYWHERE,),
    "3.2": (EVERYWHERE,),
    "3.3": (EVERYWHERE,),
}
"""
What each series has to pass, in parts that take about as long as each other; the newest release passes everything in
``make tests``.
"""

AT_A_TIME = 3
"""
Parts that run at once, each in one process: most of a part's time is the start of Airflow, which several workers of one
part would each pay. One more than the cores of a small machine, because a part waits for the servers that it starts.
"""


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
    # The programs in an environment name its place: one that was moved is made anew.
    wanted = release.pins.read_bytes() + project.read_bytes() + f"{home} {python} {release}".encode()
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


_FAILED_TESTS = 1
"""What pytest returns if tests failed, and not it itself."""


@dataclass(frozen=True)
class Part:
    """
    Tests that run in one process.

    :param series: the series of Airflow, e.g. ``2.11``
    :param number: which of the series' parts it is, from 1
    :param python: interpreter of the environment
    :param tests: what pytest takes
    """

    series: str
    number: int
    python: Path
    tests: tuple[str, ...]

    def passes(self) -> bool:
        """Run it, print what pytest said once it is over, and say whether all of it passed."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
        cache = ROOT / ".cache" / f"compat-{self.series}-{self.number}"
        command: list[str | Path] = [
            self.python, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", "-m", "not soak", *self.tests
        ]  # fmt: skip
        started = time.monotonic()
        done = _run(command, environment)
        said = done.stdout
        if done.returncode == _FAILED_TESTS:
            # As in `make tests`: what failed beside others is asked once more, alone.
            done = _run([*command, "--last-failed", "--last-failed-no-failures", "none"], environment)
            said += f"Once more, what failed:\n{done.stdout}"
        seconds = time.monotonic() - started
        title = f"Airflow {SERIES[self.series].version}, part {self.number} of {len(TESTS[self.series])}"
        print(f"\n{title}: {seconds:.0f} s\n{said}", flush=True)
        return done.returncode == 0


def _run(command: list[str | Path], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def main() -> int:
    """Test the series named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", nargs="*", metavar="SERIES", help=", ".join(TESTS))
    parser.add_argument("--prepare", action="store_true", help="make the environments and run nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.series) - set(TESTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(TESTS)}")

    parts = []
    for name in arguments.series or TESTS:
        release = SERIES[name]
        python = next(release.pythons(), None)
        if python is None:
            below = ".".join(map(str, release.python_below))
            print(f"Airflow {name}: skipped, because there is no Python from 3.11 and below {below} here.", flush=True)
            continue
        started = time.monotonic()
        own = prepare(name, python)
        seconds = time.monotonic() - started
        print(f"Airflow {release.version}: environment ready after {seconds:.0f} s", flush=True)
        parts += [Part(name, number, own, tests) for number, tests in enumerate(TESTS[name], start=1)]
    if arguments.prepare:
        return 0
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        passed = list(pool.map(Part.passes, parts))
    failed = sorted({part.series for part, good in zip(parts, passed, strict=True) if not good})
    if failed:
        print(f"Failed on Airflow {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
