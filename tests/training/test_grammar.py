"""Promise: a sample is a pure function of its number, well formed as a view, readable by its own markers."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.grammar import distress
from training.grammar.bank import kinds, topics, troubles
from training.grammar.dialogue import Dialogue, Utterance
from training.grammar.dice import Dice
from training.grammar.framing import ADJECTIVES, WORDINGS
from training.grammar.lesson import lesson
from training.grammar.markers import classify
from training.grammar.mixture import sample, schooling
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import talkers
from training.grammar.quiz import arithmetic
from training.grammar.traits import PRIORS, Traits, with_value
from training.grammar.view import OPENER, RESUME, view

SEEDS = st.integers(0, 2**40)
SHOWN = ("sentiment", "formality", "verbosity", "confidence", "politeness", "liveliness")


@given(SEEDS)
@settings(max_examples=60)
def test_the_same_number_gives_the_same_sample(seed: int) -> None:
    """Two calls agree in every message and in every cost."""
    assert sample(seed) == sample(seed)


@given(SEEDS)
@settings(max_examples=100)
def test_every_sample_teaches_something_of_finite_cost(seed: int) -> None:
    """The last line is a taught reply, and costs are finite and not negative."""
    drawn = sample(seed)
    costs = [line.nats for line in drawn.lines if line.nats is not None]
    assert drawn.lines[-1].nats is not None
    assert all(math.isfinite(cost) and cost >= 0 for cost in costs)


@given(SEEDS)
@settings(max_examples=100)
def test_an_assistant_line_has_a_user_line_somewhere_before_it(seed: int) -> None:
    """The opener stands in where nobody has spoken."""
    roles = [message["role"] for message in sample(seed).messages]
    assert "user" in roles[: roles.index("assistant")]


@given(SEEDS)
@settings(max_examples=200)
def test_an_opinion_shows_exactly_the_traits_of_its_speaker(seed: int) -> None:
    """Every marked attribute is read back from the reply as it was drawn."""
    dice = Dice(seed)
    first, second = talkers(dice, 2)
    thread = Thread(dice.pick(topics()))
    opinion(dice, second, thread, first.name)
    read = classify(opinion(dice, first, thread, second.name))
    assert {name: read[name] for name in SHOWN} == {name: first.traits.value(name) for name in SHOWN}
    if first.traits.agreement != "own":
        assert read["agreement"] == first.traits.agreement


@given(SEEDS)
@settings(max_examples=200)
def test_a_lesson_states_what_its_one_taught_reply_shows(seed: int) -> None:
    """Somebody who knows the wordings can tell every stated value from the reply."""
    dialogue = lesson(Dice(seed))
    [taught] = [said for said in dialogue.spoken if said.taught]
    assert taught is dialogue.spoken[-1]
    read = classify(taught.text)
    wordings = [(pair, w) for table in (WORDINGS, ADJECTIVES) for pair, ws in table.items() for w in ws]
    stated = {pair for pair, w in wordings if re.search(rf"(?<!\w){re.escape(w)}(?!\w)", dialogue.system)}
    alone = dialogue.roster[-1] == "user"  # nobody to agree with
    told = {n: v for n, v in stated if n != "agreement" or not (alone or v == "own")}
    clear = {n: v for n, v in told.items() if len({value for name, value in stated if name == n}) == 1}
    assert {name: read[name] for name in clear} == clear


@given(SEEDS)
@settings(max_examples=60)
def test_school_is_a_pure_function_of_the_number_too(seed: int) -> None:
    """Two calls agree, and what is taught has a cost."""
    assert schooling(seed) == schooling(seed)
    assert schooling(seed).lines[-1].nats is not None


@given(SEEDS)
@settings(max_examples=200)
def test_a_lament_shows_its_distress(seed: int) -> None:
    """The level is read back, whatever was heard before."""
    dice = Dice(seed)
    talker = talkers(dice, 1)[0]
    heard = dice.pick((None, "warm", "neutral", "cold"))
    text = distress.lament(dice, talker.traits, dice.pick(troubles()), set(), heard)
    assert classify(text)["distress"] == talker.traits.distress


@given(SEEDS)
@settings(max_examples=100)
def test_a_reply_never_gives_the_same_reason_twice(seed: int) -> None:
    """Within one reply every point is used once."""
    dice = Dice(seed)
    talker = Talker("a", Traits(verbosity="long"), 0)
    thread = Thread(dice.pick(topics()))
    for _ in range(5):
        text = opinion(dice, talker, thread, None).lower()
        assert all(text.count(p.clause.lower()) <= 1 for side in thread.topic.sides for p in side.points)


def test_no_noun_belongs_to_two_kinds() -> None:
    """Yes/no and multiple-choice questions have one right answer."""
    members = [member for kind in kinds() for member in kind.members]
    assert len(members) == len(set(members))


@given(SEEDS)
@settings(max_examples=100)
def test_arithmetic_is_right(seed: int) -> None:
    """The stated result is the value of the expression."""
    question = arithmetic(Dice(seed))
    spoken, _, result = question.fact.rpartition(" is ")
    for word, sign in (("plus", "+"), ("minus", "-"), ("times", "*")):
        spoken = spoken.replace(word, sign)
    left, sign, right = spoken.split()
    value = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right)}[sign]
    assert int(result) == value == int(question.answer)


def test_unknown_attribute_values_are_refused() -> None:
    """The error names what is allowed."""
    with pytest.raises(ValueError, match="warm"):
        with_value(Traits(), "sentiment", "tepid")
    assert replace(Traits(), sentiment="warm") == with_value(Traits(), "sentiment", "warm")
    assert set(PRIORS) == set(vars(Traits()))


def test_views_follow_the_labels_and_the_scripted_lines() -> None:
    """Opener before a leading reply, resume between two own ones, labels with three in the roster."""
    spoken = [
        Utterance("a", "One.", 1.0, taught=True),
        Utterance("a", "Two.", 1.0, taught=True),
        Utterance("b", "Three.\nb: four"),
    ]
    two = view(Dialogue(("a", "b"), "a", spoken=spoken), every_thought=False)
    three = view(Dialogue(("a", "b", "c"), "a", spoken=spoken), every_thought=False)
    said = [message["content"] for message in two.messages]
    assert said == [OPENER, "One.", RESUME, "Two.", "Three.\nb: four"]
    assert three.messages[-1]["content"] == "b: Three.\n  b: four"
