"""What the triggers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.waiting import Condition

if TYPE_CHECKING:
    from airflow_provider_wtschat.triggers.feed import Waiter


class WtsChatBaseTrigger(BaseTrigger):
    """
    Wait in the triggerer for one condition, on the feed that all triggers of the connection share.

    It only reads, so to run it again after a restart does no harm. Its one event is a mapping with ``status``
    (``reached``, ``failed``, ``timeout`` or ``error``) and ids, statuses and instants: Airflow logs and stores events
    in the clear, so whoever resumes reads the rest from the API.

    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``
    :param poll_interval: seconds between two looks, 5 at least. Default: 60
    :param timeout_at: instant at which to give up. Default: never
    """

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float = 60.0,
        timeout_at: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.wtschat_conn_id = wtschat_conn_id
        self.poll_interval = poll_interval
        self.timeout_at = timeout_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "wtschat_conn_id": self.wtschat_conn_id,
            "poll_interval": self.poll_interval,
            "timeout_at": self.timeout_at,
            **self.arguments(),
        }

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger beside those of its base."""

    @abstractmethod
    def condition(self) -> Condition[Any]:
        """
        Build what is waited for.

        :raises WtsChatArgumentError: if an argument is refused
        """

    def waiter(self) -> Waiter:
        """Build what waits on the feed; without a list of changes, unless a subclass knows one."""
        from airflow_provider_wtschat.triggers.feed import Waiter

        return Waiter(condition=self.condition(), poll_interval=self.poll_interval, since=datetime.now(UTC))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield how it ended."""
        yield TriggerEvent(await self._wait())  # type: ignore[no-untyped-call]  # Airflow has no types for it

    async def _wait(self) -> dict[str, Any]:
        # Sensors import this module to defer, and must not load aiohttp for it.
        from airflow_provider_wtschat.triggers.feed import get_feed

        try:
            waiter = self.waiter()
            async with get_feed(self.wtschat_conn_id).subscribe(waiter):
                finding = await get_feed(self.wtschat_conn_id).wait(waiter, self._seconds_left())
        except WtsChatError as error:
            self.log.error("The wait ended: %s", error)
            return _error_event(error)
        if finding is None:
            return {"status": "timeout", "id": waiter.condition.subject}
        return {
            "status": "reached" if finding.reached else "failed",
            "id": waiter.condition.subject,
            "found": finding.status,
            "updated_at": finding.updated_at,
        }

    def _seconds_left(self) -> float:
        if self.timeout_at is None:
            return float("inf")
        return (instants.parse("timeout_at", self.timeout_at) - datetime.now(UTC)).total_seconds()


def _error_event(error: WtsChatError) -> dict[str, Any]:
    # Not its text, which may quote a person.
    return {
        "status": "error",
        "error": type(error).__name__,
        "http_status": error.status,
        "retryable": error.retryable,
    }
