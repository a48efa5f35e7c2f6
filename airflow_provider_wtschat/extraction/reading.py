"""What every reading has in common, and the reading of lists as they are now."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_wtschat.api.paging import Paginator
from airflow_provider_wtschat.api.request import AnyRequest, PagedRequest, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.extraction.clock import ServerClock
from airflow_provider_wtschat.extraction.workers import Answered

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

Row = TypeVar("Row")
log = logging.getLogger(__name__)

WORKERS = 24

_SAY_EVERY = 10.0
LOOK_EVERY = 1.0
"""Seconds after which whoever waits for an answer looks whether it is time to log the progress."""


@dataclass(frozen=True)
class Version:
    """
    What shows whether the children of a parent may have changed since they were read.

    :param updated: the parent's last change, as the API wrote it
    :param interaction: its last interaction, where it has any
    :param day: the day on which the children were read
    """

    updated: str | None
    interaction: str | None
    day: str

    def text(self) -> str:
        """Return it as a text to keep."""
        return json.dumps([self.updated, self.interaction, self.day], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Version | None:
        """
        Read what :meth:`text` returned.

        :return: the version, ``None`` for anything else
        """
        try:
            updated, interaction, day = json.loads(text or "")
        except (ValueError, TypeError):
            return None
        return cls(updated, interaction, str(day))

    def same_state(self, other: Version | None) -> bool:
        """Return whether the parent was the same, whenever its children were read."""
        return other is not None and (self.updated, self.interaction) == (other.updated, other.interaction)


@dataclass(frozen=True)
class Parent:
    """
    A thing whose children are to be read.

    :param version: what to keep once its children were read, and to compare with when they may be read again; a text
    """

    id: str
    version: str


@dataclass(frozen=True)
class Batch(Generic[Row]):
    """
    Rows of one answer.

    :param rows: the rows as the API sent them
    :param read_at: the server's time at the answer; the worker's where the server does not say
    :param request: the list that the rows are of
    :param parent: what the rows belong to, where they were read by parent, such as the session of messages
    :param complete: whether all children of the parent were read, and surely so
    """

    rows: list[Row]
    read_at: datetime
    request: AnyRequest
    parent: Parent | None = None
    complete: bool = False


class Reading(Generic[Row]):
    """
    A reading under way: iterate over it once for its batches, then ask how far it went.

    What it starts ends with it, or with an exception of whoever iterates.
    """

    def __init__(self) -> None:
        self.rows = 0
        """Rows given so far; a row may count more than once."""
        self.expected: int | None = None
        """Rows that the lists had when the reading began."""
        self.requests = 0
        """Requests made so far."""
        self.clock = ServerClock()
        """The server's time, as far as the answers tell."""
        self.started_at: datetime | None = None
        """The server's time at the first answer; the worker's where the server does not say."""
        self.until_reached: datetime | None = None
        """Every change before this instant was read; ``None`` until the reading is finished."""
        self.reasons: list[str] = []
        """Why the reading is not verified."""
        self._batches: Generator[Batch[Row], None, None] = self._read()

    def __iter__(self) -> Iterator[Batch[Row]]:
        """Return the batches that were not given yet."""
        return self._batches

    @property
    def verified(self) -> bool:
        """Whether the server kept to what the reading relies on, as far as its answers show."""
        return not self.reasons

    def close(self) -> None:
        """End the reading now."""
        self._batches.close()

    def _read(self) -> Generator[Batch[Row], None, None]:
        yield from ()

    def _doubt(self, reason: str | None) -> None:
        if reason and reason not in self.reasons:
            self.reasons.append(reason)

    def _warn_of_clock(self) -> None:
        if self.clock.disagrees:
            log.warning(
                "The server's answers say that it is %s ahead of this machine, which is not believed: what is read is "
                "taken to reach up to this machine's time. One of the two clocks is wrong",
                self.clock.ahead,
            )


class Progress:
    """
    Logs every few seconds how a reading goes.

    :param hook: the hook, whose budget tells how long was waited
    """

    def __init__(self, hook: WtsChatHook, reading: Reading[Any]) -> None:
        self._budget = hook.budget
        self._reading = reading
        self._waited = self._budget.waited
        self._started = self._said = time.monotonic()

    def say(self, remaining: float | None, *, end: bool = False) -> None:
        """
        Log a line, if it is time.

        :param remaining: rows still to come, where known
        """
        now = time.monotonic()
        if not end and now - self._said < _SAY_EVERY:
            return
        self._said = now
        reading, seconds = self._reading, max(now - self._started, 0.001)
        rate = reading.rows / seconds
        left = f", about {remaining / rate:.0f} s left" if remaining and rate and not end else ""
        log.info(
            "Read %d rows of about %s in %.0f s (%.0f/s) with %d requests, waited %.0f s for the account's limit%s",
            reading.rows,
            "?" if reading.expected is None else reading.expected,
            seconds,
            rate,
            reading.requests,
            self._budget.waited - self._waited,
            left,
        )


class Snapshot(Reading[Row]):
    """
    Reads lists as they are now, one after the other.

    :param bulk: whether to leave the account's other clients room
    :param page_size: rows per page of those that are paged. Default: the connection's ``page_size``, else 100
    :param rows: makes rows out of an answer that is no list
    """

    def __init__(
        self,
        hook: WtsChatHook,
        requests: Sequence[AnyRequest],
        *,
        bulk: bool = True,
        page_size: int | None = None,
        rows: Callable[[WtsChatHook, Any], list[Any]] | None = None,
    ) -> None:
        super().__init__()
        self._hook = hook
        self._requests = requests
        self._bulk = bulk
        self._page_size = page_size
        self._made = rows

    def _read(self) -> Generator[Batch[Row], None, None]:
        for request in self._requests:
            if isinstance(request, PagedRequest):
                size = self._page_size or self._hook.resolve().page_size
                paginator: Paginator[Row] = Paginator(request, page_size=size, confirm=True)
                while (step := paginator.next()) is not None:
                    yield self._batch(request, step, paginator)
                    self._doubt(paginator.reason)
            else:
                yield self._batch(request, request)
        self._warn_of_clock()
        self.until_reached = self.started_at

    def _batch(self, request: AnyRequest, step: Request[Any], paginator: Paginator[Row] | None = None) -> Batch[Row]:
        sent = time.monotonic()
        answer = self._hook.answer(step, bulk=self._bulk)
        received = time.monotonic()
        self.clock.note(answer.server_time, received)
        self.requests += 1
        if self.started_at is None:
            self.started_at = self.clock.at(sent)
        if paginator is not None:
            rows = paginator.accept(answer.value)
        elif self._made is not None:
            rows = self._made(self._hook, answer.value)
        else:
            rows = answer.value or []
        self.rows += len(rows)
        return Batch(rows, max(self.started_at, self.clock.at(received)), request)


def succeeded(answered: Answered[Any]) -> Answer[Any]:
    """
    Return the answer to a request.

    :raises BaseException: what was raised in place of an answer
    """
    if isinstance(answered.answer, BaseException):
        raise answered.answer
    return answered.answer
