"""What the triggers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.waiting.conditions import Condition
from airflow_provider_wtschat.waiting.events import Event, error_event, outcome_event

if TYPE_CHECKING:
    from airflow_provider_wtschat.triggers.feed import Waiter

NET = timedelta(minutes=10)
"""How much later than the trigger itself Airflow ends a deferral."""
ENDED_BY_AIRFLOW = "__fail__"
"""What Airflow calls the method of a task whose deferral it has ended."""


class WtsChatBaseTrigger(BaseTrigger):
    """
    Wait in the triggerer for one condition, on the feed that all triggers of the connection share.

    It only reads, so to run it again after a restart does no harm. Its one event is what
    :mod:`~airflow_provider_wtschat.waiting.events` writes: ids, statuses and instants. A subclass names its condition,
    and hands the condition's arguments to this constructor.

    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``
    :param poll_interval: seconds between two looks, 5 at least. Default: 60
    :param timeout_at: instant at which to give up. Default: never
    :param arguments: arguments of the condition
    """

    waits_for: ClassVar[type[Condition[Any]]]

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float = 60.0,
        timeout_at: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.wtschat_conn_id = wtschat_conn_id
        self.poll_interval = poll_interval
        self.timeout_at = timeout_at
        self.arguments = arguments

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "wtschat_conn_id": self.wtschat_conn_id,
            "poll_interval": self.poll_interval,
            "timeout_at": self.timeout_at,
            **self.arguments,
        }

    def condition(self) -> Condition[Any]:
        """Build what is waited for."""
        names = self.waits_for.argument_names()
        return self.waits_for(**{name: value for name, value in self.arguments.items() if name in names})

    def waiter(self) -> Waiter:
        """Build what waits on the feed."""
        # Sensors import this module to defer, and must not load aiohttp for it.
        from airflow_provider_wtschat.triggers.feed import Waiter

        since = self.arguments.get("since")
        return Waiter(
            condition=self.condition(),
            poll_interval=self.poll_interval,
            since=datetime.now(UTC) if since is None else instants.parse("since", since),
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield how it ended."""
        yield TriggerEvent(await self._wait())  # type: ignore[no-untyped-call]  # Airflow has no types for it

    async def _wait(self) -> Event:
        from airflow_provider_wtschat.triggers.feed import get_feed

        try:
            waiter = self.waiter()
            async with get_feed(self.wtschat_conn_id).subscribe(waiter):
                outcome = await get_feed(self.wtschat_conn_id).wait(waiter, self._seconds_left())
        except WtsChatError as error:
            self.log.error("The wait ended: %s", error)
            return error_event(error)
        return outcome_event(waiter.condition, outcome)

    def _seconds_left(self) -> float:
        if self.timeout_at is None:
            return float("inf")
        return (instants.parse("timeout_at", self.timeout_at) - datetime.now(UTC)).total_seconds()
