"""Which arms and requests a design makes."""

from __future__ import annotations

from collections import Counter

import pytest

from symposia.core.errors import InvalidInput
from symposia.core.profile import Sampling
from symposia.interp.contrast import lines_of
from symposia.interp.dose.plan import Asking, Directions, configurations, halves, told
from symposia.interp.dose.values import SCALES, Design, Push, Scores
from symposia.interp.prompts import Prompt, Question

DIRECTIONS = Directions("v", ("r0", "r1"), ("m0",))
ASKING = Asking(model="m", weights="w", scored_by="s", sampling=Sampling(max_tokens=5))


def prompts(n):
    return [Prompt(id=f"p{i}", lines=lines_of([("user", f"q{i}")])) for i in range(n)]


def test_every_arm_of_a_design():
    """Fourteen scales by default; at 0 there is nothing to compare but the vector with the base."""
    assert len(SCALES) == 14
    arms = configurations(Design(scales=(2.0, 0.0, 1.0), trait="Be warm."), Push(layers=(1,)), DIRECTIONS)
    assert Counter(arm.kind for arm in arms) == {
        "base": 1,
        "prompt": 1,
        "vector": 3,
        "wrong_sign": 2,
        "random": 4,
        "matched": 2,
    }
    pushes = {(e.vector, e.scale) for arm in arms for e in arm.interventions}
    assert pushes == {("v", s) for s in (0.0, 1.0, 2.0, -1.0, -2.0)} | {
        (name, s) for name in ("r0", "r1", "m0") for s in (1.0, 2.0)
    }
    assert not any(arm.interventions for arm in arms if arm.kind in ("base", "prompt"))


def test_all_arms_draw_the_same_random_numbers():
    """One seed for a prompt and a number, whatever the arm; others for other prompts and numbers."""
    arms = configurations(Design(scales=(1.0,), trait="t"), Push(), DIRECTIONS)
    seeds = {
        (p.id, n): {ASKING.sample(arm, p, n).request.seed for arm in arms}
        for p in prompts(3)
        for n in range(2)
    }
    assert all(len(each) == 1 for each in seeds.values())
    assert len(set.union(*seeds.values())) == 6


def test_a_key_names_everything_a_row_depends_on():
    """Arm, prompt, seed, weights, judge, sampling, options: each changes it; the same again does not."""
    arm, other = configurations(Design(scales=(1.0,)), Push(), DIRECTIONS)[:2]
    [prompt] = prompts(1)
    again = ASKING.sample(arm, prompt, 0).key
    assert again == ASKING.sample(arm, prompt, 0).key
    changed = [
        ASKING.sample(other, prompt, 0),
        ASKING.sample(arm, prompt, 1),
        ASKING.sample(arm, Prompt(id="p0", lines=prompt.lines, options=("a", "b")), 0),
        ASKING.sample(arm, Prompt(id="p0", lines=lines_of([("user", "other")])), 0),
        *(
            Asking(
                **{"model": "m", "weights": "w", "scored_by": "s", "sampling": ASKING.sampling, **one}
            ).sample(arm, prompt, 0)
            for one in ({"weights": "x"}, {"scored_by": "x"}, {"sampling": Sampling(max_tokens=6)})
        ),
    ]
    assert len({again, *(job.key for job in changed)}) == 1 + len(changed)
    question = Question(id="q", lines=prompt.lines, options=("1", "2"), answer=0)
    wrong = Question(id="q", lines=prompt.lines, options=("1", "2"), answer=1)
    assert ASKING.answer(arm, question).key != ASKING.answer(arm, wrong).key


def test_a_trait_is_told_as_system_text():
    """Before everything else, or after the system text there is."""
    bare = lines_of([("user", "hi")])
    framed = lines_of([("system", "You are Ann."), ("user", "hi")])
    assert [line.text for line in told(bare, "Be warm.")] == ["Be warm.", "hi"]
    assert [line.text for line in told(framed, "Be warm.")] == ["You are Ann.\n\nBe warm.", "hi"]
    assert told(framed, "") == framed


@pytest.mark.parametrize("n", [2, 7, 64])
def test_halves_are_even_and_do_not_depend_on_order(n):
    """Disjoint, together everything, one apart at most."""
    a, b = halves(prompts(n))
    assert a.isdisjoint(b)
    assert len(a | b) == n
    assert 0 <= len(a) - len(b) <= 1
    assert (a, b) == halves(prompts(n)[::-1])


def test_what_is_no_design_is_refused():
    """Scales below 0 or twice, nothing said; scores that say nothing, or two things."""
    for bad in ({"scales": ()}, {"scales": (1.0, 1.0)}, {"sampling": Sampling(max_tokens=0)}):
        with pytest.raises(InvalidInput):
            Design(**bad)
    for bad in ({}, {"concept": 1.0, "unreadable": "no"}):
        with pytest.raises(InvalidInput, match="a concept, or why there is none"):
            Scores(**bad)
    assert Scores(unreadable="torn").score is None
