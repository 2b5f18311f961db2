"""Small values: usage, spans, names, interventions, captures, requests, errors, needed features."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.capture import Capture
from symposia.core.errors import (
    InvalidInput,
    InvalidIntervention,
    NotSerialisable,
    UnknownName,
    UnsupportedRequest,
)
from symposia.core.features import needed, refuse_unsupported
from symposia.core.intervention import (
    Ablate,
    Add,
    Angle,
    Cap,
    Gate,
    Heads,
    Latent,
    Replace,
    Schedule,
    Swap,
    vectors_of,
)
from symposia.core.message import Message, Scores, said
from symposia.core.positions import everything, speaking
from symposia.core.profile import Participant, Profile, Sampling, ToolSpec, check_name, check_roster, find
from symposia.core.request import ChoiceScores, ModelCard, Request
from symposia.core.span import Span, partitions
from symposia.core.usage import NOTHING, Usage
from symposia.core.value import checked

usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(0, 99),
    estimated=st.booleans(),
    cost_usd=st.one_of(st.none(), st.integers(0, 9).map(float)),
)


@given(usages, usages, usages)
def test_usage_adds_up(a: Usage, b: Usage, c: Usage) -> None:
    """Addition has no order, NOTHING changes nothing, one unknown cost makes the sum unknown."""
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + NOTHING == a
    assert ((a + b).cost_usd is None) == (a.cost_usd is None or b.cost_usd is None)


def piece(start: int, stop: int) -> Span:
    return Span(start=start, stop=stop, role="user", phase="prompt")


@pytest.mark.parametrize(
    ("pieces", "length", "want"),
    [
        ([(0, 2), (2, 5)], 5, True),
        ([], 0, True),
        ([(0, 2), (3, 5)], 5, False),
        ([(0, 3), (2, 5)], 5, False),
        ([(0, 2), (2, 2), (2, 5)], 5, False),
        ([(0, 2)], 5, False),
        ([(1, 5)], 5, False),
    ],
)
def test_spans_partition(pieces: list[tuple[int, int]], length: int, want: bool) -> None:
    """Spans partition when every token is in exactly one, in order."""
    assert partitions(tuple(piece(*p) for p in pieces), length) is want


@pytest.mark.parametrize("name", ["ann", "Ann B.", "O'Brien", "é", "Dr. X-1", "a" * 40])
def test_names_people_have(name: str) -> None:
    """Ordinary names pass."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "1st", " a", "a:b", "a" * 41, "ann\n", "_x", "system", "tool", "moderator", "<b>"]
)
def test_names_that_would_confuse(name: str) -> None:
    """A name that could be mistaken for a role, a label or markup is refused."""
    with pytest.raises(InvalidInput):
        check_name(name)


PROFILE = Profile(model="m")


def test_rosters_are_checked() -> None:
    """Nobody, a name twice, a private message for another are refused; an unknown name lists the roster."""
    ann = Participant(name="ann", profile=PROFILE)
    for roster in ((), (ann, ann)):
        with pytest.raises(InvalidInput):
            check_roster(roster)
    stray = Participant(name="ann", profile=PROFILE, private=(said("coach", "x", frozenset({"bob"})),))
    with pytest.raises(InvalidInput, match="always only 'ann'"):
        check_roster((stray,))
    check_roster((ann,))
    with pytest.raises(UnknownName, match=r"anne.*ann"):
        find((ann,), "anne")


@pytest.mark.parametrize("name", ["add", "files.read_file", "a-b"])
def test_tool_names(name: str) -> None:
    """Names that endpoints accept pass; others do not."""
    assert checked(ToolSpec(name=name, description="", parameters={})).name == name
    for bad in (f"{name} ", f"{name}\n", "1", ""):
        with pytest.raises(InvalidInput, match="name"):
            checked(ToolSpec(name=bad, description="", parameters={}))


GATE = Gate(vector="v", layer=4, over=everything())
REF: Any = None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Ablate(vector="v", layers=(1,), weights=(1.0,)), "weights belong to `add`"),
        (lambda: Add(vector="v", layers=(1, 2), weights=(1.0,)), "one weight per layer: 2"),
        (lambda: Add(vector="v", layers=(1, 1)), "repeat"),
        (lambda: Add(vector="v", site="logits"), "cannot write 'logits'"),
        (lambda: Add(vector="v", site="q"), "cannot write 'q'"),
        (lambda: Ablate(vector="v", site="router"), "cannot write 'router'"),
        (lambda: Heads(heads=(0,), site="resid_post"), "expected one of z"),
        (lambda: Heads(heads=()), "at least one head"),
        (lambda: Heads(heads=(0,), mode="mean"), "mode"),
        (lambda: Heads(heads=(0,), means="m"), "mode"),
        (lambda: Cap(vector="v"), "low, high or both"),
        (lambda: Cap(vector="v", low=2.0, high=1.0), "low <= high"),
        (lambda: Replace(source=REF, pairs=()), "at least one"),
        (lambda: Add(vector="v", layers=(4,), gate=GATE), "below layer 4"),
        (lambda: Add(vector="v", layers=(3, 9), gate=GATE), "below layer 3"),
        (lambda: Schedule(by="token", points=()), "strictly rising"),
        (lambda: Schedule(by="token", points=((1.0, 1.0), (1.0, 2.0))), "strictly rising"),
        (lambda: Schedule(by="token", points=((-1.0, 1.0),)), "x >= 0"),
        (lambda: Schedule(by="token", points=((0.0, 0.0),), curve="geometric"), "above 0"),
        (lambda: Capture(site="logits", layers=(1,)), "takes no layers"),
        (lambda: Capture(layers=(1,), heads=(0,)), "heads narrow"),
        (lambda: Capture(layers=(1, 1)), "repeat"),
    ],
)
def test_contradictions_are_refused_when_written(make: Any, why: str) -> None:
    """An intervention or capture that contradicts itself cannot be made; the message says why."""
    with pytest.raises(InvalidIntervention, match=why):
        make()


def test_a_deciding_gate_may_read_the_layer_it_governs() -> None:
    """A gate per position reads at or below the first layer it governs, a pooled one below."""
    each = Gate(vector="v", layer=4, over=everything(), pool="each")
    assert Add(vector="v", layers=(4,), gate=each).gate == each
    assert Add(vector="v", layers=(5,), gate=GATE).gate == GATE
    with pytest.raises(InvalidIntervention):
        Add(vector="v", layers=(3,), gate=each)


def test_every_vector_read_is_listed() -> None:
    """The vectors of an intervention are all its files, its gate's included."""
    assert vectors_of(Add(vector="a", gate=GATE)) == ("a", "v")
    assert vectors_of(Swap(source="a", target="b")) == ("a", "b")
    assert vectors_of(Angle(plane="p", degrees=1.0)) == ("p",)
    assert vectors_of(Latent(sae="s", index=0, target=1.0)) == ("s",)
    assert vectors_of(Heads(heads=(0,))) == ()
    assert vectors_of(Heads(heads=(0,), mode="mean", means="m")) == ("m",)


def test_steering_covers_what_the_reader_says() -> None:
    """By default an intervention acts on the speaker's own words, with the position that makes the first."""
    assert Add(vector="v").where == speaking()
    assert all(where.lead for where in speaking().any)


def request(**fields: Any) -> Request:
    return Request(model="m", lines=(), speaker="ann", **fields)


TOOL = ToolSpec(name="f", description="", parameters={})


@pytest.mark.parametrize(
    ("asked", "features"),
    [
        ({}, set()),
        ({"interventions": (Add(vector="v"),)}, {"interventions"}),
        ({"captures": (Capture(),)}, {"captures"}),
        ({"logprobs": 0}, {"logprobs"}),
        ({"seed_required": True}, {"seed"}),
        ({"tools": (TOOL,)}, {"tools"}),
        ({"force": TOOL}, {"force"}),
        ({"schema": {"type": "object"}}, {"schema"}),
        ({"choices": ("a",)}, {"choices"}),
        ({"stop_after": ("a",)}, {"stop_after"}),
        ({"sampling": Sampling(top_k=1, min_p=0.1, presence_penalty=1.0)}, {"top_k", "min_p", "penalties"}),
        ({"sampling": Sampling(thinking="off")}, {"thinking"}),
        ({"sampling": Sampling(thinking_budget=9)}, {"thinking"}),
        ({"sampling": Sampling(max_tokens=0)}, {"read"}),
        ({"sampling": Sampling(deterministic=True, min_tokens=1)}, {"deterministic", "min_tokens"}),
        (
            {"sampling": Sampling(stop_token_ids=(1,), logit_bias=((1, 2.0),))},
            {"stop_token_ids", "logit_bias"},
        ),
    ],
)
def test_each_ask_needs_its_feature(asked: dict[str, Any], features: set[str]) -> None:
    """A request needs exactly the features of what it asks, and a card without one is refused by name."""
    ask = request(**asked)
    assert set(needed(ask)) == features
    full = ModelCard(model="m", features=frozenset(features), thinking=("auto", "off"))
    refuse_unsupported(ask, full, "here")
    for feature in features:
        with pytest.raises(UnsupportedRequest, match=f"here cannot honour '{feature}' for m"):
            refuse_unsupported(ask, ModelCard(model="m", features=frozenset(features - {feature})), "here")


def test_a_thinking_mode_the_model_does_not_know() -> None:
    """A mode outside the card's list is refused, naming those it reacts to."""
    card = ModelCard(model="m", features=frozenset({"thinking"}), thinking=("auto", "off"))
    with pytest.raises(UnsupportedRequest, match="reacts to auto, off"):
        refuse_unsupported(request(sampling=Sampling(thinking="high")), card, "here")


def test_one_shape_a_request() -> None:
    """Forcing a tool, a schema and choices exclude each other."""
    with pytest.raises(InvalidInput, match="force and choices"):
        request(force=TOOL, choices=("a",))
    with pytest.raises(InvalidInput, match="choices"):
        checked(request(choices=("",)))


def test_columns_have_equal_length() -> None:
    """Scores pair every choice with one logprob; a mean is per token."""
    with pytest.raises(InvalidInput, match="one a choice"):
        Scores(("a", "b"), (0.0,))
    assert ChoiceScores(logprobs=(-4.0,), tokens=(2,)).per_token == (-2.0,)


def test_a_summary_stands_for_something() -> None:
    """An empty or reversed range is refused."""
    with pytest.raises(InvalidInput, match="start < stop"):
        Message(author="a", parts=(), stands_for=(2, 2))


def test_errors_say_the_way_out() -> None:
    """Expected, got and what to do stand in the message."""
    assert "did you mean 'alice'" in str(UnknownName("participant", "alce", ["alice", "bob"]))
    assert "without=('hook',)" in str(NotSerialisable("hook", "it is a function"))
