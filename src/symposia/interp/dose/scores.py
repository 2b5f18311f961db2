"""What a sample is worth: two measures of our own, and any function that judges.

`Score` is what an evaluation takes; `scorer` makes it the function that is called once a sample.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import fmean

import msgspec

from symposia.core.capture import Capture, Project
from symposia.core.degenerate import empty
from symposia.core.errors import InvalidInput
from symposia.core.profile import Sampling
from symposia.core.value import Value, digest
from symposia.interp.metric import Model

from .values import Sample, Scores


class ReadoutScore(Value, frozen=True, kw_only=True):
    """Where a reply's words lie between the classes of a vector, as the clean model reads them.

    Mean projection at `layer`: 0 is the mean of the negative examples, 1 of the positive ones. The push itself is not
    seen, only what was said. A vector fitted on the words alone says most about them.
    """

    vector: str
    layer: int


class LogprobScore(Value, frozen=True, kw_only=True):
    """log p(`positive`) - log p(`negative`) as replies of the steered model, in nats.

    A prompt's own options go before these.
    """

    positive: str = ""
    negative: str = ""


Judge = Callable[[Sample], Awaitable[Scores]]
Score = ReadoutScore | LogprobScore | Judge


def measure_of(score: Score) -> str:
    """What is measured, for people."""
    match score:
        case ReadoutScore(layer=layer):
            return f"readout of the words at layer {layer} (0: negative examples, 1: positive)"
        case LogprobScore():
            return "log p(with) - log p(without) the trait, nats"
    return "judged, 0 to 2"


def scored_by(score: Score, judged_by: str) -> str:
    """What is part of every sample's key; a function of one's own must be named."""
    if isinstance(score, ReadoutScore | LogprobScore):
        return digest(score)
    if not judged_by:
        raise InvalidInput("a score function needs a name: Design(judged_by=...); samples are kept under it")
    return judged_by


def readings_of(score: Score) -> tuple[Capture, ...]:
    """What the clean read of each reply is to project."""
    match score:
        case ReadoutScore(vector=vector, layer=layer):
            return (Capture(layers=(layer,), reduce=Project(vector)),)
    return ()


def scorer(score: Score, model: Model) -> Judge:
    """The function that scores a sample. Raises `InvalidInput` for a vector that says nothing of its examples."""
    match score:
        case ReadoutScore():
            vector = model.library.find(score.vector)
            notes = vector.header.layers.get(str(score.layer))
            if notes is None or notes.projection is None or not notes.fitted_norm:
                raise InvalidInput(
                    f"vector {vector.header.name!r} says nothing of its examples at layer {score.layer}; "
                    f"expected one of {list(vector.layers)} of a fitted vector"
                )
            middle, gap = notes.projection.mean, notes.fitted_norm

            async def read(sample: Sample) -> Scores:
                if empty(sample.text):
                    return Scores(unreadable="nothing was said")
                values = [value for readout in sample.readouts for value in readout.values]
                if not values:
                    return Scores(unreadable="the template does not show the reply as it was made")
                return Scores(concept=(fmean(values) - middle) / gap + 0.5)

            return read
        case LogprobScore():

            async def weigh(sample: Sample) -> Scores:
                options = sample.prompt.options or (score.positive, score.negative)
                if not all(options):
                    raise InvalidInput(
                        f"prompt {sample.prompt.id!r} has no options, and neither has the score"
                    )
                asked = msgspec.structs.replace(
                    sample.request, choices=options, sampling=_plain(sample.request.sampling)
                )
                scores = (await model.ask(asked)).scores
                assert scores is not None
                return Scores(concept=scores.logprobs[0] - scores.logprobs[1])

            return weigh
    return score


def _plain(sampling: Sampling) -> Sampling:
    """What of it still counts when nothing is drawn."""
    return Sampling(thinking=sampling.thinking, deterministic=sampling.deterministic)
