"""The errors of the provider, one tree."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from itertools import takewhile
from typing import Any, TypeVar

from airflow_provider_wtschat._compat import AirflowException, AirflowFailException

__all__ = [
    "WtsChatArgumentError",
    "WtsChatAuthenticationError",
    "WtsChatConnectionError",
    "WtsChatDestinationError",
    "WtsChatError",
    "WtsChatFailedError",
    "WtsChatNotFoundError",
    "WtsChatRateLimitError",
    "WtsChatRefusedError",
    "WtsChatServerError",
    "WtsChatUncertainError",
]

E = TypeVar("E", bound="WtsChatError")
_STEP = re.compile(r"\[(?:(\d+)|'([^']*)')\]")
_PLACE = re.compile(rf"([^\[\],]+)((?:{_STEP.pattern})*)(?:, )?")


@cache
def _page_of_errors() -> str | None:
    """Derive the page's address from that of the documentation, which stands in the package's metadata."""
    try:
        links = dict(link.split(", ", 1) for link in metadata("airflow-provider-wtschat").get_all("Project-URL", []))
    except PackageNotFoundError:
        return None
    url = links.get("Documentation", "")
    # Until the project has an address, a made-up one stands there.
    return None if not url or "/example/" in url else re.sub(r"index(\.\w+)?$", r"errors\1", url)


class WtsChatError(AirflowException):
    """
    Base of everything this provider raises about WTS Chat.

    :param message: what happened, to which argument or request, and what to do
    :param status: HTTP status of the answer, where there was one
    :param key: the API's error key, such as ``ENTITY_NOT_FOUND``
    :param text: the API's own words
    :param short_id: the API's ``id.shortValue``: what the vendor's support asks for
    :param method: HTTP method of the request
    :param path: path of the request, personal data masked
    :param retryable: whether the same call may succeed later
    :param retry_after: seconds after which the API allows the next request, where it said so
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        key: str | None = None,
        text: str | None = None,
        short_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.key = key
        self.text = text
        self.short_id = short_id
        self.method = method
        self.path = path
        self.retryable = retryable
        self.retry_after = retry_after
        if url := self.help_url:
            self.add_note(f"What it means, and what to do: {url}")

    @property
    def help_url(self) -> str | None:
        """Where the documentation says what this error means and what to do; None if it has no address."""
        page = _page_of_errors()
        return page and f"{page}#{type(self).__name__.lower()}"

    def retold(self, message: str, kind: type[E]) -> E:
        """
        Return an error with the same facts and another message.

        :param message: what to say now
        :param kind: the kind of error to make of it
        """
        return kind(
            message, status=self.status, key=self.key, text=self.text, short_id=self.short_id, method=self.method,
            path=self.path, retryable=self.retryable and not issubclass(kind, AirflowFailException),
            retry_after=self.retry_after,
        )  # fmt: skip


class WtsChatArgumentError(WtsChatError, ValueError):
    """
    An argument was refused before any request was made.

    :param argument: the argument as the caller named it, such as ``tag_ids`` or, for a value inside of it,
        ``messages[1]['to']``; several are separated by a comma and a blank
    :param reason: what was given, what is wanted, and what to do
    :param facts: of the request, where one was being made
    """

    def __init__(self, argument: str, reason: str, **facts: Any) -> None:
        super().__init__(f"{argument}: {reason}", **facts)
        self.argument = argument
        self.reason = reason

    @property
    def names(self) -> tuple[str, ...]:
        """The refused arguments, without the places inside of them: ``("messages",)`` of ``messages[1]['to']``."""
        return tuple(dict.fromkeys(name for name, _ in self._places()))

    @property
    def position(self) -> tuple[int | str, ...]:
        """Where in the argument the refused value lies: ``(1, "to")`` of ``messages[1]['to']``, empty for all of it."""
        positions = [position for _, position in self._places()]
        common = takewhile(lambda steps: len(set(steps)) == 1, zip(*positions, strict=False))
        return tuple(steps[0] for steps in common)

    def renamed(self, *names: str, position: tuple[int | str, ...] | None = None) -> WtsChatArgumentError:
        """
        Return the same refusal under the name that the caller knows.

        :param names: the caller's argument, or several
        :param position: place inside of it. Default: as it was
        """
        place = "".join(f"[{step!r}]" for step in (self.position if position is None else position))
        return type(self)(", ".join(name + place for name in names), self.reason)

    def _places(self) -> list[tuple[str, tuple[int | str, ...]]]:
        return [
            (found[1], tuple(int(number) if number else word for number, word in _STEP.findall(found[2])))
            for found in _PLACE.finditer(self.argument)
        ]


class WtsChatAuthenticationError(WtsChatError):
    """The API answered 401: the token is wrong, revoked, expired, or lacks the permission."""


class WtsChatRefusedError(WtsChatError):
    """The API understood the request and refused it; the same request will be refused again."""


class WtsChatNotFoundError(WtsChatRefusedError):
    """What the request names does not exist."""


class WtsChatRateLimitError(WtsChatError):
    """The account's request limit did not allow the request in the time given; nothing was changed by it."""


class WtsChatServerError(WtsChatError):
    """The API, or something on the way to it, failed or answered what is no answer of the API."""


class WtsChatConnectionError(WtsChatServerError):
    """No connection was made, so the API cannot have seen the request."""


class WtsChatDestinationError(WtsChatError):
    """
    A database or a storage did not do what was asked; the API has nothing to do with it.

    A lost connection, a lock, or memory or disk that ran out may be gone at the next try (``retryable``); a missing
    right or a table that does not fit is not.
    """


class WtsChatUncertainError(WtsChatError, AirflowFailException):
    """
    A request that must not be sent twice was interrupted: nobody knows whether the API acted on it.

    Airflow fails the task without a retry, since a retry could reach the customer a second time.

    :param message: what happened, to which request, and what to do
    :param interrupted_by: what interrupted it, where it was an exception
    :param facts: of the request, as for every error
    """

    def __init__(self, message: str, *, interrupted_by: BaseException | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.interrupted_by = interrupted_by


class WtsChatFailedError(WtsChatError, AirflowFailException):
    """
    What a task did or waited for ended in a failure that no retry of the task can mend.

    Raised in place of an error that would only keep a red task yellow for some retries,
    and when a message or another thing that was waited for failed for good.
    """
