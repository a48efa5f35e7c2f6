"""Sequences: messages sent to their contacts step by step."""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed, ManyContacts, OneContact, taking
from airflow_provider_wtschat.api.request import Page, PagedRequest, Request
from airflow_provider_wtschat.api.types import Sequence, SequenceContact, SequenceContactDetail, SequenceDetail

__all__ = ["add_contact", "add_contacts", "list_", "list_contacts", "remove_contact", "remove_contacts"]


@taking(Listed)
def list_(
    *,
    name: str | None = None,
    contact_id: str | None = None,
    include_details: Many[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Sequence]:
    """
    List sequences: ``GET /chat/v1/sequence``.

    :param name: name of the sequence
    :param contact_id: id of a contact who is in it
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.SequenceDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Sequence`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.listing(
        "/chat/v1/sequence",
        Sequence,
        shared,
        query=convert.query(
            Name=convert.text("name", name),
            ContactId=convert.uuid("contact_id", contact_id),
            IncludeDetails=convert.choices("include_details", include_details, SequenceDetail),
        ),
    )


@taking(Listed)
def list_contacts(
    sequence_id: str,
    *,
    name: str | None = None,
    contact_id: str | None = None,
    phone_number: str | int | None = None,
    include_details: Many[str] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
    **shared: Unpack[Listed],
) -> PagedRequest[SequenceContact]:
    """
    List the contacts of a sequence: ``GET /chat/v2/sequence/{id}/contact``.

    :param sequence_id: id of the sequence
    :param name: name of the contact
    :param contact_id: id of the contact
    :param phone_number: phone number of the contact, in any spelling
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.SequenceContactDetail`
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.SequenceContact`
    :raises WtsChatArgumentError: if an argument is refused
    """
    path_params = _id(sequence_id)
    contact = convert.uuid("contact_id", contact_id)
    phone = convert.phone("phone_number", phone_number, phone_country)
    return build.listing(
        "/chat/v2/sequence/{id}/contact",
        SequenceContact,
        shared,
        path_params,
        query=convert.query(
            Name=convert.text("name", name),
            ContactId=contact,
            PhoneNumber=phone,
            IncludeDetails=convert.choices("include_details", include_details, SequenceContactDetail),
        ),
        filters=convert.filters(
            sequenceId=path_params["id"],
            contactId=contact,
            contactDetails=None if phone is None else {"phonenumber": phone},
        ),
        may_be_null=("contactDetails",),
    )


@taking(OneContact)
def add_contact(sequence_id: str, **shared: Unpack[OneContact]) -> Request[SequenceContact]:
    """
    Add a contact to a sequence: ``POST /chat/v1/sequence/{id}/contact``.

    :param sequence_id: id of the sequence
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of the two names the contact
    """
    return build.post(
        "/chat/v1/sequence/{id}/contact",
        SequenceContact,
        _id(sequence_id),
        body=_bodies.contact(**shared),
        # A contact that has run through meanwhile would start again, and get every message of it again.
        safe_to_repeat=False,
    )


@taking(ManyContacts)
def add_contacts(sequence_id: str, **shared: Unpack[ManyContacts]) -> Request[Page[SequenceContact]]:
    """
    Add contacts to a sequence: ``POST /chat/v1/sequence/{id}/contact/batch``.

    A phone number that no contact has becomes one.

    :param sequence_id: id of the sequence
    :raises WtsChatArgumentError: if an argument is refused, or no contact is given
    """
    return build.post(
        "/chat/v1/sequence/{id}/contact/batch",
        Page,
        _id(sequence_id),
        body=_bodies.contacts(**shared),
        # A contact that has run through meanwhile would start again, and get every message of it again.
        safe_to_repeat=False,
    )


@taking(OneContact)
def remove_contact(sequence_id: str, **shared: Unpack[OneContact]) -> Request[None]:
    """
    Remove a contact from a sequence: ``DELETE /chat/v1/sequence/{id}/contact``.

    :param sequence_id: id of the sequence
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of the two names the contact
    """
    return build.delete("/chat/v1/sequence/{id}/contact", type(None), _id(sequence_id), body=_bodies.contact(**shared))


@taking(ManyContacts)
def remove_contacts(sequence_id: str, **shared: Unpack[ManyContacts]) -> Request[None]:
    """
    Remove contacts from a sequence: ``DELETE /chat/v1/sequence/{id}/contact/batch``.

    :param sequence_id: id of the sequence
    :raises WtsChatArgumentError: if an argument is refused, or no contact is given
    """
    return build.delete(
        "/chat/v1/sequence/{id}/contact/batch",
        type(None),
        _id(sequence_id),
        body=_bodies.contacts(**shared),
    )


def _id(sequence_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("sequence_id", sequence_id)}
