"""Triggers that wait for messages."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting.conditions import MessageHasStatus

__all__ = ["MessageStatusTrigger"]


class MessageStatusTrigger(WtsChatBaseTrigger):
    """
    Wait until a message reaches a status, or has passed it: ``GET /chat/v1/message/{id}/status``.

    No list of the API tells which messages changed, so each is asked for by its id. All messages, scheduled messages
    and cards that are waited for on one connection are asked for in turn, within half of the account's limit: beyond
    some hundred of them a look comes less often than ``poll_interval``.

    :param message_id: id of the message
    :param target_statuses: statuses to wait for; ``DELIVERED`` is reached by a message that is ``READ``, too
    :param failure_statuses: statuses that make waiting pointless
    """

    waits_for = MessageHasStatus

    def __init__(
        self, *, message_id: str, target_statuses: list[str], failure_statuses: list[str], **kwargs: Any
    ) -> None:
        super().__init__(
            message_id=message_id, target_statuses=target_statuses, failure_statuses=failure_statuses, **kwargs
        )
