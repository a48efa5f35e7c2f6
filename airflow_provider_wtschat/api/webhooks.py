"""Webhooks: subscriptions to events of the account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import WebhookEvent, WebhookSubscription
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["create", "delete", "get", "list_", "list_events", "update"]

_LONGEST_NAME = 100
_LONGEST_URL = 500
_EVENT = re.compile(r"[A-Z][A-Z_]*")


def list_events() -> Request[list[WebhookEvent]]:
    """List the events that can be subscribed: ``GET /core/v1/webhook/event``."""
    return build.get("/core/v1/webhook/event", list[WebhookEvent])


def list_() -> Request[list[WebhookSubscription]]:
    """List the subscriptions, active or not: ``GET /core/v1/webhook/subscription``."""
    return build.get("/core/v1/webhook/subscription", list[WebhookSubscription])


def get(subscription_id: str) -> Request[WebhookSubscription]:
    """
    Get a subscription: ``GET /core/v1/webhook/subscription/{subscriptionId}``.

    :param subscription_id: id of the subscription
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/core/v1/webhook/subscription/{subscriptionId}", WebhookSubscription, _id(subscription_id))


def create(
    *, name: str, url: str, events: Sequence[str] | str, enabled: bool | None = None
) -> Request[WebhookSubscription]:
    """
    Subscribe to events: ``POST /core/v1/webhook/subscription``.

    :param name: name of the subscription
    :param url: where the API posts the events to
    :param events: names of events such as ``SESSION_NEW``, see :func:`list_events`
    :param enabled: whether it is active at once. Default of the API: true
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.post(
        "/core/v1/webhook/subscription",
        WebhookSubscription,
        body=_values(
            convert.required("name", name), convert.required("url", url), convert.required("events", events), enabled
        ),
        # A second subscription would deliver every event twice.
        safe_to_repeat=False,
    )


def update(
    subscription_id: str,
    *,
    name: str | None = None,
    url: str | None = None,
    events: Sequence[str] | str | None = None,
    enabled: bool | None = None,
) -> Request[WebhookSubscription]:
    """
    Update fields of a subscription: ``PUT /core/v1/webhook/subscription/{subscriptionId}``.

    The API changes only the fields named in a mask; the mask is built from what is given. None of them can be empty.

    :param subscription_id: id of the subscription
    :param name: name of the subscription
    :param url: where the API posts the events to
    :param events: names of events in place of those that it has, see :func:`list_events`
    :param enabled: whether it is active
    :raises WtsChatArgumentError: if an argument is refused, or nothing is to change
    """
    return build.put(
        "/core/v1/webhook/subscription/{subscriptionId}",
        WebhookSubscription,
        _id(subscription_id),
        body=convert.changes(_values(name, url, events, enabled), None, {}, argument="name, url, events, enabled"),
    )


def delete(subscription_id: str) -> Request[None]:
    """
    Delete a subscription: ``DELETE /core/v1/webhook/subscription/{subscriptionId}``.

    :param subscription_id: id of the subscription
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.delete("/core/v1/webhook/subscription/{subscriptionId}", type(None), _id(subscription_id))


def _id(subscription_id: str) -> dict[str, str]:
    return {"subscriptionId": convert.required_uuid("subscription_id", subscription_id)}


def _event(name: str, value: Any) -> str:
    # The API has gained events that its contract does not list, so only the shape of a name is held against it.
    event = convert.identifier(name, value).upper()
    if not _EVENT.fullmatch(event):
        convert.refuse(name, value, "the name of an event such as 'SESSION_NEW' is wanted")
    return event


def _values(name: Any, url: Any, events: Any, enabled: Any) -> dict[str, Any]:
    topics = convert.list_of("events", events, _event)
    if topics is not None and not topics:
        msg = "none were given; a subscription has at least one"
        raise WtsChatArgumentError("events", msg)
    return convert.given(
        name=convert.text("name", name, max_length=_LONGEST_NAME),
        url=convert.text("url", convert.url("url", url), max_length=_LONGEST_URL),
        enabled=convert.boolean("enabled", enabled),
        events=topics,
    )
