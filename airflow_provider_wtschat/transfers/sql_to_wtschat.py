"""Dispatches out of a database: a template to each row of a query, at most once."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.api import contacts, instants, messages, scheduled_messages, sends, sessions, templates
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Message, Template
from airflow_provider_wtschat.budget.limits import READ, SEND
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatAuthenticationError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatNotFoundError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
    WtsChatServerError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.operators.base import failing_for_good
from airflow_provider_wtschat.operators.message import WtsChatOpeningOperator
from airflow_provider_wtschat.transfers.campaign import (
    DEFAULT_TABLE,
    LONGEST_NAME,
    LONGEST_REASON,
    STALE_AFTER,
    CampaignTable,
    Claim,
    Claimed,
    Outcome,
    Status,
)
from airflow_provider_wtschat.transfers.databases import database
from airflow_provider_wtschat.transfers.recipients import Bounds, Layout, Recipients
from airflow_provider_wtschat.triggers.campaign import CampaignTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

MOST_UNCLEAR = 3
"""So many requests of a try may end without a clear answer, and so many in a row may be refused, before it stops."""
LOOKS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
"""When messages are looked at after the last was sent; then every hour."""
LOOK_PAUSE = 2 * SEND.seconds / SEND.limit
"""Seconds from one look-up of a message to the next: half of the limit that sends share with it."""

_HOURLY = timedelta(hours=1)
_NET = timedelta(minutes=10)
_CLOCKS = timedelta(minutes=5)
"""How far the clocks of workers and server may be apart."""
_REPORT_EVERY = 10.0
_SENT_AND_BEYOND = ("SENT", "DELIVERED", "READ")
_FAILURES = ("FAILED", "DELETED")
_REFUSALS = (400, 401, 403)
_APPROVED = "approved"
_NOT_SCHEDULED = (
    "enable_bot", "file_column", "force_start_session", "user_email", "user_id", "user_name", "user_phone",
    "wait_for_status",
)  # fmt: skip


class Duplicates(StrEnum):
    """What a phone number means that an earlier row of the query has."""

    ERROR = "error"
    SKIP = "skip"
    ALLOW = "allow"


class Target(StrEnum):
    """What a message can be followed to."""

    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The arguments of a dispatch, checked."""

    campaign: str
    table: str
    sql: str
    bounds: Bounds
    layout: Layout
    schedule_at: datetime | None
    send_before: datetime | None
    dry_run: bool
    resend_uncertain: bool
    target: str | None
    follow_up_for: timedelta
    max_failed: float | None
    deferrable: bool

    @classmethod
    def read(cls, operator: SqlToWtsChatTemplateOperator) -> Self:
        """
        Check the arguments.

        :param operator: the operator, rendered
        :raises WtsChatArgumentError: if one is refused
        """
        scheduled = operator.schedule_at is not None
        limits = {name: _count(name, getattr(operator, name)) for name in ("max_recipients", "max_scheduled")}
        limit = min(limits, key=limits.__getitem__) if scheduled else "max_recipients"
        target = convert.choice("wait_for_status", operator.wait_for_status, Target)
        zone = convert.required_text("timezone", operator.timezone)
        options = cls(
            campaign=_name("campaign", operator.campaign),
            table=_name("table", operator.table),
            sql=convert.required_text("sql", operator.sql),
            bounds=Bounds(
                recipients=limits[limit],
                argument=limit,
                invalid=_count("max_invalid", operator.max_invalid, minimum=0),
                duplicates=convert.required(
                    "duplicate_recipients",
                    convert.choice("duplicate_recipients", operator.duplicate_recipients, Duplicates),
                ),
            ),
            layout=Layout(
                recipient=convert.required_text("recipient_column", operator.recipient_column),
                key=convert.required_text("key_column", operator.key_column),
                parameters=_parameter_columns(operator.parameter_columns),
                file=convert.text("file_column", operator.file_column),
                country=convert.required_text("phone_country", operator.phone_country),
            ),
            schedule_at=None if not scheduled else instants.parse("schedule_at", operator.schedule_at, zone),
            send_before=(
                None if operator.send_before is None else instants.parse("send_before", operator.send_before, zone)
            ),
            dry_run=_flag("dry_run", operator.rehearsal),
            resend_uncertain=_flag("resend_uncertain", operator.resend_uncertain),
            target=target,
            follow_up_for=timedelta(
                seconds=convert.required("follow_up_for", convert.seconds("follow_up_for", operator.follow_up_for))
            ),
            max_failed=convert.number("max_failed", operator.max_failed, minimum=0),
            deferrable=_flag("deferrable", operator.deferrable),
        )
        if options.schedule_at is not None:
            options.check_schedule(operator)
        return options

    def check_schedule(self, operator: SqlToWtsChatTemplateOperator) -> None:
        """
        Refuse what cannot be scheduled.

        :param operator: the operator, rendered
        :raises WtsChatArgumentError: if an argument does not go with ``schedule_at``
        """
        if unfit := [name for name in _NOT_SCHEDULED if getattr(operator, name) is not None]:
            msg = f"schedule_at: the API does not take {', '.join(unfit)} for a scheduled message; leave that out"
            raise WtsChatArgumentError(msg)
        if self.send_before is not None and self.schedule_at is not None and self.schedule_at > self.send_before:
            msg = f"schedule_at: {self.schedule_at} is later than send_before, {self.send_before}"
            raise WtsChatArgumentError(msg)

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


class SqlToWtsChatTemplateOperator(WtsChatOpeningOperator):
    """
    Send a template to each row of a query, at most once per campaign and key: ``POST /chat/v1/send/template/batch``.

    Plan, claim, send, record: the first try reads the query into a table, with everything checked before the first
    message goes out; later tries, and other workers with the same campaign, go on from the table and never run the
    query again. A hundred rows are claimed, which is committed, before the request that sends them. A claim whose try
    died becomes ``uncertain`` and is not sent again: nobody knows, and the API has no way to send something only if it
    was not sent before. The docs say what is promised and what is not.

    The table (made where it is missing) has a row per recipient: ``campaign``, ``row_key``, ``status`` (``planned``,
    ``claimed``, ``sent``, ``refused``, ``uncertain``), ``message_id``, ``reason``, ``delivery``. Phone number and
    parameters stand in it only as long as they are needed: they are emptied when a row is ``sent`` or ``refused``.

    Returns the campaign, the table and counts, never rows.

    :param campaign: names the dispatch; the same name never sends to the same key twice (templated)
    :param sql: the query, or the path of a ``.sql`` file (templated)
    :param parameters: parameters of the query, as the database's driver takes them (templated)
    :param sql_conn_id: id of the connection to ask; any of ``common.sql`` (templated)
    :param recipient_column: column with the phone number, in any spelling (templated)
    :param key_column: column with the key of a row, such as the number of an invoice (templated)
    :param parameter_columns: column by parameter of the template, or a list of columns for parameters named 1, 2, 3
        (templated). Values are flattened to one line and cut to 1,024 characters. Default: no parameters
    :param file_column: column with the file of a template that has one: a public URL, or the id of an uploaded file
        (templated)
    :param template_id: id of the template (templated)
    :param template_name: name of the template, in place of its id (templated)
    :param table: name of the table (templated). Default: ``wtschat_campaign``
    :param table_conn_id: id of the connection to the database with the table: SQLite, PostgreSQL or MySQL (templated).
        Default: that of the query
    :param max_invalid: rows that may have no valid phone number or lack a parameter; they are ``refused`` (templated).
        Default: 0
    :param duplicate_recipients: what a phone number means that an earlier row has: ``error``, ``skip`` (the row is
        ``refused``) or ``allow`` (templated). Default: ``error``
    :param max_recipients: refuse a query with more recipients, judged before anything is sent (templated). Default:
        1000
    :param dry_run: check everything, say what would go and in how many minutes, and send nothing (templated)
    :param send_before: instant from which nothing is sent any more, so that a late start or a backfill does not send
        what is out of date (templated)
    :param schedule_at: let the API send at this instant. Messages are scheduled one by one, a request each (templated)
    :param max_scheduled: refuse to schedule more than this (templated). Default: 1000
    :param timezone: IANA time zone of ``send_before`` and ``schedule_at`` if they have none (templated). Default: UTC
    :param resend_uncertain: send again what may have been sent by an earlier try, so that it may arrive twice; your
        decision, to be made while no other worker is at it (templated)
    :param wait_for_status: follow the messages until they are ``SENT``, ``DELIVERED`` or ``READ``: each is looked at,
        with a request, after 1, 5, 15 and 60 minutes and then every hour, as long as that may change (templated).
        Default: do not follow
    :param follow_up_for: seconds, or a timedelta, for which messages are followed (templated). Default: 24 hours
    :param max_failed: fail the task, without retries, if more rows than this, or a larger share than this if it is
        below 1, were refused, are uncertain, or failed afterwards (templated). Default: such rows are only counted
    :param deferrable: wait in the triggerer between the looks (templated). Default: ``[operators] default_deferrable``
    """

    operation = staticmethod(sends.send_template_batch)
    named: ClassVar = {**WtsChatOpeningOperator.named, "template_id": "template"}
    # The argument dry_run is kept as rehearsal, since Airflow's operators have a method of that name.
    template_fields: Sequence[str] = (
        *WtsChatOpeningOperator.template_fields,
        "campaign", "sql", "parameters", "sql_conn_id", "recipient_column", "key_column", "parameter_columns",
        "file_column", "template_id", "template_name", "table", "table_conn_id", "max_invalid", "duplicate_recipients",
        "max_recipients", "rehearsal", "send_before", "schedule_at", "max_scheduled", "timezone", "resend_uncertain",
        "wait_for_status", "follow_up_for", "max_failed", "deferrable",
    )  # fmt: skip
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        "parameter_columns": "json",
    }

    def __init__(
        self,
        *,
        campaign: str,
        sql: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        sql_conn_id: str,
        recipient_column: str,
        key_column: str,
        parameter_columns: Mapping[str, str] | Sequence[str] | str | None = None,
        file_column: str | None = None,
        template_id: str | None = None,
        template_name: str | None = None,
        table: str = DEFAULT_TABLE,
        table_conn_id: str | None = None,
        max_invalid: int = 0,
        duplicate_recipients: str = "error",
        max_recipients: int = 1000,
        dry_run: bool = False,
        send_before: When | None = None,
        schedule_at: When | None = None,
        max_scheduled: int = 1000,
        timezone: str = "UTC",
        resend_uncertain: bool = False,
        wait_for_status: str | None = None,
        follow_up_for: float | timedelta = timedelta(hours=24),
        max_failed: float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.sql = sql
        self.parameters = parameters
        self.sql_conn_id = sql_conn_id
        self.recipient_column = recipient_column
        self.key_column = key_column
        self.parameter_columns = parameter_columns
        self.file_column = file_column
        self.template_id = template_id
        self.template_name = template_name
        self.table = table
        self.table_conn_id = table_conn_id
        self.max_invalid = max_invalid
        self.duplicate_recipients = duplicate_recipients
        self.max_recipients = max_recipients
        self.rehearsal = dry_run
        self.send_before = send_before
        self.schedule_at = schedule_at
        self.max_scheduled = max_scheduled
        self.timezone = timezone
        self.resend_uncertain = resend_uncertain
        self.wait_for_status = wait_for_status
        self.follow_up_for = follow_up_for
        self.max_failed = max_failed
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Plan what is not planned, send what is planned, look up what is uncertain, and follow.

        :param context: context of the task
        :return: campaign, table and counts
        :raises WtsChatFailedError: if a retry cannot help
        :raises WtsChatError: if a retry may help, which goes on where this try stopped
        """
        with failing_for_good():
            options = self._options
            rows = self._rows
            try:
                return self._dispatch(context, options, rows)
            finally:
                rows.close()

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Go on after the trigger: look at the messages.

        :param context: context of the task
        :param event: the trigger's event
        :return: campaign, table and counts
        """
        with failing_for_good():
            rows = self._rows
            try:
                self._look(rows)
                return self._follow(rows, looked=True)
            finally:
                rows.close()

    @cached_property
    def _options(self) -> _Options:
        return _Options.read(self)

    @cached_property
    def _rows(self) -> CampaignTable:
        options = self._options
        argument = "sql_conn_id" if self.table_conn_id is None else "table_conn_id"
        hook = database(argument, getattr(self, argument))
        return CampaignTable(hook, options.table, options.campaign)

    def _dispatch(self, context: Context, options: _Options, rows: CampaignTable) -> dict[str, Any]:
        owner = _owner(context)
        values = self._values()
        rows.create()
        if options.dry_run:
            return self._rehearse(options, rows, values)
        self._plan(options, rows, values)
        if left := rows.abandon(owner):
            self.log.warning("%d rows were claimed by a try that ended without an answer: they are uncertain now", left)
        if options.resend_uncertain:
            self._look_up(rows, values)
            if again := rows.plan_again():
                self.log.warning("%d uncertain rows are sent again, because resend_uncertain is set", again)
        try:
            self._send(options, rows, owner, values)
        except WtsChatFailedError:
            # No other try may come that would look.
            self._look_up(rows, values)
            raise
        self._look_up(rows, values)
        return self._follow(rows, looked=False)

    def _values(self) -> dict[str, Any]:
        """Check what the requests have in common, and find ids by name."""
        given = self.given()
        if self.template_id is None and self.template_name is None:
            msg = "template_id, template_name: neither was given; name the template to send"
            raise WtsChatArgumentError(msg)
        example = {"to": "+55 11 90000-0001"}
        self.build(**given, messages=[example])
        values = given | self.found()
        # As the request spells them, so that another spelling is no other channel.
        body = self.build(**values, messages=[example]).body
        channel = str(body["from"])
        # Its digits alone would be parsed again, with the country of the recipients.
        return values | {
            "template_id": body["templateId"],
            "from_channel": f"+{channel}" if channel.isdigit() else channel,
        }

    def _plan(self, options: _Options, rows: CampaignTable, values: dict[str, Any]) -> None:
        facts = {
            "template_id": values["template_id"],
            "from_channel": values["from_channel"].removeprefix("+"),
            "schedule_at": None if options.schedule_at is None else instants.write(options.schedule_at),
        }
        if (planned := rows.facts()) is None:
            options.check_time()
            with self._recipients(options, values) as recipients:
                mine = rows.plan(recipients.planned, facts)
                if mine:
                    self.log.info("Planned %d recipients, refused %d rows", recipients.valid, recipients.invalid)
            if mine:
                return
            planned = rows.facts() or {}
        self.log.info("The campaign is planned already: going on from its table, without running the query")
        if changed := [name for name, value in facts.items() if planned.get(name) != value]:
            msg = (
                f"{', '.join(changed)}: the campaign was planned with another value than it is to go on with. Give it "
                "back its value, or give the dispatch another campaign"
            )
            raise WtsChatArgumentError(msg)

    def _recipients(self, options: _Options, values: dict[str, Any]) -> Recipients:
        self._check_template(options, values["template_id"])
        recipients = Recipients()
        try:
            source = database("sql_conn_id", self.sql_conn_id)
            recipients.read(source, options.sql, self.parameters, options.layout, options.bounds)
        except BaseException:
            recipients.close()
            raise
        return recipients

    def _check_template(self, options: _Options, template_id: str) -> None:
        wanted = self.template_name or template_id
        name = None if self.template_name is None else str(self.template_name).strip()
        found: Iterator[Template] = self.hook.iterate(templates.list_(name=name, include_details=["Params"]))
        template = next((row for row in found if str(row.get("id")).lower() == template_id.lower()), None)
        argument = "template_id" if self.template_name is None else "template_name"
        if template is None:
            msg = f"{argument}: the account has no template {wanted!r}"
            raise WtsChatArgumentError(msg)
        if template.get("archived") or str(template.get("status")).lower() != _APPROVED:
            state = "archived" if template.get("archived") else template.get("status")
            msg = f"{argument}: the template {wanted!r} is {state}; only an approved one can be sent"
            raise WtsChatArgumentError(msg)
        needed = {str(param["name"]) for param in template.get("params") or () if param.get("name")}
        given = set(options.layout.parameters)
        if needed != given:
            lacking = f"it lacks {', '.join(sorted(needed - given))}" if needed - given else ""
            strange = f"it has no {', '.join(sorted(given - needed))}" if given - needed else ""
            msg = f"parameter_columns: the template {wanted!r} has other parameters: {lacking or strange}"
            raise WtsChatArgumentError(msg)

    def _rehearse(self, options: _Options, rows: CampaignTable, values: dict[str, Any]) -> dict[str, Any]:
        planned = rows.facts() is not None
        if planned:
            number, invalid = rows.counts()[Status.PLANNED], 0
        else:
            with self._recipients(options, values) as recipients:
                number, invalid = recipients.valid, recipients.invalid
        minutes = _minutes(number, scheduled=options.schedule_at is not None)
        self.log.info(
            "Dry run: %d messages would go, which takes about %d minutes at the account's limit; %d rows are refused. "
            "Nothing was sent or planned",
            number,
            minutes,
            invalid,
        )
        return {
            "campaign": options.campaign,
            "table": options.table,
            "dry_run": True,
            "planned_already": planned,
            "recipients": number,
            "refused": invalid,
            "minutes": minutes,
        }

    def _send(self, options: _Options, rows: CampaignTable, owner: str, values: dict[str, Any]) -> None:
        scheduled = options.schedule_at is not None
        if scheduled:
            number = rows.counts()[Status.PLANNED]
            self.log.info(
                "Scheduling %d messages one by one: that many requests of the %s that the account has",
                number,
                READ,
            )
        progress = _Progress(self.log.info)
        unclear = refused = 0
        # A scheduled message is a request of its own, so a claim that a dead try leaves behind is of one row.
        size = 1 if scheduled else convert.MAX_BATCH
        while True:
            options.check_time()
            claim = rows.claim(owner, size)
            if claim is None:
                progress.say()
                return
            outcomes = self._request(options, rows, claim, values)
            progress.count(outcomes)
            statuses = {outcome.status for outcome in outcomes}
            unclear += statuses == {Status.UNCERTAIN}
            refused = refused + 1 if statuses == {Status.REFUSED} else 0
            if unclear >= MOST_UNCLEAR or refused >= MOST_UNCLEAR:
                what = "ended without a clear answer" if unclear >= MOST_UNCLEAR else "in a row were refused"
                msg = (
                    f"{MOST_UNCLEAR} requests {what}, so the dispatch stopped: {outcomes[-1].reason}. The rest is "
                    f"still planned: clear the task when that is mended. The table {options.table} says what became of "
                    "each row"
                )
                raise WtsChatFailedError(msg)

    def _request(
        self, options: _Options, rows: CampaignTable, claim: Claim, values: dict[str, Any]
    ) -> Sequence[Outcome]:
        """Send the rows of a claim, and record what became of them whatever happens."""
        outcomes: Sequence[Outcome]
        try:
            request = self._built(options, claim, values)
            answer = self.hook.run(request)
        except (WtsChatArgumentError, WtsChatRateLimitError, WtsChatConnectionError):
            # The request did not go out, or was turned away at the door.
            rows.release(claim)
            raise
        except WtsChatError as error:
            outcomes = _all(claim, *_meaning(error))
            rows.record(claim, outcomes)
            if (interruption := _interruption(error)) is not None:
                # A later try may go on, with what nobody has claimed yet.
                raise interruption from error
            if isinstance(error, WtsChatAuthenticationError) or error.status == 403:
                raise
        except BaseException as error:
            rows.record(claim, _all(claim, Status.UNCERTAIN, f"{type(error).__name__} while it was sent"))
            raise
        else:
            outcomes = _scheduled(claim, answer) if options.schedule_at is not None else _matched(claim, answer)
            rows.record(claim, outcomes)
        return outcomes

    def _built(self, options: _Options, claim: Claim, values: dict[str, Any]) -> Request[Any]:
        if options.schedule_at is None:
            return self.build(
                **values,
                messages=[{"to": row.phone, "sender_id": row.sender_id, **row.content} for row in claim.rows],
            )
        (row,) = claim.rows
        return scheduled_messages.create(
            to=row.phone,
            scheduling=options.schedule_at,
            template_parameters=row.content.get("parameters"),
            from_channel=values["from_channel"],
            template_id=values["template_id"],
            hidden_session=values["hidden_session"],
            department_id=values["department_id"],
            phone_country=values["phone_country"],
        )

    def _look_up(self, rows: CampaignTable, values: dict[str, Any]) -> None:
        """Look for uncertain messages in the recipients' sessions. What is not found stays uncertain."""
        found = number = 0
        # A scheduled message carries no id of ours to find it by.
        for row in () if self.schedule_at is not None else rows.uncertain():
            number += 1
            try:
                outcome = self._looked_up(row, values)
            except WtsChatError as error:
                self.log.warning("Looking up uncertain messages ended early: %s", type(error).__name__)
                break
            if outcome is not None:
                rows.settle(outcome)
                found += outcome.status is Status.SENT
        if number:
            self.log.info("Looked up %d uncertain messages: %d were sent", number, found)

    def _looked_up(self, row: Claimed, values: dict[str, Any]) -> Outcome | None:
        since = row.claimed_at - _CLOCKS
        try:
            contact = self.hook.run(contacts.get_by_phone(row.phone), bulk=True)
        except WtsChatNotFoundError:
            return None
        alike: Message | None = None
        for session in self.hook.iterate(sessions.list_(contact_id=contact["id"]), bulk=True):
            ended = session.get("endAt")
            if ended and instants.read(ended) < since:
                continue
            for message in self.hook.iterate(messages.list_(session["id"], created_after=since), bulk=True):
                if message.get("senderId") == row.sender_id:
                    return Outcome(seq=row.seq, status=Status.SENT, message_id=message["id"])
                if str(message.get("templateId")).lower() == values["template_id"].lower():
                    alike = message
        if alike is None:
            return None
        # Likely this one, yet no proof: another dispatch may have sent the same template.
        reason = f"the recipient has a message of this template since then, {alike['id']}, without the id of this row"
        return Outcome(seq=row.seq, status=Status.UNCERTAIN, message_id=None, reason=reason)

    def _follow(self, rows: CampaignTable, *, looked: bool) -> dict[str, Any]:
        """Wait for the next look, or say how it ended."""
        options = self._options
        while (moment := self._next_look(options, rows, looked=looked)) is not None:
            wait = max(0.0, (moment - datetime.now(UTC)).total_seconds())
            rows.close()
            if options.deferrable:
                self.defer(
                    trigger=CampaignTrigger(look_at=instants.write(moment)),
                    method_name=self.execute_complete.__name__,
                    timeout=timedelta(seconds=wait) + _NET,
                )
            self.log.info("Looking at the messages in %.0f s", wait)
            time.sleep(wait)
            self._look(rows)
            looked = True
        return self._result(options, rows)

    def _next_look(self, options: _Options, rows: CampaignTable, *, looked: bool) -> datetime | None:
        started = rows.last_claim()
        if options.target is None or started is None or not rows.to_follow(_done(options.target), limit=1):
            return None
        now, end = datetime.now(UTC), started + options.follow_up_for
        if now >= end:
            return None if looked else now
        return min(next(moment for moment in _looks(started) if moment > now), end)

    def _look(self, rows: CampaignTable) -> None:
        """Ask for each message that may still change, at half the pace that the limit of sends allows."""
        target = convert.required("wait_for_status", self._options.target)
        after, asked, due = 0, 0, time.monotonic()
        while batch := rows.to_follow(_done(target), after):
            found: dict[int, tuple[str, str | None]] = {}
            try:
                for seq, message_id in batch:
                    time.sleep(max(0.0, due - time.monotonic()))
                    due = max(due, time.monotonic()) + LOOK_PAUSE
                    found |= self._delivery(seq, message_id)
            except WtsChatError as error:
                if not error.retryable:
                    raise
                self.log.warning("Looking at the messages ended early: %s", type(error).__name__)
                return
            finally:
                rows.follow(found)
            after, asked = batch[-1][0], asked + len(batch)
        self.log.info("Looked at %d messages", asked)

    def _delivery(self, seq: int, message_id: str) -> dict[int, tuple[str, str | None]]:
        try:
            message = self.hook.run(sends.get_message_status(message_id), bulk=True)
        except WtsChatNotFoundError:
            return {}
        return {seq: (str(message.get("status")), _reason(message.get("failedReason")))}

    def _result(self, options: _Options, rows: CampaignTable) -> dict[str, Any]:
        counts, deliveries = rows.counts(), rows.deliveries()
        total = sum(counts.values())
        result = {
            "campaign": options.campaign,
            "table": options.table,
            "recipients": total,
            **{status.value: number for status, number in counts.items()},
            "delivery": deliveries,
        }
        self.log.info("The dispatch: %s", json.dumps(result))
        if counts[Status.UNCERTAIN]:
            self.log.warning(
                "Nobody knows whether %d messages were sent. The table %s has their rows, with the status uncertain",
                counts[Status.UNCERTAIN],
                options.table,
            )
        if counts[Status.CLAIMED]:
            self.log.warning(
                "%d messages are claimed by another worker: if it is dead, the next try after %d minutes makes them "
                "uncertain",
                counts[Status.CLAIMED],
                STALE_AFTER.total_seconds() // 60,
            )
        failed = counts[Status.REFUSED] + counts[Status.UNCERTAIN] + sum(deliveries.get(name, 0) for name in _FAILURES)
        if options.max_failed is not None:
            most = options.max_failed if options.max_failed >= 1 else options.max_failed * total
            if failed > most:
                msg = (
                    f"max_failed: {failed} of {total} messages were refused, are uncertain, or failed afterwards, and "
                    f"{options.max_failed:g} may. The table {options.table} has their rows"
                )
                raise WtsChatFailedError(msg)
        return result


class _Progress:
    """Says every few seconds how far a dispatch has come."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._counts = dict.fromkeys(Status, 0)
        self._said = self._started = time.monotonic()

    def count(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._counts[outcome.status] += 1
        if time.monotonic() - self._said >= _REPORT_EVERY:
            self.say()

    def say(self) -> None:
        self._said = time.monotonic()
        seconds = max(self._said - self._started, 0.001)
        sent, refused, uncertain = (self._counts[name] for name in (Status.SENT, Status.REFUSED, Status.UNCERTAIN))
        self._say(
            "Sent %d messages in %.0f s (%.0f/s); %d refused, %d uncertain",
            sent,
            seconds,
            sent / seconds,
            refused,
            uncertain,
        )


def _matched(claim: Claim, answer: Any) -> list[Outcome]:
    """Tell the results of a batch apart: by the id of each row's message, else by place if none is missing."""
    results = answer.get("results") if isinstance(answer, Mapping) else None
    results = [result for result in results if isinstance(result, Mapping)] if isinstance(results, list) else []
    by_id = {result["senderId"]: result for result in results if result.get("senderId")}
    if any(row.sender_id in by_id for row in claim.rows):
        found = [by_id.get(row.sender_id) for row in claim.rows]
    elif len(results) == len(claim.rows) and not by_id:
        found = list(results)
    else:
        found = [None] * len(claim.rows)
    return [_judged(row, result) for row, result in zip(claim.rows, found, strict=True)]


def _judged(row: Claimed, result: Mapping[str, Any] | None) -> Outcome:
    if result is None:
        return Outcome(seq=row.seq, status=Status.UNCERTAIN, reason="the API's answer does not name it")
    message_id = None if result.get("id") is None else str(result["id"])
    if result.get("status") == "FAILED":
        reason = _reason(result.get("failedReason")) or "the API says that it failed"
        return Outcome(seq=row.seq, status=Status.REFUSED, message_id=message_id, reason=reason)
    return Outcome(seq=row.seq, status=Status.SENT, message_id=message_id)


def _scheduled(claim: Claim, answer: Any) -> list[Outcome]:
    identity = answer.get("id") if isinstance(answer, Mapping) else None
    if identity is None:
        return _all(claim, Status.UNCERTAIN, "the API's answer has no id")
    return [Outcome(seq=row.seq, status=Status.SENT, message_id=str(identity)) for row in claim.rows]


def _meaning(error: WtsChatError) -> tuple[Status, str]:
    refused = isinstance(error, WtsChatAuthenticationError | WtsChatRefusedError) and error.status in _REFUSALS
    return Status.REFUSED if refused else Status.UNCERTAIN, str(_reason(str(error)))


def _interruption(error: WtsChatError) -> BaseException | None:
    """Return what ended the task while its request was under way; ``None`` if it was the request that went wrong."""
    met = error.__context__ if isinstance(error, WtsChatUncertainError) else None
    return None if isinstance(met, OSError | WtsChatServerError) else met


def _all(claim: Claim, status: Status, reason: str) -> list[Outcome]:
    return [Outcome(seq=row.seq, status=status, reason=reason) for row in claim.rows]


def _reason(text: Any) -> str | None:
    return None if not text else convert.one_line(masked(str(text)), LONGEST_REASON)


def _done(target: str) -> list[str]:
    return [*_SENT_AND_BEYOND[_SENT_AND_BEYOND.index(target) :], *_FAILURES]


def _looks(started: datetime) -> Iterator[datetime]:
    moment = started
    for after in LOOKS:
        moment = started + after
        yield moment
    while True:
        moment += _HOURLY
        yield moment


def _minutes(number: int, *, scheduled: bool) -> int:
    requests, window = (number, READ) if scheduled else (math.ceil(number / convert.MAX_BATCH), SEND)
    return math.ceil(requests * window.seconds / window.limit / 60)


def _owner(context: Context) -> str:
    ti = context["ti"]
    names = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:20]


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


def _flag(argument: str, value: Any) -> bool:
    return convert.required(argument, convert.boolean(argument, value))
