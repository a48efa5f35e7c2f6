"""Triggers that wait for cards of panels."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.triggers.base import WtsChatBaseTrigger
from airflow_provider_wtschat.waiting import CardHasMoved


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

    def __init__(
        self,
        *,
        card_id: str,
        step_ids: list[str],
        target_statuses: list[str],
        failure_statuses: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.step_ids = step_ids
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger beside those of its base."""
        return {
            "card_id": self.card_id,
            "step_ids": self.step_ids,
            "target_statuses": self.target_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def condition(self) -> CardHasMoved:
        """Build what is waited for."""
        return CardHasMoved(**self.arguments())
