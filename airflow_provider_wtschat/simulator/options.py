"""Everything about a simulator that can be set, from Python and from the command line alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_wtschat.simulator.instants import SECOND, parse_instant
from airflow_provider_wtschat.simulator.lives import Distributions


def _option(default: Any, help_text: str, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"help": help_text, "choices": choices}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a simulator; times are in seconds unless their name says otherwise, shares are between 0 and 1."""

    # What the account holds
    seed: int = _option(0, "the same seed makes the same account")
    sessions: int = _option(1000, "sessions at the start")
    contacts: int | None = _option(None, "contacts at the start; a quarter of the sessions by default")
    cards: int = _option(120, "cards at the start, over all panels")
    spread_days: float = _option(90.0, "over how many days up to now the rows were created")
    now: str | None = _option(None, "what the server's clock shows at the start (RFC 3339); real time by default")
    statuses: Mapping[str, float] = _option(
        {"COMPLETED": 0.6, "PENDING": 0.2, "IN_PROGRESS": 0.12, "STARTED": 0.08},
        "weights of the sessions' statuses, as STATUS=WEIGHT,...",
    )
    lives: Mapping[str, float] = _option(
        {}, "how conversations go, as NAME=NUMBER,... of the fields of Distributions, such as wait_s=300"
    )
    tie: int = _option(0, "this many sessions share one updatedAt")
    tie_created: int = _option(0, "this many sessions of the tie share createdAt, too")
    odd_characters: float = _option(0.0, "share of names and texts with NUL, lone surrogates, quotes and emoji")

    # How it moves
    changes_per_s: float = _option(0.0, "sessions that change, arrive or get a message, per second")
    deletions: float = _option(0.0, "share of those changes that delete a session")
    late_rows: float = _option(0.0, "share of changed sessions that lists show late")
    late_s: float = _option(30.0, "how late")
    reply_moves_updated: bool = _option(True, "whether a message of the contact changes its session's updatedAt")
    clock_skew_s: float = _option(0.0, "how far the server's clock runs ahead of real time")

    # How lists behave where the real API is unknown or odd
    bounds: str = _option("inclusive", "whether After and Before include the bound", ("inclusive", "exclusive"))
    tie_order: str = _option("stable", "order of rows that are equal in OrderBy", ("stable", "arbitrary"))
    ignore_order_by: bool = _option(False, "pay no attention to OrderBy and OrderDirection")
    ignore_bounds: bool = _option(False, "pay no attention to After and Before")

    # How messages fare
    message_step_s: float = _option(1.0, "seconds from one status of a message to the next")
    fail_share: float = _option(0.0, "share of messages that fail after they were accepted")
    closed_window: str = _option("fail", "free text outside the 24 h window", ("fail", "refuse"))
    sync_wait_s: float = _option(25.0, "how long a synchronous send waits for a status of the channel")
    sender_lookup: str = _option(
        "otp", "what can be looked up by senderId; none keeps it out of messages, too", ("otp", "all", "none")
    )
    batch_results: str = _option(
        "ordered", "results of a batch send; partial leaves some out", ("ordered", "shuffled", "partial")
    )
    scheduled_messages: bool = _option(True, "whether the account has the add-on for scheduled messages")

    # The wire
    latency_ms: float = _option(0.0, "time a request takes beside the work")
    jitter_ms: float = _option(0.0, "how much the latency varies, up and down")
    limits: bool | Mapping[str, Any] = _option(
        True, 'on, off, or JSON such as {"burst": [20, 0.5], "window": [100, 30], "send": [100, 12]}'
    )
    retry_after: str = _option("sometimes", "Retry-After with 429", ("sometimes", "always", "never"))
    faults: str | Mapping[str, float] = _option("", "share of faulty answers, as NAME=SHARE,... or all=SHARE")
    token: str = _option("pn_simulator", "the account's token")
    scopes: tuple[str, ...] = _option(("chat", "core", "crm"), "services that the token may use, as A,B")

    # Checking
    strict: bool = _option(False, "end with an error if a request broke the contract")
    check_answers: bool = _option(False, "hold the simulator's own answers against the contract, too")

    def __post_init__(self) -> None:
        for item in fields(self):
            choices = item.metadata.get("choices")
            if choices and getattr(self, item.name) not in choices:
                raise ValueError(f"{item.name} must be one of {', '.join(choices)}, not {getattr(self, item.name)!r}")
        unknown = sorted(set(self.lives) - {item.name for item in fields(Distributions)})
        if unknown:
            known = ", ".join(item.name for item in fields(Distributions))
            raise ValueError(f"lives has no {', '.join(unknown)}; there are {known}")
        if self.now is not None and parse_instant(self.now) is None:
            raise ValueError(f"now must be an instant such as 2026-01-31T12:00:00Z, not {self.now!r}")

    @property
    def start(self) -> int | None:
        """What the server's clock shows at the start, in microseconds since the epoch; None for real time."""
        instant = None if self.now is None else parse_instant(self.now)
        return None if instant is None else instant.micros + self.skew

    @property
    def skew(self) -> int:
        """``clock_skew_s`` in microseconds."""
        return round(self.clock_skew_s * SECOND)

    @property
    def contact_count(self) -> int:
        """``contacts``, or its default."""
        return max(20, self.sessions // 4) if self.contacts is None else self.contacts

    def to_json(self) -> str:
        """Return the options as a JSON object."""
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)}, default=dict)

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Read what `to_json` wrote.

        :param text: a JSON object; what it does not name keeps its default.
        """
        values = json.loads(text)
        if "scopes" in values:
            values["scopes"] = tuple(values["scopes"])
        return cls(**values)


def parse_shares(text: str) -> dict[str, float]:
    """Read ``NAME=SHARE,NAME=SHARE``.

    :raises ValueError: the text is spelled otherwise, or a number is negative.
    """
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not equals or value < 0:
            raise ValueError(f"{part!r} is not of the form NAME=SHARE")
        shares[name.strip()] = value
    return shares
