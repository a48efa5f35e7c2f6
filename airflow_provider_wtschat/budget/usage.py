"""What of an account's limits is used now, and by whom."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from airflow_provider_wtschat.budget.limits import Limits

NAMES_KEPT = 30 * 86_400.0
"""Seconds for which a connection counts as one of the account's after its last request."""

TRIGGERER = "the triggerer"
OTHERS = "another program"


class Use(NamedTuple):
    """Of so many requests in so many seconds, so many are used now."""

    used: int
    limit: int
    seconds: float


class Taken(NamedTuple):
    """A request that counts now."""

    send: bool
    user: str
    answered: float


@dataclass(frozen=True, kw_only=True)
class Usage:
    """
    The budget of one account.

    :param names: ids of the connections that use it
    :param windows: what is used of each window, by the name of the window
    :param held: seconds for which nobody may send a request, because the API answered 429
    :param users: requests that count now, by who sent them: ``dag_id/task_id``, or what else it is
    """

    names: tuple[str, ...]
    windows: dict[str, Use]
    held: float
    users: dict[str, int]


def current_user() -> str:
    """Name who sends requests in this process: its task as ``dag_id/task_id``, or what else it is."""
    dag_id, task_id = (os.environ.get(f"AIRFLOW_CTX_{name}_ID") for name in ("DAG", "TASK"))
    if dag_id and task_id:
        return f"{dag_id}/{task_id}"
    return TRIGGERER if "triggerer" in sys.argv[1:2] else OTHERS


def count(taken: Iterable[Taken], now: float, limits: Limits, share: float) -> tuple[dict[str, Use], dict[str, int]]:
    """
    Count requests.

    :param taken: requests that may count
    :param now: the time on the clock of their answers
    :param limits: limits of the account
    :param share: the share of them that may be used now
    :return: what is used of each window, and how many requests are whose
    """
    windows = {"burst": limits.burst, "read": limits.read, "send": limits.send}
    used, users = dict.fromkeys(windows, 0), Counter[str]()
    for one in taken:
        counts = [name for name, window in limits.of(one.send) if one.answered > now - window.seconds]
        for name in counts:
            used[name] += 1
        users[one.user] += bool(counts)
    return (
        {name: Use(used[name], window.share(share), window.seconds) for name, window in windows.items()},
        {user: number for user, number in users.most_common() if number},
    )
