"""The simulator as an ASGI application: from a request on the wire to an answer on the wire."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import pkgutil
import socket
import struct
import time
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from airflow_provider_wtschat.simulator import routes
from airflow_provider_wtschat.simulator.books import RequestEntry, Write
from airflow_provider_wtschat.simulator.control import Control
from airflow_provider_wtschat.simulator.errors import ApiError, ProblemError, unauthorized
from airflow_provider_wtschat.simulator.faults import HTML, PROBLEM, Answer, Faults, Injection
from airflow_provider_wtschat.simulator.instants import http_date
from airflow_provider_wtschat.simulator.limits import Limits
from airflow_provider_wtschat.simulator.openapi import SERVICES, Operation, Violation, is_uuid, load_contract
from airflow_provider_wtschat.simulator.routes.call import HANDLERS, Call, Later
from airflow_provider_wtschat.simulator.routes.files import FILES, UPLOADS
from airflow_provider_wtschat.simulator.world import World

for _module in pkgutil.iter_modules(routes.__path__):
    importlib.import_module(f"{routes.__name__}.{_module.name}")

# Reads that are no GET: they are not booked as writes.
_READS = {"POST /core/v1/contact/filter"}
_SESSION_PAGE = "/chat2/sessions/"
_RESET = struct.pack("ii", 1, 0)

logger = logging.getLogger(__name__)

Connection = tuple[str, int]


class Application:
    """Answers requests out of a world."""

    def __init__(self, world: World) -> None:
        """Prepare the answers."""
        self.world = world
        self.contract = load_contract()
        options = world.options
        self.limits = Limits(options.limits)
        self.faults = Faults(options.faults, seed=options.seed, retry_after=options.retry_after)
        self.control = Control(world, self.faults)
        self.connections: dict[Connection, asyncio.Transport] = {}
        """Where the client sits, by its address: needed to cut it off."""
        self._jitter = Random(f"{options.seed}/latency")
        self._encode = json.JSONEncoder(separators=(",", ":")).encode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        path: str = scope["path"]
        if path.startswith("/_simulator/"):
            answer = await self.control.answer(request)
        elif path.startswith((UPLOADS, FILES, _SESSION_PAGE)):
            answer = await self._serve_beside(request, path)
        else:
            answer = await self._serve(request, path)
        if answer.cut:
            await self._cut(scope)
        else:
            await self._write(scope, send, answer)

    # From the request to the answer

    async def _serve(self, request: Request, path: str) -> Answer:
        world, method = self.world, request.method
        pairs = parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True)
        operation, path_values, allowed = self.contract.match(method, path)
        entry = RequestEntry(
            method, path, pairs, operation.key if operation else None, arrived=time.monotonic(), at=world.now()
        )
        world.books.requests.append(entry)
        raw = await request.body()
        authorization = request.headers.get("authorization")
        if path.split("/")[1] not in SERVICES:
            self._note(f"{method} {path}", "path", "there is no service prefix (chat, core, crm)")
            return self._done(entry, self._error(ApiError(400, "badrequest", "badrequest")))
        if not self._authorized(authorization, path):
            return self._done(entry, self._error(unauthorized()))
        wait = self.limits.arrive(is_send=path.startswith("/chat/v1/send/"))
        if wait:
            return self._done(entry, self.faults.too_many(world.now(), wait))
        if operation is None:
            self._note(f"{method} {path}", "path", f"unknown; the path has {', '.join(sorted(allowed)) or 'no method'}")
            return self._done(entry, Answer(405 if allowed else 404, content_type=None))
        injection = self.faults.choose(method, path)
        entry.fault = injection.fault.name if injection else None
        await self._travel()
        if injection is not None and not injection.fault.acted:
            answer = self.faults.spoil(injection, None, world.now())
            return self._done(entry, answer)
        answer = await self._act(request, operation, path_values, pairs, raw, entry)
        if injection is not None:
            answer = await self._spoil(injection, answer)
        await self._travel()
        return self._done(entry, answer)

    async def _spoil(self, injection: Injection, answer: Answer) -> Answer:
        if injection.fault.name == "slow":
            await asyncio.sleep(injection.delay_s)
        return self.faults.spoil(injection, answer, self.world.now())

    async def _travel(self) -> None:
        """Spend half of the latency."""
        options = self.world.options
        if options.latency_ms or options.jitter_ms:
            jitter = self._jitter.uniform(-1, 1) * options.jitter_ms
            await asyncio.sleep(max(0.0, options.latency_ms + jitter) / 2000)

    def _authorized(self, authorization: str | None, path: str) -> bool:
        token = (authorization or "").removeprefix("Bearer ").strip()
        known = self.world.token is not None and token == self.world.token
        return known and path.split("/")[1] in self.world.options.scopes

    async def _act(
        self,
        request: Request,
        operation: Operation,
        path_values: Mapping[str, str],
        pairs: list[tuple[str, str]],
        raw: bytes,
        entry: RequestEntry,
    ) -> Answer:
        """Do what was asked."""
        world = self.world
        try:
            body = self._read_body(operation, request, raw)
            self._check_path(operation, path_values)
            query = operation.read_query(pairs)
            for problem in query.problems:
                self._note(operation.key, "query", problem)
            if query.errors:
                raise ProblemError(query.errors)
            with world.lock:
                world.settle()
                result = self._perform(Call(world, operation, path_values, query, body))
                entry.acted = True
            if isinstance(result, Later):
                result = await self._wait(result)
        except ApiError as error:
            return self._error(error)
        except ProblemError as error:
            return Answer(error.status, self._encode(error.body()).encode(), PROBLEM)
        except Exception as error:
            # A mistake of the simulator must not pass for a fault of the API.
            logger.exception("The simulator failed at %s", operation.key)
            self._note(operation.key, "answer", f"the simulator failed: {error!r}")
            return self._error(ApiError(500, None, "Ocorreu um erro inesperado"))
        if world.options.check_answers:
            for problem in operation.answer_errors(result):
                self._note(operation.key, "answer", problem)
        if result is None:
            return Answer(204 if operation.key.endswith("/typing") else 200, content_type=None)
        return Answer(200, self._encode(result).encode())

    def _perform(self, call: Call) -> Any:
        """Run the handler and book what it did, also where it refused half-way through a batch."""
        world, key = call.world, call.operation.key
        sent_before = len(world.books.sends)
        refused = True
        try:
            result = HANDLERS[key](call)
            refused = False
        finally:
            people = tuple(send.recipient for send in world.books.sends[sent_before:])
            is_write = call.operation.method != "GET" and key not in _READS
            if is_write and (call.ids or people or not refused):
                write = Write(key, dict(call.path), call.body, tuple(call.ids), people, world.now())
                world.books.writes.append(write)
        return result

    async def _wait(self, later: Later) -> Any:
        patience = time.monotonic() + later.patience_s
        while True:
            with self.world.lock:
                wait = later.wait_s()
                if wait == 0.0 or time.monotonic() >= patience:
                    return later.answer()
            await asyncio.sleep(min(wait, 0.25, max(0.0, patience - time.monotonic())))

    def _read_body(self, operation: Operation, request: Request, raw: bytes) -> Any:
        if operation.body_schema is None:
            if raw:
                self._note(operation.key, "body", "there is a body, yet the operation takes none")
            return None
        body = None
        if raw:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                self._note(operation.key, "header", "Content-Type is not application/json")
                raise ProblemError({}, status=415, title="Unsupported Media Type")
            try:
                body = json.loads(raw)
            except ValueError:
                self._note(operation.key, "body", "is not JSON")
                raise ProblemError({"$": ["The JSON value could not be converted."]}) from None
        # No body is an empty one: it may still lack what is required.
        body = {} if body is None else body
        errors = operation.body_errors(body)
        for place, texts in errors.items():
            self._note(operation.key, "body", f"{place}: {'; '.join(texts)}")
        if errors:
            raise ProblemError(errors)
        return body

    def _check_path(self, operation: Operation, values: Mapping[str, str]) -> None:
        for name in operation.uuid_path_names:
            if not is_uuid(values[name]):
                self._note(operation.key, "path", f"{name} is no UUID: {values[name]!r}")
                raise ProblemError({name: [f"The value '{values[name]}' is not valid."]})

    # Beside the API: uploads, files, and the page that previewUrl shows

    async def _serve_beside(self, request: Request, path: str) -> Answer:
        world = self.world
        last = path.rsplit("/", 1)[1]
        if path.startswith(UPLOADS):
            if request.headers.get("authorization") is not None:
                self._note(f"{request.method} {path}", "header", "an upload must not carry the token")
                return Answer(400, b"<Error><Code>InvalidArgument</Code></Error>", "application/xml")
            content = await request.body()
            with world.lock:
                upload = world.uploads.get(last)
                if request.method != "PUT" or upload is None:
                    return Answer(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
                upload["_bytes"] = content
            return Answer(200, content_type=None)
        if path.startswith(FILES):
            if request.headers.get("authorization") is not None:
                self._note(f"{request.method} {path}", "header", "who asks for a file must not carry the token")
            row = world.files.get(last)
            return Answer(404, content_type=None) if row is None else Answer(200, row["_bytes"], row["mimeType"])
        session = world.sessions.get(last)
        if session is None:
            return Answer(404, content_type=None)
        page = f"<!doctype html><title>{session.number}</title><h1>Session {session.number}</h1><p>{session.status}</p>"
        return Answer(200, page.encode(), HTML)

    # To the wire

    def _done(self, entry: RequestEntry, answer: Answer) -> Answer:
        entry.status = answer.status
        return answer

    def _error(self, error: ApiError) -> Answer:
        with self.world.lock:
            body = error.body(self.world.now(), self.world.new_id())
        return Answer(error.status, self._encode(body).encode())

    def _note(self, operation: str, where: str, message: str) -> None:
        self.world.books.violations.append(Violation(operation, where, message))

    async def _write(self, scope: Scope, send: Send, answer: Answer) -> None:
        headers = {
            "date": http_date(self.world.now()),
            "content-length": str(len(answer.body) + answer.missing),
            **{name.lower(): value for name, value in answer.headers.items()},
        }
        if answer.content_type is not None:
            headers["content-type"] = answer.content_type
        start = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        await send(start)
        await send({"type": "http.response.body", "body": answer.body, "more_body": bool(answer.missing)})
        if answer.missing:
            transport = self.connections.get(tuple(scope["client"]))
            if transport is not None:
                transport.close()
            await _disconnected()

    async def _cut(self, scope: Scope) -> None:
        """Reset the connection: the client gets neither an answer nor a polite end."""
        transport = self.connections.get(tuple(scope["client"]))
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        await _disconnected()


async def _disconnected() -> None:
    """Let the server notice that the connection is gone, so that it does not miss the rest of the answer."""
    for _ in range(3):
        await asyncio.sleep(0)
