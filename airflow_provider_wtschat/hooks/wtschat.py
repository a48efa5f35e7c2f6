"""The hook."""

from __future__ import annotations

import mimetypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from typing import Any, ClassVar, NamedTuple, TypeVar

import requests
import tenacity
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from airflow_provider_wtschat._compat import BaseHook, ObjectStoragePath
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import files, panels, response, sessions, tags, webhooks
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.paging import Paginator
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.api.types import FileType, SavedFile
from airflow_provider_wtschat.budget import Budget, BudgetTimeoutError, get_budget
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatAuthenticationError,
    WtsChatConnectionError,
    WtsChatError,
    WtsChatRateLimitError,
    WtsChatServerError,
)
from airflow_provider_wtschat.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_wtschat.hooks import _wire, transport, webhook_address
from airflow_provider_wtschat.hooks.answers import KeptAnswer
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID, ConnectionSettings

__all__ = ["TokenAuth", "WtsChatHook"]

T = TypeVar("T")
Row = TypeVar("Row")

_TEST_SECONDS = 10.0
_BYTES = "application/octet-stream"
_OF_NETWORK = (OSError, HTTPError, HTTPException)
"""What requests raises; and what it sometimes lets through of the libraries below it."""


class TokenAuth(AuthBase):
    """
    Puts the token into a request, and nowhere else.

    :param token: the API token, without ``Bearer``
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Probe(NamedTuple):
    service: str
    error: WtsChatError | None


class WtsChatHook(BaseHook):
    """
    Speak to WTS Chat.

    .. code-block:: python

        hook = WtsChatHook()
        session = hook.run(sessions.get("2f0c..."))
        for row in hook.iterate(sessions.list_(status=["PENDING"])):
            print(row["id"])

    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``. It is read on first use
    :param timeout: seconds to wait for an answer. Default: the connection's ``timeout``, else 60
    :param max_retries: how often a request that failed is sent again, where that cannot harm. Default: the
        connection's ``max_retries``, else 5
    :param max_wait: seconds that one call may wait in all for the account's limit and between attempts.
        Default: 600
    """

    conn_name_attr: ClassVar[str] = "wtschat_conn_id"
    default_conn_name: ClassVar[str] = DEFAULT_CONN_ID
    conn_type: ClassVar[str] = "wtschat"
    hook_name: ClassVar[str] = "WTS Chat"

    def __init__(
        self,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_wait: float = transport.DEFAULT_MAX_WAIT,
    ) -> None:
        super().__init__()
        self.wtschat_conn_id = wtschat_conn_id
        self.timeout = timeout
        self.max_retries = max_retries
        self.max_wait = max_wait
        self._settings: ConnectionSettings | None = None
        self._budget: Budget | None = None
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read and opened, so that a copy begins anew and the token stays here."""
        return {**self.__dict__, "_settings": None, "_budget": None, "_local": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy from the state that it was made of."""
        self.__dict__.update(state, _local=threading.local())

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields, for Airflow up to 3.1; later ones read the provider's metadata."""
        from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, IntegerField, PasswordField, StringField
        from wtforms.validators import NumberRange, Optional

        def widget(field: dict[str, Any]) -> Any:
            schema = field["schema"]
            told = {"description": field["description"], "default": schema.get("default")}
            label = lazy_gettext(field["label"])
            if "boolean" in schema["type"]:
                return BooleanField(label, **told)
            if "integer" in schema["type"]:
                bounds = NumberRange(schema["minimum"], schema["maximum"])
                return IntegerField(label, validators=[Optional(), bounds], widget=BS3TextFieldWidget(), **told)
            if schema.get("format") == "password":
                return PasswordField(label, validators=[Optional()], widget=BS3PasswordFieldWidget(), **told)
            return StringField(label, validators=[Optional()], widget=BS3TextFieldWidget(), **told)

        return {name: widget(field) for name, field in CONN_FIELDS.items()}

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows Airflow's fields, for Airflow up to 3.1."""
        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}

    def resolve(self) -> ConnectionSettings:
        """
        Read the connection, once.

        Call it in the main thread before other threads use the hook.

        :raises WtsChatError: if the connection cannot be used
        """
        return self._resolve(self.wtschat_conn_id)

    def _resolve(self, name: str | None) -> ConnectionSettings:
        if self._settings is None:
            connection = self.get_connection(self.wtschat_conn_id)
            self._settings = ConnectionSettings.read(self.wtschat_conn_id, connection, connection.extra_dejson)
            self._budget = get_budget(self._settings.account, name=name)
        return self._settings

    @property
    def budget(self) -> Budget:
        """The account's request budget."""
        self.resolve()
        if self._budget is None:
            self._budget = get_budget(self.resolve().account, name=self.wtschat_conn_id)
        return self._budget

    def get_conn(self) -> requests.Session:
        """Return the session of this thread: kept connections, authentication, proxies."""
        session: requests.Session | None = getattr(self._local, "session", None)
        # Over a connection that it shares with its parent, a forked child would read the parent's answers.
        if session is None or self._local.process != os.getpid():
            settings = self.resolve()
            session = requests.Session()
            session.auth = TokenAuth(settings.token)
            session.headers.update({"User-Agent": transport.USER_AGENT, "Accept": "application/json"})
            adapter = _wire.NotingAdapter()
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            # The environment's proxies and certificates are read once here, and not for each request.
            told = session.merge_environment_settings(
                settings.base_url, dict(settings.proxies), None, settings.verify_ssl, None
            )
            session.proxies, session.verify, session.trust_env = told["proxies"], told["verify"], False
            self._local.session, self._local.process = session, os.getpid()
        return session

    def run(self, request: Request[T], *, bulk: bool = False) -> T:
        """
        Send a request and return what it was answered with.

        :param request: what to ask, built by a function of :mod:`airflow_provider_wtschat.api`
        :param bulk: whether it belongs to a long read, which leaves the account's other clients room
        :return: the answer, as the API sent it
        :raises WtsChatError: of the kind that says what happened
        """
        return self.answer(request, bulk=bulk).value

    def answer(
        self,
        request: Request[T],
        *,
        bulk: bool = False,
        max_wait: float | None = None,
        stop: threading.Event | None = None,
    ) -> Answer[T]:
        """
        Send a request and return its answer together with the server's clock.

        :param request: what to ask
        :param bulk: whether it belongs to a long read
        :param max_wait: seconds that it may wait in all, if that is less than the hook's own ``max_wait``
        :param stop: ends every wait, for the account's limit and between attempts, when it is set
        :raises WtsChatError: of the kind that says what happened
        """
        transport.refuse_list(request)
        if request.max_age is not None:
            with closing(KeptAnswer(self.resolve(), request)) as kept:
                if not kept.found:
                    fresh = request.having(max_age=None)
                    kept.keep(self.answer(fresh, bulk=bulk, max_wait=max_wait, stop=stop).value)
                return Answer(kept.value, None)
        wait = self.max_wait if max_wait is None else min(max_wait, self.max_wait)
        retrying = self._retrying(request, wait)
        if stop is not None:
            enough = retrying.stop
            retrying.stop = lambda state: stop.is_set() or enough(state)
            retrying.sleep = tenacity.sleep_using_event(stop)
        deadline = time.monotonic() + wait
        content = request.content
        return retrying(lambda: self._send(request, content, bulk=bulk, deadline=deadline, stop=stop))

    def perform(
        self,
        exchange: Exchange[T],
        *,
        bulk: bool = False,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> T:
        """
        Send the requests of a conversation, one after the other, and return what came out.

        :param exchange: the conversation; an error of a request is thrown into it
        :param bulk: whether its requests belong to a long read
        :param timeout: seconds after which no further request is begun, and none waits for the account's limit or to
            go out again. Default: no bound
        :param stop: ends every wait when it is set, and no further request is begun
        :return: what the conversation returns
        :raises TimeoutError: if time ran out, or it was stopped, before it came to its end
        :raises WtsChatError: of the kind that says what happened, where the conversation does not handle it
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with closing(exchange):
            try:
                request = next(exchange)
                while True:
                    transport.check_time(request, deadline, stopped=stop is not None and stop.is_set())
                    left = None if deadline is None else deadline - time.monotonic()
                    try:
                        answer = self.answer(request, bulk=bulk, max_wait=left, stop=stop).value
                    except WtsChatError as error:
                        request = exchange.throw(error)
                    else:
                        request = exchange.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    def pages(
        self, request: PagedRequest[Row], *, page_size: int | None = None, bulk: bool = False
    ) -> Iterator[list[Row]]:
        """
        Read all rows of a list, a page at a time, so that none is lost while rows change.

        :param request: the list
        :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
        :param bulk: whether it belongs to a long read
        :return: pages of rows, empty ones left out
        :raises WtsChatError: of the kind that says what happened
        """
        return self.paginate(Paginator(request, page_size=page_size or self.resolve().page_size), bulk=bulk)

    def paginate(self, paginator: Paginator[Row], *, bulk: bool = False) -> Iterator[list[Row]]:
        """
        Read what a paginator asks for, a page at a time. The paginator tells the total and how far it can be trusted.

        :param paginator: the paginator
        :param bulk: whether it belongs to a long read
        :return: pages of rows, empty ones left out
        :raises WtsChatError: of the kind that says what happened
        """
        while (step := paginator.next()) is not None:
            rows = paginator.accept(self.run(step, bulk=bulk))
            if rows:
                yield rows

    def iterate(self, request: PagedRequest[Row], *, page_size: int | None = None, bulk: bool = False) -> Iterator[Row]:
        """
        Read all rows of a list, one at a time, so that none is lost while rows change.

        :param request: the list
        :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
        :param bulk: whether it belongs to a long read
        :return: every row
        :raises WtsChatError: of the kind that says what happened
        """
        for rows in self.pages(request, page_size=page_size, bulk=bulk):
            yield from rows

    def upload(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        mime_type: str | None = None,
        file_type: str | None = None,
    ) -> SavedFile:
        """
        Upload a file so that messages and notes can carry it.

        Asks for an address (``GET /core/v2/file``), puts the bytes there and saves the file (``POST /core/v2/file``).

        :param path: path of a file on this machine, or on any object storage that Airflow knows
        :param name: name of the file with its extension. Default: as in the path
        :param mime_type: MIME type. Default: by the extension
        :param file_type: what the API takes the file for, see
            :func:`airflow_provider_wtschat.api.files.get_upload_url`: ``DOCUMENT`` keeps an image or a video as it is.
            Default: left to the API
        :return: the file; its ``id`` goes into messages and notes
        :raises WtsChatArgumentError: if there is no such file
        :raises WtsChatError: of the kind that says what happened
        """
        source = ObjectStoragePath(os.fspath(path))
        if not source.is_file():
            raise WtsChatArgumentError("file_path", f"there is no file {os.fspath(path)}")
        file_name = name or source.name
        ask = files.get_upload_url(name=file_name, mime_type=mime_type, file_type=file_type or FileType.UNDEFINED.value)
        ticket = self.run(ask)
        address = convert.url("urlUpload", ticket.get("urlUpload"))
        kind = mime_type or mimetypes.guess_type(file_name)[0] or _BYTES
        self._retrying(ask, self.max_wait)(lambda: self._put(str(address), source, kind))
        saved: SavedFile = self.run(files.save(ticket["tempFileId"]))
        return saved

    def test_connection(self) -> tuple[bool, str]:
        """
        Ask each service for one cheap list, for the connection form's Test.

        :return: whether any service answered, and what to know or do, in a sentence
        """
        try:
            # The form makes up an id for its test, by which nobody is to know the account afterwards.
            self._resolve(None)
        except WtsChatError as error:
            return False, str(error)
        deadline = time.monotonic() + _TEST_SECONDS
        probes = []
        cheap: tuple[tuple[str, Request[Any]], ...] = (
            ("chat", sessions.list_().page(size=1)),
            ("core", tags.list_()),
            ("crm", panels.list_().page(size=1)),
        )
        for service, request in cheap:
            left = deadline - time.monotonic()
            if left < 0.1:
                break
            try:
                self._send(request, None, bulk=False, deadline=deadline, read=left)
            except WtsChatConnectionError as error:
                probes.append(_Probe(service, error))
                break
            except WtsChatError as error:
                probes.append(_Probe(service, error))
            else:
                probes.append(_Probe(service, None))
        ok, message = _verdict(self.resolve().base_url, probes)
        if any(probe.service == "core" and probe.error is None for probe in probes):
            message += self._webhook_verdict(deadline)
        return ok, message

    def _webhook_verdict(self, deadline: float) -> str:
        """Describe which subscriptions post to this deployment; empty where it receives no webhooks."""
        try:
            known = webhook_address.secrets()
            left = deadline - time.monotonic()
            if not known or left < 0.1:
                return ""
            rows = self._send(webhooks.list_(), None, bulk=False, deadline=deadline, read=left).value
        except WtsChatError as error:
            return f"; webhooks: {error}"
        # Of any connection: while its form is tested, one has an id that is not its own.
        here = [(row, webhook_address.owner(row.get("url") or "", known)) for row in rows]
        told = [
            f"{row.get('name')!r} for connection {conn_id!r}{'' if row.get('enabled') else ' (disabled)'}"
            for row, conn_id in here
            if conn_id is not None
        ]
        return f"; webhooks are posted here by {', '.join(told)}" if told else "; no webhook subscription posts here"

    def _retrying(self, request: Request[Any], max_wait: float) -> tenacity.Retrying:
        max_retries = self.resolve().max_retries if self.max_retries is None else self.max_retries
        return tenacity.Retrying(**transport.retry_arguments(request, max_retries=max_retries, max_wait=max_wait))

    def _put(self, address: str, source: ObjectStoragePath, kind: str) -> None:
        settings = self.resolve()
        try:
            # The address carries its own permission: the token must not go there, so neither does the kept session.
            with source.open("rb") as stream:  # type: ignore[no-untyped-call]  # Airflow has no types for it
                answered = requests.put(
                    address,
                    data=stream,
                    headers={"Content-Type": kind},
                    timeout=(transport.CONNECT_TIMEOUT, self.timeout or settings.timeout),
                    allow_redirects=False,
                    verify=settings.verify_ssl,
                    proxies=dict(settings.proxies),
                )
        except requests.exceptions.RequestException as error:
            msg = f"The upload of {source.name} failed: {type(error).__name__}"
            # Without its cause, which would show the address.
            raise WtsChatServerError(msg, retryable=True) from None
        # Followed nowhere, a redirect leaves the file without its bytes.
        if not 200 <= answered.status_code < 300:
            msg = f"The upload of {source.name} was refused: HTTP {answered.status_code}"
            raise WtsChatServerError(msg, status=answered.status_code, retryable=answered.status_code >= 500)

    def _send(
        self,
        request: Request[T],
        content: bytes | None,
        *,
        bulk: bool,
        deadline: float,
        read: float | None = None,
        stop: threading.Event | None = None,
    ) -> Answer[T]:
        timeout = max(0.0, deadline - time.monotonic())
        answer: Answer[T] | None = None
        try:
            with self.budget.slot(send=request.is_send, bulk=bulk, timeout=timeout, stop=stop):
                answer = self._exchange(request, content, read)
        except BudgetTimeoutError as full:
            raise transport.over_budget(request, full) from full
        except BaseException as error:
            transport.count_answer(error)
            if isinstance(error, WtsChatRateLimitError):
                self.budget.hold(transport.back_off(1, error))
            if answer is not None and not request.safe_to_repeat:
                # It came while the budget was told: as it was acted on, no retry of the task may send it again.
                raise transport.interrupted(request, error) from None
            raise
        transport.count_answer(None)
        return answer

    def _exchange(self, request: Request[T], content: bytes | None, read: float | None) -> Answer[T]:
        settings = self.resolve()
        session = self.get_conn()
        read = read or self.timeout or settings.timeout
        handled = sys.exception()
        _wire.progress.sent = False
        try:
            answered = session.request(
                request.method,
                settings.base_url + request.target,
                data=content,
                headers=None if content is None else {"Content-Type": "application/json"},
                timeout=(min(transport.CONNECT_TIMEOUT, read), read),
                allow_redirects=False,
            )
            value = response.judge(request, answered.status_code, answered.headers, answered.content)
            return Answer(value, response.server_time(answered.headers))
        except WtsChatError:
            raise
        except BaseException as error:
            meaning = transport.meaning(
                request,
                error,
                sent=_wire.progress.sent,
                of_network=isinstance(error, _OF_NETWORK),
                handled=handled,
            )
            if meaning is error:
                raise
            # Without its cause, whose words show the address: a phone number in its path, or a proxy's password.
            raise meaning from None


def _verdict(base_url: str, probes: list[_Probe]) -> tuple[bool, str]:
    refusing = [probe for probe in probes if probe.error is not None]
    answering = [probe.service for probe in probes if probe.error is None]
    if answering:
        if not refusing:
            return True, f"{base_url} answers for {', '.join(answering)}"
        others = "; ".join(f"{probe.service}: {_short(probe.error)}" for probe in refusing)
        return True, f"{base_url} answers for {', '.join(answering)}, but not for {others}"
    if all(isinstance(probe.error, WtsChatAuthenticationError) for probe in refusing):
        return False, (
            f"{base_url} refuses the token: it is wrong, revoked, was unused for 15 days, or has no permission at all; "
            "the API does not say which"
        )
    return False, f"{base_url}: " + "; ".join(f"{probe.service}: {_short(probe.error)}" for probe in refusing)


def _short(error: WtsChatError | None) -> str:
    if isinstance(error, WtsChatAuthenticationError):
        return "the token has no permission for it"
    return str(error)
