"""Values: strict in, finite, named by content."""

from __future__ import annotations

import math
from typing import Any

import pytest

from symposia.core.errors import InvalidInput
from symposia.core.message import Message, Text, ToolCall, said
from symposia.core.profile import Profile, Sampling
from symposia.core.request import ChoiceScores
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage
from symposia.core.value import checked, decode, digest, short


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda x: Sampling(temperature=x), "Sampling.temperature"),
        (lambda x: Profile(model="m", sampling=Sampling(min_p=x)), "Profile.sampling.min_p"),
        (lambda x: Usage(cost_usd=x), "Usage.cost_usd"),
        (lambda x: ToolCall(id="i", name="n", arguments={"deep": [x]}), r"ToolCall.arguments.deep\[0\]"),
        (lambda x: ChoiceScores(logprobs=(0.0, x), tokens=(1, 1)), r"ChoiceScores.logprobs\[1\]"),
    ],
)
def test_not_a_number_is_refused_everywhere(bad: float, make: Any, where: str) -> None:
    """NaN and infinity raise `InvalidInput` naming the field, also where null would be allowed."""
    with pytest.raises(InvalidInput, match=where):
        digest(make(bad))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_transcript_with_a_hole_cannot_be_stored(bad: float) -> None:
    """A transcript never writes null where a number stood."""
    message = Message(author="a", parts=(ToolCall(id="i", name="n", arguments={"x": bad}),))
    with pytest.raises(InvalidInput):
        Transcript((message,)).encode()
    with pytest.raises(InvalidInput):
        _ = Transcript((message,)).digest


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Sampling(temperature=10.5), "temperature"),
        (Sampling(temperature=-0.1), "temperature"),
        (Sampling(top_p=0.0), "top_p"),
        (Sampling(top_p=1.5), "top_p"),
        (Sampling(min_p=1.0), "min_p"),
        (Sampling(max_tokens=-1), "max_tokens"),
        (Sampling(stop=("",)), "stop"),
        (Sampling(thinking="loud"), "thinking"),
        (Profile(model=""), "model"),
        (Profile(model="m", tool_rounds=-1), "tool_rounds"),
        (Message(author="", parts=()), "author"),
        (Message(author="a", parts=(Text(3),)), "parts"),
        (Usage(input_tokens=-1), "input_tokens"),
    ],
)
def test_ranges_are_checked_by_name(value: Any, field: str) -> None:
    """A value out of range is refused, and the message names the field."""
    with pytest.raises(InvalidInput, match=field):
        checked(value)


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is an error that names it."""
    with pytest.raises(InvalidInput, match="temprature"):
        decode(b'{"temprature": 1}', Sampling)


def test_types_are_strict() -> None:
    """A string is not a number and a number is not a string."""
    with pytest.raises(InvalidInput, match="temperature"):
        decode(b'{"temperature": "1"}', Sampling)
    with pytest.raises(InvalidInput, match="model"):
        decode(b'{"model": 3}', Profile)


def test_broken_json_is_an_input_error() -> None:
    """Text that is no JSON raises `InvalidInput`, naming what was expected."""
    with pytest.raises(InvalidInput, match="Sampling"):
        decode(b"{", Sampling)


def test_a_checked_value_is_equal() -> None:
    """Checking changes nothing but the kind of a number."""
    profile = Profile(model="m", sampling=Sampling(temperature=1))
    assert checked(profile) == profile
    assert isinstance(checked(profile).sampling.temperature, float)


def test_short_names_are_twelve_digits() -> None:
    """The short form is the first 12 hex digits."""
    name = digest(said("a", "x"))
    assert name.startswith("sha256:" + short(name))
    assert len(short(name)) == 12
