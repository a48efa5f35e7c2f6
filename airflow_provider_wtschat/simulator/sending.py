"""What becomes of a message: who gets it, in which session, and how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.simulator.books import Send
from airflow_provider_wtschat.simulator.errors import ApiError, form_error, not_found
from airflow_provider_wtschat.simulator.instants import SECOND
from airflow_provider_wtschat.simulator.openapi import is_uuid
from airflow_provider_wtschat.simulator.phones import formatted_phone, stored_phone
from airflow_provider_wtschat.simulator.records import Contact, Message, Record, Session, merged

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.world import World

PARAMETER_LENGTH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What is to be sent."""

    kind: str = "TEXT"
    text: str | None = None
    template_id: str | None = None
    parameters: Mapping[str, Any] | None = None
    file: str | None = None
    """URL or id of a stored file."""
    bot_key: str | None = None
    sender_id: str | None = None
    callback_url: str | None = None
    ref_id: str | None = None
    delay_s: int = 0
    session_metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a new session is to be opened, where one is needed."""

    force: bool = False
    hidden: bool = False
    department_id: str | None = None
    user_id: str | None = None


def find_channel(world: World, wanted: str | None) -> Record:
    """Find the sending channel by id, number or Instagram name; the first one if nothing is wanted.

    :raises ApiError: there is none.
    """
    if wanted is None:
        return next(iter(world.channels))
    phone = stored_phone(wanted)
    for channel in world.channels:
        name = channel["identity"]["displayName"]
        if wanted in (channel.id, name) or (phone is not None and phone == channel["number"]):
            return channel
    raise not_found(f"Canal de comunicação não encontrado ({wanted})")


def find_recipient(world: World, wanted: str | None) -> Contact:
    """Find the person to write to; an unknown number becomes a contact.

    :raises ApiError: the text is neither a phone nor a known Instagram name.
    """
    if wanted is None or not wanted.strip():
        raise form_error("Informe o destinatário")
    if wanted.startswith("@"):
        name = wanted.removeprefix("@")
        found = next((contact for contact in world.contacts if contact.instagram in (name, wanted)), None)
        if found is None:
            raise form_error("Contato não encontrado")
        return found
    stored = stored_phone(wanted)
    if stored is None:
        raise form_error("Número de telefone inválido")
    return world.contact_by_phone(stored) or world.create_contact(
        phone=stored, name=formatted_phone(stored), origin="CREATED_FROM_HUB"
    )


def find_template(world: World, wanted: str, channel: Record, parameters: Mapping[str, Any] | None) -> Record:
    """Find a template that may be sent.

    :raises ApiError: it does not exist on the channel, is not approved, or lacks parameters.
    """
    template = world.templates.get(wanted.lower())
    # Templates belong to the official channel that had them approved; the other channels send what they like.
    on_channel = template is not None and (template["channelId"] == channel.id or not channel["_official"])
    if template is None or template["archived"] or not on_channel:
        raise not_found("Modelo de mensagem não encontrado")
    if template["status"] != "Approved":
        raise form_error("O modelo de mensagem não está aprovado")
    missing = [name for name in template["_params"] if (parameters or {}).get(name) in (None, "")]
    if missing:
        raise form_error(f"Parâmetro obrigatório não informado: {', '.join(missing)}")
    return template


def find_department(world: World, wanted: Mapping[str, Any] | None) -> str | None:
    """Find a department by ``id`` or ``name``.

    :raises ApiError: there is none.
    """
    if not wanted or not (wanted.get("id") or wanted.get("name")):
        return None
    for department in world.departments:
        if department.id == wanted.get("id") or (not wanted.get("id") and department["name"] == wanted.get("name")):
            return department.id
    raise not_found("Equipe não encontrada")


def find_user(world: World, wanted: Mapping[str, Any] | None) -> str | None:
    """Find an agent's ``userId`` by ``id`` (a ``userId``), ``email`` or ``phoneNumber``.

    :raises ApiError: there is none.
    """
    given = {name: value for name, value in (wanted or {}).items() if value}
    if not given:
        return None
    phone = stored_phone(given.get("phoneNumber", ""))
    for agent in world.agents:
        known = {"id": agent["userId"], "email": agent["email"], "phoneNumber": agent["phoneNumber"]}
        asked = {**given, "phoneNumber": phone} if phone else given
        if all(known.get(name) == value for name, value in asked.items()):
            user_id: str = agent["userId"]
            return user_id
    raise not_found("Usuário não encontrado")


def find_bot(world: World, wanted: str | None) -> Record:
    """Find a chatbot that can run, by its key.

    :raises ApiError: there is none.
    """
    for bot in world.chatbots:
        if bot["key"] == wanted and bot["publishStatus"] == "READY" and not bot["archived"]:
            return bot
    raise not_found("Chatbot não encontrado")


def opening(world: World, options: Mapping[str, Any] | None, **more: Mapping[str, Any] | None) -> Opening:
    """Read a body's options.

    :param options: the body's ``options``.
    :param more: ``user`` and ``department``, where the body has them beside its options.
    """
    given = options or {}
    return Opening(
        force=bool(given.get("forceStartSession")),
        hidden=bool(given.get("hiddenSession")),
        department_id=find_department(world, more.get("department") or given.get("department")),
        user_id=find_user(world, more.get("user") or given.get("user")),
    )


def session_with(world: World, contact: Contact, channel: Record, how: Opening) -> Session:
    """Return the session that goes on, or open one."""
    session = world.open_session(contact.id, channel.id)
    if session is not None and not how.force:
        return session
    if session is not None:
        world.conclude_session(session.id)
    last_in = None if session is None else session.last_in
    return world.create_session(
        status="HIDDEN" if how.hidden else "IN_PROGRESS" if how.user_id else "PENDING",
        contact_id=contact.id,
        channel_id=channel.id,
        department_id=how.department_id,
        user_id=how.user_id,
        window="NOT_STARTED",
        last_in=last_in,
    )


def check_content(world: World, outgoing: Outgoing, channel: Record) -> None:
    """Refuse what can be told before anything is created.

    :raises ApiError: the template or the file cannot be sent.
    """
    if outgoing.template_id is not None:
        find_template(world, outgoing.template_id, channel, outgoing.parameters)
    if outgoing.bot_key is not None:
        find_bot(world, outgoing.bot_key)
    if outgoing.file is not None and not outgoing.file.startswith(("http://", "https://")):
        known = is_uuid(outgoing.file) and outgoing.file.lower() in world.files
        if not known:
            raise not_found("Arquivo não encontrado")
    if outgoing.template_id is None and outgoing.bot_key is None and not (outgoing.text or outgoing.file):
        raise form_error("Informe o texto, o modelo ou o arquivo da mensagem")


def deliver(world: World, operation: str, session: Session, outgoing: Outgoing) -> Message:
    """Put a message on its way and into the books.

    :raises ApiError: free text is refused outside the window, if the options say so.
    """
    now = world.now()
    contact = world.contacts.get(session.contact_id)
    template = None if outgoing.template_id is None else world.templates.get(outgoing.template_id.lower())
    reason = _reason_to_fail(world, session, contact, outgoing, now)
    if reason == _CLOSED and world.options.closed_window == "refuse":
        raise form_error(_CLOSED)
    text = outgoing.text
    if template is not None:
        text = template["text"]
        for name, value in (outgoing.parameters or {}).items():
            text = text.replace(f"{{{{{name}}}}}", str(value))
    message = Message(
        **world.fresh(now),
        session_id=session.id,
        type=outgoing.kind,
        origin="BOT" if outgoing.bot_key else "API",
        text=text,
        user_id=session.user_id,
        template_id=template.id if template else None,
        sender_id=outgoing.sender_id,
        callback_url=outgoing.callback_url,
        ref_id=outgoing.ref_id,
        file_ids=(outgoing.file.lower(),) if outgoing.file and is_uuid(outgoing.file) else (),
        course=_course(world, now + outgoing.delay_s * SECOND, failed=reason is not None),
        failed_reason=reason,
    )
    world.history.add(message)
    if outgoing.sender_id:
        world.messages_by_sender[outgoing.sender_id] = message.id
    values: dict[str, Any] = {"last_out": now, "interaction": now, "last_text": text}
    if outgoing.session_metadata:
        values["metadata"] = merged(session.metadata, outgoing.session_metadata)
    if outgoing.bot_key:
        values["bot_id"] = find_bot(world, outgoing.bot_key).id
    world.save_session(session.changed(now, **values))
    world.books.sends.append(
        Send(
            operation=operation,
            message_id=message.id,
            session_id=session.id,
            recipient=(contact.phone or contact.instagram) if contact else None,
            channel_id=session.channel_id,
            text=text,
            template_id=message.template_id,
            parameters=outgoing.parameters,
            bot_key=outgoing.bot_key,
            file=outgoing.file,
            sender_id=outgoing.sender_id,
            at=now,
        )
    )
    return message


def send_to(
    world: World, operation: str, to: str | None, sender: str | None, how: Opening, outgoing: Outgoing
) -> Message:
    """Send to a person, in the session that goes on or a new one.

    :raises ApiError: the channel, the recipient or the content is not possible.
    """
    channel = find_channel(world, sender)
    check_content(world, outgoing, channel)
    contact = find_recipient(world, to)
    check_reachable(world, contact, channel)
    return deliver(world, operation, session_with(world, contact, channel, how), outgoing)


def check_reachable(world: World, contact: Contact, channel: Record) -> None:
    """Refuse to begin a conversation where only the person can.

    :raises ApiError: the channel is no WhatsApp channel, and nothing goes on there; or it is, and there is no phone.
    """
    if channel["number"] is None and world.open_session(contact.id, channel.id) is None:
        raise form_error("Neste canal a conversa só pode ser iniciada pelo contato")
    if channel["number"] is not None and contact.phone is None:
        raise form_error("O contato não tem telefone")


def send_into(world: World, operation: str, session: Session, outgoing: Outgoing) -> Message:
    """Send into a session.

    :raises ApiError: the session is over, or the content is not possible.
    """
    channel = find_channel(world, session.channel_id)
    check_content(world, outgoing, channel)
    return deliver(world, operation, session, outgoing)


def send_scheduled(world: World, row_id: str) -> None:
    """Send a scheduled message whose time has come."""
    row = world.scheduled.get(row_id)
    if row is None or row["_status"] != "SCHEDULED" or row["scheduling"] > world.now():
        return
    contact, channel = world.contacts.get(row["contactId"]), world.channels.get(row["channelId"])
    if contact is None or channel is None:
        world.change(world.scheduled, row, _status="FAILED", _failure="Contato não encontrado")
        return
    outgoing = Outgoing(template_id=row["templateId"], parameters=row["_parameters"], bot_key=row["botId"])
    how = Opening(hidden=row["hiddenSession"], department_id=row["departmentId"])
    try:
        check_content(world, outgoing, channel)
        message = deliver(world, "scheduled", session_with(world, contact, channel, how), outgoing)
    except ApiError as error:
        world.change(world.scheduled, row, _status="FAILED", _failure=error.text)
    else:
        world.change(world.scheduled, row, _status="PROCESSED", _message=message.id)


_CLOSED = "A janela de 24 horas está fechada: a conversa só pode ser iniciada com um modelo de mensagem"


def _reason_to_fail(
    world: World, session: Session, contact: Contact | None, outgoing: Outgoing, now: int
) -> str | None:
    free = outgoing.template_id is None and outgoing.bot_key is None
    if free and world.window_status(session, now) != "ACTIVE":
        return _CLOSED
    for value in (outgoing.parameters or {}).values():
        if any(sign in str(value) for sign in "\n\r\t") or "    " in str(value) or len(str(value)) > PARAMETER_LENGTH:
            return "Parâmetro do modelo inválido: sem quebras de linha, tabulações ou mais de quatro espaços"
    if contact is not None and contact.phone in world.failing_recipients:
        return "Número não está no WhatsApp"
    if world.options.fail_share and world.rng.random() < world.options.fail_share:
        return "Mensagem não entregue"
    return None


def _course(world: World, start: int, *, failed: bool) -> tuple[tuple[int, str], ...]:
    step = world.options.message_step_s * SECOND
    if failed:
        fates = ((0.0, "QUEUED"), (0.5, "PROCESSING"), (1.0, "FAILED"))
        return tuple((start + round(after * step), name) for after, name in fates)
    stations = [(0.0, "QUEUED"), (0.5, "PROCESSING"), (1.0, "SENT"), (2.0, "DELIVERED")]
    if world.rng.random() < 0.7:
        stations.append((4.0, "READ"))
    return tuple((start + round(after * step), name) for after, name in stations)
