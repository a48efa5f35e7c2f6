"""What the simulated account is made of.

Rows are never changed in place: a change makes a new version, so that a list may go on showing the old one for a while,
as the real API's lists do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import NAMESPACE_OID, uuid5

from airflow_provider_wtschat.simulator.lives import Times

OPEN_STATUSES = frozenset({"STARTED", "PENDING", "IN_PROGRESS", "HIDDEN"})


@dataclass(frozen=True, slots=True)
class Row:
    """What all of it has. Instants are microseconds since the epoch."""

    seq: int
    """Position among all rows ever created; breaks ties."""
    id: str
    created: int
    updated: int

    def changed(self, at: int, **values: Any) -> Self:
        """Return the next version."""
        return replace(self, updated=at, **values)


@dataclass(frozen=True, slots=True)
class Session(Row):
    """A conversation."""

    start: int
    interaction: int
    status: str
    contact_id: str
    channel_id: str
    number: str
    end: int | None = None
    department_id: str | None = None
    user_id: str | None = None
    title: str | None = None
    utm: Mapping[str, Any] | None = None
    origin: str = "Contato"
    classification: Mapping[str, Any] | None = None
    times: Times = field(default_factory=Times)
    """How long it waited and was served."""
    first_response: int | None = None
    bot_id: str | None = None
    unread: int = 0
    last_text: str | None = None
    last_out: int | None = None
    last_in: int | None = None
    metadata: Mapping[str, Any] | None = None
    type: str = "INDIVIDUAL"
    reactivate: bool = False


@dataclass(frozen=True, slots=True)
class Contact(Row):
    """A person."""

    name: str | None = None
    phone: str | None = None
    """As stored, e.g. ``+55|11900000001``."""
    email: str | None = None
    instagram: str | None = None
    annotation: str | None = None
    tag_ids: tuple[str, ...] = ()
    status: str = "ACTIVE"
    origin: str = "CREATED_BY_USER"
    imported: int | None = None
    utm: Mapping[str, Any] | None = None
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    portfolio_ids: tuple[str, ...] = ()
    picture_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message(Row):
    """A message or an internal note of a session."""

    session_id: str
    type: str = "TEXT"
    direction: str = "TO_HUB"
    origin: str = "API"
    text: str | None = None
    user_id: str | None = None
    template_id: str | None = None
    sender_id: str | None = None
    callback_url: str | None = None
    ref_id: str | None = None
    file_ids: tuple[str, ...] = ()
    course: tuple[tuple[int, str], ...] = ()
    """What becomes of it: from which instant it has which status, in order."""
    failed_reason: str | None = None
    deleted: bool = False
    details: Mapping[str, Any] | None = None
    """What else it carries, in the contract's own names."""

    def state(self, now: int) -> tuple[str, int]:
        """Return the status at an instant, and since when it has had it."""
        status, since = "SAVED", self.created
        for begin, name in self.course:
            if begin > now:
                break
            status, since = name, begin
        return status, since

    def status(self, now: int) -> str:
        """Return the status at an instant."""
        return self.state(now)[0]

    def updated_by(self, now: int) -> int:
        """Return the time of the last change up to an instant: a status that moves on is one."""
        return max(self.updated, self.state(now)[1])


@dataclass(frozen=True, slots=True)
class Record(Row):
    """Anything else: its data is a mapping in the contract's own names."""

    data: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def public(self) -> dict[str, Any]:
        """Return the data but for what only the simulator knows."""
        return {name: value for name, value in self.data.items() if name[0] != "_"}

    def changed(self, at: int, **values: Any) -> Self:
        """Return the next version."""
        return replace(self, updated=at, data={**self.data, **values})


def member_id(parent_id: str, contact_id: str) -> str:
    """Return the id of a contact's place in a sequence or a portfolio: one for each pair."""
    return str(uuid5(NAMESPACE_OID, f"{parent_id}/{contact_id}"))


def merged(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Merge key-value maps as the API does: keys are added or overwritten, null removes one."""
    together = {**(old or {}), **(new or {})}
    return {key: value for key, value in together.items() if value is not None}
