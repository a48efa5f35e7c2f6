"""The code that README and docs show does what they say, against the simulator."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_wtschat.simulator import Simulator

ROOT = Path(__file__).parents[1]
DAG_AROUND = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
with DAG("{dag_id}", schedule=None, start_date=datetime(2026, 1, 1)):
{body}
"""


def shown(page: str) -> list[str]:
    """Return the Python code of a page, block by block."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, no_limits: None) -> Iterator[Simulator]:
    """A simulated account behind the connection ``wtschat_default``."""
    with Simulator(sessions=60, seed=3, latency_ms=0, limits=False, strict=True, message_step_s=0.02) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        yield simulator
        simulator.check()


@pytest.mark.airflow
def test_the_first_dag_concludes_stale_sessions(simulator: Simulator, run_dag: Callable[..., Any], tmp_path: Path):
    (tmp_path / "first.py").write_text(shown("README.md")[0])
    run = run_dag(tmp_path / "first.py")
    assert run.state == "success"
    assert [write.operation for write in simulator.books] == ["PUT /chat/v1/session/{id}/complete"] * len(
        run.xcom("stale")
    )
    assert simulator.books


def test_what_has_no_operator_is_a_line_of_the_hook(simulator: Simulator, capsys: pytest.CaptureFixture[str]):
    session_id = next(session.id for session in simulator.world.sessions if session.status == "PENDING")
    exec(shown("README.md")[1], {"session_id": session_id})
    assert len(simulator.books) == 1
    assert session_id not in capsys.readouterr().out


@pytest.mark.airflow
def test_the_operators_of_the_page_about_operators_run(
    simulator: Simulator, run_dag: Callable[..., Any], tmp_path: Path
):
    body = textwrap.indent(shown("docs/operators.md")[0], "    ")
    (tmp_path / "operators.py").write_text(DAG_AROUND.format(dag_id=f"docs_{uuid4().hex}", body=body))
    run = run_dag(tmp_path / "operators.py")
    assert run.state == "success"
    assert run.xcom("remind")["status"] in ("DELIVERED", "READ")
