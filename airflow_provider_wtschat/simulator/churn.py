"""The account's own life while somebody reads it: sessions arrive, change, get messages, end, are deleted."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from airflow_provider_wtschat.simulator.instants import SECOND

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.records import Session
    from airflow_provider_wtschat.simulator.world import World


class Churn:
    """Changes at a steady rate, each stamped with the instant at which it was due.

    Nothing runs in the background: whoever looks at the account first lets happen what is due.
    """

    def __init__(self, world: World, per_second: float) -> None:
        """Begin now.

        :param per_second: how many changes a second; 0 for none.
        """
        self._world = world
        self._rng = Random(f"{world.options.seed}/churn")
        self.set_rate(per_second)

    def set_rate(self, per_second: float) -> None:
        """Go on with another rate, from now."""
        self._next = float(self._world.now())
        self._step = SECOND / per_second if per_second else 0.0

    def run(self, now: int) -> None:
        """Let all changes happen that are due by an instant."""
        while self._step and self._next <= now:
            self._change(round(self._next))
            self._next += self._step * self._rng.uniform(0.5, 1.5)

    def _change(self, at: int) -> None:
        world, rng = self._world, self._rng
        session = world.sessions.pick(rng)
        chance = rng.random()
        if chance > 0.97:
            self._move_card(at)
            return
        if session is None or chance >= 0.9:
            contact = world.contacts.pick(rng)
            contact_id = contact.id if contact else None
            new = world.create_session(status="STARTED", contact_id=contact_id, window="NOT_STARTED", at=at)
            world.add_inbound_message(new.id, "Olá", at=at)
            return
        session = world.sessions.get(session.id)
        if session is None:
            return
        if rng.random() < world.options.deletions:
            world.delete_session(session.id)
        elif session.updated >= at:
            # A write of the same moment, or a clock put back: time must not run backwards for this row.
            return
        elif session.status == "COMPLETED" or chance < 0.3:
            world.save_session(session.changed(at, metadata={"touched": str(rng.randrange(1000))}))
        elif chance < 0.55:
            world.add_inbound_message(session.id, "Alguma novidade?", at=at)
        elif chance < 0.8:
            self._go_on(session, at)
        else:
            world.conclude_session(session.id, at=at)

    def _move_card(self, at: int) -> None:
        world = self._world
        card = world.cards.pick(self._rng)
        place = world.step(card["stepId"]) if card is not None and card["status"] == "OPEN" else None
        if card is None or place is None or card.updated >= at:
            return
        steps = place[1]["_steps"]
        following = steps[min(steps.index(place[0]) + 1, len(steps) - 1)]
        status = "WON" if following is steps[-1] else "OPEN"
        world.cards.put(card.changed(at, stepId=following.id, status=status))

    def _go_on(self, session: Session, at: int) -> None:
        world = self._world
        if session.status == "PENDING":
            world.take_session(session.id, at=at)
        elif session.status == "IN_PROGRESS" and self._rng.random() < 0.7:
            world.add_agent_message(session.id, "Vou verificar", at=at)
        else:  # out of the chatbot's hands, or to another department
            world.save_session(world.turn(session, at, "PENDING", user_id=None))
