"""Messages and internal notes, and sending to a person the older way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import not_found, session_not_found
from airflow_provider_wtschat.simulator.instants import SECOND
from airflow_provider_wtschat.simulator.records import Message
from airflow_provider_wtschat.simulator.routes.call import Call, Later, found, handles, list_page
from airflow_provider_wtschat.simulator.sending import Outgoing, opening, send_to

_FROM_CHANNEL = {"SENT", "DELIVERED", "READ", "FAILED"}


@handles("GET /chat/v1/message", "GET /chat/v1/session/{id}/message", "GET /chat/v1/session/{id}/note")
def list_messages(call: Call) -> Any:
    """List messages or internal notes of a session."""
    world, now = call.world, call.world.now()
    session_id = call.path.get("id") or call.query.get("SessionId")
    session = found(world.sessions.get(session_id.lower()), session_not_found())
    rows = [row for row in world.history.of(session.id) if _is_asked_for(call, row)]
    # Statuses that moved on are changes, so the order has to know of them.
    current = [row.changed(row.updated_by(now)) for row in rows]
    return list_page(call, current, lambda row: views.message(world, row))


@handles("GET /chat/v1/message/{id}", "GET /chat/v1/session/note/{id}")
def get_message(call: Call) -> Any:
    """Get a message or an internal note."""
    return views.message(call.world, _message(call))


@handles("DELETE /chat/v1/message/{id}", "DELETE /chat/v1/session/note/{id}")
def delete_message(call: Call) -> Any:
    """Delete a message or an internal note."""
    message = _message(call).changed(call.world.now(), deleted=True)
    call.world.history.replace(message)
    call.touched(message.id)
    return views.message(call.world, message)


@handles("GET /chat/v1/message/{id}/status")
def get_status(call: Call) -> Any:
    """Get the status of a message."""
    return views.message_status(call.world, _message(call))


@handles("POST /chat/v1/message/send", "POST /chat/v1/message/send-sync")
def send(call: Call) -> Any:
    """Send to a person."""
    world, body = call.world, call.body
    how = opening(world, body.get("options"), user=body.get("user"), department=body.get("department"))
    message = send_to(world, call.operation.key, body["to"], body.get("from"), how, content(body["body"]))
    return answered(call, message)


def content(body: Mapping[str, Any]) -> Outgoing:
    """Read what is to be sent from a body of the older kind."""
    file = body.get("fileId") or body.get("fileUrl")
    return Outgoing(
        kind="DOCUMENT" if file and not body.get("templateId") else "TEXT",
        text=body.get("text"),
        template_id=body.get("templateId"),
        parameters=body.get("parameters"),
        file=file,
        ref_id=body.get("refId"),
    )


def answered(call: Call, message: Message) -> Any:
    """Answer a send at once, or when the channel has given the message a status or the patience ends."""
    call.touched(message.id)
    if "sync" not in call.operation.path:
        return views.queued_message(call.world, message)
    world = call.world
    deadline = world.now() + round(world.options.sync_wait_s * SECOND)

    def newest() -> Message:
        return world.history.find(message.id) or message

    def wait_s() -> float:
        now = world.now()
        if newest().status(now) in _FROM_CHANNEL or now >= deadline:
            return 0.0
        coming = [at for at, status in newest().course if status in _FROM_CHANNEL]
        until = min([deadline, *coming])
        # A frozen clock must not hold the answer for ever: real time counts, too.
        return max(0.001, (until - now) / SECOND)

    return Later(wait_s, lambda: views.message(world, newest()), world.options.sync_wait_s)


def _message(call: Call) -> Message:
    message = call.world.history.find(call.path["id"].lower())
    if message is None or not _is_asked_for(call, message):
        raise not_found("Nota não encontrada" if "/note" in call.operation.path else "Mensagem não encontrada")
    return message


def _is_asked_for(call: Call, row: Message) -> bool:
    return (row.type == "NOTE") == ("/note" in call.operation.path) and not row.deleted
