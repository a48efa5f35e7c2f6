"""
The receiver: an ASGI application that stores events before it answers.

It needs no framework, because the module of a plugin is imported in every process of Airflow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, get_inbox
from airflow_provider_wtschat.webhooks.inbox._registry import keep_hours

__all__ = ["LARGEST_BODY", "Receiver"]

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 256 * 1024
"""Bytes."""
BODY_SECONDS = 10.0
"""So long may a body take to come."""
_LARGEST_BATCH = 500
_MOST_WAITING = 20_000
_PRUNE_EVERY = 3600.0
_SAY_EVERY = 60.0
_PLACE = f"{webhook_address.PREFIX}/webhooks/"
_HIDDEN = f"{_PLACE}***"


class _Reply(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class _Post(NamedTuple):
    conn_id: str
    event: WebhookEvent
    stored: asyncio.Future[bool]


class Receiver:
    """
    Receive the posts to ``/wtschat/webhooks/{conn_id}/{token}``.

    It answers 200 when the event is safe in the inbox, 503 when it could not be stored, 404 to an address that this
    deployment has not given out, 405 to anything but POST, 413 to a body over 256 KiB, 408 to one that takes longer
    than 10 seconds, and 422 to what is no JSON object.

    Posts that arrive together are stored in one commit. The path is hidden before anything logs it.

    :param inbox: where events are kept. Default: as ``[wtschat] webhook_inbox`` says, opened with the first post
    :param secrets: the deployment's secrets. Default: ``[wtschat] webhook_secret``, read once, because Airflow may run
        a command or ask a secrets backend for it
    :raises WtsChatArgumentError: if a secret in the configuration is too short
    """

    def __init__(self, inbox: Inbox | None = None, secrets: list[str] | None = None) -> None:
        self._inbox = inbox
        self._secrets = webhook_address.secrets() if secrets is None else secrets
        self._waiting: deque[_Post] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wtschat-webhooks")
        self._pruned_at = float("-inf")
        self._said_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer one request.

        :param scope: of the request; its path is replaced, so that no log shows the secret in it
        :param receive: gives its body
        :param send: takes the answer
        """
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        # Whoever logs the request does so when it is answered, from this same mapping.
        scope["path"] = _HIDDEN
        scope["raw_path"] = _HIDDEN.encode()
        scope["query_string"] = b""
        try:
            reply = await self._take(path, scope, receive)
        except _Reply as told:
            reply = told
        headers = [(b"content-length", b"0"), *((k.encode(), v.encode()) for k, v in reply.headers.items())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _take(self, path: str, scope: Scope, receive: Receive) -> _Reply:
        conn_id = webhook_address.owner(path, self._secrets)
        if conn_id is None:
            raise _Reply(404)
        if scope["method"] != "POST":
            raise _Reply(405, allow="POST")
        body = await _body(scope, receive)
        try:
            event = WebhookEvent.parse(body)
        except WtsChatArgumentError as error:
            raise _Reply(422) from error
        new = await self._store(conn_id, event)
        Stats.incr("wtschat.webhooks.received" if new else "wtschat.webhooks.repeated")
        return _Reply(200)

    async def _store(self, conn_id: str, event: WebhookEvent) -> bool:
        """Store an event together with those that arrive meanwhile."""
        if len(self._waiting) >= _MOST_WAITING:
            raise _Reply(503, **{"retry-after": "30"})
        post = _Post(conn_id, event, asyncio.get_running_loop().create_future())
        self._waiting.append(post)
        if self._storing is None or self._storing.done():
            # Not at the start of the application: a server that mounts it runs no lifespan of its own for it.
            self._storing = asyncio.get_running_loop().create_task(self._drain())
        try:
            return await asyncio.shield(post.stored)
        except InboxError as error:
            raise _Reply(503, **{"retry-after": "30"}) from error

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            try:
                new = await loop.run_in_executor(
                    self._thread, self._put, [(post.conn_id, post.event) for post in batch]
                )
            except Exception as error:  # whatever it is, nobody may wait for ever or be told that it is stored
                self._say(error)
                for post in batch:
                    if not post.stored.done():
                        post.stored.set_exception(error if isinstance(error, InboxError) else InboxError())
                        post.stored.exception()  # a client that has gone does not ask for it
            else:
                for post, one in zip(batch, new, strict=True):
                    if not post.stored.done():
                        post.stored.set_result(one)

    def _put(self, batch: list[tuple[str, WebhookEvent]]) -> list[bool]:
        if self._inbox is None:
            self._inbox = get_inbox()
            log.info("Webhooks are kept in %s", self._inbox.describe())
        new = self._inbox.put(batch)
        if time.monotonic() - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = time.monotonic()
            try:
                self._inbox.prune(datetime.now(UTC) - timedelta(hours=keep_hours()))
            except InboxError as error:
                # The events are stored; that old ones are still there harms nothing for now.
                self._say(error)
        return new

    def _say(self, error: Exception) -> None:
        if time.monotonic() - self._said_at > _SAY_EVERY:
            self._said_at = time.monotonic()
            log.error("Webhooks cannot be stored and are answered with 503: %s", error)


class ReceiverMiddleware:
    """
    Give posts of webhooks to the receiver, and every other request to Airflow.

    Airflow adds the middleware of plugins before its own, which then lies around it: a post would pass the access log,
    compression and the renewal of logins, and they cost several times what it costs to store the post. So when the
    application starts, this places itself around them.

    :param app: the application behind it
    :param receiver: what takes the posts. Default: a new one
    """

    def __init__(self, app: Application, receiver: Receiver | None = None) -> None:
        self._app = app
        self._receiver = receiver or Receiver()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer one request, or let it pass.

        :param scope: of the request
        :param receive: gives its body
        :param send: takes the answer
        """
        if scope["type"] == "http" and _PLACE in scope["path"] and _is_ours(scope):
            await self._receiver(scope, receive, send)
            return
        if scope["type"] == "lifespan":
            self._go_outside(scope.get("app"))
        await self._app(scope, receive, send)

    def _go_outside(self, application: Any) -> None:
        # Where an application has no such stack, posts are taken here as well, only slower.
        around = getattr(application, "middleware_stack", None)
        if around is not None and not isinstance(around, ReceiverMiddleware):
            application.middleware_stack = ReceiverMiddleware(around, self._receiver)


def _is_ours(scope: Scope) -> bool:
    """Return whether a path begins where posts go, below the path of ``[api] base_url`` or with that taken away."""
    before, _, _ = scope["path"].partition(_PLACE)
    return before in ("", scope.get("root_path", ""))


async def _body(scope: Scope, receive: Receive) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or len(value) > 12 or int(value) > LARGEST_BODY):
            raise _Reply(413, connection="close")
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Reply(400)
                piece = message.get("body", b"")
                size += len(piece)
                if size > LARGEST_BODY:
                    raise _Reply(413, connection="close")
                pieces.append(piece)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise _Reply(408, connection="close") from None
