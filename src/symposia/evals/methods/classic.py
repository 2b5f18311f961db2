"""The shape of openai-420 0.0.3, for comparison: after the last round the captain reads everybody's whole text, once.

The order is the team's, nothing is shuffled, and the choice is asked for even where all agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from symposia.core.errors import InvalidInput

from .choice import choose_one
from .debated import DebateOptions, debate_on, held_on, result
from .method import Bench, Ran
from .samples import Samples


@dataclass(frozen=True)
class Classic:
    """`r(S + 1) + 1` calls."""

    options: DebateOptions = field(default_factory=DebateOptions)
    budgeted: bool = False
    debates: bool = True

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """Hold the rounds, then ask once. A choice that names nobody leaves the vote, and a note says so."""
        del samples
        debate = replace(self.options.on(debate_on(bench, tools=False)), select="vote")
        captain = debate.captain
        if captain is None:
            raise InvalidInput("classic ends with the captain's choice, and this debate has no captain")
        ended = await held_on(bench, debate)
        if isinstance(ended, Ran):
            return ended
        held, meter = ended
        voted = result(held, meter, bench.item)
        last = held.proceedings.last
        if voted.tried.failed or last is None:
            return voted
        chosen = await choose_one(bench, [one.message.text for one in last.answers], "best", by=captain)
        tried = replace(
            voted.tried,
            usage=voted.tried.usage + chosen.meter.usage,
            unpriced=voted.tried.unpriced + chosen.meter.unpriced,
            answer=voted.tried.answer if chosen.at is None else last.answers[chosen.at].extracted.text,
            notes=(f"voted: {chosen.why}",) if chosen.at is None else (),
        )
        return Ran(tried, (*voted.requests, *chosen.meter.requests))
