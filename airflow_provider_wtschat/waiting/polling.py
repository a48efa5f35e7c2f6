"""Waiting in the worker: looks again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.waiting.conditions import Condition, Outcome
from airflow_provider_wtschat.waiting.events import failed, timed_out

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_FAULTS = 5
"""So many looks in a row may meet a passing fault before a wait in the worker fails because of it."""


class Poller:
    """Looks for one condition, and tolerates a few passing faults in a row."""

    def __init__(self, hook: WtsChatHook, condition: Condition[Any]) -> None:
        self.condition = condition
        self.fault: WtsChatError | None = None
        """The fault that the last look met."""
        self._hook = hook
        self._faults = 0

    def look(self) -> Outcome | None:
        """
        Look once.

        :return: the outcome, ``None`` if there is none yet, or if the look met a passing fault
        :raises WtsChatError: if the fault does not pass
        """
        try:
            outcome = self._hook.perform(self.condition.look())
        except WtsChatError as error:
            self._faults += 1
            if not error.retryable or self._faults > MAX_FAULTS:
                raise
            self.fault = error
            log.warning("Waiting for %s: %s; looking again later", self.condition.describe(), type(error).__name__)
            return None
        self._faults, self.fault = 0, None
        return outcome


def wait(
    hook: WtsChatHook,
    condition: Condition[T],
    *,
    poll_interval: float,
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """
    Wait in the worker.

    :param poll_interval: seconds between two looks
    :return: what was waited for
    :raises WtsChatFailedError: if it cannot come about any more
    :raises AirflowSensorTimeout: if time runs out, after a last look; Airflow does not retry it
    :raises WtsChatError: if the API cannot be asked
    """
    poller = Poller(hook, condition)
    deadline = time.monotonic() + timeout
    while (outcome := poller.look()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            if poller.fault is not None:
                raise poller.fault
            raise timed_out(condition, timeout)
        sleep(min(poll_interval, left))
    if not outcome.reached:
        raise failed(condition, outcome)
    return hook.perform(condition.read())
