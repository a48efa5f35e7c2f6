"""Which budget an account has in this process."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.budget.account import Budget
from airflow_provider_wtschat.budget.directory import DirectoryStore
from airflow_provider_wtschat.budget.limits import Limits
from airflow_provider_wtschat.budget.process import ProcessStore
from airflow_provider_wtschat.budget.redis import RedisStore
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

DEFAULT_BULK_SHARE = 0.8

_registry: dict[tuple[str, str, Limits], Budget] = {}
_registry_lock = threading.Lock()


def get_budget(
    account: str,
    spec: str | None = None,
    *,
    bulk_share: float | None = None,
    limits: Limits | None = None,
) -> Budget:
    """
    Give the budget of an account, the same object for the same arguments throughout the process.

    :param account: names the account: the connection's extra, or a digest of its token
    :param spec: where requests are counted: a directory, a ``redis://`` or ``rediss://`` URL, ``process``, or a share
        of the limits such as ``0.25``. By default ``[wtschat] budget`` of Airflow's configuration, and without that
        the directory ``$AIRFLOW_HOME/wtschat``.
    :param bulk_share: share of the windows that bulk reads may fill, ``[wtschat] bulk_share`` (0.8) by default.
        Given for a budget that exists already, it holds from then on.
    :param limits: limits of the account
    :return: the budget
    :raises WtsChatArgumentError: if the spec or the share means nothing
    :raises AirflowOptionalProviderFeatureException: if the spec is a URL and the package ``redis`` is missing
    """
    if spec is None:
        spec = conf.get("wtschat", "budget", fallback="")
    spec = spec.strip()
    limits = limits or Limits()
    if bulk_share is not None:
        _check_share("bulk_share", bulk_share)
    with _registry_lock:
        budget = _registry.get((spec, account, limits))
        if budget is None:
            share = bulk_share
            if share is None:
                share = _check_share(
                    "[wtschat] bulk_share", conf.getfloat("wtschat", "bulk_share", fallback=DEFAULT_BULK_SHARE)
                )
            budget = _registry[spec, account, limits] = _make_budget(account, spec, share, limits)
        elif bulk_share is not None:
            budget.bulk_share = bulk_share
        return budget


def _make_budget(account: str, spec: str, bulk_share: float, limits: Limits) -> Budget:
    digest = hashlib.sha256(account.encode()).hexdigest()[:16]
    if spec == "process":
        return Budget(ProcessStore(limits), None, bulk_share)
    if spec.startswith(("redis://", "rediss://")):
        try:
            store = RedisStore(spec, digest, limits)
        except ValueError:
            raise _no_budget() from None
        return Budget(ProcessStore(limits), store, bulk_share)
    try:
        share = float(spec)
    except ValueError:
        pass
    else:
        return Budget(ProcessStore(limits, _check_share("[wtschat] budget", share)), None, bulk_share)
    directory = Path(spec or Path(os.environ.get("AIRFLOW_HOME", "~/airflow"), "wtschat")).expanduser()
    if not directory.is_absolute():
        raise _no_budget()
    return Budget(ProcessStore(limits), DirectoryStore(directory, digest, limits), bulk_share)


def _no_budget() -> WtsChatArgumentError:
    # Without the value, which may be a URL with a password.
    return WtsChatArgumentError(
        "The option budget in section [wtschat] means nothing; give an absolute directory, a redis:// URL "
        "(special characters of its password percent-encoded), 'process', or a share of the account's limits such as "
        "0.25."
    )


def _check_share(name: str, share: float) -> float:
    if not 0 < share <= 1:
        msg = f"{name} is {share}; a share of the account's limits lies above 0 and is at most 1."
        raise WtsChatArgumentError(msg)
    return share


def _after_fork() -> None:
    global _registry_lock
    _registry_lock = threading.Lock()
    for budget in _registry.values():
        budget.after_fork()


os.register_at_fork(after_in_child=_after_fork)
