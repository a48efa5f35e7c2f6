"""The notifier: what happens in Airflow, told on WhatsApp."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow import __version__ as airflow_version
from jinja2 import ChainableUndefined

from airflow_provider_wtschat._compat import BaseNotifier, conf, redact
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import lookup, phones, sends, sessions
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.quiet import QuietHours
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatUncertainError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.notifications.digest import Digest, Turn

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

__all__ = ["WtsChatNotifier", "send_wtschat_notification"]

log = logging.getLogger(__name__)

LONGEST_WAIT = 10.0
"""Seconds that a notification may hold up whoever sends it."""
LONGEST_TEXT = 1024
_LONGEST_LINK = 400
_RETRIES = 1
_VERBS = {
    "failed": "failed",
    "success": "succeeded",
    "up_for_retry": "failed and will be tried again",
    "skipped": "was skipped",
}

# Up to Airflow 3.1 nothing keeps two threads from reading each other's answers.
_LOOKS_UP_IN_MAIN_THREAD_ONLY = airflow_version.startswith(("3.0.", "3.1."))


class WtsChatNotifier(BaseNotifier):
    """
    Tell people on WhatsApp what happens in a Dag.

    For ``on_failure_callback``, ``on_retry_callback`` and ``on_success_callback`` of tasks and Dags, for deadline
    alerts (Airflow 3.1 and later, with ``AsyncCallback``), and for the ``notifiers`` of human-in-the-loop operators.

    WhatsApp takes free text only in a conversation that the person has written to within 24 hours; a template is what
    always arrives. It waits 10 seconds at most and never breaks the Dag: if it cannot send, the log says why. A message
    whose fate is unknown is not sent again. Airflow itself repeats a deadline alert whose triggerer ends meanwhile.

    All arguments but ``digest`` and those after it are templated; what the context lacks renders to nothing.

    .. code-block:: python

        WtsChatNotifier(
            to="+55 11 90000-9001", from_channel="+55 11 3333-0001", template_name="alerta_airflow"
        )

    :param to: phone number, or several, in any spelling; each person is told once
    :param session_id: id of a session to write into, in place of ``to``
    :param from_channel: number of the channel that sends, in any spelling, or its id. Templates to a number need it
    :param text: the text. Default, without a template: a line that says which Dag, run, task, try and error, with a
        link
    :param template_id: id of a template
    :param template_name: name of a template, in place of its id
    :param template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3; each is
        flattened to one line and cut to 1,024 characters. Default: that line as parameter 1
    :param phone_country: calling code of numbers written without one. Default: 55 (Brazil)
    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``
    :param digest: how long a person who was told is told of nothing else, as a timedelta or in seconds, so that many
        failures make one message; the next one says how many there were meanwhile, and :meth:`flush` tells of those
        that no other followed. It holds for all notifiers of the machine that have it. Default: tell of each
    :param once_per_run: tell each person of one alert in a Dag run; others of the run are counted, as by ``digest``.
        Default: tell of each
    :param quiet_hours: times of the day between which nobody is told, such as ``22:00-07:00``, by the clock where the
        person's number is; alerts are counted for the next message, or for :meth:`flush`. Default: none
    :param quiet_days: names of days on which nobody is told, such as ``["SUNDAY"]``. Default: none
    """

    template_fields: Sequence[str] = (
        "to", "session_id", "from_channel", "text", "template_id", "template_name", "template_parameters",
        "phone_country", "wtschat_conn_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        to: str | int | Sequence[str | int] | None = None,
        session_id: str | None = None,
        from_channel: str | int | None = None,
        text: str | None = None,
        template_id: str | None = None,
        template_name: str | None = None,
        template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        phone_country: str = phones.DEFAULT_COUNTRY,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        digest: timedelta | float | None = None,
        once_per_run: bool = False,
        quiet_hours: str | None = None,
        quiet_days: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        # The base takes a context from Airflow 3.1 on, and nothing before.
        super().__init__(**kwargs)
        self.to = to
        self.session_id = session_id
        self.from_channel = from_channel
        self.text = text
        self.template_id = template_id
        self.template_name = template_name
        self.template_parameters = template_parameters
        self.phone_country = phone_country
        self.wtschat_conn_id = wtschat_conn_id
        self.digest = digest
        self.once_per_run = once_per_run
        self.quiet_hours = quiet_hours
        self.quiet_days = quiet_days

    def __call__(self, *args: Any) -> None:
        """Send the notification, without the base's rendering in place: one notifier serves many tasks."""
        self.notify(args[0] if len(args) == 1 else {"dag": args[0]})

    def __await__(self) -> Generator[Any, None, None]:
        """Send the notification from an event loop."""
        return self.async_notify(getattr(self, "context", None) or {}).__await__()

    def notify(self, context: Context | Mapping[str, Any]) -> None:
        """
        Send the notification, and never raise.

        :param context: context of the task or Dag run; any key may be missing
        """
        self._notify(context)

    def flush(self, context: Context | Mapping[str, Any] | None = None) -> None:
        """
        Tell of alerts that were counted and no later one told of, if the time for it has come. Never raise.

        Call it in a task of a Dag that runs every few minutes.

        :param context: context for templates. Default: none
        """
        if self.digest is not None or self.once_per_run or self.quiet_hours or self.quiet_days:
            self._notify(context or {}, rest_only=True)

    def _notify(self, context: Context | Mapping[str, Any], *, rest_only: bool = False) -> None:
        # What speaks HTTP is loaded when there is something to say, and not each time that a Dag file is parsed.
        from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

        deadline = time.monotonic() + LONGEST_WAIT
        try:
            rendered = self._rendered(context)
            hook = WtsChatHook(
                rendered["wtschat_conn_id"], timeout=LONGEST_WAIT, max_retries=_RETRIES, max_wait=LONGEST_WAIT
            )
            if _LOOKS_UP_IN_MAIN_THREAD_ONLY:
                hook.resolve()
            notification = self._notification(rendered, context, deadline, rest_only=rest_only)
            # A socket's timeout starts anew with each byte; a thread is left behind when the time is up.
            thread = threading.Thread(target=notification.send, args=(hook,), daemon=True)
            thread.start()
            thread.join(max(0.0, deadline - time.monotonic()))
            self._say(notification, late=thread.is_alive())
        except Exception as error:
            self._fail(error)

    async def async_notify(self, context: Context | Mapping[str, Any]) -> None:
        """
        Send the notification from an event loop, and never raise.

        :param context: context of the task or Dag run; any key may be missing
        """
        # Callbacks of tasks import this module too, and must not load aiohttp for it.
        from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook

        deadline = time.monotonic() + LONGEST_WAIT
        try:
            rendered = self._rendered(context)
            notification = self._notification(rendered, context, deadline)
            hook = WtsChatAsyncHook(
                rendered["wtschat_conn_id"], timeout=LONGEST_WAIT, max_retries=_RETRIES, max_wait=LONGEST_WAIT
            )
            try:
                async with asyncio.timeout(LONGEST_WAIT), hook:
                    await asyncio.to_thread(notification.take_turns)
                    try:
                        await hook.perform(notification.exchange())
                    finally:
                        await asyncio.to_thread(notification.give_back)
            except TimeoutError:
                self._say(notification, late=True)
            else:
                self._say(notification, late=False)
        except Exception as error:
            self._fail(error)

    def _notification(
        self,
        rendered: Mapping[str, Any],
        context: Context | Mapping[str, Any],
        deadline: float,
        *,
        rest_only: bool = False,
    ) -> _Notification:
        seconds = convert.seconds("digest", self.digest)
        once = bool(convert.boolean("once_per_run", self.once_per_run))
        quiet = QuietHours.read(self.quiet_hours, self.quiet_days)
        counts = seconds is not None or once or quiet is not None
        return _Notification(
            rendered,
            context,
            deadline,
            digest=Digest(seconds or 0.0) if counts else None,
            once_per_run=once,
            quiet=quiet,
            rest_only=rest_only,
        )

    def _rendered(self, context: Context | Mapping[str, Any]) -> dict[str, Any]:
        dag = context.get("dag")
        known: Any = context if dag is not None else {**context, "dag": None}
        environment = self.get_template_env(dag=dag).overlay(undefined=ChainableUndefined)
        fields: dict[str, Any] = {}
        for name in self.template_fields:
            value = getattr(self, name)
            try:
                fields[name] = self.render_template(value, known, environment, set())
            except Exception as error:
                # A message that says less is better than none.
                self.log.warning("The template of %s cannot be rendered: %s", name, type(error).__name__)
                fields[name] = None if name in ("text", "template_parameters") else value
        return fields

    def _say(self, notification: _Notification, *, late: bool) -> None:
        for error in notification.errors:
            self._fail(error)
        if late:
            self.log.error(
                "WTS Chat took longer than %.0f s; whether the notification was sent is not known", LONGEST_WAIT
            )
        if notification.counted:
            self.log.info("%d recipients are not told now: counted for their next message", notification.counted)
        if notification.recipients > notification.counted:
            told, recipients = notification.told, notification.recipients - notification.counted
            self.log.info("Told %d of %d recipients by WTS Chat", told, recipients)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            self.log.error("The notification was not sent to everybody: %.0f s were over", LONGEST_WAIT)
            return
        reason = masked(str(error)) if isinstance(error, WtsChatError) else type(error).__name__
        self.log.error("The notification was not sent: %s", reason)


send_wtschat_notification = WtsChatNotifier


class _Notification:
    """What one notification asks of the API, whichever hook performs it."""

    def __init__(
        self,
        fields: Mapping[str, Any],
        context: Context | Mapping[str, Any],
        deadline: float,
        *,
        digest: Digest | None = None,
        once_per_run: bool = False,
        quiet: QuietHours | None = None,
        rest_only: bool = False,
    ) -> None:
        self._deadline = deadline
        self._run_id = _run_id(context) if once_per_run and not rest_only else None
        self._quiet = quiet
        self.errors: list[Exception] = []
        self.told = 0
        self.counted = 0
        """Recipients who are not told now, so that the alert is counted for their next message."""
        self._fields = fields
        self._line = describe(context)
        self._dag_id = _dag_id(context)
        self._digest = digest
        self._rest_only = rest_only
        self._turns: dict[str, Turn] = {}
        self._untold: dict[str, Turn] = {}
        given = [] if fields["to"] is None else convert.listing("to", fields["to"]) or []
        # Several spellings of one number are one person, who is told once.
        people = {_person(to, fields["phone_country"]): to for to in reversed(given)}
        self._people: dict[str, Any] = dict(reversed(people.items()))
        if bool(self._people) == (fields["session_id"] is not None):
            raise WtsChatArgumentError(argument="to, session_id", reason="give one of them, to say who is to be told")
        if quiet is not None and not self._people:
            reason = "a session does not say where its contact is; give to, or leave this out"
            raise WtsChatArgumentError("quiet_hours, quiet_days", reason)
        self._people = self._people or {str(fields["session_id"]): None}
        self.recipients = len(self._people)

    def take_turns(self) -> None:
        """Leave those who were told lately, or of this Dag run, or are not to be told now."""
        if self._digest is None:
            return
        for person in list(self._people):
            try:
                dag_id = None if self._rest_only else self._dag_id
                turn = self._digest.take(person, dag_id, run_id=self._run_id, quiet=self._is_quiet(person))
            except (OSError, sqlite3.Error) as error:
                # Too many messages are better than none.
                log.warning("The digest of alerts cannot be used (%s): the alert is told at once", type(error).__name__)
                if self._rest_only:
                    del self._people[person]
                continue
            if turn is None:
                del self._people[person]
                self.counted += 1
            else:
                self._turns[person] = self._untold[person] = turn

    def _is_quiet(self, person: str) -> bool:
        if self._quiet is None:
            return False
        try:
            number = phones.digits("to", self._people[person], self._fields["phone_country"])
        except WtsChatArgumentError:
            return False  # refused when the message is built
        return self._quiet.next_start(f"+{number}", datetime.now(UTC)) is not None

    def give_back(self) -> None:
        """Let the next alert tell those who are known not to have been told."""
        for turn in self._untold.values():
            with suppress(OSError, sqlite3.Error):
                if self._digest is not None:
                    self._digest.give_back(turn, None if self._rest_only else self._dag_id)

    def send(self, hook: WtsChatHook) -> None:
        """Send it, and never raise."""
        try:
            self.take_turns()
            hook.resolve()
            hook.perform(self.exchange(), timeout=self._deadline - time.monotonic())
        except Exception as error:
            self.errors.append(error)
        finally:
            self.give_back()

    def exchange(self) -> Exchange[None]:
        """Notify each person; an error is kept, and the others are notified all the same."""
        if not self._people:
            return
        try:
            template_id = yield from self._template_id()
        except WtsChatError as error:
            self.errors.append(error)
            return
        for person, to in self._people.items():
            # A send that was interrupted because the time was up ends as an error, and nobody else is to be told then.
            if time.monotonic() >= self._deadline:
                self.errors.append(TimeoutError())
                return
            turn = None
            try:
                request = self._request(to, self._content(template_id, self._turns.get(person)))
                turn = self._untold.pop(person, None)
                yield request
                self.told += 1
            except WtsChatError as error:
                self.errors.append(error)
                if turn is not None and not isinstance(error, WtsChatUncertainError):
                    self._untold[person] = turn

    def _template_id(self) -> Exchange[Any]:
        if self._fields["template_name"] is not None:
            return (yield from lookup.template(self._fields["template_name"]))
        return self._fields["template_id"]

    def _content(self, template_id: Any, turn: Turn | None) -> dict[str, Any]:
        rest = turn.summary() if turn is not None else ""
        if self._rest_only:
            line = f"Airflow: {rest}"
        elif rest:
            suffix = f" And {rest}"
            line = convert.one_line(self._line, LONGEST_TEXT - len(suffix)) + suffix
        else:
            line = self._line
        text, parameters = self._fields["text"], self._fields["template_parameters"]
        if template_id is not None:
            own = parameters is not None and not self._rest_only
            return {"template_id": template_id, "template_parameters": parameters if own else [line]}
        if convert.is_nothing(text) or self._rest_only:
            return {"text": line}
        return {"text": f"{text}\n\nAnd {rest}" if rest else text}

    def _request(self, to: Any, content: Mapping[str, Any]) -> Request[Any]:
        if to is None:
            return sessions.send(self._fields["session_id"], **content)
        send = sends.send_template if "template_id" in content else sends.send_text
        return send(
            to=to, from_channel=self._fields["from_channel"], phone_country=self._fields["phone_country"], **content
        )


def _person(to: Any, country: Any) -> str:
    try:
        return phones.person("to", to, country)
    except WtsChatArgumentError:
        return str(to)  # refused when the message is built


def describe(context: Context | Mapping[str, Any]) -> str:
    """
    Say in one line what happened: which Dag, task, try, run and error, and a link.

    :param context: context of a task or a Dag run, or what a deadline alert has in its place; any key may be missing
    :return: at most 1,024 characters
    """
    link = _link(context)
    room = LONGEST_TEXT - (len(link) + 1 if link else 0)
    line = convert.one_line(str(redact(" ".join(_words(context)))), room)
    return f"{line} {link}" if link else line


def _dag_id(context: Any) -> str:
    ti, run = context.get("ti") or context.get("task_instance"), context.get("dag_run")
    return str(_of(ti, "dag_id") or _of(run, "dag_id") or _of(context.get("dag"), "dag_id") or "")


def _run_id(context: Any) -> str | None:
    ti, run = context.get("ti") or context.get("task_instance"), context.get("dag_run")
    found = _of(ti, "run_id") or _of(run, "run_id") or _of(run, "dag_run_id") or context.get("run_id")
    return None if not found else str(found)


def _words(context: Any) -> Iterator[str]:
    ti, run = context.get("ti") or context.get("task_instance"), context.get("dag_run")
    dag_id = _dag_id(context)
    task_id = _of(ti, "task_id") or _of(context.get("task"), "task_id")
    exception, reason = context.get("exception"), context.get("reason")
    yield "Airflow:"
    if task_id:
        index = _of(ti, "map_index")
        yield f"task {task_id}" + (f"[{index}]" if isinstance(index, int) and index >= 0 else "")
        if dag_id:
            yield "of"
    if dag_id:
        yield f"Dag {dag_id}"
    yield _verb(context, ti, run)
    if task_id and isinstance(number := _of(ti, "try_number"), int):
        most = _of(ti, "max_tries")
        yield f"(try {number} of {most + 1})" if isinstance(most, int) and most + 1 >= number else f"(try {number})"
    if run_id := _run_id(context):
        yield f"in run {run_id}"
    if exception is not None and str(exception):
        kind = "" if isinstance(exception, str) else f"{type(exception).__name__}: "
        yield f"- {kind}{exception}"
    elif exception is not None:
        yield f"- {type(exception).__name__}"
    elif reason:
        yield f"- {reason}"


def _verb(context: Any, ti: Any, run: Any) -> str:
    if (deadline := context.get("deadline")) is not None:
        moment = _of(deadline, "deadline_time")
        return "missed its deadline" + (f" of {moment}" if moment else "")
    if (subject := _of(context.get("task"), "subject")) is not None:
        # Operators that wait for a person have one.
        return f"asks: {subject}"
    state = _of(ti, "state") if ti is not None else _of(run, "state")
    name = str(getattr(state, "value", state))
    if name in _VERBS:
        return _VERBS[name]
    if context.get("exception") is not None:
        return "failed"
    return "has news" if state is None else f"is {name}"


def _link(context: Any) -> str:
    ti, run = context.get("ti") or context.get("task_instance"), context.get("dag_run")
    link = _of(ti, "log_url")
    dag_id, run_id = _of(run, "dag_id"), _of(run, "run_id") or _of(run, "dag_run_id")
    if not link and dag_id and run_id:
        version_2 = airflow_version.startswith("2.")
        base = str(conf.get("webserver" if version_2 else "api", "base_url", fallback="") or "").rstrip("/")
        path = f"/dags/{dag_id}/" + ("grid?dag_run_id=" if version_2 else "runs/") + quote(str(run_id), safe="")
        link = base + path if base else ""
    return str(link) if link and len(str(link)) <= _LONGEST_LINK else ""


def _of(thing: Any, name: str) -> Any:
    """Read an attribute, or a key, of what may be there; a property of Airflow's may fail in strange places."""
    with suppress(Exception):
        return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
    return None
