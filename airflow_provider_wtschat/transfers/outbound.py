"""What the transfers out of WTS Chat share: what to read, in which window, and what to leave out of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

from airflow_provider_wtschat._compat import BaseHook
from airflow_provider_wtschat._given import refuse_empty
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.assets import SCHEME
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatDestinationError,
    WtsChatServerError,
)
from airflow_provider_wtschat.extraction import WORKERS, Kind, Resource, check_window, find
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.operators.base import ConnectedOperator
from airflow_provider_wtschat.warehouse import personal
from airflow_provider_wtschat.warehouse.rows import Shaper, Shaping, Splitter, Tally
from airflow_provider_wtschat.warehouse.tables import CHILDREN, PARTS, Table, child_table, table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

OVERLAP = timedelta(hours=48)
SETTLE = timedelta(hours=72)
AHEAD = timedelta(minutes=5)
"""How far clocks may differ."""

_OURS = {"updated_after", "updated_before", "order_by", "order_direction"}
"""Filters that the reading sets itself."""
_LASTING = {"created_after", "created_before", "timezone", "include_details", "phone_country", "nested_list"}
_LASTING_OF = {
    "sessions": {"channel_ids", "contact_id", "session_type"},
    "contacts": {"origin"},
    "panels": {"panel_type"},
    "lost_reasons": {"panel_id"},
    "templates": {"channel_id"},
    "sequence_contacts": {"sequence_id", "contact_id"},
    "portfolio_contacts": {"portfolio_id", "contact_ids"},
    "channels": {"channel_type"},
    "custom_fields": {"entity_type"},
}
"""Filters on what never changes about a row, by resource: a row that fits once fits always."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?")


@dataclass(frozen=True)
class Window:
    """
    What of the changes to read.

    :param since: start, ``None`` for the beginning
    :param until: end, ``None`` for now
    :param given: whether it was given rather than following from what was read before
    """

    since: datetime | None
    until: datetime | None
    given: bool

    @property
    def label(self) -> str:
        """The window as text, empty for one that was not given."""
        ends = ["" if end is None else instants.write(end) for end in (self.since, self.until)]
        return "/".join(ends) if self.given else ""


class WtsChatOutboundBaseOperator(ConnectedOperator):
    """
    Read something out of WTS Chat.

    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    def __init__(self, *, wtschat_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wtschat_conn_id = wtschat_conn_id

    def account(self) -> str:
        """Return what the rows of this connection are marked with: its extra ``account``, else its id."""
        named = BaseHook.get_connection(self.wtschat_conn_id).extra_dejson.get("account")
        return convert.text("account", named) or self.wtschat_conn_id

    def tell(self, context: Context, output_uri: str | None, resource: str, figures: Mapping[str, Any]) -> None:
        """
        Report, once, what was read and where it went, and put the figures on the events of the task's outlets.

        :param output_uri: address of the destination, where it has one
        :param resource: name of the resource
        """
        collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # has no annotations
        host = urlsplit(self.hook.resolve().base_url).netloc
        collector.add_input_asset(self.hook, scheme=SCHEME, asset_kwargs={"host": host, "resource": resource})
        if output_uri is not None:
            collector.add_output_asset(self.hook, uri=output_uri, asset_extra=dict(figures))
        events = context.get("outlet_events")
        for outlet in self.outlets:
            if events is not None and getattr(outlet, "uri", None):
                events[outlet].extra.update(figures)


class WtsChatReadingBaseOperator(WtsChatOutboundBaseOperator):
    """
    Read a resource of WTS Chat into something else.

    :param resource: what to read: ``sessions``, ``messages``, ``contacts``, ``cards``, ``agents``, ... (templated)
    :param since: start of the window, included (templated)
    :param until: end of the window, excluded (templated). Default: now, on the server's clock
    :param timezone: IANA time zone of dates that have none (templated). Default: UTC
    :param personal_data: ``keep``, ``hash`` (phones, e-mails and names by a keyed hash, everything that people wrote
        left out) or ``drop`` (templated). Default: ``keep``
    :param personal_data_conn_id: connection whose password is the key of the hashes (templated)
    :param exclude: further fields to leave out, such as ``["contactDetails.name", "metadata"]`` (templated)
    :param max_rejects: rows without an id or an instant of their last change that may be left out before the task
        fails (templated). Default: 0
    :param workers: threads that read at most (templated). Default: 24
    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    def __init__(
        self,
        *,
        resource: str,
        since: When | None = None,
        until: When | None = None,
        timezone: str = "UTC",
        personal_data: str = "keep",
        personal_data_conn_id: str | None = None,
        exclude: Iterable[str] | str | None = None,
        max_rejects: int | str = 0,
        workers: int | str = WORKERS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.since = since
        self.until = until
        self.timezone = timezone
        self.personal_data = personal_data
        self.personal_data_conn_id = personal_data_conn_id
        self.exclude = exclude
        self.max_rejects = max_rejects
        self.workers = workers

    def checked_zone(self) -> str:
        """Return the time zone of dates that have none."""
        return convert.required_text("timezone", self.timezone)

    def checked_window(self) -> Window | None:
        """
        Return the window that was given, or ``None``.

        :raises WtsChatArgumentError: if it is empty, runs backwards, or an end of it is no date
        """
        zone = self.checked_zone()
        low = None if self.since is None else past("since", instants.parse("since", self.since, zone))
        high = None if self.until is None else instants.parse("until", self.until, zone)
        if low is not None and high is not None:
            check_window(low, high)
        return None if low is None and high is None else Window(low, high, given=True)

    def worker_count(self) -> int:
        """Return how many threads may read."""
        return convert.required("workers", convert.integer("workers", self.workers, minimum=1))

    def reject_limit(self) -> int:
        """Return how many rows may be left out."""
        return convert.required("max_rejects", convert.integer("max_rejects", self.max_rejects, minimum=0))

    def editor(self, row: type, inside: str | None = None) -> personal.Edit | None:
        """
        Return what takes personal data out of rows.

        :param row: type of the rows
        :param inside: the field that they are in, where they are a part of the resource's own rows
        :raises WtsChatArgumentError: if an argument about personal data is refused
        """
        mode = personal.mode_of(self.personal_data)
        key = None
        if self.personal_data_conn_id is not None:
            key_id = convert.required_text("personal_data_conn_id", self.personal_data_conn_id)
            key = (BaseHook.get_connection(key_id).password or "").encode()
        exclude = convert.texts("exclude", self.exclude) or []
        if inside is not None:
            exclude = [path.removeprefix(f"{inside}.") for path in exclude if path.startswith(f"{inside}.")]
        return personal.editor(row, mode, key, exclude)

    def shaping(self, resource: Resource, name: str, tally: Tally) -> tuple[dict[str, Table], Shaping]:
        """
        Return the tables that a resource fills, and what makes their rows.

        :param name: name of the resource's own table
        """
        account = self.account()
        tables = {name: table(resource.name)}
        shapers = {name: Shaper(tables[name], tally, self.editor(resource.row), account=account)}
        parts, splitters = {}, {}
        for part, field in PARTS.get(resource.name, {}).items():
            each = f"{name}_{field}"
            parts[each] = field
            tables[each] = table(part)
            shapers[each] = Shaper(tables[each], tally, self.editor(tables[each].row, field), account=account)
        for child in CHILDREN.get(resource.name, ()):
            each = f"{name}_{child.name}"
            tables[each] = child_table(resource.name, child)
            splitters[each] = Splitter(tables[each], tally, account)
        return tables, Shaping(name, shapers, parts, splitters)


class WtsChatLoadingBaseOperator(WtsChatReadingBaseOperator):
    """
    Read what changed of a resource, going on where the last load ended.

    :param since: start of the window, included (templated). Default: where the last complete load ended, minus the
        overlap
    :param initial_since: start of the first load of all (templated). Default: the beginning
    :param overlap: how far to go back behind the last load, since rows can become visible late: timedelta or seconds
        (templated). Default: 48 hours
    :param filters: arguments of the list's function in :mod:`airflow_provider_wtschat.api`, such as
        ``{"channel_ids": ["..."]}``; for what is read by parent, of the parents' list (templated). Default: everything
    :param filter_is_snapshot: allow filters on what changes, such as a status. A row that does not fit any more is not
        read again, so what was read of it stays as it was when it still did (templated). Default: refuse them
    :param settle: for messages and notes of sessions: once a day also read sessions that ended within this time, whose
        messages' statuses still move: timedelta or seconds (templated). Default: 72 hours
    :param max_requests: for what is read by parent: refuse more requests than this (templated). Default: no bound
    """

    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}

    def __init__(
        self,
        *,
        initial_since: When | None = None,
        overlap: timedelta | float | str = OVERLAP,
        filters: Mapping[str, Any] | str | None = None,
        filter_is_snapshot: bool | str = False,
        settle: timedelta | float | str | None = SETTLE,
        max_requests: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.initial_since = initial_since
        self.overlap = overlap
        self.filters = filters
        self.filter_is_snapshot = filter_is_snapshot
        self.settle = settle
        self.max_requests = max_requests

    def checked_resource(self) -> Resource:
        """
        Return what to read.

        :raises WtsChatArgumentError: if there is none of that name, or a window is given for what has none
        """
        found = find(convert.required_text("resource", self.resource))
        windowed = {name: getattr(self, name) for name in ("since", "until", "initial_since")}
        given = [name for name, value in windowed.items() if value is not None]
        if table(found.name).dimension and given:
            raise WtsChatArgumentError(", ".join(given), f"{found.name} has no window, all rows are read each time")
        return found

    def checked_filters(self, resource: Resource) -> dict[str, Any]:
        """
        Return the filters.

        :param resource: what to read
        :raises WtsChatArgumentError: if one is on a field that changes, and that was not allowed
        """
        filters = convert.mapping("filters", self.filters) or {}
        for name, value in filters.items():
            refuse_empty(name, value, path=f"filters[{name!r}]")
        ours = sorted(_OURS & set(filters))
        if ours:
            raise WtsChatArgumentError(
                "filters", f"{', '.join(ours)} are set by the reading itself; give since and until"
            )
        of = resource.parent if resource.kind is Kind.CHILDREN and resource.parent else resource.name
        changing = sorted(set(filters) - _LASTING - _LASTING_OF.get(of, set()))
        if changing and not convert.boolean("filter_is_snapshot", self.filter_is_snapshot):
            raise WtsChatArgumentError(
                "filters",
                f"{', '.join(changing)} can change for a row of {of}. A row that does not fit any more would not be "
                "read again and stay as it was. Read everything and filter afterwards, or say filter_is_snapshot=True "
                "if that is what you want",
            )
        return filters

    def window(self, mark: datetime | None) -> Window:
        """
        Return the window to read.

        :param mark: the end of what was loaded before, ``None`` for nothing
        """
        given = self.checked_window()
        if given is not None and given.since is not None:
            return given
        until = given.until if given else None
        if mark is None:
            first = self.initial_since
            zone = self.checked_zone()
            since = None if first is None else past("initial_since", instants.parse("initial_since", first, zone))
        else:
            since = mark - timedelta(seconds=convert.required("overlap", convert.seconds("overlap", self.overlap)))
        if since is not None and until is not None:
            check_window(since, until)
        return Window(since, until, given=given is not None)

    def reading_arguments(self) -> dict[str, Any]:
        """Return the arguments of a reading that are the same for each."""
        return {
            "workers": self.worker_count(),
            "max_requests": convert.integer("max_requests", self.max_requests, minimum=1),
        }

    def settling(self) -> timedelta | None:
        """Return for how long what ended is read again."""
        seconds = convert.seconds("settle", self.settle)
        return None if seconds is None else timedelta(seconds=seconds)


def past(argument: str, moment: datetime) -> datetime:
    """
    Return an instant, unless it lies in the future.

    :raises WtsChatArgumentError: if it lies in the future
    """
    if moment > datetime.now(UTC) + AHEAD:
        reason = f"{instants.write(moment)} lies in the future, so nothing would be read; give an instant that has been"
        raise WtsChatArgumentError(argument, reason)
    return moment


def check_watermark(watermark: datetime | None, how_to_mend: str) -> None:
    """
    Refuse a watermark that lies in the future: what changed before it would never be read.

    :raises WtsChatDestinationError: if it lies in the future
    """
    now = datetime.now(UTC)
    # A load moves it no further than this machine's clock says, as far as clocks agree.
    if watermark is not None and watermark > now + 2 * AHEAD:
        message = (
            f"The watermark {instants.write(watermark)} lies in the future (it is {instants.write(now)} by this "
            f"worker's clock), so nothing that changed before it would be read. {how_to_mend}"
        )
        raise WtsChatDestinationError(message)


def check_rejects(tally: Tally, limit: int) -> None:
    """Fail, so that Airflow tries again, if more rows had to be left out than may be."""
    if tally.rejected > limit:
        msg = (
            f"{tally.rejected} rows have no id or no instant of their last change, and {limit} may be "
            "left out (max_rejects). The API sent something that is not one of its rows; what was read is not stored"
        )
        raise WtsChatServerError(msg, retryable=True)


def finished(figures: Mapping[str, Any], *, given: bool) -> dict[str, Any]:
    """
    Return what is told of a load that has ended, beside what was told from the start.

    :param given: whether its window was given, so that it says nothing of what lies before it
    """
    facts = {name: figures[name] for name in ("rows", "requests", "seconds", "verified", "until_reached")}
    facts["written"] = figures.get("written", figures["rows"])
    if figures["verified"] and not given:
        facts["complete_until"] = figures["until_reached"]
    return facts


def holder(context: Context) -> str:
    """Name the task and run, for others who wait for it."""
    ti: Any = context.get("ti")
    where = "an unknown task" if ti is None else f"{getattr(ti, 'dag_id', '?')}.{getattr(ti, 'task_id', '?')}"
    run = getattr(ti, "run_id", None)
    return f"{where} of {run}" if run else where


def table_name(argument: str, value: Any) -> tuple[str | None, str]:
    """
    Check the name of a table.

    :param value: the name, with or without its schema
    :return: the schema, ``None`` for the connection's own, and the whole name
    :raises WtsChatArgumentError: if it is not one
    """
    name = convert.required_text(argument, value).strip()
    if not _PLAIN_NAME.fullmatch(name):
        convert.refuse(argument, value, "a name such as sessions or raw.sessions is wanted, of letters, digits and _")
    schema, _, _ = name.rpartition(".")
    return schema or None, name
