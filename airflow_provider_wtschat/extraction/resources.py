"""
What there is to read, and how to ask for **everything** of it, because the API's lists default to less.

A list that takes one status at a time is asked once for each; one that gives open things only is asked for all states;
one that wants a parent is asked for each parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import (
    agents,
    channels,
    chatbots,
    contacts,
    custom_fields,
    departments,
    office_hours,
    panels,
    portfolios,
    scheduled_messages,
    sequences,
    sessions,
    tags,
    templates,
    types,
)
from airflow_provider_wtschat.api.request import AnyRequest, PagedRequest, Paging
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction.changes import Unfiltered
from airflow_provider_wtschat.extraction.office_hours import (
    Company,
    OfficeHoursPeriodRow,
    company_rows,
    period_rows,
)

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

Requests = Sequence[AnyRequest]
Asking = Callable[["WtsChatHook", Mapping[str, Any]], Requests]


class Kind(Enum):
    """How a resource is read."""

    CHANGES = "rows that changed in a window"
    SNAPSHOT = "all rows as they are now"
    CHILDREN = "all rows of the parents that changed in a window"


@dataclass(frozen=True)
class StatusFilter:
    """
    The filter of a list that names every status, since the list shows less without it.

    :param argument: its argument in :mod:`airflow_provider_wtschat.api`
    :param usual: the statuses that the list is known to show without it
    """

    argument: str
    name: str
    usual: frozenset[str]

    def without(self, request: PagedRequest[Any]) -> PagedRequest[Any]:
        """Return the list without the filter."""
        return self._having(request, [])

    def only_usual(self, request: PagedRequest[Any]) -> PagedRequest[Any] | None:
        """Return the list with the usual statuses only, ``None`` if it names none of them."""
        if request.paging is Paging.BODY:
            given = [(request.body or {}).get(self._in_body)]
        else:
            given = [value for name, value in request.query if name == self.name]
        values = [value for value in given if value in self.usual]
        return self._having(request, values) if values else None

    @property
    def _in_body(self) -> str:
        return self.name[:1].lower() + self.name[1:]

    def _having(self, request: PagedRequest[Any], values: Sequence[str]) -> PagedRequest[Any]:
        filters = {name: allowed for name, allowed in request.filters.items() if name != "status"}
        if request.paging is Paging.BODY:
            body = {name: value for name, value in (request.body or {}).items() if name != self._in_body}
            if values:
                body[self._in_body] = values[0]
            return request.having(body=body, filters=filters)
        query = tuple((name, value) for name, value in request.query if name != self.name)
        return request.having(query=(*query, *((self.name, value) for value in values)), filters=filters)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """
    Something of the account that can be read whole.

    :param name: its name
    :param row: type of a row
    :param kind: how it is read
    :param asking: builds the requests that together are everything, from a hook (some must look up parents) and filters
    :param child: for children: builds the list of one parent's
    :param parent: the resource that the parents are of, where each parent is asked for by itself
    :param parent_filter: the filter that names one parent
    :param also: a bound that can move while ``UpdatedAt`` does not
    :param status: the filter on the status that names every status that is known
    :param rows: makes rows out of an answer that is no list
    """

    name: str
    row: type
    kind: Kind
    asking: Asking | None = None
    child: Callable[[str], PagedRequest[Any]] | None = None
    parent: str | None = None
    parent_filter: str | None = None
    also: str | None = None
    status: StatusFilter | None = None
    rows: Callable[[WtsChatHook, Any], list[Any]] | None = None

    @property
    def by_parent(self) -> bool:
        """Whether it costs a request for each parent."""
        return self.parent is not None

    def requests(self, hook: WtsChatHook, filters: Mapping[str, Any] | None = None) -> Requests:
        """
        Build the requests that together are everything, or everything that fits the filters.

        :param hook: the hook
        :param filters: arguments of the list's function in :mod:`airflow_provider_wtschat.api`; they replace what would
            be asked for by default
        :raises WtsChatArgumentError: if the resource is read by its parents, or the list has no such argument
        """
        if self.asking is None:
            raise WtsChatArgumentError("resource", f"{self.name} is read by its parents ({self.parent}), not by itself")
        try:
            return self.asking(hook, filters or {})
        except TypeError as error:
            raise WtsChatArgumentError("filters", str(error)) from error

    def comparisons(self, requests: Sequence[AnyRequest], filters: Mapping[str, Any] | None = None) -> list[Unfiltered]:
        """
        Return what to compare the requests with, to find rows with a status that is not known here.

        :param requests: what :meth:`requests` returned
        :param filters: the filters; with one on the status there is nothing to compare
        """
        status = self.status
        if status is None or (filters or {}).get(status.argument) is not None:
            return []
        groups: dict[tuple[str, bytes | None], list[PagedRequest[Any]]] = {}
        for request in requests:
            if isinstance(request, PagedRequest):
                wide = status.without(request)
                groups.setdefault((wide.target, wide.content), []).append(request)
        return [
            Unfiltered(
                wide=status.without(group[0]),
                usual=[usual for request in group if (usual := status.only_usual(request)) is not None],
                every=group,
            )
            for group in groups.values()
        ]

    def parents_may_go(self, filters: Mapping[str, Any] | None = None) -> bool:
        """
        Tell whether a list may belong to a parent that was deleted since it was looked up.

        :param filters: the filters; a parent that they name has to be there
        """
        return self.parent_filter is not None and not (filters or {}).get(self.parent_filter)


def find(name: str) -> Resource:
    """
    Find a resource.

    :raises WtsChatArgumentError: if there is none of that name; the error names them all
    """
    if name not in RESOURCES:
        raise WtsChatArgumentError("resource", f"{name!r} was given; one of {', '.join(RESOURCES)} is wanted")
    return RESOURCES[name]


def _once(ask: Callable[..., AnyRequest], **everything: Any) -> Asking:
    """Ask for one list."""
    return lambda _, filters: [ask(**{**everything, **filters})]


def _for_each(name: str, every: Iterable[Any], ask: Callable[..., AnyRequest], **everything: Any) -> Asking:
    """Ask for a list once for each value of an argument that takes one, or for those that the filters name."""

    def asking(_: WtsChatHook, filters: Mapping[str, Any]) -> Requests:
        given = filters.get(name)
        values = every if given is None else given if isinstance(given, (list, tuple, set)) else [given]
        return [ask(**{**everything, **filters, name: value}) for value in values]

    return asking


def _of_each(
    name: str, parents: Callable[[], PagedRequest[Any]], ask: Callable[..., AnyRequest], **everything: Any
) -> Asking:
    """Ask for the list of each parent, or of the one that the filters name."""

    def asking(hook: WtsChatHook, filters: Mapping[str, Any]) -> Requests:
        rest = {**everything, **filters}
        parent = rest.pop(name, None)
        found = [parent] if parent else [row["id"] for row in hook.iterate(parents(), bulk=True)]
        return [ask(parent_id, **rest) for parent_id in found]

    return asking


def _contacts(**filters: Any) -> AnyRequest:
    listed = {"status", "include_details", "timezone", "created_after", "created_before"}
    return contacts.list_(**filters) if set(filters) <= listed else contacts.filter(**filters)


RESOURCES: dict[str, Resource] = {
    resource.name: resource
    for resource in (
        Resource(
            name="sessions",
            row=types.Session,
            kind=Kind.CHANGES,
            # Hidden sessions come only when asked for, and the classification only as a detail.
            asking=_once(
                sessions.list_,
                status=[status for status in types.SessionStatus if status is not types.SessionStatus.UNDEFINED],
                include_details=[types.SessionDetail.CLASSIFICATION_DETAILS],
            ),
            also="LastInteractionAt",
            status=StatusFilter("status", "Status", frozenset({"STARTED", "PENDING", "IN_PROGRESS", "COMPLETED"})),
        ),
        Resource(
            name="contacts",
            row=types.Contact,
            kind=Kind.CHANGES,
            asking=_for_each("status", types.ContactStatus, _contacts, include_details=list(types.ContactDetail)),
            status=StatusFilter("status", "Status", frozenset({"ACTIVE"})),
        ),
        Resource(
            name="cards",
            row=types.Card,
            kind=Kind.CHANGES,
            asking=_of_each(
                "panel_id",
                panels.list_,
                panels.list_cards,
                statuses=list(types.CardStatus),
                include_details=list(types.CardDetail),
            ),
            parent="panels",
            parent_filter="panel_id",
            status=StatusFilter("statuses", "Statuses", frozenset({"OPEN"})),
        ),
        Resource(
            name="panels",
            row=types.Panel,
            kind=Kind.CHANGES,
            asking=_once(panels.list_, include_details=[types.PanelDetail.TAGS, types.PanelDetail.STEPS]),
        ),
        Resource(
            name="lost_reasons",
            row=types.LostReasonItem,
            kind=Kind.CHANGES,
            asking=_of_each(
                "panel_id", partial(panels.list_, panel_type=types.PanelType.SALES), panels.list_lost_reasons
            ),
            parent="panels",
            parent_filter="panel_id",
        ),
        Resource(
            name="templates",
            row=types.Template,
            kind=Kind.CHANGES,
            asking=_for_each("archived", (False, True), templates.list_, include_details=[types.TemplateDetail.ALL]),
        ),
        Resource(name="chatbots", row=types.Chatbot, kind=Kind.CHANGES, asking=_once(chatbots.list_)),
        Resource(name="sequences", row=types.Sequence, kind=Kind.CHANGES, asking=_once(sequences.list_)),
        Resource(
            name="sequence_contacts",
            row=types.SequenceContact,
            kind=Kind.CHANGES,
            asking=_of_each("sequence_id", sequences.list_, sequences.list_contacts),
            parent="sequences",
            parent_filter="sequence_id",
        ),
        Resource(
            name="portfolios",
            row=types.Portfolio,
            kind=Kind.CHANGES,
            asking=_once(portfolios.list_, include_details=[types.PortfolioDetail.DEPARTMENTS]),
        ),
        Resource(
            name="portfolio_contacts",
            row=types.PortfolioContact,
            kind=Kind.CHANGES,
            asking=_of_each("portfolio_id", portfolios.list_, portfolios.list_contacts),
            parent="portfolios",
            parent_filter="portfolio_id",
        ),
        Resource(
            name="scheduled_messages",
            row=types.ScheduledMessage,
            kind=Kind.CHANGES,
            # Without a status all come, as far as is known: that list is read, too, only if it has more than these.
            asking=_for_each("status", types.ScheduledMessageStatus, scheduled_messages.list_),
            status=StatusFilter("status", "Status", frozenset(types.ScheduledMessageStatus)),
        ),
        Resource(name="agents", row=types.Agent, kind=Kind.SNAPSHOT, asking=_once(agents.list_)),
        Resource(name="departments", row=types.Department, kind=Kind.SNAPSHOT, asking=_once(departments.list_)),
        Resource(
            name="channels",
            row=types.Channel,
            kind=Kind.SNAPSHOT,
            asking=_once(channels.list_, channel_type=types.ChannelType.ALL),
        ),
        Resource(name="tags", row=types.Tag, kind=Kind.SNAPSHOT, asking=_once(tags.list_)),
        Resource(
            name="custom_fields",
            row=types.CustomField,
            kind=Kind.SNAPSHOT,
            # Nested, the fields would lie inside of their groups.
            asking=_for_each("entity_type", types.CustomFieldEntity, custom_fields.list_, nested_list=False),
        ),
        Resource(name="company", row=Company, kind=Kind.SNAPSHOT, asking=_once(office_hours.get), rows=company_rows),
        Resource(
            name="office_hours",
            row=OfficeHoursPeriodRow,
            kind=Kind.SNAPSHOT,
            asking=_once(office_hours.get),
            rows=period_rows,
        ),
        Resource(
            name="messages",
            row=types.Message,
            kind=Kind.CHILDREN,
            child=sessions.list_messages,
            parent="sessions",
        ),
        Resource(
            name="session_notes", row=types.Message, kind=Kind.CHILDREN, child=sessions.list_notes, parent="sessions"
        ),
        Resource(
            name="card_notes", row=types.CardNote, kind=Kind.CHILDREN, child=panels.list_card_notes, parent="cards"
        ),
    )
}
"""Everything that can be read, by name."""
