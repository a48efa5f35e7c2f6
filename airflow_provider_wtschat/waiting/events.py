"""
What a trigger says at the end of a wait, and how the worker reads it.

Airflow logs and stores the events of triggers in the clear, so they hold ids, statuses and instants only; the worker
reads the rest from the API.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_wtschat import exceptions
from airflow_provider_wtschat._compat import AirflowSensorTimeout
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError
from airflow_provider_wtschat.waiting.conditions import Condition, Outcome

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

T = TypeVar("T")
Event = dict[str, Any]

log = logging.getLogger(__name__)


class Ended(StrEnum):
    """How the trigger's wait ended: the event's ``status``."""

    REACHED = "reached"
    FAILED = "failed"
    TIMEOUT = "timeout"
    ERROR = "error"


def outcome_event(condition: Condition[Any], outcome: Outcome | None) -> Event:
    """
    Write the event of a wait that came to its end.

    :param outcome: how it ended, ``None`` if time ran out
    """
    if outcome is None:
        return {"status": Ended.TIMEOUT.value, "id": condition.subject}
    return {
        "status": (Ended.REACHED if outcome.reached else Ended.FAILED).value,
        "id": condition.subject,
        "found": outcome.status,
        "updated_at": outcome.updated_at,
    }


def error_event(error: WtsChatError) -> Event:
    """Write the event of a wait that an error ended: not its message, which may quote a person."""
    return {
        "status": Ended.ERROR.value,
        "error": type(error).__name__,
        "http_status": error.status,
        "retryable": error.retryable,
    }


def complete(hook: WtsChatHook, condition: Condition[T], event: Mapping[str, Any] | None, *, timeout: float) -> T:
    """
    Go on in the worker after a trigger has waited.

    :param timeout: seconds that were waited at most
    :return: what was waited for
    :raises WtsChatFailedError: if it cannot come about any more
    :raises AirflowSensorTimeout: if time ran out; Airflow does not retry it
    :raises WtsChatError: if the trigger could not ask the API, or the worker cannot
    """
    said = event or {}
    match said.get("status"):
        case Ended.REACHED:
            return hook.perform(condition.read())
        case Ended.FAILED:
            raise failed(condition, _reread(hook, condition, said))
        case Ended.TIMEOUT:
            raise timed_out(condition, timeout)
        case Ended.ERROR:
            raise _error(condition, said)
    msg = f"Waiting for {condition.describe()}: the trigger ended without an event that says how"
    raise WtsChatError(msg, retryable=True)


def failed(condition: Condition[Any], outcome: Outcome) -> WtsChatFailedError:
    """
    Build the error for a wait that ended in a failure.

    :param outcome: what came instead
    """
    reason = f": {masked(outcome.reason)}" if outcome.reason else ""
    msg = f"Waited for {condition.describe()}, but it is {outcome.status}{reason}"
    return WtsChatFailedError(msg, text=outcome.reason and masked(outcome.reason))


def timed_out(condition: Condition[Any], timeout: float) -> AirflowSensorTimeout:
    """
    Build the error for a wait that took too long.

    :param timeout: seconds that were waited at most
    """
    return AirflowSensorTimeout(f"Time is up: waited {timeout:g} s for {condition.describe()}, and it did not happen")


def deadline(timeout: float) -> str:
    """
    Say when a wait that begins now ends.

    :return: the instant, as a trigger takes it
    """
    return instants.write(datetime.now(UTC) + timedelta(seconds=timeout))


def _reread(hook: WtsChatHook, condition: Condition[Any], event: Mapping[str, Any]) -> Outcome:
    # The API's reason does not travel in events.
    try:
        outcome = hook.perform(condition.look())
    except WtsChatError as error:
        log.warning("Reading the reason failed: %s", type(error).__name__)
        outcome = None
    if outcome is not None and not outcome.reached:
        return outcome
    return Outcome(reached=False, status=str(event.get("found")))


_MEANINGS: Sequence[tuple[type[WtsChatError], str]] = (
    (
        exceptions.WtsChatAuthenticationError,
        "the API refuses the token: it is wrong, revoked, was unused for 15 days, or lacks the permission for this",
    ),
    (exceptions.WtsChatNotFoundError, "the API does not know it"),
    (exceptions.WtsChatRefusedError, "the API refuses to answer"),
    (exceptions.WtsChatRateLimitError, "the account's request limit left no room for too long"),
    (exceptions.WtsChatConnectionError, "the API could not be reached, repeatedly"),
    (exceptions.WtsChatServerError, "the API failed repeatedly"),
)


def _error(condition: Condition[Any], event: Mapping[str, Any]) -> WtsChatError:
    name, status = event.get("error"), event.get("http_status")
    kind, meaning = next((pair for pair in _MEANINGS if pair[0].__name__ == name), (WtsChatError, str(name)))
    code = f" (HTTP {status})" if status else ""
    msg = f"Waiting for {condition.describe()}: {meaning}{code}. The triggerer's log says more"
    if name == exceptions.WtsChatArgumentError.__name__:
        # The worker took the other arguments, so it is what the triggerer reads by itself.
        reason = f"waiting for {condition.describe()}: the connection is refused. The triggerer's log says more"
        return exceptions.WtsChatArgumentError("wtschat_conn_id", reason)
    return kind(msg, status=status, retryable=bool(event.get("retryable")))
