"""An Airflow of the demonstration's own, in processes that end with their maker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

AIRFLOW = (sys.executable, "-m", "airflow")
"""Not the script of that name, which some systems cannot start from a directory with a blank in its name."""


def stop_on_signals() -> None:
    """Let a request to end (also by ``kill`` or a closed terminal) unwind the program as Ctrl-C does."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)  # a second one must not interrupt the clearing up
        raise SystemExit(128 + number)

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, leave)


class Processes:
    """Child processes, each with a process group of its own, all ended on leaving the ``with`` block."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self.environment = dict(environment)
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self.running.values()):
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            # Also after a clean end: a child of the child may still be there.
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def start(self, name: str, *command: str | Path, show: bool = False) -> Path:
        """Start a command in the background.

        :param show: let its output go to the terminal instead of a file.
        :return: the file that its output goes to.
        """
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.logs,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=None if show else output,
                stderr=None if show else subprocess.STDOUT,
                start_new_session=True,
            )
        return log

    def run(self, name: str, *command: str | Path, show: bool = False) -> None:
        """Run a command to its end.

        :param show: let its output go to the terminal instead of a file.
        :raises SystemExit: if it fails.
        """
        self.start(name, *command, show=show)
        self.running[name].wait()
        self.check()

    def check(self) -> None:
        """Notice a background process that has ended by itself.

        :raises SystemExit: if one has.
        """
        for name, process in self.running.items():
            if process.poll() not in (None, 0):
                log = self.logs / f"{name}.log"
                msg = f"{name} ended with code {process.returncode}.\n{tail(log)}\nAll of it: {log}"
                raise SystemExit(msg)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def tail(path: Path, lines: int = 20) -> str:
    """Return the end of a file.

    :return: the lines.
    """
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def fresh_home(home: Path) -> Path:
    """Make an empty directory, in place of what an earlier run left there.

    :return: a directory in it, for logs.
    :raises SystemExit: if there is something that no earlier run has left.
    """
    marker = home / ".made-by-airflow-provider-wtschat"
    if home.exists():
        if any(home.iterdir()) and not marker.exists():
            msg = f"{home} is not empty, and would be emptied. Choose another directory with --home."
            raise SystemExit(msg)
        shutil.rmtree(home)
    logs = home / "logs"
    logs.mkdir(parents=True)
    marker.touch()
    return logs


def environment(home: Path, dags: Path, **options: str) -> dict[str, str]:
    """Return an environment in which Airflow knows nothing but its own home.

    :return: all variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    return inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        # On a busy machine SQLite's own 5 s can be too short for all components to take turns.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **options,
    }
