"""Operators on chatbots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from airflow_provider_wtschat.api import chatbots
from airflow_provider_wtschat.operators._arguments import OnceArguments
from airflow_provider_wtschat.operators.base import WtsChatSessionBaseOperator
from airflow_provider_wtschat.operators.sending import WtsChatOnceOperator

__all__ = ["SendChatbotOperator"]


class SendChatbotOperator(WtsChatSessionBaseOperator, WtsChatOnceOperator):
    """
    Start a chatbot in a conversation: ``POST /chat/v1/chatbot/send``.

    Returns the session. Give ``to``, or ``session_id``.

    .. code-block:: python

        SendChatbotOperator(task_id="triage", to="+55 11 90000-0001", bot_name="Triagem")

    :param bot_key: key of the chatbot, which is not its id (templated)
    :param bot_name: name of the chatbot, in place of its key (templated)
    :param to: phone number in any spelling, or Instagram user such as ``@maria`` (templated)
    :param from_channel: number of the channel that sends, in any spelling, or its id (templated). Default: left to the
        API
    :param from_channel_name: name of the channel, in place of its number (templated)
    :param session_id: id of a session to send into; a concluded one is not reopened (templated)
    :param skip_if_bot_in_execution: do not send while another chatbot runs (templated)
    :param skip_if_in_progress: do not send while a session is in progress (templated)
    :param force_start_session: end a session in progress and start a new one (templated)
    :param hidden_session: hide a session that is new until the contact replies (templated)
    :param session_metadata: keys and values of the session, for chatbots and webhooks (templated)
    :param contact_metadata: keys and values that stay with the contact, for chatbots and webhooks (templated)
    :param sender_id: an id of your own to track the sending by (templated)
    :param callback_url: URL that the API calls when the chatbot starts or fails (templated)
    :param phone_country: calling code of phone numbers written without one (templated). Default: 55 (Brazil)
    """

    operation = staticmethod(chatbots.send)
    named: ClassVar = {"bot_key": "chatbot", "from_channel": "channel_number"}

    def __init__(
        self,
        *,
        bot_key: str | None = None,
        bot_name: str | None = None,
        to: str | None = None,
        from_channel: str | None = None,
        from_channel_name: str | None = None,
        session_id: str | None = None,
        skip_if_bot_in_execution: bool | None = None,
        skip_if_in_progress: bool | None = None,
        force_start_session: bool | None = None,
        hidden_session: bool | None = None,
        session_metadata: Mapping[str, Any] | str | None = None,
        contact_metadata: Mapping[str, Any] | str | None = None,
        sender_id: str | None = None,
        callback_url: str | None = None,
        phone_country: str = "55",
        **kwargs: Unpack[OnceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.bot_key = bot_key
        self.bot_name = bot_name
        self.to = to
        self.from_channel = from_channel
        self.from_channel_name = from_channel_name
        self.session_id = session_id
        self.skip_if_bot_in_execution = skip_if_bot_in_execution
        self.skip_if_in_progress = skip_if_in_progress
        self.force_start_session = force_start_session
        self.hidden_session = hidden_session
        self.session_metadata = session_metadata
        self.contact_metadata = contact_metadata
        self.sender_id = sender_id
        self.callback_url = callback_url
        self.phone_country = phone_country
