"""
Every operation of the API by name.

A name is the module's and the function's; the underscore that keeps ``list_`` off Python's own ``list`` is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_wtschat.api import (
    channels,
    chatbots,
    messages,
    scheduled_messages,
    sends,
    sequences,
    sessions,
    templates,
)
from airflow_provider_wtschat.api.request import Request

OPERATIONS: dict[str, Callable[..., Request[Any]]] = {
    # chat
    "sessions.list": sessions.list_,
    "sessions.get": sessions.get,
    "sessions.conclude": sessions.conclude,
    "sessions.change_status": sessions.change_status,
    "sessions.update": sessions.update,
    "sessions.transfer": sessions.transfer,
    "sessions.assign": sessions.assign,
    "sessions.send": sessions.send,
    "sessions.send_sync": sessions.send_sync,
    "sessions.list_messages": sessions.list_messages,
    "sessions.list_notes": sessions.list_notes,
    "sessions.create_note": sessions.create_note,
    "sessions.get_note": sessions.get_note,
    "sessions.delete_note": sessions.delete_note,
    "messages.list": messages.list_,
    "messages.get": messages.get,
    "messages.delete": messages.delete,
    "messages.get_status": messages.get_status,
    "messages.send": messages.send,
    "messages.send_sync": messages.send_sync,
    "sends.send_text": sends.send_text,
    "sends.send_image": sends.send_image,
    "sends.send_audio": sends.send_audio,
    "sends.send_video": sends.send_video,
    "sends.send_document": sends.send_document,
    "sends.send_template": sends.send_template,
    "sends.send_template_batch": sends.send_template_batch,
    "sends.send_chatbot": sends.send_chatbot,
    "sends.send_chatbot_batch": sends.send_chatbot_batch,
    "sends.send_otp": sends.send_otp,
    "sends.send_typing": sends.send_typing,
    "sends.get_message_status": sends.get_message_status,
    "sends.get_chatbot_status": sends.get_chatbot_status,
    "sends.get_otp_status": sends.get_otp_status,
    "scheduled_messages.list": scheduled_messages.list_,
    "scheduled_messages.get": scheduled_messages.get,
    "scheduled_messages.create": scheduled_messages.create,
    "scheduled_messages.update": scheduled_messages.update,
    "scheduled_messages.cancel": scheduled_messages.cancel,
    "scheduled_messages.cancel_batch": scheduled_messages.cancel_batch,
    "templates.list": templates.list_,
    "chatbots.list": chatbots.list_,
    "chatbots.send": chatbots.send,
    "channels.list": channels.list_,
    "sequences.list": sequences.list_,
    "sequences.list_contacts": sequences.list_contacts,
    "sequences.add_contact": sequences.add_contact,
    "sequences.add_contacts": sequences.add_contacts,
    "sequences.remove_contact": sequences.remove_contact,
    "sequences.remove_contacts": sequences.remove_contacts,
    # core
    # crm
}
