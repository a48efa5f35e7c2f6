"""Judging an answer: the value it carries, or the error it means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.request import Page, Request
from airflow_provider_wtschat.exceptions import (
    WtsChatAuthenticationError,
    WtsChatError,
    WtsChatNotFoundError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
    WtsChatServerError,
    WtsChatUncertainError,
)

_LONGEST_TEXT = 500
_HALF = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(
    rb"\\(?:u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F]..(?<!\\u[dD][89abAB]..\\u....))|\\u)", re.DOTALL
)
"""In JSON half a surrogate pair without the other, or a backslash before an "u", of which this cannot tell."""
_HALF_RAW = re.compile(rb"\xed[\xa0-\xbf]")
_NOT_FOUND_KEYS = frozenset({"ENTITY_NOT_FOUND", "FORM_ERROR"})
_FINAL_KEYS = _NOT_FOUND_KEYS | {"ENTITY_ERROR_SAVE", "ERROR_FORBIDDEN", "badrequest"}
"""Keys with which the API is known to refuse for good."""
_UNAUTHORIZED = "ERROR_UNAUTHORIZED"
_OF_A_GATEWAY = frozenset({408, 502, 503, 504})


T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """
    What a request was answered with.

    :param server_time: the server's clock when it answered, to the second, where it said so
    """

    value: T
    server_time: datetime | None


def judge(request: Request[Any], status: int, headers: Mapping[str, str], content: bytes) -> Any:
    """
    Return what an answer carries, or raise what it means.

    :param headers: headers of the answer, looked up without regard to case
    :return: the JSON value; ``None`` for an answer without a body where that is an answer
    :raises WtsChatError: of the kind that the answer means; an answer that leaves open whether a request that must not
        be repeated was acted on raises :class:`~airflow_provider_wtschat.exceptions.WtsChatUncertainError`
    """
    try:
        return _judged(request, status, headers, content)
    except WtsChatServerError as error:
        if request.safe_to_repeat:
            raise
        raise uncertain(request, str(error), status=error.status) from error


def uncertain(
    request: Request[Any], reason: str, *, status: int | None = None, interrupted_by: BaseException | None = None
) -> WtsChatUncertainError:
    """
    Build the error for a request that may or may not have been acted on.

    :param request: the request, one that is not safe to repeat
    :param status: HTTP status, where there was one
    :param interrupted_by: what interrupted it, where it was an exception
    """
    msg = (
        f"{request.label}: nobody knows whether WTS Chat acted on it ({reason}). It was not sent again, because "
        "it might reach the customer twice. Look in WTS Chat whether it happened before you run it again"
    )
    return WtsChatUncertainError(
        msg, interrupted_by=interrupted_by, status=status, method=request.method, path=request.shown_path
    )


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """Read the server's clock, to the second, from the ``Date`` header."""
    return _http_date(headers.get("Date"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Read how many seconds the server asks to wait.

    :param headers: headers of the answer; ``Retry-After`` holds seconds (fractions too) or a date
    """
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    moment = _http_date(value)
    if moment is None:
        return None
    now = server_time(headers) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _judged(request: Request[Any], status: int, headers: Mapping[str, str], content: bytes) -> Any:
    if 300 <= status < 400:
        msg = (
            f"{request.label}: answered with a redirect (HTTP {status}), which is not followed because the token would "
            "travel along. Set the connection's host to the address that the API really has"
        )
        raise WtsChatServerError(msg, status=status, method=request.method, path=request.shown_path)
    body: Any = None
    try:
        body = _loaded(content) if content.strip() else None
    except (ValueError, RecursionError):
        if 200 <= status < 300 or status >= 500:
            kind = "HTML" if content.lstrip()[:1] == b"<" else "text that is no JSON"
            msg = f"{request.label}: HTTP {status} with {kind} in place of an answer of the API, likely from a proxy"
            raise WtsChatServerError(
                msg, status=status, method=request.method, path=request.shown_path, retryable=True,
                retry_after=retry_after(headers),
            ) from None  # fmt: skip
    if not 200 <= status < 300 or (isinstance(body, dict) and body.get("error") is True):
        raise _error(request, status, headers, body if isinstance(body, dict) else {})
    if request.result is type(None):
        return body
    # An update may answer with nothing; where the answer is what was asked for, as of lists, nothing is no answer.
    if body is None and (request.method == "GET" or request.result is Page or not request.safe_to_repeat):
        msg = f"{request.label}: HTTP {status} with an empty body in place of an answer"
        raise WtsChatServerError(msg, status=status, method=request.method, path=request.shown_path, retryable=True)
    return body


def _loaded(content: bytes) -> Any:
    body = json.loads(content)
    # Two searches of bytes are quick; to write each page again in order to search it took more time than to read it.
    perhaps = _HALF_ESCAPED.search(content) or _HALF_RAW.search(content)
    if perhaps and _HALF.search(text := json.dumps(body, ensure_ascii=False)):
        # Half an emoji, of a text that was cut: no database and no XCom takes it.
        body = json.loads(_HALF.sub("\ufffd", text))
    return body


def _error(request: Request[Any], status: int, headers: Mapping[str, str], body: dict[str, Any]) -> WtsChatError:
    key = str(body.get("key") or "") or None
    text = str(body.get("text") or body.get("detail") or body.get("title") or "")[:_LONGEST_TEXT] or None
    problems = body.get("errors")
    if isinstance(problems, dict) and problems:
        text = f"{text or 'validation failed'} {json.dumps(problems, ensure_ascii=False)[:_LONGEST_TEXT]}"
    identity = body.get("id")
    short_id = identity.get("shortValue") if isinstance(identity, dict) else None
    facts: dict[str, Any] = {
        "status": status, "key": key, "text": text, "short_id": short_id,
        "method": request.method, "path": request.shown_path, "retry_after": retry_after(headers),
    }  # fmt: skip
    said = ", ".join(
        f"{name} {value}" for name, value in (("HTTP", status), ("key", key), ("error id", short_id)) if value
    )
    # The API's words name channels and contacts by their numbers; as they came they are in the error's text.
    words = f": {masked(text)}" if text else ""

    if status == 429:
        return WtsChatRateLimitError(
            f"{request.label}: the account's request limit is used up ({said}){words}", retryable=True, **facts
        )
    if status == 401 or key == _UNAUTHORIZED:
        return WtsChatAuthenticationError(
            f"{request.label}: not authorized ({said}){words}. The token is wrong, revoked, was unused for 15 days, "
            "or lacks the permission for this; the API does not say which",
            **facts,
        )
    if status == 404 or (key in _NOT_FOUND_KEYS and _says_not_found(text)):
        return WtsChatNotFoundError(f"{request.label}: not found ({said}){words}", **facts)
    # Whatever a gateway puts into its answer, it is no judgement of the API on the request.
    if status not in _OF_A_GATEWAY and (400 <= status < 500 or _refuses(request, key)):
        return WtsChatRefusedError(f"{request.label}: refused ({said}){words}", **facts)
    return WtsChatServerError(f"{request.label}: the server failed ({said}){words}", retryable=True, **facts)


def _refuses(request: Request[Any], key: str | None) -> bool:
    # A key that is not known may stand for a fault that passes, and to read once more harms nothing.
    reads = request.method == "GET" or request.result is Page
    return key is not None and (key in _FINAL_KEYS or not reads)


def _says_not_found(text: str | None) -> bool:
    # ENTITY_NOT_FOUND means "no such thing" and also "this add-on is not enabled": only the text tells them apart.
    return re.search(r"não encontrad|não está n[ao] ", str(text).lower()) is not None


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
