"""Operators on scheduled messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Unpack

from airflow_provider_wtschat.api import instants, scheduled_messages
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators._arguments import FileArguments, OperatorArguments
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator
from airflow_provider_wtschat.operators.sending import WtsChatFileOperator, WtsChatOnceOperator

__all__ = ["CancelScheduledMessagesOperator", "ScheduleMessageOperator"]


class ScheduleMessageOperator(WtsChatFileOperator, WtsChatOnceOperator):
    """
    Schedule a template or a chatbot: ``POST /chat/v1/scheduled-message``.

    Give a template, or a chatbot, or a template with the chatbot that takes over after the contact replies.

    Returns the scheduled message, as the API sent it.

    .. code-block:: python

        ScheduleMessageOperator(
            task_id="schedule", to="11 90000-0001", from_channel_name="Matriz", template_name="boas_vindas",
            scheduling="2031-01-31 08:00", timezone="America/Sao_Paulo",
        )

    :param to: phone number of the recipient in any spelling (templated)
    :param scheduling: when to send it; a moment that has passed is refused when the task runs (templated)
    :param timezone: IANA time zone of ``scheduling`` if it has none (templated). Default: UTC
    :param message_type: ``TEMPLATE`` or ``CHATBOT`` (templated). Default: ``TEMPLATE`` if there is a template
    :param template_id: id of the template (templated)
    :param template_name: name of the template, in place of its id (templated)
    :param template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3 (templated).
        Each is flattened to one line and cut to the 1,024 characters that WhatsApp takes
    :param bot_key: key of the chatbot (templated)
    :param bot_name: name of the chatbot, in place of its key (templated)
    :param from_channel: number of the channel that sends, in any spelling, or its id (templated). Default: left to the
        API
    :param from_channel_name: name of the channel, in place of its number (templated)
    :param hidden_session: hide the session until the contact replies (templated). Default of the API: false
    :param department_id: id of the department that gets the session (templated)
    :param department_name: name of that department, in place of its id (templated)
    :param phone_country: calling code of phone numbers written without one (templated). Default: 55 (Brazil)
    """

    operation = staticmethod(scheduled_messages.create)
    named: ClassVar = {
        "template_id": "template",
        "bot_key": "chatbot",
        "from_channel": "channel_number",
        "department_id": "department",
    }

    def __init__(
        self,
        *,
        to: str,
        scheduling: When,
        timezone: str = "UTC",
        message_type: str | None = None,
        template_id: str | None = None,
        template_name: str | None = None,
        template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        bot_key: str | None = None,
        bot_name: str | None = None,
        from_channel: str | None = None,
        from_channel_name: str | None = None,
        hidden_session: bool | None = None,
        department_id: str | None = None,
        department_name: str | None = None,
        phone_country: str = "55",
        **kwargs: Unpack[FileArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.scheduling = scheduling
        self.timezone = timezone
        self.message_type = message_type
        self.template_id = template_id
        self.template_name = template_name
        self.template_parameters = template_parameters
        self.bot_key = bot_key
        self.bot_name = bot_name
        self.from_channel = from_channel
        self.from_channel_name = from_channel_name
        self.hidden_session = hidden_session
        self.department_id = department_id
        self.department_name = department_name
        self.phone_country = phone_country

    def prepared(self, checked: Request[Any]) -> Request[Any]:
        """
        Refuse a moment that has passed, which the API takes; a task that has scheduled already is not asked again.

        :param checked: the request, with any id in place of those that take requests to find
        :raises WtsChatArgumentError: if the moment has passed
        """
        moment, now = instants.read(checked.body["scheduling"]), datetime.now(UTC)
        if moment <= now:
            reason = (
                f"{instants.write(moment)} has passed, it is {instants.write(now)}. Give a later moment; one without "
                f"a zone of its own is read as {self.timezone} (timezone)"
            )
            raise WtsChatArgumentError("scheduling", reason)
        return super().prepared(checked)


class CancelScheduledMessagesOperator(WtsChatBaseOperator):
    """
    Cancel scheduled messages: ``POST /chat/v1/scheduled-message/batch-cancel``.

    Returns the scheduled messages in a list, as the API sent them.

    .. code-block:: python

        CancelScheduledMessagesOperator(task_id="cancel", scheduled_message_ids=["{{ params.scheduled_message_id }}"])

    :param scheduled_message_ids: ids of the scheduled messages (templated)
    """

    operation = staticmethod(scheduled_messages.cancel_batch)

    def __init__(self, *, scheduled_message_ids: Sequence[str] | str, **kwargs: Unpack[OperatorArguments]) -> None:
        super().__init__(**kwargs)
        self.scheduled_message_ids = scheduled_message_ids
