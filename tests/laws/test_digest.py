"""A digest names the whole value."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from symposia.core.capture import Capture
from symposia.core.events import Event, Tally
from symposia.core.intervention import Add, Heads, Intervention
from symposia.core.lines import Line, LineRules
from symposia.core.message import Message, Text, said
from symposia.core.positions import Positions
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import About, Completion, ModelCard, Request
from symposia.core.transcript import Transcript
from symposia.core.value import Value, canonical, decode, digest

sys.path.insert(0, str(Path(__file__).parent))
from variants import variants

LAWFUL = [
    Positions,
    Capture,
    Sampling,
    Profile,
    Participant,
    LineRules,
    Line,
    ModelCard,
    Completion,
    Message,
    Tally,
]


@pytest.mark.parametrize("kind", LAWFUL, ids=lambda kind: kind.__name__)
def test_changing_any_field_changes_the_digest(kind: type[Value]) -> None:
    """Values that differ in any field, at any depth, have different digests; equal ones the same."""
    values = variants(kind)
    assert len(values) > len(kind.__struct_fields__)
    assert len({digest(v) for v in values}) == len({repr(v) for v in values})


def test_changing_any_field_of_an_intervention_changes_the_digest() -> None:
    """The same for every operation, and no two operations share a digest."""
    coupled = [
        Add(vector="aaa", layers=(1,), weights=(0.5,)),
        Add(vector="aaa", layers=(1,), weights=(0.75,)),
        Heads(heads=(0,), mode="mean", means="m"),
        Heads(heads=(0,), mode="mean", means="n"),
        Capture(site="z", heads=(0,)),
        Capture(site="z", heads=(1,)),
    ]
    values = [*variants(Intervention), *coupled]
    assert len({digest(v) for v in values}) == len({repr(v) for v in values})


def test_a_request_is_named_by_everything_but_what_it_is_about() -> None:
    """Every field of a request changes its digest, except `about`, which never does."""
    values = variants(Request)
    asked = {repr(msgspec.structs.replace(v, about=About())) for v in values}
    assert len({v.digest for v in values}) == len(asked)
    assert len(asked) < len({repr(v) for v in values})


def test_a_transcript_is_named_by_what_was_said() -> None:
    """Every field of a message but its provenance changes the transcript's digest; order does too."""
    messages = variants(Message)
    said_only = {repr(msgspec.structs.replace(m, provenance=None)) for m in messages}
    assert len({Transcript((m,)).digest for m in messages}) == len(said_only)
    one, two = said("a", "x"), said("b", "y")
    assert Transcript((one, two)).digest != Transcript((two, one)).digest


@pytest.mark.parametrize("kind", [*LAWFUL, Request, Intervention, Event], ids=str)
def test_stored_and_read_back_is_the_same(kind: type[Value]) -> None:
    """Decoding the canonical form gives the value and the very same bytes."""
    for value in variants(kind):
        raw = canonical(value)
        again = decode(raw, kind, "value")
        assert again == value
        assert canonical(again) == raw


def test_whole_numbers_and_floats_agree() -> None:
    """1 and 1.0 in a float field are one value, at any depth and in transcripts."""
    assert digest(Sampling(temperature=1)) == digest(Sampling(temperature=1.0))
    assert digest(Profile(model="m", sampling=Sampling(top_p=1))) == digest(Profile(model="m"))
    from symposia.core.message import Scores

    whole = Message(author="a", parts=(Scores(("x",), (0,)),))
    point = Message(author="a", parts=(Scores(("x",), (0.0,)),))
    assert Transcript((whole,)).digest == Transcript((point,)).digest
    assert Transcript((whole,)).encode() == Transcript((point,)).encode()


def test_the_kind_is_part_of_the_name() -> None:
    """Two kinds with the same JSON have different digests."""

    class One(Value, frozen=True):
        text: str

    class Two(Value, frozen=True):
        text: str

    assert canonical(One("x")) == canonical(Two("x"))
    assert digest(One("x")) != digest(Two("x"))


def test_the_version_is_part_of_the_name() -> None:
    """Raising VERSION renames every value of the kind."""
    before = digest(Text("x"))
    Text.VERSION = 2
    try:
        assert digest(Text("x")) != before
    finally:
        Text.VERSION = 1


def test_digests_stay_what_they_are() -> None:
    """Digests written yesterday are found today: raise VERSION, never change a form in silence."""
    assert digest(Profile(model="symposia:tiny", system="Be brief.")) == PROFILE
    assert Transcript((said("ann", "hello"), said("bob", "hi", frozenset({"ann"})))).digest == TRANSCRIPT


PROFILE = "sha256:d27828cfd2b299371ef6bf8b57e7954bbbe1068a79c5b1fc8de77e1873b3ff97"
TRANSCRIPT = "sha256:82529dffce9c20de6034dda72195440f61be586db63d93a400653e1175b47dfc"
