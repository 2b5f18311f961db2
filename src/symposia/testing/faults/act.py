"""Carrying out one step of a plan on one connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from typing import Any

from symposia.core.clock import Clock

from . import chat, messages
from .plan import Step
from .reply import Received, Reply
from .wire import Connection

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
    error = messages.error if asked.dialect == "anthropic" else chat.error
    return error(step.status, message=text, kind=step.type, code=step.code)


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
    anthropic = asked.dialect == "anthropic"
    body = (
        messages.whole(reply, asked)
        if anthropic
        else chat.whole(reply, asked, reasoning_field=reasoning_field)
    )
    if step.kind in ("answer", "no-usage", "split-utf8", "slow"):
        await _pause(step.first_ms, clock)
        if step.kind == "no-usage":
            del body["usage"]
        await to.reply(200, body, _named(asked, step))
    elif step.kind == "garbage":
        await to.reply(200, '{"choices": [{"index"', {"content-type": "application/json"})
    else:
        await to.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
        to.reset() if step.kind == "reset" else to.close()


async def _pause(ms: float, clock: Clock) -> None:
    if ms == math.inf:
        await asyncio.get_running_loop().create_future()
    await clock.sleep(ms / 1000.0)


class _Stream:
    """A stream of events, sent as the step says."""

    def __init__(self, step: Step, asked: Received, to: Connection, clock: Clock) -> None:
        self._step, self._asked, self._to, self._clock = step, asked, to, clock
        self._dialect = messages if asked.dialect == "anthropic" else chat

    async def send(self, events: Iterator[bytes]) -> None:
        """Send the events up to the fault, then the fault."""
        step, to, said = self._step, self._to, 0
        await _pause(step.first_ms if step.kind == "slow" else 0.0, self._clock)
        for number, raw in enumerate(events):
            delta = self._dialect.is_delta(raw)
            if delta and said and step.kind == "slow":
                await _pause(step.between_ms, self._clock)
            if number == 1 and step.kind == "garbage":
                await to.chunk(b'data: {"choices": [{"index": 0, "delta": {"con\n\n')
            due = (delta and said == step.after) or self._finishes(raw)
            if due and await self._broken(raw):
                return
            said += delta
            if not (step.kind == "no-finish" and self._finishes(raw)):
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
            case "mid-stream-error":
                await to.chunk(self._error())
                await to.end_stream()
            case _:
                return False
        return True

    def _error(self) -> bytes:
        body = error_body(self._step, self._asked)
        return messages.event(body) if self._asked.dialect == "anthropic" else chat.event(body)

    def _finishes(self, raw: bytes) -> bool:
        if self._asked.dialect == "anthropic":
            return raw.startswith((b"event: message_delta", b"event: message_stop"))
        return b'"choices": [{' in raw and b'"finish_reason": null' not in raw

    async def _pass_on(self, raw: bytes) -> None:
        if self._step.kind != "split-utf8":
            await self._to.chunk(raw)
            return
        inside = [at for at, byte in enumerate(raw) if byte & 0xC0 == 0x80]
        for start, stop in pairwise([0, *inside, len(raw)]):
            await self._to.chunk(raw[start:stop])
            await asyncio.sleep(0.001)  # a segment of its own, else the system may join what it cuts
