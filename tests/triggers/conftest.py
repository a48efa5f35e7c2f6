"""What the tests of the triggers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_wtschat.simulator import Simulator
from tests.waiting import forbid_blocking, hurry


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Simulator]:
    """An account that the tests of a module share; each leaves no fault behind."""
    with Simulator(sessions=60, seed=3, limits=False, strict=True, message_step_s=0.1) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulated account behind the connection ``wtschat_default``, in which nothing has to be waited for long."""
    forbid_blocking(monkeypatch)
    hurry(monkeypatch, shared_simulator)
    yield shared_simulator
    shared_simulator.application.faults.clear()
    shared_simulator.world.token = shared_simulator.token
    shared_simulator.check()
