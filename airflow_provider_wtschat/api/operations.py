"""
Every operation of the API by name.

A name is the module's and the function's; the underscore that keeps ``list_`` off Python's own ``list`` is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_wtschat.api import (
    agents,
    channels,
    chatbots,
    contacts,
    custom_fields,
    departments,
    files,
    messages,
    office_hours,
    panels,
    portfolios,
    scheduled_messages,
    sends,
    sequences,
    sessions,
    tags,
    templates,
    webhooks,
)
from airflow_provider_wtschat.api.request import AnyRequest

_RESOURCES = (
    # chat
    sessions, messages, sends, scheduled_messages, templates, chatbots, channels, sequences,
    # core
    contacts, custom_fields, tags, portfolios, departments, agents, files, webhooks, office_hours,
    # crm
    panels,
)  # fmt: skip

OPERATIONS: dict[str, Callable[..., AnyRequest]] = {
    f"{module.__name__.rpartition('.')[2]}.{name.removesuffix('_')}": value
    for module in _RESOURCES
    for name, value in vars(module).items()
    # Some modules also show what helps to build a request.
    if name in module.__all__ and value.__annotations__["return"].startswith(("Request[", "PagedRequest["))
}
