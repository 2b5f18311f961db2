"""Whether a speaker drifts along a direction: the mean projection of each of its turns, against a reference.

A pure function of the transcript: the values were read in the forwards that made the turns, and lie in provenance.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from .capture import Capture, Project
from .errors import InvalidInput
from .transcript import Transcript
from .value import Value

_FLAT = 1e-6


class Normal(Value, frozen=True, kw_only=True, tag_field="type", tag="normal"):
    """A known reference: mean and standard deviation of a turn's mean."""

    mean: float
    sd: Annotated[float, Meta(gt=0)]


class FirstTurns(Value, frozen=True, tag_field="type", tag="first_turns"):
    """Each speaker's own first `n` turns are its reference.

    Their spread is the larger of two: that of the turns' means, and the standard error that a mean of as many
    independent tokens would have. Few turns say little of their spread, so expect a false alarm now and then.
    """

    n: Annotated[int, Meta(ge=2)] = 3


class DriftMeter(Value, frozen=True, kw_only=True):
    """One `Project` capture a direction, layer and phase, told apart by name, vector and layer.

    `reference` is one `Normal` for each capture, or the speaker's own beginning. `limit` is in standard deviations.
    `speakers=()` watches everyone.
    """

    captures: Annotated[tuple[Capture, ...], Meta(min_length=1)]
    reference: tuple[Normal, ...] | FirstTurns = FirstTurns()
    limit: Annotated[float, Meta(gt=0)] = 3.0
    speakers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for capture in self.captures:
            if not isinstance(capture.reduce, Project) or len(capture.layers) != 1:
                raise InvalidInput(
                    f"a drift meter takes captures of one layer with reduce=Project(...); got {capture}"
                )
        keys = [_key(capture) for capture in self.captures]
        if len(set(keys)) < len(keys):
            raise InvalidInput(f"a drift meter's captures must differ in name, vector or layer; got {keys}")
        if not isinstance(self.reference, FirstTurns) and len(self.reference) != len(keys):
            raise InvalidInput(
                f"expected one reference for each of {len(keys)} captures; got {len(self.reference)}"
            )

    def watches(self, speaker: str) -> bool:
        """Whether a speaker's turns are measured."""
        return not self.speakers or speaker in self.speakers


class Drift(Value, frozen=True, kw_only=True):
    """One turn on one direction. `turn` is the message's index; `z` is None while the reference is being gathered."""

    speaker: str
    turn: int
    name: str
    vector: str
    layer: int
    tokens: int
    mean: float
    z: float | None


class _Turn(Value, frozen=True):
    index: int
    values: tuple[float, ...]


def drift(transcript: Transcript, meter: DriftMeter) -> tuple[Drift, ...]:
    """Every measured turn, in the transcript's order; turns without a token to read are left out."""
    found: list[Drift] = []
    for i, capture in enumerate(meter.captures):
        speakers = dict.fromkeys(message.author for message in transcript if meter.watches(message.author))
        for speaker in speakers:
            turns = list(_turns(transcript, speaker, capture))
            found += _scored(speaker, capture, turns, meter.reference, i)
    return tuple(sorted(found, key=lambda one: one.turn))


def crossings(transcript: Transcript, meter: DriftMeter) -> tuple[Drift, ...]:
    """The turns whose |z| went past the limit, each speaker's turn before it being within."""
    beyond: dict[tuple[str, str, str, int], bool] = {}
    found: list[Drift] = []
    for one in drift(transcript, meter):
        past = one.z is not None and abs(one.z) > meter.limit
        place = (one.speaker, one.name, one.vector, one.layer)
        if past and not beyond.get(place, False):
            found.append(one)
        beyond[place] = past
    return tuple(found)


def _key(capture: Capture) -> tuple[str, str, int]:
    assert isinstance(capture.reduce, Project)
    return capture.name, capture.reduce.vector, capture.layers[0]


def _turns(transcript: Transcript, speaker: str, capture: Capture) -> Iterator[_Turn]:
    wanted = _key(capture)
    for index, message in enumerate(transcript):
        if message.author != speaker or message.provenance is None:
            continue
        read = [r for r in message.provenance.readouts if (r.name, r.vector, r.layer) == wanted]
        if values := tuple(value for readout in read for value in readout.values):
            yield _Turn(index, values)


def _scored(
    speaker: str,
    capture: Capture,
    turns: Sequence[_Turn],
    reference: tuple[Normal, ...] | FirstTurns,
    which: int,
) -> Iterator[Drift]:
    name, vector, layer = _key(capture)
    if isinstance(reference, FirstTurns):
        first = reference.n
        known = _reference(turns[:first]) if len(turns) >= first else None
    else:
        first, known = 0, reference[which]
    for place, turn in enumerate(turns):
        mean = math.fsum(turn.values) / len(turn.values)
        yield Drift(
            speaker=speaker,
            turn=turn.index,
            name=name,
            vector=vector,
            layer=layer,
            tokens=len(turn.values),
            mean=mean,
            z=(mean - known.mean) / known.sd if known is not None and place >= first else None,
        )


def _reference(turns: Sequence[_Turn]) -> Normal:
    means = [statistics.fmean(turn.values) for turn in turns]
    values = [value for turn in turns for value in turn.values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    error = spread / math.sqrt(len(values) / len(turns))
    mean = statistics.fmean(means)
    return Normal(mean=mean, sd=max(statistics.stdev(means), error, _FLAT * max(abs(mean), 1.0)))
