"""What the API server answers for the page."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.budget import StoreError, Usage, get_usages
from airflow_provider_wtschat.budget.registry import DEFAULT_BULK_SHARE
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

log = logging.getLogger(__name__)

PREFIX = "/wtschat/page"
"""Where the page is mounted."""

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # Nothing but files of this server, and nothing written into the page: a name that holds markup stays text.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class Page:
    """
    The ASGI application of the page.

    The module of a plugin is imported in every process of Airflow, so what it stands on (FastAPI, Airflow's own
    security) is imported with the first request, which only the API server gets.

    :param sources: further facts for the page, by name; each is called for every look, in a thread
    """

    def __init__(self, sources: Mapping[str, Callable[[], Any]]) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Answer one request.

        :param scope: of the request
        :param receive: gives its body
        :param send: takes the answer
        """
        if scope["type"] != "http":
            return
        if self._app is None:
            with self._lock:
                self._app = self._app or _build(self._sources)
        await self._app(scope, receive, send)


def _build(sources: Mapping[str, Callable[[], Any]]) -> Any:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import get_user, requires_access_view
    from fastapi import Depends, FastAPI, Response

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def state(user: Any = Depends(get_user)) -> dict[str, Any]:  # noqa: B008  # as FastAPI wants it
        readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
        facts = {"version": 1, "now": instants.write(datetime.now(UTC)), "budget": budget(readable)}
        return facts | {name: source() for name, source in sources.items()}

    app.get("/state", dependencies=[Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))])(state)
    for path in _STATIC.iterdir():
        name = "" if path.name == "index.html" else path.name
        app.get(f"/{name}")(_file(Response, path.read_bytes(), _TYPES[path.suffix]))
    return app


def _file(response: Callable[..., Any], content: bytes, media_type: str) -> Callable[[], Any]:
    def serve() -> Any:
        return response(content, media_type=media_type, headers=_HEADERS)

    return serve


def budget(readable: set[str]) -> dict[str, Any]:
    """
    Tell what of each account's limits is used now, and by whom.

    :param readable: ids of the Dags that the user may see; of others only the number of requests is told
    :return: the accounts, or why there are none
    """
    try:
        usages = get_usages()
    except (StoreError, WtsChatArgumentError) as error:
        log.warning("The account's request budget cannot be shown: %s", error)
        return {"accounts": [], "why": "unreadable"}
    if usages is None:
        return {"accounts": [], "why": "process"}
    return {"accounts": [_account(usage, readable) for usage in usages], "why": None}


def _account(usage: Usage, readable: set[str]) -> dict[str, Any]:
    users: dict[tuple[str | None, str | None, str | None], int] = {}
    for user, number in usage.users.items():
        dag_id, _, task_id = user.partition("/")
        key: tuple[str | None, str | None, str | None] = (None, None, user)
        if task_id:
            key = (dag_id, task_id, None) if dag_id in readable else (None, None, "other Dags")
        users[key] = users.get(key, 0) + number
    return {
        "connections": list(usage.names),
        "windows": {name: use._asdict() for name, use in usage.windows.items()},
        "held": round(usage.held, 1),
        "bulk_share": conf.getfloat("wtschat", "bulk_share", fallback=DEFAULT_BULK_SHARE),
        "users": [
            {"dag_id": dag_id, "task_id": task_id, "other": other, "requests": number}
            for (dag_id, task_id, other), number in users.items()
        ],
    }
