"""What a connection of type ``wtschat`` says, read once and checked."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_wtschat._compat import mask_secret
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatAuthenticationError

DEFAULT_CONN_ID = "wtschat_default"
DEFAULT_HOST = "https://api.wts.chat"
DEFAULT_TIMEOUT = 60.0
DEFAULT_MAX_RETRIES = 5
EXTRAS = ("timeout", "max_retries", "page_size", "account", "verify_ssl", "proxies")

__all__ = ["DEFAULT_CONN_ID", "EXTRAS", "AirflowConnection", "ConnectionSettings"]

_SERVICES = ("/chat", "/core", "/crm")
log = logging.getLogger(__name__)


class AirflowConnection(Protocol):
    """The fields of an Airflow connection that are read."""

    host: str | None
    schema: str | None
    port: int | None
    password: str | None


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """
    A connection, checked.

    :param base_url: where the API is, without a slash at its end
    :param token: the API token, without ``Bearer``
    :param account: what the request budget is kept for
    :param timeout: seconds to wait for an answer
    :param max_retries: how often a request that failed is sent again
    :param page_size: rows per page, 1 to 100
    :param verify_ssl: whether the server's certificate is checked
    :param proxies: proxy URL by scheme
    """

    base_url: str
    token: str = field(repr=False)
    account: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    page_size: int = MAX_PAGE_SIZE
    verify_ssl: bool = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, conn_id: str, connection: AirflowConnection, extra: Mapping[str, Any]) -> ConnectionSettings:
        """
        Read a connection, and have its token masked in every log.

        :param conn_id: id of the connection, for errors
        :param extra: its extras; only those in :data:`EXTRAS` are read
        :raises WtsChatAuthenticationError: if it holds no token
        :raises WtsChatArgumentError: if a field of it cannot be used
        """
        # Forms send an empty text for what was left empty.
        given = {name: value for name, value in extra.items() if value not in (None, "")}
        # The Test button of Airflow 2.11 sends what a browser sends for a ticked box.
        if given.get("verify_ssl") == "y":
            given["verify_ssl"] = True
        unknown = sorted(name for name in given if name not in EXTRAS and not name.startswith("extra__"))
        if unknown:
            log.warning(
                "Connection %r: extras %s are not read; known are %s", conn_id, ", ".join(unknown), ", ".join(EXTRAS)
            )
        token = re.sub(r"^bearer(\s+|$)", "", (connection.password or "").strip(), flags=re.IGNORECASE)
        if not token:
            msg = f"Connection {conn_id!r} has no API token: put it into the field API token (password)"
            raise WtsChatAuthenticationError(msg)
        mask_secret(token)
        if not (token.isascii() and token.isprintable()):
            # No header takes it, and what refuses it there shows the token.
            msg = f"Connection {conn_id!r}: the API token holds a line break or a character beyond ASCII; paste it anew"
            raise WtsChatAuthenticationError(msg)
        try:
            account = convert.text("account", given.get("account"))
            return cls(
                base_url=_base_url(connection.host, connection.schema, connection.port),
                token=token,
                account=account or hashlib.sha256(token.encode()).hexdigest()[:16],
                **convert.given(
                    timeout=convert.number("timeout", given.get("timeout"), minimum=1, maximum=600),
                    max_retries=convert.integer("max_retries", given.get("max_retries"), minimum=0, maximum=20),
                    page_size=convert.integer("page_size", given.get("page_size"), minimum=1, maximum=MAX_PAGE_SIZE),
                    verify_ssl=convert.boolean("verify_ssl", given.get("verify_ssl")),
                ),
                proxies={
                    scheme: _proxy(scheme, url)
                    for scheme, url in (convert.mapping("proxies", given.get("proxies")) or {}).items()
                },
            )
        except WtsChatArgumentError as error:
            argument = f"Connection {conn_id!r}: {error.argument}"
            raise WtsChatArgumentError(argument, error.reason) from error

    @property
    def proxy(self) -> str | None:
        """The proxy to go through: the connection's own, else the environment's."""
        # Operators import this module for its default alone, and must not load requests for it.
        from requests.utils import get_environ_proxies, select_proxy

        return select_proxy(self.base_url, {**get_environ_proxies(self.base_url), **self.proxies})


def _proxy(scheme: str, url: Any) -> str:
    text = convert.required_text(f"proxies[{scheme!r}]", url).strip()
    try:
        pieces = urlsplit(text)
        usable = pieces.scheme in ("http", "https") and pieces.hostname and pieces.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Without the value, which may hold a password.
        argument = f"proxies[{scheme!r}]"
        raise WtsChatArgumentError(argument, "a URL such as http://proxy.example:3128 is wanted")
    return text


def _base_url(host: str | None, schema: str | None, port: int | None) -> str:
    text = (host or DEFAULT_HOST).strip().rstrip("/")
    scheme = (schema or "").strip().lower().removesuffix("://") or "https"
    if "://" not in text:
        text = f"{scheme}://{text}"
    try:
        pieces = urlsplit(text)
        own_port = pieces.port
    except ValueError:
        convert.refuse("host", host, f"a host or URL such as {DEFAULT_HOST} is wanted")
    if pieces.scheme not in ("http", "https") or not pieces.hostname or pieces.query or pieces.fragment:
        convert.refuse("host", host, f"a host or URL such as {DEFAULT_HOST} is wanted, with http or https as schema")
    if "@" in pieces.netloc:
        raise WtsChatArgumentError(
            "host", "holds a user or password; the token goes into the field API token (password)"
        )
    name = f"[{pieces.hostname}]" if ":" in pieces.hostname else pieces.hostname
    number = own_port or port
    # The contract's own addresses end with a service, but each path names its service already.
    path = next(
        (pieces.path.removesuffix(service) for service in _SERVICES if pieces.path.endswith(service)), pieces.path
    )
    return f"{pieces.scheme}://{name}{f':{number}' if number else ''}{path.rstrip('/')}"
