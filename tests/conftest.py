"""An Airflow of the tests' own: a temporary home, and a metadata database for those tests which ask for one."""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

if "airflow" in sys.modules:
    message = "airflow was imported before tests/conftest.py could give it a home of its own"
    raise pytest.UsageError(message)

pytest_plugins = ["pytester", "tests.databases", "tests.loading", "tests.skips"]


def _temporary_root() -> str:
    """Where tests put their files: in memory if there is room, because databases wait for a disk at each commit."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4_000_000_000
    # Sockets lie there too, and their paths must be short.
    return str(memory) if roomy else "/tmp"


# pytest's own variable: ``tmp_path`` lies in there, and so do the servers of tests/databases.py.
TEMPORARY_ROOT = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _temporary_root())
AIRFLOW_2 = metadata.version("apache-airflow").startswith("2.")

# Airflow reads its home once, at its first import, so this cannot wait for a fixture.
_HOME = Path(tempfile.mkdtemp(prefix="wtschat-tests-", dir=TEMPORARY_ROOT))
_OWNER = os.getpid()


@atexit.register
def _remove_home() -> None:
    if os.getpid() == _OWNER:  # children that a test forks leave it alone
        shutil.rmtree(_HOME, ignore_errors=True)


for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
    del os.environ[_name]
(_HOME / "dags").mkdir()
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(_HOME / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
)


_MASKERS = (
    "airflow._shared.secrets_masker.secrets_masker",
    "airflow.sdk._shared.secrets_masker.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",  # Airflow 3.0; a deprecated alias later
    "airflow.utils.log.secrets_masker",  # Airflow 2
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """
    Let Airflow forget the secrets of the test before.

    Airflow masks all that it has met in one regular expression, which it compiles anew for each secret, and thousands
    of accounts come and go in a process. Nor may a token be masked only because an earlier test had the same.
    """
    for name in _MASKERS:
        if masker := vars(sys.modules.get(name, object)).get("_secrets_masker"):
            masker().patterns, masker().replacer = set(), None


@dataclass
class FinishedRun:
    """What a run of a Dag left behind."""

    dag_run: DagRun
    errors: list[tuple[str, int, BaseException | None]] = field(default_factory=list)
    """(task_id, map_index, exception) of each try that failed, in order."""

    @property
    def state(self) -> str:
        """State of the run, e.g. ``success``."""
        return str(getattr(self.dag_run.state, "value", self.dag_run.state))

    @property
    def states(self) -> dict[str, str | list[str]]:
        """State by task id; a list of states, by map index, for a mapped task."""
        states: dict[str, str | list[str]] = {}
        for ti in sorted(self.dag_run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index)):
            state = str(getattr(ti.state, "value", ti.state))
            if ti.map_index < 0:
                states[ti.task_id] = state
            else:
                mapped = states.setdefault(ti.task_id, [])
                assert isinstance(mapped, list)
                mapped.append(state)
        return states

    def xcom(self, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """Value that a task has pushed; None if it has not."""
        from airflow.utils.session import create_session

        run = self.dag_run
        with create_session() as session:
            if AIRFLOW_2:
                from airflow.models.xcom import XCom

                names = {"dag_id": run.dag_id, "task_id": task_id, "run_id": run.run_id, "map_index": map_index}
                return XCom.get_one(key=key, session=session, **names)
            from airflow.models.xcom import XComModel

            query = XComModel.get_many(
                key=key, dag_ids=run.dag_id, task_ids=task_id, run_id=run.run_id, map_indexes=map_index
            )
            row = session.scalars(query).first()
            return None if row is None else XComModel.deserialize_value(row)

    def error(self, task_id: str) -> BaseException:
        """Return the exception of the last failed try of a task."""
        return [error for task, _, error in self.errors if task == task_id and error is not None][-1]


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """``AIRFLOW_HOME`` of the tests; its ``dags`` folder stays empty."""
    return _HOME


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """Make Airflow's metadata database, once; the path of its SQLite file."""
    return _metadata_database()[0]


def new_metadata_database(path: Path) -> None:
    """Make an empty metadata database for an Airflow in processes of its own; ``airflow db migrate`` takes seconds."""
    shutil.copy(_metadata_database()[1], path)


@cache
def _metadata_database() -> tuple[Path, Path]:
    """Make the database of this process, and a copy of it as it is at first."""
    from airflow.utils.db import initdb

    initdb()
    own, empty = _HOME / "airflow.db", _HOME / "empty.db"
    with closing(sqlite3.connect(own)) as source, closing(sqlite3.connect(empty)) as copy:
        source.backup(copy)
    return own, empty


@pytest.fixture
def run_dag(airflow_db: Path) -> Callable[..., FinishedRun]:
    """Run a Dag to its end, deferred tasks in line: ``run_dag(dag)`` or ``run_dag("example_dags/x.py")``.

    See `finish` for what the function takes.
    """
    return finish


def finish(
    dag: DAG | str | Path,
    *,
    logical_date: datetime | None = None,
    conf: dict[str, Any] | None = None,
    dag_id: str | None = None,
) -> FinishedRun:
    """Run a Dag to its end, for fixtures of their own; the database must be there (``airflow_db``).

    Takes ``logical_date`` (now, unless given), ``conf``, and ``dag_id`` for a file that has several Dags, and returns a
    `FinishedRun`. A failed task does not raise: look at ``state`` and ``errors``.
    """
    if isinstance(dag, str | Path):
        dag = load_dag(dag, dag_id=dag_id)
    _register(dag)
    arguments: dict[str, Any] = {"run_conf": conf}
    if logical_date is not None:
        arguments["execution_date" if AIRFLOW_2 else "logical_date"] = logical_date
    with _failures() as errors:
        return FinishedRun(dag.test(**arguments), errors)


def load_dags(path: str | Path) -> dict[str, DAG]:
    """Read the Dags of a file, by id, as a Dag processor does."""
    bag = _bag(Path(path).resolve())
    if bag.import_errors:
        pytest.fail("\n".join(bag.import_errors.values()))
    return dict(bag.dags)


def load_dag(path: str | Path, *, dag_id: str | None = None) -> DAG:
    """Read the one Dag of a file, or the one named."""
    dags = load_dags(path)
    if dag_id is None:
        (dag_id,) = dags
    return dags[dag_id]


def _bag(path: str | Path) -> Any:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow < 3.2
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
    return DagBag(dag_folder=str(path))


def _register(dag: DAG) -> None:
    """Store the Dag as the Dag processor would; Airflow 3 runs none that it has not seen."""
    if AIRFLOW_2:
        return
    _share_api_server()
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    bag = _bag(os.devnull)
    bag.dags = {dag.dag_id: dag}
    if dag.relative_fileloc is None:  # only a bag's own reading of a file sets it, and Airflow 3.0 insists
        dag.relative_fileloc = Path(dag.fileloc).name
    if hasattr(bag, "sync_to_db"):  # Airflow 3.0
        bag.sync_to_db("dags-folder", None)
        return
    try:
        from airflow.dag_processing.dagbag import sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import sync_bag_to_db  # type: ignore[no-redef]
    sync_bag_to_db(bag, "dags-folder", None)


@cache
def _share_api_server() -> None:
    """Let all tasks of ``dag.test()`` share an API server, as they do from Airflow 3.3 on; making one takes seconds."""
    from airflow.sdk.execution_time import supervisor

    if not hasattr(supervisor.in_process_api_server, "cache_info"):
        supervisor.in_process_api_server = cache(supervisor.in_process_api_server)


@contextmanager
def _failures() -> Iterator[list[tuple[str, int, BaseException | None]]]:
    """Collect the exceptions that Airflow logs and swallows."""
    try:
        from airflow.sdk.listener import get_listener_manager
    except ImportError:
        from airflow.listeners.listener import get_listener_manager  # type: ignore[assignment]
    try:
        from airflow.sdk import hookimpl
    except ImportError:
        from airflow.listeners import hookimpl

    errors: list[tuple[str, int, BaseException | None]] = []

    class Collector:
        @hookimpl
        def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
            errors.append((task_instance.task_id, task_instance.map_index, error))

    manager, collector = get_listener_manager(), Collector()
    manager.add_listener(collector)
    try:
        yield errors
    finally:
        manager.pm.unregister(collector)


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hooks of this process send as fast as they can, for tests that are not about the account's limits."""
    from airflow_provider_wtschat import budget
    from airflow_provider_wtschat.hooks import wtschat, wtschat_async

    roomy = budget.Window(1_000_000, 1.0)
    limits = budget.Limits(burst=roomy, read=roomy, send=roomy)

    def get_budget(account: str, **_: object) -> budget.Budget:
        return budget.get_budget(account, "process", limits=limits)

    monkeypatch.setattr(wtschat, "get_budget", get_budget)
    monkeypatch.setattr(wtschat_async, "get_budget", get_budget)
