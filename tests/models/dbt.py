"""Building the models with dbt, which has an environment of its own, and reading what was built."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dbt_wtschat"
DBT = Path(os.environ.get("WTSCHAT_DBT", ROOT / ".venv-dbt" / "bin" / "dbt"))
MISSING = "dbt is not there: `make models` sets up its environment"


class Built:
    """
    A database with landing tables, in which dbt builds the models.

    :param connection: connection of Airflow to it, as JSON
    :param folder: where dbt keeps what it compiles
    """

    def __init__(self, connection: str, folder: Path) -> None:
        self._where = json.loads(connection)
        self.kind = self._where["conn_type"]
        self._folder = folder

    def dbt(self, *arguments: str, variables: Mapping[str, Any] | None = None) -> str:
        """Run dbt; return what it says."""
        where = self._where
        environment = {
            **os.environ,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_LOG_PATH": str(self._folder / "logs"),
            "DBT_TARGET_PATH": str(self._folder / "target"),
            "WTSCHAT_DBT_TARGET": self.kind,
        }
        if self.kind == "duckdb":
            environment["WTSCHAT_DUCKDB"] = where["host"]
        else:
            environment |= {
                "PGHOST": where["host"], "PGPORT": str(where["port"]), "PGUSER": where["login"],
                "PGDATABASE": where["schema"],
            }  # fmt: skip
        places = ("--project-dir", str(PACKAGE), "--profiles-dir", str(PACKAGE / "profiles"))
        done = subprocess.run(
            [str(DBT), "--no-use-colors", *arguments, *places, "--vars", json.dumps(variables or {})],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(done.stdout[-6000:])
        return done.stdout

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Open a cursor on what was built."""
        if self.kind == "duckdb":
            import duckdb

            with closing(duckdb.connect(self._where["host"])) as connection:
                yield connection
            return
        import psycopg2

        where = {"host": self._where["host"], "port": self._where["port"], "user": self._where["login"]}
        with closing(psycopg2.connect(dbname=self._where["schema"], **where)) as connection:
            connection.autocommit = True
            yield connection.cursor()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds."""
        with self.cursor() as cursor:
            cursor.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
