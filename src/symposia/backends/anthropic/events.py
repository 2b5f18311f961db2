"""The events of a messages stream, as far as they are read. Unknown keys are ignored, absent ones are None."""

from __future__ import annotations

from typing import Any

import msgspec

from symposia.backends.wire import ServerError


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Base of what is decoded from a stream."""


class ReplyDetails(Piece, frozen=True, gc=False):
    """Of the reply's tokens, those of thinking."""

    thinking_tokens: int | None = None


class Used(Piece, frozen=True, gc=False):
    """Running totals; `input_tokens` leaves out what was read from and written to the cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: ReplyDetails | None = None


class Message(Piece, frozen=True, gc=False):
    """The message as it begins."""

    model: str | None = None
    usage: Used | None = None


class Block(Piece, frozen=True, gc=False):
    """A content block as it begins: text, thinking, redacted_thinking or tool_use."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None


class Change(Piece, frozen=True, gc=False):
    """What is added to a block, or to the message as a whole."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Event(Piece, frozen=True, gc=False):
    """One event; `type` says which."""

    type: str = ""
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Change | None = None
    usage: Used | None = None
    error: ServerError | None = None


decode = msgspec.json.Decoder(Event).decode
