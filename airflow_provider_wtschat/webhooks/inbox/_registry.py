"""Which inbox this process uses."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.webhooks.inbox._base import Inbox
from airflow_provider_wtschat.webhooks.inbox._directory import DirectoryInbox
from airflow_provider_wtschat.webhooks.inbox._redis import RedisInbox

DEFAULT_KEEP_HOURS = 168.0

_inboxes: dict[tuple[str, float], Inbox] = {}
_lock = threading.Lock()


def keep_hours() -> float:
    """
    Read how long events are kept: ``[wtschat] webhook_keep_hours``.

    :raises WtsChatArgumentError: if it is no time
    """
    hours: float = conf.getfloat("wtschat", "webhook_keep_hours", fallback=DEFAULT_KEEP_HOURS)
    if not 1 <= hours <= 24 * 366:
        raise WtsChatArgumentError("[wtschat] webhook_keep_hours", f"is {hours}; 1 to {24 * 366} hours are wanted")
    return hours


def get_inbox(spec: str | None = None) -> Inbox:
    """
    Give the inbox, the same object for the same place throughout the process.

    :param spec: an absolute directory, or a ``redis://`` or ``rediss://`` URL. Default: ``[wtschat] webhook_inbox``,
        and without that the directory ``$AIRFLOW_HOME/wtschat``
    :return: the inbox
    :raises WtsChatArgumentError: if the place means nothing
    :raises AirflowOptionalProviderFeatureException: if it is a URL and the package ``redis`` is missing
    """
    spec = (conf.get("wtschat", "webhook_inbox", fallback="") if spec is None else spec).strip()
    hours = keep_hours()
    with _lock:
        inbox = _inboxes.get((spec, hours))
        if inbox is None:
            inbox = _inboxes[spec, hours] = _make(spec, hours)
        return inbox


def _make(spec: str, hours: float) -> Inbox:
    if spec.startswith(("redis://", "rediss://")):
        try:
            return RedisInbox(spec, hours)
        except ValueError:
            raise _no_inbox() from None
    directory = Path(spec or Path(os.environ.get("AIRFLOW_HOME", "~/airflow"), "wtschat")).expanduser()
    if not directory.is_absolute():
        raise _no_inbox()
    return DirectoryInbox(directory)


def _no_inbox() -> WtsChatArgumentError:
    # Without the value, which may be a URL with a password.
    return WtsChatArgumentError(
        "[wtschat] webhook_inbox",
        "means nothing; give an absolute directory, or a redis:// URL (special characters of its password "
        "percent-encoded)",
    )


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _inboxes.clear()


os.register_at_fork(after_in_child=_after_fork)
