"""What Airflow is told about this package."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describe the package to Airflow's provider manager.

    :return: the metadata that Airflow finds through the entry point ``apache_airflow_provider``.
    """
    return {
        "package-name": "airflow-provider-wtschat",
        "name": "WTS Chat",
        "description": "WTS Chat: sessions, messages, contacts, panels, chatbots and sequences.",
    }
