"""The receiver inside Airflow's API server, from Airflow 3.0 on."""

from __future__ import annotations

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address

__all__ = ["WtsChatPlugin"]

log = logging.getLogger(__name__)


def _apps() -> list[dict[str, Any]]:
    """Mount the receiver where there is a secret; without one there is no route."""
    try:
        if not webhook_address.secrets():
            return []
    except WtsChatArgumentError as error:
        log.error("No webhooks are received: %s", error)
        return []
    from airflow_provider_wtschat.webhooks.receiver import Receiver

    return [{"app": Receiver(), "url_prefix": webhook_address.PREFIX, "name": "WTS Chat webhooks"}]


class WtsChatPlugin(AirflowPlugin):
    """Adds ``POST /wtschat/webhooks/{conn_id}/{token}`` to the API server."""

    name = "wtschat"
    fastapi_apps = _apps()
