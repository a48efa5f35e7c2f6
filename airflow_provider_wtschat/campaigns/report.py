"""What came of a dispatch: said in the log while it goes on, and counted when it has ended."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.campaigns.table import CampaignTable, Outcome, Status
from airflow_provider_wtschat.exceptions import WtsChatFailedError

log = logging.getLogger(__name__)

_REPORT_EVERY = 10.0
FAILURES = ("FAILED", "DELETED")
"""Statuses of messages that did not arrive, and will not."""
FINAL = ("READ", *FAILURES)
"""Statuses of messages that change no more."""
_MOST_REASONS = 20
_OTHER = "other"

STAGES = (
    "planned", "suppressed", "held_out", "waiting", "uncertain", "sent", "delivered", "read", "replied", "failed",
)  # fmt: skip
"""The stages of a funnel."""
_STAGE_OF = {
    Status.PLANNED: "waiting",
    Status.CLAIMED: "waiting",
    Status.REFUSED: "failed",
    Status.UNCERTAIN: "uncertain",
    Status.SUPPRESSED: "suppressed",
    Status.HELD_OUT: "held_out",
}


class Progress:
    """Logs every few seconds how far a dispatch has come."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Status, 0)
        self._said = self._started = time.monotonic()
        self._news = False

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count what a request was answered with."""
        for outcome in outcomes:
            self._counts[outcome.status] += 1
            self._news = True
        if time.monotonic() - self._said >= _REPORT_EVERY:
            self.say()

    def say(self) -> None:
        """Log it now, unless it was logged already."""
        if not self._news:
            return
        self._said, self._news = time.monotonic(), False
        seconds = max(self._said - self._started, 0.001)
        sent, refused, uncertain = (self._counts[name] for name in (Status.SENT, Status.REFUSED, Status.UNCERTAIN))
        log.info(
            "Sent %d messages in %.0f s (%.0f/s); %d refused, %d uncertain",
            sent,
            seconds,
            sent / seconds,
            refused,
            uncertain,
        )


def report(table: CampaignTable, *, max_failed: float | None) -> dict[str, Any]:
    """
    Count what came of a dispatch, and say it.

    :param max_failed: how many rows, or which share of them below 1, may have failed; ``None`` for any
    :return: campaign, table and counts, for XCom
    :raises WtsChatFailedError: if more have failed
    """
    counts, deliveries = table.counts(), table.deliveries()
    result = {
        "campaign": table.campaign,
        "table": table.table,
        "recipients": sum(counts.values()),
        **{status.value: number for status, number in counts.items()},
        "delivery": deliveries,
        "funnel": funnel(table),
    }
    log.info("The dispatch: %s", json.dumps(result))
    if counts[Status.UNCERTAIN]:
        log.warning(
            "Nobody knows whether %d messages were sent. The table %s has their rows, with the status uncertain",
            counts[Status.UNCERTAIN],
            table.table,
        )
    _check(counts, deliveries, table.table, max_failed)
    return result


def funnel(table: CampaignTable) -> dict[str, Any]:
    """
    Count how far the rows of a dispatch have come: each stage has all rows that came at least so far.

    What was delivered, read and answered is known as far as somebody has looked.

    :return: ``planned`` (all rows), ``suppressed``, ``held_out``, ``waiting``, ``uncertain``, ``sent``, ``delivered``,
        ``read``, ``replied``, ``failed``, and ``suppressed_by_reason`` and ``failed_by_reason``
    """
    stages = dict.fromkeys(STAGES, 0)
    reasons: dict[str, Counter[str]] = {name: Counter() for name in ("suppressed", "failed")}
    for status, delivery, replied, why, number in table.stages(FAILURES):
        stages["planned"] += number
        if status is Status.SENT:
            stages["sent"] += number
            stages["delivered"] += number * (delivery in ("DELIVERED", "READ"))
            stages["read"] += number * (delivery == "READ")
            stages["replied"] += number * replied
            stage = "failed" if delivery in FAILURES else None
        else:
            stage = _STAGE_OF[status]
        if stage is not None:
            stages[stage] += number
        if stage in reasons:
            reasons[stage][why or "no reason is known"] += number
    return {**stages, **{f"{name}_by_reason": _most(found) for name, found in reasons.items()}}


def _most(found: Counter[str]) -> dict[str, int]:
    most = dict(found.most_common(_MOST_REASONS))
    rest = found.total() - sum(most.values())
    return {**most, _OTHER: rest} if rest else most


def _check(counts: Mapping[Status, int], deliveries: Mapping[str, int], table: str, max_failed: float | None) -> None:
    total = sum(counts.values())
    failed = counts[Status.REFUSED] + counts[Status.UNCERTAIN] + sum(deliveries.get(name, 0) for name in FAILURES)
    if max_failed is None or failed <= (max_failed if max_failed >= 1 else max_failed * total):
        return
    msg = (
        f"max_failed: {failed} of {total} messages were refused, are uncertain, or failed afterwards, and at most "
        f"{max_failed:g} may. The table {table} has their rows"
    )
    raise WtsChatFailedError(msg)
