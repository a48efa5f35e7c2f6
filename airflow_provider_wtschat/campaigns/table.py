"""
The table of a dispatch: who is to get a message, which try has claimed it, and what became of it.

The table is what keeps a message from being sent twice. A row leaves ``planned`` in one way only, by a conditional
update that is committed before its request is sent, and nothing but that claim allows the request. Every statement here
may be repeated after its answer was lost, so a lost connection to the database costs no more than a new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, islice
from typing import Any
from uuid import UUID, uuid4, uuid5

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.sql.database import Database
from airflow_provider_wtschat.sql.sources import DbApiHook, checked_name, connection_id

DEFAULT_TABLE = "wtschat_campaign"
LONGEST_NAME = 200
LONGEST_REASON = 500
STALE_AFTER = timedelta(minutes=30)
"""No try holds a claim so long: it covers the longest wait for the account's limit and the slowest answer."""
LOOK_UP_AGAIN = timedelta(hours=1)
"""A message that a look-up did not find may become visible late: another try looks for it again, so long after."""
LATEST_LOOK_UP = timedelta(hours=48)
"""Once a row has been looked up so long after its claim, it is not looked up again."""

CLOCKS = timedelta(minutes=5)
"""How far the clocks of workers and server may be apart."""

_NAMESPACE = UUID("0c2f3c0e-6f0b-4b43-9a53-2f0d1b7f5f5e")
_ROWS_PER_STATEMENT = 500
_LAST = 2**31 - 1
_PLAN = 0
"""Number of the row that stands for the plan itself."""

# Spelled in the one way that SQLite, PostgreSQL and MySQL understand alike.
_COLUMNS = {
    "campaign": "VARCHAR(200) NOT NULL",
    "seq": "INTEGER NOT NULL",
    "row_key": "VARCHAR(200) NOT NULL",
    "sender_id": "VARCHAR(36) NOT NULL UNIQUE",
    "phone": "VARCHAR(20)",
    "content": "TEXT",
    "status": "VARCHAR(10) NOT NULL",
    "claimed_by": "VARCHAR(60)",
    "claimed_at": "VARCHAR(30)",
    "message_id": "VARCHAR(36)",
    "reason": "VARCHAR(500)",
    "delivery": "VARCHAR(20)",
    "looked_up_at": "VARCHAR(30)",
    "failed_key": "VARCHAR(100)",
    "expires_at": "VARCHAR(30)",
    "person": "VARCHAR(64)",
    "not_before": "VARCHAR(30)",
    "template_id": "VARCHAR(100)",
    "contact_id": "VARCHAR(36)",
    "session_id": "VARCHAR(36)",
    "sent_at": "VARCHAR(30)",
    "delivered_at": "VARCHAR(30)",
    "read_at": "VARCHAR(30)",
    "replied_at": "VARCHAR(30)",
    "erased_at": "VARCHAR(30)",
}


class Status(StrEnum):
    """What became of a row."""

    PLANNED = "planned"
    CLAIMED = "claimed"
    SENT = "sent"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    HELD_OUT = "held_out"


class State(StrEnum):
    """Whether a dispatch goes on: what the row of the plan has in place of a status of its own."""

    GOING = "plan"
    PAUSED = "paused"
    STOPPED = "stopped"


_OF_A_PERSON = ("phone", "content", "person", "message_id", "session_id", "contact_id")
_FREE = "CASE WHEN erased_at IS NULL THEN ? ELSE ? END"
"""What becomes of a claimed row that was not sent: one whose person was erased meanwhile is not to be sent any more."""
_OF_SENT = ("session_id", "sent_at")
"""What is recorded of a row that was sent, and of no other."""
_LATEST = ("delivery", "reason", "failed_key")
"""What a later look at a message replaces."""
_OPEN = (Status.CLAIMED, Status.UNCERTAIN)
"""What a claimer finds its rows in: another try may have taken it for dead, and even have found a row's message."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """
    A row to plan.

    :param key: the row's key
    :param phone: recipient in international form, such as ``+5511900000001``; ``None`` for a row that is not sent
    :param content: what the message says, as JSON: ``parameters``, and ``file`` where there is one
    :param reason: why it is not sent; ``None`` for a row that is to be sent
    :param person: what stands for the recipient once the phone number is emptied
    """

    key: str
    phone: str | None
    content: str | None
    status: Status = Status.PLANNED
    reason: str | None = None
    person: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """
    A row that was claimed, by this try or an earlier one.

    :param sender_id: the id that its message carries
    :param phone: recipient in international form, such as ``+5511900000001``
    :param content: what the message says
    :param claimed_at: when it was claimed
    """

    seq: int
    sender_id: str
    phone: str
    content: Mapping[str, Any]
    claimed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Claim:
    """
    Some rows that this try, and nobody else, may send.

    :param name: what the table knows the claim by
    """

    name: str
    rows: Sequence[Claimed]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What became of a row.

    :param reason: why it was refused, or what is uncertain; no personal data
    :param failed_key: the API's key of the error
    :param never_again: whether the failure means that the person is not to be written to any more
    :param session_id: id of the session that the message is in, where the API says so
    :param sent_at: when the API took the message, for one that was sent
    """

    seq: int
    status: Status
    message_id: str | None = None
    reason: str | None = None
    failed_key: str | None = None
    never_again: bool = False
    session_id: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """
    A row that was sent.

    :param person: what stands for the recipient, until the retention is over
    :param session_id: id of the session, where it is known
    :param contact_id: id of the contact, where it is known
    :param sent_at: when it was sent; rows of earlier versions do not say
    :param delivery: status of the message, where somebody has looked
    :param replied: whether the contact has written since
    """

    seq: int
    message_id: str
    person: str | None
    session_id: str | None
    contact_id: str | None
    sent_at: datetime | None
    delivery: str | None
    replied: bool


@dataclass(frozen=True, kw_only=True)
class Single:
    """
    One row, found by its key.

    :param claimed_by: the claim, where there is one
    :param reason: why it was refused, or is uncertain
    """

    status: Status
    claimed_by: str | None
    claimed_at: datetime | None
    message_id: str | None
    session_id: str | None
    sent_at: datetime | None
    reason: str | None


def sender_id(campaign: str, key: str | None = None) -> str:
    """
    Derive the id that the message of a row carries: the same at every try, and of no use to a stranger.

    :param key: the row's key; ``None`` for the plan itself
    """
    return str(uuid5(_NAMESPACE, json.dumps([campaign, *([] if key is None else [key])])))


class CampaignTable:
    """
    The rows of one dispatch.

    :param hook: hook of the database that has the table
    :raises WtsChatArgumentError: if that is not the name of a table
    """

    def __init__(self, hook: DbApiHook, table: str, campaign: str) -> None:
        self.table = checked_name("table", table)
        self.campaign = campaign
        self._database = Database(hook, f"table: {table} of the connection {connection_id(hook)!r}")
        self._after = _PLAN

    def create(self) -> None:
        """Make the table where it is missing, and add columns that one of an earlier version lacks."""
        before = make(self._database, self.table, _COLUMNS, "PRIMARY KEY (campaign, seq)")
        if "person" not in before:
            self._database.index(self.table, f"{self.table.rpartition('.')[2]}_person", "person")

    def facts(self) -> dict[str, Any] | None:
        """Return what was noted with the plan; ``None`` if nothing is planned."""
        content = self._of_plan("content")
        return None if content is None else dict(json.loads(content))

    def state(self) -> State:
        """Return whether the dispatch goes on; one that says nothing known does."""
        status = self._of_plan("status")
        return State(status) if status in list(State) else State.GOING

    def _of_plan(self, column: str) -> str | None:
        rows = self._query(f"SELECT {column} FROM {{table}} WHERE campaign = ? AND seq = ?", self.campaign, _PLAN)  # noqa: S608
        return rows[0][0] if rows else None

    def control(self, state: State) -> bool:
        """
        Say whether the dispatch goes on.

        :param state: from the next request of each worker on
        :return: whether there is such a dispatch
        """
        if self.facts() is None:
            return False
        self._change("UPDATE {table} SET status = ? WHERE campaign = ? AND seq = ?", state, self.campaign, _PLAN)
        return True

    def plan(
        self, rows: Callable[[], Iterable[Planned]], facts: Mapping[str, Any], expires_at: datetime | None = None
    ) -> bool:
        """
        Plan all rows at once, unless somebody has planned the dispatch already.

        :param rows: returns the rows, each time it is called
        :param expires_at: when to empty what a row says of a person, whatever became of it; ``None`` for never
        :return: whether this is the plan now; else somebody else's is
        """
        header = (_PLAN, sender_id(self.campaign), "", None, json.dumps(facts), State.GOING.value, *[None] * 4)

        def insert(cursor: Any) -> None:
            # One transaction, so that no try ever finds half a plan. The first row keeps everybody else out.
            self._insert(cursor, [header])
            self._insert_rows(cursor, rows(), _PLAN, expires_at, facts.get("template_id"))

        try:
            self._database.do(insert, unless=lambda: self.facts() is not None)
        except Exception:
            if self.facts() is None:
                raise
            return False
        return True

    def extend(
        self,
        rows: Callable[[], Iterable[Planned]],
        facts: Callable[[Mapping[str, Any]], Mapping[str, Any] | None],
        expires_at: datetime | None = None,
    ) -> bool:
        """
        Add rows to a plan, but for those whose keys it has.

        :param rows: returns the rows, each time it is called
        :param facts: is given what is noted with the plan, and returns what is to be noted; ``None`` adds nothing
        :param expires_at: when to empty what a row says of a person
        :return: whether they were added
        """

        def add(cursor: Any) -> bool:
            noted = facts(self._held(cursor))
            if noted is None:
                return False
            self._execute(cursor, "SELECT max(seq) FROM {table} WHERE campaign = ?", self.campaign)
            last = int(cursor.fetchall()[0][0])
            self._insert_rows(cursor, rows(), last, expires_at, noted.get("template_id"), only_new=True)
            self._note(cursor, noted)
            return True

        self._after = _PLAN
        return self._database.do(add)

    def known(self, keys: Sequence[str]) -> set[str]:
        """Find keys that the plan has."""
        by_id = {sender_id(self.campaign, key): key for key in keys}
        rows = self._query("SELECT sender_id FROM {table} WHERE sender_id IN ({many})", many=list(by_id))
        return {by_id[found] for (found,) in rows}

    def claim(
        self, owner: str, size: int, check: Callable[[], None] = lambda: None, *, upto: int | None = None
    ) -> Claim | None:
        """
        Claim the next rows: nobody else may send them from now on.

        :param size: how many rows at most
        :param check: raises if no more rows are to be claimed; it is asked only if there are some
        :param upto: number of the last row that may be claimed
        :return: the claim; ``None`` if no planned row is left whose time has come
        """
        name = f"{owner}-{uuid4().hex}"
        while True:
            found = [seq for (seq,) in self._next(size, upto)]
            if not found:
                return None
            check()
            rows = self._claim(name, "campaign = ? AND seq IN ({many})", self.campaign, many=found)
            mine, gone = ([_claimed(row) for row in rows if (row[2] is None) is empty] for empty in (False, True))
            # Somebody who was erased since the update is not written to.
            self.release(Claim(name=name, rows=gone))
            if mine:
                self._after = found[-1]
                return Claim(name=name, rows=mine)

    def _claim(self, name: str, which: str, *values: Any, many: Sequence[Any] = ()) -> list[Any]:
        """Claim planned rows. Others may have been quicker: what is ours is what the table says is ours."""
        self._change(
            "UPDATE {table} SET status = ?, claimed_by = ?, claimed_at = ?, reason = NULL"  # noqa: S608  # ours
            f" WHERE status = ? AND {which}",
            Status.CLAIMED, name, instants.write(datetime.now(UTC)), Status.PLANNED, *values, many=many,
        )  # fmt: skip
        return self._query(
            "SELECT seq, sender_id, phone, content, claimed_at FROM {table}"  # noqa: S608  # ours
            f" WHERE status = ? AND claimed_by = ? AND {which} ORDER BY seq",
            Status.CLAIMED, name, *values, many=many,
        )  # fmt: skip

    def single(self, key: str) -> Single:
        """Find a row of the plan by its key."""
        (row,) = self._query(
            "SELECT status, claimed_by, claimed_at, message_id, session_id, sent_at, reason FROM {table}"
            " WHERE sender_id = ?",
            sender_id(self.campaign, key),
        )  # fmt: skip
        status, claimed_by, claimed_at, message_id, session_id, sent_at, reason = row
        return Single(
            status=Status(status),
            claimed_by=claimed_by,
            claimed_at=instants.read_or_none(claimed_at),
            message_id=message_id,
            session_id=session_id,
            sent_at=instants.read_or_none(sent_at),
            reason=reason,
        )

    def claim_single(self, key: str, name: str) -> Claim | None:
        """Claim a row by its key, if it is planned; ``None`` if somebody else was quicker."""
        rows = self._claim(name, "sender_id = ?", sender_id(self.campaign, key))
        return Claim(name=name, rows=[_claimed(row) for row in rows]) if rows else None

    def settle_single(self, key: str, name: str | None, status: Status, reason: str | None) -> None:
        """
        Say what became of a row that nobody works on any more, unless somebody has done so, or has claimed it anew.

        :param name: what the table knows the earlier claim by
        """
        planned = ", claimed_by = NULL, claimed_at = NULL, failed_key = NULL" if status is Status.PLANNED else ""
        self._change(
            f"UPDATE {{table}} SET status = ?, reason = ?{planned}"  # noqa: S608  # ours
            " WHERE sender_id = ? AND claimed_by = ? AND status IN (?, ?, ?)",
            status, reason, sender_id(self.campaign, key), name or "", *_OPEN, Status.REFUSED,
        )  # fmt: skip

    def record(self, claim: Claim, outcomes: Iterable[Outcome]) -> None:
        """
        Record what became of claimed rows. One that was sent keeps neither phone nor content.

        :param outcomes: an outcome for each row of it, or for some
        """
        by_status: dict[Status, list[Outcome]] = {}
        for outcome in outcomes:
            by_status.setdefault(outcome.status, []).append(outcome)

        def write(cursor: Any) -> None:
            for status, group in by_status.items():
                fields = ["message_id", "reason", "failed_key", *(_OF_SENT if status is Status.SENT else ())]
                case = " ".join(("CASE seq", *["WHEN ? THEN ?"] * len(group), "END"))
                changes = ", ".join(["status = ?", *(f"{name} = {_unless_erased(name, case)}" for name in fields)])
                self._execute(
                    cursor,
                    f"UPDATE {{table}} SET {changes}{_emptied(status)}"  # noqa: S608  # names of ours
                    " WHERE campaign = ? AND claimed_by = ? AND status IN (?, ?) AND seq IN ({many})",
                    status, *chain.from_iterable(_cases(group, name) for name in fields),
                    self.campaign, claim.name, *_OPEN, many=[outcome.seq for outcome in group],
                )  # fmt: skip

        self._database.do(write)

    def release(self, claim: Claim) -> None:
        """
        Give rows back which were certainly not sent.

        :param claim: the claim, or a part of it
        """
        if claim.rows:
            self._give_back(claim, [row.seq for row in claim.rows], None)
            self._after = _PLAN

    def postpone(self, claim: Claim, moments: Mapping[int, datetime]) -> None:
        """
        Give rows back which are not to be sent before a moment of their own.

        :param moments: when they may be sent, by the number of the row
        """
        for moment in set(moments.values()):
            self._give_back(claim, [seq for seq, own in moments.items() if own == moment], moment)

    def _give_back(self, claim: Claim, found: Sequence[int], moment: datetime | None) -> None:
        self._change(
            f"UPDATE {{table}} SET status = {_FREE}, claimed_by = NULL, claimed_at = NULL, reason = NULL,"  # noqa: S608
            " not_before = ? WHERE campaign = ? AND claimed_by = ? AND status IN (?, ?) AND seq IN ({many})",
            Status.PLANNED, Status.SUPPRESSED, instants.write_or_none(moment), self.campaign, claim.name, *_OPEN,
            many=found,
        )  # fmt: skip

    def next_start(self) -> datetime | None:
        """Return when the first planned row may be sent, of those that are not to be sent yet."""
        return self._moment("min(not_before)", Status.PLANNED)

    def claimed_since(self, moment: datetime) -> int:
        """Count the rows that were claimed to be sent since a moment."""
        ((number,),) = self._query(
            "SELECT count(*) FROM {table} WHERE campaign = ? AND seq > ? AND claimed_at > ? AND status <> ?",
            self.campaign, _PLAN, instants.write(moment), Status.SUPPRESSED,
        )  # fmt: skip
        return int(number)

    def messages_to(self, people: Sequence[str], since: datetime, claim: Claim) -> dict[str, tuple[int, int]]:
        """
        Count what people were sent, or may have been, by all dispatches of the table, and what is on its way to them.

        :param since: from when on
        :param claim: a claim whose rows do not count
        :return: by person how many messages they had, and how many rows others have claimed and may not have sent yet
        """
        stale = instants.write(datetime.now(UTC) - STALE_AFTER)
        rows = self._query(
            "SELECT person, count(*), sum(CASE WHEN status = ? AND claimed_at >= ? THEN 1 ELSE 0 END) FROM {table}"
            " WHERE claimed_at > ? AND status IN (?, ?, ?)"
            " AND (claimed_by IS NULL OR claimed_by <> ?) AND person IN ({many}) GROUP BY person",
            Status.CLAIMED, stale, instants.write(since), Status.SENT, Status.CLAIMED, Status.UNCERTAIN, claim.name,
            many=people,
        )  # fmt: skip
        return {str(who): (int(number) - int(open_), int(open_)) for who, number, open_ in rows}

    def nth_planned(self, number: int) -> int | None:
        """Return the number of the row that is the n-th, from 1, to be sent, in the order of the plan."""
        rows = self._query(
            "SELECT seq FROM {table} WHERE campaign = ? AND seq > ? AND (status = ? OR claimed_at IS NOT NULL)"
            " ORDER BY seq LIMIT 1 OFFSET ?",
            self.campaign, _PLAN, Status.PLANNED, number - 1,
        )  # fmt: skip
        return int(rows[0][0]) if rows else None

    def note(self, **facts: Any) -> None:
        """Note something with the plan."""
        self._database.do(lambda cursor: self._note(cursor, {**self._held(cursor), **facts}))

    def _note(self, cursor: Any, facts: Mapping[str, Any]) -> None:
        sql = "UPDATE {table} SET content = ? WHERE campaign = ? AND seq = ?"
        self._execute(cursor, sql, json.dumps(facts), self.campaign, _PLAN)

    def _held(self, cursor: Any) -> dict[str, Any]:
        """Read what is noted with the plan, and let others who would change it wait until the transaction ends."""
        where = "WHERE campaign = ? AND seq = ?"
        self._execute(cursor, f"UPDATE {{table}} SET content = content {where}", self.campaign, _PLAN)  # noqa: S608
        self._execute(cursor, f"SELECT content FROM {{table}} {where}", self.campaign, _PLAN)  # noqa: S608
        return dict(json.loads(cursor.fetchall()[0][0]))

    def first_rows(self, upto: int) -> tuple[int, int, datetime | None]:
        """
        Tell how the first rows of a plan fared.

        :param upto: number of the last of them
        :return: how many are still planned or claimed, how many failed in any way, and when the last was claimed
        """
        ((open_, failed, last),) = self._query(
            "SELECT sum(CASE WHEN status IN (?, ?) THEN 1 ELSE 0 END),"
            " sum(CASE WHEN claimed_at IS NOT NULL AND (status IN (?, ?) OR delivery IN (?, ?)) THEN 1 ELSE 0 END),"
            " max(claimed_at) FROM {table} WHERE campaign = ? AND seq > ? AND seq <= ?",
            Status.PLANNED, Status.CLAIMED, Status.REFUSED, Status.UNCERTAIN, "FAILED", "DELETED",
            self.campaign, _PLAN, upto,
        )  # fmt: skip
        return int(open_ or 0), int(failed or 0), instants.read_or_none(last)

    def abandon(self, owner: str) -> int:
        """
        Make claims uncertain that a dead try left behind: earlier ones of this task instance, and old ones of others.

        Should such a try be alive after all it may still record what became of its rows.

        :param owner: the task instance, which has no claim of its own yet
        :return: how many rows there were
        """
        stale = instants.write(datetime.now(UTC) - STALE_AFTER)
        rows = self._query(
            "SELECT seq, claimed_by FROM {table} WHERE campaign = ? AND status = ? AND (claimed_by LIKE ?"
            " OR claimed_at < ?)",
            self.campaign, Status.CLAIMED, f"{owner}-%", stale,
        )  # fmt: skip
        by_claim: dict[str, list[int]] = {}
        for seq, name in rows:
            by_claim.setdefault(name, []).append(seq)
        for name, found in by_claim.items():
            self._change(
                "UPDATE {table} SET status = ?, reason = ? WHERE campaign = ? AND status = ? AND claimed_by = ?"
                " AND seq IN ({many})",
                Status.UNCERTAIN, "the try that had claimed it ended before it recorded an answer",
                self.campaign, Status.CLAIMED, name, many=found,
            )  # fmt: skip
        return len(rows)

    def uncertain(self) -> Iterator[Claimed]:
        """Read the rows of which nobody knows whether they were sent, and which are to be looked up now."""
        now = datetime.now(UTC)
        for row, looked_up_at in self._uncertain():
            if looked_up_at is None or (
                now >= looked_up_at + LOOK_UP_AGAIN and looked_up_at < row.claimed_at + LATEST_LOOK_UP
            ):
                yield row

    def _uncertain(self) -> Iterator[tuple[Claimed, datetime | None]]:
        after = _PLAN
        while rows := self._query(
            "SELECT seq, sender_id, phone, content, claimed_at, looked_up_at FROM {table}"
            " WHERE campaign = ? AND status = ? AND phone IS NOT NULL AND seq > ? ORDER BY seq LIMIT 100",
            self.campaign, Status.UNCERTAIN, after,
        ):  # fmt: skip
            after = rows[-1][0]
            for *row, looked_up_at in rows:
                yield _claimed(row), instants.read_or_none(looked_up_at)

    def settle(self, seq: int, outcome: Outcome | None) -> None:
        """
        Record what a look-up of an uncertain row found.

        :param outcome: sent, or uncertain with a better reason; ``None`` if it found nothing
        """
        found: dict[str, Any] = {"looked_up_at": instants.write(datetime.now(UTC))}
        if outcome is not None:
            named = ("status", "message_id", "reason", *(_OF_SENT if outcome.status is Status.SENT else ()))
            found |= {name: _kept(getattr(outcome, name)) for name in named}
        changes = ", ".join(f"{name} = {_unless_erased(name, '?')}" for name in found)
        self._change(
            f"UPDATE {{table}} SET {changes}{_emptied(outcome.status) if outcome else ''}"  # noqa: S608  # names of ours
            " WHERE campaign = ? AND status = ? AND seq = ?",
            *found.values(), self.campaign, Status.UNCERTAIN, seq,
        )  # fmt: skip

    def plan_uncertain(self) -> int:
        """
        Plan the uncertain rows again, by which they may be sent twice.

        :return: how many there were
        """
        return self._plan_again(Status.UNCERTAIN, [row.seq for row, _ in self._uncertain()])

    def plan_refused(self, reasons: Sequence[str]) -> int:
        """
        Plan rows again which the API refused, and of which it is still known what to send.

        :param reasons: texts of which one must be in the reason of a row, in any case, or keys of the API; none for all
        :return: how many there were
        """
        wanted = [reason.lower() for reason in reasons]
        rows = self._query(
            "SELECT seq, reason, failed_key FROM {table}"
            " WHERE campaign = ? AND status = ? AND phone IS NOT NULL AND seq > ? ORDER BY seq",
            self.campaign, Status.REFUSED, _PLAN,
        )  # fmt: skip
        found = [
            seq
            for seq, reason, key in rows
            if not wanted or any(text in str(reason).lower() or text == str(key).lower() for text in wanted)
        ]
        return self._plan_again(Status.REFUSED, found)

    def expire(self) -> int:
        """
        Empty what rows say of a person, of all dispatches in the table, whose time for it is over.

        A row that is still planned can then be sent no more.

        :return: how many rows there were
        """
        now = instants.write(datetime.now(UTC))
        condition = "(phone IS NOT NULL OR person IS NOT NULL) AND expires_at < ? AND status <> ?"
        ((number,),) = self._query(f"SELECT count(*) FROM {{table}} WHERE {condition}", now, Status.CLAIMED)  # noqa: S608
        if number:
            self._change(
                "UPDATE {table} SET status = ?, reason = ? WHERE expires_at < ? AND status = ? AND seq > ?",
                Status.REFUSED, "its retention was over before it was sent", now, Status.PLANNED, _PLAN,
            )  # fmt: skip
            self._change(
                f"UPDATE {{table}} SET phone = NULL, content = NULL, person = NULL WHERE {condition}",  # noqa: S608
                now, Status.CLAIMED,
            )  # fmt: skip
        return int(number)

    def _plan_again(self, status: Status, found: Sequence[int]) -> int:
        for start in range(0, len(found), _ROWS_PER_STATEMENT):
            self._change(
                "UPDATE {table} SET status = ?, claimed_by = NULL, claimed_at = NULL, reason = NULL, failed_key = NULL,"
                " message_id = NULL, looked_up_at = NULL, not_before = NULL"
                " WHERE campaign = ? AND status = ? AND phone IS NOT NULL AND seq IN ({many})",
                Status.PLANNED, self.campaign, status, many=found[start : start + _ROWS_PER_STATEMENT],
            )  # fmt: skip
        self._after = _PLAN
        return len(found)

    def erase(self, pseudonym: str, phones: Sequence[str], contact_id: str | None = None) -> int:
        """
        Remove what rows say of a person, in all dispatches of the table. A row that is planned will not be sent.

        The rows themselves stay: without them a dispatch that is run again would write to the person. A message that is
        under way just now can still arrive; its row gets a status, and nothing by which the person could be found.

        :param phones: the person's numbers, as rows may hold them
        :param contact_id: id of the person's contact, by which rows are found whose retention is over
        :return: how many rows there were
        """
        who = "(person = ? OR contact_id = ? OR phone IN ({many}))"
        given = (pseudonym, contact_id)
        ((number,),) = self._query(
            f"SELECT count(*) FROM {{table}} WHERE {who}", *given, many=phones  # noqa: S608  # ours
        )  # fmt: skip
        self._change(
            f"UPDATE {{table}} SET status = ?, reason = ? WHERE status = ? AND {who}",  # noqa: S608  # ours
            Status.SUPPRESSED, "the person was erased", Status.PLANNED, *given, many=phones,
        )  # fmt: skip
        gone = ", ".join(f"{name} = NULL" for name in _OF_A_PERSON)
        # What is uncertain may have the id of a message for its reason.
        self._change(
            f"UPDATE {{table}} SET reason = CASE WHEN status = ? THEN ? ELSE reason END, {gone}, erased_at = ?"  # noqa: S608
            f" WHERE {who}",
            Status.UNCERTAIN, "the person was erased", instants.write(datetime.now(UTC)), *given, many=phones,
        )  # fmt: skip
        return int(number)

    def counts(self) -> dict[Status, int]:
        """Count the rows by status."""
        rows = self._query(
            "SELECT status, count(*) FROM {table} WHERE campaign = ? AND seq > ? GROUP BY status", self.campaign, _PLAN
        )
        found = dict(rows)
        return {status: int(found.get(status.value, 0)) for status in Status}

    def deliveries(self) -> dict[str, int]:
        """Count the sent rows that were followed up, by the status of their messages."""
        rows = self._query(
            "SELECT delivery, count(*) FROM {table} WHERE campaign = ? AND seq > ? AND delivery IS NOT NULL"
            " GROUP BY delivery",
            self.campaign, _PLAN,
        )  # fmt: skip
        return {str(name): int(number) for name, number in rows}

    def stages(self, failures: Sequence[str]) -> list[tuple[Status, str | None, bool, str | None, int]]:
        """
        Count the rows by how far they have come: status, status of the message, whether somebody answered, and why not.

        :param failures: statuses of messages that did not arrive
        """
        rows = self._query(
            "SELECT status, delivery, CASE WHEN replied_at IS NULL THEN 0 ELSE 1 END,"
            " CASE WHEN status <> ? OR delivery IN ({many}) THEN COALESCE(failed_key, reason) END, count(*)"
            " FROM {table} WHERE campaign = ? AND seq > ? GROUP BY 1, 2, 3, 4",
            Status.SENT, self.campaign, _PLAN, many=failures,
        )  # fmt: skip
        return [(Status(status), told, bool(replied), why, int(number)) for status, told, replied, why, number in rows]

    def last_claim(self) -> datetime | None:
        """Return when the last row was claimed."""
        return self._moment("max(claimed_at)")

    def oldest_claim(self) -> datetime | None:
        """Return when the oldest claim was made of which nobody has recorded what became of it."""
        return self._moment("min(claimed_at)", Status.CLAIMED)

    def _moment(self, what: str, *statuses: Status) -> datetime | None:
        of = " AND status = ?" if statuses else ""
        sql = f"SELECT {what} FROM {{table}} WHERE campaign = ? AND seq > ?{of}"  # noqa: S608  # ours
        ((moment,),) = self._query(sql, self.campaign, _PLAN, *statuses)
        return instants.read_or_none(moment)

    def to_follow(
        self,
        done: Sequence[str],
        after: int = _PLAN,
        *,
        limit: int = 100,
        since: datetime | None = None,
        upto: int | None = None,
    ) -> list[Sent]:
        """
        Read sent rows whose messages may still change.

        :param done: statuses of messages that need no further look
        :param limit: how many rows at most
        :param since: leave out rows that were claimed before
        :param upto: number of the last row to read
        """
        return self._sent(
            "seq > ? AND seq <= ? AND claimed_at >= ? AND (delivery IS NULL OR delivery NOT IN ({many}))"
            " ORDER BY seq LIMIT ?",
            after, _LAST if upto is None else upto, "" if since is None else instants.write(since), limit, many=done,
        )  # fmt: skip

    def sent(self, column: str, values: Sequence[str]) -> list[Sent]:
        """Find sent rows."""
        return self._sent(f"{column} IN ({{many}})", many=values) if values else []

    def unanswered(self, since: datetime) -> Iterator[list[Sent]]:
        """
        Read sent rows of which the contact is not known, or whether it has answered.

        :param since: leave out rows that were sent before
        """
        after = _PLAN
        while rows := self._sent(
            "seq > ? AND sent_at >= ? AND (contact_id IS NULL OR replied_at IS NULL) ORDER BY seq LIMIT 500",
            after, instants.write(since),
        ):  # fmt: skip
            after = rows[-1].seq
            yield rows

    def _sent(self, condition: str, *values: Any, many: Sequence[Any] = ()) -> list[Sent]:
        rows = self._query(
            "SELECT seq, message_id, person, session_id, contact_id, sent_at, delivery, replied_at FROM {table}"  # noqa: S608
            f" WHERE campaign = ? AND status = ? AND message_id IS NOT NULL AND {condition}",
            self.campaign, Status.SENT, *values, many=many,
        )  # fmt: skip
        return [
            Sent(
                seq=int(seq),
                message_id=str(message_id),
                person=who,
                session_id=session_id,
                contact_id=contact_id,
                sent_at=instants.read_or_none(sent_at),
                delivery=delivery,
                replied=replied_at is not None,
            )
            for seq, message_id, who, session_id, contact_id, sent_at, delivery, replied_at in rows
        ]

    def follow(self, told: Mapping[int, Mapping[str, Any]]) -> None:
        """
        Record what is known of messages. Of an instant or an id the first that is told stays.

        :param told: values of columns, by the number of the row; ``None`` changes nothing
        """

        def write(cursor: Any) -> None:
            for seq, values in told.items():
                given = {name: value for name, value in values.items() if value is not None}
                changes = ", ".join(f"{name} = {'?' if name in _LATEST else f'COALESCE({name}, ?)'}" for name in given)
                if given:
                    self._execute(
                        cursor,
                        f"UPDATE {{table}} SET {changes}"  # noqa: S608  # names of ours
                        " WHERE campaign = ? AND seq = ? AND erased_at IS NULL",
                        *given.values(), self.campaign, seq,
                    )  # fmt: skip

        if told:
            self._database.do(write)

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        self._database.close()

    def _next(self, size: int, upto: int | None) -> list[tuple[int]]:
        last = _LAST if upto is None else upto
        for after in dict.fromkeys((self._after, _PLAN)):
            rows = self._query(
                "SELECT seq FROM {table} WHERE campaign = ? AND seq > ? AND seq <= ? AND status = ?"
                " AND (not_before IS NULL OR not_before <= ?) ORDER BY seq LIMIT ?",
                self.campaign, after, last, Status.PLANNED, instants.write(datetime.now(UTC)), size,
            )  # fmt: skip
            if rows:
                return rows
        return []

    def _insert(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        columns = "campaign, seq, sender_id, row_key, phone, content, status, reason, person, expires_at, template_id"
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(rows))
        self._execute(
            cursor,
            f"INSERT INTO {{table}} ({columns}) VALUES {places}",  # noqa: S608  # places for values
            *chain.from_iterable((self.campaign, *row) for row in rows),
        )

    def _insert_rows(
        self,
        cursor: Any,
        rows: Iterable[Planned],
        last: int,
        expires_at: datetime | None,
        template_id: str | None,
        *,
        only_new: bool = False,
    ) -> None:
        expiry = instants.write_or_none(expires_at)
        given = iter(rows)
        while part := list(islice(given, _ROWS_PER_STATEMENT)):
            ids = [sender_id(self.campaign, row.key) for row in part]
            there: set[str] = set()
            if only_new:
                self._execute(cursor, "SELECT sender_id FROM {table} WHERE sender_id IN ({many})", many=ids)
                there = {found for (found,) in map(tuple, cursor.fetchall())}
            new = [(own_id, row) for own_id, row in zip(ids, part, strict=True) if own_id not in there]
            values = [
                (seq, own_id, row.key, row.phone, row.content, row.status.value, row.reason, row.person, expiry,
                 template_id)
                for seq, (own_id, row) in enumerate(new, start=last + 1)
            ]  # fmt: skip
            if values:
                self._insert(cursor, values)
            last += len(values)

    def _query(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> list[Any]:
        return self._database.query(sql.replace("{table}", self.table), *values, many=many)

    def _change(self, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        self._database.change(sql.replace("{table}", self.table), *values, many=many)

    def _execute(self, cursor: Any, sql: str, *values: Any, many: Sequence[Any] = ()) -> None:
        self._database.execute(cursor, sql.replace("{table}", self.table), *values, many=many)


def make(database: Database, table: str, columns: Mapping[str, str], *constraints: str) -> set[str]:
    """
    Make a table of campaigns where it is not there, and add columns that one of an earlier version lacks.

    :return: the columns that it had before
    :raises WtsChatArgumentError: if the table's engine knows no transactions
    """
    before = database.make(table, {name: f"{name} {kind}" for name, kind in columns.items()}, constraints)
    if database.dialect.name != "mysql":
        return before
    schema, _, name = table.rpartition(".")
    found = database.query(
        "SELECT e.engine, e.transactions FROM information_schema.tables t"
        " JOIN information_schema.engines e ON e.engine = t.engine"
        " WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ?",
        schema or None, name,
    )  # fmt: skip
    for engine, transactions in found:
        if transactions != "YES":
            msg = (
                f"{table} has the engine {engine}, which knows no transactions, so a message could be sent twice; "
                f"run ALTER TABLE {table} ENGINE=InnoDB"
            )
            raise WtsChatArgumentError("table", msg)
    return before


def _claimed(row: Sequence[Any]) -> Claimed:
    seq, own_id, phone, content, claimed_at = row
    return Claimed(
        seq=int(seq),
        sender_id=str(own_id),
        # Versions before this one kept the same digits, the country's code included, without the plus sign.
        phone=f"+{str(phone or '').removeprefix('+')}",
        content=json.loads(content or "{}"),
        claimed_at=instants.read(claimed_at),
    )


def _unless_erased(name: str, value: str) -> str:
    """Write a column only of a row whose person was not erased while its message was under way."""
    return f"CASE WHEN erased_at IS NULL THEN {value} END" if name in (*_OF_A_PERSON, "reason") else value


def _emptied(status: Status) -> str:
    """Empty what says something of a person, as soon as it is needed no more."""
    return ", phone = NULL, content = NULL" if status in (Status.SENT, Status.SUPPRESSED, Status.HELD_OUT) else ""


def _cases(group: Sequence[Outcome], field: str) -> list[Any]:
    return [value for outcome in group for value in (outcome.seq, _kept(getattr(outcome, field)))]


def _kept(value: Any) -> Any:
    return instants.write(value) if isinstance(value, datetime) else value
