"""What the models have to show, computed from the books of the simulated account and not from rows of the API."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from airflow_provider_wtschat.simulator.instants import DAY, HOUR, SECOND
from airflow_provider_wtschat.simulator.lives import CLOSES, OPENS, TIMEZONE_HOURS, WORKDAYS, times
from airflow_provider_wtschat.simulator.records import OPEN_STATUSES, Message, Session
from airflow_provider_wtschat.simulator.views import FAILURE_KEYS
from tests.models.account import Living, campaign_messages

EPOCH = datetime(1970, 1, 1)
SLA = 900
AUTHORS = {"DEFAULT": "agent", "BOT": "bot", "CAMPAIGN": "campaign", "API": "api"}

Rows = dict[Any, dict[str, Any]]


def instant(micros: int | None) -> datetime | None:
    """Write an instant as the models do."""
    return None if micros is None else EPOCH + timedelta(microseconds=micros)


def day_of(micros: int) -> date:
    """Return the day in the account's zone."""
    return (EPOCH + timedelta(microseconds=micros + TIMEZONE_HOURS * HOUR)).date()


def seconds(first: int | None, second: int | None) -> int | None:
    """Count seconds between two instants, each cut to its second."""
    return None if first is None or second is None else second // SECOND - first // SECOND


def office_seconds(first: int | None, second: int | None) -> int | None:
    """Count the seconds between two instants at which the office is open, day by day."""
    if first is None or second is None:
        return None
    first, second = first // SECOND * SECOND, second // SECOND * SECOND
    sign = 1 if second >= first else -1
    first, second = sorted((first, second))
    shift = -TIMEZONE_HOURS * HOUR
    total = 0
    for day in range((first - shift) // DAY, (second - shift) // DAY + 1):
        if (day + 3) % 7 < WORKDAYS:  # the epoch was a Thursday
            opens, closes = day * DAY + OPENS + shift, day * DAY + CLOSES + shift
            total += max(0, min(second, closes) - max(first, opens))
    return sign * total // SECOND


def author(message: Message) -> str:
    """Say who wrote a message."""
    return "contact" if message.direction == "FROM_HUB" else AUTHORS.get(message.origin, "other")


class Books:
    """
    The account's books, once nothing moves any more.

    :param living: the account
    :param statuses: by id of a message, the status that a load may have seen last (see `statuses_seen`)
    """

    def __init__(self, living: Living, statuses: Mapping[str, str]) -> None:
        self.living = living
        self.world = world = living.world
        self.now = world.now()
        self.status = statuses
        self.messages: dict[str, list[Message]] = {
            session.id: [message for message in world.history.of(session.id) if message.type != "NOTE"]
            for session in world.sessions
        }
        self.names = {agent["userId"]: agent["name"] for agent in world.agents}

    # Messages

    def fct_messages(self) -> Rows:
        """Say of each message who wrote it, and what came of it."""
        return {message.id: self._message(message, said) for said in self.messages.values() for message in said}

    def _message(self, message: Message, said: list[Message]) -> dict[str, Any]:
        status = self.status[message.id]
        out = message.direction == "TO_HUB"
        later = said[said.index(message) + 1 :]
        reply = next((one.created for one in later if one.direction == "FROM_HUB"), None) if out else None
        return {
            "session_id": message.session_id,
            "created_at": instant(message.created),
            "created_day": day_of(message.created),
            "created_hour": (message.created + TIMEZONE_HOURS * HOUR) % DAY // HOUR,
            "author": author(message),
            "is_inbound": not out,
            "user_id": message.user_id,
            "template_id": message.template_id,
            "is_delivered": out and status in ("DELIVERED", "READ"),
            "is_read": out and status == "READ",
            "is_failed": status == "FAILED",
            "has_file": bool(message.file_ids),
            "replied_at": instant(reply),
            "reply_seconds": seconds(message.created, reply) if reply else None,
        }

    # Sessions

    def fct_sessions(self) -> Rows:
        """Say of each session how it went."""
        return {session.id: self._session(session) for session in self.world.sessions}

    def _session(self, session: Session) -> dict[str, Any]:
        said = self.messages[session.id]
        added = times(self.world.turns(session.id))
        asked = self.asked(session)
        answered = self.answered(session)
        done = session.status == "COMPLETED"
        authors = [author(message) for message in said]
        first = seconds(asked, answered)
        in_office = office_seconds(asked, answered)
        channel = self.world.channels.get(session.channel_id)
        department = self.world.departments.get(session.department_id)
        return {
            "status": session.status,
            "is_open": session.status in OPEN_STATUSES,
            "created_at": instant(session.created),
            "created_day": day_of(session.created),
            "ended_at": instant(session.end),
            "open_for_seconds": seconds(session.created, self.now) if session.end is None else None,
            "contact_id": session.contact_id,
            "channel_id": session.channel_id,
            "channel_type": channel and channel["type"],
            "department_id": session.department_id,
            "department_name": department and department["name"],
            "user_id": session.user_id,
            "agent_name": self.names.get(session.user_id or ""),
            "utm_campaign": (session.utm or {}).get("campaign"),
            "opened_by": authors[0] if authors else None,
            "first_response_at": instant(answered),
            "first_response_seconds": first,
            "first_response_office_seconds": in_office,
            "is_in_sla": None if first is None else first <= SLA,
            "is_in_office_sla": None if in_office is None else in_office <= SLA,
            "resolution_seconds": seconds(session.created, session.end) if done else None,
            "resolution_office_seconds": office_seconds(session.created, session.end) if done else None,
            "wait_seconds": None if added.waited is None else added.waited // SECOND,
            "service_seconds": self.served(session),
            "messages_in": authors.count("contact"),
            "messages_out": len(authors) - authors.count("contact"),
            "messages_by_agents": authors.count("agent"),
            "messages_by_bot": authors.count("bot"),
            "messages_failed": sum(self.status[message.id] == "FAILED" for message in said),
            "messages_with_file": sum(bool(message.file_ids) for message in said),
            "agents_writing": len({one.user_id for one in said if author(one) == "agent" and one.user_id}),
            "only_bot_answered": "bot" in authors and "agent" not in authors,
            "campaign": "spring" if any(message.sender_id for message in said) else None,
        }

    def asked(self, session: Session) -> int | None:
        """Return when the contact wrote first; the beginning of a session without messages."""
        said = self.messages[session.id]
        first = next((one.created for one in said if one.direction == "FROM_HUB"), None)
        return first if said else session.created

    def answered(self, session: Session) -> int | None:
        """Return when an agent wrote first after the contact had."""
        asked = next((one.created for one in self.messages[session.id] if one.direction == "FROM_HUB"), None)
        if asked is None:
            return None
        answers = (one.created for one in self.messages[session.id] if author(one) == "agent" and one.created >= asked)
        return next(answers, None)

    def served(self, session: Session) -> int | None:
        """Return the seconds with agents of a completed session; none if it began completed and never came to one."""
        served = times(self.world.turns(session.id)).served
        if session.status != "COMPLETED" or (served is None and session.times.served is None):
            return None
        return (served or 0) // SECOND

    def changes(self) -> dict[str, dict[str, tuple[int, int]]]:
        """
        Say between which numbers lies what loads have seen.

        A load shows what is there when it reads, so everything that differs between two readings at rest was seen, and
        nothing more than what has happened since the first one.
        """
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for session in self.world.sessions:
            versions = [seen.sessions[session.id] for seen in self.living.seen if session.id in seen.sessions]
            turns = self.world.turns(session.id)
            ends = [turn for turn, after in pairwise(turns) if turn.status == "COMPLETED" != after.status]
            taken = [turn for turn in turns if turn.status == "IN_PROGRESS"]
            reopened = sum(a.end is not None and (b.end is None or b.end > a.end) for a, b in pairwise(versions))
            moved = sum(bool(a.user_id and b.user_id and a.user_id != b.user_id) for a, b in pairwise(versions))
            # Whatever ended before the first reading could not be seen.
            start = self.living.seen[0].at
            before = sum(turns[place + 1].at <= start for place, turn in enumerate(turns[:-1]) if turn in ends)
            found[session.id] = {
                "reopenings_seen": (reopened, len(ends) - before),
                "agent_changes_seen": (moved, len(taken)),
            }
        return found

    # By day

    def agent_daily(self) -> Rows:
        """Add up the work of agents by day."""
        rows: Rows = defaultdict(lambda: defaultdict(int))
        talks = defaultdict(set)
        for session in self.world.sessions:
            said = self.messages[session.id]
            for message in said:
                if author(message) == "agent" and message.user_id:
                    key = (day_of(message.created), message.user_id)
                    rows[key]["messages_out"] += 1
                    talks[key].add(session.id)
            answered = self.answered(session)
            if answered is not None:
                by = next(one.user_id for one in said if one.created == answered and author(one) == "agent")
                if by:
                    row = rows[day_of(answered), by]
                    row["first_responses"] += 1
                    row["first_response_seconds"] += seconds(self.asked(session), answered) or 0
                    in_office = office_seconds(self.asked(session), answered)
                    row["first_responses_in_office_sla"] += in_office is not None and in_office <= SLA
            if session.status == "COMPLETED" and session.user_id and session.end is not None:
                row = rows[day_of(session.end), session.user_id]
                row["sessions_concluded"] += 1
                served = self.served(session)
                row["service_seconds"] += served or 0
                row["served"] += served is not None
        for key, sessions in talks.items():
            rows[key]["sessions_answered"] = len(sessions)
        counts = ("messages_out", "sessions_answered", "first_responses", "first_responses_in_office_sla",
                  "sessions_concluded")  # fmt: skip
        return {
            key: {
                **{name: row[name] for name in counts},
                "first_response_seconds": row["first_response_seconds"] if row["first_responses"] else None,
                "service_seconds": row["service_seconds"] if row["served"] else None,
                "agent_name": self.names[key[1]],
            }
            for key, row in rows.items()
        }

    def department_daily(self) -> Rows:
        """Add up what departments did by day."""
        begun, ended = defaultdict(list), defaultdict(list)
        for session in self.world.sessions:
            key = session.department_id or "none"
            begun[day_of(session.created), key].append(session)
            if session.end is not None:
                ended[day_of(session.end), key].append(session)
        return {key: {**self._begun(begun.get(key, [])), **self._ended(ended.get(key, []))} for key in {*begun, *ended}}

    def _begun(self, sessions: list[Session]) -> dict[str, Any]:
        pairs = [(self.asked(session), self.answered(session)) for session in sessions]
        firsts = [found for found in (seconds(*pair) for pair in pairs) if found is not None]
        offices = [found for found in (office_seconds(*pair) for pair in pairs) if found is not None]
        waits = [times(self.world.turns(session.id)).waited for session in sessions]
        return {
            "sessions_begun": len(sessions),
            "sessions_answered": len(firsts),
            "first_response_seconds": sum(firsts) if firsts else None,
            "first_response_seconds_median": median(firsts) if firsts else None,
            "answered_in_sla": sum(found <= SLA for found in firsts),
            "answered_in_office_sla": sum(found <= SLA for found in offices),
            "wait_seconds": sum(one // SECOND for one in waits if one is not None)
            if any(one is not None for one in waits)
            else None,
        }

    def _ended(self, sessions: list[Session]) -> dict[str, Any]:
        served = [found for found in map(self.served, sessions) if found is not None]
        return {
            "sessions_concluded": len(sessions),
            "resolution_seconds": sum(seconds(one.created, one.end) or 0 for one in sessions) if sessions else None,
            "service_seconds": sum(served) if served else None,
        }

    def backlog_daily(self) -> Rows:
        """Count what was open at the end of each day."""
        rows: Rows = {}
        first: dict[str, date] = {}
        for session in self.world.sessions:
            key, begun = session.department_id or "none", day_of(session.created)
            first[key] = min(begun, first.get(key, begun))
        last = day_of(self.now)
        for key, day in first.items():
            mine = [one for one in self.world.sessions if (one.department_id or "none") == key]
            while day <= last:
                rows[day, key] = {
                    "sessions_begun": sum(day_of(one.created) == day for one in mine),
                    "sessions_ended": sum(one.end is not None and day_of(one.end) == day for one in mine),
                    "sessions_open": sum(
                        day_of(one.created) <= day and (one.end is None or day_of(one.end) > day) for one in mine
                    ),
                }
                day += timedelta(days=1)
        return rows

    # Campaigns

    def template_daily(self) -> Rows:
        """Count what came of the messages of templates by day."""
        rows: Rows = defaultdict(lambda: defaultdict(int))
        for said in self.messages.values():
            for message in said:
                if message.template_id and message.direction == "TO_HUB":
                    found = self._message(message, said)
                    row = rows[found["created_day"], message.template_id]
                    row["sent"] += 1
                    row["delivered"] += found["is_delivered"]
                    row["read"] += found["is_read"]
                    row["failed"] += found["is_failed"]
                    row["replied"] += found["replied_at"] is not None
        return {key: dict(row) for key, row in rows.items()}

    def fct_campaigns(self) -> Rows:
        """Count what came of the campaign: 30 people, and one without a number."""
        sent = campaign_messages(self.world)
        found = [self._message(message, self.messages[message.session_id]) for message in sent]
        failed = sum(one["is_failed"] for one in found)
        return {
            "spring": {
                "planned": 31,
                "suppressed": 0,
                "held_out": 0,
                "waiting": 0,
                "uncertain": 0,
                "sent": len(sent),
                "delivered": sum(one["is_delivered"] for one in found),
                "read": sum(one["is_read"] for one in found),
                "replied": sum(one["replied_at"] is not None for one in found),
                "failed": failed + 1,
            }
        }

    def fct_campaign_failures(self) -> Rows:
        """Count why messages of the campaign failed; the row without a number was refused."""
        failed = [message for message in campaign_messages(self.world) if self.status[message.id] == "FAILED"]
        keys = Counter(FAILURE_KEYS.get(message.failed_reason or "", "MESSAGE_FAILED") for message in failed)
        return {("spring", key): {"failed": number} for key, number in {**keys, "no phone number": 1}.items()}

    # Cards

    def fct_cards(self) -> Rows:
        """Say of each card where it is, and for how long."""
        titles = {step.id: (panel, step) for panel in self.world.panels for step in panel["_steps"]}
        rows: Rows = {}
        for card in self.world.cards:
            panel, step = titles[card["stepId"]]
            entered, known, closed = self._entered(card.id)
            rows[card.id] = {
                "panel_title": panel["title"],
                "step_title": step["title"],
                "status": card["status"],
                "contacts": len(card["contactIds"]),
                "contact_id": min(card["contactIds"], default=None),
                "responsible_name": self.names.get(card["responsibleUserId"] or ""),
                "monetary_amount": card["monetaryAmount"],
                "is_entry_known": known,
                "entered_step_at": instant(entered),
                "seconds_in_step": seconds(entered, self.now if closed is None else closed),
            }
        return rows

    def _entered(self, card_id: str) -> tuple[int, bool, int | None]:
        """Return when a card came into its step, whether that is known, and when it was closed there."""
        versions = [(at, card) for found, at, card in self.living.card_versions if found == card_id]
        step = versions[-1][1]["stepId"]
        place = len(versions)
        while place and versions[place - 1][1]["stepId"] == step:
            place -= 1
        closed = next((at for at, card in versions[place:] if card["status"] != "OPEN"), None)
        if place:
            return versions[place][0], True, closed
        initial = next(
            bool(one["isInitial"]) for panel in self.world.panels for one in panel["_steps"] if one.id == step
        )
        first = versions[0][1]
        return (first.created if initial else versions[0][0]), initial, closed

    def stays(self) -> Iterator[tuple[str, str, datetime | None]]:
        """Give all stays of cards in steps that began after the first reading: card, step, and since when."""
        last: dict[str, str] = {}
        for card_id, at, card in self.living.card_versions:
            if last.get(card_id, card["stepId"]) != card["stepId"]:
                yield card_id, card["stepId"], instant(at)
            last[card_id] = card["stepId"]

    # Contacts

    def contact_summary(self) -> Rows:
        """Add up what there is of each contact."""
        rows: Rows = {}
        sessions = defaultdict(list)
        for session in self.world.sessions:
            sessions[session.contact_id].append(session)
        cards = defaultdict(list)
        for card in self.world.cards:
            for contact_id in set(card["contactIds"]):
                cards[contact_id].append(card)
        vip = {tag.id for tag in self.world.tags if tag["name"] == "VIP"}
        for contact in self.world.contacts:
            mine = sessions[contact.id]
            said = [message for session in mine for message in self.messages[session.id]]
            firsts = [seconds(self.asked(session), self.answered(session)) for session in mine]
            known = [found for found in firsts if found is not None]
            won = [card for card in cards[contact.id] if card["status"] == "WON"]
            points = contact.custom_fields.get("pontos")
            rows[contact.id] = {
                "status": contact.status,
                "sessions": len(mine),
                "sessions_open": sum(session.status in OPEN_STATUSES for session in mine),
                "first_session_at": instant(min((session.created for session in mine), default=None)),
                "last_session_at": instant(max((session.created for session in mine), default=None)),
                "messages_in": sum(message.direction == "FROM_HUB" for message in said),
                "messages_out": sum(message.direction == "TO_HUB" for message in said),
                "first_response_seconds_average": sum(known) / len(known) if known else None,
                "cards": len(cards[contact.id]),
                "cards_won": len(won),
                "amount_won": sum(card["monetaryAmount"] or 0 for card in won),
                "campaign_messages": sum(bool(message.sender_id) for message in said),
                "tags": len(contact.tag_ids),
                "csat": None if points is None else str(points),
                "is_converted": bool(vip & set(contact.tag_ids)),
            }
        return rows


def statuses_seen(living: Living, rows: list[dict[str, Any]]) -> dict[str, str]:
    """
    Take from the books which status of each message a load saw last.

    A status moves on without its session, and is read again when the session is; so it is the one that the message had
    when it was read. Instants of readings have seconds only.

    :param rows: id, status and read_at of all messages
    """
    known = {
        message.id: message for session in living.world.sessions for message in living.world.history.of(session.id)
    }
    found = {}
    for row in rows:
        message = known.get(row["id"])
        if message is None:
            continue
        at = round((row["read_at"].replace(tzinfo=None) - EPOCH) / timedelta(microseconds=1))
        possible = [message.status(at + shift * SECOND) for shift in (0, 1, -1, 2, -2)]
        assert row["status"] in possible, (message, row)
        found[message.id] = row["status"]
    return found
