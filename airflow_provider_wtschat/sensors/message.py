"""Sensors that wait for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context


class MessageStatusSensor(WtsChatBaseSensor):
    """
    Wait until a message reaches a status: ``GET /chat/v1/message/{id}/status``.

    Returns what the API says of the message. A message that is ``READ`` was ``DELIVERED``, so it ends a wait for
    either. Deferred, messages are asked for in turn, within half of the account's limit: with many of them a look comes
    less often than ``poke_interval``.

    :param message_id: id of the message (templated)
    :param target_statuses: statuses to wait for: ``SENT``, ``DELIVERED``, ``READ`` (templated). Default: ``DELIVERED``
    :param failure_statuses: statuses that fail the task at once, with the API's reason (templated). Default:
        ``FAILED`` and ``DELETED``
    """

    template_fields: Sequence[str] = (
        "message_id",
        "target_statuses",
        "failure_statuses",
        *WtsChatBaseSensor.template_fields,
    )

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

    def condition(self, context: Context) -> waiting.MessageHasStatus:
        """
        Build what is waited for.

        :param context: context of the task
        """
        return waiting.MessageHasStatus(
            message_id=self.message_id,
            target_statuses=self.target_statuses,
            failure_statuses=self.failure_statuses,
        )

    def trigger(self, condition: waiting.Condition[Any], since: str, timeout_at: str) -> MessageStatusTrigger:
        """
        Build what waits in the triggerer.

        :param condition: what is waited for
        :param since: when the worker began to look
        :param timeout_at: when time is up
        """
        return MessageStatusTrigger(
            wtschat_conn_id=self.wtschat_conn_id,
            poll_interval=self.poke_interval,
            timeout_at=timeout_at,
            **condition.arguments(),
        )
