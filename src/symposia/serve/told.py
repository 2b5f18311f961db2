"""What is kept of a request beyond its event: the line of a trace, and what its span says. Pure."""

from __future__ import annotations

from typing import Literal

from symposia.core.served import RequestServed
from symposia.core.trace import Answered, Called, Flags, Said, Trace
from symposia.core.trace import generation as generation_of

from .book import Book
from .delivery import Turn
from .genai import Beyond
from .generation import Generation
from .replies import ChoiceObject, Envelope
from .traceparent import Context
from .wire import ChatRequest
from .wire.messages import (
    AssistantMessage,
    ChatMessage,
    DeveloperMessage,
    SystemMessage,
    ToolMessage,
    text_of,
)

SLOW_MS = 10_000.0
"""Latency from which a trace is marked slow."""


def messages_of(ask: ChatRequest) -> tuple[Said, ...]:
    """What the caller sent, as a trace holds it."""
    return tuple(map(_said, ask.messages))


def answered(choice: ChoiceObject) -> Answered:
    """What the caller got."""
    message = choice.message
    calls = tuple(
        Called(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    )
    said = Said(
        role="assistant",
        content=message.content,
        refusal=message.refusal,
        reasoning_content=message.reasoning_content or None,
        tool_calls=calls,
    )
    return Answered(message=said, finish_reason=choice.finish_reason)


def trace_of(turn: Turn, event: RequestServed, book: Book, ran: Generation | None, *, time: float) -> Trace:
    """The line of one request. `time`: when it came, in seconds since the epoch."""
    ask, requests = turn.ask, turn.requests
    whole = {} if ran is None else ran.completions
    first = book.choices.get(0)
    asked = 0.0 if book.asked is None else book.asked
    return Trace(
        trace_id=event.trace_id or event.request_id,
        request_id=event.request_id,
        time=time,
        conversation=_conversation(ask),
        unit_hash=event.unit_hash,
        key=event.key,
        model=event.model,
        profile=event.profile,
        revision=event.revision,
        arm=event.arm,
        canary=event.canary,
        messages=messages_of(ask),
        status=event.status,
        response=None if first is None else answered(first),
        usage=book.usage,
        latency_ms=event.latency_ms,
        ttft_ms=event.ttft_ms,
        flags=Flags(degenerate=event.degenerate, error=event.code or None, slow=event.latency_ms >= SLOW_MS),
        receipts=event.receipts,
        seed=requests[0].seed,
        generations=tuple(
            generation_of(
                requests[i],
                [((at - asked) * 1e3, delta) for at, delta in ran.heard[i]],
                completion,
                (ran.ended[i] - asked) * 1e3,
            )
            for i, completion in sorted(whole.items())
            if ran is not None and ran.heard
        ),
    )


def beyond_of(ask: ChatRequest, book: Book, envelope: Envelope, where: Context, *, content: bool) -> Beyond:
    """What a span says beyond the event; what was said only with `content`."""
    first = book.choices.get(0)
    return Beyond(
        context=where,
        response_id=envelope.id,
        response_model=envelope.model,
        conversation=_conversation(ask),
        messages=messages_of(ask) if content else (),
        response=answered(first) if content and first is not None else None,
    )


def _conversation(ask: ChatRequest) -> str:
    return (ask.metadata or {}).get("conversation", "") or ask.prompt_cache_key or ""


def _said(message: ChatMessage) -> Said:
    if isinstance(message, AssistantMessage):
        return Said(
            role="assistant",
            content=None if message.content is None else text_of(message.content),
            name=message.name,
            reasoning_content=message.reasoning_content,
            refusal=message.refusal,
            tool_calls=tuple(
                Called(id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in message.tool_calls or ()
            ),
        )
    if isinstance(message, ToolMessage):
        return Said(
            role="tool",
            content=text_of(message.content),
            name=message.name,
            tool_call_id=message.tool_call_id,
        )
    role: Literal["user", "system", "developer"] = "user"
    if isinstance(message, SystemMessage):
        role = "system"
    elif isinstance(message, DeveloperMessage):
        role = "developer"
    return Said(role=role, content=text_of(message.content), name=message.name)
