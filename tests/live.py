"""A real Airflow for tests: scheduler, triggerer and what they need, as processes of their own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_wtschat.demo._airflow import Processes
from scripts.local import (
    AIRFLOW,
    ROOT,
    airflow_environment,
    free_port,
    serving_environment,
    start_airflow,
    wait_for,
)
from tests.conftest import AIRFLOW_2, new_metadata_database


class LiveAirflow:
    """
    Airflow as it runs in production, but on SQLite: everything is up within the ``with`` block and ended with it.

    Dags are unpaused from the beginning, so what is scheduled runs.

    :param home: an empty directory.
    :param dags: files of Dags.
    :param connections: connections by id, in the words of Airflow's JSON format.
    :param options: further variables of the environment.
    """

    def __init__(
        self,
        home: Path,
        dags: Sequence[Path],
        connections: Mapping[str, Mapping[str, Any]],
        **options: str,
    ) -> None:
        self.home = home
        self.connections = connections
        logs, folder = home / "logs", home / "dags"
        logs.mkdir()
        folder.mkdir()
        for path in dags:
            shutil.copy(path, folder)
        options = {
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "PYTHONPATH": str(ROOT),
            **options,
        }
        if AIRFLOW_2:
            environment = airflow_environment(home, **options)
        else:
            environment = serving_environment(home, free_port(), **options)
        self.processes = Processes(environment, logs)

    def __enter__(self) -> Self:
        self.processes.__enter__()
        try:
            new_metadata_database(self.home / "airflow.db")
            self._store_connections()
            if AIRFLOW_2:
                for name in ("scheduler", "triggerer"):
                    self.processes.start(name, *AIRFLOW, name, "--skip-serve-logs")
            else:
                start_airflow(self.processes)
        except BaseException:
            self.processes.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.processes.__exit__()

    def _store_connections(self) -> None:
        """Store the connections; not by Airflow's models, which would mask their secrets in this process too."""
        names = ("conn_type", "host", "port", "schema", "login", "password")
        rows = [
            (conn_id, *map(given.get, names), json.dumps(given.get("extra", {})))
            for conn_id, given in self.connections.items()
        ]
        columns = ", ".join(("conn_id", *names, "extra", "is_encrypted", "is_extra_encrypted"))
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.executemany(f"INSERT INTO connection ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", rows)
            database.commit()

    def cli(self, *arguments: str) -> str:
        """Run a command of Airflow; return what it printed."""
        done = subprocess.run(
            [*AIRFLOW, *arguments],
            env=self.processes.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read from the metadata database."""
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a Dag can be run."""
        self._wait_for("SELECT 1 FROM serialized_dag WHERE dag_id = ?", dag_id, what=dag_id)

    def wait_for_run(self, dag_id: str, run_type: str, seconds: float = 90) -> dict[str, Any]:
        """Wait until a run of a type is over, whatever became of it; return its row and its tasks' ``states``."""
        over = "SELECT * FROM dag_run WHERE dag_id = ? AND run_type = ? AND state IN ('success', 'failed')"
        what = f"The {run_type} run of {dag_id}"
        (run,) = self._wait_for(over, dag_id, run_type, what=what, seconds=seconds)
        tasks = "SELECT task_id, state FROM task_instance WHERE dag_id = ? AND run_id = ?"
        states = {row["task_id"]: row["state"] for row in self.query(tasks, dag_id, run["run_id"])}
        return run | {"states": states}

    def _wait_for(self, sql: str, *values: Any, what: str, seconds: float = 90) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            errors = self.query("SELECT stacktrace FROM import_error")
            assert not errors, errors[0]["stacktrace"]
            return self.query(sql, *values) or None

        return wait_for(look, what, self.processes, seconds)
