"""Which budget an account has in this process."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from pathlib import Path

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.budget.account import Budget
from airflow_provider_wtschat.budget.directory import DirectoryStore
from airflow_provider_wtschat.budget.limits import Limits, SharedStore
from airflow_provider_wtschat.budget.process import ProcessStore
from airflow_provider_wtschat.budget.redis import RedisStore
from airflow_provider_wtschat.budget.usage import Usage
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

DEFAULT_BULK_SHARE = 0.8

_registry: dict[tuple[str, str, float, Limits], Budget] = {}
_registry_lock = threading.Lock()


def get_budget(
    account: str,
    spec: str | None = None,
    *,
    name: str | None = None,
    share: float | None = None,
    bulk_share: float | None = None,
    limits: Limits | None = None,
) -> Budget:
    """
    Give the budget of an account, the same object for the same arguments throughout the process.

    :param account: names the account: the connection's extra, or a digest of its token
    :param spec: where requests are counted: a directory, a ``redis://`` or ``rediss://`` URL, or ``process``. By
        default ``[wtschat] budget`` of Airflow's configuration, and without that the directory
        ``$AIRFLOW_HOME/wtschat``.
    :param name: id of the connection, by which whoever looks at the account knows it
    :param share: share of the limits that those who count together may take, ``[wtschat] share`` (1) by default
    :param bulk_share: share of the windows that bulk reads may fill, ``[wtschat] bulk_share`` (0.8) by default.
        Given for a budget that exists already, it holds from then on.
    :return: the budget
    :raises WtsChatArgumentError: if the spec or a share means nothing, or a share would hold for each process
    :raises AirflowOptionalProviderFeatureException: if the spec is a URL and the package ``redis`` is missing
    """
    if spec is None:
        spec = conf.get("wtschat", "budget", fallback="")
    spec = spec.strip()
    limits = limits or Limits()
    if share is None:
        share = _check_share("[wtschat] share", conf.getfloat("wtschat", "share", fallback=1.0))
    else:
        _check_share("share", share)
    if bulk_share is not None:
        _check_share("bulk_share", bulk_share)
    with _registry_lock:
        budget = _registry.get((spec, account, share, limits))
        if budget is None:
            bulk = bulk_share
            if bulk is None:
                bulk = _check_share(
                    "[wtschat] bulk_share", conf.getfloat("wtschat", "bulk_share", fallback=DEFAULT_BULK_SHARE)
                )
            budget = Budget(ProcessStore(limits, share), _stores(account, spec, share, limits), bulk)
            _registry[spec, account, share, limits] = budget
        elif bulk_share is not None:
            budget.bulk_share = bulk_share
        if name is not None:
            budget.use_as(name)
        return budget


def get_usages(spec: str | None = None) -> list[Usage] | None:
    """
    Tell of each account what of its limits is used now; accounts that nobody used lately are left out.

    :param spec: as in :func:`get_budget`
    :return: ``None`` if each process counts for itself, which nobody else can see
    :raises WtsChatArgumentError: if the spec or the share means nothing
    :raises StoreError: if it cannot be read
    """
    spec = (conf.get("wtschat", "budget", fallback="") if spec is None else spec).strip()
    share = _check_share("[wtschat] share", conf.getfloat("wtschat", "share", fallback=1.0))
    first = next(iter(_stores("", spec, share, Limits())), None)
    stores: list[SharedStore] = []
    if isinstance(first, RedisStore):
        stores = [RedisStore(spec, account, Limits(), share=share) for account in first.accounts()]
    elif isinstance(first, DirectoryStore):
        stores = first.beside()
    else:
        return None
    return [usage for store in stores if (usage := store.usage()).names]


def _stores(account: str, spec: str, share: float, limits: Limits) -> list[SharedStore]:
    digest = hashlib.sha256(account.encode()).hexdigest()[:16]
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow"), "wtschat").expanduser()
    if spec == "process" or _is_number(spec):
        if spec != "process" or share != 1:
            raise WtsChatArgumentError(
                "[wtschat] share" if spec == "process" else "[wtschat] budget",
                "each process would take this share for itself, so several on a machine would exceed it together. Let "
                "budget be a directory, or leave it empty, so that the processes of the machine count together, and "
                "set [wtschat] share to the part that this machine may take, such as 0.25 for one of four",
            )
        return []
    if spec.startswith(("redis://", "rediss://")):
        machine = f"{socket.gethostname()}:{home}"
        try:
            together = RedisStore(spec, digest, limits, machine=machine, share=share)
        except ValueError:
            raise _no_budget() from None
        # While Redis is away, those of this machine go on counting together, for the part of one machine.
        return [together, DirectoryStore(home, f"{digest}-alone", limits, share=share)]
    directory = Path(spec).expanduser() if spec else home
    if not directory.is_absolute():
        raise _no_budget()
    return [DirectoryStore(directory, digest, limits, share=share)]


def _is_number(spec: str) -> bool:
    try:
        float(spec)
    except ValueError:
        return False
    return True


def _no_budget() -> WtsChatArgumentError:
    # Without the value, which may be a URL with a password.
    return WtsChatArgumentError(
        "[wtschat] budget",
        "means nothing; give an absolute directory, a redis:// URL (special characters of its password "
        "percent-encoded), or 'process'",
    )


def _check_share(name: str, share: float) -> float:
    if not 0 < share <= 1:
        raise WtsChatArgumentError(name, f"is {share}; a share of the account's limits lies above 0 and is at most 1")
    return share


def _after_fork() -> None:
    global _registry_lock
    _registry_lock = threading.Lock()
    for budget in _registry.values():
        budget.after_fork()


os.register_at_fork(after_in_child=_after_fork)
