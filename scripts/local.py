"""What the scripts share: where things are, and an Airflow of the project's own."""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_wtschat.demo._airflow import AIRFLOW, Processes, environment

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator import Simulator, SpawnedSimulator

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


def wait_for(look: Callable[[], T | None], what: str, processes: Processes, seconds: float = 300) -> T:
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
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def airflow_environment(home: Path, **options: str) -> dict[str, str]:
    """Return an environment in which Airflow knows the example Dags and nothing else.

    :param home: the directory for its database and its logs.
    :param options: further variables.
    :return: all variables.
    """
    # Else components that start together make a key each, and cannot read the triggers of the others.
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return environment(home, ROOT / "example_dags", **{"AIRFLOW__CORE__FERNET_KEY": key, **options})


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
        processes.start(name, *AIRFLOW, name, *options)
    # A task that starts before the API server answers is lost.
    wait_for(lambda: fetch(f"{url}/api/v2/version"), "The API server", processes)
    processes.start("scheduler", *AIRFLOW, "scheduler", "--skip-serve-logs")

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
