"""Operators on webhooks: subscriptions, and the events that came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, webhooks
from airflow_provider_wtschat.api.types import WebhookSubscription
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatServerError, WtsChatUncertainError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.operators._arguments import BaseOperatorArguments, OperatorArguments
from airflow_provider_wtschat.operators.base import ActingOperator, WtsChatBaseOperator
from airflow_provider_wtschat.webhooks.inbox import BEGINNING, Inbox, InboxError, get_inbox

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["DeleteWebhookOperator", "EnsureWebhookOperator", "ReadWebhooksOperator"]

_AT_ONCE = 1000


class EnsureWebhookOperator(WtsChatBaseOperator):
    """
    Let there be one subscription of a name that posts these events: ``POST /core/v1/webhook/subscription``.

    Looks for the name (``GET /core/v1/webhook/subscription``) and creates the subscription, updates what differs
    (``PUT /core/v1/webhook/subscription/{subscriptionId}``), or leaves it as it is. Doing it again changes nothing.

    Returns ``{"id", "name", "events", "enabled"}``, without the address, since its last part is a secret.

    .. code-block:: python

        EnsureWebhookOperator(task_id="webhook", name="airflow", events=["SESSION_NEW", "MESSAGE_RECEIVED"])

    :param name: name of the subscription (templated)
    :param events: names of events such as ``SESSION_NEW`` (templated)
    :param url: where the API posts the events to (templated). Default: this deployment's receiver, which takes
        ``[wtschat] webhook_secret``, and ``webhook_base_url`` if it is not reached at ``[api] base_url``
    :param enabled: whether it is active (templated). Default: true
    """

    operation = staticmethod(webhooks.create)

    def __init__(
        self,
        *,
        name: str,
        events: Sequence[str] | str,
        url: str | None = None,
        enabled: bool = True,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.events = events
        self.url = url
        self.enabled = enabled

    def act(self, context: Context) -> dict[str, Any]:
        """
        Create or update the subscription where it is needed.

        :param context: context of the task
        :return: the subscription, without its address
        """
        wanted = self.checked().body
        found = self._found(wanted["name"])
        if found is None:
            try:
                return _shown(self.hook.run(self.build(**wanted)))
            except WtsChatUncertainError as error:
                # What is looked for before it is created may be tried again.
                found = self._found(wanted["name"])
                if found is None:
                    msg = f"{error}. It is not there now, so a later try may create it"
                    raise WtsChatServerError(msg, retryable=True) from error
        changes = {name: value for name, value in wanted.items() if not _same(_value(found, name), value)}
        if not changes:
            return _shown(found)
        self.log.info("Subscription %s differs in %s", found["id"], ", ".join(sorted(changes)))
        return _shown(self.hook.run(webhooks.update(found["id"], **changes)))

    def given(self) -> dict[str, Any]:
        """Return the values of the subscription, with its address."""
        url = webhook_address.url(self.wtschat_conn_id) if self.url is None else self.url
        enabled = convert.required("enabled", convert.boolean("enabled", self.enabled))
        return {"name": self.name, "events": self.events, "url": url, "enabled": enabled}

    def _found(self, name: str) -> WebhookSubscription | None:
        same = [row for row in self.hook.run(webhooks.list_()) if row.get("name") == name]
        if len(same) > 1:
            self.log.warning("%d subscriptions are named %r; the first is looked after", len(same), name)
        return same[0] if same else None


class DeleteWebhookOperator(WtsChatBaseOperator):
    """
    Delete a subscription: ``DELETE /core/v1/webhook/subscription/{subscriptionId}``.

    One that is not there is deleted already. Returns the ids of what was deleted.

    .. code-block:: python

        DeleteWebhookOperator(task_id="no_webhook", name="airflow")

    :param subscription_id: id of the subscription (templated)
    :param name: in place of the id, name of the subscription; all of that name are deleted (templated)
    """

    operation = staticmethod(webhooks.delete)

    def __init__(
        self,
        *,
        subscription_id: str | None = None,
        name: str | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.subscription_id = subscription_id
        self.name = name

    def act(self, context: Context) -> list[str]:
        """
        Delete it.

        :param context: context of the task
        :return: ids of what was deleted
        """
        if (self.subscription_id is None) == (self.name is None):
            raise WtsChatArgumentError("subscription_id, name", "one of them is wanted, and not both")
        if self.subscription_id is not None:
            ids = [convert.required_uuid("subscription_id", self.subscription_id)]
        else:
            name = convert.required_text("name", self.name)
            ids = [row["id"] for row in self.hook.run(webhooks.list_()) if row.get("name") == name]
        for each in ids:
            self.send(webhooks.delete(each))
        return ids


class ReadWebhooksOperator(ActingOperator):
    """
    Return the webhook events that came since the last run read them, out of the inbox.

    For Dags that :class:`~airflow_provider_wtschat.triggers.webhook_event.WebhookEventTrigger` starts, or a schedule.
    Each event comes at least once, in the order in which it was stored, whatever runs Airflow starts: the place is kept
    in the inbox. A task that is tried again, or cleared, returns the same events again, as long as the inbox keeps
    them. It makes no request, and what it returns holds no text, phone or name: read what you need of the API.

    Returns ``[{"type", "ids", "status", "moment", "instants", "received"}, ...]``, ready for ``.expand()``. More than
    ``max_events`` are left for the next run, and the XCom ``truncated`` says so.

    .. code-block:: python

        events = ReadWebhooksOperator(task_id="read", events=["MESSAGE_RECEIVED"])

    :param wtschat_conn_id: id of the connection whose events are read (templated). Default: ``wtschat_default``
    :param events: types of events such as ``MESSAGE_RECEIVED``; others are passed over (templated). Default: all
    :param consumer: name of the place that is kept (templated). Tasks with the same name share what comes between
        them. Default: the Dag's and the task's id
    :param max_events: so many at most (templated). Default: 1000
    """

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        events: Sequence[str] | str | None = None,
        consumer: str | None = None,
        max_events: int = 1000,
        **kwargs: Unpack[BaseOperatorArguments],
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]  # Airflow narrows its callbacks further
        self.wtschat_conn_id = wtschat_conn_id
        self.events = events
        self.consumer = consumer
        self.max_events = max_events

    def act(self, context: Context) -> list[dict[str, Any]]:
        """
        Read what came.

        :return: the events
        """
        ti = context["ti"]
        types = convert.list_of("events", self.events, convert.identifier)
        consumer = convert.text("consumer", self.consumer) or f"{ti.dag_id}.{ti.task_id}"
        most = convert.required("max_events", convert.integer("max_events", self.max_events, minimum=1))
        name = f"{convert.required_text('wtschat_conn_id', self.wtschat_conn_id)}:{consumer}"
        try:
            inbox = get_inbox()
            reading = f"{name}:{ti.dag_id}.{ti.task_id}:{ti.run_id}:{ti.map_index}"
            earlier = inbox.recall(reading)
            if earlier is None:
                after = inbox.cursor(name) or BEGINNING
                place, found, truncated = self._read(inbox, after, None, types, most)
                if place != after:
                    # Before the place moves: who kills the task between that and its success takes nothing away.
                    inbox.remember(reading, after, place)
            else:
                after, place = earlier
                inbox.move(name, place)
                _, found, _ = self._read(inbox, after, place, types, None)
                truncated = bool(self._read(inbox, inbox.cursor(name) or place, None, types, 1)[1])
            ti.xcom_push(key="truncated", value=truncated)
            if place:
                inbox.move(name, place)
        except InboxError as error:
            msg = f"The inbox of webhooks cannot be read: {error}"
            raise WtsChatServerError(msg, retryable=True) from error
        self.log.info("Read %d events%s", len(found), "; more are left for the next run" if truncated else "")
        return found

    def _read(
        self, inbox: Inbox, place: str, until: str | None, types: list[str] | None, most: int | None
    ) -> tuple[str, list[dict[str, Any]], bool]:
        found: list[dict[str, Any]] = []
        while rows := inbox.read(self.wtschat_conn_id, after=place, until=until, limit=_AT_ONCE):
            for row in rows:
                if types is None or row.event.type in types:
                    if len(found) == most:
                        return place, found, True
                    found.append({**row.event.reference(), "received": instants.write(row.received)})
                place = row.place
        return place, found, False


def _same(one: Any, other: Any) -> bool:
    return sorted(one) == sorted(other) if isinstance(other, list) else bool(one == other)


def _value(subscription: WebhookSubscription, name: str) -> Any:
    if name == "events":
        return [event["event"] for event in subscription.get("events") or ()]
    return subscription.get(name)


def _shown(subscription: WebhookSubscription) -> dict[str, Any]:
    # Without its address.
    return {name: _value(subscription, name) for name in ("id", "name", "events", "enabled")}
