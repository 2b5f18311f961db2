"""The admin API over HTTP: which operation a path names, who asks, with what; and the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import msgspec

from symposia.core.served import AuthRefused
from symposia.serve.auth import Caller, demand
from symposia.serve.call import Call, Headers, Receive, Scope, Send
from symposia.serve.faults import Fault
from symposia.serve.headers import fault_headers, headers_of
from symposia.serve.pipeline import guarded
from symposia.serve.route import Route
from symposia.serve.wire import read_as

from .events import followed, types_of
from .faulty import told
from .forms import EventsQuery
from .operation import Ask, Operation
from .table import EVENTS, IMMUTABLE, OPERATIONS

if TYPE_CHECKING:
    from symposia.serve.server import Server

_JSON = ("content-type", "application/json")
_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_json = msgspec.json.Encoder().encode


def _pattern(path: str) -> re.Pattern[str]:
    """A path as its encoded form is matched; a name stands for one piece of it."""
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))


_PATHS: Mapping[str, re.Pattern[str]] = {
    operation.route.path: _pattern(operation.route.path) for operation in OPERATIONS
}


class Admin:
    """An ASGI application for everything below `/admin/v1`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        server = self._server
        call = Call(scope, receive, send, began=server.clock.monotonic(), own_id=server.request_id())
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.partition(b"?")[0].decode("ascii", "replace")

        async def answer(server: Server, call: Call) -> None:
            with told():
                await _answer(server, call, path)

        await guarded(server, call, answer)


def found(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation of a path as it is encoded, and the pieces that it names. `Fault` 404 or 405."""
    matched = {template: match for template, pattern in _PATHS.items() if (match := pattern.fullmatch(path))}
    there = [operation for operation in OPERATIONS if operation.route.path in matched]
    if not there:
        near = get_close_matches(path, _PATHS, n=1, cutoff=0.0)
        raise Fault("unknown_url", f"there is nothing at {path[:200]!r}; the nearest is {near[0]}")
    for operation in there:
        if operation.route.method == method:
            pieces = matched[operation.route.path].groupdict()
            return operation, {name: unquote(piece) for name, piece in pieces.items()}
    allowed = ", ".join(sorted({operation.route.method for operation in there}))
    if method != "POST" and any(operation.route.path in IMMUTABLE for operation in there):
        raise Fault(
            "immutable",
            "a profile never changes: create another and move the alias to it, or archive it",
            headers=(("allow", allowed),),
        )
    raise Fault("method_not_allowed", f"{method}: expected {allowed}", headers=(("allow", allowed),))


def query_of(raw: bytes, route: Route) -> Any:
    """The query as the route's struct. `Fault` 400 with the parameter at fault."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise Fault("invalid_value", f"the query: expected name=value pairs in UTF-8; {error}") from error
    given = dict(pairs)
    if len(given) < len(pairs):
        raise Fault("invalid_value", "the query: expected each parameter once")
    fields = {} if route.query is None else {one.name: one for one in msgspec.structs.fields(route.query)}
    for name in given:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise Fault(
                "unknown_parameter", f"{name[:80]}: expected query parameters: {known}", param=name[:80]
            )
    made = {}
    for name, one in fields.items():
        if name in given:
            made[name] = _parameter(name, given[name], one.type)
        elif one.required:
            raise Fault("invalid_value", f"{name}: expected it in the query", param=name)
    return None if route.query is None else route.query(**made)


def _parameter(name: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Fault("invalid_value", f"{name}: {error}", param=name) from error


async def _answer(server: Server, call: Call, path: str) -> None:
    operation, pieces = found(call.method, path)
    route = operation.route
    caller = _admitted(server, call, route)
    query = query_of(call.query, route)
    body = None
    if route.asks is not None:
        body = read_as(await call.body(server.settings.max_body_bytes), route.asks)
    if route.path == EVENTS and "text/event-stream" in (call.text(b"accept") or ""):
        await _follow(server, call, query)
        return
    ask = Ask(caller=caller, body=body, query=query, path=pieces, if_match=call.text(b"if-match"))
    reply = await operation.run(server, ask)
    if route.method != "GET":
        await server.follower.refresh()
    raw = reply.body if isinstance(reply.body, bytes) else _json(reply.body)
    named = dict((_JSON, *reply.headers))
    await call.answer(reply.status, _headers(server, call, fault_headers(named.items())), raw)


def _admitted(server: Server, call: Call, route: Route) -> Caller:
    caller = server.admit(call)
    try:
        demand(caller, *route.scopes)
    except Fault:
        server.emit(AuthRefused(request_id=call.request_id, reason="scope", key=caller.id))
        raise
    return caller


async def _follow(server: Server, call: Call, query: EventsQuery) -> None:
    """Send events until the caller leaves or the server drains."""
    types = types_of(query.type)
    left = asyncio.ensure_future(call.left())
    try:
        await call.start(200, _headers(server, call, list(_STREAM)))
        async with aclosing(followed(server, query.after, types)) as pieces:
            async for piece in pieces:
                if left.done():
                    return
                if piece:
                    await call.send(piece, more=True)
        await call.send(b"", more=False)
    finally:
        left.cancel()


def _headers(server: Server, call: Call, own: Headers) -> Headers:
    taken_ms = (server.clock.monotonic() - call.began) * 1e3
    return headers_of(call.request_id, taken_ms, None, None, [*own, *server.fixed_headers])
