"""
Where webhooks are received, and the secret in the address that makes a post believable.

The API signs nothing and sends no header of ours, so the address itself is the secret: its last part is a digest of the
connection's id under ``[wtschat] webhook_secret``. Nothing is stored for a connection, and the secret can be changed
while subscriptions still use the one before.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_wtschat._compat import conf, mask_secret
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["PREFIX", "is_valid", "owner", "secrets", "token", "url"]

PREFIX = "/wtschat"
"""Where the receiver is mounted."""

_ADDRESS = re.compile(r"(?:^|/)webhooks/([^/]{1,250})/([0-9a-f]{64})")
_SHORTEST_SECRET = 16


def secrets() -> list[str]:
    """
    Read ``[wtschat] webhook_secret``: the first signs, all are believed. Empty if no webhooks are received.

    :raises WtsChatArgumentError: if one is too short to be a secret
    """
    found = [secret.strip() for secret in conf.get("wtschat", "webhook_secret", fallback="").split(",")]
    found = [secret for secret in found if secret]
    if any(len(secret) < _SHORTEST_SECRET for secret in found):
        raise WtsChatArgumentError(
            "[wtschat] webhook_secret",
            f"holds a secret of fewer than {_SHORTEST_SECRET} characters; take a long random text, such as that of "
            "openssl rand -hex 32",
        )
    return found


def token(secret: str, conn_id: str) -> str:
    """Return the secret part of a connection's address."""
    return hmac.new(secret.encode(), conn_id.encode(), hashlib.sha256).hexdigest()


def is_valid(given: str, conn_id: str, known: list[str]) -> bool:
    """Return whether this deployment gave out an address, in a time that tells nothing about the secrets."""
    # All of them are compared, whichever fits.
    fits = [hmac.compare_digest(token(secret, conn_id).encode(), given.encode()) for secret in known]
    return any(fits)


def owner(path: str, known: list[str]) -> str | None:
    """Return the connection that an address of this deployment is for, ``None`` for any other address."""
    found = _ADDRESS.search(path)
    if found is None or found.end() != len(path):
        return None
    conn_id, given = unquote(found[1]), found[2]
    return conn_id if is_valid(given, conn_id, known) else None


def url(conn_id: str, base_url: str | None = None) -> str:
    """
    Return the address to which the API shall post a connection's events. Its secret part is masked in logs from now on.

    :param base_url: where the receiver can be reached from outside. Default: ``[wtschat] webhook_base_url``, else
        ``[api] base_url``
    :raises WtsChatArgumentError: if there is no secret, or no such address
    """
    known = secrets()
    if not known:
        raise WtsChatArgumentError(
            "[wtschat] webhook_secret", "is empty, so no webhooks are received here; set it to a long random text"
        )
    base = (base_url or conf.get("wtschat", "webhook_base_url", fallback="")).strip()
    base = base or conf.get("api", "base_url", fallback="") or conf.get("webserver", "base_url", fallback="")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise WtsChatArgumentError(
            "[wtschat] webhook_base_url",
            f"is {base!r}; the URL is wanted at which WTS Chat reaches the receiver, such as https://airflow.example",
        )
    secret_part = token(known[0], conn_id)
    mask_secret(secret_part)
    return f"{base.rstrip('/')}{PREFIX}/webhooks/{quote(conn_id, safe='')}/{secret_part}"
