"""Templates: texts prepared to be sent, the only ones that start a WhatsApp conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed, taking
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.api.types import Template, TemplateDetail, TemplateType

__all__ = ["list_"]

_APPROVED = "Approved"


@taking(Listed)
def list_(
    *,
    archived: bool | None = None,
    name: str | None = None,
    searchable_text: str | None = None,
    channel_id: str | None = None,
    approved_only: bool | None = None,
    template_type: str | None = None,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Template]:
    """
    List templates: ``GET /chat/v1/template``.

    :param archived: true for archived templates, false for the others. Default: left to the API
    :param name: name of the template
    :param searchable_text: text to look for in the content
    :param channel_id: id of the channel
    :param approved_only: true for approved templates only
    :param template_type: kind, see :class:`~airflow_provider_wtschat.api.types.TemplateType`
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.TemplateDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Template`
    :raises WtsChatArgumentError: if an argument is refused
    """
    in_archive = convert.boolean("archived", archived)
    channel = convert.uuid("channel_id", channel_id)
    approved = convert.boolean("approved_only", approved_only)
    return build.listing(
        "/chat/v1/template",
        Template,
        shared,
        query=convert.query(
            Archived=in_archive,
            Name=convert.text("name", name),
            SearchableText=convert.text("searchable_text", searchable_text),
            ChannelId=channel,
            ApprovedOnly=approved,
            Type=convert.choice("template_type", template_type, TemplateType),
            IncludeDetails=convert.choices("include_details", include_details, TemplateDetail),
        ),
        # The filter names other types than the rows.
        filters=convert.filters(archived=in_archive, channelId=channel, status=_APPROVED if approved else None),
        may_be_null=("channelId",),
    )
