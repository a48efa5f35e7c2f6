"""Single messages, and sending to a person the older way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import not_found, session_not_found
from airflow_provider_wtschat.simulator.instants import SECOND
from airflow_provider_wtschat.simulator.records import Message, Session
from airflow_provider_wtschat.simulator.routes.call import Call, Later, found, handles, list_page
from airflow_provider_wtschat.simulator.sending import Outgoing, opening, send_to
from airflow_provider_wtschat.simulator.world import World

_FROM_CHANNEL = {"SENT", "DELIVERED", "READ", "FAILED"}


@handles("GET /chat/v1/message")
def list_messages(call: Call) -> Any:
    """List messages of a session."""
    session = found(call.world.sessions.get(call.query.get("SessionId")), session_not_found())
    return messages_page(call, session, notes=False)


@handles("GET /chat/v1/message/{id}")
def get_message(call: Call) -> Any:
    """Get a message."""
    return views.message(call.world, _message(call))


@handles("DELETE /chat/v1/message/{id}")
def delete_message(call: Call) -> Any:
    """Delete a message."""
    message = _message(call).changed(call.world.now(), deleted=True)
    call.world.history.replace(message)
    call.touched(message.id)
    return views.message(call.world, message)


@handles("GET /chat/v1/message/{id}/status")
def get_status(call: Call) -> Any:
    """Get the status of a message."""
    return views.message_status(call.world, _message(call))


@handles("POST /chat/v1/message/send")
def send(call: Call) -> Any:
    """Send to a person and answer at once."""
    return views.queued_message(call.world, _send(call))


@handles("POST /chat/v1/message/send-sync")
def send_and_wait(call: Call) -> Any:
    """Send to a person and answer when the channel has said something."""
    return synchronous(call.world, _send(call).id)


def messages_page(call: Call, session: Session, *, notes: bool) -> Any:
    """Answer a page of a session's messages or notes."""
    world, now = call.world, call.world.now()
    rows = [row for row in world.history.of(session.id) if (row.type == "NOTE") == notes and not row.deleted]
    # Statuses that moved on are changes, so the order has to know of them.
    current = [row.changed(row.updated_by(now)) for row in rows]
    return list_page(call, current, lambda row: views.message(world, row))


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


def synchronous(world: World, message_id: str) -> Later:
    """Answer when the channel has given a message a status, or the patience ends."""
    message = found(world.history.find(message_id), not_found("Mensagem não encontrada"))
    deadline = world.now() + round(world.options.sync_wait_s * SECOND)

    def wait_s() -> float:
        newest = world.history.find(message_id) or message
        now = world.now()
        if newest.status(now) in _FROM_CHANNEL or now >= deadline:
            return 0.0
        coming = [at for at, status in newest.course if status in _FROM_CHANNEL]
        until = min([deadline, *coming])
        # A frozen clock must not hold the answer for ever: real time counts, too.
        return max(0.001, (until - now) / SECOND)

    return Later(
        wait_s, lambda: views.message(world, world.history.find(message_id) or message), world.options.sync_wait_s
    )


def _message(call: Call) -> Message:
    message = call.world.history.find(call.path["id"].lower())
    if message is None or message.deleted or message.type == "NOTE":
        raise not_found("Mensagem não encontrada")
    return message


def _send(call: Call) -> Message:
    body = call.body
    how = opening(call.world, body.get("options"), user=body.get("user"), department=body.get("department"))
    message = send_to(call.world, call.operation.key, body["to"], body.get("from"), how, content(body["body"]))
    call.touched(message.id)
    return message
