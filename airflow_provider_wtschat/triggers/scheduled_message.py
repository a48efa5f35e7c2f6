"""Triggers that wait for scheduled messages."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting.conditions import ScheduledMessageHasStatus

__all__ = ["ScheduledMessageStatusTrigger"]


class ScheduledMessageStatusTrigger(WtsChatBaseTrigger):
    """
    Wait until a scheduled message reaches a status, or has passed it: ``GET /chat/v1/scheduled-message/{id}``.

    It is asked for by its id, in turn with messages and cards, see
    :class:`~airflow_provider_wtschat.triggers.message.MessageStatusTrigger`.

    :param scheduled_message_id: id of the scheduled message
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless
    """

    waits_for = ScheduledMessageHasStatus

    def __init__(
        self,
        *,
        scheduled_message_id: str,
        target_statuses: list[str],
        failure_statuses: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(
            scheduled_message_id=scheduled_message_id,
            target_statuses=target_statuses,
            failure_statuses=failure_statuses,
            **kwargs,
        )
