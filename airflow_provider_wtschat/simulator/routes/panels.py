"""Panels, their cards, and the notes of the cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error, not_found
from airflow_provider_wtschat.simulator.records import Record, merged
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, contains, found, handles, list_page, user
from airflow_provider_wtschat.simulator.routes.contacts import accepted_fields, find_tags, tags_after
from airflow_provider_wtschat.simulator.world import World

_ALL_DETAILS = frozenset(
    {"PanelTitle", "StepTitle", "StepPhase", "ResponsibleUser", "Contacts", "CustomFields", "LostReason"}
)
_DEFAULT_STATUSES = frozenset({"OPEN"})


@handles("GET /crm/v2/panel")
def list_panels(call: Call) -> Any:
    """List panels."""
    world, query = call.world, call.query
    details = query.many("IncludeDetails")
    return list_page(
        call,
        world.panels,
        lambda row: views.panel(world, row, details),
        matches=lambda row: contains(row["title"], query.get("Title")) and query.get("Type") in (None, row["type"]),
    )


@handles("GET /crm/v1/panel/{id}")
def get_panel(call: Call) -> Any:
    """Get a panel."""
    return views.panel(call.world, _panel(call), call.query.many("IncludeDetails"))


@handles("GET /crm/v1/panel/{id}/custom-fields")
def list_custom_fields(call: Call) -> Any:
    """List the custom fields of a panel's cards, without an envelope."""
    fields = _fields(call.world, _panel(call).id)
    return views.custom_fields(fields, nested=call.query.get("NestedList", False))


@handles("GET /crm/v1/panel/{id}/lost-reason")
def list_lost_reasons(call: Call) -> Any:
    """List why cards are lost; only SALES panels have reasons."""
    return list_page(call, _panel(call)["_lost_reasons"], views.record)


@handles("GET /crm/v2/panel/card")
def list_cards(call: Call) -> Any:
    """List the cards of one panel, the open ones by default."""
    world, query = call.world, call.query
    panel = by_id(world.panels, query.get("PanelId"), "Painel não encontrado")
    statuses = frozenset(query.many("Statuses")) or _DEFAULT_STATUSES
    details = query.many("IncludeDetails")
    text = query.get("TextFilter")

    def matches(row: Record) -> bool:
        return (
            row["panelId"] == panel.id
            and row["status"] in statuses
            and query.get("StepId") in (None, row["stepId"])
            and query.get("ResponsibleUserId") in (None, row["responsibleUserId"])
            and (query.get("ContactId") is None or query.get("ContactId") in row["contactIds"])
            and (text is None or any(contains(row[name], text) for name in ("title", "description", "key")))
        )

    return list_page(call, world.cards, lambda row: views.card(world, row, details), matches=matches)


@handles("GET /crm/v2/panel/card/{id}")
def get_card(call: Call) -> Any:
    """Get a card."""
    return views.card(call.world, _card(call, "id"), call.query.many("IncludeDetails"))


@handles("POST /crm/v2/panel/card")
def create_card(call: Call) -> Any:
    """Create a card in a step."""
    world, body = call.world, call.body
    step, panel = _step(world, body["stepId"])
    row = _new_card(
        world,
        panel,
        step,
        title=body["title"],
        description=body.get("description"),
        position=body.get("position"),
        tagIds=find_tags(_tag_names(panel), body),
        sessionId=_session_id(world, body.get("sessionId")),
        monetaryAmount=body.get("monetaryAmount"),
        responsibleUserId=_user_id(world, body.get("responsibleUserId")),
        contactIds=_contact_ids(world, body.get("contactIds")),
        customFields=merged({}, accepted_fields(_fields(world, panel.id), body.get("customFields"))),
        metadata=merged({}, body.get("metadata")),
        _due=None if body.get("dueDate") is None else call.instant(body["dueDate"]),
    )
    return _printed(call, row)


@handles("PUT /crm/v3/panel/card/{id}")
def update_card(call: Call) -> Any:
    """Update the fields named in the mask: move a card, change its status."""
    world, row, body = call.world, _card(call, "id"), call.body or {}
    mask = set(body.get("fields") or ())
    changes: dict[str, Any] = {}
    _, panel = _step(world, row["stepId"])
    if "StepId" in mask:
        step, panel = _step(world, body.get("stepId"))
        changes |= {"stepId": step.id, "panelId": panel.id}
    if "Title" in mask:
        if not body.get("title"):
            raise form_error("Informe o título do card")
        changes["title"] = body["title"]
    for name, property_name in (("Description", "description"), ("MonetaryAmount", "monetaryAmount")):
        if name in mask:
            changes[property_name] = body.get(property_name)
    if "Position" in mask:
        changes["position"] = float(body.get("position") or 0)
    if "DueDate" in mask:
        changes["_due"] = None if body.get("dueDate") is None else call.instant(body["dueDate"])
    if "ResponsibleUserId" in mask:
        changes["responsibleUserId"] = _user_id(world, body.get("responsibleUserId"))
    if "ContactIds" in mask:
        changes["contactIds"] = _contact_ids(world, body.get("contactIds"))
    if "SessionId" in mask:
        changes["sessionId"] = _session_id(world, body.get("sessionId"))
    if "TagIds" in mask:
        operation = (body.get("options") or {}).get("upsertTagOperation") or "ReplaceAll"
        changes["tagIds"] = list(tags_after(row["tagIds"], find_tags(_tag_names(panel), body), operation))
    if "CustomFields" in mask:
        accepted = accepted_fields(_fields(world, panel.id), body.get("customFields"))
        changes["customFields"] = merged(row["customFields"], accepted)
    if "Metadata" in mask:
        changes["metadata"] = merged(row["metadata"], body.get("metadata"))
    if "Status" in mask:
        changes |= _status(panel, body)
    if panel.id != row["panelId"]:  # last, so that an update that is refused takes no number
        changes |= _number(world, panel)
    # The mask knows Archived, the body has no such value: naming it changes nothing.
    return _printed(call, world.change(world.cards, row, **changes) if changes else row)


@handles("POST /crm/v2/panel/card/{id}/duplicate")
def duplicate_card(call: Call) -> Any:
    """Copy a card into a step of any panel."""
    world, row, body = call.world, _card(call, "id"), call.body or {}
    options = body.get("options") or {}
    chosen = set(options.get("fields") or ("All",)) - {"Undefined"} or {"All"}
    step, panel = _step(world, body.get("copyToStepId") or row["stepId"])

    def copied(field: str, value: Any, otherwise: Any) -> Any:
        return value if "All" in chosen or field in chosen else otherwise

    same_panel = panel.id == row["panelId"]
    amount_chosen = "MonetaryAmount" if "MonetaryAmount" in chosen else "Amount"
    fields = row["customFields"] if same_panel else accepted_fields(_fields(world, panel.id), row["customFields"])
    copy = _new_card(
        world,
        panel,
        step,
        title=row["title"],
        description=row["description"],
        position=None,
        tagIds=copied("Tags", list(row["tagIds"]) if same_panel else [], []),
        sessionId=None,
        monetaryAmount=copied(amount_chosen, row["monetaryAmount"], None),
        responsibleUserId=copied("ResponsibleUser", row["responsibleUserId"], None),
        contactIds=copied("Contacts", list(row["contactIds"]), []),
        customFields=copied("CustomFields", dict(fields), {}),
        metadata={},
        _due=copied("DueDate", row["_due"], None),
    )
    if copied("Notes", True, False):
        for note in [one for one in world.card_notes if one["cardId"] == row.id]:
            world.record(world.card_notes, **{**note.data, "cardId": copy.id, "panelId": panel.id})
    if options.get("archiveOriginalCard"):
        world.change(world.cards, row, status="ARCHIVED")
        call.touched(row.id)
    return _printed(call, copy)


@handles("GET /crm/v1/panel/card/{cardId}/note")
def list_notes(call: Call) -> Any:
    """List the notes of a card."""
    card = _card(call, "cardId")
    return list_page(call, [note for note in call.world.card_notes if note["cardId"] == card.id], views.record)


@handles("POST /crm/v1/panel/card/{cardId}/note")
def create_note(call: Call) -> Any:
    """Write a note on a card."""
    world, card, body = call.world, _card(call, "cardId"), call.body
    urls = body.get("fileUrls") or ()
    if not (body.get("text") or urls):
        raise form_error("Informe o texto ou os arquivos da anotação")
    if any(not url.startswith(("http://", "https://")) for url in urls):
        raise form_error("URL de arquivo inválida")
    note = world.record(
        world.card_notes,
        companyId=world.company_id,
        panelId=card["panelId"],
        cardId=card.id,
        userId=next(iter(world.agents))["userId"],
        text=body.get("text"),
        files=[_linked_file(world, url) for url in urls],
        isFromPublicApi=True,
    )
    call.touched(note.id)
    return views.record(note)


@handles("DELETE /crm/v1/panel/card/{cardId}/note/{noteId}")
def delete_note(call: Call) -> Any:
    """Delete a note of a card."""
    note = call.world.card_notes.get(call.path["noteId"].lower())
    if note is None or note["cardId"] != _card(call, "cardId").id:
        raise not_found("Anotação não encontrada")
    call.world.card_notes.delete(note.id)
    call.touched(note.id)


def _panel(call: Call) -> Record:
    return by_id(call.world.panels, call.path["id"], "Painel não encontrado")


def _card(call: Call, name: str) -> Record:
    return by_id(call.world.cards, call.path[name], "Card não encontrado")


def _step(world: World, step_id: str | None) -> tuple[Record, Record]:
    place = world.step(step_id.lower() if step_id else None)
    if place is None:
        raise not_found("Etapa não encontrada")
    return place


def _fields(world: World, panel_id: str) -> list[Record]:
    return [field for field in world.custom_fields if field["scopeId"] == panel_id]


def _tag_names(panel: Record) -> dict[str, str]:
    return {tag.id: tag["name"] for tag in panel["_tags"]}


def _user_id(world: World, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    user_id: str = user(world, wanted)["userId"]
    return user_id


def _session_id(world: World, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    return found(world.sessions.get(wanted.lower()), not_found("Atendimento não encontrado")).id


def _contact_ids(world: World, wanted: list[str] | None) -> list[str]:
    return [
        found(world.contacts.get(contact_id.lower()), not_found("Contato não encontrado")).id
        for contact_id in wanted or ()
    ]


def _status(panel: Record, body: Mapping[str, Any]) -> dict[str, Any]:
    status, reason = body.get("status"), body.get("lostReasonId")
    if status is None:
        raise form_error("Informe o status do card")
    if reason is not None and reason.lower() not in {one.id for one in panel["_lost_reasons"]}:
        raise not_found("Motivo de perda não encontrado")
    return {"status": status, "_lost_reason": reason.lower() if reason and status == "LOST" else None}


def _number(world: World, panel: Record) -> dict[str, Any]:
    """Give a card the next number of a panel."""
    newest = by_id(world.panels, panel.id, "Painel não encontrado")
    number = newest["_last_number"] + 1
    world.panels.put(newest.changed(newest.updated, _last_number=number))
    return {"number": number, "key": f"{panel['key']}-{number}"}


def _new_card(world: World, panel: Record, step: Record, *, position: float | None, **values: Any) -> Record:
    numbered = _number(world, panel)
    return world.record(
        world.cards,
        companyId=world.company_id,
        panelId=panel.id,
        stepId=step.id,
        position=float(numbered["number"] if position is None else position),
        status="OPEN",
        _lost_reason=None,
        **numbered,
        **values,
    )


def _printed(call: Call, row: Record) -> Any:
    call.touched(row.id)
    return views.card(call.world, row, _ALL_DETAILS)


def _linked_file(world: World, url: str) -> dict[str, Any]:
    return {
        "id": world.new_id(),
        "companyId": world.company_id,
        "userId": None,
        "name": url.rsplit("/", 1)[1] or "arquivo",
        "extension": None,
        "mimeType": None,
        "type": "UNDEFINED",
        "publicUrl": url,
        "publicUrlDownload": url,
        "size": 0,
        "isThumbnail": False,
        "thumbnail": None,
    }
