"""Triggers that wait for cards of panels."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting.conditions import CardHasMoved

__all__ = ["CardStepTrigger"]


class CardStepTrigger(WtsChatBaseTrigger):
    """
    Wait until a card reaches a step or a status: ``GET /crm/v2/panel/card/{id}``.

    It is asked for by its id, in turn with messages and scheduled messages, see
    :class:`~airflow_provider_wtschat.triggers.message.MessageStatusTrigger`.

    :param card_id: id of the card
    :param step_ids: ids of steps to wait for
    :param target_statuses: statuses to wait for
    :param failure_statuses: statuses that make waiting pointless
    """

    waits_for = CardHasMoved

    def __init__(
        self,
        *,
        card_id: str,
        step_ids: list[str],
        target_statuses: list[str],
        failure_statuses: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(
            card_id=card_id,
            step_ids=step_ids,
            target_statuses=target_statuses,
            failure_statuses=failure_statuses,
            **kwargs,
        )
