"""Operators on campaigns: dispatches of :mod:`airflow_provider_wtschat.transfers.sql_to_wtschat`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import BaseOperator
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.campaigns.sql import connected
from airflow_provider_wtschat.campaigns.table import DEFAULT_TABLE, CampaignTable, State
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators.base import failing_for_good

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatCampaignControlOperator"]


class Action(StrEnum):
    """What to do with a campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


_STATES = {Action.PAUSE: State.PAUSED, Action.RESUME: State.GOING, Action.STOP: State.STOPPED}


class WtsChatCampaignControlOperator(BaseOperator):
    """
    Pause, resume or stop a campaign, whichever tasks and workers are sending it.

    Each worker looks before its next request of up to a hundred messages. One that finds the campaign paused waits
    until it is resumed; one that finds it stopped fails without retries. What is planned stays planned in either case:
    after ``resume`` a paused dispatch goes on by itself, and a stopped one when its task is cleared.

    .. code-block:: python

        WtsChatCampaignControlOperator(
            task_id="hold", campaign="spring offer", action="pause", table_conn_id="warehouse"
        )

    Returns campaign, table, state and the counts of rows by status.

    :param campaign: name of the dispatch (templated)
    :param action: ``pause``, ``resume`` or ``stop`` (templated)
    :param table_conn_id: id of the connection to the database with the table (templated)
    :param table: name of the table (templated). Default: ``wtschat_campaign``
    """

    template_fields: Sequence[str] = ("campaign", "action", "table_conn_id", "table")
    ui_color = "#d9f2e3"

    def __init__(
        self, *, campaign: str, action: str, table_conn_id: str, table: str = DEFAULT_TABLE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.action = action
        self.table_conn_id = table_conn_id
        self.table = table

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Change the state of the campaign.

        :param context: context of the task
        :return: campaign, table, state and counts
        :raises WtsChatFailedError: if there is no such campaign
        """
        with failing_for_good():
            action = Action(convert.required("action", convert.choice("action", self.action, Action)))
            campaign = convert.required_text("campaign", self.campaign).strip()
            hook = connected("table_conn_id", self.table_conn_id)
            rows = CampaignTable(hook, convert.required_text("table", self.table), campaign)
            try:
                if not rows.control(_STATES[action]):
                    msg = f"nothing is planned as {campaign!r} in the table {rows.table}"
                    raise WtsChatArgumentError("campaign", msg)
                counts = {status.value: number for status, number in rows.counts().items()}
            finally:
                rows.close()
            self.log.info("Campaign %r: %s", campaign, action)
            return {"campaign": campaign, "table": rows.table, "state": _STATES[action].value, **counts}
