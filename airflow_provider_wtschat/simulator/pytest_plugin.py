"""A fixture for people who test their own Dags.

Switched on by ``pytest_plugins = ["airflow_provider_wtschat.simulator.pytest_plugin"]`` in their ``conftest.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

try:
    import pytest
except ModuleNotFoundError as error:
    msg = "The pytest plug-in needs pytest: pip install 'airflow-provider-wtschat[testing]'"
    raise ModuleNotFoundError(msg, name=error.name) from error

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator import Simulator

__all__ = ["wtschat_simulator"]

_DEFAULTS = {"sessions": 50, "seed": 1, "limits": False, "message_step_s": 0.05, "strict": True}


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "wtschat_simulator(**options): options of the simulator behind the fixture of the same name"
    )


@pytest.fixture
def wtschat_simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator of the test's own, to which the connection ``wtschat_default`` leads.

    The test fails if one of its requests breaks the contract. Options come from the marker:
    ``@pytest.mark.wtschat_simulator(sessions=500, strict=False)``.
    """
    from airflow_provider_wtschat.simulator import Simulator

    marker = request.node.get_closest_marker("wtschat_simulator")
    with Simulator(**{**_DEFAULTS, **(marker.kwargs if marker else {})}) as simulator:
        # An account of its own, so that no test waits for the request limit that others have used up.
        connection = {**json.loads(simulator.connection_json), "extra": {"account": uuid4().hex}}
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
        yield simulator
