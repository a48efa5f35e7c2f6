"""Channels: the phone numbers and profiles through which the account talks to contacts."""

from __future__ import annotations

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Channel, ChannelType

__all__ = ["list_"]


def list_(*, channel_type: str | None = None) -> Request[list[Channel]]:
    """
    List the channels: ``GET /chat/v1/channel``.

    :param channel_type: kind, see :class:`~airflow_provider_wtschat.api.types.ChannelType`. Default: left to the API
    :raises WtsChatArgumentError: if it is not one of them
    """
    return build.get(
        "/chat/v1/channel", list[Channel], ChannelType=convert.choice("channel_type", channel_type, ChannelType)
    )
