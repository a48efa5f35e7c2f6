"""Sensors that wait for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger

__all__ = ["MessageStatusSensor"]


class MessageStatusSensor(WtsChatBaseSensor):
    """
    Wait until a message reaches a status: ``GET /chat/v1/message/{id}/status``.

    Returns what the API says of the message. A message that is ``READ`` was ``DELIVERED``, so it ends a wait for
    either. Deferred, messages are asked for in turn, within half of the account's limit: with many of them a look comes
    less often than ``poke_interval``.

    .. code-block:: python

        MessageStatusSensor(
            task_id="arrived", message_id="{{ ti.xcom_pull('remind')['id'] }}", deferrable=True
        )

    :param message_id: id of the message (templated)
    :param target_statuses: statuses to wait for: ``SENT``, ``DELIVERED``, ``READ`` (templated). Default: ``DELIVERED``
    :param failure_statuses: statuses that fail the task at once, with the API's reason (templated). Default:
        ``FAILED`` and ``DELETED``
    """

    trigger_class = MessageStatusTrigger

    def __init__(
        self,
        *,
        message_id: str,
        target_statuses: Sequence[str] | str = "DELIVERED",
        failure_statuses: Sequence[str] | str | None = ("FAILED", "DELETED"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses
