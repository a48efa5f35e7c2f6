"""What the account allows, and what the stores that count its requests have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_wtschat.budget.usage import Usage

CLOCK_SLACK = 5.0
"""Seconds by which the times of a store may lie ahead of what they can be before they count as a clock's step back."""

RECOVERY = 0.1
"""The part of its share that a store gets back in the time of the read window."""

GRACE = 0.05
"""Seconds for which bulk reads leave a slot that has come free to the call that waits for it."""


class Window(NamedTuple):
    """So many requests in so many seconds."""

    limit: int
    seconds: float

    def share(self, share: float) -> int:
        """Count the requests of a share of the window, above 0 and at most 1: at least one."""
        return max(1, int(self.limit * share + 1e-9))

    def wait(self, now: float, ranked: float | None) -> float:
        """
        Say how long the window stays full; never more than it takes.

        Slots that are still open count as answered in the future, when their lease ends. They rank first, so one rule
        serves both: with n slots, a further one is free when the n-th latest answer is a window's length old.

        :param ranked: the n-th latest answer, None if there are fewer
        :return: seconds, 0 if a slot is free now. A slot that is open now may be answered at once.
        """
        return 0.0 if ranked is None else max(0.0, min(ranked, now) + self.seconds - now)

    def __str__(self) -> str:
        return f"{self.limit} requests in {self.seconds:g} s"


BURST = Window(200, 5.0)
READ = Window(1_000, 300.0)
SEND = Window(1_000, 120.0)


@dataclass(frozen=True)
class Limits:
    """
    The limits of an account.

    :param burst: holds for every request
    :param read: holds for everything but sends
    :param send: holds for ``/chat/v1/send/*``, GET and POST
    :param lease: seconds after which a slot that nobody gave back (its process died) counts as answered
    """

    burst: Window = BURST
    read: Window = READ
    send: Window = SEND
    lease: float = 90.0

    def of(self, send: bool) -> tuple[tuple[str, Window], tuple[str, Window]]:
        """List the windows, by name, that a request must fit into, or one that goes to ``/chat/v1/send/*``."""
        return ("burst", self.burst), ("send", self.send) if send else ("read", self.read)

    @property
    def longest(self) -> float:
        """Seconds for which an answer matters."""
        return max(self.burst.seconds, self.read.seconds, self.send.seconds)


class Pace(NamedTuple):
    """
    The part of its share that a store takes since the last 429.

    A store that counts every request of an account meets none, so a 429 says that somebody uses the account who is not
    counted. Each halves the pace, which then grows back by a tenth of the share in the time of the read window: a
    constant step up and a halving down bring those who compete to equal parts.

    :param part: after the last 429
    :param since: when that was, on the store's clock
    """

    part: float = 1.0
    since: float = 0.0

    def at(self, now: float, limits: Limits) -> float:
        """Return what part of the share may be taken now."""
        return min(1.0, self.part + RECOVERY * max(0.0, now - self.since) / limits.read.seconds)

    def halved(self, now: float, limits: Limits) -> Pace:
        """Return the pace after a 429; the same for all the requests that met it together."""
        if self.part < 1 and 0 <= now - self.since < limits.burst.seconds:
            return self
        return Pace(self.at(now, limits) / 2, now)


class Refusal(NamedTuple):
    """No slot now."""

    wait: float
    """Seconds until one can be free, at the earliest."""
    reason: str


HELD = "the API answered 429"
YIELDING = "calls that go first are waiting"


def of_limits(share: float) -> str:
    """Return what share of the limits, above 0 and at most 1, a store may give away."""
    return "" if share == 1 else f", {share:.0%} of the limits"


def is_full(window: Window, share: float) -> str:
    """Say that a window is full."""
    return f"all of the account's {window}" if share == 1 else f"{share:.0%} of the account's {window}"


class StoreError(Exception):
    """A shared store cannot be used; the message says why."""


class Store(ABC):
    """Where the requests of an account are counted."""

    @abstractmethod
    def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
        """
        Take a slot, or return why there is none.

        :param slot: a number that the caller draws, so that a call repeated on a lost connection counts once
        :param send: the request goes to ``/chat/v1/send/*``
        :param bulk_share: for a bulk read, the share of the windows that it may fill; None for the calls that go first
        :return: None if the slot is taken
        """

    @abstractmethod
    def answer(self, slot: int, *, send: bool) -> None:
        """Note that the answer to the request of a slot has arrived."""

    @abstractmethod
    def hold(self, seconds: float) -> None:
        """
        Refuse slots to everybody for a while and halve the pace: the API answered 429.

        :param seconds: how long; a shorter one does not end a longer one
        """


class SharedStore(Store):
    """Counts the requests of several processes. Its methods raise StoreError where it cannot be used."""

    users = 1
    """How many machines use it, as far as it knows."""

    def note_name(self, name: str) -> None:
        """Remember the id of a connection, by which the account can be shown."""

    def usage(self) -> Usage:
        """Return what of the account's limits is used now, and by whom."""
        msg = f"{self.describe()}: it does not tell what is used"
        raise StoreError(msg)

    def note_users(self, users: int) -> None:
        """Take only the part of one of several machines, which counted together elsewhere until now."""

    @abstractmethod
    def after_fork(self) -> None:
        """Forget, in a forked child, the locks and connections that belong to the parent."""

    @abstractmethod
    def describe(self) -> str:
        """Return who shares it."""
