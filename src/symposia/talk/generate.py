"""One generation on behalf of a conversation: events around it, deltas to the listener, one repeat of a cut stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from symposia.core.errors import BackendError, SymposiaError
from symposia.core.events import GenerationFailed, GenerationFinished, GenerationRetried, GenerationStarted
from symposia.core.parse import Parser
from symposia.core.request import Completion, Delta, Request, Retrying

from .ask import Table
from .boundary import cause_of, contained

REPEATED_ONCE = ("stream_truncated", "bad_response")


async def generate(table: Table, request: Request, digest: str) -> Completion:
    """One completion; a cut or unreadable stream is asked for once more, whole, with the same seed.

    `digest` is the request's, which its events name.
    """
    attempt = 1
    while True:
        table.emit(GenerationStarted(about=request.about, request=digest, model=request.model))
        try:
            completion = await contained("engine_error", "the backend", lambda: _stream(table, request))
        except SymposiaError as error:
            cause = cause_of(error)
            table.emit(GenerationFailed(about=request.about, cause=cause, message=str(error)))
            if cause in REPEATED_ONCE and attempt == 1:
                attempt += 1
                table.emit(GenerationRetried(about=request.about, cause=cause, wait_s=0.0, attempt=attempt))
                continue
            raise
        if attempt > 1:
            usage = msgspec.structs.replace(
                completion.usage, attempts=completion.usage.attempts + attempt - 1
            )
            completion = msgspec.structs.replace(completion, usage=usage)
        completion = _priced(table, request.model, completion)
        table.emit(GenerationFinished(about=request.about, completion=completion))
        return completion


async def _stream(table: Table, request: Request) -> Completion:
    """The completion at the end of the stream. Every exit closes the stream, and with it the generation."""
    listen = table.kit.listen
    parser: Parser | None = None
    completion: Completion | None = None
    stream = table.backend.generate(request)
    try:
        async for item in stream:
            if completion is not None:
                raise BackendError("the stream went on after its completion", cause="bad_response")
            if isinstance(item, Completion):
                completion = item
            elif isinstance(item, Retrying):
                table.emit(
                    GenerationRetried(
                        about=request.about, cause=item.cause, wait_s=item.wait_s, attempt=item.attempt
                    )
                )
            elif listen is not None:
                parser = parser or await _parser(table, request, item)
                raw = item.phase == "answer" or bool(item.token_ids)
                for piece in parser.feed(item.text) if raw else (item,):
                    listen(request.about, piece)
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
    if completion is None:
        raise BackendError("the stream ended without a completion", cause="stream_truncated")
    if listen is not None and parser is not None:
        for piece in parser.close()[0]:
            listen(request.about, piece)
    return completion


async def _parser(table: Table, request: Request, first: Delta) -> Parser:
    """What reads the deltas as they come, as the whole reply will be read."""
    card = await table.backend.describe(request.model)
    offered = request.offers_calls
    return Parser(card.syntax, tools=request.told, offered=offered, opens_thinking=_opens(first))


def _opens(first: Delta) -> bool:
    """Whether the prompt opened a think block: the reply begins inside it, without the tag."""
    return bool(first.token_ids) and first.phase == "reasoning" and not first.text.lstrip().startswith("<")


def _priced(table: Table, model: str, completion: Completion) -> Completion:
    price = table.kit.prices.get(model)
    if price is None or completion.usage.cost_usd is not None:
        return completion
    used = completion.usage
    return msgspec.structs.replace(completion, usage=msgspec.structs.replace(used, cost_usd=price.of(used)))
