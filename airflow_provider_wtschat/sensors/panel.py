"""Sensors that wait for cards of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.panel import CardStepTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context


class CardStepSensor(WtsChatBaseSensor):
    """
    Wait until a card reaches a step, or a status: ``GET /crm/v2/panel/card/{id}``.

    Returns the card. Deferred, cards are asked for in turn, within half of the account's limit.

    :param card_id: id of the card (templated)
    :param step_ids: ids of steps to wait for (templated). Default: none
    :param target_statuses: statuses to wait for: ``OPEN``, ``WON``, ``LOST``, ``ARCHIVED`` (templated). Default: none
    :param failure_statuses: statuses that fail the task at once (templated). Default: none
    """

    template_fields: Sequence[str] = (
        "card_id",
        "step_ids",
        "target_statuses",
        "failure_statuses",
        *WtsChatBaseSensor.template_fields,
    )

    def __init__(
        self,
        *,
        card_id: str,
        step_ids: Sequence[str] | str | None = None,
        target_statuses: Sequence[str] | str | None = None,
        failure_statuses: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.step_ids = step_ids
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses

    def condition(self, context: Context) -> waiting.CardHasMoved:
        """
        Build what is waited for.

        :param context: context of the task
        """
        return waiting.CardHasMoved(
            card_id=self.card_id,
            step_ids=self.step_ids,
            target_statuses=self.target_statuses,
            failure_statuses=self.failure_statuses,
        )

    def trigger(self, condition: waiting.Condition[Any], since: str, timeout_at: str) -> CardStepTrigger:
        """
        Build what waits in the triggerer.

        :param condition: what is waited for
        :param since: when the worker began to look
        :param timeout_at: when time is up
        """
        return CardStepTrigger(
            wtschat_conn_id=self.wtschat_conn_id,
            poll_interval=self.poke_interval,
            timeout_at=timeout_at,
            **condition.arguments(),
        )
