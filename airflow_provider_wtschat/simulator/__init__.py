"""A stand-in for the WTS Chat API, held to the contract that lies beside it.

For tests and demonstrations without an account: a seeded, repeatable one that answers every operation, keeps the
limits, behaves as oddly as the API does, and goes wrong on demand. Needs the extra ``simulator``.

As a process: ``python -m airflow_provider_wtschat.simulator --port 0 --sessions 5000 --latency-ms 50`` prints a line of
JSON with ``url``, ``token``, ``connection_uri`` and ``connection_json``, and serves until SIGINT or SIGTERM. ``--help``
names every option.

In a test, with the books and the account at hand:

.. code-block:: python

    with Simulator(sessions=200, seed=1, limits=False, strict=True) as sim:
        sim.inject("lost_after", on="PUT /chat/v1/session/{id}/complete")
        ...  # requests to sim.url with sim.token
        assert [write.operation for write in sim.books] == ["PUT /chat/v1/session/{id}/complete"]

For measurements, ``Simulator.spawn(...)`` does the same in a process of its own. For tests of Dags there is the fixture
``wtschat_simulator``, see `airflow_provider_wtschat.simulator.pytest_plugin`.

It posts events to webhook subscriptions and callback addresses on this machine, and to no other.
"""

try:
    from airflow_provider_wtschat.simulator.books import ContractBroken
    from airflow_provider_wtschat.simulator.faults import FAULTS
    from airflow_provider_wtschat.simulator.options import Options
    from airflow_provider_wtschat.simulator.simulator import Simulator, SpawnedSimulator
except ModuleNotFoundError as error:
    if error.name not in ("jsonschema", "starlette", "uvicorn"):
        raise
    msg = f"The simulator needs {error.name}: pip install 'airflow-provider-wtschat[simulator]'"
    raise ModuleNotFoundError(msg, name=error.name) from error

__all__ = ["FAULTS", "ContractBroken", "Options", "Simulator", "SpawnedSimulator"]
