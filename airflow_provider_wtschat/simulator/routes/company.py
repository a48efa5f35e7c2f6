"""What belongs to the account as a whole: custom fields, office hours, webhook subscriptions."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_OID, uuid5

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error
from airflow_provider_wtschat.simulator.instants import HOUR
from airflow_provider_wtschat.simulator.lives import CLOSES, OPENS, TIMEZONE_HOURS, WORKDAYS
from airflow_provider_wtschat.simulator.records import Record
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, handles, masked

_OPEN = {"startTime": f"{OPENS // HOUR:02}:00", "endTime": f"{CLOSES // HOUR:02}:00"}
_WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

EVENTS = {
    "SESSION_NEW": "Atendimento criado",
    "SESSION_UPDATE": "Atendimento alterado",
    "SESSION_COMPLETE": "Atendimento concluído",
    "MESSAGE_RECEIVED": "Mensagem recebida",
    "MESSAGE_SENT": "Mensagem enviada",
    "MESSAGE_UPDATED": "Mensagem atualizada",
    "CONTACT_NEW": "Contato criado",
    "CONTACT_UPDATE": "Contato alterado",
    "CONTACT_TAG_UPDATE": "Etiqueta do contato alterada",
    "PAYMENT_NEW": "Pagamento criado",
    "PAYMENT_UPDATE": "Pagamento alterado",
    "PANEL_CARD_NEW": "Card criado",
    "PANEL_CARD_UPDATE": "Card alterado",
    "PANEL_CARD_STEP_CHANGE": "Card movido de etapa",
    "PANEL_CARD_NOTE_NEW": "Anotação criada",
    "PANEL_CARD_NOTE_UPDATE": "Anotação alterada",
}

_PARTIAL = {"Name": "name", "Url": "url", "Events": "events", "Enabled": "enabled"}


@handles("GET /core/v1/contact/custom-field", "GET /core/v1/custom-field")
def list_fields(call: Call) -> Any:
    """List the custom fields of contacts or of all panels, without an envelope."""
    entity = call.query.get("EntityType", "CONTACT")
    fields = [field for field in call.world.custom_fields if field["entityType"] == entity]
    return views.custom_fields(fields, nested=call.query.get("NestedList", False))


@handles("GET /core/v1/company/officehours")
def get_office_hours(call: Call) -> Any:
    """Get the office hours."""
    company_id = call.world.company_id
    return {
        "limitHours": True,
        "offlineResponse": "Nosso horário de atendimento é de segunda a sexta, das 9h às 18h.",
        "timezoneDiff": float(TIMEZONE_HOURS),
        "days": [
            {
                "id": str(uuid5(NAMESPACE_OID, f"{company_id}/{day}")),
                "dayWeek": day,
                "active": position < WORKDAYS,
                "periods": [_OPEN] if position < WORKDAYS else [],
            }
            for position, day in enumerate(_WEEK)
        ],
    }


@handles("GET /core/v1/webhook/event")
def list_events(call: Call) -> Any:
    """List the events that can be subscribed to, without an envelope."""
    return [{"event": event, "description": text} for event, text in EVENTS.items()]


@handles("GET /core/v1/webhook/subscription")
def list_subscriptions(call: Call) -> Any:
    """List subscriptions, without an envelope."""
    return [_view(row) for row in call.world.webhooks]


@handles("GET /core/v1/webhook/subscription/{subscriptionId}")
def get_subscription(call: Call) -> Any:
    """Get a subscription."""
    return _view(_subscription(call))


@handles("POST /core/v1/webhook/subscription")
def create_subscription(call: Call) -> Any:
    """Create a subscription; the simulator delivers to addresses on this machine."""
    world, body = call.world, call.body
    _check(body)
    row = world.record(
        world.webhooks,
        companyId=world.company_id,
        name=body["name"],
        url=body["url"],
        enabled=body.get("enabled") is not False,
        _events=tuple(body["events"]),
    )
    call.touched(row.id)
    return _view(row)


@handles("PUT /core/v1/webhook/subscription/{subscriptionId}")
def update_subscription(call: Call) -> Any:
    """Update the fields named in the mask."""
    row, changes = _subscription(call), masked(call, _PARTIAL)
    _check({"name": row["name"], "url": row["url"], "events": row["_events"], **changes})
    if "events" in changes:
        changes["_events"] = tuple(changes.pop("events"))
    if "enabled" in changes:
        changes["enabled"] = changes["enabled"] is not False
    if changes:
        row = call.world.change(call.world.webhooks, row, **changes)
    call.touched(row.id)
    return _view(row)


@handles("DELETE /core/v1/webhook/subscription/{subscriptionId}")
def delete_subscription(call: Call) -> Any:
    """Delete a subscription."""
    row = _subscription(call)
    call.world.webhooks.delete(row.id)
    call.touched(row.id)


def _subscription(call: Call) -> Record:
    return by_id(call.world.webhooks, call.path["subscriptionId"], "Webhook não encontrado")


def _view(row: Record) -> dict[str, Any]:
    return {
        **views.record(row),
        "events": [{"event": event, "description": EVENTS[event]} for event in row["_events"]],
    }


def _check(values: dict[str, Any]) -> None:
    if not (values["name"] and values["events"] and (values["url"] or "").startswith(("http://", "https://"))):
        raise form_error("Informe o nome, os eventos e uma URL válida")
