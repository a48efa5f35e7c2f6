"""How far a task has come: pushed to XCom while it runs, for the provider's page and for whoever asks Airflow's API."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.api import instants

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

log = logging.getLogger(__name__)

KEY = "wtschat_progress"
"""The XCom's key."""
EVERY = 10.0
"""Seconds between two pushes, at least: each is a request to the API server."""

RUNNING, WAITING, DONE = "running", "waiting", "done"


class Progress:
    """
    Tells how far a task has come.

    The XCom holds ``version`` (1), ``kind``, ``state`` (``running``, ``waiting`` or ``done``), ``at`` (when it was
    written) and the facts of its kind: counts, names and instants, never what people are called or wrote. Nothing is
    pushed where the task shall push no XCom, and a failing push fails no task.

    :param kind: ``load`` or ``campaign``
    :param facts: what is known from the start
    """

    def __init__(self, context: Context, kind: str, **facts: Any) -> None:
        self._ti: Any = context.get("ti")
        task: Any = context.get("task")
        self._enabled = hasattr(self._ti, "xcom_push") and getattr(task, "do_xcom_push", True)
        self._facts: dict[str, Any] = {"version": 1, "kind": kind, "state": RUNNING, **facts}
        self._pushed_at = float("-inf")

    @property
    def due(self) -> bool:
        """Whether it is time to push again."""
        return self._enabled and time.monotonic() - self._pushed_at >= EVERY

    def push(self, state: str = RUNNING, **facts: Any) -> None:
        """
        Push what is known.

        :param state: whether the task works, waits for something, or is done
        :param facts: what is new; the rest stays as it was
        """
        if not self._enabled:
            return
        self._pushed_at = time.monotonic()
        self._facts |= {"state": state, "at": instants.write(datetime.now(UTC)), **facts}
        try:
            self._ti.xcom_push(key=KEY, value=dict(self._facts))
        except Exception as error:  # it is for people to look at, and the work goes on without it
            self._enabled = False
            log.warning("How far the task has come cannot be pushed to XCom: %s", type(error).__name__)
