"""Operators on panels, their cards and the notes of cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import custom_fields, lookup, panels
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Card, CardNote, Panel
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators._arguments import (
    CardChangeArguments,
    OnceArguments,
    OperatorArguments,
    PanelArguments,
    PanelOnceArguments,
    PeriodListArguments,
    StepPeriodListArguments,
)
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator, WtsChatPeriodListOperator, name_argument
from airflow_provider_wtschat.operators.sending import WtsChatOnceOperator

__all__ = [
    "CreateCardFileNoteOperator",
    "CreateCardOperator",
    "CreateCardTextNoteOperator",
    "DeleteCardNoteOperator",
    "DuplicateCardOperator",
    "GetCardOperator",
    "GetPanelOperator",
    "ListCardNotesOperator",
    "ListCardsOperator",
    "ListPanelsOperator",
    "UpdateCardOperator",
]


class ListPanelsOperator(WtsChatPeriodListOperator[Panel]):
    """
    List panels: ``GET /crm/v2/panel``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListPanelsOperator(task_id="panels", fields=["id", "title"])

    :param title: title of the panel (templated)
    :param panel_type: ``MANAGEMENT`` or ``SALES`` (templated). Default: both
    :param include_details: what to add, such as ``["Steps", "Tags"]`` (templated)
    """

    operation = staticmethod(panels.list_)

    def __init__(
        self,
        *,
        title: str | None = None,
        panel_type: str | None = None,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[PeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.panel_type = panel_type
        self.include_details = include_details


class WtsChatPanelOperator(WtsChatBaseOperator):
    """
    Identify a panel, by id or title.

    :param panel_id: id of the panel (templated)
    :param panel_name: title of the panel, in place of its id (templated)
    """

    named: ClassVar[Mapping[str, str]] = {"panel_id": "panel"}

    def __init__(self, *, panel_id: str | None = None, panel_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.panel_id = panel_id
        self.panel_name = panel_name


class GetPanelOperator(WtsChatPanelOperator):
    """
    Get a panel: ``GET /crm/v1/panel/{id}``.

    Returns the panel, as the API sent it.

    .. code-block:: python

        GetPanelOperator(task_id="panel", panel_name="Vendas", include_details=["Steps"])

    :param include_details: what to add, such as ``["Steps", "Tags"]`` (templated)
    """

    operation = staticmethod(panels.get)

    def __init__(self, *, include_details: Sequence[str] | str | None = None, **kwargs: Unpack[PanelArguments]) -> None:
        super().__init__(**kwargs)
        self.include_details = include_details


class WtsChatStepOfPanelOperator(WtsChatPanelOperator):
    """Find a step of a panel by its name."""

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with any id in place of that of a step that is given by name."""
        given = super().given()
        if getattr(self, self._step_name()) is not None:
            self.check_panel()
        return given

    def by_name(self, thing: str, name: str, *, argument: str, found: Mapping[str, Any]) -> Exchange[str]:
        """Return the look-up of an id by a name; a step's takes its panel."""
        if thing == "step":
            return lookup.step(name, panel_id=self.panel(found), argument=argument)
        return super().by_name(thing, name, argument=argument, found=found)

    def looked_up(self) -> dict[str, Any]:
        """Return what :meth:`found` takes requests for, with the panel of the step."""
        return super().looked_up() | {"panel_id": self.panel_id}

    def check_panel(self) -> None:
        """
        Refuse a step's name of which nobody knows the panel.

        :raises WtsChatArgumentError: if it is not known
        """
        if self.panel_id is None and self.panel_name is None:
            raise WtsChatArgumentError(self._step_name(), "give the panel with it, as panel_id or panel_name")

    def panel(self, found: Mapping[str, Any]) -> str:
        """Return the id of the panel."""
        return str(found.get("panel_id") or convert.required_uuid("panel_id", self.panel_id))

    def _step_name(self) -> str:
        return next(name_argument(argument) for argument, thing in self.named.items() if thing == "step")


class WtsChatStepOperator(WtsChatStepOfPanelOperator):
    """
    Identify a step of a panel, by id or title.

    :param step_id: id of the step (templated)
    :param step_name: title of the step, in place of its id (templated)
    """

    named: ClassVar[Mapping[str, str]] = {**WtsChatPanelOperator.named, "step_id": "step"}

    def __init__(self, *, step_id: str | None = None, step_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step_id = step_id
        self.step_name = step_name


class ListCardsOperator(WtsChatStepOperator, WtsChatPeriodListOperator[Card]):
    """
    List the cards of a panel: ``GET /crm/v2/panel/card``.

    **Without statuses only open cards come.** For every card give all four.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        won = ListCardsOperator(task_id="won", panel_name="Vendas", statuses=["WON"], fields=["id", "title"])

    :param contact_id: id of a contact (templated)
    :param responsible_user_id: ``userId`` of an agent, which is not the agent's ``id`` (templated)
    :param responsible_user_name: name or e-mail of the agent, in place of the id (templated)
    :param text_filter: text to search in the card's relevant texts (templated)
    :param statuses: any of ``OPEN``, ``WON``, ``LOST`` and ``ARCHIVED`` (templated). Default of the API: ``OPEN``
    :param include_details: what to add, such as ``["Contacts", "CustomFields"]`` (templated)
    """

    operation = staticmethod(panels.list_cards)
    named: ClassVar = {**WtsChatStepOperator.named, "responsible_user_id": "agent"}

    def __init__(
        self,
        *,
        contact_id: str | None = None,
        responsible_user_id: str | None = None,
        responsible_user_name: str | None = None,
        text_filter: str | None = None,
        statuses: Sequence[str] | str | None = None,
        include_details: Sequence[str] | str | None = None,
        **kwargs: Unpack[StepPeriodListArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.contact_id = contact_id
        self.responsible_user_id = responsible_user_id
        self.responsible_user_name = responsible_user_name
        self.text_filter = text_filter
        self.statuses = statuses
        self.include_details = include_details


class GetCardOperator(WtsChatBaseOperator):
    """
    Get a card: ``GET /crm/v2/panel/card/{id}``.

    Returns the card, as the API sent it.

    .. code-block:: python

        GetCardOperator(task_id="card", card_id="{{ params.card_id }}")

    :param card_id: id of the card (templated)
    :param include_details: what to add, such as ``["Contacts", "CustomFields"]`` (templated)
    """

    operation = staticmethod(panels.get_card)

    def __init__(
        self, *, card_id: str, include_details: Sequence[str] | str | None = None, **kwargs: Unpack[OperatorArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.include_details = include_details


class WtsChatCardChangeOperator(WtsChatStepOperator, WtsChatOnceOperator):
    """
    Set the fields of a card.

    Custom fields are held against the definitions of the panel before the request, which takes one or two more: the
    API ignores an unknown key or a value of the wrong type without an error.

    :param title: title of the card (templated)
    :param description: description of the card (templated)
    :param position: position inside the step, from 0 (templated)
    :param due_date: when the card is due (templated)
    :param responsible_user_id: ``userId`` of an agent, which is not the agent's ``id`` (templated)
    :param responsible_user_name: name or e-mail of the agent, in place of the id (templated)
    :param tag_ids: ids of tags of the panel, or ... (templated)
    :param tag_names: ... names of tags of the panel (templated)
    :param contact_ids: ids of contacts (templated)
    :param session_id: id of the session that the card belongs to (templated)
    :param monetary_amount: amount of money; 0 is an amount (templated)
    :param custom_fields: value by the field's key: numbers, booleans, dates and options as what they are (templated)
    :param metadata: free keys and values (templated)
    :param timezone: IANA time zone of dates that have none (templated). Default: UTC
    """

    named: ClassVar = {**WtsChatStepOperator.named, "responsible_user_id": "agent"}

    def __init__(
        self,
        *,
        title: str | None = None,
        description: str | None = None,
        position: float | None = None,
        due_date: When | None = None,
        responsible_user_id: str | None = None,
        responsible_user_name: str | None = None,
        tag_ids: Sequence[str] | str | None = None,
        tag_names: Sequence[str] | str | None = None,
        contact_ids: Sequence[str] | str | None = None,
        session_id: str | None = None,
        monetary_amount: float | str | None = None,
        custom_fields: Mapping[str, Any] | str | None = None,
        metadata: Mapping[str, Any] | str | None = None,
        timezone: str = "UTC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.description = description
        self.position = position
        self.due_date = due_date
        self.responsible_user_id = responsible_user_id
        self.responsible_user_name = responsible_user_name
        self.tag_ids = tag_ids
        self.tag_names = tag_names
        self.contact_ids = contact_ids
        self.session_id = session_id
        self.monetary_amount = monetary_amount
        self.custom_fields = custom_fields
        self.metadata = metadata
        self.timezone = timezone

    def found(self) -> dict[str, Any]:
        """Return the values that take requests to find, with the custom fields as their definitions want them."""
        found = super().found()
        if self.custom_fields is not None:
            definitions = self.hook.run(panels.list_custom_fields(self.panel(found)))
            found["custom_fields"] = custom_fields.encode(definitions, self.custom_fields, timezone=self.timezone)
        return found

    def build(self, *, panel_id: Any = None, **values: Any) -> Request[Any]:
        """Build the request, without the panel, which the step tells, too."""
        return super().build(**values)


class CreateCardOperator(WtsChatCardChangeOperator):
    """
    Create a card: ``POST /crm/v2/panel/card``.

    Give its step, by id or by name with the panel, and a title.

    Returns the card, as the API sent it.

    .. code-block:: python

        CreateCardOperator(task_id="card", panel_name="Vendas", step_name="Lead", title="Order 17")
    """

    operation = staticmethod(panels.create_card)

    def __init__(self, **kwargs: Unpack[CardChangeArguments]) -> None:
        super().__init__(**kwargs)

    def panel(self, found: Mapping[str, Any]) -> str:
        """Return the id of the panel, which the step tells if it is not given."""
        if self.panel_id is None and self.panel_name is None:
            return self.hook.perform(lookup.panel_of_step(convert.required_uuid("step_id", self.step_id)))
        return super().panel(found)


class UpdateCardOperator(WtsChatCardChangeOperator):
    """
    Update fields of a card, move it, or change its status: ``PUT /crm/v3/panel/card/{id}``.

    Only what is given changes. A step that is given by name is one of the card's own panel unless a panel is given.
    Custom fields that are not given keep their values; keys of ``metadata`` are added to those that exist, and ``None``
    as a value removes a key.

    Returns the card, as the API sent it.

    .. code-block:: python

        UpdateCardOperator(task_id="won", card_id="{{ params.card_id }}", status="WON", monetary_amount=1200.5)

    :param card_id: id of the card (templated)
    :param status: ``OPEN``, ``WON``, ``LOST`` or ``ARCHIVED`` (templated)
    :param lost_reason_id: id of the loss reason, with ``status="LOST"`` (templated)
    :param archived: true archives the card, false takes it out of the archive (templated)
    :param clear: fields to empty (templated): ``description``, ``due_date``, ``responsible_user_id``, ``tag_ids`` or
        ``tag_names`` (all tags), ``contact_ids``, ``session_id``, ``monetary_amount``, ``custom_fields``, ``metadata``
    :param upsert_tag_operation: what happens to tags: ``InsertIfNotExists``, ``DeleteIfExists`` or ``ReplaceAll``
        (templated). Default of the API: ``ReplaceAll``
    """

    operation = staticmethod(panels.update_card)

    def __init__(
        self,
        *,
        card_id: str,
        status: str | None = None,
        lost_reason_id: str | None = None,
        archived: bool | None = None,
        clear: Sequence[str] | str | None = None,
        upsert_tag_operation: str | None = None,
        **kwargs: Unpack[CardChangeArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.status = status
        self.lost_reason_id = lost_reason_id
        self.archived = archived
        self.clear = clear
        self.upsert_tag_operation = upsert_tag_operation

    def check_panel(self) -> None:
        """Let pass a step's name without a panel: it is the card's own."""

    def panel(self, found: Mapping[str, Any]) -> str:
        """Return the id of the panel, the card's own if none is given."""
        if self.panel_id is None and self.panel_name is None:
            return str(self.hook.run(panels.get_card(self.card_id))["panelId"])
        return super().panel(found)


class DuplicateCardOperator(WtsChatStepOfPanelOperator, WtsChatOnceOperator):
    """
    Duplicate a card: ``POST /crm/v2/panel/card/{id}/duplicate``.

    The copy goes to the step that is given, of any panel, or else to the card's own.

    Returns the copy, as the API sent it.

    .. code-block:: python

        DuplicateCardOperator(
            task_id="copy", card_id="{{ params.card_id }}", panel_name="Vendas", copy_to_step_name="Lead"
        )

    :param card_id: id of the card (templated)
    :param copy_to_step_id: id of the step that the copy is put in (templated). Default of the API: the card's own
    :param copy_to_step_name: title of that step, in place of its id; give its panel too (templated)
    :param archive_original_card: archive the card that was copied (templated). Default of the API: false
    :param copy_fields: what to copy, such as ``["Contacts", "Notes"]`` (templated). Default of the API: everything
    """

    operation = staticmethod(panels.duplicate_card)
    named: ClassVar = {**WtsChatPanelOperator.named, "copy_to_step_id": "step"}
    renamed: ClassVar = {"fields": "copy_fields"}

    def __init__(
        self,
        *,
        card_id: str,
        copy_to_step_id: str | None = None,
        copy_to_step_name: str | None = None,
        archive_original_card: bool | None = None,
        copy_fields: Sequence[str] | str | None = None,
        **kwargs: Unpack[PanelOnceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.copy_to_step_id = copy_to_step_id
        self.copy_to_step_name = copy_to_step_name
        self.archive_original_card = archive_original_card
        self.copy_fields = copy_fields

    def build(self, *, panel_id: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request.

        :param panel_id: id of the panel, which the step tells, too
        :param values: values by the names of the operation's parameters
        """
        return super().build(**values)


class ListCardNotesOperator(WtsChatPeriodListOperator[CardNote]):
    """
    List the notes of a card: ``GET /crm/v1/panel/card/{cardId}/note``.

    Returns the rows in a list, as the API sent them, ready for ``.expand()``.

    .. code-block:: python

        ListCardNotesOperator(task_id="notes", card_id="{{ params.card_id }}")

    :param card_id: id of the card (templated)
    """

    operation = staticmethod(panels.list_card_notes)

    def __init__(self, *, card_id: str, **kwargs: Unpack[PeriodListArguments]) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id


class CreateCardTextNoteOperator(WtsChatOnceOperator):
    """
    Write a note on a card: ``POST /crm/v1/panel/card/{cardId}/note``.

    Returns the note, as the API sent it.

    .. code-block:: python

        CreateCardTextNoteOperator(task_id="note", card_id="{{ params.card_id }}", text="Call on Monday")

    :param card_id: id of the card (templated)
    :param text: text of the note, up to 8,000 characters (templated)
    """

    operation = staticmethod(panels.create_card_note)

    def __init__(self, *, card_id: str, text: str, **kwargs: Unpack[OnceArguments]) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.text = text

    def given(self) -> dict[str, Any]:
        """Return the operation's values."""
        return super().given() | {"text": convert.required_text("text", self.text)}


class CreateCardFileNoteOperator(WtsChatOnceOperator):
    """
    Put files on a card, as a note: ``POST /crm/v1/panel/card/{cardId}/note``.

    Returns the note, as the API sent it.

    .. code-block:: python

        CreateCardFileNoteOperator(
            task_id="note", card_id="{{ params.card_id }}", file_urls=["https://example.com/offer.pdf"]
        )

    :param card_id: id of the card (templated)
    :param file_urls: up to 3 public URLs of files of 25 MB at most (templated)
    :param text: text beside them, up to 8,000 characters (templated)
    """

    operation = staticmethod(panels.create_card_note)

    def __init__(
        self, *, card_id: str, file_urls: Sequence[str] | str, text: str | None = None, **kwargs: Unpack[OnceArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.file_urls = file_urls
        self.text = text

    def given(self) -> dict[str, Any]:
        """Return the operation's values."""
        return super().given() | {"file_urls": convert.required("file_urls", self.file_urls)}


class DeleteCardNoteOperator(WtsChatBaseOperator):
    """
    Delete a note of a card: ``DELETE /crm/v1/panel/card/{cardId}/note/{noteId}``.

    A note that does not exist is deleted already: the task succeeds.

    Returns ``None``.

    .. code-block:: python

        DeleteCardNoteOperator(task_id="delete", card_id="{{ params.card_id }}", note_id="{{ params.note_id }}")

    :param card_id: id of the card (templated)
    :param note_id: id of the note (templated)
    """

    operation = staticmethod(panels.delete_card_note)

    def __init__(self, *, card_id: str, note_id: str, **kwargs: Unpack[OperatorArguments]) -> None:
        super().__init__(**kwargs)
        self.card_id = card_id
        self.note_id = note_id
