"""Sensors that wait for cards of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_wtschat.sensors.base import WtsChatBaseSensor
from airflow_provider_wtschat.triggers.panel import CardStepTrigger

__all__ = ["CardStepSensor"]


class CardStepSensor(WtsChatBaseSensor):
    """
    Wait until a card reaches a step, or a status: ``GET /crm/v2/panel/card/{id}``.

    Returns the card. Deferred, cards are asked for in turn, within half of the account's limit.

    .. code-block:: python

        CardStepSensor(task_id="won", card_id="{{ params.card_id }}", target_statuses=["WON"], deferrable=True)

    :param card_id: id of the card (templated)
    :param step_ids: ids of steps to wait for (templated). Default: none
    :param target_statuses: statuses to wait for: ``OPEN``, ``WON``, ``LOST``, ``ARCHIVED`` (templated). Default: none
    :param failure_statuses: statuses that fail the task at once (templated). Default: none
    """

    trigger_class = CardStepTrigger

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
