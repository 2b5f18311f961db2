"""One chunk of a chat-completions stream, as far as it is read; a whole reply is a chunk whose choice has a `message`.

Unknown keys are ignored, absent ones are None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from symposia.backends.wire import ServerError


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Base of what is decoded from a stream."""


class Function(Piece, frozen=True, gc=False):
    """A call's name, once, and a piece of its arguments; some servers send the whole object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(Piece, frozen=True, gc=False):
    """A piece of the call at `index`."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(Piece, frozen=True, gc=False):
    """What a chunk adds to the message."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    tool_calls: Sequence[CallPiece] | None = None


class TopToken(Piece, frozen=True, gc=False):
    """A token and its log-probability."""

    token: str
    logprob: float


class ChosenToken(Piece, frozen=True, gc=False):
    """The token that was sampled, and the likeliest ones."""

    token: str
    logprob: float
    top_logprobs: Sequence[TopToken] | None = None


class TokenScores(Piece, frozen=True, gc=False):
    """Log-probabilities of the tokens of this chunk."""

    content: Sequence[ChosenToken] | None = None


class Choice(Piece, frozen=True, gc=False):
    """The one answer. `stop_reason` (vLLM) and `matched_stop` (SGLang) name the stop string that was met."""

    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: TokenScores | None = None
    token_ids: list[int] | None = None
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None
    error: ServerError | None = None


class PromptDetails(Piece, frozen=True, gc=False):
    """Of the prompt's tokens, those read from and written to a cache."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class ReplyDetails(Piece, frozen=True, gc=False):
    """Of the reply's tokens, those of reasoning."""

    reasoning_tokens: int | None = None


class Used(Piece, frozen=True, gc=False):
    """What the call used. `cost` is USD, from those who say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: ReplyDetails | None = None
    cost: float | None = None


class Chunk(Piece, frozen=True, gc=False):
    """One event of the stream."""

    id: str | None = None
    model: str | None = None
    choices: Sequence[Choice] | None = None
    usage: Used | None = None
    error: ServerError | str | None = None
    prompt_token_ids: list[int] | None = None


Read = Callable[[bytes], Chunk]
"""Makes a chunk of its bytes; raises `msgspec.MsgspecError` or `UnicodeDecodeError` for what is none."""

decode: Read = msgspec.json.Decoder(Chunk).decode
