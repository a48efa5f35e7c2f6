"""
The engine of a dispatch: plan, claim, send, record, look up, follow.

It knows its options, the hooks of the API and of the databases, and nothing of operators. Its whole state is in the
table, so any try, on any worker, goes on where another one stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import random
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, lookup, scheduled_messages, sends, templates
from airflow_provider_wtschat.api.exchange import Exchange, pages
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Template
from airflow_provider_wtschat.budget.limits import READ, SEND
from airflow_provider_wtschat.campaigns.following import FAILURE, Following
from airflow_provider_wtschat.campaigns.options import Audience, Options, Target
from airflow_provider_wtschat.campaigns.outcomes import (
    accepted,
    all_alike,
    find_message,
    interruption_of,
    matched,
    reason_for,
)
from airflow_provider_wtschat.campaigns.people import (
    Suppression,
    SuppressionTable,
    person,
    says_never_again,
)
from airflow_provider_wtschat.campaigns.recipients import Recipients
from airflow_provider_wtschat.campaigns.report import FAILURES, Progress, funnel, report
from airflow_provider_wtschat.campaigns.table import (
    STALE_AFTER,
    CampaignTable,
    Claim,
    Outcome,
    State,
    Status,
)
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatAuthenticationError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
)
from airflow_provider_wtschat.sql.sources import connected

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_UNCLEAR = 3
"""So many requests in a row may end without a clear answer before a dispatch stops."""
MOST_REFUSED = 10
"""So many rows in a row may be refused, each in a request of its own, before a dispatch stops."""
LOOKS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
"""When messages are looked at after the last was sent; then every hour."""
TEMPLATE_EVERY = 60.0
"""Seconds after which a dispatch asks again whether its template may still be sent."""
PAUSED_LOOK = timedelta(seconds=30)
"""How often a paused dispatch asks whether it goes on."""

_HOURLY = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_TURN = timedelta(seconds=2)
"""How long to wait, up to twice that, for what another campaign is sending to the same people."""
_OTHERS_SOON, _OTHERS_LATE = timedelta(seconds=0.5), timedelta(minutes=1)
"""How long to wait at least, and at most, before looking again whether other workers have ended."""
_SENT_AND_BEYOND = ("SENT", "DELIVERED", "READ")
_INVALID = frozenset({400, 413, 422})
"""HTTP statuses of a request that the API did not act on, because of what it says."""
_COUNTED = (Status.PLANNED, Status.REFUSED, Status.SUPPRESSED)
_PREVIEWED = 5
"""How many messages a preview shows."""
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MOST_RUNS = 100
"""How many Dag runs a plan remembers to have been part of it."""
_APPROVED = "approved"
_EXAMPLE = {"to": "+55 11 90000-0001"}
_FACTS = {
    "template_id": "template",
    "from_channel": "channel",
    "schedule_at": "schedule_at",
    "query": "query (sql, parameters or columns)",
    "sql_conn_id": "sql_conn_id",
    "dag_id": "Dag",
    "audience": "audience",
}
"""What is noted with a plan, because whoever goes on with it must mean the same; and what to call it."""


class Purpose(StrEnum):
    """What a dispatch waits for."""

    LOOK = "look"
    """The next look at its messages."""
    OTHERS = "others"
    """Other workers, which have claimed rows."""
    RESUMPTION = "resumption"
    """Somebody who resumes it."""
    QUIET = "quiet hours"
    """The end of the quiet hours of some recipients."""
    CANARY = "canary"
    """What becomes of the first messages."""


@dataclass(frozen=True, kw_only=True)
class Pause:
    """
    A dispatch has nothing to do until then.

    :param until: when to go on
    """

    until: datetime
    purpose: Purpose

    @property
    def seconds(self) -> float:
        """How long that is from now."""
        return max(0.0, (self.until - datetime.now(UTC)).total_seconds())


class _NoTemplate(WtsChatArgumentError):
    """The account has no template of the id that the messages name."""


class _OnHold(Exception):  # nothing went wrong
    """There are rows to send, and not now."""

    def __init__(self, pause: Pause) -> None:
        super().__init__()
        self.pause = pause


@dataclass(frozen=True, kw_only=True)
class Origin:
    """
    The task instance that a try belongs to.

    :param map_index: its number among the mapped ones
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None

    @property
    def owner(self) -> str:
        """What claims of its tries begin with."""
        names = [self.dag_id, self.run_id, self.task_id, self.map_index]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:20]


class Dispatch:
    """
    One try of a dispatch.

    :param message: returns what all messages have in common, by the names of the API's function; called when it is
        needed, since it may take requests
    :param origin: the task instance
    :param stop: ends it before its next request when it is set
    :param tell: is called whenever rows were sent
    """

    def __init__(
        self,
        options: Options,
        message: Callable[[], Mapping[str, Any]],
        origin: Origin,
        *,
        hook: WtsChatHook,
        stop: threading.Event,
        tell: Callable[[Dispatch], None] = lambda dispatch: None,
    ) -> None:
        self._tell = tell
        self._options = options
        self._message = message
        self._origin = origin
        self._hook = hook
        self._stop = stop
        self._progress = Progress()
        self._unclear = self._refused = 0
        self._template_due = 0.0
        self._canary_passed = False
        self._template_text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
        self._suppression.close()

    def _close(self) -> None:
        self.table.close()
        self._people.close()

    @property
    def deferrable(self) -> bool:
        """Whether long waits belong into the triggerer."""
        return self._options.deferrable

    @cached_property
    def table(self) -> CampaignTable:
        """The table."""
        options = self._options
        hook = connected(options.table_argument, options.table_conn_id)
        return CampaignTable(hook, options.table, options.campaign)

    @cached_property
    def _people(self) -> SuppressionTable:
        options = self._options
        return SuppressionTable(connected(options.table_argument, options.table_conn_id), options.suppression_table)

    @cached_property
    def _suppression(self) -> Suppression:
        options = self._options
        source = partial(connected, "sql_conn_id", options.sql_conn_id)
        return Suppression(options.exclusions, self._people, hook=self._hook, source=source)

    @cached_property
    def _values(self) -> dict[str, Any]:
        values = dict(self._message())
        # As the request spells them, so that another spelling is no other channel.
        body = sends.send_template_batch(**values, messages=[_EXAMPLE]).body
        channel = str(body["from"])
        # Its digits alone would be parsed again, with the country of the recipients.
        channel = f"+{channel}" if channel.isdigit() else channel
        return values | {"template_id": body["templateId"], "from_channel": channel}

    def figures(self) -> dict[str, Any]:
        """Count what came of it so far: rows by status, and sent messages that were followed by theirs."""
        if self._options.dry_run:
            return {}
        counts = {status.value: number for status, number in self.table.counts().items()}
        replied = funnel(self.table)["replied"]
        return {"recipients": sum(counts.values()), **counts, "delivery": self.table.deliveries(), "replied": replied}

    def start(self) -> Pause | dict[str, Any]:
        """
        Plan what is not planned, send what is planned, and look up what is uncertain.

        :return: what it waits for, or in the end campaign, table and counts
        :raises WtsChatError: of the kind that says what happened
        """
        options, table = self._options, self.table
        self._values  # noqa: B018  # what is wrong in it is said before the table is made
        table.create()
        self._people.create()
        if options.dry_run:
            return self._with_template(self._rehearse)
        if expired := table.expire():
            log.info("Emptied %d rows of the table, whose retention is over", expired)
        self._with_template(self._plan)
        if options.resend_uncertain:
            self._abandon()
            self._look_up()
            if again := table.plan_uncertain():
                log.warning("%d uncertain rows are sent again, because resend_uncertain is set", again)
        if options.resend_refused is not None and (again := table.plan_refused(options.resend_refused)):
            log.info("%d rows that were refused are sent again, because resend_refused is set", again)
        return self._go(looking=False)

    def resume(self, purpose: Purpose) -> Pause | dict[str, Any]:
        """
        Go on after a pause.

        :return: what it waits for next, or in the end campaign, table and counts
        :raises WtsChatError: of the kind that says what happened
        """
        return self._go(looking=purpose is Purpose.LOOK)

    def wait(self, pause: Pause) -> None:
        """
        Wait in the worker.

        :raises WtsChatError: if the dispatch is stopped meanwhile
        """
        self._close()
        if pause.seconds > 1:
            log.info("Waiting for the %s for %.0f s", pause.purpose, pause.seconds)
        self._stop.wait(pause.seconds)
        self._check_stop()

    def _go(self, *, looking: bool) -> Pause | dict[str, Any]:
        table = self.table
        self._abandon()
        try:
            self._send()
        except WtsChatFailedError:
            # No other try may come that would look.
            self._look_up()
            raise
        except _OnHold as hold:
            self._look_up()
            return hold.pause
        self._look_up()
        if (oldest := table.oldest_claim()) is not None:
            # Whether their rows were sent only the other workers know, so this try is not done before they are.
            age = datetime.now(UTC) - oldest
            soon = datetime.now(UTC) + min(max(age, _OTHERS_SOON), _OTHERS_LATE)
            return Pause(until=min(soon, max(oldest + STALE_AFTER, datetime.now(UTC))), purpose=Purpose.OTHERS)
        if (moment := table.next_start()) is not None:
            return self._until_turn(moment)
        if looking and self._options.target is not None:
            last = self.table.last_claim()
            self._look(self._options.target, since=None if last is None else last - self._options.follow_up_for)
        if (moment := self._next_look(looked=looking)) is not None:
            return Pause(until=moment, purpose=Purpose.LOOK)
        return report(table, max_failed=self._options.max_failed)

    def _until_turn(self, moment: datetime) -> Pause:
        end = self._options.send_before
        if end is not None and moment >= end:
            msg = (
                f"send_before: {instants.write(end)} comes before the end of the quiet hours of some recipients, or of "
                "what another campaign is sending them; what is planned stays planned"
            )
            raise WtsChatFailedError(msg)
        purpose = Purpose.OTHERS if self._options.pace.quiet is None else Purpose.QUIET
        return Pause(until=max(moment, datetime.now(UTC)), purpose=purpose)

    def _abandon(self) -> None:
        if left := self.table.abandon(self._origin.owner):
            log.warning("%d rows were claimed by a try that ended without an answer: they are uncertain", left)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            msg = (
                f"The dispatch {self._options.campaign!r} was stopped from outside. What is planned stays planned: a "
                "retry, or clearing the task, goes on with it"
            )
            raise WtsChatError(msg, retryable=True)

    # Planning

    def _with_template(self, step: Callable[[], T]) -> T:
        """Do a step, and once more if the name stands for another template than the one that was found lately."""
        name = self._options.template_name
        try:
            return step()
        except _NoTemplate:
            if name is None:
                raise
            # What was found may be some minutes old, and the template have been deleted and made again since.
            found = self._hook.perform(lookup.template(name, max_age=0))
            if found == self._values["template_id"]:
                raise
            self._values["template_id"] = found
        return step()

    def _plan(self) -> None:
        options, table = self._options, self.table
        facts = {
            "template_id": self._values["template_id"],
            "from_channel": self._values["from_channel"].removeprefix("+"),
            "schedule_at": instants.write_or_none(options.schedule_at),
            "query": options.query,
            "sql_conn_id": options.sql_conn_id,
            "dag_id": self._origin.dag_id,
            "audience": options.audience,
        }
        grows = options.audience == Audience.NEW_KEYS
        if grows:
            # Each run may have another one.
            del facts["query"]
        expires_at = None if options.retention is None else datetime.now(UTC) + options.retention
        run_id = self._origin.run_id
        if (planned := table.facts()) is None:
            options.check_time()
            with self._recipients() as recipients:
                self._try_out(recipients)
                rows = partial(recipients.planned, self._people.pseudonym)
                if table.plan(rows, facts | {"runs": [run_id]}, expires_at):
                    self._say_planned(recipients)
                    return
            planned = table.facts() or {}
        # A plan of an earlier version notes less.
        changed = [_FACTS[name] for name, value in facts.items() if name in planned and planned[name] != value]
        if changed:
            msg = (
                f"{options.campaign!r} is planned already, with another {' and another '.join(changed)}, so nothing "
                "was sent. A campaign sends what was planned first. For other recipients or another message name "
                "another campaign, such as one with the date in its name; to go on with this one, give it back what it "
                "was planned with"
            )
            raise WtsChatArgumentError("campaign", msg)
        if not grows or run_id in planned.get("runs", ()):
            log.info("The campaign is planned already: going on from its table, without running the query")
            return
        options.check_time()
        with self._recipients(table.known) as recipients:

            def noted(known: Mapping[str, Any]) -> Mapping[str, Any] | None:
                runs = [*known.get("runs", ()), run_id]
                # Another worker of the run may have been quicker.
                return None if run_id in known.get("runs", ()) else {**known, "runs": runs[-_MOST_RUNS:]}

            if table.extend(partial(recipients.planned, self._people.pseudonym), noted, expires_at):
                self._say_planned(recipients)

    def _say_planned(self, recipients: Recipients) -> None:
        log.info(
            "Planned %d recipients, refused %d rows, left out %d people who must not be written to",
            *(recipients.count(status) for status in _COUNTED),
        )

    @contextmanager
    def _recipients(self, known: Callable[[Sequence[str]], Collection[str]] = lambda keys: ()) -> Iterator[Recipients]:
        options = self._options
        self._template_text = self._check_template()
        with closing(Recipients()) as recipients:
            source = connected("sql_conn_id", options.sql_conn_id)
            recipients.read(source, options.sql, options.parameters, options.layout, options.bounds, known)
            recipients.suppress(self._left_out)
            if options.holdout is not None:
                held_out = recipients.hold_out(options.holdout, options.campaign)
                log.info("Kept a control group of %d recipients, who get no message", held_out)
            yield recipients

    def _left_out(self, people: Sequence[str]) -> dict[str, str]:
        self._suppression.refresh()
        return self._suppression.reasons({who: self._people.pseudonym(who) for who in people})

    @property
    def _template_named(self) -> tuple[str, str]:
        """The argument that names the template, and what it says."""
        name = self._options.template_name
        return ("template_id", self._values["template_id"]) if name is None else ("template_name", name)

    def _approved_template(self) -> Template:
        argument, wanted = self._template_named
        template = self._hook.perform(_find_template(self._values["template_id"], self._options.template_name))
        self._template_due = time.monotonic() + TEMPLATE_EVERY
        if template is None:
            raise _NoTemplate(argument, f"the account has no template {wanted!r}")
        if template.get("archived") or str(template.get("status")).lower() != _APPROVED:
            state = "archived" if template.get("archived") else template.get("status")
            msg = (
                f"the template {wanted!r} is {state}; only an approved one can be sent. What is planned stays planned: "
                "clear the task when it is approved"
            )
            raise WtsChatArgumentError(argument, msg)
        return template

    def _check_template(self) -> str:
        """Return the text of the template."""
        template = self._approved_template()
        wanted = self._template_named[1]
        needed = {str(param["name"]) for param in template.get("params") or () if param.get("name")}
        given = set(self._options.layout.parameters)
        if needed != given:
            lacking = f"it lacks {', '.join(sorted(needed - given))}" if needed - given else ""
            unknown = f"it has no {', '.join(sorted(given - needed))}" if given - needed else ""
            msg = f"the template {wanted!r} has other parameters: {lacking or unknown}"
            raise WtsChatArgumentError("parameter_columns", msg)
        return str(template.get("text") or "")

    def _try_out(self, recipients: Recipients) -> None:
        """Show what the first messages say, and send the first to somebody who looks at it, before it is planned."""
        options = self._options
        if options.preview:
            for number, content in enumerate(recipients.examples(_PREVIEWED), start=1):
                said = fill_in(self._template_text, content.get("parameters") or {})
                log.info("Message %d says: %s", number, masked(said))
        if options.test_recipient is None or options.dry_run:
            return
        for content in recipients.examples(1):
            # A new id: it is no message of the campaign, and each plan sends one.
            message = {"to": f"+{options.test_recipient}", "sender_id": str(uuid4()), **content}
            answer = self._hook.answer(
                sends.send_template_batch(**self._values, messages=[message]), stop=self._stop
            ).value
            failed = [one for one in answer.get("results") or () if one.get("status") == "FAILED"]
            if failed:
                reason = reason_for(failed[0].get("failedReason")) or "the API says that it failed"
                msg = f"test_recipient: the first message failed, so nothing was planned: {reason}"
                raise WtsChatFailedError(msg)
            log.info("Sent the first message to the test recipient")

    def _rehearse(self) -> dict[str, Any]:
        options, table = self._options, self.table
        planned = table.facts() is not None
        if planned and options.audience == Audience.FIXED:
            number, invalid, suppressed = table.counts()[Status.PLANNED], 0, 0
        else:
            with self._recipients(table.known) as recipients:
                self._try_out(recipients)
                number, invalid, suppressed = (recipients.count(status) for status in _COUNTED)
        minutes = expected_minutes(number, scheduled=options.schedule_at is not None)
        log.info(
            "Dry run: %d messages would go, which takes about %d minutes at the account's limit; %d rows are refused, "
            "%d people are left out. Nothing was sent or planned",
            number,
            minutes,
            invalid,
            suppressed,
        )
        return {
            "campaign": options.campaign,
            "table": options.table,
            "dry_run": True,
            "planned_already": planned,
            "recipients": number,
            "refused": invalid,
            "suppressed": suppressed,
            "minutes": minutes,
        }

    # Sending

    def _send(self) -> None:
        scheduled = self._options.schedule_at is not None
        # A scheduled message is a request of its own, so a claim that a dead try leaves behind is of one row.
        size = 1 if scheduled else convert.MAX_BATCH
        if scheduled and (number := self.table.counts()[Status.PLANNED]):
            log.info("Scheduling %d messages one by one: a request each, of the account's %s", number, READ)
        try:
            while True:
                upto = self._canary()
                claim = self.table.claim(self._origin.owner, self._room(size), self._check_send, upto=upto)
                if claim is not None:
                    self._send_claim(self._sendable(claim))
                elif upto is None or not self._passed(upto):
                    return
        finally:
            self._progress.say()

    def _room(self, size: int) -> int:
        """Return how many rows may be claimed now, and wait until there are some."""
        limit = self._options.pace.per_minute
        if limit is None:
            return size
        while (room := limit - self.table.claimed_since(datetime.now(UTC) - _MINUTE)) <= 0:
            self._stop.wait(1.0)
            self._check_stop()
        return min(size, room)

    def _canary(self) -> int | None:
        """Return the number of the last row that may be sent before it is known how the first ones fared."""
        canary = self._options.pace.canary
        if canary is None or self._canary_passed:
            return None
        facts = self.table.facts() or {}
        if facts.get("canary_passed"):
            self._canary_passed = True
            return None
        upto = facts.get("canary_upto")
        if upto is None and (upto := self.table.nth_planned(canary)) is not None:
            self.table.note(canary_upto=upto)
        return None if upto is None else int(upto)

    def _passed(self, upto: int) -> bool:
        """Judge the first rows; ``False`` while some of them are not sent yet."""
        open_, _, last = self.table.first_rows(upto)
        if open_ or last is None:
            return not open_ and self._go_on_after(upto)
        moment = last + self._options.pace.canary_wait
        if datetime.now(UTC) < moment:
            raise _OnHold(Pause(until=moment, purpose=Purpose.CANARY))
        if not self._look(Target.READ, upto=upto):
            # How they fared is not known before all of them were seen.
            raise _OnHold(Pause(until=datetime.now(UTC) + _MINUTE, purpose=Purpose.CANARY))
        _, failed, _ = self.table.first_rows(upto)
        canary, most = convert.required("canary", self._options.pace.canary), self._options.max_failed or 0
        if failed > (most if most >= 1 else most * canary):
            msg = (
                f"canary: {failed} of the first {canary} messages failed, and at most {most:g} may; the rest is still "
                "planned. Clear the task when the cause is mended, with a larger max_failed or without canary to go on "
                "all the same"
            )
            raise WtsChatFailedError(msg)
        return self._go_on_after(upto)

    def _go_on_after(self, upto: int) -> bool:
        log.info("The first messages, up to row %d, fared well: the others follow", upto)
        self.table.note(canary_passed=True)
        self._canary_passed = True
        return True

    def _check_send(self) -> None:
        """Refuse to claim more rows when the time for it is over."""
        self._check_stop()
        self._options.check_time()
        state = self.table.state()
        if state is State.STOPPED:
            msg = (
                f"The campaign {self._options.campaign!r} is stopped, by the state of its plan in the table "
                f"{self._options.table}. What is planned stays planned: resume it, then clear the task"
            )
            raise WtsChatFailedError(msg)
        if state is State.PAUSED:
            log.info("The campaign %r is paused, by the state of its plan in the table", self._options.campaign)
            raise _OnHold(Pause(until=datetime.now(UTC) + PAUSED_LOOK, purpose=Purpose.RESUMPTION))
        if time.monotonic() >= self._template_due:
            self._approved_template()
        self._suppression.refresh()

    def _sendable(self, claim: Claim) -> Claim:
        """Leave out who must not be written to by now, has had enough, sleeps, or is just being written to."""
        pace = self._options.pace
        people = {row.seq: person(row.phone) for row in claim.rows}
        try:
            found = self._left_out(list(set(people.values())))
            out = {seq: found[who] for seq, who in people.items() if who in found}
            later = {}
            if pace.quiet is not None:
                now = datetime.now(UTC)
                ends = {row.seq: pace.quiet.next_start(row.phone, now) for row in claim.rows if row.seq not in out}
                later = {seq: moment for seq, moment in ends.items() if moment is not None}
            if pace.cap is not None:
                awake = {seq: who for seq, who in people.items() if seq not in out and seq not in later}
                enough, soon = self._over_cap(claim, awake, *pace.cap)
                out, later = out | enough, later | soon
        except BaseException:
            self.table.release(claim)
            raise
        outcomes = [Outcome(seq=seq, status=Status.SUPPRESSED, reason=reason) for seq, reason in out.items()]
        if outcomes:
            self.table.record(claim, outcomes)
            self._progress.count(outcomes)
        self.table.postpone(claim, later)
        return replace(claim, rows=[row for row in claim.rows if row.seq not in out and row.seq not in later])

    def _over_cap(
        self, claim: Claim, people: Mapping[int, str], most: int, period: timedelta
    ) -> tuple[dict[int, str], dict[int, datetime]]:
        """Return which rows are too many, and which wait until it is known what others have sent to their people."""
        marks = {who: self._people.pseudonym(who) for who in people.values()}
        if not marks:
            return {}, {}
        now = datetime.now(UTC)
        had = self.table.messages_to(list(marks.values()), now - period, claim)
        # Two dispatches that wait for each other come back at different times.
        again = now + random.uniform(1, 2) * _TURN  # noqa: S311  # no secret
        out, later = {}, {}
        for seq, who in people.items():
            number, on_its_way = had.get(marks[who], (0, 0))
            if number >= most:
                out[seq] = f"max_per_contact: had {number} messages of campaigns in {period}"
            elif number + on_its_way >= most:
                later[seq] = again
            else:
                had[marks[who]] = number + 1, on_its_way
        return out, later

    def _send_claim(self, claim: Claim) -> None:
        """Send the rows of a claim, and record what became of them whatever happens."""
        parts = [claim] if claim.rows else []
        try:
            while parts:
                part = parts.pop()
                outcomes = self._send_part(part)
                if outcomes is None:
                    # Which row is at fault only smaller requests tell.
                    middle = len(part.rows) // 2
                    parts += [replace(part, rows=part.rows[middle:]), replace(part, rows=part.rows[:middle])]
                    self._check_stop()
                else:
                    self._judge(outcomes)
        except BaseException:
            for part in parts:
                self.table.release(part)
            raise

    def _send_part(self, part: Claim) -> Sequence[Outcome] | None:
        """Send rows in one request; ``None`` if it was refused because of some of them, and nothing was done."""
        outcomes: Sequence[Outcome]
        now = datetime.now(UTC)
        longest = now + timedelta(seconds=self._hook.max_wait)
        end = min([longest, *self._options.bounds_of_waiting()])
        patience = max(0.0, (end - now).total_seconds())
        try:
            answer = self._hook.answer(self._request(part), max_wait=patience, stop=self._stop).value
        except (WtsChatRateLimitError, WtsChatConnectionError) as error:
            # The request did not go out, or was turned away at the door.
            self.table.release(part)
            self._check_stop()
            if isinstance(error, WtsChatRateLimitError) and end < longest:
                raise _OnHold(Pause(until=end, purpose=Purpose.QUIET)) from error
            raise
        except WtsChatError as error:
            if isinstance(error, WtsChatAuthenticationError) or error.status == 403:
                # Nothing was done, and no other row would fare better.
                self.table.release(part)
                raise
            refused = isinstance(error, WtsChatArgumentError) or (
                isinstance(error, WtsChatRefusedError) and error.status in _INVALID
            )
            if refused and len(part.rows) > 1:
                return None
            status = Status.REFUSED if refused else Status.UNCERTAIN
            outcomes = all_alike(part, status, reason_for(error, part.rows), error.key)
            if refused and says_never_again(error.text):
                outcomes = [replace(outcome, never_again=True) for outcome in outcomes]
            self._record(part, outcomes)
            if (interruption := interruption_of(error)) is not None:
                # A later try may go on, with what nobody has claimed yet.
                raise interruption from error
        except BaseException as error:
            self.table.record(part, all_alike(part, Status.UNCERTAIN, f"{type(error).__name__} while it was sent"))
            raise
        else:
            moment = self._options.schedule_at
            outcomes = matched(part, answer) if moment is None else accepted(part, answer, moment)
            self._record(part, outcomes)
        return outcomes

    def _record(self, part: Claim, outcomes: Sequence[Outcome]) -> None:
        never = {outcome.seq: outcome.reason or "" for outcome in outcomes if outcome.never_again}
        if never:
            # First, since what is recorded is not seen again.
            pseudonyms = {row.seq: self._people.pseudonym(person(row.phone)) for row in part.rows if row.seq in never}
            self._people.add({pseudonyms[seq]: reason for seq, reason in never.items()}, FAILURE)
        self.table.record(part, outcomes)

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Stop a dispatch that gets nowhere."""
        self._progress.count(outcomes)
        self._tell(self)
        statuses = {outcome.status for outcome in outcomes}
        self._unclear = self._unclear + 1 if statuses == {Status.UNCERTAIN} else 0
        self._refused = self._refused + 1 if statuses == {Status.REFUSED} else 0
        if statuses == {Status.REFUSED}:
            # It may be the template that is at fault.
            self._template_due = 0.0
        for number, most, what in (
            (self._unclear, MOST_UNCLEAR, "ended without a clear answer"),
            (self._refused, MOST_REFUSED, "were refused"),
        ):
            if number >= most:
                msg = (
                    f"{most} requests in a row {what}, so the dispatch stopped: {outcomes[-1].reason}. The rest is "
                    "still planned: clear the task when the cause is mended. The table "
                    f"{self._options.table} says what became of each row"
                )
                raise WtsChatFailedError(msg)

    def _request(self, claim: Claim) -> Request[Any]:
        options, values = self._options, self._values
        if options.schedule_at is None:
            return sends.send_template_batch(
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

    # Looking up what is uncertain

    def _look_up(self) -> None:
        """Look for uncertain messages in the recipients' sessions. What is not found stays uncertain."""
        found = number = 0
        # A scheduled message carries no id of ours to find it by.
        for row in () if self._options.schedule_at is not None else self.table.uncertain():
            try:
                outcome = self._hook.perform(find_message(row, self._values["template_id"]), bulk=True, stop=self._stop)
            except (WtsChatError, TimeoutError) as error:
                log.warning("Looking up uncertain messages ended early: %s", type(error).__name__)
                break
            number += 1
            self.table.settle(row.seq, outcome)
            found += outcome is not None and outcome.status is Status.SENT
        if number:
            log.info("Looked up %d uncertain messages: %d were sent", number, found)

    # Following the messages

    def _next_look(self, *, looked: bool) -> datetime | None:
        options = self._options
        started = self.table.last_claim()
        if options.target is None or started is None:
            return None
        if not self.table.to_follow(_done(options.target), limit=1, since=started - options.follow_up_for):
            return None
        now, end = datetime.now(UTC), started + options.follow_up_for
        if now >= end:
            return None if looked else now
        return min(next(moment for moment in looks(started) if moment > now), end)

    def _look(self, target: str, *, since: datetime | None = None, upto: int | None = None) -> bool:
        following = Following(
            self.table, self._people, hook=self._hook, stop=self._stop, check_stop=self._check_stop
        )  # fmt: skip
        return following.look(_done(target), since=since, upto=upto)


def fill_in(text: str, parameters: Mapping[str, Any]) -> str:
    """
    Put parameters into the text of a template.

    :param text: the text, with names in double braces
    :param parameters: values by name; a name without one stays
    """
    return _PLACE.sub(lambda found: str(parameters.get(found[1], found[0])), text)


def expected_minutes(number: int, *, scheduled: bool) -> int:
    """
    Tell how many minutes the account's limit asks for.

    :param scheduled: whether each is a request of its own
    """
    requests, window = (number, READ) if scheduled else (math.ceil(number / convert.MAX_BATCH), SEND)
    return math.ceil(requests * window.seconds / window.limit / 60)


def looks(started: datetime) -> Iterator[datetime]:
    """Return when to look at messages of which the last was sent then."""
    moment = started
    for after in LOOKS:
        moment = started + after
        yield moment
    while True:
        moment += _HOURLY
        yield moment


def _find_template(template_id: str, name: str | None) -> Exchange[Template | None]:
    def take(page: list[Template]) -> Template | None:
        return next((row for row in page if str(row.get("id")).lower() == template_id.lower()), None)

    return (yield from pages(templates.list_(name=name, include_details=["Params"]), take))


def _done(target: str) -> list[str]:
    return [*_SENT_AND_BEYOND[_SENT_AND_BEYOND.index(target) :], *FAILURES]
