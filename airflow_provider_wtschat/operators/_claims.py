"""
Who may ask a person: one task at a time, whatever the timing.

Airflow gives a task Variables, which it can read, write and delete, and no way to write one only if nobody else has. So
a claim takes two of them for each person: in one a task announces itself, the other one closes the door.

1. If the door is closed, or somebody has just announced himself, give way.
2. Announce oneself.
3. Wait a moment, in which whoever looked before that announces himself, too. This is for the sake of whoever comes
   first, so that one of them asks; the rest does not depend on it.
4. If somebody else has announced himself since, or the door is closed, give way.
5. Close the door.
6. If somebody else has announced himself since, give way. Else the claim holds.

Two claims never hold at once, however long a task is held up at any step. Of two that closed the door, let one be the
first. The other one either found the door closed in step 4; or it looked before, so that it had announced itself before
that, too. Then the first one either found that announcement in step 6, or has announced itself after it, and then the
other one finds the announcement of the first in step 6. A claim ends when its holder deletes the door, or when the time
that stands on it is over.

The price is that two tasks may both give way, and that one which does so in step 6 leaves the door closed, until its
time is over, also for itself: it cannot know whether somebody holds the claim. That takes one that was held up for
longer than step 3 takes, just then.

Each step is yielded, and the value of a Variable that is read is sent back, so that tests can hold a task up anywhere.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow_provider_wtschat.api import instants

GRACE = timedelta(minutes=20)
"""How much longer than its question a claim lasts, so that who holds it still does when the wait ends late."""
ANNOUNCED = timedelta(minutes=1)
"""How long a task gives way to one that has announced itself and may have been killed."""


@dataclass(frozen=True)
class Read:
    """Read a Variable; what it holds is sent back, ``None`` if there is none."""

    name: str


@dataclass(frozen=True)
class Write:
    """Write a Variable, or delete it if there is no value."""

    name: str
    value: Mapping[str, Any] | None


@dataclass(frozen=True)
class Pause:
    """Wait until others have announced themselves."""


Steps = Generator[Read | Write | Pause, Any, "Refusal | None"]


@dataclass(frozen=True)
class Refusal:
    """
    Somebody else has a claim, or may have one.

    :param by: the task; ``None`` if it is the own time that is over
    :param until: when its claim ends
    :param variable: name of the Variable that says so
    """

    by: str | None
    until: str
    variable: str


class Claim:
    """
    A claim on a person, or the attempt to get one.

    :param key: what the person is known by
    :param by: the task
    :param until: when its question ends
    """

    def __init__(self, key: str, by: str, until: str) -> None:
        self.key = key
        self.by = by
        self.until = until
        self._token = uuid4().hex

    def steps(self) -> Steps:
        """Claim the person; what is returned says who was quicker."""
        announced = {"by": self.by, "until": instants.write(datetime.now(UTC) + ANNOUNCED), "token": self._token}
        closed = {**announced, "until": self.until}
        door_, announcement_ = door(self.key), announcement(self.key)
        for name, late in ((door_, GRACE), (announcement_, timedelta(0))):
            if (refusal := self._refusal(name, (yield Read(name)), late)) is not None:
                return refusal
        yield Write(announcement_, announced)
        yield Pause()
        refusal = self._outdone(announcement_, (yield Read(announcement_)))
        if refusal is None:
            refusal = self._refusal(door_, (yield Read(door_)), GRACE)
        if refusal is None:
            yield Write(door_, closed)
            for name in (announcement_, door_):
                # A write may have failed, which Airflow 3 says in its log only: what counts is what stands there.
                refusal = refusal or self._outdone(name, (yield Read(name)))
            if refusal is not None and ((yield Read(door_)) or {}).get("token") == self._token:
                # Not this task's any more, so that it does not take it for its own when it is cleared.
                yield Write(door_, {**closed, "by": f"{self.by}, which gave way"})
        # Should another task have announced itself just now, that one gives way, too.
        if ((yield Read(announcement_)) or {}).get("token") == self._token:
            yield Write(announcement_, None)
        return refusal

    def check(self) -> Steps:
        """Look whether the claim still holds; somebody may have deleted it by hand, and another task have asked."""
        now = datetime.now(UTC)
        found = yield Read(door(self.key))
        if found is not None and found.get("token") != self._token and found["by"] != self.by:
            return Refusal(found["by"], found["until"], door(self.key))
        # From the end of the grace on others take the claim for one of a worker that was killed.
        late = now > instants.read(self.until) + GRACE / 2
        return Refusal(None, self.until, door(self.key)) if late else None

    def release(self) -> Steps:
        """End the claim, or what another try of the task has left of one."""
        found = yield Read(door(self.key))
        if found is not None and found["by"] == self.by:
            yield Write(door(self.key), None)
        return None

    def _refusal(self, name: str, found: Mapping[str, Any] | None, late: timedelta) -> Refusal | None:
        if found is None or found["by"] == self.by:
            return None
        if datetime.now(UTC) > instants.read(found["until"]) + late:
            return None
        return Refusal(found["by"], found["until"], name)

    def _outdone(self, name: str, found: Mapping[str, Any] | None) -> Refusal | None:
        if found is None:
            return Refusal("another task", self.until, name)
        return None if found.get("token") == self._token else Refusal(found["by"], found["until"], name)


def door(key: str) -> str:
    """Name the Variable that says which question a person has to answer."""
    return f"wtschat_question_{key}"


def announcement(key: str) -> str:
    """Name the Variable in which a task says that it is about to ask."""
    return f"wtschat_asking_{key}"
