"""Carrying out one step of a plan on one connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from types import ModuleType
from typing import Any

from symposia.core.clock import Clock

from . import chat, messages
from .plan import Step
from .reply import Received, Reply
from .wire import Connection

CUT_JSON = '{"choices": [{"index"'
PAGE = "<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"


async def act(
    step: Step, asked: Received, reply: Reply, to: Connection, *, clock: Clock, reasoning_field: str
) -> None:
    """Answer `asked` as the step says, with `reply` where it has an answer at all."""
    match step.kind:
        case "status" | "echo-key":
            await to.reply(step.status, error_body(step, asked), error_headers(step, clock))
        case "html":
            await to.reply(step.status, PAGE, error_headers(step, clock))
        case "silence":
            await _forever()
        case "empty":
            await to.reply(200, "", {"content-type": _media(asked)})
        case "cut-json":
            await to.reply(200, CUT_JSON, {"content-type": "application/json"})
        case "eof-before-headers":
            to.close()
        case "reset" if step.after == 0:
            to.reset()
        case _ if not asked.body.get("stream"):
            await _whole(step, asked, reply, to, clock=clock, reasoning_field=reasoning_field)
        case _:
            events = _events(step, asked, reply, reasoning_field)
            await to.begin_stream(_named(asked, step))
            await _Stream(step, asked, to, clock).send(events)


def error_body(step: Step, asked: Received) -> dict[str, Any]:
    """The error object of a step, in the protocol that was spoken."""
    text = step.message or f"this is {step.status}, as planned"
    if step.kind == "echo-key":
        key = asked.key
        text = f"Incorrect API key provided: {key}. See https://user:{key}@upstream.invalid/keys?key={key}"
    error: dict[str, Any] = _dialect(asked).error(step.status, message=text, kind=step.type, code=step.code)
    return error


def error_headers(step: Step, clock: Clock) -> dict[str, str]:
    """The headers of a step."""
    headers = dict(step.headers)
    if step.retry_after_date_s is not None:
        headers["retry-after"] = formatdate(clock.time() + step.retry_after_date_s, usegmt=True)
    return headers


def _named(asked: Received, step: Step) -> dict[str, str]:
    name = "request-id" if asked.dialect == "anthropic" else "x-request-id"
    return {name: f"req_{asked.number}", **dict(step.headers)}


def _events(step: Step, asked: Received, reply: Reply, reasoning_field: str) -> Iterator[bytes]:
    usage = step.kind != "no-usage"
    if asked.dialect == "anthropic":
        return messages.stream(reply, asked, usage=usage)
    return chat.stream(reply, asked, reasoning_field=reasoning_field, usage=usage)


async def _whole(
    step: Step, asked: Received, reply: Reply, to: Connection, *, clock: Clock, reasoning_field: str
) -> None:
    """A reply in one piece: faults inside a stream become a broken body."""
    dialect = _dialect(asked)
    body = (
        messages.whole(reply, asked)
        if asked.dialect == "anthropic"
        else chat.whole(reply, asked, reasoning_field=reasoning_field)
    )
    match step.kind:
        case "garbage":
            await to.reply(200, CUT_JSON, {"content-type": "application/json"})
        case "mid-stream-error":
            await to.reply(200, error_body(step, asked), _named(asked, step))
        case "stall" | "truncated" | "reset":
            await to.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"
            )
            if step.kind == "stall":
                await _forever()
            to.reset() if step.kind == "reset" else to.close()
        case _:
            await _pause(step.first_ms, clock)
            if step.kind == "no-usage":
                del body["usage"]
            if step.kind in ("eof", "no-finish"):
                body = dialect.unfinished(body)
            await to.reply(200, body, _named(asked, step), bytewise=step.kind == "bytewise")


def _media(asked: Received) -> str:
    return "text/event-stream" if asked.body.get("stream") else "application/json"


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


async def _pause(ms: float, clock: Clock) -> None:
    if ms == math.inf:
        await _forever()
    await clock.sleep(ms / 1000.0)


class _Stream:
    """A stream of events, sent as the step says."""

    def __init__(self, step: Step, asked: Received, to: Connection, clock: Clock) -> None:
        self._step, self._asked, self._to, self._clock = step, asked, to, clock
        self._dialect = _dialect(asked)
        self._spoilt = False

    async def send(self, events: Iterator[bytes]) -> None:
        """Send the events up to the fault, then the fault."""
        step, to, said = self._step, self._to, 0
        await _pause(step.first_ms if step.kind == "slow" else 0.0, self._clock)
        for raw in events:
            delta = self._dialect.is_delta(raw)
            if delta and said and step.kind == "slow":
                await _pause(step.between_ms, self._clock)
            due = (delta and said == step.after) or self._finishes(raw)
            if due and await self._broken(raw):
                return
            said += delta
            if not self._left_out(raw):
                await self._pass_on(raw)
        await to.end_stream()

    async def _broken(self, raw: bytes) -> bool:
        """Break the stream, before its finish at the latest, if this step does that; whether it did."""
        step, to = self._step, self._to
        match step.kind:
            case "eof":
                await to.end_stream()
            case "truncated":
                await to.half_a_chunk(raw)
                to.close()
            case "reset":
                to.reset()
            case "stall":
                await _forever()
            case "mid-stream-error":
                await to.chunk(self._error() + (self._dialect.DONE if step.done else b""))
                await to.end_stream()
            case "garbage" if not self._spoilt:
                self._spoilt = True
                await to.chunk(b'data: {"choices": [{"index": 0, "delta": {"con\n\n')
                return False
            case _:
                return False
        return True

    def _left_out(self, raw: bytes) -> bool:
        match self._step.kind:
            case "no-finish":
                return self._finishes(raw)
            case "no-done":
                return bool(raw == self._dialect.DONE)
        return False

    def _error(self) -> bytes:
        body = error_body(self._step, self._asked)
        return messages.event(body) if self._asked.dialect == "anthropic" else chat.event(body)

    def _finishes(self, raw: bytes) -> bool:
        if self._asked.dialect == "anthropic":
            return raw.startswith((b"event: message_delta", b"event: message_stop"))
        return b'"choices": [{' in raw and b'"finish_reason": null' not in raw

    async def _pass_on(self, raw: bytes) -> None:
        match self._step.kind:
            case "chatter":
                await self._to.chunk(self._dialect.CHATTER)
                await self._to.chunk(raw)
            case "bytewise":
                for byte in raw:
                    await self._to.chunk(bytes((byte,)))
                    await asyncio.sleep(0)
            case "split-utf8":
                inside = [at for at, byte in enumerate(raw) if byte & 0xC0 == 0x80]
                for start, stop in pairwise([0, *inside, len(raw)]):
                    await self._to.chunk(raw[start:stop])
                    await asyncio.sleep(0.001)  # a segment of its own, else the system may join what it cuts
            case _:
                await self._to.chunk(raw)


def _dialect(asked: Received) -> ModuleType:
    return messages if asked.dialect == "anthropic" else chat
