"""What a method used, from the same events that everything else sees: replies that were not used are counted too.

Which tokens of a prompt a cache held is the provider's to say. The local engine's cache depends on whatever else runs,
so where token ids are known, a prompt's tokens count as cached if an earlier prompt and reply of the same method on the
same item begin with them: what a cache large enough would have held, the same in every run.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from symposia.core.events import GenerationFinished, GenerationStarted
from symposia.core.request import About
from symposia.core.usage import NOTHING, Usage
from symposia.talk.debate.events import Told

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Finished:
    about: About
    usage: Usage
    prompt: Tokens
    reply: Tokens

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The order of asking, not of ending."""
        return self.about.turn, self.about.call, self.about.purpose, self.about.speaker


class Meter:
    """An `emit`. `requests` are the digests of what was asked; `unpriced` counts calls whose cost nobody knows.

    `primed`: the first prompt has been computed before, as that of every sample but the first.
    """

    def __init__(self, *, primed: bool = False) -> None:
        self._finished: list[_Finished] = []
        self._primed = primed
        self.unpriced = 0
        self.requests: list[str] = []

    def __call__(self, event: Told) -> None:
        match event:
            case GenerationStarted(request=request):
                self.requests.append(request)
            case GenerationFinished(about=about, completion=made):
                self._finished.append(_Finished(about, made.usage, made.prompt_token_ids, made.token_ids))
                self.unpriced += made.usage.cost_usd is None
            case _:
                pass

    @property
    def usage(self) -> Usage:
        """The sum so far."""
        total = NOTHING
        held: list[Tokens] = []
        for one in sorted(self._finished, key=lambda one: one.order):
            if self._primed and not held:
                held.append(one.prompt)
            total += (
                one.usage if not one.prompt else replace(one.usage, cached_tokens=_cached(one.prompt, held))
            )
            held.append(one.prompt + one.reply)
        return total


def _cached(prompt: Tokens, held: list[Tokens]) -> int:
    """How much of a prompt begins what is held; never all of it, since its last token must be computed."""
    return min(max((_shared(prompt, other) for other in held), default=0), len(prompt) - 1)


def _shared(one: Tokens, other: Tokens) -> int:
    """The length of the common beginning, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
