"""The arguments of a dispatch, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.campaigns.pace import Pace
from airflow_provider_wtschat.campaigns.people import Exclusions
from airflow_provider_wtschat.campaigns.recipients import Bounds, Layout
from airflow_provider_wtschat.campaigns.table import LONGEST_NAME
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError

_NOT_SCHEDULED = (
    "enable_bot", "file_column", "force_start_session", "user_email", "user_id", "user_name", "user_phone",
    "wait_for_status", "quiet_hours", "quiet_days", "canary", "test_recipient",
)  # fmt: skip


class Duplicates(StrEnum):
    """What a phone number means that an earlier row of the query has."""

    ERROR = "error"
    SKIP = "skip"
    ALLOW = "allow"


class Audience(StrEnum):
    """Who a campaign is for."""

    FIXED = "fixed"
    """Whom the query finds when it is planned."""
    NEW_KEYS = "new_keys"
    """Whom the query of any run finds."""


class Target(StrEnum):
    """What a message can be followed to."""

    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of a dispatch, checked; each means what it means for the operator."""

    campaign: str
    table: str
    table_conn_id: str
    table_argument: str
    sql: str
    parameters: Any
    sql_conn_id: str
    template_name: str | None
    bounds: Bounds
    layout: Layout
    audience: str
    schedule_at: datetime | None
    send_before: datetime | None
    dry_run: bool
    resend_uncertain: bool
    resend_refused: tuple[str, ...] | None
    retention: timedelta | None
    holdout: float | None
    preview: bool
    test_recipient: str | None
    pace: Pace
    exclusions: Exclusions
    suppression_table: str
    target: str | None
    follow_up_for: timedelta
    max_failed: float | None
    deferrable: bool

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Self:
        """
        Check the arguments.

        :param arguments: all arguments of the operator by name, rendered
        :raises WtsChatArgumentError: if one is refused
        """
        scheduled = arguments["schedule_at"] is not None
        limits = {name: _count(name, arguments[name]) for name in ("max_recipients", "max_scheduled")}
        limit = min(limits, key=limits.__getitem__) if scheduled else "max_recipients"
        zone = convert.required_text("timezone", arguments["timezone"])
        table_argument = "sql_conn_id" if arguments["table_conn_id"] is None else "table_conn_id"
        send_before = arguments["send_before"]
        options = cls(
            campaign=_name("campaign", arguments["campaign"]),
            table=_name("table", arguments["table"]),
            table_conn_id=convert.required_text(table_argument, arguments[table_argument]),
            table_argument=table_argument,
            sql=convert.required_text("sql", arguments["sql"]),
            parameters=arguments["parameters"],
            sql_conn_id=convert.required_text("sql_conn_id", arguments["sql_conn_id"]),
            template_name=convert.text("template_name", arguments["template_name"]),
            bounds=Bounds(
                recipients=limits[limit],
                argument=limit,
                invalid=_count("max_invalid", arguments["max_invalid"], minimum=0),
                duplicates=convert.required(
                    "duplicate_recipients",
                    convert.choice("duplicate_recipients", arguments["duplicate_recipients"], Duplicates),
                ),
            ),
            layout=Layout(
                recipient=convert.required_text("recipient_column", arguments["recipient_column"]),
                key=convert.required_text("key_column", arguments["key_column"]),
                parameters=_parameter_columns(arguments["parameter_columns"]),
                file=convert.text("file_column", arguments["file_column"]),
                country=convert.required_text("phone_country", arguments["phone_country"]),
            ),
            audience=convert.required("audience", convert.choice("audience", arguments["audience"], Audience)),
            schedule_at=instants.parse("schedule_at", arguments["schedule_at"], zone) if scheduled else None,
            send_before=None if send_before is None else instants.parse("send_before", send_before, zone),
            dry_run=_flag("dry_run", arguments["dry_run"]),
            resend_uncertain=_flag("resend_uncertain", arguments["resend_uncertain"]),
            resend_refused=_reasons("resend_refused", arguments["resend_refused"]),
            retention=None if arguments["retention"] is None else _period("retention", arguments["retention"]),
            holdout=_share("holdout", arguments["holdout"]),
            preview=_flag("preview", arguments["preview"]),
            test_recipient=convert.phone("test_recipient", arguments["test_recipient"], arguments["phone_country"]),
            pace=Pace.read(arguments),
            exclusions=Exclusions(
                sql=convert.text("exclude_sql", arguments["exclude_sql"]),
                tags=tuple(convert.texts("exclude_tags", arguments["exclude_tags"]) or ()),
                blocked=not _flag("include_blocked", arguments["include_blocked"]),
                listed=not _flag("ignore_suppression", arguments["ignore_suppression"]),
                country=convert.required_text("phone_country", arguments["phone_country"]),
            ),
            suppression_table=_name("suppression_table", arguments["suppression_table"]),
            target=convert.choice("wait_for_status", arguments["wait_for_status"], Target),
            follow_up_for=_period("follow_up_for", arguments["follow_up_for"]),
            max_failed=convert.number("max_failed", arguments["max_failed"], minimum=0),
            deferrable=_flag("deferrable", arguments["deferrable"]),
        )
        unfit = [name for name in _NOT_SCHEDULED if scheduled and arguments[name] is not None]
        if unfit:
            msg = f"the API does not take {', '.join(unfit)} for a scheduled message; leave that out"
            raise WtsChatArgumentError("schedule_at", msg)
        at, end = options.schedule_at, options.send_before
        if at is not None and end is not None and at > end:
            raise WtsChatArgumentError("schedule_at", f"{at} is later than send_before, {end}")
        if options.retention is not None and options.pace.cap is not None and options.retention < options.pace.cap[1]:
            msg = (
                f"messages are counted over {options.pace.cap[1]}, and who got one is known for {options.retention} "
                "only; give a longer retention"
            )
            raise WtsChatArgumentError("max_per_contact", msg)
        return options

    def check_time(self) -> None:
        """
        Refuse to send when it is too late.

        :raises WtsChatFailedError: if it is
        """
        now = datetime.now(UTC)
        for name, moment in (("send_before", self.send_before), ("schedule_at", self.schedule_at)):
            if moment is not None and now >= moment:
                msg = (
                    f"{name}: {instants.write(moment)} is over, so nothing more was sent; what is planned stays planned"
                )
                raise WtsChatFailedError(msg)

    def bounds_of_waiting(self) -> Iterator[datetime]:
        """Return the instants until which a request may wait to go out: its rows were judged for no longer."""
        yield from (moment for moment in (self.send_before, self.schedule_at) if moment is not None)
        if self.pace.quiet is not None:
            yield self.pace.quiet.sure_until(datetime.now(UTC))

    @property
    def query(self) -> str:
        """A digest of the query: what it says, its parameters, and what its columns mean."""
        said = [self.sql, convert.plain("parameters", self.parameters), repr(self.layout)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]


def _parameter_columns(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, Mapping) or (isinstance(value, str) and value.strip().startswith("{")):
        columns = convert.mapping("parameter_columns", value) or {}
    else:
        names = convert.listing("parameter_columns", value) or []
        columns = {str(place): column for place, column in enumerate(names, start=1)}
    return {name: convert.required_text(f"parameter_columns[{name!r}]", column) for name, column in columns.items()}


def _name(argument: str, value: Any) -> str:
    return str(convert.text(argument, convert.required_text(argument, value).strip(), max_length=LONGEST_NAME))


def _count(argument: str, value: Any, *, minimum: int = 1) -> int:
    return convert.required(argument, convert.integer(argument, value, minimum=minimum))


def _period(argument: str, value: Any) -> timedelta:
    return timedelta(seconds=convert.required(argument, convert.seconds(argument, value)))


def _share(argument: str, value: Any) -> float | None:
    share = convert.number(argument, value, minimum=0)
    if share is not None and not 0 < share < 1:
        raise WtsChatArgumentError(argument, f"{value!r} was given; a share between 0 and 1 is wanted, such as 0.1")
    return share


def _reasons(argument: str, value: Any) -> tuple[str, ...] | None:
    """Convert true to all (no reason is named), false to none, or texts."""
    try:
        return () if _flag(argument, value) else None
    except WtsChatArgumentError:
        return tuple(convert.required(argument, convert.texts(argument, value)))


def _flag(argument: str, value: Any) -> bool:
    return convert.required(argument, convert.boolean(argument, value))
