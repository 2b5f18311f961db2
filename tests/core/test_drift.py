"""The drift meter: means, references and crossings, as folds of what the turns' provenance holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.capture import Capture, Project, Readout
from symposia.core.drift import DriftMeter, FirstTurns, Normal, crossings, drift
from symposia.core.errors import InvalidInput
from symposia.core.message import Message, Provenance, Text, said
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING
from symposia.core.value import canonical, decode

FLOATS = st.floats(-100, 100, allow_nan=False, width=32)
TURNS = st.lists(st.lists(FLOATS, min_size=1, max_size=6), min_size=1, max_size=9)


def reading(layer: int = 2, name: str = "warmth") -> Capture:
    return Capture(layers=(layer,), reduce=Project("sha256:v"), name=name)


def turn(author: str, values, name: str = "warmth", layer: int = 2) -> Message:
    read = Readout(
        name=name, vector="sha256:v", layer=layer, positions=tuple(range(len(values))), values=tuple(values)
    )
    made = Provenance(
        profile="p",
        request="r",
        completions=("c",),
        seed=0,
        cue="",
        usage=NOTHING,
        finish_reason="stop",
        readouts=(read,),
    )
    return Message(author=author, parts=(Text("x"),), origin="sampled", as_of=0, provenance=made)


def said_by(author: str, turns) -> Transcript:
    return Transcript(tuple(turn(author, values) for values in turns))


@given(TURNS, st.floats(-5, 5), st.floats(0.1, 9))
def test_z_is_the_distance_of_a_turns_mean_in_standard_deviations(turns, mean, sd):
    """Against a known reference, for every turn, by numpy."""
    meter = DriftMeter(captures=(reading(),), reference=(Normal(mean=mean, sd=sd),))
    found = drift(said_by("ann", turns), meter)
    assert [one.turn for one in found] == list(range(len(turns)))
    np.testing.assert_allclose([one.mean for one in found], [np.mean(t) for t in turns], atol=1e-9)
    np.testing.assert_allclose(
        [one.z for one in found], [(np.mean(t) - mean) / sd for t in turns], rtol=1e-9, atol=1e-9
    )


@given(TURNS, st.integers(2, 4))
def test_a_speakers_own_beginning_is_its_reference(turns, n):
    """No z before n turns; after them, against their mean, with at least the standard error of a mean as spread."""
    found = drift(said_by("ann", turns), DriftMeter(captures=(reading(),), reference=FirstTurns(n)))
    assert all(one.z is None for one in found[:n])
    if len(turns) <= n:
        return
    means = [np.mean(t) for t in turns[:n]]
    tokens = np.concatenate([np.asarray(t) for t in turns[:n]])
    error = (tokens.std(ddof=1) if len(tokens) > 1 else 0) / np.sqrt(len(tokens) / n)
    sd = max(np.std(means, ddof=1), error, 1e-6 * max(abs(np.mean(means)), 1))
    for one, values in zip(found[n:], turns[n:], strict=True):
        assert one.z == pytest.approx((np.mean(values) - np.mean(means)) / sd, rel=1e-6, abs=1e-6)


@given(TURNS)
def test_a_crossing_is_reported_once_until_the_speaker_is_back(turns):
    """The turns beyond the limit whose predecessor was not."""
    meter = DriftMeter(captures=(reading(),), reference=(Normal(mean=0, sd=1),), limit=10)
    beyond = [abs(np.mean(t)) > 10 for t in turns]
    expected = [i for i, past in enumerate(beyond) if past and not (i and beyond[i - 1])]
    assert [one.turn for one in crossings(said_by("ann", turns), meter)] == expected


def test_speakers_and_directions_are_measured_apart():
    """Another speaker's turns, another name, another layer and given text are no part of a reference."""
    transcript = Transcript(
        (
            said("ann", "hello"),
            turn("ann", [1.0]),
            turn("bob", [50.0]),
            turn("ann", [3.0]),
            turn("ann", [9.0], layer=3),
            turn("ann", [9.0], name="other"),
            turn("ann", [2.0]),
        )
    )
    meter = DriftMeter(captures=(reading(),), reference=FirstTurns(2), speakers=("ann",))
    assert [(one.turn, one.speaker) for one in drift(transcript, meter)] == [
        (1, "ann"),
        (3, "ann"),
        (6, "ann"),
    ]
    assert drift(transcript, meter)[-1].z == pytest.approx(0.0)
    everyone = DriftMeter(captures=(reading(),), reference=(Normal(mean=0, sd=1),))
    assert {one.speaker for one in drift(transcript, everyone)} == {"ann", "bob"}


def test_a_meter_that_could_not_measure_is_refused():
    """What is expected, what came; a meter survives its JSON."""
    with pytest.raises(InvalidInput, match="one layer"):
        DriftMeter(captures=(Capture(layers=(1,)),))
    with pytest.raises(InvalidInput, match="one layer"):
        DriftMeter(captures=(Capture(layers=(1, 2), reduce=Project("v"), name="x"),))
    with pytest.raises(InvalidInput, match="must differ"):
        DriftMeter(captures=(reading(), reading()))
    with pytest.raises(InvalidInput, match="one reference for each of 2"):
        DriftMeter(captures=(reading(), reading(3)), reference=(Normal(mean=0, sd=1),))
    whole = DriftMeter(captures=(reading(), reading(3)), limit=2.5, speakers=("ann",))
    assert decode(canonical(whole), DriftMeter) == whole
