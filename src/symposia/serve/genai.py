"""A served request as a span of the GenAI conventions. Pure; knows no library.

The names are our own constants: the conventions are still in development, and moved house. `LATEST` are the attributes
newer than their version 1.37, given only to those who asked for the latest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from symposia.core.redact import Redactor
from symposia.core.served import RequestServed
from symposia.core.trace import Answered, Said
from symposia.core.value import Value

from .traceparent import Context

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
CONVERSATION = "gen_ai.conversation.id"
INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
ERROR = "error.type"
LATEST = frozenset({REQUEST_STREAM, FIRST_CHUNK, CACHED_TOKENS, REASONING_TOKENS})
DURATION = "gen_ai.server.request.duration"
FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105  a metric
CHAT, OURSELVES = "chat", "symposia"

Attributes = dict[str, str | bool | int | float | list[str]]


class Beyond(Value, frozen=True, kw_only=True):
    """What a span says beyond the event: where it hangs, the reply's own name, and what was said.

    `provider` is `symposia`, or a label of the upstream's host, never its address.
    """

    context: Context
    provider: str = OURSELVES
    response_id: str = ""
    response_model: str = ""
    conversation: str = ""
    messages: tuple[Said, ...] = ()
    response: Answered | None = None


class SpanEvent(Value, frozen=True, kw_only=True):
    """Something that happened within a span; `time` in seconds since the epoch."""

    name: str
    time: float
    attributes: Attributes


class Span(Value, frozen=True, kw_only=True):
    """A span of kind SERVER; times in seconds since the epoch. `error` is the code of what failed, "" if nothing."""

    name: str
    context: Context
    start: float
    end: float
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    error: str = ""


def span(
    time: float,
    event: RequestServed,
    beyond: Beyond,
    redactor: Redactor,
    *,
    content: bool = False,
    latest: bool = False,
) -> Span:
    """The span of a request that ended at `time`, without secrets; with what was said only if `content`."""
    start = max(time - event.latency_ms / 1000, 0.0)
    found = {**_asked(event, beyond), **_answered(event, beyond), **_steering(event)}
    if not latest:
        found = {name: value for name, value in found.items() if name not in LATEST}
    if content:
        found |= _content(beyond)
    clean = _clean({name: value for name, value in found.items() if value not in (None, "", [])}, redactor)
    return Span(
        name=redactor.text(f"{CHAT} {event.model}".rstrip()),
        context=beyond.context,
        start=start,
        end=time,
        attributes={name: _plain(name, value) for name, value in clean.items()},
        events=_evaluation(start, event, redactor),
        error=redactor.text(event.code) if _failed(event) else "",
    )


def nanoseconds(time: float) -> int:
    """Seconds as OTLP counts them, to the microsecond: a float of today's time knows no more."""
    return round(time * 1_000_000) * 1_000


def _failed(event: RequestServed) -> bool:
    """As HTTP's conventions have it of spans of kind SERVER: what ended in an error, but not by a status of 4xx."""
    return bool(event.code) and not 400 <= event.status < 500


def _asked(event: RequestServed, beyond: Beyond) -> dict[str, Any]:
    return {
        OPERATION: CHAT,
        PROVIDER: beyond.provider,
        REQUEST_MODEL: event.model,
        REQUEST_STREAM: event.stream,
        CONVERSATION: beyond.conversation,
        ERROR: event.code if event.outcome != "ok" else "",
    }


def _answered(event: RequestServed, beyond: Beyond) -> dict[str, Any]:
    streamed = event.stream and event.ttft_ms is not None
    return {
        RESPONSE_ID: beyond.response_id,
        RESPONSE_MODEL: beyond.response_model,
        FINISH_REASONS: list(event.finish_reasons),
        FIRST_CHUNK: (event.ttft_ms or 0.0) / 1000 if streamed else None,
        INPUT_TOKENS: event.prompt_tokens or None,
        OUTPUT_TOKENS: event.completion_tokens or None,
        CACHED_TOKENS: event.cached_tokens or None,
        REASONING_TOKENS: event.reasoning_tokens or None,
    }


def _steering(event: RequestServed) -> dict[str, Any]:
    return {
        "steering.profile.id": event.profile,
        "steering.profile.revision": event.revision,
        "steering.arm": event.arm,
        "steering.canary.id": event.canary,
        "steering.applied": event.applied,
        "steering.degenerate": event.degenerate,
    }


def _content(beyond: Beyond) -> dict[str, Any]:
    said: dict[str, Any] = {INPUT: [_message(each) for each in beyond.messages]}
    if beyond.response is not None:
        finish = beyond.response.finish_reason
        said[OUTPUT] = [{**_message(beyond.response.message), "finish_reason": finish or "error"}]
    return said


def _message(said: Said) -> dict[str, Any]:
    """A message in the conventions' form: a role and typed parts."""
    parts: list[dict[str, Any]] = []
    if said.reasoning_content:
        parts.append({"type": "reasoning", "content": said.reasoning_content})
    if said.role == "tool":
        parts.append({"type": "tool_call_response", "id": said.tool_call_id, "response": said.content or ""})
    elif text := said.content or said.refusal:
        parts.append({"type": "text", "content": text})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in said.tool_calls
    ]
    role = "system" if said.role == "developer" else said.role
    return {"role": role, "parts": parts, **({"name": said.name} if said.name else {})}


def _clean(found: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Without secrets; as it is where there are none, which is told far faster."""
    raw = msgspec.json.encode(found)
    return found if redactor.json(raw) == raw else redactor.value(found)


def _plain(name: str, value: Any) -> Any:
    return msgspec.json.encode(value).decode() if name in (INPUT, OUTPUT) else value


def _evaluation(time: float, event: RequestServed, redactor: Redactor) -> tuple[SpanEvent, ...]:
    """Which arm a canary gave the request, as the evaluation of a feature flag."""
    if not event.canary:
        return ()
    attributes = {
        "feature_flag.key": event.canary,
        "feature_flag.result.variant": event.arm,
        "feature_flag.context.id": event.unit_hash,
        "feature_flag.version": event.revision,
        "feature_flag.provider.name": OURSELVES,
    }
    told = _clean({name: value for name, value in attributes.items() if value}, redactor)
    return (SpanEvent(name="feature_flag.evaluation", time=time, attributes=told),)
