"""
Waiting: what can be waited for, and how the worker and the triggerer wait for it.

- :mod:`~airflow_provider_wtschat.waiting.conditions`: what can be waited for. No I/O.
- :mod:`~airflow_provider_wtschat.waiting.polling`: wait in the worker.
- :mod:`~airflow_provider_wtschat.waiting.events`: what a trigger says at the end, and how the worker reads it.
- :mod:`~airflow_provider_wtschat.waiting.changes`: which changes of sessions matter, and reading them from a cursor on.
"""

from airflow_provider_wtschat.waiting.conditions import (
    CardHasMoved,
    Condition,
    ContactHasReplied,
    MessageHasStatus,
    Outcome,
    ScheduledMessageHasStatus,
    SessionFilter,
    SessionHasReply,
    SessionHasStatus,
    SessionsHaveArrived,
)
from airflow_provider_wtschat.waiting.events import complete, deadline, failed, timed_out
from airflow_provider_wtschat.waiting.polling import Poller, wait

__all__ = [
    "CardHasMoved",
    "Condition",
    "ContactHasReplied",
    "MessageHasStatus",
    "Outcome",
    "Poller",
    "ScheduledMessageHasStatus",
    "SessionFilter",
    "SessionHasReply",
    "SessionHasStatus",
    "SessionsHaveArrived",
    "complete",
    "deadline",
    "failed",
    "timed_out",
    "wait",
]
