"""A stand-in for the WTS Chat API, held to the contract that lies beside it.

For tests and demonstrations without an account: a seeded, repeatable one that answers every operation, keeps the real
limits, behaves as oddly as the real API does, and goes wrong on demand. Needs the extra ``simulator``.
"""

from airflow_provider_wtschat.simulator.books import ContractBroken
from airflow_provider_wtschat.simulator.faults import FAULTS
from airflow_provider_wtschat.simulator.options import Options
from airflow_provider_wtschat.simulator.simulator import Simulator, SpawnedSimulator

__all__ = ["FAULTS", "ContractBroken", "Options", "Simulator", "SpawnedSimulator"]
