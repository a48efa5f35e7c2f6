"""Sensors that wait for scheduled messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.scheduled_message import ScheduledMessageStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context


class ScheduledMessageStatusSensor(WtsChatBaseSensor):
    """
    Wait until a scheduled message reaches a status: ``GET /chat/v1/scheduled-message/{id}``.

    Returns the scheduled message. One that is ``READ`` was ``SENT``, so it ends a wait for either. Deferred, scheduled
    messages are asked for in turn, within half of the account's limit.

    :param scheduled_message_id: id of the scheduled message (templated)
    :param target_statuses: statuses to wait for: ``PROCESSED``, ``SENT``, ``DELIVERED``, ``READ`` (templated).
        Default: ``SENT``
    :param failure_statuses: statuses that fail the task at once, with the API's reason (templated). Default:
        ``FAILED`` and ``CANCELED``
    """

    template_fields: Sequence[str] = (
        "scheduled_message_id",
        "target_statuses",
        "failure_statuses",
        *WtsChatBaseSensor.template_fields,
    )

    def __init__(
        self,
        *,
        scheduled_message_id: str,
        target_statuses: Sequence[str] | str = "SENT",
        failure_statuses: Sequence[str] | str | None = ("FAILED", "CANCELED"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scheduled_message_id = scheduled_message_id
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses

    def condition(self, context: Context) -> waiting.ScheduledMessageHasStatus:
        """
        Build what is waited for.

        :param context: context of the task
        """
        return waiting.ScheduledMessageHasStatus(
            scheduled_message_id=self.scheduled_message_id,
            target_statuses=self.target_statuses,
            failure_statuses=self.failure_statuses,
        )

    def trigger(self, condition: waiting.Condition[Any], since: str, timeout_at: str) -> ScheduledMessageStatusTrigger:
        """
        Build what waits in the triggerer.

        :param condition: what is waited for
        :param since: when the worker began to look
        :param timeout_at: when time is up
        """
        return ScheduledMessageStatusTrigger(
            wtschat_conn_id=self.wtschat_conn_id,
            poll_interval=self.poke_interval,
            timeout_at=timeout_at,
            **condition.arguments(),
        )
