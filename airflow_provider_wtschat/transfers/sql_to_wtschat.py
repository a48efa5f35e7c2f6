"""Dispatches out of a database: a template to each row of a query, at most once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat._compat import conf
from airflow_provider_wtschat.api import instants, sends
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.campaigns import people
from airflow_provider_wtschat.campaigns.dispatch import Dispatch, Origin, Pause, Purpose
from airflow_provider_wtschat.campaigns.options import Options
from airflow_provider_wtschat.campaigns.table import DEFAULT_TABLE
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError
from airflow_provider_wtschat.operators._progress import DONE, WAITING, Progress
from airflow_provider_wtschat.operators.base import failing_for_good
from airflow_provider_wtschat.operators.message import WtsChatOpeningOperator
from airflow_provider_wtschat.triggers.base import NET
from airflow_provider_wtschat.triggers.campaign import CampaignTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["SqlToWtsChatTemplateOperator"]

_SHORT = 10.0
"""Seconds for which it is not worth while to defer."""
_EXAMPLE = {"to": "+55 11 90000-0001"}


class SqlToWtsChatTemplateOperator(WtsChatOpeningOperator):
    """
    Send a template to each row of a query, at most once per campaign and key: ``POST /chat/v1/send/template/batch``.

    Plan, claim, send, record: the first try reads the query into a table, with everything checked before the first
    message goes out; later tries, and other workers with the same campaign, go on from the table and never run the
    query again. A hundred rows are claimed, which is committed, before the request that sends them. A claim whose try
    died becomes ``uncertain`` and is not sent again: nobody knows, and the API has no way to send something only if it
    was not sent before. The docs say what is promised and what is not.

    The table (made where it is missing) has a row per recipient: ``campaign``, ``row_key``, ``status`` (``planned``,
    ``claimed``, ``sent``, ``refused``, ``uncertain``, ``suppressed``), ``message_id``, ``reason``, ``delivery``. Phone
    number and parameters stand in it only as long as they are needed: they are emptied when a row is ``sent``, or when
    its ``retention`` is over.

    People who must not be written to are left out when the campaign is planned, and again before each request: those of
    the suppression table, contacts who are blocked or archived, and whom ``exclude_sql`` and ``exclude_tags`` name.

    Returns the campaign, the table and counts, never rows.

    .. code-block:: python

        SqlToWtsChatTemplateOperator(
            task_id="remind", campaign="reminders {{ ds }}", sql="SELECT id, phone, name FROM customers",
            sql_conn_id="warehouse", recipient_column="phone", key_column="id", parameter_columns={"nome": "name"},
            template_name="lembrete", from_channel_name="Matriz", deferrable=True,
        )

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
    :param audience: ``fixed``: whom the query finds when the campaign is planned, and nobody else; or ``new_keys``:
        each Dag run adds whom its query finds and whose key the campaign has not seen, so that a daily Dag reaches each
        customer once (templated). Default: ``fixed``
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
    :param resend_refused: send again what the API refused: true for all of it, or texts of which one must be in the
        row's ``reason``, or keys of the API as in ``failed_key`` (templated). Default: false
    :param retention: seconds, or a timedelta, after the planning, when phone and parameters of a row are emptied
        whatever became of it; ``None`` for never (templated). Default: 30 days
    :param exclude_sql: a query of ``sql_conn_id``, or the path of a ``.sql`` file, whose first column holds phone
        numbers or contact ids of people who are left out (templated). Default: none
    :param exclude_tags: names of tags; contacts who have one are left out (templated). Default: none
    :param include_blocked: write to contacts who are blocked or archived too (templated). Default: they are left out
    :param ignore_suppression: write to people of the suppression table too (templated). Default: they are left out
    :param suppression_table: name of the table of people who are never written to, in the same database as ``table``
        (templated). Default: ``wtschat_suppression``
    :param quiet_hours: times of the day between which nobody is written to, such as ``20:00-08:00``, by the clock where
        the recipient's number is; rows wait (templated). Default: none
    :param quiet_days: names of days on which nobody is written to, such as ``["SUNDAY"]`` (templated). Default: none
    :param max_per_contact: how many messages a person may get from all campaigns of the table, and in which time, such
        as ``(1, timedelta(days=7))``; more are ``suppressed`` (templated). Default: any number
    :param per_minute: how many messages to send in a minute, all workers together, about (templated). Default: what the
        account's limit allows
    :param canary: send so many first, wait, and go on only if at most ``max_failed`` of them failed; once per campaign,
        also where its audience grows (templated). Default: send all
    :param canary_wait: seconds, or a timedelta, to wait then (templated). Default: 15 minutes
    :param preview: show the text of the first five messages in the log, filled in, with phone numbers masked; the
        parameters stand there as they are (templated). Default: false
    :param test_recipient: phone number to send the first message to, before anything is planned; if it fails, so does
        the task (templated). Default: none
    :param holdout: share of the recipients, below 1, who are kept as a control group and get no message, drawn by a
        digest of campaign and key (templated). Default: none
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
        "resend_refused", "retention", "exclude_sql", "exclude_tags", "include_blocked", "ignore_suppression",
        "suppression_table", "audience",
        "quiet_hours", "quiet_days", "max_per_contact", "per_minute", "canary", "canary_wait",
        "preview", "test_recipient", "holdout",
        "wait_for_status", "follow_up_for", "max_failed", "deferrable",
    )  # fmt: skip
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "exclude_sql": "sql",
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
        audience: str = "fixed",
        max_invalid: int = 0,
        duplicate_recipients: str = "error",
        max_recipients: int = 1000,
        dry_run: bool | str = False,
        send_before: When | None = None,
        schedule_at: When | None = None,
        max_scheduled: int = 1000,
        timezone: str = "UTC",
        resend_uncertain: bool = False,
        resend_refused: bool | Sequence[str] | str = False,
        retention: float | timedelta | None = timedelta(days=30),
        exclude_sql: str | None = None,
        exclude_tags: Sequence[str] | str | None = None,
        include_blocked: bool = False,
        ignore_suppression: bool = False,
        suppression_table: str = people.DEFAULT_TABLE,
        quiet_hours: str | None = None,
        quiet_days: Sequence[str] | str | None = None,
        max_per_contact: Sequence[Any] | None = None,
        per_minute: int | None = None,
        canary: int | None = None,
        canary_wait: float | timedelta = timedelta(minutes=15),
        preview: bool = False,
        test_recipient: str | None = None,
        holdout: float | None = None,
        wait_for_status: str | None = None,
        follow_up_for: float | timedelta | str = timedelta(hours=24),
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
        self.audience = audience
        self.max_invalid = max_invalid
        self.duplicate_recipients = duplicate_recipients
        self.max_recipients = max_recipients
        self.rehearsal = dry_run
        self.send_before = send_before
        self.schedule_at = schedule_at
        self.max_scheduled = max_scheduled
        self.timezone = timezone
        self.resend_uncertain = resend_uncertain
        self.resend_refused = resend_refused
        self.retention = retention
        self.exclude_sql = exclude_sql
        self.exclude_tags = exclude_tags
        self.include_blocked = include_blocked
        self.ignore_suppression = ignore_suppression
        self.suppression_table = suppression_table
        self.quiet_hours = quiet_hours
        self.quiet_days = quiet_days
        self.max_per_contact = max_per_contact
        self.per_minute = per_minute
        self.canary = canary
        self.canary_wait = canary_wait
        self.preview = preview
        self.test_recipient = test_recipient
        self.holdout = holdout
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
        with failing_for_good(), self._dispatch(context) as dispatch:
            return self._finish(dispatch, dispatch.start)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Go on after the trigger.

        :param context: context of the task
        :param event: the trigger's event
        :return: campaign, table and counts
        """
        purpose = Purpose((event or {}).get("purpose", Purpose.LOOK))
        with failing_for_good(), self._dispatch(context) as dispatch:
            return self._finish(dispatch, partial(dispatch.resume, purpose))

    def on_kill(self) -> None:
        """Stop before the next request: what is not claimed stays planned."""
        # From another thread: in a signal's handler the event's lock may be held by what the signal interrupted.
        threading.Thread(target=self._stop.set, daemon=True).start()

    @cached_property
    def _stop(self) -> threading.Event:
        return threading.Event()

    def _dispatch(self, context: Context) -> Dispatch:
        self.check_given()
        ti = context["ti"]
        kept = {"dry_run": "rehearsal"}
        names = [name for name in self.template_fields if name not in kept.values()]
        options = Options.read({name: getattr(self, kept.get(name, name)) for name in [*names, *kept]})
        self._progress = Progress(context, "campaign", campaign=options.campaign, table=options.table)
        return Dispatch(
            options,
            self._message,
            Origin(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index),
            hook=self.hook,
            stop=self._stop,
            tell=self._tell,
        )

    def _tell(self, dispatch: Dispatch) -> None:
        if self._progress.due:
            self._progress.push(**dispatch.figures())

    def _message(self) -> dict[str, Any]:
        """Check what the messages have in common, and find ids by name."""
        given = self.given()
        if self.template_id is None and self.template_name is None:
            msg = "neither was given; name the template to send"
            raise WtsChatArgumentError("template_id, template_name", msg)
        self.build(**given, messages=[_EXAMPLE])
        return given | self.found()

    def _finish(self, dispatch: Dispatch, go: Callable[[], Pause | dict[str, Any]]) -> dict[str, Any]:
        """Wait as often as it takes, here or in the triggerer."""
        try:
            while isinstance(step := go(), Pause):
                waits = {"waits_for": step.purpose.value, "until": instants.write(step.until)}
                self._progress.push(WAITING, **dispatch.figures(), **waits)
                if dispatch.deferrable and step.seconds > _SHORT:
                    self.defer(
                        trigger=CampaignTrigger(look_at=instants.write(step.until), purpose=step.purpose.value),
                        method_name=self.execute_complete.__name__,
                        timeout=timedelta(seconds=step.seconds) + NET,
                    )
                dispatch.wait(step)
                go = partial(dispatch.resume, step.purpose)
        except WtsChatError:
            # What came of it so far is worth the most where it failed.
            with suppress(Exception):
                self._progress.push(**dispatch.figures())
            raise
        if not step.get("dry_run"):
            self._progress.push(DONE, **dispatch.figures(), waits_for=None, until=None)
        return step
