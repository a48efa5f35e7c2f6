"""What the simulator writes down: requests, writes, sends, and breaches of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_wtschat.simulator.openapi import Violation


@dataclass(slots=True)
class RequestEntry:
    """One request, in the order of arrival."""

    method: str
    path: str
    query: list[tuple[str, str]]
    operation: str | None
    """E.g. ``GET /chat/v2/session``; None if the contract has no such operation."""
    arrived: float
    """Seconds on a monotonic clock."""
    at: int
    """Server time, in microseconds since the epoch."""
    status: int | None = None
    """None while it is under way, 0 if the connection was cut before any answer."""
    fault: str | None = None
    acted: bool = False
    """Whether the server did what was asked, whatever the client got to hear."""


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changed something, in order."""

    operation: str
    path: Mapping[str, str]
    body: Any
    ids: Sequence[str]
    """Ids of what was created or changed."""
    recipients: Sequence[str | None]
    """Who got a message by it."""
    at: int


@dataclass(frozen=True, slots=True)
class Send:
    """One message that went out to a person, in order; a batch makes several."""

    operation: str
    message_id: str
    session_id: str
    recipient: str | None
    """As stored, e.g. ``+55|11900000001``, or an Instagram name."""
    channel_id: str
    text: str | None
    template_id: str | None
    parameters: Mapping[str, Any] | None
    bot_key: str | None
    file: str | None
    sender_id: str | None
    at: int


@dataclass(slots=True)
class Books:
    """All of it."""

    requests: list[RequestEntry] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything so far."""
        for entries in (self.requests, self.writes, self.sends, self.violations):
            entries.clear()

    def page(self, name: str, since: int = 0) -> list[dict[str, Any]]:
        """Return one of the lists as JSON-able values.

        :param name: ``requests``, ``writes``, ``sends`` or ``violations``.
        :param since: how many of the oldest to leave out.
        """
        return [asdict(entry) for entry in getattr(self, name)[since:]]


class ContractBroken(AssertionError):
    """Requests broke the contract.

    :param violations: what they did.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        shown = "\n".join(f"  {violation}" for violation in violations[:20])
        more = f"\n  ... and {len(violations) - 20} more" if len(violations) > 20 else ""
        super().__init__(f"{len(violations)} breach(es) of the contract:\n{shown}{more}")
        self.violations = tuple(violations)
