"""What an answer of the API means for the rows of its request, and what a look-up finds of them later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_wtschat.api import contacts, instants, messages, sessions
from airflow_provider_wtschat.api.exchange import Exchange, call, pages, rows
from airflow_provider_wtschat.api.types import Message
from airflow_provider_wtschat.campaigns.following import failure_of, told_id, told_instant
from airflow_provider_wtschat.campaigns.people import says_never_again
from airflow_provider_wtschat.campaigns.table import CLOCKS, Claim, Claimed, Outcome, Status
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatNotFoundError, WtsChatUncertainError


def matched(claim: Claim, answer: Any) -> list[Outcome]:
    """
    Tell the results of a batch apart: by the id of each row's message, else by place if none is missing.

    :return: an outcome for each row
    """
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
        reason = reason_for(result.get("failedReason"), [row]) or "the API says that it failed"
        never_again = says_never_again(result.get("failedReason"))
        return Outcome(
            seq=row.seq, status=Status.REFUSED, message_id=message_id, reason=reason, never_again=never_again
        )
    return Outcome(
        seq=row.seq,
        status=Status.SENT,
        message_id=message_id,
        session_id=told_id(result.get("sessionId")),
        sent_at=told_instant(result.get("createdAt")) or datetime.now(UTC),
    )


def accepted(claim: Claim, answer: Any, moment: datetime) -> list[Outcome]:
    """
    Tell what became of a message that the API is to send later.

    :param moment: when it is to
    """
    identity = answer.get("id") if isinstance(answer, Mapping) else None
    if identity is None:
        return all_alike(claim, Status.UNCERTAIN, "the API's answer has no id")
    return [Outcome(seq=row.seq, status=Status.SENT, message_id=str(identity), sent_at=moment) for row in claim.rows]


def interruption_of(error: WtsChatError) -> BaseException | None:
    """Return what ended the task while its request was under way; ``None`` if it was the request that went wrong."""
    met = error.interrupted_by if isinstance(error, WtsChatUncertainError) else None
    return None if isinstance(met, OSError | WtsChatError) else met


def find_message(row: Claimed, template_id: str) -> Exchange[Outcome | None]:
    """Look for the message of a row in the sessions of its recipient."""
    since = row.claimed_at - CLOCKS
    try:
        contact = yield from call(contacts.get_by_phone(row.phone))
    except WtsChatNotFoundError:
        return None
    alike: list[Message] = []

    def take(page: list[Message]) -> Message | None:
        alike.extend(message for message in page if str(message.get("templateId")).lower() == template_id.lower())
        return next((message for message in page if message.get("senderId") == row.sender_id), None)

    for session in (yield from rows(sessions.list_(contact_id=contact["id"]))):
        ended = session.get("endAt")
        if ended and instants.read(ended) < since:
            continue
        found = yield from pages(messages.list_(session["id"], created_after=since), take)
        if found is not None:
            return Outcome(
                seq=row.seq,
                status=Status.SENT,
                message_id=found["id"],
                session_id=session["id"],
                sent_at=told_instant(found.get("createdAt")) or row.claimed_at,
            )
    if not alike:
        return None
    # Likely this one, yet no proof: another dispatch may have sent the same template.
    reason = f"the recipient has a message of this template since then, {alike[-1]['id']}, without the id of this row"
    return Outcome(seq=row.seq, status=Status.UNCERTAIN, message_id=None, reason=reason)


def all_alike(claim: Claim, status: Status, reason: str | None, key: str | None = None) -> list[Outcome]:
    """Return the same outcome for all rows of a request."""
    return [Outcome(seq=row.seq, status=status, reason=reason, failed_key=key) for row in claim.rows]


def reason_for(told: object, about: Sequence[Claimed] = ()) -> str | None:
    """Write what the API says into one line, without phone numbers and without what the rows say."""
    return failure_of(told, {str(value) for row in about for value in (row.content.get("parameters") or {}).values()})
