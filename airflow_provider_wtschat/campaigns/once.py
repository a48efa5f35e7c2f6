"""A send of one's own, at most once for each key: what a campaign promises its rows, for code that calls the hook."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypedDict
from uuid import uuid4

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.campaigns.following import failure_of, told_id, told_instant
from airflow_provider_wtschat.campaigns.table import (
    DEFAULT_TABLE,
    LONGEST_NAME,
    STALE_AFTER,
    CampaignTable,
    Claim,
    Outcome,
    Planned,
    Single,
    Status,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatUncertainError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.sql.sources import connected

__all__ = ["SentOnce", "send_once"]

_FACTS = {"audience": "send_once"}
"""What is noted of such a campaign, so that no dispatch takes its rows for recipients of a template."""


class SentOnce(TypedDict):
    """What came of a send, the same for each call with its key; ready for XCom, and without personal data."""

    key: str
    message_id: str | None
    session_id: str | None
    sent_at: str | None
    already_sent: bool


def send_once(
    key: str,
    request: Request[Any],
    *,
    sql_conn_id: str,
    campaign: str = "send_once",
    table: str = DEFAULT_TABLE,
    wtschat_conn_id: str = DEFAULT_CONN_ID,
    resend_uncertain: bool = False,
) -> SentOnce:
    """
    Send a request at most once for each key, whoever calls it, how often, and whatever is killed meanwhile.

    For ``@task`` functions that send by themselves. A row of the campaign table is claimed, which is committed, before
    the request goes out, and what became of it is recorded afterwards. A later call with the key, of any task on any
    worker, sends nothing and returns what the earlier one did. What was refused, or did not go out, may be tried again
    with the same key.

    Returns the key, the ids of message and session, when it was sent, and whether an earlier call has sent it.

    .. code-block:: python

        send_once("invoice 7", sends.send_text(to=phone, from_channel=channel, text=text), sql_conn_id="warehouse")

    :param key: what makes the send a new one, such as the number of an invoice; let it say nothing of a person
    :param request: what to send, such as :func:`airflow_provider_wtschat.api.sends.send_template` makes
    :param sql_conn_id: id of the connection to the database with the table: SQLite, PostgreSQL or MySQL
    :param campaign: what the keys belong to; the same key in another campaign is another send. Default: ``send_once``
    :param table: name of the table, which is made where it is missing. Default: ``wtschat_campaign``
    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``
    :param resend_uncertain: send again what an earlier call may have sent, so that it may arrive twice. Default: false
    :return: what came of it
    :raises WtsChatUncertainError: if an earlier call may have sent it, or this one may have; Airflow does not retry it
    :raises WtsChatArgumentError: if an argument is refused
    :raises WtsChatError: if it was not sent; retryable where another call may fare better, and if another worker is
        sending it just now
    """
    key = str(convert.text("key", convert.required_text("key", key), max_length=LONGEST_NAME))
    name = str(convert.text("campaign", convert.required_text("campaign", campaign), max_length=LONGEST_NAME))
    again = convert.required("resend_uncertain", convert.boolean("resend_uncertain", resend_uncertain))
    with closing(CampaignTable(connected("sql_conn_id", sql_conn_id), table, name)) as rows:
        rows.create()
        _plan(rows, key)
        claim = None
        while claim is None:
            row = rows.single(key)
            if row.status is Status.SENT:
                return _told(key, row, already_sent=True)
            _free(rows, row, key, again=again)
            claim = rows.claim_single(key, f"{_process()}-{uuid4().hex}")
        _send(rows, claim, request, wtschat_conn_id)
        return _told(key, rows.single(key), already_sent=False)


def _plan(rows: CampaignTable, key: str) -> None:
    known = rows.facts()
    if known is None:
        rows.plan(list, _FACTS)
        known = rows.facts() or {}
    if known.get("audience") != _FACTS["audience"]:
        msg = f"{rows.campaign!r} is a dispatch of {rows.table}; name another campaign for sends of your own"
        raise WtsChatArgumentError("campaign", msg)
    if not rows.known([key]):
        rows.extend(lambda: [Planned(key=key, phone=None, content=None)], lambda facts: facts)


def _free(rows: CampaignTable, row: Single, key: str, *, again: bool) -> None:
    """Make a row ready to be claimed, if that may be."""
    if row.status is Status.CLAIMED and row.claimed_at is not None:
        if datetime.now(UTC) - row.claimed_at < STALE_AFTER:
            minutes = int(STALE_AFTER / timedelta(minutes=1))
            msg = (
                f"{key!r} is being sent by another worker, or by one that was killed lately. A retry tells: what "
                f"nobody has recorded after {minutes} minutes is uncertain, and is not sent again"
            )
            raise WtsChatError(msg, retryable=True)
        rows.settle_single(key, row.claimed_by, Status.UNCERTAIN, "the call that had claimed it ended without a record")
        row = rows.single(key)
    if row.status is Status.UNCERTAIN and not again:
        raise _uncertain(key, row.reason)
    if row.status in (Status.UNCERTAIN, Status.REFUSED):
        rows.settle_single(key, row.claimed_by, Status.PLANNED, None)


def _send(rows: CampaignTable, claim: Claim, request: Request[Any], wtschat_conn_id: str) -> None:
    (row,) = claim.rows
    try:
        answer = WtsChatHook(wtschat_conn_id).run(request)
    except WtsChatError as error:
        if error.retryable and not isinstance(error, WtsChatUncertainError):
            rows.release(claim)
        else:
            # Every other error than that one says that nothing was done.
            status = Status.UNCERTAIN if isinstance(error, WtsChatUncertainError) else Status.REFUSED
            rows.record(claim, [Outcome(seq=row.seq, status=status, reason=failure_of(error), failed_key=error.key)])
        raise
    except BaseException as error:
        reason = f"{type(error).__name__} while it was sent"
        rows.record(claim, [Outcome(seq=row.seq, status=Status.UNCERTAIN, reason=reason)])
        raise
    told = answer if isinstance(answer, dict) else {}
    told = next(iter(told.get("results") or ()), told)
    outcome = Outcome(
        seq=row.seq,
        status=Status.SENT,
        message_id=told_id(told.get("id")),
        session_id=told_id(told.get("sessionId")),
        sent_at=told_instant(told.get("createdAt")) or datetime.now(UTC),
    )
    rows.record(claim, [outcome])


def _uncertain(key: str, reason: str | None) -> WtsChatUncertainError:
    return WtsChatUncertainError(
        f"Nobody knows whether {key!r} was sent ({reason}), so it is not sent again. Look in WTS Chat what arrived. If "
        "it may be sent, even twice, call send_once with resend_uncertain=True"
    )


def _told(key: str, row: Single, *, already_sent: bool) -> SentOnce:
    return {
        "key": key,
        "message_id": row.message_id,
        "session_id": row.session_id,
        "sent_at": instants.write_or_none(row.sent_at),
        "already_sent": already_sent,
    }


@cache
def _process() -> str:
    """Name this process in the table."""
    return uuid4().hex[:20]


os.register_at_fork(after_in_child=_process.cache_clear)
