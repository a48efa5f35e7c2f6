"""Sensors that wait for scheduled messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.scheduled_message import ScheduledMessageStatusTrigger

__all__ = ["ScheduledMessageStatusSensor"]


class ScheduledMessageStatusSensor(WtsChatBaseSensor):
    """
    Wait until a scheduled message reaches a status: ``GET /chat/v1/scheduled-message/{id}``.

    Returns the scheduled message. One that is ``READ`` was ``SENT``, so it ends a wait for either. Deferred, scheduled
    messages are asked for in turn, within half of the account's limit.

    .. code-block:: python

        ScheduledMessageStatusSensor(
            task_id="sent", scheduled_message_id="{{ ti.xcom_pull('schedule')['id'] }}", deferrable=True
        )

    :param scheduled_message_id: id of the scheduled message (templated)
    :param target_statuses: statuses to wait for: ``PROCESSED``, ``SENT``, ``DELIVERED``, ``READ`` (templated).
        Default: ``SENT``
    :param failure_statuses: statuses that fail the task at once, with the API's reason (templated). Default:
        ``FAILED`` and ``CANCELED``
    """

    trigger_class = ScheduledMessageStatusTrigger

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
