"""What the demo and the UI share: processes that end with their maker, and an Airflow of the project's own."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator import Simulator, SpawnedSimulator

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


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

        :param name: what to call it in messages.
        :param command: the command and its arguments.
        :param show: let its output go to the terminal instead of a file.
        :return: the file that its output goes to.
        """
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=None if show else output,
                stderr=None if show else subprocess.STDOUT,
                start_new_session=True,
            )
        return log

    def run(self, name: str, *command: str | Path, show: bool = False) -> None:
        """Run a command to its end.

        :param name: what to call it in messages.
        :param command: the command and its arguments.
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
                raise SystemExit(f"{name} ended with code {process.returncode}.\n{tail(log)}\nAll of it: {log}")


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def tail(path: Path, lines: int = 20) -> str:
    """Return the end of a file.

    :param path: the file.
    :param lines: how many lines of it.
    :return: the lines.
    """
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def free_port(wanted: int = 0) -> int:
    """Find a port that nobody listens on.

    :param wanted: the port to prefer.
    :return: that port if it is free, else another one.
    :raises OSError: if there is none.
    """
    # Below those that systems give to outgoing connections, one of which might come before the server does.
    ports = random.sample(range(20_000, 32_000), 100)
    for port in [wanted, *ports] if wanted else ports:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def wait_for(look: Callable[[], T | None], what: str, processes: Processes, seconds: float = 90) -> T:
    """Look for something until it is there.

    :param look: returns it, or None as long as it is not there; a server that does not answer yet is not there either.
    :param what: what to call it in messages.
    :param processes: the processes it depends on: if one ends, so does the wait.
    :param seconds: how long to wait at most.
    :return: what was looked for.
    :raises SystemExit: if it does not come.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        processes.check()
        with suppress(OSError):
            if (found := look()) is not None:
                return found
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come up within {seconds:.0f} s. Logs: {processes.logs}")


def fetch(url: str, token: str | None = None) -> Any:
    """Read a JSON document from a server on this machine.

    :param url: where it is.
    :param token: bearer token, if one is needed.
    :return: the document.
    """
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def fresh_home(home: Path) -> Path:
    """Make an empty directory, in place of what an earlier run left there.

    :param home: the directory.
    :return: a directory in it, for logs.
    """
    shutil.rmtree(home, ignore_errors=True)
    logs = home / "logs"
    logs.mkdir(parents=True)
    return logs


def airflow_environment(home: Path, **options: str) -> dict[str, str]:
    """Return an environment in which Airflow knows nothing but its own home.

    :param home: the directory for its database and its logs.
    :param options: further variables.
    :return: all variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    return inherited | {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        # On a busy machine SQLite's own 5 s can be too short for all components to take turns.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **options,
    }


def serving_environment(home: Path, port: int, **options: str) -> dict[str, str]:
    """Return an environment for all components of Airflow 3, with an API server that needs no login.

    :param home: the directory for its database and its logs.
    :param port: port of the API server.
    :param options: further variables.
    :return: all variables.
    """
    url = f"http://127.0.0.1:{port}"
    serving = {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    }
    return airflow_environment(home, **(serving | options))


def start_airflow(processes: Processes) -> None:
    """Start all components of Airflow 3, and wait until they are well.

    :param processes: where they go, with a `serving_environment`.
    :raises SystemExit: if they do not come up.
    """
    url = processes.environment["AIRFLOW__API__BASE_URL"]
    # The log servers would listen on every interface; the UI reads the same files.
    for name, *options in (("api-server",), ("dag-processor",), ("triggerer", "--skip-serve-logs")):
        processes.start(name, BIN / "airflow", name, *options)
    # A task that starts before the API server answers is lost.
    wait_for(lambda: fetch(f"{url}/api/v2/version"), "The API server", processes)
    processes.start("scheduler", BIN / "airflow", "scheduler", "--skip-serve-logs")

    def healthy() -> bool | None:
        health = fetch(f"{url}/api/v2/monitor/health")
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all(health[part]["status"] == "healthy" for part in parts) or None

    wait_for(healthy, "Airflow", processes)


def connections(simulator: Simulator | SpawnedSimulator, warehouse: Path) -> dict[str, dict[str, Any]]:
    """Return the connections that the example Dags use.

    :param simulator: the simulator.
    :param warehouse: path of the SQLite database they load into.
    :return: connections by id, in the words of Airflow's JSON format.
    """
    url = urlsplit(simulator.url)
    account = {"conn_type": "wtschat", "password": simulator.token}
    return {
        # With a port of its own: without one, the Test button of Airflow 3.3 takes the connection for another.
        "wtschat_default": account | {"host": url.hostname, "port": url.port, "schema": url.scheme},
        "warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
    }
