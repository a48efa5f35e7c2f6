"""The rules of sending that hold for both colours of the hook."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

import tenacity
from airflow import __version__ as airflow_version

from airflow_provider_wtschat import __version__
from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.api import response
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.budget import BudgetTimeoutError
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatRateLimitError,
    WtsChatServerError,
)

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
DEFAULT_MAX_WAIT = 600.0
USER_AGENT = f"airflow-provider-wtschat/{__version__} apache-airflow/{airflow_version}"

_SHORTEST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 60.0


def refuse_list(request: Request[Any]) -> None:
    """
    Refuse a list where one answer is wanted, which would be its first page alone, cut without a word.

    :param request: the request
    :raises WtsChatArgumentError: if it is a paged list
    """
    if isinstance(request, PagedRequest):
        msg = (
            f"{request.label}: is a list of pages, of which run would give the first few rows; read it with iterate or "
            "pages, or give run one page of it: request.page(1)"
        )
        raise WtsChatArgumentError(msg)


def check_time(request: Request[Any], deadline: float | None, *, stopped: bool = False) -> None:
    """
    Refuse to begin the next request of a conversation when its time is up.

    :param request: the request that would be next
    :param deadline: the moment, on the monotonic clock, from which none is begun
    :param stopped: whether the conversation was stopped
    :raises TimeoutError: if the time is up, or it was stopped
    """
    if stopped or (deadline is not None and time.monotonic() >= deadline):
        msg = f"{request.label}: was not sent, because the {'conversation was stopped' if stopped else 'time is up'}"
        raise TimeoutError(msg)


def may_repeat(request: Request[Any], error: BaseException) -> bool:
    """
    Tell whether sending a request again can help and cannot harm.

    :param request: the request
    :param error: what became of it
    """
    if isinstance(error, (WtsChatRateLimitError, WtsChatConnectionError)):
        return error.retryable
    return isinstance(error, WtsChatServerError) and error.retryable and request.safe_to_repeat


def back_off(attempt: int, error: BaseException | None) -> float:
    """
    Return how many seconds to wait before a request goes out again.

    :param attempt: how often it has been sent, from 1
    :param error: what became of it; what the server asks for counts more than the attempt
    """
    asked = error.retry_after if isinstance(error, WtsChatError) else None
    # Spread over a quarter: what failed together must not come back together.
    jitter = 1 + random.random() / 4  # noqa: S311  # no secret
    if asked is not None:
        return asked + random.random() / 4  # noqa: S311  # no secret
    return float(min(_LONGEST_BACK_OFF, _SHORTEST_BACK_OFF * 2 ** (attempt - 1)) * jitter)


def retry_arguments(request: Request[Any], *, max_retries: int, max_wait: float) -> dict[str, Any]:
    """
    Build the arguments of tenacity's ``Retrying`` and ``AsyncRetrying`` for one request.

    A 429 costs no retry, since it says nothing about the request: only ``max_wait`` bounds those.

    :param request: the request
    :param max_retries: how often it may be sent again after a fault
    :param max_wait: seconds that waiting may take in all
    """
    faults = 0

    def stop(state: tenacity.RetryCallState) -> bool:
        nonlocal faults
        faults += not isinstance(_error(state), WtsChatRateLimitError)
        return faults > max_retries or (state.seconds_since_start or 0.0) + state.upcoming_sleep > max_wait

    def say(state: tenacity.RetryCallState) -> None:
        error = _error(state)
        # The error's text stays out: it may quote what the request said.
        log.info(
            "%s: %s%s; going again in %.1f s (attempt %d)",
            request.label,
            type(error).__name__,
            f" (HTTP {error.status})" if isinstance(error, WtsChatError) and error.status else "",
            state.upcoming_sleep,
            state.attempt_number + 1,
        )

    return {
        "retry": tenacity.retry_if_exception(lambda error: may_repeat(request, error)),
        "wait": lambda state: back_off(state.attempt_number, _error(state)),
        "stop": stop,
        "before_sleep": say,
        "reraise": True,
    }


def count_answer(error: BaseException | None) -> None:
    """
    Count a request in Airflow's metrics.

    :param error: what it raised, if it did
    """
    Stats.incr("wtschat.requests")
    if isinstance(error, WtsChatRateLimitError):
        Stats.incr("wtschat.requests_over_limit")


def not_connected(request: Request[Any], reason: str, *, retryable: bool = True) -> WtsChatConnectionError:
    """
    Build the error for a request that was never sent.

    :param request: the request
    :param reason: what happened
    :param retryable: whether the same may work later
    """
    msg = f"{request.label}: no connection was made ({reason}); nothing was sent"
    return WtsChatConnectionError(msg, method=request.method, path=request.label.partition(" ")[2], retryable=retryable)


def interrupted(request: Request[Any], error: BaseException) -> BaseException:
    """
    Return what an exception between the first byte of a request and its judged answer means.

    :param request: the request
    :param error: what happened: a lost connection, a timeout of the task, a shutdown
    :return: uncertainty for what must not be sent twice; else a retryable error for a fault of the network, and the
        exception itself for anything else
    """
    reason = f"{type(error).__name__} before its answer was there"
    if not request.safe_to_repeat:
        return response.uncertain(request, reason)
    if isinstance(error, OSError):
        return WtsChatServerError(
            f"{request.label}: {reason}", method=request.method, path=request.label.partition(" ")[2], retryable=True
        )
    return error


def over_budget(request: Request[Any], error: BudgetTimeoutError) -> WtsChatRateLimitError:
    """
    Build the error for a request that the account's budget did not let go in time.

    :param request: the request
    :param error: what the budget said
    """
    msg = f"{request.label}: was not sent, because the account's request limit left no room for it in time ({error})"
    return WtsChatRateLimitError(
        msg, method=request.method, path=request.label.partition(" ")[2], retryable=True, retry_after=error.wait
    )


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
