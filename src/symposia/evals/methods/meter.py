"""What a method used, from the same events that everything else sees: replies that were not used are counted too."""

from __future__ import annotations

from symposia.core.events import GenerationFinished, GenerationStarted
from symposia.core.usage import NOTHING
from symposia.talk.debate.events import Told


class Meter:
    """An `emit`. `requests` are the digests of what was asked; `unpriced` counts calls whose cost nobody knows."""

    def __init__(self) -> None:
        self.usage, self.unpriced = NOTHING, 0
        self.requests: list[str] = []

    def __call__(self, event: Told) -> None:
        match event:
            case GenerationStarted(request=request):
                self.requests.append(request)
            case GenerationFinished(completion=completion):
                self.usage += completion.usage
                self.unpriced += completion.usage.cost_usd is None
            case _:
                pass
