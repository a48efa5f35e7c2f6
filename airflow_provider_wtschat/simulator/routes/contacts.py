"""Contacts: reading, filtering, saving one or many, and their tags."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error, not_found
from airflow_provider_wtschat.simulator.phones import stored_phone
from airflow_provider_wtschat.simulator.records import Contact, Record, member_id, merged
from airflow_provider_wtschat.simulator.routes.call import (
    Call,
    Paging,
    by_id,
    contains,
    found,
    handles,
    list_page,
    page,
)
from airflow_provider_wtschat.simulator.tables import Bound, Table
from airflow_provider_wtschat.simulator.world import World

BATCH = 100

_PAGING = {"pageNumber": "number", "pageSize": "size", "orderBy": "order_by", "orderDirection": "direction"}

_PLAIN = ("name", "email", "instagram", "annotation", "utm")
_FIELDS = {
    **{name: name.title() for name in _PLAIN},
    "phoneNumber": "PhoneNumber",
    "tagIds": "Tags",
    "tagNames": "Tags",
    "portfolioIds": "Portfolio",
    "portfolioNames": "Portfolio",
    "sequenceIds": "SequenceIds",
    "customFields": "CustomFields",
    "metadata": "Metadata",
}
"""What the mask calls a property of the body."""
_ALL_DETAILS = frozenset({"Tags", "CustomFields", "Portfolios"})
_TEXTS = {"STRING", "TEXT", "DATE", "TIME", "DATETIME", "SINGLESELECT"}


@handles("GET /core/v1/contact")
def list_contacts(call: Call) -> Any:
    """List contacts of one status, ACTIVE by default."""
    world, details = call.world, call.query.many("IncludeDetails")
    status = call.query.get("Status", "ACTIVE")
    return list_page(
        call,
        world.contacts,
        lambda row: views.contact(world, row, details),
        matches=lambda row: row.status == status,
    )


@handles("POST /core/v1/contact/filter")
def filter_contacts(call: Call) -> Any:
    """Filter contacts; the paging is in the body, in camelCase."""
    world, body = call.world, call.body or {}
    details = body.get("includeDetails") or ()
    bounds = {}
    for name in ("createdAt", "updatedAt"):
        given = body.get(name) or {}
        bound = Bound(*(call.instant(given[end]) if given.get(end) else None for end in ("after", "before")))
        if bound != Bound():
            bounds[name.lower()] = bound
    return page(
        world,
        world.contacts,
        lambda row: views.contact(world, row, details),
        paging=Paging(**{field: body[name] for name, field in _PAGING.items() if name in body}),
        bounds=bounds,
        matches=_filter(world, body),
        signature=json.dumps({**body, **dict.fromkeys(_PAGING), "includeDetails": None}, sort_keys=True),
    )


@handles("GET /core/v1/contact/{id}", "GET /core/v1/contact/phonenumber/{phone}")
def get_contact(call: Call) -> Any:
    """Get a contact."""
    return views.contact(call.world, _contact(call), call.query.many("IncludeDetails"))


@handles("POST /core/v1/contact")
def create_contact(call: Call) -> Any:
    """Create a contact, or update or get the one that exists."""
    return _printed(call, _create(call, call.body, call.body.get("options") or {}))


@handles("POST /core/v2/contact/batch")
def save_contacts(call: Call) -> Any:
    """Save at most 100 contacts: those with a known phone, Instagram name or e-mail are updated."""
    items = call.body["items"]
    if not 0 < len(items) <= BATCH:
        raise form_error(f"Informe de 1 a {BATCH} contatos por requisição")
    options = {**(call.body.get("options") or {}), "upsert": True}
    return [_printed(call, _create(call, item, options)) for item in items]


@handles("PUT /core/v2/contact/{id}", "PUT /core/v1/contact/phonenumber/{phone}")
def update_contact(call: Call) -> Any:
    """Update the fields named in the mask."""
    return _printed(call, _update(call, _contact(call)))


@handles("POST /core/v1/contact/{id}/tags", "POST /core/v1/contact/phonenumber/{phone}/tags")
def update_tags(call: Call) -> Any:
    """Add, remove or replace tags."""
    row, given = _contact(call), find_tags(_tag_names(call.world), call.body)
    tag_ids = tags_after(row.tag_ids, given, call.body.get("operation"))
    return _printed(call, call.world.change_contact(row.id, tag_ids=tag_ids))


def tags_after(old: tuple[str, ...] | list[str], given: list[str], operation: str | None) -> tuple[str, ...]:
    """Return tags after an operation in whichever spelling the contract has for it."""
    match (operation or "InsertIfNotExists").lower():
        case "replaceall":
            return tuple(dict.fromkeys(given))
        case "deleteifexists":
            return tuple(tag for tag in old if tag not in given)
        case _:
            return tuple(dict.fromkeys((*old, *given)))


def find_tags(known: Mapping[str, str], body: Mapping[str, Any]) -> list[str]:
    """Return ids of the tags that a body names; ids win over names.

    :param known: names of the existing tags by id.
    :raises ApiError: a tag is unknown.
    """
    ids = [tag_id.lower() for tag_id in body.get("tagIds") or ()]
    if body.get("tagIds") is None:
        by_name = {name: tag_id for tag_id, name in known.items()}
        ids = [by_name.get(name, name) for name in body.get("tagNames") or ()]
    unknown = [tag_id for tag_id in ids if tag_id not in known]
    if unknown:
        raise not_found(f"Etiqueta não encontrada ({', '.join(unknown)})")
    return ids


def accepted_fields(fields: list[Record], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return custom-field values whose key is known and whose type fits; the others are ignored, null clears."""
    kinds = {field["key"]: field["type"] for field in fields}
    options = {field["key"]: {option["name"] for option in field["options"]} for field in fields}
    return {
        key: value
        for key, value in (given or {}).items()
        if key in kinds and (value is None or _fits(kinds[key], options[key], value))
    }


def _fits(kind: str, options: set[str], value: Any) -> bool:
    if kind == "MULTISELECT":
        return isinstance(value, list) and set(value) <= options
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind == "INTEGER":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "FLOAT":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind in _TEXTS and isinstance(value, str) and (kind != "SINGLESELECT" or value in options)


def contact_fields(world: World) -> list[Record]:
    """Return the custom fields of contacts."""
    return [field for field in world.custom_fields if field["entityType"] == "CONTACT"]


def _printed(call: Call, row: Contact) -> dict[str, Any]:
    call.touched(row.id)
    return views.contact(call.world, row, _ALL_DETAILS)


def _contact(call: Call) -> Contact:
    """Find a contact by its id, or by its phone in any spelling, where an unknown one is another error."""
    if "phone" in call.path:
        return found(call.world.contact_by_phone(call.path["phone"]), form_error("Contato não encontrado"))
    return found(call.world.contacts.get(call.path["id"].lower()), not_found("Contato não encontrado"))


def _tag_names(world: World) -> dict[str, str]:
    return {tag.id: tag["name"] for tag in world.tags}


def _phone(text: str | None) -> str | None:
    if text is None:
        return None
    stored = stored_phone(text)
    if stored is None:
        raise form_error("Número de telefone inválido")
    return stored


def _existing(world: World, body: Mapping[str, Any]) -> Contact | None:
    phone = _phone(body.get("phoneNumber"))
    known = world.contact_by_phone(phone) if phone else None
    for name in ("instagram", "email"):
        if known is None and body.get(name):
            known = next((row for row in world.contacts if getattr(row, name) == body[name]), None)
    return known


def _create(call: Call, body: Mapping[str, Any], options: Mapping[str, Any]) -> Contact:
    world = call.world
    if not (body.get("name") or body.get("phoneNumber") or body.get("instagram") or body.get("email")):
        raise form_error("Informe o nome, o telefone, o Instagram ou o e-mail do contato")
    known = _existing(world, body)
    if known is not None and options.get("getIfExists"):
        return known
    if known is not None and not options.get("upsert"):
        raise form_error("Já existe um contato com este telefone, Instagram ou e-mail")
    fields = options.get("upsertFields") if known is not None else None
    mask = set(fields if fields is not None else _given(body))
    operation = options.get("upsertTagOperation") or "ReplaceAll"
    changes = _changes(world, known, body, mask, operation)
    saved = world.create_contact(**changes) if known is None else world.change_contact(known.id, **changes)
    return _join(world, saved, body, mask)


def _given(body: Mapping[str, Any]) -> set[str]:
    """Return the mask that means everything a body has."""
    return {_FIELDS[name] for name, value in body.items() if name in _FIELDS and value is not None}


def _update(call: Call, row: Contact) -> Contact:
    world, body = call.world, call.body or {}
    mask = set(body.get("fields") or ())
    operation = (body.get("options") or {}).get("tagsOperation")
    for name in ("phoneNumber", "email", "instagram"):
        other = _existing(world, {name: body[name]}) if _FIELDS[name] in mask and body.get(name) else None
        if other is not None and other.id != row.id:
            raise form_error("Já existe um contato com este telefone, Instagram ou e-mail")
    changes = _changes(world, row, body, mask, operation)
    if "Status" in mask:
        changes["status"] = body.get("status") or row.status
    if "PictureUrl" in mask:
        changes["picture_url"] = body.get("pictureUrl")
    if changes:
        row = world.change_contact(row.id, **changes)
    return _join(world, row, body, mask)


def _changes(
    world: World, row: Contact | None, body: Mapping[str, Any], mask: set[str], operation: str | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {name: body.get(name) for name in _PLAIN if _FIELDS[name] in mask}
    if "PhoneNumber" in mask:
        changes["phone"] = _phone(body.get("phoneNumber"))
    if "Tags" in mask:
        given = find_tags(_tag_names(world), body)
        changes["tag_ids"] = tags_after(row.tag_ids if row else (), given, operation)
    if "CustomFields" in mask:
        accepted = accepted_fields(contact_fields(world), body.get("customFields"))
        changes["custom_fields"] = merged(row.custom_fields if row else {}, accepted)
    if "Metadata" in mask:
        changes["metadata"] = merged(row.metadata if row else {}, body.get("metadata"))
    return changes


def _join(world: World, row: Contact, body: Mapping[str, Any], mask: set[str]) -> Contact:
    """Put a contact into the portfolios and sequences that a body names."""
    if "Portfolio" in mask:
        wanted = body.get("portfolioIds")
        names = body.get("portfolioNames") or ()
        chosen = [
            portfolio
            for portfolio in world.portfolios
            if (portfolio.id in wanted if wanted is not None else portfolio["name"] in names)
        ]
        if len(chosen) != len(set(names if wanted is None else wanted)):
            raise not_found("Carteira não encontrada")
        for portfolio in chosen:
            row = join_portfolio(world, portfolio, row)
    if "SequenceIds" in mask:
        for sequence_id in body.get("sequenceIds") or ():
            join_sequence(world, by_id(world.sequences, sequence_id, "Sequência não encontrada"), row)
    return row


def join_sequence(world: World, sequence: Record, contact: Contact) -> Record:
    """Put a contact into a sequence; once more only moves ``lastAddedAt``."""
    row_id = member_id(sequence.id, contact.id)
    known = world.sequence_contacts.get(row_id)
    if known is not None:
        return world.change(world.sequence_contacts, known, _lastAddedAt=world.now())
    return world.record(
        world.sequence_contacts,
        row_id=row_id,
        active=True,
        companyId=world.company_id,
        sequenceId=sequence.id,
        contactId=contact.id,
        origin="API",
        addedByUserId=None,
        addedByChatbotId=None,
        _lastAddedAt=world.now(),
    )


def join_portfolio(world: World, portfolio: Record, contact: Contact) -> Contact:
    """Put a contact into a portfolio."""
    row_id = member_id(portfolio.id, contact.id)
    if row_id in world.portfolio_contacts:
        return contact
    world.record(
        world.portfolio_contacts,
        row_id=row_id,
        active=True,
        companyId=world.company_id,
        portfolioId=portfolio.id,
        contactId=contact.id,
    )
    return world.change_contact(contact.id, portfolio_ids=(*contact.portfolio_ids, portfolio.id))


def _named(table: Table[Record], ids: list[str] | None, names: list[str] | None) -> tuple[set[str], bool]:
    """Return the ids of the rows that a filter names, and whether it names any."""
    return {*(ids or ()), *(row.id for row in table if row["name"] in (names or ()))}, bool(ids or names)


def _filter(world: World, body: Mapping[str, Any]) -> Callable[[Contact], bool]:
    status = body.get("status") or "ACTIVE"
    phone = body.get("phoneNumber")
    stored = stored_phone(phone) if phone else None
    tag_ids, by_tag = _named(world.tags, body.get("tagIds"), body.get("tagNames"))
    portfolio_ids, by_portfolio = _named(world.portfolios, body.get("portfolioIds"), body.get("portfolioNames"))
    text = body.get("textFilter")
    digits = "".join(sign for sign in phone or "" if sign.isdigit())

    fields, metadata = body.get("customFields") or {}, body.get("metadata") or {}

    def matches(row: Contact) -> bool:
        return (
            row.status == status
            and (not body.get("origin") or row.origin == body["origin"])
            and contains(row.name, body.get("name"))
            and contains(row.email, body.get("email"))
            and contains(row.instagram, body.get("instagram"))
            and (not phone or row.phone == stored or digits in (row.phone or "").replace("|", ""))
            and (not by_tag or not tag_ids.isdisjoint(row.tag_ids))
            and (not by_portfolio or not portfolio_ids.isdisjoint(row.portfolio_ids))
            and (not text or any(contains(part, text) for part in (row.name, row.phone, row.email, row.instagram)))
            and (not fields or all(row.custom_fields.get(key) == value for key, value in fields.items()))
            and (not metadata or all(row.metadata.get(key) == value for key, value in metadata.items()))
        )

    return matches
