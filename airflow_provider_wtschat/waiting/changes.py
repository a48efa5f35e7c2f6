"""Which changes of sessions matter to somebody, and reading those that somebody has not seen yet."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, sessions
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.paging import UPDATED, Paginator
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.api.types import Session, SessionStatus
from airflow_provider_wtschat.exceptions import WtsChatServerError
from airflow_provider_wtschat.waiting.conditions import (
    SESSION_COMPLETE,
    SESSION_NEW,
    SESSION_UPDATE,
    SessionFilter,
)

_STATUSES = [status.value for status in SessionStatus if status is not SessionStatus.UNDEFINED]


class SessionChange(StrEnum):
    """What happens to a session."""

    NEW = "new"
    CHANGED = "changed"
    CONCLUDED = "concluded"


_MOMENT = {SessionChange.NEW: "createdAt", SessionChange.CHANGED: "updatedAt", SessionChange.CONCLUDED: "endAt"}


def every_session() -> PagedRequest[Session]:
    """Return the request for all sessions: hidden ones are listed only if their status is asked for."""
    return sessions.list_(status=_STATUSES)


@dataclass(frozen=True)
class Change:
    """
    A change of a session.

    :param updated_at: when it was changed last
    :param moment: when it was created, changed or concluded, by what matters
    """

    session_id: str
    status: str | None
    updated_at: str
    moment: datetime

    def reference(self) -> dict[str, Any]:
        """Return what an event may say of it: no personal data."""
        return {"id": self.session_id, "status": self.status, "updated_at": self.updated_at}

    def fingerprint(self) -> str:
        """Return a short text that no other change has."""
        return hashlib.sha256(f"{self.session_id} {instants.write(self.moment)}".encode()).hexdigest()[:12]


class SessionChanges:
    """
    The changes that somebody wants to know about.

    :param event: ``new``, ``changed`` or ``concluded``
    :param filters: arguments of :class:`~airflow_provider_wtschat.waiting.conditions.SessionFilter`
    """

    def __init__(self, *, event: Any, **filters: Any) -> None:
        self.event = SessionChange(convert.required("event", convert.choice("event", event, SessionChange)))
        self.filter = SessionFilter(**filters)

    @property
    def told_by(self) -> frozenset[str]:
        """Types of the webhook events that together tell of them all."""
        if self.event is SessionChange.CONCLUDED:
            return frozenset({SESSION_COMPLETE})
        return frozenset({SESSION_NEW, SESSION_UPDATE, SESSION_COMPLETE})

    def pick(self, session: Session) -> Change | None:
        """
        Return the change that matters, ``None`` if there is none.

        :param session: a session that changed, as the API sent it
        """
        if self.event is SessionChange.CONCLUDED and session.get("status") != SessionStatus.COMPLETED:
            return None
        if not self.filter.fits(session):
            return None
        updated = str(session["updatedAt"])
        moment = instants.read(str(session.get(_MOMENT[self.event]) or updated))
        return Change(str(session["id"]), session.get("status"), updated, moment)


@dataclass(frozen=True)
class Place:
    """
    The place that a reader of changes has reached, as it keeps it from one reading to the next.

    :param read_up_to: when the last change that was read happened
    :param seen: fingerprints of changes shortly before it, which the next reading meets again
    """

    read_up_to: datetime
    seen: Collection[str] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"read_up_to": instants.write(self.read_up_to), "seen": ",".join(self.seen)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Make one of what :meth:`to_json` returned."""
        return cls(instants.read(kept["read_up_to"]), tuple(filter(None, str(kept.get("seen") or "").split(","))))


def read_changes(
    wanted: SessionChanges, place: Place, *, overlap: timedelta, now: datetime, remember: int
) -> Exchange[tuple[list[Change], Place]]:
    """
    Read the changes since a place, each once.

    :param overlap: how far to go back for rows that became visible late
    :param now: this machine's clock: no place lies after it
    :param remember: so many changes, the latest, are remembered as seen; of more, some come again
    :return: the changes that were not seen before, oldest first, and the place reached
    :raises WtsChatServerError: if the API ignores the bounds of the list
    """
    seen = set(place.seen)
    begin, reached = place.read_up_to - overlap, place.read_up_to
    paginator = Paginator(every_session(), key=UPDATED, after=begin)
    found: list[Change] = []
    met: dict[str, datetime] = {}
    while (step := paginator.next()) is not None:
        rows = paginator.accept((yield step))
        if paginator.bounds_ignored:
            raise bounds_ignored()
        for row in rows:
            updated = instants.read(str(row["updatedAt"]))
            reached = max(reached, min(updated, now))
            change = wanted.pick(row)
            if change is not None and change.moment > begin:
                fingerprint = change.fingerprint()
                if fingerprint not in seen:
                    seen.add(fingerprint)
                    found.append(change)
                met[fingerprint] = updated
    floor = reached - overlap
    latest = sorted((moment, fingerprint) for fingerprint, moment in met.items() if moment >= floor)[-remember:]
    return found, Place(reached, [fingerprint for _, fingerprint in latest])


def bounds_ignored() -> WtsChatServerError:
    """Build the error for a list of sessions that cannot be followed."""
    msg = "The API ignores the bounds of its list of sessions, so what changed cannot be told from the rest"
    return WtsChatServerError(msg, retryable=True)
