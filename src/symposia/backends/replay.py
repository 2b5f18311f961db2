"""Answers that were recorded, given again: `replay:TRACES.jsonl` as a model.

What was asked is found by its digest, whatever model was asked and when. A seed that the caller chose must be the
recorded one; where the server drew it, the recordings of that ask take turns by seed. What was not recorded is refused:
nothing is made up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Literal, Self, get_args

from symposia.core.clock import Clock
from symposia.core.errors import BackendError, InvalidInput
from symposia.core.profile import Thinking
from symposia.core.request import Completion, Delta, Feature, ModelCard, Prompt, Request
from symposia.core.trace import Generation, Trace, ask_digest
from symposia.core.value import decode, short

from .estimate import estimate

ENDPOINT = "replay"
"""What addresses of recordings begin with; the rest is the path of a trace file."""
MISS = "replay_miss"
"""The code of the error for a request that was not recorded."""

Pace = Literal["none", "real"]
"""As fast as it is read, or as it came."""


class Replay:
    """A backend over recordings. It has every feature: what was answered once can be answered again."""

    def __init__(self, generations: Iterable[Generation], clock: Clock, *, pace: Pace = "none") -> None:
        self._clock, self._pace = clock, pace
        self._of: dict[str, list[Generation]] = {}
        for generation in generations:
            self._of.setdefault(generation.ask, []).append(generation)

    @classmethod
    def read(cls, path: Path, clock: Clock, *, pace: Pace = "none") -> Self:
        """The recordings of a trace file. `InvalidInput` names the file, and the line that cannot be read."""
        return cls(_recorded(path), clock, pace=pace)

    async def describe(self, model: str) -> ModelCard:
        """Everything: a request that was never recorded is refused when it is made."""
        return ModelCard(model=model, features=frozenset(get_args(Feature)), thinking=get_args(Thinking))

    async def render(self, request: Request) -> Prompt:
        """An over-estimate, of what was recorded too."""
        prompt = estimate(request)
        used = [one.usage.input_tokens for one in self._of.get(ask_digest(request), ())]
        return Prompt(tokens=max([prompt.tokens, *used]), exact=False)

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        """The recorded deltas and completion. Raises `BackendError` with status 400 and code `replay_miss`."""
        found, began = self._find(request), self._clock.monotonic()
        for piece in found.pieces:
            await self._until(began, piece.at_ms)
            yield piece.delta
        await self._until(began, found.ended_ms)
        yield found.completion

    def _find(self, request: Request) -> Generation:
        ask = ask_digest(request)
        recorded = self._of.get(ask, [])
        exact = [one for one in recorded if one.seed == request.seed]
        if exact:
            return exact[-1]
        chosen = request.sampling.seed is not None or request.seed_required
        if recorded and not chosen:
            return recorded[request.seed % len(recorded)]
        seeds = ", ".join(str(one.seed) for one in recorded[:5])
        known = f"was recorded only with seeds {seeds}" if recorded else "was never recorded"
        others = len(self._of) - bool(recorded)
        raise BackendError(
            f"replay: request {short(ask)} with seed {request.seed} {known}; {others} other requests were; "
            "ask the model itself once, with traces on",
            cause="invalid_request",
            status=400,
            code=MISS,
            kind="invalid_request_error",
        )

    async def _until(self, began: float, at_ms: float) -> None:
        if self._pace == "real":
            await self._clock.sleep(began + at_ms / 1000.0 - self._clock.monotonic())


def _recorded(path: Path) -> Iterator[Generation]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield from decode(line, Trace, f"{path}, line {number}").generations
    except OSError as error:
        raise InvalidInput(
            f"{path}: expected a trace file, as a server writes them with traces on; {error.strerror}"
        ) from None
