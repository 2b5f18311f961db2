"""Replies as callers read them: OpenAI's objects with a steering block. Absent is absent, unknown is null."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from symposia.core.receipt import Receipt
from symposia.core.served import Applied, Arm

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of every struct of a reply."""


class FunctionCall(Reply, frozen=True, kw_only=True):
    """A function by name, and its arguments as the text of a JSON object; empty where they could not be read."""

    name: str
    arguments: str


class CallObject(Reply, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A call the model made."""

    id: str
    function: FunctionCall


class TopLogprob(Reply, frozen=True, kw_only=True):
    """A likely token and its log-probability in nats; `bytes` are null where it is no whole text."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None


class TokenLogprob(Reply, frozen=True, kw_only=True):
    """The token that came, and the likeliest ones in its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None
    top_logprobs: tuple[TopLogprob, ...]


class ChoiceLogprobs(Reply, frozen=True, kw_only=True):
    """Log-probabilities of every token of a reply."""

    content: tuple[TokenLogprob, ...] | None
    refusal: None = None


class AnswerMessage(Reply, frozen=True, kw_only=True):
    """What the model said. Its reasoning is never part of `content`."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[CallObject, ...] | UnsetType = UNSET


class ChoiceObject(Reply, frozen=True, kw_only=True):
    """One answer, and the reason its backend gave for its end."""

    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: Finish


class PromptTokens(Reply, frozen=True, kw_only=True):
    """Of the prompt's tokens, those read from a cache."""

    cached_tokens: int


class CompletionTokens(Reply, frozen=True, kw_only=True):
    """Of the reply's tokens, those of reasoning."""

    reasoning_tokens: int


class UsageObject(Reply, frozen=True, kw_only=True):
    """Tokens: the prompt's once, the reply's of all choices. `estimated`: the backend reported none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens
    estimated: Literal[True] | UnsetType = UNSET


class SteeredTokens(Reply, frozen=True, kw_only=True):
    """Positions that interventions selected: of the prompt, of the model's own earlier turns, of this reply."""

    given: int
    history: int
    generated: int


class SteeringBlock(Reply, frozen=True, kw_only=True):
    """What answered, and what was proven of its steering. `seed` is choice 0's.

    `applied`: "true" where every intervention was, "degraded" where a gate was shut or a selector met nothing, "false"
    where there was none to apply. `delta_over_norm`: the largest mean change over the mean size of what was changed.
    """

    profile: str | None = None
    revision: str | None = None
    arm: Arm = "none"
    canary: str | None = None
    applied: Applied = "false"
    reason: str | None = None
    seed: int | None = None
    tokens: SteeredTokens | None = None
    delta_over_norm: float | None = None
    degenerate: str | None = None
    receipts: tuple[Receipt, ...] | None = None


class ChatCompletion(Reply, frozen=True, kw_only=True):
    """The reply to a request that does not stream."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[ChoiceObject, ...]
    usage: UsageObject
    steering: SteeringBlock


class ModelSteering(Reply, frozen=True, kw_only=True):
    """The profile behind a model's name."""

    profile: str
    revision: str
    aliases: tuple[str, ...]
    interventions: int


class ModelObject(Reply, frozen=True, kw_only=True):
    """A model, or a profile of it as `MODEL@ALIAS`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "symposia"
    steering: ModelSteering | None = None


class ModelList(Reply, frozen=True, kw_only=True):
    """What the key may use."""

    object: Literal["list"] = "list"
    data: tuple[ModelObject, ...]


class Health(Reply, frozen=True, kw_only=True):
    """The server's loop answers."""

    status: Literal["ok"] = "ok"


class Readiness(Reply, frozen=True, kw_only=True):
    """What must hold before requests are welcome, by name."""

    checks: dict[str, bool]
