"""Contacts: finding, creating and changing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, TypedDict, Unpack

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import custom_fields as fields_of
from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.api._shared import Listed, taking
from airflow_provider_wtschat.api.request import PagedRequest, Paging, Query, Request
from airflow_provider_wtschat.api.types import (
    Contact,
    ContactDetail,
    ContactField,
    ContactOrigin,
    ContactStatus,
    TagOperation,
    UpsertTagOperation,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = [
    "batch_save",
    "create",
    "filter",
    "get",
    "get_by_phone",
    "list_",
    "update",
    "update_by_phone",
    "update_tags",
    "update_tags_by_phone",
]

_LONGEST = 255
_CLEARABLE = {
    "name": "name",
    "phone_number": "phoneNumber",
    "email": "email",
    "instagram": "instagram",
    "annotation": "annotation",
    "tag_ids": "tagIds",
    "tag_names": "tagIds",
    "portfolio_ids": "portfolioIds",
    "portfolio_names": "portfolioIds",
    "sequence_ids": "sequenceIds",
    "picture_url": "pictureUrl",
    "custom_fields": "customFields",
    "metadata": "metadata",
    "utm": "utm",
}
_MASKS = {
    "tagIds": ContactField.TAGS.value,
    "tagNames": ContactField.TAGS.value,
    "portfolioIds": ContactField.PORTFOLIO.value,
    "portfolioNames": ContactField.PORTFOLIO.value,
}
# sourceId and clid are missing: the contract calls them read-only, so the API would ignore them.
_UTM = {
    "source": "source",
    "medium": "medium",
    "campaign": "campaign",
    "content": "content",
    "headline": "headline",
    "term": "term",
    "referral_url": "referralUrl",
}


@taking(Listed)
def list_(
    *,
    status: str | None = None,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Contact]:
    """
    List contacts: ``GET /core/v1/contact``.

    Only contacts of one status come; all of them are three lists. Narrower results gives :func:`filter`.

    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED``. Default of the API: ``ACTIVE``
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ContactDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Contact`
    :raises WtsChatArgumentError: if an argument is refused
    """
    wanted = _status(status)
    return build.listing(
        "/core/v1/contact",
        Contact,
        shared,
        query=convert.query(Status=wanted, IncludeDetails=_details(include_details)),
        filters=convert.filters(status=wanted),
    )


@taking(Listed)
def filter(
    *,
    status: str | None = None,
    text_filter: str | None = None,
    name: str | None = None,
    phone_number: str | int | None = None,
    email: str | None = None,
    instagram: str | None = None,
    tag_ids: Sequence[str] | str | None = None,
    tag_names: Sequence[str] | str | None = None,
    portfolio_ids: Sequence[str] | str | None = None,
    portfolio_names: Sequence[str] | str | None = None,
    origin: str | None = None,
    custom_fields: Mapping[str, Any] | str | None = None,
    metadata: Mapping[str, str] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Contact]:
    """
    Filter contacts: ``POST /core/v1/contact/filter``.

    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED``. Default of the API: ``ACTIVE``
    :param text_filter: text to search in the contact's relevant texts
    :param name: name of the contact
    :param phone_number: phone number in any spelling
    :param email: e-mail address
    :param instagram: Instagram username
    :param tag_ids: ids of tags
    :param tag_names: names of tags
    :param portfolio_ids: ids of portfolios
    :param portfolio_names: names of portfolios
    :param origin: ``CREATED_BY_USER``, ``CREATED_FROM_HUB`` or ``IMPORTED``
    :param custom_fields: value by the field's key, see :func:`airflow_provider_wtschat.api.custom_fields.encode`
    :param metadata: keys and values of the contact's metadata
    :param phone_country: calling code of a phone number written without one. Default: 55 (Brazil)
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ContactDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Contact`
    :raises WtsChatArgumentError: if an argument is refused
    """
    period, order = convert.listed(**shared)
    wanted = _status(status)
    made = convert.choice("origin", origin, ContactOrigin)
    said = convert.texts_by_key("metadata", metadata)
    fields = convert.some("custom_fields", fields_of.encode(None, custom_fields))
    for key, value in (fields or {}).items():
        # In an update None empties a field; as a filter it would leave open what is looked for.
        if convert.is_nothing(value):
            convert.refuse(f"custom_fields[{key!r}]", value, "a value to look for is wanted")
    held = convert.given(
        status=wanted,
        origin=made,
        phoneNumber=convert.phone("phone_number", phone_number, phone_country),
        email=convert.email("email", email),
        instagram=convert.text("instagram", instagram),
        tagIds=convert.some("tag_ids", convert.uuids("tag_ids", tag_ids)),
        tagNames=convert.some("tag_names", convert.texts("tag_names", tag_names)),
        portfolioIds=convert.some("portfolio_ids", convert.uuids("portfolio_ids", portfolio_ids)),
        portfolioNames=convert.some("portfolio_names", convert.texts("portfolio_names", portfolio_names)),
    )
    return PagedRequest(
        method="POST",
        route="/core/v1/contact/filter",
        body=convert.given(
            **held,
            textFilter=convert.text("text_filter", text_filter),
            name=convert.text("name", name),
            customFields=fields,
            metadata=said,
            includeDetails=_details(include_details),
            **_bounds(period),
        ),
        result=Contact,
        safe_to_repeat=True,
        paging=Paging.BODY,
        bounds=("CreatedAt", "UpdatedAt"),
        # How the API compares a name, a text and custom fields it does not say.
        filters=convert.filters(**held, metadata=said),
        # Lists without details, and what a contact has not got, are both null.
        may_be_null=("tagIds", "tagNames", "portfolioIds", "portfolioNames", "metadata"),
        **order,
    )


def get(contact_id: str, *, include_details: Sequence[str] | str | None = None) -> Request[Contact]:
    """
    Get a contact: ``GET /core/v1/contact/{id}``.

    :param contact_id: id of the contact
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ContactDetail`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get("/core/v1/contact/{id}", Contact, _id(contact_id), IncludeDetails=_details(include_details))


def get_by_phone(
    phone_number: str | int,
    *,
    include_details: Sequence[str] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Contact]:
    """
    Get the contact with a phone number: ``GET /core/v1/contact/phonenumber/{phone}``.

    :param phone_number: phone number in any spelling
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.ContactDetail`
    :param phone_country: calling code of a number written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/core/v1/contact/phonenumber/{phone}",
        Contact,
        _phone(phone_number, phone_country),
        IncludeDetails=_details(include_details),
    )


class _Fields(TypedDict, total=False):
    """
    Fields of a contact.

    :param name: name of the contact
    :param email: e-mail address
    :param instagram: Instagram username
    :param annotation: internal notes of the team
    :param tag_ids: ids of tags, or ...
    :param tag_names: ... names of tags
    :param portfolio_ids: ids of portfolios, or ...
    :param portfolio_names: ... names of portfolios
    :param sequence_ids: ids of sequences that the contact enters
    :param custom_fields: value by the field's key, see :func:`airflow_provider_wtschat.api.custom_fields.encode`; the
        API ignores unknown keys and values of the wrong type
    :param metadata: free keys and values, added to those that exist; ``None`` as a value removes the key
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    """

    name: str | None
    email: str | None
    instagram: str | None
    annotation: str | None
    tag_ids: Sequence[str] | str | None
    tag_names: Sequence[str] | str | None
    portfolio_ids: Sequence[str] | str | None
    portfolio_names: Sequence[str] | str | None
    sequence_ids: Sequence[str] | str | None
    custom_fields: Mapping[str, Any] | str | None
    metadata: Mapping[str, Any] | str | None
    phone_country: str


class _Change(TypedDict, total=False):
    """
    What an update can do beside setting fields.

    :param status: ``ACTIVE``, ``ARCHIVED`` or ``BLOCKED``
    :param picture_url: URL of the picture to set
    :param utm: any of ``source``, ``medium``, ``campaign``, ``content``, ``headline``, ``term`` and ``referral_url``
    :param clear: fields to empty: ``name``, ``phone_number``, ``email``, ``instagram``, ``annotation``, ``tag_ids`` or
        ``tag_names`` (all tags), ``portfolio_ids`` or ``portfolio_names`` (all portfolios), ``sequence_ids``,
        ``picture_url``, ``custom_fields``, ``metadata``, ``utm``
    :param tags_operation: what happens to tags: ``InsertIfNotExists``, ``DeleteIfExists`` or ``ReplaceAll``. Default of
        the API: ``InsertIfNotExists``
    """

    status: str | None
    picture_url: str | None
    utm: Mapping[str, Any] | str | None
    clear: Sequence[str] | str | None
    tags_operation: str | None


class _ChangedFields(_Fields, _Change, total=False):
    """All that an update takes."""


@taking(_Fields)
def create(
    *,
    phone_number: str | int | None = None,
    upsert: bool | None = None,
    upsert_fields: Sequence[str] | str | None = None,
    upsert_tag_operation: str | None = None,
    get_if_exists: bool | None = None,
    **shared: Unpack[_Fields],
) -> Request[Contact]:
    """
    Create a contact, or update or get the one that exists: ``POST /core/v1/contact``.

    :param phone_number: WhatsApp number in any spelling
    :param upsert: update and return a contact that exists. Default of the API: false
    :param upsert_fields: what ``upsert`` may change, see :class:`~airflow_provider_wtschat.api.types.ContactField`.
        Default of the API: all
    :param upsert_tag_operation: what ``upsert`` does to tags: ``INSERTIFNOTEXISTS``, ``DELETEIFEXISTS`` or
        ``REPLACEALL``. Default of the API: ``REPLACEALL``
    :param get_if_exists: return a contact that exists without changing it. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused, the contact has neither name, phone number, e-mail address
        nor Instagram username, or ``upsert`` and ``get_if_exists`` are both true
    """
    body = _known(_values(phone_number=phone_number, **shared))
    options = _upsert_options(upsert, upsert_fields, upsert_tag_operation, get_if_exists)
    finds = options.get("upsert") or options.get("getIfExists")
    return build.post(
        "/core/v1/contact",
        Contact,
        body={**body, **convert.given(options=options or None)},
        # Told to look for the contact first, the API finds at the second time what it made at the first.
        safe_to_repeat=bool(finds) and _is_found_again(body, options),
    )


def batch_save(
    contacts: Sequence[Mapping[str, Any]] | str,
    *,
    upsert: bool | None = None,
    upsert_fields: Sequence[str] | str | None = None,
    upsert_tag_operation: str | None = None,
    get_if_exists: bool | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[list[Contact]]:
    """
    Save up to 100 contacts: ``POST /core/v2/contact/batch``.

    One with the phone number, the Instagram username or the e-mail address of a contact that exists updates it.

    :param contacts: contacts, each a mapping of the arguments of :func:`create` from ``name`` to ``metadata``
    :param upsert: update and return contacts that exist
    :param upsert_fields: what ``upsert`` may change, see :class:`~airflow_provider_wtschat.api.types.ContactField`.
        Default of the API: all
    :param upsert_tag_operation: what ``upsert`` does to tags: ``INSERTIFNOTEXISTS``, ``DELETEIFEXISTS`` or
        ``REPLACEALL``. Default of the API: ``REPLACEALL``
    :param get_if_exists: return contacts that exist without changing them. Default of the API: false
    :param phone_country: calling code of a phone number written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, naming the contact, or there are none or more than 100
    """
    given = convert.batch("contacts", contacts, _OF_AN_ITEM)
    items = [_item(f"contacts[{i}]", contact, phone_country) for i, contact in enumerate(given)]
    options = _upsert_options(upsert, upsert_fields, upsert_tag_operation, get_if_exists)
    return build.post(
        "/core/v2/contact/batch",
        list[Contact],
        body=convert.given(items=items, options=options or None),
        safe_to_repeat=all(_is_found_again(item, options) for item in items),
    )


@taking(_Fields, _Change)
def update(
    contact_id: str, *, phone_number: str | int | None = None, **shared: Unpack[_ChangedFields]
) -> Request[Contact]:
    """
    Update fields of a contact: ``PUT /core/v2/contact/{id}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param contact_id: id of the contact
    :param phone_number: WhatsApp number in any spelling
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    return _updating("/core/v2/contact/{id}", _id(contact_id), phone_number=phone_number, **shared)


@taking(_Fields, _Change)
def update_by_phone(
    phone_number: str | int, *, new_phone_number: str | int | None = None, **shared: Unpack[_ChangedFields]
) -> Request[Contact]:
    """
    Update fields of the contact with a phone number: ``PUT /core/v1/contact/phonenumber/{phone}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param phone_number: phone number of the contact in any spelling
    :param new_phone_number: the number to set, in any spelling. Where it changes the number the request is not
        repeated: after the change nobody has the old number
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    path_params = _phone(phone_number, shared.get("phone_country", phones.DEFAULT_COUNTRY))
    return _updating("/core/v1/contact/phonenumber/{phone}", path_params, phone_number=new_phone_number, **shared)


def update_tags(
    contact_id: str,
    *,
    tag_ids: Sequence[str] | str | None = None,
    tag_names: Sequence[str] | str | None = None,
    operation: str = TagOperation.INSERT_IF_NOT_EXISTS.value,
) -> Request[Contact]:
    """
    Add, remove or replace tags of a contact: ``POST /core/v1/contact/{id}/tags``.

    :param contact_id: id of the contact
    :param tag_ids: ids of tags
    :param tag_names: names of tags
    :param operation: ``InsertIfNotExists`` adds what is missing, ``DeleteIfExists`` removes what is there,
        ``ReplaceAll`` replaces every tag (with an empty list by none). Default: ``InsertIfNotExists``
    :raises WtsChatArgumentError: if an argument is refused, or no tags are given
    """
    return _tagging("/core/v1/contact/{id}/tags", _id(contact_id), tag_ids, tag_names, operation)


def update_tags_by_phone(
    phone_number: str | int,
    *,
    tag_ids: Sequence[str] | str | None = None,
    tag_names: Sequence[str] | str | None = None,
    operation: str = TagOperation.INSERT_IF_NOT_EXISTS.value,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Contact]:
    """
    Change tags of the contact with a phone number: ``POST /core/v1/contact/phonenumber/{phone}/tags``.

    :param phone_number: phone number of the contact in any spelling
    :param tag_ids: ids of tags
    :param tag_names: names of tags
    :param operation: ``InsertIfNotExists`` adds what is missing, ``DeleteIfExists`` removes what is there,
        ``ReplaceAll`` replaces every tag (with an empty list by none). Default: ``InsertIfNotExists``
    :param phone_country: calling code of a number written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, or no tags are given
    """
    return _tagging(
        "/core/v1/contact/phonenumber/{phone}/tags",
        _phone(phone_number, phone_country),
        tag_ids,
        tag_names,
        operation,
    )


def _id(contact_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("contact_id", contact_id)}


def _phone(phone_number: Any, country: str) -> dict[str, str]:
    return {"phone": phones.digits("phone_number", phone_number, country)}


def _status(value: Any) -> str | None:
    return convert.choice("status", value, ContactStatus)


def _details(value: Any) -> list[str] | None:
    return convert.choices("include_details", value, ContactDetail)


def _bounds(period: Query) -> dict[str, dict[str, str]]:
    bounds: dict[str, dict[str, str]] = {}
    for name, value in period:
        field, _, end = name.partition(".")
        bounds.setdefault(field[:1].lower() + field[1:], {})[end.lower()] = value
    return bounds


def _values(
    *,
    name: Any = None,
    phone_number: Any = None,
    email: Any = None,
    instagram: Any = None,
    annotation: Any = None,
    tag_ids: Any = None,
    tag_names: Any = None,
    portfolio_ids: Any = None,
    portfolio_names: Any = None,
    sequence_ids: Any = None,
    custom_fields: Any = None,
    metadata: Any = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> dict[str, Any]:
    convert.not_both("tag_ids", tag_ids, "tag_names", tag_names)
    convert.not_both("portfolio_ids", portfolio_ids, "portfolio_names", portfolio_names)
    return convert.given(
        name=convert.text("name", name, max_length=_LONGEST),
        phoneNumber=None if phone_number is None else phones.stored("phone_number", phone_number, phone_country),
        email=convert.email("email", email, max_length=_LONGEST),
        instagram=convert.text("instagram", instagram, max_length=_LONGEST),
        annotation=convert.text("annotation", annotation),
        tagIds=convert.uuids("tag_ids", tag_ids),
        tagNames=convert.texts("tag_names", tag_names),
        portfolioIds=convert.uuids("portfolio_ids", portfolio_ids),
        portfolioNames=convert.texts("portfolio_names", portfolio_names),
        sequenceIds=convert.uuids("sequence_ids", sequence_ids),
        customFields=fields_of.encode(None, custom_fields),
        metadata=convert.json_mapping("metadata", metadata),
    )


_OF_AN_ITEM = tuple(name for name in signature(_values).parameters if name != "phone_country")


def _item(name: str, contact: Mapping[str, Any], phone_country: str) -> dict[str, Any]:
    try:
        return _known(_values(**contact, phone_country=phone_country))
    except WtsChatArgumentError as error:
        places = [f"{name}[{field!r}]" for field in error.names]
        raise error.renamed(*places) from error


def _known(body: dict[str, Any]) -> dict[str, Any]:
    if not any(name in body for name in ("name", "phoneNumber", "email", "instagram")):
        msg = "a contact needs something to be known by; give one of them"
        raise WtsChatArgumentError("name, phone_number, email, instagram", msg)
    return body


def _upsert_options(upsert: Any, upsert_fields: Any, upsert_tag_operation: Any, get_if_exists: Any) -> dict[str, Any]:
    options = convert.given(
        upsert=convert.boolean("upsert", upsert),
        upsertFields=convert.choices("upsert_fields", upsert_fields, ContactField),
        upsertTagOperation=convert.choice("upsert_tag_operation", upsert_tag_operation, UpsertTagOperation),
        getIfExists=convert.boolean("get_if_exists", get_if_exists),
    )
    if options.get("upsert") and options.get("getIfExists"):
        msg = "one changes a contact that exists and the other leaves it alone; give one of them"
        raise WtsChatArgumentError("upsert, get_if_exists", msg)
    return options


def _is_found_again(body: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    # A contact is found by these alone; and a contact that enters a sequence is written to, each time it enters.
    known = any(name in body for name in ("phoneNumber", "email", "instagram"))
    return known and (not body.get("sequenceIds") or bool(options.get("getIfExists")))


def _utm(value: Any) -> dict[str, Any] | None:
    given = convert.mapping("utm", value)
    if given is None:
        return None
    for key in given:
        if key not in _UTM:
            convert.refuse("utm", key, f"any of {', '.join(_UTM)} are wanted")
    return {_UTM[key]: convert.text(f"utm[{key!r}]", item) for key, item in given.items()}


def _updating(
    route: str,
    path_params: dict[str, str],
    *,
    status: Any = None,
    picture_url: Any = None,
    utm: Any = None,
    clear: Any = None,
    tags_operation: Any = None,
    **fields: Any,
) -> Request[Contact]:
    body = convert.changes(
        _values(**fields)
        | convert.given(
            status=_status(status),
            pictureUrl=convert.url("picture_url", picture_url),
            utm=_utm(utm),
        ),
        clear,
        _CLEARABLE,
        masks=_MASKS,
        left_out=("utm",),
    )
    operation = convert.choice("tags_operation", tags_operation, TagOperation)
    if "tagIds" in body and body["tagIds"] is None:
        # Left to its default the API adds the tags given, and adding nothing empties nothing.
        if operation not in (None, TagOperation.REPLACE_ALL):
            convert.refuse("tags_operation", operation, "ReplaceAll is what clearing the tags means")
        body["tagIds"], operation = [], TagOperation.REPLACE_ALL.value
    renumbered = "phone" in path_params and "phoneNumber" in body
    return build.put(
        route,
        Contact,
        path_params,
        body={**body, **convert.given(options=None if operation is None else {"tagsOperation": operation})},
        # A contact that enters a sequence is written to, each time it enters; and a number that was changed finds
        # nobody at the second time, or somebody else.
        safe_to_repeat=not body.get("sequenceIds") and not renumbered,
    )


def _tagging(route: str, path_params: dict[str, str], tag_ids: Any, tag_names: Any, operation: Any) -> Request[Contact]:
    body = convert.given(
        tagIds=convert.uuids("tag_ids", tag_ids),
        tagNames=convert.texts("tag_names", tag_names),
    )
    if not body:
        msg = "no tags were given; give one of them"
        raise WtsChatArgumentError("tag_ids, tag_names", msg)
    return build.post(
        route,
        Contact,
        path_params,
        body={**body, "operation": convert.required("operation", convert.choice("operation", operation, TagOperation))},
        # Adding what is there, removing what is not and replacing by the same change nothing.
        safe_to_repeat=True,
    )
