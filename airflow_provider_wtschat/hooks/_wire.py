"""
Whether the first byte of a request had gone out when something went wrong.

The exceptions of requests and urllib3 do not tell: behind a proxy, a connection that is reset after the request, when
the API may have acted on it, is raised as the same ``ProxyError`` as a proxy that refuses the tunnel. So the
connections themselves note it.
"""

from __future__ import annotations

import logging
import threading
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection

from airflow_provider_wtschat.api.masking import masked

__all__ = ["NotingAdapter", "Progress", "progress"]


class Progress(threading.local):
    """How far the request of this thread got."""

    sent = False
    """Whether its first byte went out, or was about to."""


progress = Progress()


class _NotingConnection(HTTPConnection):
    _opening = False

    def connect(self) -> None:
        self._opening = True
        try:
            super().connect()
        finally:
            self._opening = False

    def send(self, data: Any) -> None:
        # http.client would open the connection inside its own send, where a tunnel's CONNECT looks like the request.
        if self.sock is None and self.auto_open:
            self.connect()
        if not self._opening:
            progress.sent = True
        super().send(data)


class _WithoutPhones(logging.Filter):
    """
    Takes what could be a phone number out of the lines that urllib3 logs at DEBUG for each request.

    :param name: as for each filter
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.hosts: set[str | None] = set()
        """Those of the API, so that the lines of everybody else stay as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the line; none is left out."""
        if isinstance(record.args, tuple) and not self.hosts.isdisjoint(map(str, record.args)):
            record.args = tuple(masked(unquote(arg)) if isinstance(arg, str) else arg for arg in record.args)
        return True


_without_phones = _WithoutPhones()
logging.getLogger("urllib3.connectionpool").addFilter(_without_phones)


class NotingAdapter(HTTPAdapter):
    """
    Sends as requests does, directly and through proxies, and notes in ``progress`` when a request goes out.

    What urllib3 logs of it at DEBUG has no phone numbers, which stand in the paths of look-ups.
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request."""
        _without_phones.hosts.add(urlsplit(request.url or "").hostname)
        return super().send(request, *args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _let_note(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Make the pools of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            _let_note(manager)
        return manager


def _let_note(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {scheme: _noting(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


@cache
def _noting(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    connection = type(f"Noting{pool.ConnectionCls.__name__}", (_NotingConnection, pool.ConnectionCls), {})
    return type(f"Noting{pool.__name__}", (pool,), {"ConnectionCls": connection})
