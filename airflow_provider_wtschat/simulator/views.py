"""Rows as the API prints them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.simulator.instants import SECOND, instant_text
from airflow_provider_wtschat.simulator.phones import formatted_phone

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.records import Contact, Message, Record, Row, Session
    from airflow_provider_wtschat.simulator.world import World

NOTHING: frozenset[str] = frozenset()

_STATUS_NAMES = {
    "STARTED": "Iniciado",
    "PENDING": "Pendente",
    "IN_PROGRESS": "Em andamento",
    "COMPLETED": "Concluído",
    "HIDDEN": "Oculto",
}
FAILURE_KEYS: Mapping[str, str] = {
    "Número não está no WhatsApp": "131026",
    "O destinatário não quer receber mensagens de marketing": "131050",
}
"""By the reason that a message fails for, the key of its error."""
_FILE_KINDS = {"DOCUMENT": "UNDEFINED"}


def _maybe(micros: int | None, style: int) -> str | None:
    return None if micros is None else instant_text(micros, style)


def _clock(micros: int | None) -> str | None:
    if micros is None:
        return None
    seconds = micros // SECOND
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _head(row: Row, updated: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "createdAt": instant_text(row.created, row.seq),
        "updatedAt": instant_text(updated, row.seq + 1),
    }


def record(row: Record) -> dict[str, Any]:
    """Print a record: its public data after id and instants."""
    return {**_head(row, row.updated), **row.public()}


# Sessions and messages


def session(world: World, row: Session, details: Collection[str] = NOTHING, *, version: int = 2) -> dict[str, Any]:
    """Print a session; without details it has ids only."""
    seq = row.seq
    channel = world.channels.get(row.channel_id)
    result: dict[str, Any] = {
        "id": row.id,
        "createdAt": instant_text(row.created, seq),
        "updatedAt": instant_text(row.updated, seq + 1),
        "startAt": instant_text(row.start, seq + 2),
        "endAt": _maybe(row.end, seq + 3),
        "status": row.status,
        "companyId": world.company_id,
        "contactId": row.contact_id,
        "channelId": row.channel_id,
        "departmentId": row.department_id,
        "userId": row.user_id,
        "previewUrl": f"{world.base_url}/chat2/sessions/{row.id}",
        "title": row.title,
        "number": row.number,
        "utm": row.utm,
        "origin": row.origin,
        "contactDetails": None,
        "agentDetails": None,
        "channelDetails": None,
        "departmentDetails": None,
        "classification": None,
        "statusDescription": _STATUS_NAMES[row.status],
        "timeService": _clock(row.times.served) if row.status == "COMPLETED" else None,
        "timeWait": _clock(row.times.waited),
        "firstResponseAt": _maybe(row.first_response, seq + 4),
        "botId": row.bot_id,
        "unreadCount": row.unread,
        "lastMessageText": row.last_text,
        "lastInteractionDate": instant_text(row.interaction, seq + 5),
        "lastMessageOut": _maybe(row.last_out, seq),
        "lastMessageIn": _maybe(row.last_in, seq + 1),
        "windowStatus": world.window_status(row, world.now()),
        "metadata": row.metadata,
        "channelType": None,
    }
    if version >= 2:
        result["type"] = row.type
    if not details:
        return result
    if "ContactDetails" in details:
        result["contactDetails"] = _session_contact(world, world.contacts.get(row.contact_id))
    if "AgentDetails" in details:
        agent = world.agent_of(row.user_id)
        result["agentDetails"] = agent and {
            "id": agent.id,
            "userId": agent["userId"],
            "name": agent["name"],
            "shortName": agent["shortName"],
            "phoneNumber": agent["phoneNumber"],
            "email": agent["email"],
            "pictureFileId": None,
            "pictureUrl": None,
        }
    if "DepartmentsDetails" in details:
        department = world.departments.get(row.department_id)
        result["departmentDetails"] = department and {
            "id": department.id,
            "companyId": world.company_id,
            "name": department["name"],
            "description": department["description"],
            "isDefault": department["isDefault"],
            "isSupervisor": False,
        }
    if channel is not None and "ChannelDetails" in details:
        result["channelDetails"] = channel["identity"]
    if channel is not None and "ChannelTypeDetails" in details:
        result["channelType"] = channel["_code"]
    if "ClassificationDetails" in details:
        result["classification"] = row.classification
    return result


def _session_contact(world: World, row: Contact | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "id": row.id,
        "name": row.name,
        "pictureUrl": row.picture_url,
        "phonenumber": row.phone,
        "instagram": row.instagram,
        "phonenumberFormatted": formatted_phone(row.phone),
        "tagsId": list(row.tag_ids),
        "tagsName": _tag_names(world, row),
        "status": row.status,
    }


def message(world: World, row: Message) -> dict[str, Any]:
    """Print a message or a note."""
    now = world.now()
    status = "DELETED" if row.deleted else row.status(now)
    is_note = row.type == "NOTE"
    files = [file_of_message(world, file_id) for file_id in row.file_ids]
    failure = {"errors": [_error(row, now)]} if status == "FAILED" and row.failed_reason else {}
    return {
        **_head(row, row.updated_by(now)),
        "timestamp": instant_text(row.created, row.seq + 2),
        "type": row.type,
        "senderId": None if world.options.sender_lookup == "none" else row.sender_id,
        "sessionId": row.session_id,
        "templateId": row.template_id,
        "userId": row.user_id,
        "direction": row.direction,
        "status": status,
        "origin": row.origin,
        "text": row.text,
        "fileId": None if is_note or not row.file_ids else row.file_ids[0],
        "refId": row.ref_id,
        "readContactAt": instant_text(row.state(now)[1], row.seq) if status == "READ" else None,
        "details": _NO_DETAILS
        | {
            "file": files[0] if files and not is_note else None,
            "files": files if is_note else None,
            **(row.details or {}),
            **failure,
        }
        if files or row.details or failure
        else None,
        "failedReason": row.failed_reason if status == "FAILED" else None,
        "filesIds": list(row.file_ids) if is_note else None,
    }


_NO_DETAILS: dict[str, Any] = {
    "fileAsLink": None,
    "location": None,
    "contact": None,
    "errors": None,
    "footerText": None,
    "utm": None,
    "payTransactionId": None,
    "reactionToContact": None,
    "reactionFromContact": None,
    "track": None,
    "transcription": None,
    "templateCategoryId": None,
    "templateCategoryName": None,
    "waitReply": False,
}


def _error(row: Message, now: int) -> dict[str, Any]:
    return {
        "date": instant_text(row.state(now)[1], row.seq),
        "origin": "WHATSAPP",
        "key": FAILURE_KEYS.get(row.failed_reason or "", "MESSAGE_FAILED"),
        "text": row.failed_reason,
    }


def queued_message(world: World, row: Message) -> dict[str, Any]:
    """Print what an asynchronous send of the older kind answers."""
    now = world.now()
    return {
        **_head(row, row.updated_by(now)),
        "sessionId": row.session_id,
        "senderId": row.sender_id,
        "status": row.status(now),
        "statusUrl": f"{world.base_url}/chat/v1/message/{row.id}/status",
        "failureReason": row.failed_reason if row.status(now) == "FAILED" else None,
    }


def message_status(world: World, row: Message) -> dict[str, Any]:
    """Print the status of a message, where the reason is spelled ``failureReason``."""
    printed = queued_message(world, row)
    return {name: printed[name] for name in ("id", "createdAt", "updatedAt", "sessionId", "status", "failureReason")}


def sent_message(world: World, row: Message) -> dict[str, Any]:
    """Print what the send API answers, at once and when asked later."""
    now = world.now()
    status = row.status(now)
    sent = next((at for at, name in row.course if name == "SENT" and at <= now), None)
    return {
        **_head(row, row.updated_by(now)),
        "companyId": world.company_id,
        "sessionId": row.session_id,
        "status": status,
        "senderId": row.sender_id,
        "statusUrl": f"{world.base_url}/chat/v1/message/{row.id}/status",
        "sentAt": _maybe(sent, row.seq),
        "failedReason": row.failed_reason if status == "FAILED" else None,
        "callbackUrl": row.callback_url,
        "waitReply": False,
    }


# People


def contact(world: World, row: Contact, details: Collection[str] = NOTHING) -> dict[str, Any]:
    """Print a contact; tags, custom fields and portfolios only where asked for."""
    with_tags, with_portfolios = "Tags" in details, "Portfolios" in details
    portfolios = [world.portfolios.get(portfolio_id) for portfolio_id in row.portfolio_ids]
    return {
        **_head(row, row.updated),
        "companyId": world.company_id,
        "name": row.name,
        "nameWhatsapp": None,
        "nameInstagram": None,
        "nameMessenger": None,
        "phoneNumber": row.phone,
        "phoneNumberFormatted": formatted_phone(row.phone),
        "email": row.email,
        "instagram": row.instagram,
        "messengerId": None,
        "annotation": row.annotation,
        "tagIds": list(row.tag_ids) if with_tags else None,
        "tagNames": _tag_names(world, row) if with_tags else None,
        "status": row.status,
        "origin": row.origin,
        "importedAt": _maybe(row.imported, row.seq),
        "utm": row.utm,
        "customFields": _contact_fields(row) if "CustomFields" in details else None,
        "portfolioIds": list(row.portfolio_ids) if with_portfolios else None,
        "portfolioNames": [found["name"] for found in portfolios if found] if with_portfolios else None,
        "metadata": row.metadata or None,
    }


def _contact_fields(row: Contact) -> dict[str, Any]:
    if row.seq % 2:
        return dict(row.custom_fields)
    # Some come as lists of one, though nobody stored a list.
    return {key: value if isinstance(value, list) else [value] for key, value in row.custom_fields.items()}


def _tag_names(world: World, row: Contact) -> list[str]:
    return [tag["name"] for tag in map(world.tags.get, row.tag_ids) if tag is not None]


def agent(world: World, row: Record) -> dict[str, Any]:
    """Print an agent with its departments."""
    memberships = [
        {"agentId": row.id, **membership}
        for team in world.departments
        for membership in _department_agents(team)
        if membership["userId"] == row["userId"]
    ]
    return {**record(row), "departments": memberships}


def department(world: World, row: Record, details: Collection[str], *, version: int = 1) -> dict[str, Any]:
    """Print a department."""
    result = record(row)
    everything = "All" in details
    result["agents"] = _department_agents(row) if everything or "Agents" in details else None
    result["channels"] = _department_channels(world, row) if everything or "Channels" in details else None
    if version >= 2:
        del result["description"], result["isPrivate"]
    return result


def _department_agents(row: Record) -> list[dict[str, Any]]:
    return [
        {"userId": user_id, "departmentId": row.id, "isAgent": is_agent, "isSupervisor": is_supervisor}
        for user_id, (is_agent, is_supervisor) in row["_agents"].items()
    ]


def department_channel_ids(world: World, row: Record) -> list[str]:
    """Return the ids of the channels that a department may use."""
    if row["_scope"] == "ALL":
        return [channel.id for channel in world.channels]
    return list(row["_channels"]) if row["_scope"] == "SELECTED" else []


def _department_channels(world: World, row: Record) -> list[dict[str, Any]]:
    channels = [world.channels.get(channel_id) for channel_id in department_channel_ids(world, row)]
    return [
        {
            "id": channel.id,
            "number": channel["number"],
            "name": channel["identity"]["displayName"],
            "type": channel["type"],
        }
        for channel in channels
        if channel is not None
    ]


def sequence_contact(world: World, row: Record, details: Collection[str] = NOTHING) -> dict[str, Any]:
    """Print a contact's place in a sequence."""
    person = world.contacts.get(row["contactId"])
    result = record(row)
    result["contactName"] = person.name if person else None
    result["lastAddedAt"] = instant_text(row["_lastAddedAt"], row.seq + 2)
    result["contactDetails"] = None
    if person and "ContactDetails" in details:
        result["contactDetails"] = {
            "id": person.id,
            "name": person.name,
            "phonenumber": person.phone,
            "phonenumberFormatted": formatted_phone(person.phone),
            "instagram": person.instagram,
            "email": person.email,
            "pictureUrl": person.picture_url,
        }
    return result


def portfolio_contact(world: World, row: Record) -> dict[str, Any]:
    """Print a contact's place in a portfolio."""
    person = world.contacts.get(row["contactId"])
    result = record(row)
    result["contactDetails"] = person and {
        "id": person.id,
        "name": person.name,
        "phonenumber": person.phone,
        "phonenumberFormatted": formatted_phone(person.phone),
        "instagram": person.instagram,
        "nameMessenger": None,
        "email": person.email,
        "annotation": person.annotation,
    }
    return result


# Files


def file_of_message(world: World, file_id: str) -> dict[str, Any] | None:
    """Print a file as messages and notes carry it."""
    row = world.files.get(file_id)
    if row is None:
        return None
    url = f"{world.base_url}/files/{row.id}"
    return {
        "id": row.id,
        "companyId": row["companyId"],
        "userId": row["userId"],
        "name": row["name"],
        "extension": row["extension"],
        "mimeType": row["mimeType"],
        "type": _FILE_KINDS.get(row["type"], row["type"]),
        "publicUrl": url,
        "publicUrlDownload": url,
        "size": row["size"],
        "isThumbnail": False,
        "thumbnail": None,
    }


def file(row: Record) -> dict[str, Any]:
    """Print a stored file."""
    return {"id": row.id, **row.public()}


def template(row: Record, details: Collection[str]) -> dict[str, Any]:
    """Print a template; its parameters only where asked for."""
    params = [{"name": name, "templateId": row.id} for name in row["_params"]]
    return {**record(row), "params": params if "Params" in details or "All" in details else None}


# Panels and cards


def panel(world: World, row: Record, details: Collection[str]) -> dict[str, Any]:
    """Print a panel; tags and steps only where asked for."""
    cards = [card for card in world.cards if card["panelId"] == row.id and card["status"] == "OPEN"]
    counted = "StepsCardCount" in details
    with_steps = bool({"Steps", "StepsFields", "StepsCardCount", "Cards"} & set(details))
    overdue = [card for card in cards if is_overdue(world, card)]
    steps = []
    for step in row["_steps"] if with_steps else ():
        inside = [card for card in cards if card["stepId"] == step.id]
        steps.append(
            {
                **record(step),
                "cardCount": len(inside) if counted else None,
                "overdueCardCount": len([card for card in inside if is_overdue(world, card)]) if counted else None,
                "monetaryAmount": sum(card["monetaryAmount"] or 0 for card in inside) if counted else None,
                "fields": _STEP_FIELDS if "StepsFields" in details else None,
                "cards": _panel_cards(world, row, inside) if "Cards" in details else None,
            }
        )
    return {
        **record(row),
        "thumbnailFile": None,
        "overdueCardCount": len(overdue) if "PanelCardOverdueCount" in details else None,
        "stepTitles": [step["title"] for step in row["_steps"]],
        "tags": [record(tag) for tag in row["_tags"]] if "Tags" in details else None,
        "steps": steps if with_steps else None,
    }


_STEP_FIELDS = [{"key": "title", "type": "DEFAULT_FIELD", "position": 1, "visible": True}]


def _panel_cards(world: World, row: Record, cards: list[Record]) -> dict[str, Any]:
    """Print a step's first cards, in the older shape that says ``archived`` in place of a status."""
    items = []
    for one in cards[:15]:
        printed = card(world, one, NOTHING)
        del printed["status"], printed["lostReason"]
        items.append({**printed, "archived": one["status"] == "ARCHIVED"})
    return {
        "pageNumber": 1,
        "pageSize": 15,
        "orderBy": None,
        "orderDirection": None,
        "items": items,
        "totalItems": len(cards),
        "totalPages": -(-len(cards) // 15),
        "hasMorePages": len(cards) > 15,
    }


def is_overdue(world: World, row: Record) -> bool:
    """Return whether a card is past its date."""
    return row["status"] == "OPEN" and row["_due"] is not None and row["_due"] < world.now()


def card(world: World, row: Record, details: Collection[str]) -> dict[str, Any]:
    """Print a card; its contacts carry id and name, no phone."""
    place = world.step(row["stepId"])
    step_row, panel_row = place if place else (None, None)
    user = world.agent_of(row["responsibleUserId"])
    result = record(row)
    result.update(
        panelTitle=panel_row["title"] if panel_row and "PanelTitle" in details else None,
        stepTitle=step_row["title"] if step_row and "StepTitle" in details else None,
        stepPhase=_phase(step_row) if step_row and "StepPhase" in details else None,
        dueDate=_maybe(row["_due"], row.seq + 2),
        isOverdue=is_overdue(world, row),
        responsibleUser=None,
        contacts=None,
        customFields=dict(row["customFields"]) if "CustomFields" in details else None,
        metadata=row["metadata"] or None,
        lostReason=None,
    )
    if user and "ResponsibleUser" in details:
        result["responsibleUser"] = {"id": user["userId"], "name": user["name"]}
    if "Contacts" in details:
        people = [world.contacts.get(contact_id) for contact_id in row["contactIds"]]
        result["contacts"] = [{"id": person.id, "name": person.name} for person in people if person]
    if panel_row and row["_lost_reason"] and "LostReason" in details:
        reason = next((one for one in panel_row["_lost_reasons"] if one.id == row["_lost_reason"]), None)
        result["lostReason"] = reason and {"id": reason.id, "name": reason["description"]}
    return result


def _phase(step: Record) -> str:
    return "INITIAL" if step["isInitial"] else "FINAL" if step["isFinal"] else "NONE"


def custom_fields(rows: list[Record], *, nested: bool) -> list[dict[str, Any]]:
    """Print custom fields in a row, or inside their groups."""
    printed = [{**record(row), "children": None} for row in sorted(rows, key=lambda row: int(row["position"]))]
    if not nested:
        return printed
    groups: Mapping[str, list[dict[str, Any]]] = {field["id"]: [] for field in printed if field["type"] == "GROUP"}
    for field in printed:
        if field["parentId"] in groups:
            groups[field["parentId"]].append(field)
    return [{**field, "children": groups.get(field["id"])} for field in printed if field["parentId"] not in groups]


# Scheduled messages and one-time passwords


def scheduled(world: World, row: Record, details: Collection[str], *, with_session: bool = True) -> dict[str, Any]:
    """Print a scheduled message with the status that its message has reached."""
    result = record(row)
    result["scheduling"] = instant_text(row["scheduling"], row.seq + 2)
    result["status"], result["failureReason"] = scheduled_status(world, row)
    if with_session:
        sent = world.history.find(row["_message"])
        result["sessionId"] = sent.session_id if sent else None
    person = world.contacts.get(row["contactId"])
    channel = world.channels.get(row["channelId"])
    user = world.agent_of(row["userId"])
    team = world.departments.get(row["departmentId"])
    model = world.templates.get(row["templateId"])
    bot = next((one for one in world.chatbots if one["key"] == row["botId"]), None)
    result.update(dict.fromkeys(("contact", "user", "channel", "department", "chatbot", "template")))
    if person and "Contact" in details:
        result["contact"] = {
            "id": person.id,
            "name": person.name,
            "phonenumberFormatted": formatted_phone(person.phone),
            "instagram": person.instagram,
            "pictureUrl": person.picture_url,
        }
    if channel and "Channel" in details:
        identity = channel["identity"]
        result["channel"] = {"id": channel.id, "humanId": identity["humanId"], "type": channel["type"]}
    if user and "User" in details:
        result["user"] = {"id": user["userId"], "name": user["name"]}
    if team and "Department" in details:
        result["department"] = {"id": team.id, "name": team["name"]}
    if bot and "Chatbot" in details:
        result["chatbot"] = {"id": bot["key"], "botId": bot.id, "name": bot["name"]}
    if model and "Template" in details:
        parameters = {"parameters": row["_parameters"] or None, "file": None}
        result["template"] = {"id": model.id, "name": model["name"], "templateParams": parameters}
    return result


_SCHEDULED_STATUS = {"QUEUED": "PROCESSED", "PROCESSING": "PROCESSED", "SAVED": "PROCESSED"}


def scheduled_status(world: World, row: Record) -> tuple[str, str | None]:
    """Return the status of a scheduled message and why it failed."""
    sent = world.history.find(row["_message"])
    if sent is None:
        return row["_status"], row["_failure"]
    status = sent.status(world.now())
    return _SCHEDULED_STATUS.get(status, status), sent.failed_reason if status == "FAILED" else None


def one_time_password(world: World, row: Record, *, with_callback: bool) -> dict[str, Any]:
    """Print a one-time password's dispatch."""
    now = world.now()
    sent = world.history.find(row["_message"])
    status = sent.status(now) if sent else "SAVED"
    known = {"SENT": "SENT", "DELIVERED": "RECEIVED", "READ": "RECEIVED", "FAILED": "FAILED"}
    reached = {name: at for at, name in sent.course if at <= now} if sent else {}
    result = {
        **record(row),
        "status": known.get(status, "PENDING"),
        "sentAt": _maybe(reached.get("SENT"), row.seq),
        "receivedAt": _maybe(reached.get("DELIVERED"), row.seq),
        "failedReason": sent.failed_reason if sent and status == "FAILED" else None,
        "statusUrl": f"{world.base_url}/chat/v1/send/otp/{row.id}",
    }
    if not with_callback:
        del result["callbackUrl"], result["from"]
    return result
