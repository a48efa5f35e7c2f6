"""Channels, templates and chatbots: what messages go out by and with."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.records import Record
from airflow_provider_wtschat.simulator.routes.call import Call, contains, handles, list_page
from airflow_provider_wtschat.simulator.routes.sends import start_bot

# What the query calls a kind of template, and what the rows do.
_TEMPLATE_TYPES = {
    "QUICKREPLY": "QUICKREPLY",
    "ATTENDANCE": "TEMPLATE",
    "CAMPAIGN": "TEMPLATE_CAMPAIGN",
    "SEQUENCE": "TEMPLATE_SEQUENCE",
    "SCHEDULEDMESSAGE": "TEMPLATE_SCHEDULED_MESSAGE",
    "AUTHENTICATION": "AUTHENTICATION",
}


@handles("GET /chat/v1/channel")
def list_channels(call: Call) -> Any:
    """List channels, all of them, without an envelope."""
    kind = call.query.get("ChannelType", "All")
    return [
        views.record(row)
        for row in call.world.channels
        if kind == "All" or row["identity"]["platform"].lower() == kind.lower()
    ]


@handles("GET /chat/v1/template")
def list_templates(call: Call) -> Any:
    """List templates; archived ones only where they are asked for."""
    query = call.query
    archived = query.get("Archived", False)
    wanted = _TEMPLATE_TYPES.get(query.get("Type"))
    details = query.many("IncludeDetails")

    def matches(row: Record) -> bool:
        return (
            row["archived"] == archived
            and contains(row["name"], query.get("Name"))
            and contains(row["text"], query.get("SearchableText"))
            and query.get("ChannelId") in (None, row["channelId"])
            and (row["status"] == "Approved" or not query.get("ApprovedOnly"))
            and (wanted is None or wanted in row["type"])
        )

    return list_page(call, call.world.templates, lambda row: views.template(row, details), matches=matches)


@handles("GET /chat/v1/chatbot")
def list_chatbots(call: Call) -> Any:
    """List chatbots."""
    query = call.query

    def matches(row: Record) -> bool:
        usages = query.many("AutomationUsages")
        return (
            contains(row["name"], query.get("Name"))
            and _one_of(row["type"], query.many("Types"))
            and _one_of(row["defaultDepartmentId"], query.many("DefaultDepartmentIds"))
            and _one_of(row["publishStatus"], [status.upper() for status in query.many("PublishStatuses")])
            and (not query.many("ChannelIds") or not set(query.many("ChannelIds")).isdisjoint(row["channelIds"]))
            and (not usages or not set(usages).isdisjoint(row["automationUsage"] or ()))
        )

    return list_page(call, call.world.chatbots, views.record, matches=matches)


@handles("POST /chat/v1/chatbot/send")
def send_chatbot(call: Call) -> Any:
    """Start a chatbot and answer its session."""
    message = start_bot(call, call.body, call.body.get("botKey"), call.body.get("from"))
    session = call.world.sessions.get(message.session_id)
    return None if session is None else views.session(call.world, session, version=1)


def _one_of(value: Any, wanted: list[Any]) -> bool:
    return not wanted or value in wanted
