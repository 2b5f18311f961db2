"""Conformance of a backend: the whole `Backend` protocol, as one async function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import get_args

from msgspec.structs import replace

from symposia.core.capture import Capture
from symposia.core.errors import UnsupportedRequest
from symposia.core.intervention import Add
from symposia.core.lines import Line, Segment
from symposia.core.message import FinishReason
from symposia.core.profile import Sampling
from symposia.core.request import Backend, Completion, Delta, Feature, ModelCard, Request
from symposia.core.span import partitions
from symposia.core.toolspec import ToolSpec

from .expect import expect

_TOOL = ToolSpec(name="answer", description="Answer.", parameters={"type": "object", "properties": {}})


async def check_backend(
    backend: Backend, model: str, *, max_tokens: int = 8, timeout_s: float = 60.0
) -> None:
    """Assert that `backend` keeps the protocol for `model`; raises `AssertionError` naming the broken promise.

    Deltas, then exactly one completion, which they spell; a repeated seed repeats what a backend that honours seeds
    said; closing or cancelling early leaves it usable; each feature it lacks is refused before any delta; its card is
    stable; a rendered prompt is exact, or a safe over-estimate.
    """
    async with asyncio.timeout(timeout_s):
        card = await backend.describe(model)
        expect(card == await backend.describe(model), f"describe({model!r}) gave two different cards")
        ask = plain_request(model, max_tokens)
        completion = await _whole(backend, ask)
        if completion.served.seed == "honoured":
            again = await _whole(backend, ask)
            expect(
                again.text == completion.text, f"one seed, two replies: {completion.text!r}, {again.text!r}"
            )
        await _limits(backend, ask)
        await _lets_go(backend, ask)
        await _refuses(backend, ask, card)
        await _renders(backend, ask, completion)


def plain_request(model: str, max_tokens: int = 8, text: str = "Say one word, please.") -> Request:
    """A request any chat model can answer."""
    said = Segment(text=text, phase="prompt", author="bob", turn=0)
    line = Line(role="user", segments=(said,), kind="turn")
    return Request(
        model=model, lines=(line,), sampling=Sampling(max_tokens=max_tokens), seed=1, speaker="alice", turn=1
    )


async def _whole(backend: Backend, request: Request) -> Completion:
    items = [item async for item in backend.generate(request)]
    last = items[-1] if items else None
    expect(isinstance(last, Completion), f"the stream ended with {last!r}; expected a Completion")
    assert isinstance(last, Completion)
    expect(all(isinstance(item, Delta) for item in items[:-1]), "only deltas may come before the completion")
    apart = bool(last.parts)  # then the text is the answer alone
    said = (item for item in items[:-1] if isinstance(item, Delta))
    pieces = "".join(item.text for item in said if item.phase == "answer" or not apart)
    expect(pieces == last.text, f"the deltas spell {pieces!r}; the completion says {last.text!r}")
    expect(last.finish_reason in get_args(FinishReason), f"finish reason {last.finish_reason!r} is not known")
    expect(last.usage.calls == 1, f"one generation was counted as {last.usage.calls} calls")
    expect(bool(last.served.endpoint and last.served.model), "the completion does not say who served it")
    if last.spans:
        length = len(last.prompt_token_ids) + len(last.token_ids)
        expect(partitions(last.spans, length), f"the spans do not partition [0, {length})")
    return last


async def _limits(backend: Backend, request: Request) -> None:
    short = await _whole(backend, replace(request, sampling=replace(request.sampling, max_tokens=1)))
    expect(short.usage.output_tokens <= 1, f"max_tokens=1 gave {short.usage.output_tokens} tokens")


async def _lets_go(backend: Backend, request: Request) -> None:
    """Closed at the first item, or cancelled, a generation ends; the next one is whole."""
    stream = backend.generate(request)
    expect(
        isinstance(stream, AsyncGenerator),
        "generate() gives no async generator, so it cannot be closed early",
    )
    assert isinstance(stream, AsyncGenerator)
    await anext(stream)
    await stream.aclose()
    await _whole(backend, request)
    task = asyncio.ensure_future(_whole(backend, request))
    await asyncio.sleep(0)
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    let_go = isinstance(ended, Completion | asyncio.CancelledError)
    expect(let_go, f"a cancelled generation ended with {ended!r}; expected CancelledError")
    await _whole(backend, request)


async def _refuses(backend: Backend, request: Request, card: ModelCard) -> None:
    for feature, asking in demanding(request).items():
        if feature in card.features:
            continue
        try:
            first = await anext(aiter(backend.generate(asking)))
        except UnsupportedRequest as error:
            expect(bool(error.way_out), f"{feature}: the refusal shows no way out")
            continue
        raise AssertionError(f"{feature} is not among the card's features, but the request gave {first!r}")


async def _renders(backend: Backend, request: Request, completion: Completion) -> None:
    prompt = await backend.render(request)
    longer = await backend.render(plain_request(request.model, text="word " * 50))
    expect(
        longer.tokens > prompt.tokens > 0, f"{longer.tokens} tokens for fifty words, {prompt.tokens} for four"
    )
    used = completion.usage.input_tokens
    if not prompt.exact:
        expect(prompt.tokens >= used, f"an estimate of {prompt.tokens} tokens for a prompt that had {used}")
        return
    expect(
        prompt.tokens == len(prompt.token_ids) == used,
        f"an exact prompt of {prompt.tokens} tokens had {used}",
    )
    expect(partitions(prompt.spans, prompt.tokens), "the prompt's spans do not partition its tokens")
    if completion.prompt_token_ids:
        expect(
            completion.prompt_token_ids == prompt.token_ids,
            "the rendered prompt is not the one that was read",
        )


def demanding(request: Request) -> Mapping[Feature, Request]:
    """For each feature that can be refused, a request that needs it."""

    def sampling(**changes: object) -> Request:
        return replace(request, sampling=replace(request.sampling, **changes))

    return {
        "interventions": replace(request, interventions=(Add(vector="sha256:" + "0" * 64, layers=(0,)),)),
        "captures": replace(request, captures=(Capture(layers=(0,)),)),
        "logprobs": replace(request, logprobs=0),
        "seed": replace(request, seed_required=True),
        "tools": replace(request, tools=(_TOOL,)),
        "force": replace(request, force=_TOOL),
        "schema": replace(request, schema={"type": "object"}),
        "choices": replace(request, choices=("yes", "no")),
        "stop_after": replace(request, stop_after=("end",)),
        "stop_token_ids": sampling(stop_token_ids=(0,)),
        "top_k": sampling(top_k=5),
        "min_p": sampling(min_p=0.1),
        "penalties": sampling(frequency_penalty=0.5),
        "logit_bias": sampling(logit_bias=((0, 1.0),)),
        "min_tokens": sampling(min_tokens=1),
        "thinking": sampling(thinking="high"),
        "deterministic": sampling(deterministic=True),
        "read": sampling(max_tokens=0),
    }
