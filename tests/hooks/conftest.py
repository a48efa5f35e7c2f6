"""What the tests of the hooks share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.simulator import Simulator


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Simulator]:
    """An account that the tests of a module share; each leaves no fault behind."""
    with Simulator(sessions=30, seed=5, latency_ms=0, limits=False, strict=True) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator, no_limits: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulated account behind the connection ``wtschat_default``, with short back-offs."""
    # An account of its own: a 429 holds the budget of its account, past the end of a test.
    connection = {**json.loads(shared_simulator.connection_json), "extra": {"account": uuid4().hex}}
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
    yield shared_simulator
    shared_simulator.application.faults.clear()
    shared_simulator.check()
