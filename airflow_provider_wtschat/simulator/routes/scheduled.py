"""Scheduled messages, an add-on that an account may not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import cannot_save, form_error, not_found
from airflow_provider_wtschat.simulator.phones import stored_phone
from airflow_provider_wtschat.simulator.records import Record
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, contains, handles, list_page, masked
from airflow_provider_wtschat.simulator.sending import (
    find_bot,
    find_channel,
    find_department,
    find_recipient,
    find_template,
)
from airflow_provider_wtschat.simulator.tables import Bound
from airflow_provider_wtschat.simulator.world import World

_WHAT = {"Type": "type", "TemplateId": "templateId", "BotId": "botKey", "TemplateParams": "templateParams"}


@handles("GET /chat/v1/scheduled-message")
def list_scheduled(call: Call) -> Any:
    """List scheduled messages of any status."""
    world, details = _world(call), call.query.many("IncludeDetails")
    # Statuses move on by themselves, so nothing may be remembered.
    rows = [_current(world, row) for row in world.scheduled]
    return list_page(call, rows, lambda row: views.scheduled(world, row, details), matches=_filter(call))


@handles("GET /chat/v1/scheduled-message/{id}")
def get_scheduled(call: Call) -> Any:
    """Get a scheduled message."""
    # Here the contract spells the name with a small letter.
    world = _world(call)
    return views.scheduled(world, _current(world, _scheduled(call)), call.query.many("includeDetails"))


@handles("POST /chat/v1/scheduled-message")
def create_scheduled(call: Call) -> Any:
    """Schedule a message."""
    world, body = _world(call), call.body
    if not body.get("scheduling"):
        raise form_error("Informe a data do agendamento")
    channel = find_channel(world, body.get("from"))
    what = _what(world, body, channel)
    scheduling = _future(call, body["scheduling"])
    department_id = find_department(world, body.get("department"))
    row = world.record(
        world.scheduled,
        active=True,
        companyId=world.company_id,
        contactId=find_recipient(world, body["to"]).id,
        userId=next(iter(world.agents))["userId"],
        channelId=channel.id,
        departmentId=department_id,
        scheduling=scheduling,
        hiddenSession=body.get("hiddenSession", False),
        _status="SCHEDULED",
        _failure=None,
        _message=None,
        **what,
    )
    world.schedule(row)
    return _printed(call, row)


@handles("PUT /chat/v1/scheduled-message/{id}")
def update_scheduled(call: Call) -> Any:
    """Update the fields named in the mask while the message waits."""
    world, row, body = _world(call), _waiting(call), call.body
    mask = set(body["fields"])
    changes: dict[str, Any] = {}
    if "To" in mask:
        changes["contactId"] = find_recipient(world, body.get("to")).id
    if "From" in mask:
        changes["channelId"] = find_channel(world, body.get("from")).id
    if "Department" in mask:
        changes["departmentId"] = find_department(world, body.get("department"))
    if "HiddenSession" in mask:
        changes["hiddenSession"] = bool(body.get("hiddenSession"))
    if "Scheduling" in mask:
        if not body.get("scheduling"):
            raise form_error("Informe a data do agendamento")
        changes["scheduling"] = _future(call, body["scheduling"])
    given = masked(call, _WHAT)
    if given:
        parameters = {"parameters": row["_parameters"]}
        known = {"type": row["type"], "templateId": row["templateId"], "botKey": row["botId"]}
        channel = find_channel(world, changes.get("channelId", row["channelId"]))
        changes |= _what(world, {**known, "templateParams": parameters, **given}, channel)
    if changes:
        row = world.change(world.scheduled, row, **changes)
        world.schedule(row)
    return _printed(call, row)


@handles("POST /chat/v1/scheduled-message/{id}/cancel")
def cancel_scheduled(call: Call) -> Any:
    """Cancel a message that waits."""
    row = _waiting(call)
    _world(call).change(call.world.scheduled, row, _status="CANCELED")
    call.touched(row.id)


@handles("POST /chat/v1/scheduled-message/batch-cancel")
def cancel_many(call: Call) -> Any:
    """Cancel messages, all or none of them."""
    world = _world(call)
    if not call.body:
        raise form_error("Informe as mensagens agendadas")
    rows = [_check_waiting(world, _by_id(world, row_id)) for row_id in call.body]
    return [_printed(call, world.change(world.scheduled, row, _status="CANCELED"), with_session=True) for row in rows]


def _world(call: Call) -> World:
    if not call.world.options.scheduled_messages:
        raise not_found("App Mensagens agendadas não está habilitado")
    return call.world


def _by_id(world: World, row_id: str) -> Record:
    return by_id(world.scheduled, row_id, "Mensagem agendada não encontrada")


def _current(world: World, row: Record) -> Record:
    """Return the version that the status of its message has made of a row."""
    sent = world.history.find(row["_message"])
    return row if sent is None else row.changed(max(row.updated, sent.updated_by(world.now())))


def _scheduled(call: Call) -> Record:
    return _by_id(_world(call), call.path["id"])


def _waiting(call: Call) -> Record:
    return _check_waiting(call.world, _scheduled(call))


def _check_waiting(world: World, row: Record) -> Record:
    if views.scheduled_status(world, row)[0] != "SCHEDULED":
        raise cannot_save("Só é possível alterar mensagens com status agendado")
    return row


def _printed(call: Call, row: Record, *, with_session: bool = False) -> Any:
    call.touched(row.id)
    return views.scheduled(call.world, row, views.NOTHING, with_session=with_session)


def _future(call: Call, text: str) -> int:
    at = call.instant(text)
    if at <= call.world.now():
        raise form_error("A data do agendamento deve ser futura")
    return at


def _what(world: World, body: Mapping[str, Any], channel: Record) -> dict[str, Any]:
    """Check what is to be sent: a template with its parameters, or a chatbot."""
    kind = body.get("type") or "TEMPLATE"
    params = body.get("templateParams") or {}
    if kind == "TEMPLATE":
        if not body.get("templateId"):
            raise form_error("Informe o modelo de mensagem")
        template = find_template(world, body["templateId"], channel, params.get("parameters"))
        return {"type": kind, "templateId": template.id, "botId": None, "_parameters": params.get("parameters") or {}}
    return {"type": kind, "templateId": None, "botId": find_bot(world, body.get("botKey"))["key"], "_parameters": {}}


def _filter(call: Call) -> Callable[[Record], bool]:
    world, query = call.world, call.query
    bound = Bound(query.get("ScheduledAt.After"), query.get("ScheduledAt.Before"))
    lowest, highest = bound.limits(world.manners.inclusive)
    channel = find_channel(world, query.get("From")).id if query.get("From") else None
    to = query.get("To")
    phone = stored_phone(to) if to else None

    def is_recipient(row: Record) -> bool:
        person = world.contacts.get(row["contactId"])
        return (
            to is None or row["contactId"] == to or (person is not None and phone is not None and person.phone == phone)
        )

    def is_named(wanted: str | None, row_id: str | None, name: str | None) -> bool:
        return wanted is None or wanted == row_id or contains(name, wanted)

    def matches(row: Record) -> bool:
        user, department = world.agent_of(row["userId"]), world.departments.get(row["departmentId"])
        return (
            query.get("Status") in (None, views.scheduled_status(world, row)[0])
            and query.get("Type") in (None, row["type"])
            and channel in (None, row["channelId"])
            and is_recipient(row)
            and is_named(query.get("User"), row["userId"], user["name"] if user else None)
            and is_named(query.get("Department"), row["departmentId"], department["name"] if department else None)
            and lowest <= row["scheduling"] <= highest
        )

    return matches
