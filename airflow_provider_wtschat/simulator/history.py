"""Messages and notes of the sessions; those from before the start are made up when somebody looks."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from airflow_provider_wtschat.simulator.instants import MINUTE, SECOND
from airflow_provider_wtschat.simulator.records import Message

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.records import Session
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
_SAID = ("Olá, em que posso ajudar?", "Vou verificar", "Seu pedido está a caminho", "Posso ajudar em algo mais?")


class History:
    """All messages and notes, by session."""

    def __init__(self, world: World) -> None:
        """Start without any.

        :param world: the account they belong to.
        """
        self._world = world
        self._by_session: dict[str, dict[str, Message]] = {}
        self._session_of: dict[str, str] = {}
        self._seeded: dict[int, str] = {}

    def seeded(self, session: Session) -> None:
        """Note a session whose past is to be made up from the seed."""
        self._seeded[session.seq] = session.id

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

    def find(self, message_id: str) -> Message | None:
        """Return a message or a note by its id."""
        session_id = self._session_of.get(message_id)
        if session_id is None:
            # The id of a made-up message begins with its session's position.
            session_id = self._seeded.get(int(message_id[:8], 16))
        if session_id is None or self._world.sessions.get(session_id) is None:
            return None
        return self._past(session_id).get(message_id)

    def add(self, message: Message) -> None:
        """Append a message or a note."""
        self._past(message.session_id)[message.id] = message
        self._session_of[message.id] = message.session_id

    def replace(self, message: Message) -> None:
        """Store the next version of a message."""
        self._past(message.session_id)[message.id] = message

    def _past(self, session_id: str) -> dict[str, Message]:
        known = self._by_session.get(session_id)
        if known is None:
            session = self._world.sessions.get(session_id)
            known = {} if session is None else {message.id: message for message in self._made_up(session)}
            self._by_session[session_id] = known
        return known

    def _made_up(self, session: Session) -> list[Message]:
        rng = Random(f"{self._world.options.seed}/{session.seq}")  # the same past whenever somebody looks
        count = rng.randrange(2, 9)
        span = max(session.interaction - session.created, count * SECOND)
        messages = []
        for position in range(count):
            inbound = position % 2 == 0
            at = session.created + span * (position + 1) // count
            kind = "NOTE" if position == 3 else "IMAGE" if rng.random() < 0.08 else "TEXT"
            if kind == "NOTE":
                inbound = False
            failed = not inbound and kind != "NOTE" and rng.random() < 0.03
            messages.append(
                Message(
                    seq=session.seq * 16 + position,
                    id=f"{session.seq:08x}-{position:04x}-4{rng.getrandbits(12):03x}-8{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}",
                    created=at,
                    updated=at,
                    session_id=session.id,
                    type=kind,
                    direction="FROM_HUB" if inbound else "TO_HUB",
                    origin="GATEWAY" if inbound else "DEFAULT",
                    text=self._text(rng, _ASKED if inbound else _SAID),
                    user_id=None if inbound else session.user_id,
                    course=_course(at, inbound=inbound or kind == "NOTE", failed=failed),
                    failed_reason="Número não está no WhatsApp" if failed else None,
                )
            )
        return messages

    def _text(self, rng: Random, texts: tuple[str, ...]) -> str:
        odd = self._world.options.odd_characters
        return rng.choice(ODD_TEXTS if odd and rng.random() < odd else texts)


def _course(at: int, *, inbound: bool, failed: bool) -> tuple[tuple[int, str], ...]:
    if inbound:
        return ((at, "READ"),)
    if failed:
        return ((at, "QUEUED"), (at + 2 * SECOND, "FAILED"))
    return ((at, "QUEUED"), (at + SECOND, "SENT"), (at + 3 * SECOND, "DELIVERED"), (at + 9 * MINUTE, "READ"))
