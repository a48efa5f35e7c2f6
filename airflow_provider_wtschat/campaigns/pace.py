"""When and how often people are written to: quiet hours, caps, and the pace of a dispatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.quiet import QuietHours
from airflow_provider_wtschat.exceptions import WtsChatArgumentError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """
    When, how often and how fast people are written to.

    :param cap: how many messages somebody may get from campaigns of the table, and in which time
    :param per_minute: how many messages a minute, by all workers together
    :param canary: how many are sent first
    :param canary_wait: how long to wait then
    """

    quiet: QuietHours | None
    cap: tuple[int, timedelta] | None
    per_minute: int | None
    canary: int | None
    canary_wait: timedelta

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Self:
        """
        Check the arguments.

        :param arguments: the operator's, by name
        :raises WtsChatArgumentError: if one is refused
        """
        canary = convert.integer("canary", arguments["canary"], minimum=1)
        if canary is not None and arguments["max_failed"] is None:
            raise WtsChatArgumentError("canary", "give max_failed too: how many of the first may fail")
        return cls(
            quiet=QuietHours.read(arguments["quiet_hours"], arguments["quiet_days"]),
            cap=_cap(arguments["max_per_contact"]),
            per_minute=convert.integer("per_minute", arguments["per_minute"], minimum=1),
            canary=canary,
            canary_wait=timedelta(
                seconds=convert.required("canary_wait", convert.seconds("canary_wait", arguments["canary_wait"]))
            ),
        )


def _cap(value: Any) -> tuple[int, timedelta] | None:
    if value is None:
        return None
    given: Sequence[Any] = convert.listing("max_per_contact", value) or ()
    if len(given) != 2:
        msg = "a number of messages and a time are wanted, such as (1, timedelta(days=7)) or [1, 604800]"
        raise WtsChatArgumentError("max_per_contact", msg)
    number = convert.required("max_per_contact[0]", convert.integer("max_per_contact[0]", given[0], minimum=1))
    seconds = convert.required("max_per_contact[1]", convert.seconds("max_per_contact[1]", given[1]))
    return number, timedelta(seconds=seconds)
