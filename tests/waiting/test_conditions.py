"""Conditions judge what the API says, without I/O."""

from __future__ import annotations

from typing import Any

import pytest

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

ID = "00000000-0000-4000-8000-0000000000aa"
OTHER = "00000000-0000-4000-8000-0000000000bb"
THIRD = "00000000-0000-4000-8000-0000000000cc"


@pytest.mark.parametrize("field", ["failedReason", "failureReason"])
@pytest.mark.parametrize(
    "condition",
    [
        MessageHasStatus(message_id=ID, target_statuses="DELIVERED"),
        ScheduledMessageHasStatus(scheduled_message_id=ID, target_statuses="SENT"),
    ],
    ids=["message", "scheduled message"],
)
def test_the_reason_of_a_failure_is_kept_whatever_the_api_calls_it(condition: Any, field: str) -> None:
    row = {"id": ID, "status": "FAILED", field: "Janela fechada", "updatedAt": "2026-09-01T08:30:00Z"}
    assert condition.judge(row) == Outcome(
        reached=False, status="FAILED", updated_at="2026-09-01T08:30:00Z", reason="Janela fechada"
    )


@pytest.mark.parametrize(
    ("target", "status", "reached"),
    [
        ("SENT", "QUEUED", None),
        ("SENT", "SENT", True),
        ("SENT", "READ", True),
        ("DELIVERED", "SENT", None),
        ("DELIVERED", "READ", True),
        (["SENT", "READ"], "DELIVERED", True),
        ("READ", "DELIVERED", None),
        ("SENT", "DELETED", False),
        ("PROCESSING", "READ", None),
    ],
)
def test_a_status_that_was_passed_counts_as_reached(target: Any, status: str, reached: bool | None) -> None:
    outcome = MessageHasStatus(message_id=ID, target_statuses=target).judge({"status": status})
    assert (outcome and outcome.reached) is reached


CONDITIONS: list[Condition[Any]] = [
    SessionHasStatus(session_id=ID, target_statuses=["COMPLETED"], failure_statuses="HIDDEN"),
    MessageHasStatus(message_id=ID, target_statuses=["READ"]),
    ScheduledMessageHasStatus(scheduled_message_id=ID, target_statuses=["SENT"]),
    CardHasMoved(card_id=ID, step_ids=[OTHER], failure_statuses=["LOST"]),
    SessionHasReply(session_id=ID, since="2026-09-01T08:30:00Z"),
    SessionsHaveArrived(since="2026-09-01", count=3, statuses=["PENDING"], user_id=ID, channel_ids=[ID, OTHER]),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: type(condition).__name__)
def test_arguments_make_the_same_condition(condition: Condition[Any]) -> None:
    arguments = condition.arguments()
    assert set(arguments) == set(condition.argument_names())
    assert vars(type(condition)(**arguments)).keys() == vars(condition).keys()
    assert type(condition)(**arguments).arguments() == arguments


FITTING = {
    "status": "PENDING", "departmentId": ID, "userId": ID, "channelId": OTHER, "contactId": ID, "type": "INDIVIDUAL",
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "field", "other"),
    [
        ({"statuses": ["PENDING", "STARTED"]}, "status", "COMPLETED"),
        ({"department_id": ID.upper()}, "departmentId", OTHER),
        ({"user_id": ID}, "userId", None),
        ({"channel_ids": [ID, OTHER]}, "channelId", "00000000-0000-4000-8000-0000000000cc"),
        ({"contact_id": ID}, "contactId", OTHER),
        ({"session_type": "individual"}, "type", "GROUP"),
    ],
)
def test_each_filter_tells_sessions_apart(arguments: dict[str, Any], field: str, other: Any) -> None:
    wanted = SessionFilter(**arguments)
    assert wanted.fits(FITTING)
    assert not wanted.fits({**FITTING, field: other})
    assert SessionFilter().fits({**FITTING, field: other})


@pytest.mark.parametrize(
    ("session", "noticed"),
    [
        ({"id": ID}, True),
        ({"id": ID, "contactId": THIRD}, True),
        ({"id": THIRD, "contactId": OTHER.upper()}, True),
        ({"id": THIRD, "contactId": THIRD}, False),
        ({"id": THIRD}, False),
    ],
)
def test_an_answer_is_noticed_in_the_session_and_in_others_of_its_contact(
    session: dict[str, Any], noticed: bool
) -> None:
    condition = ContactHasReplied(session_id=ID, contact_id=OTHER, since="2026-09-01T08:30:00Z")
    late = {"lastInteractionDate": "2026-09-01T08:30:00.000001Z"}
    assert (condition.notice({**session, **late}) is not None) is noticed  # type: ignore[typeddict-item]
    assert condition.notice({**session, "lastInteractionDate": "2026-09-01T08:30:00Z"}) is None  # type: ignore[typeddict-item]
