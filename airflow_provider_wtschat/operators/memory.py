"""What the tries of one task know of each other, so that what must not be done twice is done once."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError, WtsChatUncertainError

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

R = TypeVar("R")

log = logging.getLogger(__name__)

STATE_KEY = "wtschat_request"
"""Key of the task's state, Airflow 3.3 and later; the requests of a batch have their number behind it."""

_ITERATIONS = 50_000
"""Makes each guess at a digest cost some 30 ms, since phone numbers are few enough to try them all."""


class State(StrEnum):
    """How far a request got."""

    NOT_SENT = "not sent"
    SENDING = "sending"
    SENT = "sent"


class Content(NamedTuple):
    """
    Recipient and content of a request.

    :param request: everything but a file that is uploaded for it
    :param file: digest of that file, ``None`` where there is none, or none any more
    """

    request: Any
    file: str | None = None


class Record(TypedDict, total=False):
    """What the task's state holds about a request. Of its content it holds digests, from which nobody can read it."""

    state: State
    try_number: int
    round: int
    salt: str
    request: str
    file: str | None
    answer: Any


class Memory:
    """
    What a task knows of its earlier tries.

    Airflow 3.3 and later keep a state for each task. Airflow 3.3 keeps it when a user clears the task, later series
    empty it. Earlier series have none.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        self._try_number: int = context["ti"].try_number
        self._round = 0

    @property
    def lasts(self) -> bool:
        """Whether a later try will know of this one."""
        return self._store is not None

    def begin(self) -> None:
        """Record that the first try has begun: a later one that finds nothing knows that the memory was emptied."""
        if self._try_number == 1 and self._recall(STATE_KEY) is None:
            self._keep(STATE_KEY, {"state": State.NOT_SENT, "try_number": 1})

    def begin_round(self, keys: list[str]) -> None:
        """Begin the requests of a batch anew if an earlier try sent them all; else go on with those that are left."""
        head = self._recall(STATE_KEY) or {}
        self._round = head.get("round", 0)
        records = [self._recall(key) or {} for key in keys]
        if keys and all(self._is_sent_in_round(record) for record in records):
            self._round += 1
            self._keep(STATE_KEY, {"state": State.NOT_SENT, "try_number": self._try_number, "round": self._round})

    def once(
        self,
        content: Callable[[], Content],
        prepare: Callable[[], R],
        send: Callable[[R], Any],
        *,
        may_repeat: bool,
        key: str = STATE_KEY,
        go_on: bool = False,
    ) -> Any:
        """
        Send a request, unless an earlier try of the task may have sent it.

        :param content: returns its recipient and content
        :param prepare: finds what it takes to build it, without sending it
        :param send: sends it, and returns the answer
        :param may_repeat: whether the user allows that it is sent twice
        :param key: what the task's state knows it by
        :param go_on: with ``may_repeat``, do not send what was sent since :meth:`begin_round`
        :return: the answer, to this try or to the earlier one that sent the same
        :raises WtsChatFailedError: if an earlier try may have sent it, or has sent something else
        """
        record = self._recall(key)
        if record is None and key != STATE_KEY and self._recall(STATE_KEY) is not None:
            record = {"state": State.NOT_SENT}
        if not may_repeat:
            self._check_certain(record)
        earlier = record or {"state": State.NOT_SENT}
        if earlier["state"] == State.SENT and (not may_repeat or (go_on and self._is_sent_in_round(earlier))):
            if _is_same(earlier, content()):
                log.info(
                    "Try %s of this task sent the same to the same recipient: it is not sent again, and the answer of "
                    "that try is returned. A task that is cleared sends again with may_repeat=True",
                    earlier["try_number"],
                )
                return earlier["answer"]
            if not may_repeat:
                reason = "sent something else, or to another recipient"
                raise _refusal(earlier["try_number"], reason)
        prepared = prepare()
        now: Record = {"state": State.SENDING, "try_number": self._try_number, "round": self._round}
        if self.lasts:
            now |= _digests(content(), os.urandom(16))
        self._keep(key, now)
        try:
            answer = send(prepared)
        except WtsChatUncertainError:
            raise
        except WtsChatError:
            # Every other error says that nothing was done by this try.
            self._keep(key, earlier)
            raise
        try:
            self._keep(key, {**now, "state": State.SENT, "answer": answer})
        except Exception:
            # It is sent all the same; the state stays "sending", with which no later try sends it again.
            log.warning("The answer could not be kept for later tries of the task", exc_info=True)
        return answer

    def _check_certain(self, record: Record | None) -> None:
        if record is None and self._try_number > 1:
            reason = (
                "knows nothing of the earlier ones: Airflow before 3.3 keeps no memory of them, and from 3.4 on it "
                "forgets them when the task is cleared"
            )
            raise _refusal(self._try_number, reason)
        if record is not None and record["state"] == State.SENDING:
            reason = "was interrupted after it had begun to send the request, and nobody knows whether it was sent"
            raise _refusal(record["try_number"], reason)

    def _is_sent_in_round(self, record: Record) -> bool:
        return record.get("state") == State.SENT and record.get("round", 0) == self._round

    def _recall(self, key: str) -> Record | None:
        return (self._store.get(key) or None) if self.lasts else None

    def _keep(self, key: str, record: Record) -> None:
        if self.lasts:
            self._store.set(key, record)


def _refusal(try_number: int, reason: str) -> WtsChatFailedError:
    return WtsChatFailedError(
        f"The request was not sent by this try. Try {try_number} of this task {reason}. Look in WTS Chat what arrived. "
        "If it may be sent, even twice, set may_repeat=True and clear the task"
    )


def _is_same(record: Record, content: Content) -> bool:
    known = _digests(content, bytes.fromhex(record["salt"]))
    # A file that is gone is no other file.
    files = [(record["file"], known["file"])] if record["file"] and known["file"] else []
    return all(hmac.compare_digest(one, other) for one, other in [(record["request"], known["request"]), *files])


def _digests(content: Content, salt: bytes) -> Record:
    return {
        "salt": salt.hex(),
        "request": _digest(json.dumps(content.request, sort_keys=True, default=str), salt),
        "file": content.file and _digest(content.file, salt),
    }


def _digest(text: str, salt: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt, _ITERATIONS).hex()
