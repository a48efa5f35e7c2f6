"""Operators on contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_wtschat.api import contacts, custom_fields
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Contact, TagOperation
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators._arguments import (
    ContactChangeArguments,
    ContactFieldsPeriodListArguments,
    OperatorArguments,
    PeriodListArguments,
    UpsertArguments,
    UpsertContactChangeArguments,
)
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator, WtsChatPeriodListOperator, kept
from airflow_provider_wtschat.operators.sending import WtsChatBatchOperator, WtsChatOnceOperator

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

__all__ = [
    "BatchSaveContactsOperator",
    "CreateContactOperator",
    "FilterContactsOperator",
    "GetContactByPhoneOperator",
    "GetContactOperator",
    "ListContactsOperator",
    "UpdateContactOperator",
    "UpdateContactTagsOperator",
]


class WtsChatContactFieldsOperator(WtsChatBaseOperator):
    """
    Fields of a contact.

    Custom fields are held against their definitions before the request, which takes one more: the API ignores an
    unknown key or a value of the wrong type without an error.

    :param name: name of the contact (templated)
    :param phone_number: WhatsApp number in any spelling (templated)
    :param contact_email: e-mail address of the contact (templated)
    :param instagram: Instagram username (templated)
    :param tag_ids: ids of tags, or ... (templated)
    :param tag_names: ... names of tags (templated)
    :param portfolio_ids: ids of portfolios, or ... (templated)
    :param portfolio_names: ... names of portfolios (templated)
    :param custom_fields: value by the field's key: numbers, booleans, dates and options as what they are (templated)
    :param metadata: free keys and values (templated)
    :param phone_country: calling code of a phone number written without one (templated). Default: 55 (Brazil)
    """

    renamed: ClassVar = {"email": "contact_email"}

    def __init__(
        self,
        *,
        name: str | None = None,
        phone_number: str | int | None = None,
        contact_email: str | None = None,
        instagram: str | None = None,
        tag_ids: Sequence[str] | str | None = None,
        tag_names: Sequence[str] | str | None = None,
        portfolio_ids: Sequence[str] | str | None = None,
        portfolio_names: Sequence[str] | str | None = None,
        custom_fields: Mapping[str, Any] | str | None = None,
        metadata: Mapping[str, Any] | str | None = None,
        phone_country: str = "55",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.phone_number = phone_number
        self.contact_email = contact_email
        self.instagram = instagram
        self.tag_ids = tag_ids
        self.tag_names = tag_names
        self.portfolio_ids = portfolio_ids
        self.portfolio_names = portfolio_names
        self.custom_fields = custom_fields
        self.metadata = metadata
        self.phone_country = phone_country

    def found(self) -> dict[str, Any]:
        """Return the values that take requests to find, with the custom fields as their definitions want them."""
        found = super().found()
        if self.custom_fields is not None:
            found["custom_fields"] = custom_fields.encode(_definitions(self.hook), self.custom_fields)
        return found


class WtsChatContactChangeOperator(WtsChatContactFieldsOperator, WtsChatOnceOperator):
    """
    Set the fields of a contact.

    :param annotation: internal notes of the team (templated)
    :param sequence_ids: ids of sequences that the contact enters (templated)
    :param sequence_names: names of those sequences, in place of their ids (templated)
    """

    named_lists: ClassVar = {"sequence_ids": "sequence"}

    def __init__(
        self,
        *,
        annotation: str | None = None,
        sequence_ids: Sequence[str] | str | None = None,
        sequence_names: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.annotation = annotation
        self.sequence_ids = sequence_ids
        self.sequence_names = sequence_names


class WtsChatUpsertOperator(WtsChatOnceOperator):
    """
    Decide what happens if the contact exists already.

    :param upsert: update and return it (templated). Default of the API: false
    :param upsert_fields: what ``upsert`` may change, such as ``["Name", "Tags"]`` (templated). Default of the API: all
    :param upsert_tag_operation: what ``upsert`` does to tags: ``INSERTIFNOTEXISTS``, ``DELETEIFEXISTS`` or
        ``REPLACEALL`` (templated). Default of the API: ``REPLACEALL``
    :param get_if_exists: return it without changing it (templated). Default of the API: false
    """

    def __init__(
        self,
        *,
        upsert: bool | None = None,
        upsert_fields: Sequence[str] | str | None = None,
        upsert_tag_operation: str | None = None,
        get_if_exists: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.upsert = upsert
        self.upsert_fields = upsert_fields
        self.upsert_tag_operation = upsert_tag_operation
        self.get_if_exists = get_if_exists


class CreateContactOperator(WtsChatUpsertOperator, WtsChatContactChangeOperator):
    """
    Create a contact, or update or get the one that exists: ``POST /core/v1/contact``.

    With ``upsert`` or ``get_if_exists`` a task can run again; without them it creates at most once.

    Returns the contact, as the API sent it.

    .. code-block:: python

        CreateContactOperator(task_id="create", name="Maria", phone_number="11 90000-0001", upsert=True)
    """

    operation = staticmethod(contacts.create)

    def __init__(self, **kwargs: Unpack[UpsertContactChangeArguments]) -> None:
        super().__init__(**kwargs)


class UpdateContactOperator(WtsChatContactChangeOperator):
    """
    Update fields of a contact: ``PUT /core/v2/contact/{id}``.

    Only what is given changes. Keys of ``metadata`` are added to those that exist; ``None`` as a value removes a key.

    Returns the contact, as the API sent it.

    .. code-block:: python

        UpdateContactOperator(
            task_id="update", contact_id="{{ params.contact_id }}", custom_fields={"plan": "gold"}, clear=["annotation"]
        )

    :param contact_id: id of the contact (templated)
    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED`` (templated)
    :param picture_url: URL of the picture to set (templated)
    :param utm: any of ``source``, ``medium``, ``campaign``, ``content``, ``headline``, ``term`` and ``referral_url``
        (templated)
    :param clear: fields to empty (templated): ``name``, ``phone_number``, ``contact_email``, ``instagram``,
        ``annotation``, ``tag_ids`` or ``tag_names`` (all tags), ``portfolio_ids`` or ``portfolio_names`` (all
        portfolios), ``sequence_ids``, ``picture_url``, ``custom_fields``, ``metadata``, ``utm``
    :param tags_operation: what happens to tags: ``InsertIfNotExists``, ``DeleteIfExists`` or ``ReplaceAll``
        (templated). Default of the API: ``InsertIfNotExists``
    """

    operation = staticmethod(contacts.update)

    def __init__(
        self,
        *,
        contact_id: str,
        status: str | None = None,
        picture_url: str | None = None,
        utm: Mapping[str, Any] | str | None = None,
        clear: Sequence[str] | str | None = None,
        tags_operation: str | None = None,
        **kwargs: Unpack[ContactChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.contact_id = contact_id
        self.status = status
        self.picture_url = picture_url
        self.utm = utm
        self.clear = clear
        self.tags_operation = tags_operation

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with the names of fields to empty as the operation knows them."""
        parameters = {argument: parameter for parameter, argument in self.renamed.items()}
        clear = convert.texts("clear", self.clear)
        return super().given() | {"clear": clear and [parameters.get(name, name) for name in clear]}


class GetContactOperator(WtsChatBaseOperator):
    """
    Get a contact: ``GET /core/v1/contact/{id}``.

    Returns the contact, as the API sent it.

    .. code-block:: python

        GetContactOperator(task_id="contact", contact_id="{{ params.contact_id }}")

    :param contact_id: id of the contact (templated)
    :param include_details: what to add, such as ``["Tags", "CustomFields"]`` (templated)
    """

    operation = staticmethod(contacts.get)

    def __init__(
        self,
        *,
        contact_id: str,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.contact_id = contact_id
        self.include_details = include_details


class GetContactByPhoneOperator(WtsChatBaseOperator):
    """
    Get the contact with a phone number: ``GET /core/v1/contact/phonenumber/{phone}``.

    Returns the contact, as the API sent it.

    .. code-block:: python

        GetContactByPhoneOperator(task_id="contact", phone_number="11 90000-0001")

    :param phone_number: phone number in any spelling (templated)
    :param include_details: what to add, such as ``["Tags", "CustomFields"]`` (templated)
    :param phone_country: calling code of a number written without one (templated). Default: 55 (Brazil)
    """

    operation = staticmethod(contacts.get_by_phone)

    def __init__(
        self,
        *,
        phone_number: str | int,
        include_details: Sequence[str] | str | None = None,
        phone_country: str = "55",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.phone_number = phone_number
        self.include_details = include_details
        self.phone_country = phone_country


class ListContactsOperator(WtsChatPeriodListOperator[Contact]):
    """
    List contacts: ``GET /core/v1/contact``.

    Only contacts of one status come; all of them are three lists.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        blocked = ListContactsOperator(task_id="blocked", status="BLOCKED", fields=["id"])

    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED`` (templated). Default of the API: ``ACTIVE``
    :param include_details: what to add, such as ``["Tags", "CustomFields"]`` (templated)
    """

    operation = staticmethod(contacts.list_)

    def __init__(
        self,
        *,
        status: str | None = None,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[PeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.include_details = include_details


class FilterContactsOperator(WtsChatContactFieldsOperator, WtsChatPeriodListOperator[Contact]):
    """
    List the contacts that fit a filter: ``POST /core/v1/contact/filter``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        vips = FilterContactsOperator(task_id="vips", tag_names=["VIP"], fields=["id", "phoneNumber"])

    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED`` (templated). Default of the API: ``ACTIVE``
    :param text_filter: text to search in the contact's relevant texts (templated)
    :param origin: ``CREATED_BY_USER``, ``CREATED_FROM_HUB`` or ``IMPORTED`` (templated)
    :param include_details: what to add, such as ``["Tags", "CustomFields"]`` (templated)
    """

    operation = staticmethod(contacts.filter)

    def __init__(
        self,
        *,
        status: str | None = None,
        text_filter: str | None = None,
        origin: str | None = None,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[ContactFieldsPeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.text_filter = text_filter
        self.origin = origin
        self.include_details = include_details


class BatchSaveContactsOperator(WtsChatUpsertOperator, WtsChatBatchOperator):
    """
    Save any number of contacts, a hundred per request: ``POST /core/v2/contact/batch``.

    One with the phone number, the Instagram username or the e-mail address of a contact that exists updates it, so a
    task can run again if every contact has one of them, and enters no sequence. Custom fields are held against their
    definitions before the first request.

    Returns the contacts in the order given, as the API sent them.

    .. code-block:: python

        BatchSaveContactsOperator(
            task_id="save", contacts=[{"name": "Maria", "phone_number": "11 90000-0001", "tag_names": ["VIP"]}]
        )

    :param contacts: mappings with any of ``name``, ``phone_number``, ``email``, ``instagram``, ``annotation``,
        ``tag_ids`` or ``tag_names``, ``portfolio_ids`` or ``portfolio_names``, ``sequence_ids``, ``custom_fields`` and
        ``metadata`` (templated)
    :param fields: keep only these fields of each answer, such as ``["id"]`` (templated). Default: all
    :param phone_country: calling code of a phone number written without one (templated). Default: 55 (Brazil)
    """

    operation = staticmethod(contacts.batch_save)
    batch = "contacts"

    def __init__(
        self,
        *,
        contacts: Sequence[Mapping[str, Any]] | str,
        fields: Sequence[str] | str | None = None,
        phone_country: str = "55",
        **kwargs: Unpack[UpsertArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.contacts = contacts
        self.fields = fields
        self.phone_country = phone_country

    def given(self) -> dict[str, Any]:
        """Return the operation's values."""
        # Before anything is saved, so that a mistake in it is no failure afterwards.
        convert.texts("fields", self.fields)
        return super().given()

    def found(self) -> dict[str, Any]:
        """Return the contacts with their custom fields as the definitions want them."""
        found = super().found()
        things = self.things()
        if any(thing.get("custom_fields") is not None for thing in things):
            definitions = _definitions(self.hook)
            found["contacts"] = [
                {**thing, "custom_fields": custom_fields.encode(definitions, thing["custom_fields"])}
                if thing.get("custom_fields") is not None
                else thing
                for thing in things
            ]
        return found

    def results(self, things: Sequence[dict[str, Any]], answer: Any) -> list[Any]:
        """
        Return the contacts, as the API sent them.

        :param things: the contacts of one request
        :param answer: what the request was answered with
        """
        return kept(answer or (), convert.texts("fields", self.fields))


class UpdateContactTagsOperator(WtsChatBaseOperator):
    """
    Add, remove or replace tags of a contact: ``POST /core/v1/contact/{id}/tags``.

    Give the contact's id or phone number, with which it is ``POST /core/v1/contact/phonenumber/{phone}/tags``.

    Returns the contact, as the API sent it.

    .. code-block:: python

        UpdateContactTagsOperator(
            task_id="tag", phone_number="11 90000-0001", tag_names=["VIP"], tags_operation="InsertIfNotExists"
        )

    :param contact_id: id of the contact (templated)
    :param phone_number: phone number of the contact in any spelling (templated)
    :param tag_ids: ids of tags (templated)
    :param tag_names: names of tags (templated)
    :param tags_operation: ``InsertIfNotExists`` adds what is missing, ``DeleteIfExists`` removes what is there,
        ``ReplaceAll`` replaces every tag (templated). Default: ``InsertIfNotExists``
    :param phone_country: calling code of a number written without one (templated). Default: 55 (Brazil)
    """

    operation = staticmethod(contacts.update_tags)
    renamed: ClassVar = {"operation": "tags_operation"}

    def __init__(
        self,
        *,
        contact_id: str | None = None,
        phone_number: str | int | None = None,
        tag_ids: Sequence[str] | str | None = None,
        tag_names: Sequence[str] | str | None = None,
        tags_operation: str = TagOperation.INSERT_IF_NOT_EXISTS.value,
        phone_country: str = "55",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.contact_id = contact_id
        self.phone_number = phone_number
        self.tag_ids = tag_ids
        self.tag_names = tag_names
        self.tags_operation = tags_operation
        self.phone_country = phone_country

    def build(self, *, contact_id: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request.

        :param contact_id: id of the contact
        :param values: values by the names of the operation's parameters
        """
        if (contact_id is None) == (self.phone_number is None):
            raise WtsChatArgumentError("contact_id, phone_number", "give one of them")
        if self.phone_number is None:
            return super().build(contact_id=contact_id, **values)
        operation = contacts.update_tags_by_phone
        return self.checking(operation, phone_number=self.phone_number, phone_country=self.phone_country, **values)


def _definitions(hook: WtsChatHook) -> list[Any]:
    return hook.run(custom_fields.list_for_contacts())
