"""Sequences and who runs through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error, not_found
from airflow_provider_wtschat.simulator.phones import stored_phone
from airflow_provider_wtschat.simulator.records import Contact, Record, member_id
from airflow_provider_wtschat.simulator.routes.call import (
    Call,
    by_id,
    contains,
    found,
    handles,
    list_page,
    page,
)
from airflow_provider_wtschat.simulator.routes.contacts import join_sequence
from airflow_provider_wtschat.simulator.sending import find_recipient
from airflow_provider_wtschat.simulator.world import World


@handles("GET /chat/v1/sequence")
def list_sequences(call: Call) -> Any:
    """List sequences."""
    world, query = call.world, call.query
    counted = "ContactExecutingCount" in query.many("IncludeDetails")
    contact_id = query.get("ContactId")

    def matches(row: Record) -> bool:
        inside = contact_id is None or member_id(row.id, contact_id) in world.sequence_contacts
        return inside and contains(row["name"], query.get("Name"))

    def view(row: Record) -> dict[str, Any]:
        return {**views.record(row), "contactExecutingCount": len(_members(world, row)) if counted else 0}

    # Who is inside changes without a change to the sequence, so nothing may be remembered.
    return list_page(call, list(world.sequences), view, matches=matches)


@handles("GET /chat/v2/sequence/{id}/contact")
def list_contacts(call: Call) -> Any:
    """List the contacts of a sequence."""
    world, query = call.world, call.query
    phone = query.get("PhoneNumber")
    stored = stored_phone(phone) if phone else None
    details = query.many("IncludeDetails")

    def matches(row: Record) -> bool:
        person = world.contacts.get(row["contactId"])
        return (
            query.get("ContactId") in (None, row["contactId"])
            and (phone is None or (person is not None and person.phone == stored))
            and contains(person.name if person else None, query.get("Name"))
        )

    return list_page(
        call,
        _members(world, _sequence(call)),
        lambda row: views.sequence_contact(world, row, details),
        matches=matches,
    )


@handles("POST /chat/v1/sequence/{id}/contact")
def add_contact(call: Call) -> Any:
    """Put one contact into a sequence."""
    row = join_sequence(call.world, _sequence(call), one_contact(call.world, call.body))
    call.touched(row.id)
    return views.sequence_contact(call.world, row)


@handles("POST /chat/v1/sequence/{id}/contact/batch")
def add_contacts(call: Call) -> Any:
    """Put many contacts into a sequence; unknown phones become contacts."""
    world, sequence = call.world, _sequence(call)
    rows = [join_sequence(world, sequence, contact) for contact in many_contacts(world, call.body)]
    call.touched(*(row.id for row in rows))
    return page(world, rows, lambda row: views.sequence_contact(world, row))


@handles("DELETE /chat/v1/sequence/{id}/contact")
def remove_contact(call: Call) -> Any:
    """Take one contact out of a sequence."""
    _remove(call, [one_contact(call.world, call.body)])


@handles("DELETE /chat/v1/sequence/{id}/contact/batch")
def remove_contacts(call: Call) -> Any:
    """Take many contacts out of a sequence."""
    _remove(call, many_contacts(call.world, call.body, create=False))


def one_contact(world: World, body: Mapping[str, Any]) -> Contact:
    """Find the contact that a body names by id or phone.

    :raises ApiError: it names none, or an unknown one.
    """
    if body.get("contactId"):
        return found(world.contacts.get(body["contactId"].lower()), not_found("Contato não encontrado"))
    if body.get("phoneNumber"):
        return found(world.contact_by_phone(body["phoneNumber"]), form_error("Contato não encontrado"))
    raise form_error("Informe o contato")


def many_contacts(world: World, body: Mapping[str, Any], *, create: bool = True) -> list[Contact]:
    """Find the contacts that a body names by ids and phones.

    :param create: whether unknown phones become contacts; they are left out otherwise.
    :raises ApiError: it names none, or an unknown id.
    """
    ids, phones = body.get("contactIds") or (), body.get("phoneNumbers") or ()
    if not ids and not phones:
        raise form_error("Informe os contatos")
    contacts = [found(world.contacts.get(one.lower()), not_found("Contato não encontrado")) for one in ids]
    for phone in phones:
        known = find_recipient(world, phone) if create else world.contact_by_phone(phone)
        if known is not None:
            contacts.append(known)
    return list({contact.id: contact for contact in contacts}.values())


def _sequence(call: Call) -> Record:
    return by_id(call.world.sequences, call.path["id"], "Sequência não encontrada")


def _members(world: World, sequence: Record) -> list[Record]:
    return [row for row in world.sequence_contacts if row["sequenceId"] == sequence.id]


def _remove(call: Call, contacts: list[Contact]) -> None:
    sequence = _sequence(call)
    for contact in contacts:
        row = call.world.sequence_contacts.delete(member_id(sequence.id, contact.id))
        if row is None and len(contacts) == 1:
            raise not_found("O contato não está na sequência")
        if row is not None:
            call.touched(row.id)
