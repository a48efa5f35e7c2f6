"""How a conversation goes: who writes when, how long it waits, who answers, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from airflow_provider_wtschat.simulator.instants import DAY, HOUR, MINUTE, SECOND

TIMEZONE_HOURS = -3
"""The account's offset from UTC."""
OPENS, CLOSES = 9 * HOUR, 18 * HOUR
WORKDAYS = 5
"""The office is open from Monday on for so many days."""

FOLLOWING: Mapping[str, frozenset[str]] = {
    "STARTED": frozenset({"PENDING", "COMPLETED"}),
    "HIDDEN": frozenset({"PENDING"}),
    "PENDING": frozenset({"IN_PROGRESS", "COMPLETED"}),
    "IN_PROGRESS": frozenset({"PENDING", "COMPLETED"}),
    "COMPLETED": frozenset({"PENDING"}),
}
"""By status, those that a life goes on to: PENDING after IN_PROGRESS is a transfer, after COMPLETED a reopening."""

_LONGEST = 3
_NOBODY_ANSWERS = DAY
_ABANDONED = 0.05
_NOTED = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributions:
    """
    What lives are drawn from; shares are between 0 and 1, means are of exponential distributions.

    :param campaign_share: sessions that a campaign's template begins
    :param reply_share: of those that got it, people who reply
    :param failure_share: outgoing messages that fail
    :param read_share: delivered messages that are read
    :param bot_share: conversations that a chatbot takes first
    :param transfer_share: conversations that go on in another department
    :param reopen_share: concluded conversations that are taken up again
    :param utm_share: conversations that an advertisement led to
    :param file_share: messages of people that carry a file
    :param wait_s: mean seconds in the queue, inside office hours
    :param response_s: mean seconds that an agent takes to answer
    :param rounds: mean number of further questions and answers
    """

    campaign_share: float = 0.15
    reply_share: float = 0.35
    failure_share: float = 0.03
    read_share: float = 0.8
    bot_share: float = 0.4
    transfer_share: float = 0.08
    reopen_share: float = 0.06
    utm_share: float = 0.12
    file_share: float = 0.1
    wait_s: float = 480.0
    response_s: float = 90.0
    rounds: float = 1.6


class Said(NamedTuple):
    """
    A message or a note of a life.

    :param by: ``contact``, ``agent``, ``bot``, ``campaign`` or ``note``
    :param failed: whether it failed after it was accepted
    """

    at: int
    by: str
    failed: bool = False


class Turn(NamedTuple):
    """
    A status, from when on, and with which agent and department (both as numbers that stand for one of those there are).

    :param at: from when on
    :param agent: place of the agent within the department, ``None`` for nobody
    :param department: place of the department, ``None`` for none yet
    """

    at: int
    status: str
    agent: int | None = None
    department: int | None = None


class Life(NamedTuple):
    """
    A conversation from its beginning up to the present.

    :param said: messages and notes, in order
    :param turns: statuses, in order
    :param campaign: whether a campaign began it
    :param with_bot: whether a chatbot took it first
    """

    said: list[Said]
    turns: list[Turn]
    campaign: bool
    with_bot: bool


class Times(NamedTuple):
    """
    What the statuses of a conversation add up to.

    :param waited: microseconds in queues that ended with an agent, ``None`` if none did
    :param served: microseconds with agents, ``None`` if it never was
    :param queued: since when it waits, ``None`` if it does not
    :param taken: since when an agent has it, ``None`` if none has
    """

    waited: int | None = None
    served: int | None = None
    queued: int | None = None
    taken: int | None = None

    def then(self, at: int, status: str) -> Times:
        """Return the times after the conversation has come to a status."""
        waited, served, queued, taken = self
        if taken is not None and status != "IN_PROGRESS":
            served, taken = (served or 0) + at - taken, None
        if queued is not None and status != "PENDING":
            if status == "IN_PROGRESS":
                waited = (waited or 0) + at - queued
            queued = None
        if status == "PENDING" and queued is None:
            queued = at
        if status == "IN_PROGRESS" and taken is None:
            taken = at
        return Times(waited, served, queued, taken)


def times(turns: list[Turn]) -> Times:
    """Add the statuses of a conversation up."""
    result = Times()
    for turn in turns:
        result = result.then(turn.at, turn.status)
    return result


def first_response(life: Life) -> int | None:
    """Return when an agent first wrote after the contact had."""
    written = False
    for one in life.said:
        written = written or one.by == "contact"
        if written and one.by == "agent":
            return one.at
    return None


def opens(at: int) -> int:
    """Return the first instant from this one on at which the office is open."""
    day, of_day = divmod(at + TIMEZONE_HOURS * HOUR, DAY)
    weekday = (day + 3) % 7  # the epoch was a Thursday
    if weekday < WORKDAYS:
        if of_day < OPENS:
            return at + OPENS - of_day
        if of_day < CLOSES:
            return at
    ahead = 1 if (weekday + 1) % 7 < WORKDAYS else 7 - weekday
    return at + ahead * DAY - of_day + OPENS


def live(rng: Random, how: Distributions, *, begin: int, limit: int, status: str) -> Life:
    """
    Draw a life that has come to a status.

    :param rng: where it is drawn from
    :param limit: the present: a life that would last longer goes faster
    """
    life = _drawn(rng, how, begin, status)
    last = max(life.said[-1].at, life.turns[-1].at)
    if last <= limit:
        return life
    # Up to some time before the present, since not everything happens right now.
    share = (limit - begin) / (last - begin) * (0.5 + 0.5 * rng.random())
    return life._replace(
        said=[one._replace(at=begin + int((one.at - begin) * share)) for one in life.said],
        turns=[one._replace(at=begin + int((one.at - begin) * share)) for one in life.turns],
    )


def _drawn(rng: Random, how: Distributions, begin: int, status: str) -> Life:
    chance, lasting = rng.random, rng.expovariate
    at = begin
    campaign = status == "HIDDEN" or (status != "STARTED" and chance() < how.campaign_share)
    with_bot = not campaign and (status == "STARTED" or chance() < how.bot_share)
    life = Life([], [], campaign, with_bot)
    said, turns = life.said, life.turns
    if campaign:
        failed = chance() < how.failure_share
        replies = not failed and chance() < how.reply_share
        unanswered = status == "HIDDEN" or (status == "COMPLETED" and not replies)
        said.append(Said(at, "campaign", failed and unanswered))
        turns.append(Turn(at, "HIDDEN" if status == "HIDDEN" else "STARTED"))
        if unanswered:
            if status == "COMPLETED":
                turns.append(Turn(at + _NOBODY_ANSWERS, "COMPLETED"))
            return life
        at += MINUTE + int(lasting(1 / (2 * HOUR)))
    said.append(Said(at, "contact"))
    if with_bot:
        turns.append(Turn(at, "STARTED"))
        said.append(Said(at + 2 * SECOND, "bot"))
        if status == "STARTED":
            return life
        at += 3 * SECOND + int(lasting(1 / (20 * SECOND)))
        said.append(Said(at, "contact"))
        at += SECOND
    department = int(chance() * 840)
    turns.append(Turn(at, "PENDING", None, department))
    if status == "PENDING" or (status == "COMPLETED" and chance() < _ABANDONED):
        if chance() < 0.3:
            at += int(lasting(1 / HOUR))
            said.append(Said(at, "contact"))
        if status == "COMPLETED":
            turns.append(Turn(at + int(lasting(1 / (4 * HOUR))), "COMPLETED", None, department))
        return life

    def served(at: int, rounds: int) -> int:
        """Let an agent take it and go on with it; return when it was last spoken."""
        at = opens(at + int(lasting(1 / (how.wait_s * SECOND))))
        turns.append(Turn(at, "IN_PROGRESS", int(chance() * 840), department))
        for left in range(rounds, -1, -1):
            at += 5 * SECOND + int(lasting(1 / (how.response_s * SECOND)))
            said.append(Said(at, "agent", chance() < how.failure_share))
            if left:
                at += 5 * SECOND + int(lasting(1 / (3 * MINUTE)))
                said.append(Said(at, "contact"))
        return at

    at = served(at, min(_LONGEST, int(lasting(1 / how.rounds)) if how.rounds else 0))
    if chance() < _NOTED:
        said.append(Said(at, "note"))
    if chance() < how.transfer_share:
        department += 1 + int(chance() * 2)
        at += MINUTE
        turns.append(Turn(at, "PENDING", None, department))
        at = served(at, 0)
    if status == "IN_PROGRESS":
        if chance() < 0.5:
            at += int(lasting(1 / (10 * MINUTE)))
            said.append(Said(at, "contact"))
        return life
    at += int(lasting(1 / (10 * MINUTE)))
    last = turns[-1]
    turns.append(Turn(at, "COMPLETED", last.agent, department))
    if chance() < how.reopen_share:
        at += MINUTE + int(lasting(1 / DAY))
        said.append(Said(at, "contact"))
        turns.append(Turn(at, "PENDING", None, department))
        at = served(at, 0) + int(lasting(1 / (10 * MINUTE)))
        turns.append(Turn(at, "COMPLETED", turns[-1].agent, department))
    return life
