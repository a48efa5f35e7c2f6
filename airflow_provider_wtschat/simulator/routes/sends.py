"""The send API, which has a limit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import ApiError, ProblemError, cannot_save, form_error
from airflow_provider_wtschat.simulator.instants import instant_text
from airflow_provider_wtschat.simulator.openapi import is_uuid
from airflow_provider_wtschat.simulator.records import Message, Record, Session, merged
from airflow_provider_wtschat.simulator.routes.call import Call, handles, open_session
from airflow_provider_wtschat.simulator.sending import (
    Opening,
    Outgoing,
    check_content,
    check_reachable,
    find_bot,
    find_channel,
    find_recipient,
    find_template,
    opening,
    send_into,
    send_to,
    session_with,
)
from airflow_provider_wtschat.simulator.world import World

BATCH = 100
LONGEST_TYPING_S = 25
_KINDS = {
    "text": "TEXT",
    "audio": "AUDIO",
    "document": "DOCUMENT",
    "image": "IMAGE",
    "video": "VIDEO",
    "template": "TEXT",
}


@handles(*(f"POST /chat/v1/send/{name}" for name in _KINDS))
def send_one(call: Call) -> Any:
    """Send one message."""
    kind = _KINDS[call.operation.path.rpartition("/")[2]]
    return views.sent_message(call.world, _send(call, _content(call.body, kind)))


@handles("POST /chat/v1/send/template/batch")
def send_template_batch(call: Call) -> Any:
    """Send one template to at most 100 people."""
    world, body = call.world, call.body
    items = _batch(body["messages"])
    channel = find_channel(world, body["from"])
    for item in items:
        # Nobody gets anything if the template does not fit one of them.
        find_template(world, body["templateId"], channel, item.get("parameters"))
    how = opening(world, body.get("options"))

    def send(item: Mapping[str, Any]) -> Message:
        outgoing = _content({**item, "templateId": body["templateId"]}, "TEXT")
        return send_to(world, call.operation.key, item["to"], channel.id, how, outgoing)

    return _batch_answer(call, items, send)


@handles("POST /chat/v1/send/chatbot")
def send_chatbot(call: Call) -> Any:
    """Start a chatbot with a person or in a session."""
    return views.sent_message(call.world, start_bot(call, call.body, call.body.get("botKey"), call.body.get("from")))


@handles("POST /chat/v1/send/chatbot/batch")
def send_chatbot_batch(call: Call) -> Any:
    """Start a chatbot with many people."""
    body = call.body
    items = _batch(body["messages"])
    find_bot(call.world, body["botKey"])
    options = {"options": body.get("options")}
    return _batch_answer(
        call, items, lambda item: start_bot(call, {**item, **options}, body["botKey"], body.get("from"))
    )


@handles("POST /chat/v1/send/otp")
def send_one_time_password(call: Call) -> Any:
    """Send a one-time password."""
    world, body = call.world, call.body
    channel = find_channel(world, body["from"])
    template_id = body.get("templateId") or _authentication_template(world).id
    code = body.get("code") or f"{world.rng.randrange(100_000):05}"
    outgoing = Outgoing(
        template_id=template_id,
        parameters={"1": code},
        sender_id=body.get("senderId"),
        callback_url=body.get("callbackUrl"),
    )
    message = send_to(world, call.operation.key, body["to"], channel.id, Opening(), outgoing)
    contact = find_recipient(world, body["to"])
    row = world.record(
        world.one_time_passwords,
        code=code,
        templateId=template_id,
        companyId=world.company_id,
        senderId=body.get("senderId"),
        channelId=channel.id,
        contactPhoneNumber=contact.phone,
        callbackUrl=body.get("callbackUrl"),
        **{"from": body["from"]},
        _message=message.id,
    )
    call.touched(row.id)
    return views.one_time_password(world, row, with_callback=True)


@handles("POST /chat/v1/send/typing")
def show_typing(call: Call) -> Any:
    """Show that somebody is typing."""
    open_session(call.world, call.body["sessionId"])


@handles("GET /chat/v1/send/message/{id}", "GET /chat/v1/send/chatbot/{id}")
def get_message(call: Call) -> Any:
    """Get what became of a message or of a chatbot's dispatch."""
    world, wanted = call.world, call.path["id"]
    message = world.history.find(wanted.lower()) if is_uuid(wanted) else None
    if message is None and world.options.sender_lookup == "all":
        message = world.history.find(world.messages_by_sender.get(wanted))
    by_bot = "/chatbot/" in call.operation.path
    if message is None or message.type == "NOTE" or (message.origin == "BOT") != by_bot:
        raise _unknown()
    return views.sent_message(world, message)


@handles("GET /chat/v1/send/otp/{id}")
def get_one_time_password(call: Call) -> Any:
    """Get what became of a one-time password, by id or senderId."""
    world, wanted = call.world, call.path["id"]
    row = world.one_time_passwords.get(wanted.lower())
    if row is None and world.options.sender_lookup != "none":
        row = next((one for one in world.one_time_passwords if one["senderId"] == wanted), None)
    if row is None:
        raise _unknown()
    return views.one_time_password(world, row, with_callback=False)


def start_bot(call: Call, body: Mapping[str, Any], bot_key: str | None, sender: str | None) -> Message:
    """Start a chatbot.

    :param body: a body, or one item of a batch.
    :raises ApiError: it cannot be started there.
    """
    world = call.world
    outgoing = Outgoing(
        bot_key=find_bot(world, bot_key)["key"],
        sender_id=body.get("senderId"),
        callback_url=body.get("callbackUrl"),
        session_metadata=body.get("sessionMetadata"),
    )
    options = body.get("options") or {}
    if body.get("sessionId"):
        session = open_session(world, body["sessionId"])
        _check_free(world, session, options)
        message = send_into(world, call.operation.key, session, outgoing)
    else:
        channel = find_channel(world, sender)
        check_content(world, outgoing, channel)
        contact = find_recipient(world, body.get("to"))
        check_reachable(world, contact, channel)
        going_on = world.open_session(contact.id, channel.id)
        if going_on is not None:
            _check_free(world, going_on, options)
        session = session_with(world, contact, channel, opening(world, options))
        message = send_into(world, call.operation.key, session, outgoing)
    if body.get("contactMetadata"):
        contact_id = session.contact_id
        person = world.contacts.get(contact_id)
        world.change_contact(contact_id, metadata=merged(person.metadata if person else {}, body["contactMetadata"]))
    call.touched(message.id)
    return message


def _check_free(world: World, session: Session, options: Mapping[str, Any]) -> None:
    if options.get("skipIfBotInExecution") and session.bot_id:
        raise cannot_save("Já existe um chatbot em execução")
    if options.get("skipIfInProgress") and session.status == "IN_PROGRESS":
        raise cannot_save("O atendimento está em andamento")


def _content(body: Mapping[str, Any], kind: str) -> Outgoing:
    return Outgoing(
        kind=kind,
        text=body.get("text"),
        template_id=body.get("templateId"),
        parameters=body.get("parameters"),
        file=body.get("fileIdOrUrl"),
        sender_id=body.get("senderId"),
        callback_url=body.get("callbackUrl"),
        ref_id=body.get("refId"),
        delay_s=min(max(body.get("delayTyping") or 0, 0), LONGEST_TYPING_S),
        session_metadata=body.get("sessionMetadata"),
    )


def _send(call: Call, outgoing: Outgoing) -> Message:
    world, body = call.world, call.body
    if body.get("sessionId"):
        message = send_into(world, call.operation.key, open_session(world, body["sessionId"]), outgoing)
    else:
        how = opening(world, body.get("options"))
        message = send_to(world, call.operation.key, body.get("to"), body.get("from"), how, outgoing)
    call.touched(message.id)
    return message


def _batch(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not 0 < len(items) <= BATCH:
        raise form_error(f"Informe de 1 a {BATCH} mensagens por requisição")
    return items


def _batch_answer(
    call: Call, items: list[dict[str, Any]], send: Callable[[Mapping[str, Any]], Message]
) -> dict[str, Any]:
    world = call.world
    results = []
    for item in items:
        try:
            message = send(item)
        except ApiError as error:
            results.append(_not_sent(world, item, error))
        else:
            call.touched(message.id)
            results.append(views.sent_message(world, message))
    if world.options.batch_results != "ordered":
        world.ties.shuffle(results)
    if world.options.batch_results == "partial":
        results = results[: -(-len(results) * 3 // 4)]
    return {"results": results}


def _not_sent(world: World, item: Mapping[str, Any], error: ApiError) -> dict[str, Any]:
    now = instant_text(world.now())
    return {
        "id": world.new_id(),
        "createdAt": now,
        "updatedAt": now,
        "companyId": world.company_id,
        "sessionId": None,
        "status": "FAILED",
        "senderId": item.get("senderId"),
        "statusUrl": None,
        "sentAt": None,
        "failedReason": error.text,
        "callbackUrl": item.get("callbackUrl"),
        "waitReply": False,
    }


def _unknown() -> ProblemError:
    return ProblemError({}, status=404, title="Not Found")


def _authentication_template(world: World) -> Record:
    for template in world.templates:
        if "AUTHENTICATION" in template["type"] and template["status"] == "Approved":
            return template
    raise form_error("Nenhum modelo de autenticação disponível")
