"""The hook for event loops: the same rules, requests and errors as the other one."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Self, TypeVar

import aiohttp
import tenacity
from asgiref.sync import sync_to_async
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_provider_wtschat._compat import BaseHook, get_async_connection, get_async_extra_dejson
from airflow_provider_wtschat.api import response
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.paging import Paginator
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.budget import Budget, BudgetTimeoutError, get_budget
from airflow_provider_wtschat.budget.account import sleep_or_stop
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatRateLimitError
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.hooks.answers import KeptAnswer
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID, ConnectionSettings

__all__ = ["WtsChatAsyncHook"]

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass
class _Progress:
    """How far a request got."""

    sent: bool = False
    """Whether its first byte went out, or was about to."""


async def _note(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.sent = True


class WtsChatAsyncHook(BaseHook):
    """
    Speak to WTS Chat from an event loop.

    Inside ``async with`` it keeps its connections; outside, each call opens its own.

    .. code-block:: python

        async with WtsChatAsyncHook() as hook:
            async for row in hook.iterate(sessions.list_(status=["PENDING"])):
                print(row["id"])

    :param wtschat_conn_id: id of the connection. Default: ``wtschat_default``. It is read on first use
    :param timeout: seconds to wait for an answer. Default: the connection's ``timeout``, else 60
    :param max_retries: how often a request that failed is sent again, where that cannot harm. Default: the
        connection's ``max_retries``, else 5
    :param max_wait: seconds that one call may wait in all for the account's limit and between attempts.
        Default: 600
    """

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
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session that is kept until the block ends."""
        self._session = await self._new_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def resolve(self) -> ConnectionSettings:
        """
        Read the connection, once.

        :raises WtsChatError: if the connection cannot be used
        """
        if self._settings is None:
            connection = await get_async_connection(self.wtschat_conn_id)
            extra = await get_async_extra_dejson(connection)
            # Not on the event loop: in Airflow 3.0 masking the token asks the supervisor, and fails there.
            self._settings = await sync_to_async(ConnectionSettings.read)(self.wtschat_conn_id, connection, extra)
        return self._settings

    async def run(self, request: Request[T], *, bulk: bool = False) -> T:
        """
        Send a request and return what it was answered with.

        :param request: what to ask, built by a function of :mod:`airflow_provider_wtschat.api`
        :param bulk: whether it belongs to a long read, which leaves the account's other clients room
        :return: the answer, as the API sent it
        :raises WtsChatError: of the kind that says what happened
        """
        return (await self.answer(request, bulk=bulk)).value

    async def answer(
        self,
        request: Request[T],
        *,
        bulk: bool = False,
        max_wait: float | None = None,
        stop: asyncio.Event | None = None,
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
        settings = await self.resolve()
        if request.max_age is not None:
            with closing(await asyncio.to_thread(KeptAnswer, settings, request)) as kept:
                if not kept.found:
                    fresh = request.having(max_age=None)
                    new = await self.answer(fresh, bulk=bulk, max_wait=max_wait, stop=stop)
                    await asyncio.to_thread(kept.keep, new.value)
                return Answer(kept.value, None)
        max_retries = settings.max_retries if self.max_retries is None else self.max_retries
        wait = self.max_wait if max_wait is None else min(max_wait, self.max_wait)
        retrying = tenacity.AsyncRetrying(
            sleep=asyncio.sleep if stop is None else partial(sleep_or_stop, stop),
            **transport.retry_arguments(request, max_retries=max_retries, max_wait=wait),
        )
        if stop is not None:
            enough = retrying.stop
            retrying.stop = lambda state: stop.is_set() or enough(state)
        deadline = time.monotonic() + wait
        content = request.content
        own = None if self._session else await self._new_session()
        if own is None:
            return await retrying(self._send, self._session, request, content, bulk, deadline, stop)
        try:
            answered: Answer[T] = await retrying(self._send, own, request, content, bulk, deadline, stop)
        except BaseException:
            await own.close()
            raise
        try:
            await own.close()
        except BaseException as error:
            # As in _send: it was acted on, so its caller must not hear that it was cancelled before.
            if request.safe_to_repeat:
                raise
            raise transport.interrupted(request, error) from None
        return answered

    async def perform(
        self,
        exchange: Exchange[T],
        *,
        bulk: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 (it begins no request that there is no time for)
        stop: asyncio.Event | None = None,
    ) -> T:
        """
        Send the requests of a conversation, one after the other, and return what came out.

        :param exchange: the conversation; an error of a request is thrown into it
        :param bulk: whether its requests belong to a long read
        :param timeout: seconds after which no further request is begun, and none waits for the account's limit or to
            go out again. ``asyncio.timeout`` around it would interrupt one. Default: no bound
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
                        answer = (await self.answer(request, bulk=bulk, max_wait=left, stop=stop)).value
                    except WtsChatError as error:
                        request = exchange.throw(error)
                    else:
                        request = exchange.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    async def pages(
        self, request: PagedRequest[Row], *, page_size: int | None = None, bulk: bool = False
    ) -> AsyncIterator[list[Row]]:
        """
        Read all rows of a list, a page at a time, so that none is lost while rows change.

        :param request: the list
        :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
        :param bulk: whether it belongs to a long read
        :return: pages of rows, empty ones left out
        :raises WtsChatError: of the kind that says what happened
        """
        paginator = Paginator(request, page_size=page_size or (await self.resolve()).page_size)
        while (step := paginator.next()) is not None:
            rows = paginator.accept(await self.run(step, bulk=bulk))
            if rows:
                yield rows

    async def iterate(
        self, request: PagedRequest[Row], *, page_size: int | None = None, bulk: bool = False
    ) -> AsyncIterator[Row]:
        """
        Read all rows of a list, one at a time, so that none is lost while rows change.

        :param request: the list
        :param page_size: rows per page, 1 to 100. Default: the connection's ``page_size``, else 100
        :param bulk: whether it belongs to a long read
        :return: every row
        :raises WtsChatError: of the kind that says what happened
        """
        async for rows in self.pages(request, page_size=page_size, bulk=bulk):
            for row in rows:
                yield row

    async def _new_session(self) -> aiohttp.ClientSession:
        settings = await self.resolve()
        if self._budget is None:
            # Opening a store touches a file or the network.
            self._budget = await asyncio.to_thread(get_budget, settings.account, name=self.wtschat_conn_id)
        trust = await asyncio.to_thread(_trust) if settings.verify_ssl else False
        # Not called for a proxy's CONNECT: that is no part of the request.
        noting = aiohttp.TraceConfig()
        noting.on_request_headers_sent.append(_note)
        session = aiohttp.ClientSession(
            headers={
                "User-Agent": transport.USER_AGENT,
                "Accept": "application/json",
                "Authorization": f"Bearer {settings.token}",
            },
            connector=aiohttp.TCPConnector(ssl=trust),
            proxy=settings.proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[noting],
        )
        # Of its own accord it would send again what a lost connection cut off, past the budget and the rules.
        session._retry_connection = False
        return session

    async def _send(
        self,
        session: aiohttp.ClientSession,
        request: Request[T],
        content: bytes | None,
        bulk: bool,
        deadline: float,
        stop: asyncio.Event | None,
    ) -> Answer[T]:
        budget = self._budget
        if budget is None:
            budget = self._budget = await asyncio.to_thread(
                get_budget, (await self.resolve()).account, name=self.wtschat_conn_id
            )
        answer: Answer[T] | None = None
        try:
            left = max(0.0, deadline - time.monotonic())
            async with budget.slot_async(send=request.is_send, bulk=bulk, timeout=left, stop=stop):
                answer = await self._exchange(session, request, content)
        except BudgetTimeoutError as full:
            raise transport.over_budget(request, full) from full
        except BaseException as error:
            transport.count_answer(error)
            if isinstance(error, WtsChatRateLimitError):
                await budget.hold_async(transport.back_off(1, error))
            if answer is not None and not request.safe_to_repeat:
                # It came while the budget was told: as it was acted on, no retry of the task may send it again.
                raise transport.interrupted(request, error) from None
            raise
        transport.count_answer(None)
        return answer

    async def _exchange(self, session: aiohttp.ClientSession, request: Request[T], content: bytes | None) -> Answer[T]:
        settings = await self.resolve()
        read = self.timeout or settings.timeout
        handled = sys.exception()
        progress = _Progress()
        try:
            async with session.request(
                request.method,
                settings.base_url + request.target,
                data=content,
                headers=None if content is None else {"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=min(transport.CONNECT_TIMEOUT, read), sock_read=read
                ),
                allow_redirects=False,
                trace_request_ctx=progress,
            ) as answered:
                value = response.judge(request, answered.status, answered.headers, await answered.read())
                return Answer(value, response.server_time(answered.headers))
        except WtsChatError:
            raise
        except BaseException as error:
            meaning = transport.meaning(
                request,
                error,
                sent=progress.sent,
                of_network=isinstance(error, (aiohttp.ClientError, OSError)),
                handled=handled,
            )
            if meaning is error:
                raise
            # Without its cause, whose words show the address: a phone number in its path, or a proxy's password.
            raise meaning from None


def _trust() -> ssl.SSLContext:
    # The same authorities that requests trusts, so that both hooks reach the same hosts.
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
