"""Messages and notes of the sessions; those from before the start are made up when somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.simulator.instants import MINUTE, SECOND
from airflow_provider_wtschat.simulator.lives import Distributions, Life, Said, Turn, live
from airflow_provider_wtschat.simulator.records import Message

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.records import Record, Session
    from airflow_provider_wtschat.simulator.world import World

_ASKED = ("Olá", "Bom dia, preciso de ajuda", "Qual o valor do frete?", "Meu pedido não chegou", "Obrigada!", "Ok")
# NUL, a lone surrogate, quotes, a line break, right-to-left, a character beyond the basic plane
ODD_TEXTS = (
    "nul\x00l",
    "lone\ud83d",
    'quo"te\\s',
    "line\nbreak\ttab",
    "\u202eright-to-left",
    "emoji \U0001f600",
    "' OR 1=1 --",
)
_ADVERTISEMENTS = (("instagram", "primavera"), ("google", "marca"), ("facebook", "remarketing"))
_REASONS = ("Número não está no WhatsApp", "O destinatário não quer receber mensagens de marketing")
_ORIGINS = {"contact": "GATEWAY", "agent": "DEFAULT", "bot": "BOT", "campaign": "CAMPAIGN"}
_KINDS = {"IMAGE": "IMAGE", "AUDIO": "AUDIO"}
_SAID = ("Olá, em que posso ajudar?", "Vou verificar", "Seu pedido está a caminho", "Posso ajudar em algo mais?")

_TEXTS: dict[str, tuple[str, ...]] = {
    "contact": _ASKED,
    "agent": _SAID,
    "bot": ("Olá! Sobre o que quer falar? 1 Vendas 2 Suporte",),
    "campaign": ("Temos novidades para você!",),
}


class History:
    """All messages and notes, by session."""

    def __init__(self, world: World) -> None:
        """Start without any."""
        self._world = world
        self._by_session: dict[str, dict[str, Message]] = {}
        self._session_of: dict[str, str] = {}
        self._seeded: dict[str, Session] = {}
        self.watch: Callable[[Message | None, Message], None] | None = None
        """Is told of each version of a message, and of the one before it."""
        self._by_seq: dict[int, str] = {}
        self._began = world.now()
        self._limits: dict[int, int] = {}
        """Where a life has come to another instant than the beginning of the account."""
        self.files: tuple[Record, ...] = ()
        """What messages from before the start may carry."""
        self.members: list[list[str]] = []
        """The agents of each department at the start: who comes or goes later has no part in what was said before."""
        self._distributions = Distributions(**world.options.lives)

    def live(self, seq: int, begin: int, limit: int, status: str) -> Life:
        """Return the life of a session from before the start: the same one whenever somebody looks."""
        rng = Random(self._world.options.seed * 1_000_003 + seq)
        return live(rng, self._distributions, begin=begin, limit=limit, status=status)

    def seeded(self, session: Session, limit: int) -> None:
        """Note a session whose past is to be made up from the seed."""
        self._seeded[session.id] = session
        self._by_seq[session.seq] = session.id
        if limit != self._began:
            self._limits[session.seq] = limit

    def turns(self, session_id: str) -> list[Turn]:
        """Return the statuses that a session from before the start had until then."""
        session = self._seeded.get(session_id)
        return [] if session is None else self._life(session).turns

    def utm(self, seq: int, life: Life) -> dict[str, Any] | None:
        """Return the advertisement that led to a conversation."""
        if life.campaign or (seq * 2_654_435_761 >> 8) % 1_000 >= self._distributions.utm_share * 1_000:
            return None
        source, campaign = _ADVERTISEMENTS[seq % len(_ADVERTISEMENTS)]
        return {
            "sourceId": f"{seq % 97:06}",
            "source": source,
            "clid": None,
            "medium": "cpc",
            "campaign": campaign,
            "content": None,
            "headline": None,
            "term": None,
            "referralUrl": f"https://example.com/{campaign}",
        }

    def text(self, seq: int, place: int, by: str) -> str:
        """Return what a message says.

        :param place: its place among the session's messages, notes left out.
        """
        odd = self._world.options.odd_characters
        if odd and by in ("contact", "agent"):
            rng = Random(f"{self._world.options.seed}/{seq}/{place}")
            if rng.random() < odd:
                return rng.choice(ODD_TEXTS)
        texts = _TEXTS[by]
        return texts[(seq + 3 * place) % len(texts)]

    def _life(self, session: Session) -> Life:
        limit = self._limits.get(session.seq, self._began)
        return self.live(session.seq, session.created, limit, session.status)

    def begin(self, session_id: str) -> None:
        """Note a session that begins without a past."""
        self._by_session[session_id] = {}

    def forget(self, session_id: str) -> None:
        """Drop everything of a session."""
        for message_id in self._by_session.pop(session_id, {}):
            self._session_of.pop(message_id, None)

    def of(self, session_id: str) -> list[Message]:
        """Return messages and notes of a session, oldest first."""
        return list(self._past(session_id).values())

    def find(self, message_id: str | None) -> Message | None:
        """Return a message or a note by its id."""
        if message_id is None:
            return None
        session_id = self._session_of.get(message_id)
        if session_id is None:
            # The id of a made-up message begins with its session's position.
            session_id = self._by_seq.get(int(message_id[:8], 16))
        if session_id is None or self._world.sessions.get(session_id) is None:
            return None
        return self._past(session_id).get(message_id)

    def add(self, message: Message) -> None:
        """Append a message or a note."""
        self._past(message.session_id)[message.id] = message
        self._session_of[message.id] = message.session_id
        if self.watch is not None:
            self.watch(None, message)

    def replace(self, message: Message) -> Message:
        """Store the next version of a message."""
        past = self._past(message.session_id)
        old, past[message.id] = past.get(message.id), message
        if self.watch is not None:
            self.watch(old, message)
        return message

    def _past(self, session_id: str) -> dict[str, Message]:
        known = self._by_session.get(session_id)
        if known is None:
            session = self._seeded.get(session_id)
            known = {} if session is None else {message.id: message for message in self._made_up(session)}
            self._by_session[session_id] = known
        return known

    def _made_up(self, session: Session) -> list[Message]:
        life = self._life(session)
        # Another source than the life's own, so that what a message looks like changes nothing about when it came.
        rng = Random(f"{self._world.options.seed}/{session.seq}")
        messages = []
        place = 0
        for position, one in enumerate(life.said):
            looks = self._note(one) if one.by == "note" else self._message(session, life, place, one, rng)
            place += one.by != "note"
            messages.append(
                Message(
                    seq=session.seq * 16 + position,
                    id=f"{session.seq:08x}-{position:04x}-4{rng.getrandbits(12):03x}-8{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}",
                    created=one.at,
                    updated=one.at,
                    session_id=session.id,
                    user_id=self._agent(life, one),
                    **looks,
                )
            )
        return messages

    def _agent(self, life: Life, one: Said) -> str | None:
        if one.by not in ("agent", "note"):
            return None
        turn = next(turn for turn in reversed(life.turns) if turn.at <= one.at and turn.agent is not None)
        members = self.members[(turn.department or 0) % len(self.members)]
        return members[(turn.agent or 0) % len(members)]

    def _note(self, one: Said) -> dict[str, Any]:
        return {"type": "NOTE", "text": "Cliente pediu retorno", "course": ((one.at, "READ"),)}

    def _message(self, session: Session, life: Life, place: int, one: Said, rng: Random) -> dict[str, Any]:
        inbound = one.by == "contact"
        looks: dict[str, Any] = {
            "direction": "FROM_HUB" if inbound else "TO_HUB",
            "origin": _ORIGINS[one.by],
            "text": self.text(session.seq, place, one.by),
            "failed_reason": _REASONS[session.seq % len(_REASONS)] if one.failed else None,
        }
        read = rng.random() < self._distributions.read_share
        looks["course"] = _course(one.at, inbound=inbound, failed=one.failed, read=read)
        if one.by == "campaign":
            template = next(iter(self._world.templates))
            looks["template_id"] = template.id
            looks["details"] = {
                "templateCategoryId": template["categoryId"],
                "templateCategoryName": template["categoryName"],
            }
        elif one.by in ("contact", "agent") and rng.random() < self._distributions.file_share:
            file = rng.choice(self.files)
            looks |= {"type": _KINDS.get(file["type"], "DOCUMENT"), "file_ids": (file.id,)}
            if file["type"] == "AUDIO":
                transcription = {"text": looks["text"], "processing": False, "error": False}
                looks |= {"text": None, "details": {"transcription": transcription}}
        if place == 0 and session.utm:
            looks["details"] = {**looks.get("details", {}), "utm": dict(session.utm)}
        return looks


def _course(at: int, *, inbound: bool, failed: bool, read: bool) -> tuple[tuple[int, str], ...]:
    if inbound:
        return ((at, "READ"),)
    if failed:
        return ((at, "QUEUED"), (at + 2 * SECOND, "FAILED"))
    course = ((at, "QUEUED"), (at + SECOND, "SENT"), (at + 3 * SECOND, "DELIVERED"))
    return (*course, (at + 9 * MINUTE, "READ")) if read else course
