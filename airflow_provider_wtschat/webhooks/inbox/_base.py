"""What the inboxes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_wtschat.api.webhook_events import WebhookEvent

BEGINNING = ""
"""The place before the first event."""


class InboxError(Exception):
    """The inbox cannot be used now; nothing of the batch counts as stored. The message says why."""


@dataclass(frozen=True)
class Stored:
    """
    An event in the inbox.

    :param place: its place, for ``read`` and cursors; a text whose meaning is the inbox's own
    :param received: when it was stored, by this machine's clock
    :param event: the event
    """

    place: str
    received: datetime
    event: WebhookEvent


class Inbox(ABC):
    """
    Keeps events.

    Every method raises :class:`InboxError` where the inbox cannot be used, and may be called in any thread.
    """

    @abstractmethod
    def describe(self) -> str:
        """Return where it is, without a password."""

    @abstractmethod
    def put(self, batch: Sequence[tuple[str, WebhookEvent]]) -> list[bool]:
        """
        Store events; they are safe when it returns.

        :param batch: pairs of a connection's id and an event
        :return: for each, whether it is new; one that the connection has already had is not stored again
        """

    @abstractmethod
    def read(
        self, conn_id: str, *, after: str = BEGINNING, until: str | None = None, limit: int = 1000
    ) -> list[Stored]:
        """
        Return events of a connection in the order in which they were stored.

        :param conn_id: id of the connection
        :param after: the place after which to begin
        :param until: the last place to read. Default: to the end
        :param limit: so many at most
        """

    @abstractmethod
    def end(self, conn_id: str) -> str:
        """
        Return the place of the latest event of a connection.

        :param conn_id: id of the connection
        """

    @abstractmethod
    def connections(self) -> list[str]:
        """Return the ids of the connections that have events."""

    @abstractmethod
    def newest(self, conn_id: str) -> datetime | None:
        """
        Return when the latest event of a connection was stored, ``None`` if it has none.

        :param conn_id: id of the connection
        """

    @abstractmethod
    def cursor(self, name: str) -> str | None:
        """
        Return how far a reader has read, ``None`` for one that never has.

        :param name: name of the reader
        """

    @abstractmethod
    def cursors(self) -> dict[str, str]:
        """Return how far each reader has read, by name."""

    @abstractmethod
    def move(self, name: str, place: str) -> None:
        """
        Remember how far a reader has read; never back.

        :param name: name of the reader
        :param place: the place up to which it has read
        """

    @abstractmethod
    def remember(self, name: str, after: str, until: str) -> None:
        """
        Remember what somebody has read, for as long as events are kept.

        :param name: name of the reading
        :param after: the place after which it began
        :param until: the last place that it read
        """

    @abstractmethod
    def recall(self, name: str) -> tuple[str, str] | None:
        """
        Return what was remembered of a reading, ``None`` if nothing was.

        :param name: name of the reading
        """

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """
        Forget old events.

        :param before: those that were stored before it
        :return: how many were forgotten
        """

    @abstractmethod
    def close(self) -> None:
        """Close what is open; it opens again by itself."""
