"""Sequences: messages sent to their contacts step by step."""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Unpack

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed, taking
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
    period, order = convert.listed(**shared)
    return PagedRequest(
        method="GET",
        route="/chat/v1/sequence",
        query=convert.query(
            Name=convert.text("name", name),
            ContactId=convert.uuid("contact_id", contact_id),
            IncludeDetails=convert.choices("include_details", include_details, SequenceDetail),
        )
        + period,
        result=Sequence,
        safe_to_repeat=True,
        bounds=("CreatedAt", "UpdatedAt"),
        **order,
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
    period, order = convert.listed(**shared)
    path_params = _id(sequence_id)
    contact = convert.uuid("contact_id", contact_id)
    phone = convert.phone("phone_number", phone_number, phone_country)
    return PagedRequest(
        method="GET",
        route="/chat/v2/sequence/{id}/contact",
        path_params=path_params,
        query=convert.query(
            Name=convert.text("name", name),
            ContactId=contact,
            PhoneNumber=phone,
            IncludeDetails=convert.choices("include_details", include_details, SequenceContactDetail),
        )
        + period,
        result=SequenceContact,
        safe_to_repeat=True,
        bounds=("CreatedAt", "UpdatedAt"),
        filters=convert.filters(
            sequenceId=path_params["id"],
            contactId=contact,
            contactDetails=None if phone is None else {"phonenumber": phone},
        ),
        may_be_null=("contactDetails",),
        **order,
    )


def add_contact(
    sequence_id: str,
    *,
    contact_id: str | None = None,
    phone_number: str | int | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[SequenceContact]:
    """
    Add a contact to a sequence: ``POST /chat/v1/sequence/{id}/contact``.

    :param sequence_id: id of the sequence
    :param contact_id: id of the contact
    :param phone_number: phone number of the contact
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of the two names the contact
    """
    return Request(
        method="POST",
        route="/chat/v1/sequence/{id}/contact",
        path_params=_id(sequence_id),
        body=_bodies.contact(contact_id, phone_number, phone_country),
        result=SequenceContact,
        # A contact that has run through meanwhile would start again, and get every message of it again.
        safe_to_repeat=False,
    )


def add_contacts(
    sequence_id: str,
    *,
    contact_ids: Many[str] | str | None = None,
    phone_numbers: Many[str | int] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Page[SequenceContact]]:
    """
    Add contacts to a sequence: ``POST /chat/v1/sequence/{id}/contact/batch``.

    :param sequence_id: id of the sequence
    :param contact_ids: ids of contacts
    :param phone_numbers: phone numbers of contacts; missing contacts are created
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or no contact is given
    """
    return Request(
        method="POST",
        route="/chat/v1/sequence/{id}/contact/batch",
        path_params=_id(sequence_id),
        body=_bodies.contacts(contact_ids, phone_numbers, phone_country),
        result=Page,
        # A contact that has run through meanwhile would start again, and get every message of it again.
        safe_to_repeat=False,
    )


def remove_contact(
    sequence_id: str,
    *,
    contact_id: str | None = None,
    phone_number: str | int | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[None]:
    """
    Remove a contact from a sequence: ``DELETE /chat/v1/sequence/{id}/contact``.

    :param sequence_id: id of the sequence
    :param contact_id: id of the contact
    :param phone_number: phone number of the contact
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of the two names the contact
    """
    return Request(
        method="DELETE",
        route="/chat/v1/sequence/{id}/contact",
        path_params=_id(sequence_id),
        body=_bodies.contact(contact_id, phone_number, phone_country),
        result=type(None),
        safe_to_repeat=True,
    )


def remove_contacts(
    sequence_id: str,
    *,
    contact_ids: Many[str] | str | None = None,
    phone_numbers: Many[str | int] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[None]:
    """
    Remove contacts from a sequence: ``DELETE /chat/v1/sequence/{id}/contact/batch``.

    :param sequence_id: id of the sequence
    :param contact_ids: ids of contacts
    :param phone_numbers: phone numbers of contacts
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or no contact is given
    """
    return Request(
        method="DELETE",
        route="/chat/v1/sequence/{id}/contact/batch",
        path_params=_id(sequence_id),
        body=_bodies.contacts(contact_ids, phone_numbers, phone_country),
        result=type(None),
        safe_to_repeat=True,
    )


def _id(sequence_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("sequence_id", sequence_id)}
