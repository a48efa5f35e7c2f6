"""What the provider adds to Airflow's API server: the receiver of webhooks (3.0), and its page in the UI (3.1)."""

from __future__ import annotations

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address

__all__ = ["WtsChatPlugin"]

log = logging.getLogger(__name__)


def _has_page() -> bool:
    """Return whether there is a page: Airflow 3.0 and before have no place for it."""
    has_place = hasattr(AirflowPlugin, "external_views")
    return has_place and bool(conf.getboolean("wtschat", "ui_page", fallback=True))


def _page() -> list[dict[str, Any]]:
    """Mount the page, which imports what it stands on with its first request."""
    if not _has_page():
        return []
    from airflow_provider_wtschat.page import PREFIX, Page
    from airflow_provider_wtschat.webhooks.state import inbox_state

    return [{"app": Page({"webhooks": inbox_state}), "url_prefix": PREFIX, "name": "WTS Chat page"}]


def _receiver() -> list[dict[str, Any]]:
    """Put the receiver before the API server where there is a secret; without one there is no route."""
    try:
        if not webhook_address.secrets():
            return []
    except WtsChatArgumentError as error:
        log.error("No webhooks are received: %s", error)
        return []
    from airflow_provider_wtschat.webhooks.receiver import ReceiverMiddleware

    return [{"middleware": ReceiverMiddleware, "name": "WTS Chat webhooks"}]


def _views() -> list[dict[str, Any]]:
    if not _has_page():
        return []
    # Relative addresses: Airflow may be served below a path.
    view = {
        "name": "WTS Chat",
        "href": "wtschat/page/",
        "icon": "wtschat/page/icon.svg",
        "icon_dark_mode": "wtschat/page/icon-dark.svg",
        "url_route": "wtschat",
        "destination": "nav",
        "category": "browse",
    }
    return [view]


class WtsChatPlugin(AirflowPlugin):
    """Adds ``POST /wtschat/webhooks/{conn_id}/{token}`` to the API server, and the page under *Browse* to its UI."""

    name = "wtschat"
    fastapi_apps = _page()
    fastapi_root_middlewares = _receiver()
    external_views = _views()
