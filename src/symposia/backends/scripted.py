"""A backend that says what it is told to: for tests, examples, demonstrations and your own unit tests.

Replies are a function of the request, so they need no state: a list is indexed by the number of assistant lines the
speaker already sees. Latency, chunking and faults make it behave like a network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from symposia.core.clock import Clock, SystemClock
from symposia.core.errors import BackendError, Cause, InvalidInput
from symposia.core.features import refuse_unsupported
from symposia.core.lines import LineRules
from symposia.core.message import FinishReason, ToolCall
from symposia.core.parse import parse
from symposia.core.request import (
    ChoiceScores,
    Completion,
    Delta,
    Feature,
    ModelCard,
    Prompt,
    Request,
    ServedBy,
    Syntax,
)
from symposia.core.usage import Usage
from symposia.core.value import Value

from .estimate import estimate
from .words import made_of

Reply = str | dict[str, Any] | Completion | BaseException
Replies = Callable[[Request], Reply] | Mapping[str, Sequence[Reply]]
ALWAYS: frozenset[Feature] = frozenset({"stop_after", "seed"})


class Fault(Value, frozen=True, kw_only=True):
    """Fail the first `times` matching generations with `cause`, after `after` deltas.

    Matches every generation unless `speaker` or `turn` (the index of the turn being made) narrows it.
    """

    cause: Cause
    speaker: str | None = None
    turn: int | None = None
    after: int = 0
    times: int = 1

    def matches(self, request: Request) -> bool:
        """Whether the fault is meant for this request."""
        return self.speaker in (None, request.speaker) and self.turn in (None, request.turn)


class Scripted:
    """`reply` is a function of the request, or {speaker: replies}; without it, words that follow from its digest.

    A reply is a text, a dict (arguments of the forced tool), a whole `Completion`, or an exception to raise. Running
    out of replies raises unless `cycle`. `latency_s` of `clock` pass before the first delta; `chunk` is characters
    a delta (0: one delta). Texts hold calls as `syntax` writes them. `features` are those the script can honour; others
    are refused. Usage counts whitespace words. `requests` records what was asked.
    """

    def __init__(
        self,
        reply: Replies = made_of,
        *,
        latency_s: float = 0.0,
        chunk: int = 0,
        features: frozenset[Feature] = frozenset(),
        faults: Sequence[Fault] = (),
        cycle: bool = False,
        context_window: int | None = None,
        rules: LineRules = LineRules(),
        syntax: Syntax = "plain",
        clock: Clock | None = None,
    ) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._reply, self._latency_s, self._chunk, self._cycle = reply, latency_s, chunk, cycle
        self._faults = {i: (fault, fault.times) for i, fault in enumerate(faults)}
        self._features, self._window, self._rules = features | ALWAYS, context_window, rules
        self._syntax = syntax
        self._cards: dict[str, ModelCard] = {}
        self.requests: list[Request] = []

    async def describe(self, model: str) -> ModelCard:
        """The same card for every model name."""
        if model not in self._cards:
            self._cards[model] = ModelCard(
                model=model,
                context_window=self._window,
                rules=self._rules,
                syntax=self._syntax,
                features=self._features,
                thinking=("auto", "off", "on", "low", "medium", "high")
                if "thinking" in self._features
                else ("auto",),
            )
        return self._cards[model]

    async def render(self, request: Request) -> Prompt:
        """An over-estimate: a script has no tokenizer."""
        return estimate(request)

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        """The scripted reply as deltas, then the completion."""
        refuse_unsupported(request, await self.describe(request.model), "scripted")
        self.requests.append(request)
        fault = self._fault(request)
        if self._latency_s:
            await self._clock.sleep(self._latency_s)
        completion = self._completion(request)
        size = self._chunk or len(completion.text) or 1
        pieces = [completion.text[i : i + size] for i in range(0, len(completion.text), size)]
        for n, piece in enumerate(pieces):
            if fault is not None and n >= fault.after:
                break
            yield Delta(text=piece)
            if self._chunk:
                await asyncio.sleep(0)
        if fault is not None:
            raise BackendError(f"scripted fault for {request.speaker}", cause=fault.cause)
        yield completion

    def _fault(self, request: Request) -> Fault | None:
        for i, (fault, left) in self._faults.items():
            if left and fault.matches(request):
                self._faults[i] = (fault, left - 1)
                return fault
        return None

    def _completion(self, request: Request) -> Completion:
        reply = self._reply(request) if callable(self._reply) else self._listed(self._reply, request)
        match reply:
            case BaseException():
                raise reply
            case Completion():
                return reply
            case dict():
                return self._call(request, reply)
            case str():
                return self._text(request, reply)
        raise InvalidInput(
            f"scripted reply: expected str, dict, Completion or an exception; got {type(reply).__name__}"
        )

    def _listed(self, replies: Mapping[str, Sequence[Reply]], request: Request) -> Reply:
        if request.speaker not in replies:
            raise InvalidInput(
                f"no scripted replies for {request.speaker!r}; there are some for {', '.join(replies)}"
            )
        listed = replies[request.speaker]
        at = sum(line.role == "assistant" for line in request.lines)
        if at >= len(listed) and not (self._cycle and listed):
            raise InvalidInput(
                f"{request.speaker!r} has {len(listed)} scripted replies; reply {at + 1} was asked for"
            )
        return listed[at % len(listed)]

    def _call(self, request: Request, arguments: dict[str, Any]) -> Completion:
        if request.force is None:
            raise InvalidInput(
                f"a dict reply answers a forced tool, but {request.speaker!r} was not asked to call one"
            )
        call = ToolCall(id="call_0", name=request.force.name, arguments=arguments)
        return Completion(
            text="",
            parts=(call,),
            finish_reason="tool_calls",
            usage=_usage(request, ""),
            served=_served(request),
        )

    def _text(self, request: Request, text: str) -> Completion:
        scores = None
        if request.choices:
            hits = [0.0 if choice == text else -10.0 for choice in request.choices]
            scores = ChoiceScores(logprobs=tuple(hits), tokens=(1,) * len(hits))
            text = ""
        text, finish = _cut(text, request)
        if finish == "stop" and request.offers_calls and self._calls(request, text):
            finish = "tool_calls"
        return Completion(
            text=text,
            syntax=self._syntax,
            finish_reason=finish,
            usage=_usage(request, text),
            scores=scores,
            served=_served(request),
        )

    def _calls(self, request: Request, text: str) -> bool:
        parts = parse(text, self._syntax, tools=request.told, offered=True)
        return any(isinstance(part, ToolCall) for part in parts)


def _cut(text: str, request: Request) -> tuple[str, FinishReason]:
    """Apply stop strings and the word budget the way an endpoint would."""
    finish: FinishReason = "stop"
    ends = [(at, at) for s in request.sampling.stop if (at := text.find(s)) >= 0]
    ends += [(at, at + len(s)) for s in request.stop_after if (at := text.find(s)) >= 0]
    if ends:
        text, finish = text[: min(ends)[1]], "stop_string"
    most = request.sampling.max_tokens
    if _words(text) > most:
        text, finish = " ".join(text.split()[:most]), "length"
    return text, finish


def _usage(request: Request, text: str) -> Usage:
    asked = sum([_words(s.text) for line in request.lines for s in line.segments])
    return Usage(input_tokens=asked, output_tokens=_words(text))


@lru_cache(maxsize=4096)
def _words(text: str) -> int:
    """Counted once: most of a prompt was part of the prompt before."""
    return len(text.split())


def _served(request: Request) -> ServedBy:
    return ServedBy(endpoint="scripted", model=request.model, date=request.date, seed="honoured")
