"""Where and how far to steer: a few first lines at every layer and scale, and the strongest that still reads well.

A direction that can be read at a layer need not be a lever there, so it is tried. A candidate must not make the text
more than twice as perplexing to the unsteered model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.errors import InvalidInput, TurnFailed
from symposia.core.intervention import Add
from symposia.core.message import Message
from symposia.core.positions import Positions, Range, speaking

from .measure import Gauge

if TYPE_CHECKING:
    from symposia.facade import Direction
    from symposia.talk.conversation import Conversation

SCALES = (0.5, 0.6, 0.7)
OPENING = 12
TRIED = 8
_WORSE = math.log(2)


def begun(direction: Direction, scale: float, layer: int) -> Add:
    """The push on the first tokens of each turn, which then goes on as it began: the words suffer least this way."""
    clause = replace(speaking().any[0], tokens=(Range(0, OPENING),))
    return replace(direction.add(scale, (layer,)), where=Positions(any=(clause,)))


@dataclass(frozen=True)
class Trial:
    """Mean warmth pushed one way and the other, and how much worse (nats a token) the worse side reads."""

    layer: int
    scale: float
    toward: float
    away: float
    worse: float

    @property
    def swing(self) -> float:
        """How far apart the two ways are."""
        return self.toward - self.away


@dataclass(frozen=True)
class Chooser:
    """Tries pushes on what `who` would say first."""

    conversation: Conversation
    who: str
    direction: Direction
    gauge: Gauge

    async def best(self, layers: Sequence[int], scales: Sequence[float]) -> tuple[Trial, int]:
        """The widest swing among those that read well, and how many were tried. Each scale is tried both ways."""
        plain = await self._lines(None, 0.0)
        if plain is None:
            raise InvalidInput(f"{self.who} says nothing even unsteered")
        nats = fmean([reading.nats for reading in await self.gauge.of(plain)])
        found = await asyncio.gather(*(self._try(layer, scale, nats) for layer in layers for scale in scales))
        usable = [trial for trial in found if trial is not None and trial.worse <= _WORSE]
        if not usable:
            raise InvalidInput(
                "every push tried made the text unreadable; choose a smaller one with --scale and --layer"
            )
        return max(usable, key=lambda trial: trial.swing), len(found)

    async def _try(self, layer: int, scale: float, nats: float) -> Trial | None:
        toward, away = await asyncio.gather(self._lines(layer, abs(scale)), self._lines(layer, -abs(scale)))
        if toward is None or away is None:
            return None
        read = [await self.gauge.of(side) for side in (toward, away)]
        worse = max(fmean([reading.nats for reading in side]) for side in read) - nats
        one, other = (fmean([reading.warmth for reading in side]) for side in read)
        return Trial(layer, scale, one, other, worse)

    async def _lines(self, layer: int | None, scale: float) -> list[tuple[str, str]] | None:
        """First lines with what they reply to; None if the push left one without words."""
        push = () if layer is None else (begun(self.direction, scale, layer),)
        fresh = self.conversation.branch(fresh=False)
        try:
            drawn = await fresh.asample(self.who, n=TRIED, interventions=push)
        except TurnFailed:
            return None
        lines: Sequence[Message] = drawn if isinstance(drawn, tuple) else (drawn,)
        return [(self.conversation.transcript[-1].text, message.text) for message in lines]
