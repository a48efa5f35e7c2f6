"""Panels of the CRM: the panels themselves, their cards, the notes of cards, loss reasons and custom fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import custom_fields as fields_of
from airflow_provider_wtschat.api._shared import Listed, taking
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.types import (
    Card,
    CardCopyField,
    CardDetail,
    CardField,
    CardNote,
    CardStatus,
    CustomField,
    LostReasonItem,
    Panel,
    PanelByIdDetail,
    PanelDetail,
    PanelType,
    TagOperation,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = [
    "create_card",
    "create_card_note",
    "delete_card_note",
    "duplicate_card",
    "get",
    "get_card",
    "list_",
    "list_card_notes",
    "list_cards",
    "list_custom_fields",
    "list_lost_reasons",
    "update_card",
]

MAX_NOTE_FILES = 3
_LONGEST_TITLE = 500
_LONGEST_TEXT = 8000
_LAST_POSITION = 2147483647
_CLEARABLE = {
    "description": "description",
    "due_date": "dueDate",
    "responsible_user_id": "responsibleUserId",
    "tag_ids": "tagIds",
    "tag_names": "tagIds",
    "contact_ids": "contactIds",
    "session_id": "sessionId",
    "monetary_amount": "monetaryAmount",
    "custom_fields": "customFields",
    "metadata": "metadata",
}
_MASKS = {"tagNames": CardField.TAG_IDS.value}


@taking(Listed)
def list_(
    *,
    title: str | None = None,
    panel_type: str | None = None,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Panel]:
    """
    List panels: ``GET /crm/v2/panel``.

    :param title: title of the panel
    :param panel_type: ``MANAGEMENT`` or ``SALES``. Default: both
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.PanelDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Panel`
    :raises WtsChatArgumentError: if an argument is refused
    """
    kind = convert.choice("panel_type", panel_type, PanelType)
    return build.listing(
        "/crm/v2/panel",
        Panel,
        shared,
        query=convert.query(
            Title=convert.text("title", title),
            Type=kind,
            IncludeDetails=convert.choices("include_details", include_details, PanelDetail),
        ),
        filters=convert.filters(type=kind),
    )


def get(panel_id: str, *, include_details: Sequence[str] | str | None = None) -> Request[Panel]:
    """
    Get a panel: ``GET /crm/v1/panel/{id}``.

    :param panel_id: id of the panel
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.PanelByIdDetail`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/crm/v1/panel/{id}",
        Panel,
        _panel(panel_id),
        IncludeDetails=convert.choices("include_details", include_details, PanelByIdDetail),
    )


def list_custom_fields(panel_id: str, *, nested_list: bool | None = None) -> Request[list[CustomField]]:
    """
    List the definitions of the custom fields of a panel's cards: ``GET /crm/v1/panel/{id}/custom-fields``.

    :param panel_id: id of the panel
    :param nested_list: put fields inside their groups. Default of the API: false, groups and fields in one list
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/crm/v1/panel/{id}/custom-fields",
        list[CustomField],
        _panel(panel_id),
        NestedList=convert.boolean("nested_list", nested_list),
    )


@taking(Listed)
def list_lost_reasons(panel_id: str, **shared: Unpack[Listed]) -> PagedRequest[LostReasonItem]:
    """
    List the loss reasons of a panel: ``GET /crm/v1/panel/{id}/lost-reason``.

    :param panel_id: id of a panel of type ``SALES``; others have none
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.LostReasonItem`
    :raises WtsChatArgumentError: if an argument is refused
    """
    path_params = _panel(panel_id)
    return build.listing(
        "/crm/v1/panel/{id}/lost-reason", LostReasonItem, shared, path_params, filters={"panelId": (path_params["id"],)}
    )


@taking(Listed)
def list_cards(
    panel_id: str,
    *,
    step_id: str | None = None,
    contact_id: str | None = None,
    responsible_user_id: str | None = None,
    text_filter: str | None = None,
    statuses: Sequence[str] | str | None = None,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Card]:
    """
    List the cards of a panel: ``GET /crm/v2/panel/card``.

    **Without statuses only open cards come.** For every card give all four.

    :param panel_id: id of the panel
    :param step_id: id of a step
    :param contact_id: id of a contact
    :param responsible_user_id: ``userId`` of an agent, which is not the agent's ``id``
    :param text_filter: text to search in the card's relevant texts
    :param statuses: any of ``OPEN``, ``WON``, ``LOST`` and ``ARCHIVED``. Default of the API: ``OPEN``
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.CardDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Card`
    :raises WtsChatArgumentError: if an argument is refused
    """
    panel = convert.required_uuid("panel_id", panel_id)
    step = convert.uuid("step_id", step_id)
    user = convert.uuid("responsible_user_id", responsible_user_id)
    wanted = convert.some("statuses", convert.choices("statuses", statuses, CardStatus))
    contact = convert.uuid("contact_id", contact_id)
    return build.listing(
        "/crm/v2/panel/card",
        Card,
        shared,
        query=convert.query(
            PanelId=panel,
            StepId=step,
            ContactId=contact,
            ResponsibleUserId=user,
            TextFilter=convert.text("text_filter", text_filter),
            IncludeDetails=_details(include_details),
            Statuses=wanted,
        ),
        filters=convert.filters(panelId=panel, stepId=step, responsibleUserId=user, contactIds=contact, status=wanted),
        may_be_null=("contactIds",),
    )


def get_card(card_id: str, *, include_details: Sequence[str] | str | None = None) -> Request[Card]:
    """
    Get a card: ``GET /crm/v2/panel/card/{id}``.

    :param card_id: id of the card
    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.CardDetail`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get("/crm/v2/panel/card/{id}", Card, _card(card_id, "id"), IncludeDetails=_details(include_details))


class _Fields(TypedDict, total=False):
    """
    Fields of a card.

    :param description: description of the card
    :param position: position inside the step, from 0
    :param due_date: when the card is due
    :param responsible_user_id: ``userId`` of an agent, which is not the agent's ``id``
    :param tag_ids: ids of tags of the panel, or ...
    :param tag_names: ... names of tags of the panel
    :param session_id: id of the session that the card belongs to
    :param monetary_amount: amount of money; 0 is an amount
    :param custom_fields: value by the field's key, see :func:`airflow_provider_wtschat.api.custom_fields.encode`; other
        fields keep their values, and the API ignores unknown keys and values of the wrong type
    :param metadata: free keys and values, added to those that exist; ``None`` as a value removes the key
    :param timezone: IANA time zone of ``due_date`` if it has none. Default: UTC
    """

    description: str | None
    position: float | None
    due_date: When | None
    responsible_user_id: str | None
    tag_ids: Sequence[str] | str | None
    tag_names: Sequence[str] | str | None
    session_id: str | None
    monetary_amount: float | None
    custom_fields: Mapping[str, Any] | str | None
    metadata: Mapping[str, Any] | str | None
    timezone: str


@taking(_Fields)
def create_card(
    *, step_id: str, title: str, contact_ids: Sequence[str] | str | None = None, **shared: Unpack[_Fields]
) -> Request[Card]:
    """
    Create a card: ``POST /crm/v2/panel/card``.

    :param step_id: id of the step that the card is put in, which tells the panel too
    :param title: title of the card
    :param contact_ids: ids of contacts
    :raises WtsChatArgumentError: if an argument is refused
    """
    values = _values(step_id=convert.required("step_id", step_id), title=convert.required("title", title), **shared)
    return build.post(
        "/crm/v2/panel/card",
        Card,
        # Unlike in an update, the contract does not call these UUIDs.
        body={**values, **convert.given(contactIds=convert.list_of("contact_ids", contact_ids, convert.identifier))},
        safe_to_repeat=False,
    )


@taking(_Fields)
def update_card(
    card_id: str,
    *,
    step_id: str | None = None,
    title: str | None = None,
    contact_ids: Sequence[str] | str | None = None,
    status: str | None = None,
    lost_reason_id: str | None = None,
    archived: bool | None = None,
    clear: Sequence[str] | str | None = None,
    upsert_tag_operation: str | None = None,
    **shared: Unpack[_Fields],
) -> Request[Card]:
    """
    Update fields of a card, move it, or change its status: ``PUT /crm/v3/panel/card/{id}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param card_id: id of the card
    :param step_id: id of the step to move the card to
    :param title: title of the card
    :param contact_ids: ids of contacts
    :param status: ``OPEN``, ``WON``, ``LOST`` or ``ARCHIVED``
    :param lost_reason_id: id of the loss reason, with ``status="LOST"``; see :func:`list_lost_reasons`
    :param archived: true is ``status="ARCHIVED"``; false takes the card out of the archive, to ``OPEN`` unless a status
        is given
    :param clear: fields to empty: ``description``, ``due_date``, ``responsible_user_id``, ``tag_ids`` or ``tag_names``
        (all tags), ``contact_ids``, ``session_id``, ``monetary_amount``, ``custom_fields``, ``metadata``
    :param upsert_tag_operation: what happens to tags: ``InsertIfNotExists``, ``DeleteIfExists`` or ``ReplaceAll``.
        Default of the API: ``ReplaceAll``
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    new_status, flags = _status(status, convert.boolean("archived", archived))
    reason = convert.uuid("lost_reason_id", lost_reason_id)
    if reason is not None and new_status != CardStatus.LOST:
        msg = "the API takes a loss reason only together with status='LOST'"
        raise WtsChatArgumentError("lost_reason_id", msg)
    body = convert.changes(
        _values(step_id=step_id, title=title, **shared)
        | convert.given(contactIds=convert.uuids("contact_ids", contact_ids), status=new_status),
        clear,
        _CLEARABLE,
        masks=_MASKS,
        flags=flags,
    )
    operation = convert.choice("upsert_tag_operation", upsert_tag_operation, TagOperation)
    if "tagIds" in body and body["tagIds"] is None and operation not in (None, TagOperation.REPLACE_ALL):
        convert.refuse("upsert_tag_operation", operation, "ReplaceAll is what clearing the tags means")
    return build.put(
        "/crm/v3/panel/card/{id}",
        Card,
        # The contract does not call this id a UUID.
        {"id": convert.identifier("card_id", card_id)},
        body={
            **body,
            **convert.given(
                lostReasonId=reason, options=None if operation is None else {"upsertTagOperation": operation}
            ),
        },
    )


def duplicate_card(
    card_id: str,
    *,
    copy_to_step_id: str | None = None,
    archive_original_card: bool | None = None,
    fields: Sequence[str] | str | None = None,
) -> Request[Card]:
    """
    Duplicate a card: ``POST /crm/v2/panel/card/{id}/duplicate``.

    :param card_id: id of the card
    :param copy_to_step_id: id of the step of any panel that the copy is put in. Default of the API: the card's own
    :param archive_original_card: archive the card that was copied. Default of the API: false
    :param fields: what to copy, see :class:`~airflow_provider_wtschat.api.types.CardCopyField`. Default of the API:
        everything
    :raises WtsChatArgumentError: if an argument is refused
    """
    options = convert.given(
        archiveOriginalCard=convert.boolean("archive_original_card", archive_original_card),
        fields=convert.choices("fields", fields, CardCopyField, never=(CardCopyField.UNDEFINED,)),
    )
    return build.post(
        "/crm/v2/panel/card/{id}/duplicate",
        Card,
        _card(card_id, "id"),
        body=convert.given(copyToStepId=convert.uuid("copy_to_step_id", copy_to_step_id), options=options or None),
        safe_to_repeat=False,
    )


@taking(Listed)
def list_card_notes(card_id: str, **shared: Unpack[Listed]) -> PagedRequest[CardNote]:
    """
    List the notes of a card: ``GET /crm/v1/panel/card/{cardId}/note``.

    :param card_id: id of the card
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.CardNote`
    :raises WtsChatArgumentError: if an argument is refused
    """
    path_params = _card(card_id)
    return build.listing(
        "/crm/v1/panel/card/{cardId}/note", CardNote, shared, path_params, filters={"cardId": (path_params["cardId"],)}
    )


def create_card_note(
    card_id: str, *, text: str | None = None, file_urls: Sequence[str] | str | None = None
) -> Request[CardNote]:
    """
    Write a note on a card: ``POST /crm/v1/panel/card/{cardId}/note``.

    :param card_id: id of the card
    :param text: text of the note, up to 8,000 characters
    :param file_urls: up to 3 public URLs of files of 25 MB at most
    :raises WtsChatArgumentError: if an argument is refused, or nothing is given
    """
    urls = convert.list_of("file_urls", file_urls, convert.url)
    if urls is not None and len(urls) > MAX_NOTE_FILES:
        msg = f"{len(urls)} were given; a note takes up to {MAX_NOTE_FILES}"
        raise WtsChatArgumentError("file_urls", msg)
    body = convert.given(text=convert.text("text", text, max_length=_LONGEST_TEXT), fileUrls=urls)
    if not any(body.values()):
        msg = "a note needs one of them"
        raise WtsChatArgumentError("text, file_urls", msg)
    return build.post("/crm/v1/panel/card/{cardId}/note", CardNote, _card(card_id), body=body, safe_to_repeat=False)


def delete_card_note(card_id: str, note_id: str) -> Request[None]:
    """
    Delete a note of a card: ``DELETE /crm/v1/panel/card/{cardId}/note/{noteId}``.

    :param card_id: id of the card
    :param note_id: id of the note
    :raises WtsChatArgumentError: if one is not an id
    """
    return build.delete(
        "/crm/v1/panel/card/{cardId}/note/{noteId}",
        type(None),
        {**_card(card_id), "noteId": convert.required_uuid("note_id", note_id)},
    )


def _panel(panel_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("panel_id", panel_id)}


def _card(card_id: str, placeholder: str = "cardId") -> dict[str, str]:
    return {placeholder: convert.required_uuid("card_id", card_id)}


def _details(value: Any) -> list[str] | None:
    return convert.choices("include_details", value, CardDetail)


def _values(
    *,
    step_id: Any,
    title: Any,
    description: Any = None,
    position: Any = None,
    due_date: Any = None,
    responsible_user_id: Any = None,
    tag_ids: Any = None,
    tag_names: Any = None,
    session_id: Any = None,
    monetary_amount: Any = None,
    custom_fields: Any = None,
    metadata: Any = None,
    timezone: str = "UTC",
) -> dict[str, Any]:
    convert.not_both("tag_ids", tag_ids, "tag_names", tag_names)
    return convert.given(
        stepId=convert.uuid("step_id", step_id),
        title=convert.text("title", title, max_length=_LONGEST_TITLE),
        description=convert.text("description", description, max_length=_LONGEST_TEXT),
        position=convert.number("position", position, minimum=0, maximum=_LAST_POSITION),
        dueDate=convert.instant("due_date", due_date, timezone),
        responsibleUserId=convert.uuid("responsible_user_id", responsible_user_id),
        tagIds=convert.uuids("tag_ids", tag_ids),
        tagNames=convert.texts("tag_names", tag_names),
        sessionId=convert.uuid("session_id", session_id),
        monetaryAmount=convert.number("monetary_amount", monetary_amount),
        customFields=fields_of.encode(None, custom_fields),
        metadata=convert.json_mapping("metadata", metadata),
    )


def _status(status: Any, archived: bool | None) -> tuple[str | None, tuple[str, ...]]:
    """Return the status to set, and what else the mask names."""
    wanted = convert.choice("status", status, CardStatus)
    if archived is None:
        return wanted, ()
    if archived:
        if wanted not in (None, CardStatus.ARCHIVED):
            msg = f"a card cannot be archived and {wanted} at once; give one of them"
            raise WtsChatArgumentError("archived, status", msg)
        return CardStatus.ARCHIVED.value, ()
    if wanted == CardStatus.ARCHIVED:
        msg = "archived=False and status='ARCHIVED' contradict each other; give one of them"
        raise WtsChatArgumentError("archived, status", msg)
    # The mask has a field for the older flag and the body no value, so naming it can only take it away.
    return wanted or CardStatus.OPEN.value, (CardField.ARCHIVED.value,)
