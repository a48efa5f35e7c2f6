"""The rules of sending that hold for the sync and the async hook."""

from __future__ import annotations

import logging
import os
import random
import ssl
import time
from typing import Any

import tenacity
from airflow import __version__ as airflow_version

from airflow_provider_wtschat import __version__
from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.api import response
from airflow_provider_wtschat.api.request import AnyRequest, PagedRequest, Request
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

_NO_TLS = ("WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "HTTP_REQUEST")
"""What OpenSSL says of a server that speaks no TLS, or none that is allowed."""
_SHORTEST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 60.0


def refuse_list(request: AnyRequest) -> None:
    """
    Refuse a list where one answer is wanted, which would be its first page alone, cut without an error.

    :raises WtsChatArgumentError: if it is a paged list
    """
    if isinstance(request, PagedRequest):
        raise WtsChatArgumentError(
            "request",
            f"{request.label} is a list of pages, of which run would give the first few rows; read it with iterate or "
            "pages, or give run one page of it: request.page(1)",
        )


def check_time(request: Request[Any], deadline: float | None, *, stopped: bool = False) -> None:
    """
    Refuse to begin the next request of a conversation when its time is up.

    :param deadline: the moment, on the monotonic clock, from which none is begun
    :param stopped: whether the conversation was stopped
    :raises TimeoutError: if the time is up, or it was stopped
    """
    if stopped or (deadline is not None and time.monotonic() >= deadline):
        msg = f"{request.label}: was not sent, because the {'conversation was stopped' if stopped else 'time is up'}"
        raise TimeoutError(msg)


def may_repeat(request: Request[Any], error: BaseException) -> bool:
    """Return whether sending a request again can help and cannot harm."""
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
    """Count a request in Airflow's metrics, with the error that it raised, if it did."""
    Stats.incr("wtschat.requests")
    if isinstance(error, WtsChatRateLimitError):
        Stats.incr("wtschat.requests_over_limit")


def meaning(
    request: Request[Any],
    error: BaseException,
    *,
    sent: bool,
    of_network: bool,
    handled: BaseException | None = None,
) -> BaseException:
    """
    Return what an exception means that came in place of a judged answer.

    :param error: what happened: a connection that failed or was lost, a timeout of the task, a shutdown
    :param sent: whether the first byte of the request had gone out
    :param of_network: whether it is a fault of the network or of the address, not an interruption of the task
    :param handled: the exception that was being handled when the request began
    :return: that no connection was made, if nothing was sent; uncertainty for what must not be sent twice; else a
        retryable error for a fault of the network, and the exception itself for anything else
    """
    cause = _cause(error, handled) if of_network else None
    if not sent:
        return _not_connected(request, error, cause) if of_network else error
    # Without the library's own exception, which shows the address: a phone number in its path, a proxy's password.
    interruption = error if not of_network else cause or ConnectionError(type(error).__name__)
    return interrupted(request, interruption, name=type(error).__name__)


def interrupted(request: Request[Any], error: BaseException, *, name: str = "") -> BaseException:
    """
    Return what an exception between the first byte of a request and its judged answer means.

    :param name: what to call it. Default: the name of its class
    :return: uncertainty for what must not be sent twice; else a retryable error for a fault of the network, and the
        exception itself for anything else
    """
    reason = f"{name or type(error).__name__} before its answer was there"
    if not request.safe_to_repeat:
        return response.uncertain(request, reason, interrupted_by=error)
    if isinstance(error, OSError):
        return WtsChatServerError(
            f"{request.label}: {reason}", method=request.method, path=request.shown_path, retryable=True
        )
    return error


def over_budget(request: Request[Any], error: BudgetTimeoutError) -> WtsChatRateLimitError:
    """Build the error for a request that the account's budget did not let go in time."""
    msg = f"{request.label}: was not sent, because the account's request limit left no room for it in time ({error})"
    return WtsChatRateLimitError(
        msg, method=request.method, path=request.shown_path, retryable=True, retry_after=error.wait
    )


def _not_connected(request: Request[Any], error: BaseException, cause: OSError | None) -> WtsChatConnectionError:
    # What is wrong with an address, a certificate or the protocol is so the next time too.
    lasting = isinstance(error, ValueError) or isinstance(cause, ValueError)
    lasting = lasting or (isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS)
    return WtsChatConnectionError(
        f"{request.label}: no connection was made ({_words(error, cause)}); nothing was sent",
        method=request.method,
        path=request.shown_path,
        retryable=not lasting,
    )


def _words(error: BaseException, cause: OSError | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {(cause.reason or 'handshake failed').replace('_', ' ').lower()}"
    if cause is None:
        status = getattr(error, "status", None)
        return f"{type(error).__name__}{f': HTTP {status}' if isinstance(status, int) else ''}"
    # asyncio puts its own words in place of the system's; name services count below zero and have their own.
    said = os.strerror(cause.errno) if cause.errno is not None and cause.errno > 0 else cause.strerror
    return said or f"{cause}" or type(cause).__name__


def _cause(error: BaseException, handled: BaseException | None) -> OSError | None:
    """Find the fault of the system, of a name or of TLS that a library's exception came from."""
    found: OSError | None = None
    pending: list[BaseException | None] = [error]
    seen: list[BaseException | None] = [handled, None]
    while pending:
        step = pending.pop(0)
        if any(step is known for known in seen):
            continue
        seen.append(step)
        if isinstance(step, OSError) and type(step).__module__ in ("builtins", "socket", "ssl"):
            found = step
        # Both: urllib3 gives as the cause an exception of its own that was never raised and leads nowhere.
        pending += [step.__cause__, step.__context__] if step is not None else []
    return found


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
