"""Completions as choices and usage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from symposia.core.message import FinishReason, Reasoning, Text, ToolCall
from symposia.core.parse import parts_of
from symposia.core.request import Completion, Request
from symposia.core.usage import Usage
from symposia.core.value import canonical

from .logprobs import logprobs_of
from .objects import (
    AnswerMessage,
    CallObject,
    ChatCompletion,
    ChoiceObject,
    CompletionTokens,
    Finish,
    FunctionCall,
    PromptTokens,
    SteeringBlock,
    UsageObject,
)

FINISHES: dict[FinishReason, Finish] = {
    "stop": "stop",
    "stop_string": "stop",
    "refusal": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


class Envelope(msgspec.Struct, frozen=True):
    """What all events of one reply share. `model` is as it was asked for; `created` in seconds since the epoch."""

    id: str
    created: int
    model: str
    fingerprint: str


def fingerprint(weights: str, build: str) -> str:
    """`sym-` and 12 hex digits that change with the model or with this server's build."""
    return "sym-" + hashlib.sha256(f"{weights}\n{build}".encode()).hexdigest()[:12]


def choice_of(index: int, completion: Completion, request: Request) -> ChoiceObject:
    """One completion as a choice. A refusal's text is in `refusal`, reasoning in `reasoning_content`."""
    text, thought = "", ""
    asked: list[ToolCall] = []
    for part in parts_of(completion, request):
        match part:
            case Text():
                text += part.text
            case Reasoning():
                thought += part.text
            case ToolCall():
                asked.append(part)
    calls = calls_of(asked) if asked else ()
    refused = completion.finish_reason == "refusal"
    return ChoiceObject(
        index=index,
        message=AnswerMessage(
            content=None if refused or (calls and not text) else text,
            refusal=text if refused else None,
            reasoning_content=thought or UNSET,
            tool_calls=calls or UNSET,
        ),
        logprobs=None if request.logprobs is None else logprobs_of(completion.logprobs),
        finish_reason=FINISHES[completion.finish_reason],
    )


def calls_of(calls: Sequence[ToolCall]) -> tuple[CallObject, ...]:
    """Calls with their arguments as text. Those that could not be read are empty: no JSON, as what the model wrote."""
    return tuple(
        CallObject(
            id=call.id,
            function=FunctionCall(
                name=call.name, arguments="" if call.error else canonical(call.arguments).decode()
            ),
        )
        for call in calls
    )


def usage_of(usage: Usage) -> UsageObject:
    """What a reply used in all: its prompt's tokens once, the output of all choices."""
    return UsageObject(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokens(cached_tokens=usage.cached_tokens),
        completion_tokens_details=CompletionTokens(reasoning_tokens=usage.reasoning_tokens),
        estimated=True if usage.estimated else UNSET,
    )


def reply(
    envelope: Envelope,
    choices: Sequence[ChoiceObject],
    usage: UsageObject,
    steering: SteeringBlock,
) -> bytes:
    """The body of a reply that does not stream."""
    return _encode(
        ChatCompletion(
            id=envelope.id,
            created=envelope.created,
            model=envelope.model,
            system_fingerprint=envelope.fingerprint,
            choices=tuple(choices),
            usage=usage,
            steering=steering,
        )
    )


_encode = msgspec.json.Encoder().encode
