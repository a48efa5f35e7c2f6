"""Everything that can go wrong with an answer, by chance or on demand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from airflow_provider_wtschat.simulator.errors import ApiError, ProblemError
from airflow_provider_wtschat.simulator.instants import SECOND, http_date
from airflow_provider_wtschat.simulator.options import parse_shares

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    """How many bytes of the announced length never come."""
    cut: bool = False
    """No answer at all: the connection is reset."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which an answer can be wrong."""

    name: str
    summary: str
    acted: bool = False
    """Whether the server does what was asked before its answer goes wrong."""
    passing: bool = True
    """Whether asking again may help; faults that are final are never drawn by ``all``."""


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("429", "429, Retry-After as the options say"),
        Fault("429_seconds", "429, Retry-After in seconds"),
        Fault("429_date", "429, Retry-After as an HTTP date"),
        Fault("429_bare", "429 without Retry-After"),
        Fault("502", "502 with HTML of a proxy"),
        Fault("503", "503 with HTML of a proxy"),
        Fault("504", "504 with HTML of a proxy"),
        Fault("502_acted", "502 with HTML, after the server acted", acted=True),
        Fault("504_acted", "504 with HTML, after the server acted", acted=True),
        Fault("html", "200 with HTML of a proxy"),
        Fault("html_acted", "200 with HTML, after the server acted", acted=True),
        Fault("error200", "200 with an error envelope without a key"),
        Fault("truncated", "body shorter than its Content-Length, after the server acted", acted=True),
        Fault("cut_json", "whole answer, cut JSON, after the server acted", acted=True),
        Fault("empty", "200 without a body, after the server acted", acted=True),
        Fault("lost_before", "connection reset before the server acted"),
        Fault("lost_after", "connection reset after the server acted", acted=True),
        Fault("slow", "answer delayed, after the server acted", acted=True),
        Fault("500", "500 with an envelope without a key"),
        Fault("500_acted", "500 with an envelope without a key, after the server acted", acted=True),
        Fault("error200_keyed", "200 with a business error", passing=False),
        Fault("form_error", "500 FORM_ERROR", passing=False),
        Fault("entity_not_found", "500 ENTITY_NOT_FOUND", passing=False),
        Fault("entity_error_save", "500 ENTITY_ERROR_SAVE", passing=False),
        Fault("unknown_key", "500 with a key that the API has not used so far", passing=False),
        Fault("400", "400 with problem details", passing=False),
        Fault("401", "401 with an envelope", passing=False),
        Fault("403", "403 with an envelope", passing=False),
        Fault("404", "404 with an envelope", passing=False),
    )
}

_KEYED = {
    "form_error": (500, "FORM_ERROR", "Contato não encontrado"),
    "entity_not_found": (500, "ENTITY_NOT_FOUND", "Canal de comunicação não encontrado (5511900000009)"),
    "entity_error_save": (500, "ENTITY_ERROR_SAVE", "Não é possível alterar o atendimento neste estado"),
    "unknown_key": (500, "CACHE_MISS", "Tente novamente"),
    "error200_keyed": (200, "FORM_ERROR", "Contato não encontrado"),
    "error200": (200, None, "Ocorreu um erro inesperado"),
    "500": (500, None, "Ocorreu um erro inesperado"),
    "401": (401, "ERROR_UNAUTHORIZED", "Acesso negado"),
    "403": (403, "ERROR_FORBIDDEN", "Acesso negado"),
    "404": (404, "ENTITY_NOT_FOUND", "Registro não encontrado"),
}
_PROXY_TEXTS = {200: "Service is starting", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


@dataclass(slots=True)
class Injection:
    """A fault that waits for its request."""

    fault: Fault
    pattern: re.Pattern[str]
    times: int | None
    skip: int = 0
    delay_s: float = 2.0
    retry_after: str | None = None


class Faults:
    """Decides which answers go wrong."""

    def __init__(self, shares: str | Mapping[str, float], *, seed: int, retry_after: str = "sometimes") -> None:
        """Prepare the drawing.

        :param shares: share of the answers by the fault's name, as a mapping or ``NAME=SHARE,...``; ``all`` spreads its
            share over every fault that may pass.
        :param retry_after: whether 429 carries it: ``sometimes``, ``always`` or ``never``.
        :raises ValueError: a name is unknown.
        """
        self._rng = Random(f"{seed}/faults")
        self._texts = Random(f"{seed}/429")
        self._retry_after = retry_after
        self._injections: list[Injection] = []
        self._shares: dict[str, float] = {}
        given = parse_shares(shares) if isinstance(shares, str) else dict(shares)
        everything = given.pop("all", 0.0)
        passing = [fault.name for fault in FAULTS.values() if fault.passing]
        for name in passing if everything else ():
            self._shares[name] = everything / len(passing)
        for name, share in given.items():
            self._shares[find_fault(name).name] = share

    def inject(
        self,
        fault: str,
        on: str | None = None,
        *,
        times: int | None = 1,
        skip: int = 0,
        delay_s: float = 2.0,
        retry_after: str | float | None = None,
        acted: bool | None = None,
    ) -> None:
        """Spoil the next answers.

        :param on: which requests: ``PUT /chat/v1/session/{id}/complete``, ``/chat/v1/send/*``, or all.
        :param times: how many; None for all from now on.
        :param skip: how many matching requests to leave alone first.
        :param delay_s: how long ``slow`` takes.
        :param retry_after: value of the header with 429.
        :param acted: whether the server does what was asked; as `FAULTS` says by default.
        """
        chosen = find_fault(fault)
        if acted is not None:
            chosen = replace(chosen, acted=acted)
        header = None if retry_after is None else str(retry_after)
        self._injections.append(Injection(chosen, _request_pattern(on), times, skip, delay_s, header))

    def clear(self) -> None:
        """Forget what was injected and stop drawing by chance."""
        self._injections.clear()
        self._shares.clear()

    def choose(self, method: str, path: str) -> Injection | None:
        """Return what is to go wrong with a request, if anything."""
        request = f"{method} {path}"
        for injection in self._injections:
            if injection.times == 0 or not injection.pattern.fullmatch(request):
                continue
            if injection.skip:
                injection.skip -= 1
                continue
            if injection.times is not None:
                injection.times -= 1
            return injection
        return self._draw() if self._shares else None

    def _draw(self) -> Injection | None:
        chance = self._rng.random()
        for name, share in self._shares.items():
            if chance < share:
                return Injection(FAULTS[name], _request_pattern(None), 1, delay_s=1.0)
            chance -= share
        return None

    def spoil(self, injection: Injection, answer: Answer | None, now: int) -> Answer:
        """Return what the client gets in place of an answer.

        :param answer: what the server would have said; None if it did not act.
        """
        name = injection.fault.name.removesuffix("_acted")
        if name.startswith("429"):
            return self.too_many(now, 1, kind=name.partition("_")[2], retry_after=injection.retry_after)
        if name in ("502", "503", "504", "html"):
            return _proxy_page(200 if name == "html" else int(name))
        if name in _KEYED:
            return _envelope(*_KEYED[name], now=now)
        if name == "400":
            return _problem({"PanelId": ["The value is not valid."]})
        if name in ("lost_before", "lost_after"):
            return Answer(0, cut=True)
        if answer is None:
            answer = Answer(200, b'{"items": [], "totalItems": 0}')
        if name == "empty":
            return replace(answer, body=b"")
        if name in ("truncated", "cut_json"):
            kept = answer.body[: len(answer.body) * 2 // 3]
            return replace(answer, body=kept, missing=len(answer.body) - len(kept) if name == "truncated" else 0)
        return answer

    def too_many(self, now: int, wait_s: float, *, kind: str = "", retry_after: str | None = None) -> Answer:
        """Return a 429 in one of its guises.

        :param wait_s: in how many seconds there will be room.
        :param kind: ``seconds``, ``date`` or ``bare`` if the header's form is given; as the options say by default.
        :param retry_after: the header's value, if it is given.
        """
        header = retry_after
        announced = self._retry_after == "always" or (self._retry_after == "sometimes" and self._texts.random() < 0.5)
        seconds = max(1, math.ceil(wait_s))
        if header is None and kind == "date":
            header = http_date(now + (seconds + 1) * SECOND)
        elif header is None and (kind == "seconds" or (kind == "" and announced)):
            header = str(seconds)
        headers = {} if header is None else {"Retry-After": header}
        body, content_type = self._texts.choice(_TOO_MANY)
        return Answer(429, body, content_type, headers)


# The body of a 429 is unknown; clients must not care.
_TOO_MANY: tuple[tuple[bytes, str | None], ...] = (
    (b"Too many requests", "text/plain"),
    (b'{"statusCode":429,"message":"Rate limit is exceeded. Try again later."}', JSON),
    (b'{"type":null,"title":"Too Many Requests","status":429,"detail":null}', PROBLEM),
    (b"", None),
)


def find_fault(name: str) -> Fault:
    """Return a fault by its name.

    :raises ValueError: there is none.
    """
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known are all, {', '.join(FAULTS)}")
    return FAULTS[name]


def _request_pattern(on: str | None) -> re.Pattern[str]:
    if on is None:
        return re.compile(r".*")
    method, _, path = on.rpartition(" ")
    path = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)).replace(r"\*", ".*")
    return re.compile(f"{method.upper() if method not in ('', '*') else '[A-Z]+'} {path}")


def _proxy_page(status: int) -> Answer:
    title = _PROXY_TEXTS[status]
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center><hr>nginx</body></html>"
    return Answer(status, page.encode(), HTML)


def _envelope(status: int, key: str | None, text: str, *, now: int) -> Answer:
    error_id = f"{now & 0xFFFFFFFF:08x}-0000-4000-8000-000000000000"
    body = ApiError(status, key, text).body(now, error_id)
    if status == 200:
        body["httpStatusCode"] = "InternalServerError"
    return Answer(status, json.dumps(body).encode())


def _problem(errors: Mapping[str, Any]) -> Answer:
    return Answer(400, json.dumps(ProblemError(errors).body()).encode(), PROBLEM)
