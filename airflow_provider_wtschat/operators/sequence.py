"""Operators on sequences."""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any, ClassVar, Unpack

from airflow_provider_wtschat.api import sequences
from airflow_provider_wtschat.api.types import Sequence, SequenceContact
from airflow_provider_wtschat.operators._arguments import (
    PeriodListArguments,
    SequenceContactArguments,
    SequenceContactOnceArguments,
    SequenceContactsArguments,
    SequenceContactsOnceArguments,
    SequencePeriodListArguments,
)
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator, WtsChatPeriodListOperator
from airflow_provider_wtschat.operators.sending import WtsChatOnceOperator

__all__ = [
    "AddContactToSequenceOperator",
    "AddContactsToSequenceOperator",
    "ListSequenceContactsOperator",
    "ListSequencesOperator",
    "RemoveContactFromSequenceOperator",
    "RemoveContactsFromSequenceOperator",
]


class ListSequencesOperator(WtsChatPeriodListOperator[Sequence]):
    """
    List sequences: ``GET /chat/v1/sequence``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListSequencesOperator(task_id="sequences", fields=["id", "name"])

    :param name: name of the sequence (templated)
    :param contact_id: id of a contact who is in it (templated)
    :param include_details: what to add (templated)
    """

    operation = staticmethod(sequences.list_)

    def __init__(
        self,
        *,
        name: str | None = None,
        contact_id: str | None = None,
        include_details: Many[str] | str | None = None,
        **kwargs: Unpack[PeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.contact_id = contact_id
        self.include_details = include_details


class WtsChatSequenceOperator(WtsChatBaseOperator):
    """
    Identify a sequence, by id or name.

    :param sequence_id: id of the sequence (templated)
    :param sequence_name: name of the sequence, in place of its id (templated)
    :param phone_country: calling code of phone numbers written without one (templated). Default: 55 (Brazil)
    """

    named: ClassVar = {"sequence_id": "sequence"}

    def __init__(
        self,
        *,
        sequence_id: str | None = None,
        sequence_name: str | None = None,
        phone_country: str = "55",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sequence_id = sequence_id
        self.sequence_name = sequence_name
        self.phone_country = phone_country


class ListSequenceContactsOperator(WtsChatSequenceOperator, WtsChatPeriodListOperator[SequenceContact]):
    """
    List the contacts of a sequence: ``GET /chat/v2/sequence/{id}/contact``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListSequenceContactsOperator(task_id="contacts", sequence_name="Onboarding")

    :param name: name of the contact (templated)
    :param contact_id: id of the contact (templated)
    :param phone_number: phone number of the contact in any spelling (templated)
    :param include_details: what to add: ``ContactDetails`` (templated)
    """

    operation = staticmethod(sequences.list_contacts)

    def __init__(
        self,
        *,
        name: str | None = None,
        contact_id: str | None = None,
        phone_number: str | None = None,
        include_details: Many[str] | str | None = None,
        **kwargs: Unpack[SequencePeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.contact_id = contact_id
        self.phone_number = phone_number
        self.include_details = include_details


class WtsChatSequenceContactOperator(WtsChatSequenceOperator):
    """
    Identify a sequence and one contact, by id or phone number.

    :param contact_id: id of the contact (templated)
    :param phone_number: phone number of the contact in any spelling (templated)
    """

    def __init__(self, *, contact_id: str | None = None, phone_number: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contact_id = contact_id
        self.phone_number = phone_number


class WtsChatSequenceContactsOperator(WtsChatSequenceOperator):
    """
    Identify a sequence and contacts, by ids or phone numbers or both.

    :param contact_ids: ids of contacts (templated)
    :param phone_numbers: phone numbers of contacts in any spelling (templated)
    """

    def __init__(
        self,
        *,
        contact_ids: Many[str] | str | None = None,
        phone_numbers: Many[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contact_ids = contact_ids
        self.phone_numbers = phone_numbers


class AddContactToSequenceOperator(WtsChatSequenceContactOperator, WtsChatOnceOperator):
    """
    Add a contact to a sequence: ``POST /chat/v1/sequence/{id}/contact``.

    At most once, since a contact who has run through the sequence meanwhile would get every message of it again.

    Returns the contact's place in the sequence, as the API sent it.

    .. code-block:: python

        AddContactToSequenceOperator(task_id="add", sequence_name="Onboarding", phone_number="11 90000-0001")
    """

    operation = staticmethod(sequences.add_contact)

    def __init__(self, **kwargs: Unpack[SequenceContactOnceArguments]) -> None:
        super().__init__(**kwargs)


class AddContactsToSequenceOperator(WtsChatSequenceContactsOperator, WtsChatOnceOperator):
    """
    Add contacts to a sequence: ``POST /chat/v1/sequence/{id}/contact/batch``.

    The API creates contacts for unknown phone numbers. At most once, since a contact who has run through the sequence
    meanwhile would get every message of it again.

    Returns the API's answer, whose ``items`` are the contacts that were added.

    .. code-block:: python

        AddContactsToSequenceOperator(
            task_id="add", sequence_name="Onboarding", phone_numbers=["11 90000-0001", "11 90000-0002"]
        )
    """

    operation = staticmethod(sequences.add_contacts)

    def __init__(self, **kwargs: Unpack[SequenceContactsOnceArguments]) -> None:
        super().__init__(**kwargs)


class RemoveContactFromSequenceOperator(WtsChatSequenceContactOperator):
    """
    Remove a contact from a sequence: ``DELETE /chat/v1/sequence/{id}/contact``.

    A contact that is not in the sequence is removed already: the task succeeds.

    Returns ``None``.

    .. code-block:: python

        RemoveContactFromSequenceOperator(task_id="remove", sequence_name="Onboarding", phone_number="11 90000-0001")
    """

    operation = staticmethod(sequences.remove_contact)

    def __init__(self, **kwargs: Unpack[SequenceContactArguments]) -> None:
        super().__init__(**kwargs)


class RemoveContactsFromSequenceOperator(WtsChatSequenceContactsOperator):
    """
    Remove contacts from a sequence: ``DELETE /chat/v1/sequence/{id}/contact/batch``.

    Contacts that are not in the sequence are removed already: the task succeeds.

    Returns ``None``.

    .. code-block:: python

        RemoveContactsFromSequenceOperator(
            task_id="remove", sequence_name="Onboarding", phone_numbers=["11 90000-0001", "11 90000-0002"]
        )
    """

    operation = staticmethod(sequences.remove_contacts)

    def __init__(self, **kwargs: Unpack[SequenceContactsArguments]) -> None:
        super().__init__(**kwargs)
