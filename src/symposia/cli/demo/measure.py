"""How warm words are: the unsteered model reads them, and we see where they lie between the examples.

0 is the mean of the cold examples and 1 of the warm ones, on the fitted direction at one layer. The reading is of the
text alone, so it shows what steering did to what was said, not the push itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from symposia.core.capture import Capture, Project
from symposia.core.errors import InvalidInput
from symposia.core.lines import Line, Segment
from symposia.core.message import Message
from symposia.core.positions import answer
from symposia.core.profile import Sampling
from symposia.core.request import Completion, Request
from symposia.core.transcript import Transcript
from symposia.core.value import Value

if TYPE_CHECKING:
    from symposia.engine import Engine
    from symposia.interp.vector import SteeringVector

READER = "assistant"
Exchange = tuple[str, str]


class Mean(Value, frozen=True, kw_only=True):
    """A mean over `n` texts and their standard deviation."""

    mean: float
    sd: float
    n: int


def mean_of(values: Sequence[float]) -> Mean:
    """Of at least one value."""
    return Mean(mean=fmean(values), sd=stdev(values) if len(values) > 1 else 0.0, n=len(values))


class Read(NamedTuple):
    """What the unsteered model makes of a reply: its warmth, and nats a token (the log of its perplexity)."""

    warmth: float
    nats: float


@dataclass(frozen=True)
class Gauge:
    """Reads texts with `engine`, unsteered, on `vector` at `layer`."""

    engine: Engine
    vector: SteeringVector
    layer: int

    async def of(self, exchanges: Sequence[Exchange]) -> list[Read]:
        """One reading a reply, given what it replies to."""
        return list(await asyncio.gather(*(self._read(asked, reply) for asked, reply in exchanges)))

    async def _read(self, asked: str, reply: str) -> Read:
        capture = Capture(layers=(self.layer,), where=answer(), reduce=Project(self.vector.digest))
        request = Request(
            model=self.engine.address,
            lines=(_line("user", asked, 0), _line("assistant", reply, 1)),
            speaker=READER,
            turn=2,
            sampling=Sampling(max_tokens=0),
            captures=(capture,),
            logprobs=0,
        )
        done = [item async for item in self.engine.generate(request) if isinstance(item, Completion)]
        values = [value for readout in done[0].readouts for value in readout.values]
        notes = self.vector.notes(self.layer)
        if notes.projection is None or not notes.fitted_norm or not values:
            raise InvalidInput(
                f"vector {self.vector.header.name!r} says nothing of its examples at layer {self.layer}"
            )
        return Read((fmean(values) - notes.projection.mean) / notes.fitted_norm + 0.5, _nats(done[0]))


def _nats(done: Completion) -> float:
    """Mean over the reply's tokens; a prompt's logprobs begin with its second token."""
    own = [i for span in done.spans if span.phase == "answer" for i in range(span.start, span.stop)]
    if done.logprobs is None or not own:
        raise InvalidInput("a read of a reply came back without its logprobs")
    return -fmean([done.logprobs.prompt[i - 1] for i in own])


def exchanges(transcript: Transcript) -> list[tuple[Message, Exchange]]:
    """Every turn with what was said just before it."""
    messages = transcript.messages
    return [
        (message, (messages[i - 1].text if i else "", message.text))
        for i, message in enumerate(messages)
        if message.is_turn() and message.text
    ]


def _line(role: str, text: str, turn: int) -> Line:
    if role == "assistant":
        own = Segment(text=text, phase="answer", author=READER, turn=turn)
        return Line(role="assistant", segments=(own,), kind="turn")
    return Line(
        role="user", segments=(Segment(text=text, phase="prompt", author="user", turn=turn),), kind="turn"
    )
