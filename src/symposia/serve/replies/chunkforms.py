"""The events of a stream, as objects: what `chunks` writes without making them. For the document, and for readers."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from .objects import ChoiceLogprobs, Finish, FunctionCall, Reply, SteeringBlock, UsageObject


class CallDelta(Reply, frozen=True, kw_only=True):
    """A whole call; calls are never sent in pieces."""

    index: int
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class DeltaObject(Reply, frozen=True, kw_only=True):
    """What a chunk adds to a choice's message; `role` in its first chunk only."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    tool_calls: tuple[CallDelta, ...] | UnsetType = UNSET


class ChunkChoice(Reply, frozen=True, kw_only=True):
    """A piece of one choice. The last one has its finish reason."""

    index: int
    delta: DeltaObject
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Finish | None = None


class ChatChunk(Reply, frozen=True, kw_only=True):
    """One `data:` event. The last has no choices, but the usage, where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[ChunkChoice, ...]
    usage: UsageObject | UnsetType | None = UNSET
    steering: SteeringBlock | UnsetType = UNSET
