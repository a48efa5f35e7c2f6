"""
Events that the API posts to webhooks, read without I/O.

What is kept of an event is what a reader needs to ask the API for the truth: its type, ids, statuses and instants. No
text, phone or name leaves the body.

A gateway that takes the posts itself (an API gateway with SQS or Kafka behind it) hands each body to
:meth:`WebhookEvent.parse`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["UNKNOWN", "WebhookEvent"]

UNKNOWN = "UNKNOWN"
"""Type of an event that does not say what it is, such as the outcome of a message posted to its ``callbackUrl``."""

_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID_NAME = re.compile(r"([a-z][A-Za-z]{0,40})Id")
_INSTANTS = ("createdAt", "updatedAt", "timestamp", "eventAt")
_SUBJECTS = (
    ("SESSION", "session_id"),
    ("MESSAGE", "message_id"),
    ("CONTACT", "contact_id"),
    ("PANEL_CARD_NOTE", "note_id"),
    ("PANEL_CARD", "card_id"),
    ("PAYMENT", "payment_id"),
    ("TEMPLATE", "template_id"),
)
"""What the ``id`` of an event's content is, by the beginning of its type; the first that fits."""
_NOT_KEPT = "company_id"
_MOST_IDS = 20
_DEEPEST = 3


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """
    What an event says without its personal data.

    :param type: such as ``MESSAGE_RECEIVED``; the set is open, and ``UNKNOWN`` is one that does not say
    :param ids: ids that it holds by what they are of: ``session_id``, ``message_id``, ``contact_id``, ``card_id``, ...;
        ``id`` is that of something whose kind the type does not tell
    :param status: status of what it is about, where it says so
    :param moment: when it happened, by the server's clock, where it says so
    :param instants: further instants of what it is about: ``created_at``, ``updated_at``
    :param digest: SHA-256 of the whole body whatever the order of its fields, as hexadecimal digits. Events carry no id
        of their own, so this is what tells a redelivery
    """

    type: str = UNKNOWN
    ids: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None
    moment: datetime | None = None
    instants: Mapping[str, datetime] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def parse(cls, body: bytes) -> WebhookEvent:
        """
        Read the body of a post.

        :param body: the bytes, as they came
        :return: the event
        :raises WtsChatArgumentError: if it is not a JSON object
        """
        try:
            value = json.loads(body, parse_constant=_refuse_constant)
            canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
        except (ValueError, RecursionError) as error:
            # Without its cause, which quotes the body.
            raise WtsChatArgumentError("body", f"is no JSON ({type(error).__name__})") from None
        if not isinstance(value, dict):
            raise WtsChatArgumentError("body", "is JSON, but no object")
        given = value.get("eventType")
        kind = given if isinstance(given, str) and _TYPE.fullmatch(given) else UNKNOWN
        content = value.get("content")
        content = content if isinstance(content, dict) else value
        ids: dict[str, str] = {}
        subject = next((name for start, name in _SUBJECTS if kind.startswith(start)), "id")
        _collect(content, subject, ids, depth=0)
        status = content.get("status")
        told = {name: _moment(content.get(name)) for name in _INSTANTS}
        return cls(
            type=kind,
            ids=ids,
            status=status if isinstance(status, str) and _TYPE.fullmatch(status) else None,
            moment=_moment(value.get("date")),
            instants={_snake(name): moment for name, moment in told.items() if moment is not None},
            digest=hashlib.sha256(canonical.encode()).hexdigest(),
        )

    def reference(self) -> dict[str, Any]:
        """Return it as plain JSON: what an inbox keeps, and what goes into XCom."""
        return {
            "type": self.type,
            "ids": dict(self.ids),
            "status": self.status,
            "moment": instants.write_or_none(self.moment),
            "instants": {name: instants.write(moment) for name, moment in self.instants.items()},
        }

    @classmethod
    def from_reference(cls, reference: Mapping[str, Any], digest: str = "") -> WebhookEvent:
        """
        Read what :meth:`reference` wrote.

        :param reference: the JSON
        :param digest: digest of the body that it came from
        """
        moment = reference.get("moment")
        return cls(
            type=reference["type"],
            ids=dict(reference["ids"]),
            status=reference.get("status"),
            moment=instants.read_or_none(moment),
            instants={name: instants.read(text) for name, text in (reference.get("instants") or {}).items()},
            digest=digest,
        )


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _collect(value: Mapping[str, Any], subject: str, ids: dict[str, str], *, depth: int) -> None:
    for name, item in value.items():
        if len(ids) >= _MOST_IDS:
            return
        if name == "id":
            _keep(subject, item, ids)
        elif (match := _ID_NAME.fullmatch(name)) is not None:
            _keep(f"{_snake(match[1])}_id", item, ids)
        elif isinstance(item, dict) and depth < _DEEPEST and re.fullmatch(r"[a-z][A-Za-z]{0,40}", name):
            # {"session": {"id": ...}} and {"contactDetails": {"id": ...}} say the same as sessionId and contactId.
            _collect(item, f"{_snake(name.removesuffix('Details'))}_id", ids, depth=depth + 1)


def _keep(name: str, value: Any, ids: dict[str, str]) -> None:
    # Nothing but a UUID, so that no phone or name gets in under the name of an id.
    if name != _NOT_KEPT and isinstance(value, str) and _UUID.fullmatch(value):
        ids.setdefault(name, value.lower())


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not value[:1].isdigit() or len(value) > 40:
        return None
    try:
        return instants.read(value)
    except (ValueError, OverflowError):
        return None


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
