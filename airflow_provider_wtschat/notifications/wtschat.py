"""The notifier: what happens in Airflow, told on WhatsApp."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow import __version__ as airflow_version
from jinja2 import ChainableUndefined

from airflow_provider_wtschat._compat import BaseNotifier, conf, redact
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import lookup, phones, sends, sessions
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.masking import masked
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatNotifier", "send_wtschat_notification"]

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

    All arguments but ``context`` are templated; what the context lacks renders to nothing.

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
        deadline = time.monotonic() + LONGEST_WAIT
        try:
            rendered = self._rendered(context)
            hook = WtsChatHook(
                rendered["wtschat_conn_id"], timeout=LONGEST_WAIT, max_retries=_RETRIES, max_wait=LONGEST_WAIT
            )
            if _LOOKS_UP_IN_MAIN_THREAD_ONLY:
                hook.resolve()
            notification = _Notification(rendered, context, deadline)
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
            notification = _Notification(rendered, context, deadline)
            hook = WtsChatAsyncHook(
                rendered["wtschat_conn_id"], timeout=LONGEST_WAIT, max_retries=_RETRIES, max_wait=LONGEST_WAIT
            )
            try:
                async with asyncio.timeout(LONGEST_WAIT), hook:
                    await hook.perform(notification.exchange())
            except TimeoutError:
                self._say(notification, late=True)
            else:
                self._say(notification, late=False)
        except Exception as error:
            self._fail(error)

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
        self.log.info("Told %d of %d recipients by WTS Chat", notification.told, notification.recipients)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            self.log.error("The notification was not sent to everybody: %.0f s were over", LONGEST_WAIT)
            return
        reason = masked(str(error)) if isinstance(error, WtsChatError) else type(error).__name__
        self.log.error("The notification was not sent: %s", reason)


send_wtschat_notification = WtsChatNotifier


class _Notification:
    """What one notification asks of the API, whichever hook performs it."""

    def __init__(self, fields: Mapping[str, Any], context: Context | Mapping[str, Any], deadline: float) -> None:
        self._deadline = deadline
        self.errors: list[Exception] = []
        self.told = 0
        self._fields = fields
        self._line = describe(context)
        given = [] if fields["to"] is None else convert.listing("to", fields["to"]) or []
        # Several spellings of one number are one person, who is told once.
        self._to = list({_person(to, fields["phone_country"]): to for to in reversed(given)}.values())[::-1]
        self.recipients = len(self._to) or 1
        if bool(self._to) == (fields["session_id"] is not None):
            raise WtsChatArgumentError(argument="to, session_id", reason="give one of them, to say who is to be told")

    def send(self, hook: WtsChatHook) -> None:
        """Send it, and never raise."""
        try:
            hook.resolve()
            hook.perform(self.exchange(), timeout=self._deadline - time.monotonic())
        except Exception as error:
            self.errors.append(error)

    def exchange(self) -> Exchange[None]:
        """Tell each person; an error is kept, and the others are told all the same."""
        try:
            content = yield from self._content()
        except WtsChatError as error:
            self.errors.append(error)
            return
        for to in self._to or [None]:
            # A send that was interrupted because the time was up ends as an error, and nobody else is to be told then.
            if time.monotonic() >= self._deadline:
                self.errors.append(TimeoutError())
                return
            try:
                yield self._request(to, content)
                self.told += 1
            except WtsChatError as error:
                self.errors.append(error)

    def _content(self) -> Exchange[dict[str, Any]]:
        fields = self._fields
        if fields["template_name"] is not None:
            template_id = yield from lookup.template(fields["template_name"])
        else:
            template_id = fields["template_id"]
        if template_id is None:
            return {"text": self._line if convert.is_nothing(fields["text"]) else fields["text"]}
        parameters = fields["template_parameters"]
        return {
            "template_id": template_id,
            "template_parameters": [self._line] if parameters is None else parameters,
        }

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


def _words(context: Any) -> Iterator[str]:
    ti, run = context.get("ti") or context.get("task_instance"), context.get("dag_run")
    dag_id = _of(ti, "dag_id") or _of(run, "dag_id") or _of(context.get("dag"), "dag_id")
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
    run_id = _of(ti, "run_id") or _of(run, "run_id") or _of(run, "dag_run_id") or context.get("run_id")
    if run_id:
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
