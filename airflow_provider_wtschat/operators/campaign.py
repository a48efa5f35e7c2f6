"""Operators on campaigns: dispatches of :mod:`airflow_provider_wtschat.transfers.sql_to_wtschat`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat.api import contacts
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.campaigns import people, replies
from airflow_provider_wtschat.campaigns.following import Following
from airflow_provider_wtschat.campaigns.people import SuppressionTable
from airflow_provider_wtschat.campaigns.report import FINAL, report
from airflow_provider_wtschat.campaigns.table import DEFAULT_TABLE, CampaignTable, State
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatNotFoundError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.operators.base import ActingOperator, ConnectedOperator
from airflow_provider_wtschat.sql.database import Database
from airflow_provider_wtschat.sql.sources import checked_name, connected, connection_id, read_query

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = [
    "WtsChatCampaignControlOperator",
    "WtsChatCampaignReportOperator",
    "WtsChatErasePersonOperator",
    "WtsChatOptOutOperator",
]

_ASKED = "asked not to be written to"
_OPT_OUT, _WITHOUT_TAG = "opt-out", "opt-out, to be tagged"
"""Who says so: this operator, once the contact has its tag and before."""


class Action(StrEnum):
    """What to do with a campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


_STATES = {Action.PAUSE: State.PAUSED, Action.RESUME: State.GOING, Action.STOP: State.STOPPED}


class WtsChatCampaignControlOperator(ActingOperator):
    """
    Pause, resume or stop a campaign, whichever tasks and workers are sending it.

    Each worker looks before its next request of up to a hundred messages. One that finds the campaign paused waits
    until it is resumed; one that finds it stopped fails without retries. What is planned stays planned in either case:
    after ``resume`` a paused dispatch goes on by itself, and a stopped one when its task is cleared.

    .. code-block:: python

        WtsChatCampaignControlOperator(
            task_id="hold", campaign="spring offer", action="pause", table_conn_id="warehouse"
        )

    Returns campaign, table, state and the counts of rows by status.

    :param campaign: name of the dispatch (templated)
    :param action: ``pause``, ``resume`` or ``stop`` (templated)
    :param table_conn_id: id of the connection to the database with the table (templated)
    :param table: name of the table (templated). Default: ``wtschat_campaign``
    """

    def __init__(
        self, *, campaign: str, action: str, table_conn_id: str, table: str = DEFAULT_TABLE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.action = action
        self.table_conn_id = table_conn_id
        self.table = table

    def act(self, context: Context) -> dict[str, Any]:
        """
        Change the state of the campaign.

        :return: campaign, table, state and counts
        """
        action = Action(convert.required("action", convert.choice("action", self.action, Action)))
        campaign = convert.required_text("campaign", self.campaign).strip()
        hook = connected("table_conn_id", self.table_conn_id)
        rows = CampaignTable(hook, convert.required_text("table", self.table), campaign)
        try:
            if not rows.control(_STATES[action]):
                msg = f"nothing is planned as {campaign!r} in the table {rows.table}"
                raise WtsChatArgumentError("campaign", msg)
            counts = {status.value: number for status, number in rows.counts().items()}
        finally:
            rows.close()
        self.log.info("Campaign %r: %s", campaign, action)
        return {"campaign": campaign, "table": rows.table, "state": _STATES[action].value, **counts}


class WtsChatCampaignReportOperator(ConnectedOperator):
    """
    Tell what came of a campaign: how many were planned, sent, delivered, read, answered, and why others were not.

    It looks once what became of the messages that may still change, and writes it into the table: by webhook events
    where they are received, by the lists of the sessions that the messages are in, a request each, and by the list of
    sessions, a hundred with each request, which tells who has answered. Ask a day after the dispatch, and again a week
    after it.

    .. code-block:: python

        WtsChatCampaignReportOperator(task_id="report", campaign="spring offer", table_conn_id="warehouse")

    Returns campaign, table, the counts of rows by status, ``delivery`` (counts of messages by status) and ``funnel``:
    ``planned``, ``suppressed``, ``held_out``, ``waiting``, ``uncertain``, ``sent``, ``delivered``, ``read``,
    ``replied``, ``failed``, ``suppressed_by_reason`` and ``failed_by_reason``. Counts and reasons only, no person.

    :param campaign: name of the dispatch (templated)
    :param table_conn_id: id of the connection to the database with the table (templated)
    :param table: name of the table (templated). Default: ``wtschat_campaign``
    :param suppression_table: name of the table of people who are never written to: a failure may say that somebody
        belongs there (templated). Default: ``wtschat_suppression``
    :param look: ask the API; false counts what the table knows, without a request (templated). Default: true
    :param look_back: seconds, or a timedelta: messages that were sent longer ago are not asked for (templated).
        Default: 7 days
    :param max_failed: fail the task, without retries, if more rows than this, or a larger share than this if it is
        below 1, were refused, are uncertain, or failed afterwards (templated). Default: such rows are only counted
    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    def __init__(
        self,
        *,
        campaign: str,
        table_conn_id: str,
        table: str = DEFAULT_TABLE,
        suppression_table: str = people.DEFAULT_TABLE,
        look: bool | str = True,
        look_back: float | timedelta | str = timedelta(days=7),
        max_failed: float | None = None,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.table_conn_id = table_conn_id
        self.table = table
        self.suppression_table = suppression_table
        self.look = look
        self.look_back = look_back
        self.max_failed = max_failed
        self.wtschat_conn_id = wtschat_conn_id

    def act(self, context: Context) -> dict[str, Any]:
        """
        Look, and count.

        :return: campaign, table, counts and funnel
        """
        campaign = convert.required_text("campaign", self.campaign).strip()
        back = timedelta(seconds=convert.required("look_back", convert.seconds("look_back", self.look_back)))
        look = convert.required("look", convert.boolean("look", self.look))
        most = convert.number("max_failed", self.max_failed, minimum=0)
        hook = connected("table_conn_id", self.table_conn_id)
        with (
            closing(CampaignTable(hook, convert.required_text("table", self.table), campaign)) as rows,
            closing(SuppressionTable(hook, self.suppression_table)) as table,
        ):
            rows.create()
            if rows.facts() is None:
                raise WtsChatArgumentError("campaign", f"nothing is planned as {campaign!r} in {rows.table}")
            if look:
                table.create()
                following = Following(rows, table, hook=self.hook, stop=self._stop)
                following.look(FINAL, since=datetime.now(UTC) - back)
            return report(rows, max_failed=most)

    @cached_property
    def _stop(self) -> threading.Event:
        return threading.Event()

    def on_kill(self) -> None:
        """Stop before the next request."""
        # From another thread: in a signal's handler the event's lock may be held by what the signal interrupted.
        threading.Thread(target=self._stop.set, daemon=True).start()


class WtsChatOptOutOperator(ConnectedOperator):
    """
    Turn replies by which people ask not to be written to any more into rows of the suppression table, and into a tag.

    A query gives replies, such as those of the tables that ``WtsChatToSqlOperator`` loads. A reply counts if it is
    nothing but one of the words (SAIR, STOP, PARAR and their like), with case, accents, punctuation and politeness left
    aside; "não quero sair" is none. Whoever is in the table already stays as is, so the task may run as often as you
    like, over replies that it has seen before too. Campaigns leave these people out.

    .. code-block:: python

        WtsChatOptOutOperator(
            task_id="opt_out",
            sql="SELECT phone, text FROM replies WHERE created_at >= '{{ data_interval_start }}'",
            sql_conn_id="warehouse", recipient_column="phone", text_column="text", tag_name="opt-out",
        )

    Returns how many replies it read, how many asked for it, and how many people are new in the table. Texts and phone
    numbers go into no log and no XCom.

    :param sql: the query, or the path of a ``.sql`` file (templated)
    :param sql_conn_id: id of the connection to ask (templated)
    :param recipient_column: column with the phone number of who wrote, in any spelling (templated)
    :param text_column: column with the text (templated)
    :param words: words and phrases that count, in place of the usual ones (templated). Default: SAIR, STOP, PARAR, ...
    :param tag_name: name of a tag that the contact gets too, with a request for each new person (templated). Default:
        none
    :param table_conn_id: id of the connection to the database with the suppression table (templated). Default: that of
        the query
    :param suppression_table: name of the table (templated). Default: ``wtschat_suppression``
    :param phone_country: calling code of phone numbers written without one (templated). Default: 55 (Brazil)
    :param wtschat_conn_id: id of the connection, for the tag (templated). Default: ``wtschat_default``
    """

    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql"}

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        recipient_column: str,
        text_column: str,
        words: Sequence[str] | str | None = None,
        tag_name: str | None = None,
        table_conn_id: str | None = None,
        suppression_table: str = people.DEFAULT_TABLE,
        phone_country: str = "55",
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.recipient_column = recipient_column
        self.text_column = text_column
        self.words = words
        self.tag_name = tag_name
        self.table_conn_id = table_conn_id
        self.suppression_table = suppression_table
        self.phone_country = phone_country
        self.wtschat_conn_id = wtschat_conn_id

    def act(self, context: Context) -> dict[str, int]:
        """
        Read the replies, and remember who asked.

        :return: how many replies there were, how many asked, and how many people are new
        """
        words = replies.WORDS if self.words is None else convert.some("words", convert.texts("words", self.words))
        argument = "sql_conn_id" if self.table_conn_id is None else "table_conn_id"
        tag = convert.text("tag_name", self.tag_name)
        with closing(SuppressionTable(connected(argument, getattr(self, argument)), self.suppression_table)) as table:
            table.create()
            read, found = self._asking(words or ())
            numbers = {table.pseudonym(who): number for who, number in found.items()}
            # First, because whatever becomes of the tag, nobody of them may be written to.
            new = table.add(dict.fromkeys(numbers, _ASKED), _OPT_OUT if tag is None else _WITHOUT_TAG)
            for who in table.told_by(_WITHOUT_TAG, list(numbers)) if tag is not None else ():
                self._tag(numbers[who], str(tag))
                table.tell(who, _OPT_OUT)
        result = {"replies": read, "opt_outs": len(found), "new": new}
        self.log.info("Opt-outs: %s", result)
        return result

    def _asking(self, words: Sequence[str]) -> tuple[int, dict[str, str]]:
        """Count the replies, and return the numbers of who asks, by person."""
        phone, text = (convert.required_text(name, getattr(self, name)) for name in ("recipient_column", "text_column"))
        hook = connected("sql_conn_id", self.sql_conn_id)
        found: dict[str, str] = {}
        read = nobody = 0
        for given, rows in read_query(hook, "sql", convert.required_text("sql", self.sql)):
            names = [name.lower() for name in given]
            if missing := [name for name in (phone, text) if name.lower() not in names]:
                reason = f"the query has no column {missing[0]!r}; it has {', '.join(names)}"
                raise WtsChatArgumentError("sql", reason)
            for row in rows:
                values = dict(zip(names, row, strict=True))
                read += 1
                if not replies.is_opt_out(values[text.lower()], words):
                    continue
                try:
                    said = convert.required_text("recipient_column", people.as_text(values[phone.lower()]))
                    number = f"+{convert.phone('recipient_column', said, self.phone_country)}"
                except WtsChatArgumentError:
                    nobody += 1
                else:
                    found[people.person(number)] = number
        if nobody:
            self.log.warning("%d replies ask for it and come with no valid phone number, so nobody is left out", nobody)
        return read, found

    def _tag(self, number: str, tag: str) -> None:
        try:
            self.hook.run(contacts.update_tags_by_phone(number, tag_names=[tag]))
        except WtsChatNotFoundError:
            self.log.info("Somebody who asked not to be written to is no contact of the account, so has no tag")


class WtsChatErasePersonOperator(ActingOperator):
    """
    Remove what the tables of campaigns and loads hold of one person, such as on a request under LGPD.

    Rows of campaigns stay, without anything that says who it was, because a dispatch that is run again would else write
    to the person; what is planned will not be sent. The row of the suppression table goes, so campaigns may write to
    the person again: exclude the person at the source of their queries. Rows of ``landing_tables`` are deleted. Erase
    the contact in WTS Chat first, or the next load brings it back.

    .. code-block:: python

        WtsChatErasePersonOperator(
            task_id="erase", phone="{{ params.phone }}", contact_id="{{ params.contact_id }}",
            table_conn_id="warehouse", sql_conn_id="warehouse",
            landing_tables={"wtschat_contacts": "id", "wtschat_sessions": "contact_id"},
        )

    Returns how many rows were changed or deleted by table: the proof of what was removed. The phone number is an
    argument, and Airflow shows arguments: pass it by ``params`` of a run that you delete, or from a secret.

    :param phone: phone number of the person, in any spelling (templated)
    :param table_conn_id: id of the connection to the database with the tables of campaigns (templated)
    :param table: name of the table of campaigns (templated). Default: ``wtschat_campaign``
    :param suppression_table: name of the suppression table (templated). Default: ``wtschat_suppression``
    :param contact_id: id of the contact, by which landing tables know the person, and rows of campaigns whose retention
        is over (templated)
    :param sql_conn_id: id of the connection to the database with the landing tables (templated)
    :param landing_tables: by name of a table, the column that holds the contact's id (templated). Default: none
    :param phone_country: calling code of a phone number written without one (templated). Default: 55 (Brazil)
    """

    def __init__(
        self,
        *,
        phone: str,
        table_conn_id: str,
        table: str = DEFAULT_TABLE,
        suppression_table: str = people.DEFAULT_TABLE,
        contact_id: str | None = None,
        sql_conn_id: str | None = None,
        landing_tables: Mapping[str, str] | str | None = None,
        phone_country: str = "55",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.phone = phone
        self.table_conn_id = table_conn_id
        self.table = table
        self.suppression_table = suppression_table
        self.contact_id = contact_id
        self.sql_conn_id = sql_conn_id
        self.landing_tables = landing_tables
        self.phone_country = phone_country

    def act(self, context: Context) -> dict[str, int]:
        """
        Remove the person.

        :return: how many rows were changed or deleted, by table
        """
        number = f"+{convert.phone('phone', convert.required('phone', self.phone), self.phone_country)}"
        who = people.person(number)
        landing = {
            checked_name("landing_tables", table): checked_name(f"landing_tables[{table!r}]", column)
            for table, column in (convert.mapping("landing_tables", self.landing_tables) or {}).items()
        }
        if landing and (self.contact_id is None or self.sql_conn_id is None):
            msg = "landing tables are known by the contact's id: give contact_id and sql_conn_id too"
            raise WtsChatArgumentError("landing_tables", msg)
        contact_id = convert.uuid("contact_id", self.contact_id)
        hook = connected("table_conn_id", self.table_conn_id)
        removed: dict[str, int] = {}
        with (
            closing(CampaignTable(hook, self.table, "")) as rows,
            closing(SuppressionTable(hook, self.suppression_table)) as table,
        ):
            rows.create()
            table.create()
            mark = table.pseudonym(who)
            removed[rows.table] = rows.erase(mark, people.spellings(who), contact_id)
            removed[table.table] = table.remove(mark)
        if landing:
            removed |= self._landed(landing)
        self.log.info("Removed a person: %s", removed)
        return removed

    def _landed(self, landing: Mapping[str, str]) -> dict[str, int]:
        contact_id = convert.required_uuid("contact_id", self.contact_id)
        hook = connected("sql_conn_id", self.sql_conn_id)
        removed = {}
        with closing(Database(hook, f"landing_tables: the connection {connection_id(hook)!r}")) as database:
            for table, column in landing.items():
                ((number,),) = database.query(
                    f"SELECT count(*) FROM {table} WHERE {column} = ?", contact_id  # noqa: S608  # names were checked
                )  # fmt: skip
                database.change(f"DELETE FROM {table} WHERE {column} = ?", contact_id)  # noqa: S608  # names were checked
                removed[table] = int(number)
        return removed
