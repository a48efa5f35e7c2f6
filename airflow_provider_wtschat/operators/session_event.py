"""Reading what asset events only announce."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from airflow import __version__ as airflow_version

from airflow_provider_wtschat._compat import Variable
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants, sessions
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators._arguments import OperatorArguments
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator
from airflow_provider_wtschat.waiting.changes import Place, SessionChange, SessionChanges, read_changes
from airflow_provider_wtschat.waiting.conditions import SessionFilter

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["ReadSessionEventsOperator"]

_RUNS_KEPT = 20
_LONGEST_NAME = 250
"""Characters that the name of a Variable has at most."""
_REMEMBER = 2000 if airflow_version.startswith("2.") else 20_000
"""So many changes are remembered as seen: in MySQL a Variable of Airflow 2 has room for 64 KiB only."""


class ReadSessionEventsOperator(WtsChatBaseOperator):
    """
    Read the sessions that are new, changed, or were concluded since the last run read them: ``GET /chat/v2/session``.

    For Dags that :class:`~airflow_provider_wtschat.triggers.session_event.SessionEventTrigger` starts, or a schedule.
    It does not depend on which asset events started the run: Airflow starts no run for some of them. It reads from the
    place that the task reached before, up to now, so any run reads everything that no run before it has read.

    Returns ``[{"id", "status", "updated_at"}, ...]``, oldest first, ready for ``.expand()``.

    The place is kept in the Airflow Variable ``wtschat_place_of_<dag id>.<task id>``; delete it to begin anew. Tries
    of one run, and a run that is cleared (one of the last 20), read again from where the run began. Two runs at the
    same time may return the same session both; ``max_active_runs=1`` on the Dag prevents that, and is safe with this
    operator. For thousands of changes per run use a load such as ``WtsChatToSqlOperator``, which keeps them out of
    XCom.

    .. code-block:: python

        concluded = ReadSessionEventsOperator(task_id="concluded", event="concluded", department_id="{{ params.id }}")

    :param event: ``new``, ``changed`` or ``concluded`` (templated). Default: ``changed``
    :param statuses: statuses that the session then has (templated). Default: all
    :param department_id: id of the department (templated). Default: all
    :param user_id: ``userId`` of the agent (templated). Default: all
    :param channel_ids: ids of channels (templated). Default: all
    :param contact_id: id of the contact (templated). Default: all
    :param session_type: ``INDIVIDUAL`` or ``GROUP`` (templated). Default: both
    :param initial_since: where the first run begins: datetime, or text such as ``2026-09-01 08:30`` (templated).
        Default: the first change of the asset events that started it, else an hour before it
    :param timezone: IANA time zone of ``initial_since`` if it has none (templated). Default: UTC
    :param overlap: seconds that each reading goes back for sessions that became visible late; what was read already is
        not returned again (templated). Default: 600
    """

    operation = staticmethod(sessions.list_)

    def __init__(
        self,
        *,
        event: str = SessionChange.CHANGED.value,
        statuses: Sequence[str] | str | None = None,
        department_id: str | None = None,
        user_id: str | None = None,
        channel_ids: Sequence[str] | str | None = None,
        contact_id: str | None = None,
        session_type: str | None = None,
        initial_since: When | None = None,
        timezone: str = "UTC",
        overlap: float = 600,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.event = event
        self.statuses = statuses
        self.department_id = department_id
        self.user_id = user_id
        self.channel_ids = channel_ids
        self.contact_id = contact_id
        self.session_type = session_type
        self.initial_since = initial_since
        self.timezone = timezone
        self.overlap = overlap

    def act(self, context: Context) -> list[dict[str, Any]]:
        """
        Read what changed since the last run.

        :return: ids, statuses and instants, oldest first
        """
        filters = {name: getattr(self, name) for name in SessionFilter.argument_names()}
        wanted = SessionChanges(event=self.event, **filters)
        overlap = timedelta(seconds=convert.required("overlap", convert.seconds("overlap", self.overlap)))
        name, run_id = _variable(context), context["ti"].run_id
        kept, began = _read(name)
        place = began.get(run_id) or kept or Place(self._first(context))
        if kept is None:
            # Before reading, so that no later run begins after this one if it fails.
            Variable.set(name, place.to_json(), serialize_json=True)
        found, reached = self.hook.perform(
            read_changes(wanted, place, overlap=overlap, now=datetime.now(UTC), remember=_REMEMBER)
        )
        latest = kept if kept is not None and kept.read_up_to > reached.read_up_to else reached
        # Of earlier runs without what they had seen, which is long.
        runs = {run: Place(one.read_up_to).to_json() for run, one in began.items() if run != run_id}
        runs = dict([*runs.items(), (run_id, place.to_json())][-_RUNS_KEPT:])
        Variable.set(name, {**latest.to_json(), "began": runs}, serialize_json=True)
        self.log.info("Read %d sessions, from %s up to %s", len(found), place.read_up_to, reached.read_up_to)
        return [change.reference() for change in found]

    def _first(self, context: Context) -> datetime:
        if self.initial_since is not None:
            return instants.parse("initial_since", self.initial_since, self.timezone)
        told = [
            instants.read(payload["since"])
            for events in (context.get("triggering_asset_events") or {}).values()
            for event in events
            if isinstance(payload := (event.extra or {}).get("payload"), dict) and payload.get("since")
        ]
        return min([datetime.now(UTC) - timedelta(hours=1), *told])


def _variable(context: Context) -> str:
    ti = context["ti"]
    index = "" if ti.map_index is None or ti.map_index < 0 else f".{ti.map_index}"
    name = f"wtschat_place_of_{ti.dag_id}.{ti.task_id}{index}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}.{digest}"


def _read(name: str) -> tuple[Place | None, dict[str, Place]]:
    try:
        kept = Variable.get(name, None, deserialize_json=True)
        if kept is None:
            return None, {}
        began = {run: Place.from_json(place) for run, place in (kept.get("began") or {}).items()}
        return Place.from_json(kept), began
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = "does not hold what this operator wrote; delete it, and the next run begins anew"
        raise WtsChatArgumentError(argument=f"Variable {name}", reason=reason) from error
