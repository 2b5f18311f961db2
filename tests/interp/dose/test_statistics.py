"""From rows to columns: against scipy, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from symposia.interp.dose.statistics import choose, column, responses
from symposia.interp.dose.values import AnswerRow, SampleRow, Scores


def row(kind="base", scale=0.0, prompt="a", seed=0, **fields):
    given = {"key": "", "index": 0, "text": "x", "tokens": 10, "nats": 0.5, "kl": 0.0, "degenerate": None}
    given |= {
        "applied": None if kind in ("base", "prompt") else True,
        "scores": Scores(concept=1.0),
        **fields,
    }
    return SampleRow(kind=kind, scale=scale, prompt=prompt, seed=seed, **given)


def at(found, kind, scale=0.0):
    return next(r for r in found if (r.kind, r.scale) == (kind, scale))


@pytest.mark.parametrize("n", [12, 30, 200])
def test_a_column_is_the_percentile_bootstrap_over_prompts(n):
    """scipy's, of the per-prompt means: the same mean, and ends that agree within what 2,000 draws leave open."""
    generator = np.random.default_rng(n)
    values = generator.gamma(2.0, size=(n, 3))
    found = column((f"{i:03}", value) for i, each in enumerate(values) for value in each)
    means = values.mean(axis=1)
    known = stats.bootstrap(
        (means,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    error = means.std() / math.sqrt(n)
    assert found.mean == pytest.approx(means.mean())
    assert found.n == n
    assert found.low == pytest.approx(known.low, abs=0.15 * error)
    assert found.high == pytest.approx(known.high, abs=0.15 * error)


@given(st.dictionaries(st.text(max_size=3), st.lists(st.floats(-5, 5), min_size=1, max_size=4), min_size=1))
def test_prompts_count_alike_and_order_does_not_matter(by_prompt):
    """A prompt with more samples weighs no more; rows come in whatever order they were made."""
    pairs = [(name, value) for name, values in by_prompt.items() for value in values]
    found = column(pairs)
    assert found == column(sorted(pairs, reverse=True)) or found.mean == pytest.approx(
        column(pairs[::-1]).mean
    )
    expected = np.mean([np.mean(values) for values in by_prompt.values()])
    assert found.mean == pytest.approx(expected, abs=1e-9)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_nothing_has_no_column():
    """Not a zero."""
    assert column([]) is None


def test_every_column_by_hand():
    """Two prompts, two seeds, one arm against the base."""
    base = [
        row(prompt="a", seed=0, scores=Scores(concept=1.0), nats=0.2, tokens=10),
        row(prompt="a", seed=1, scores=Scores(concept=0.0), nats=0.4, tokens=30),
        row(prompt="b", seed=0, scores=Scores(concept=2.0), nats=0.3, tokens=20),
        row(prompt="b", seed=1, scores=Scores(unreadable="torn"), nats=None, kl=None),
    ]
    judged = {"instruct": 2.0, "fluency": 1.0}
    arm = [
        row("vector", 1.0, "a", 0, scores=Scores(concept=2.0, **judged), nats=1.0, kl=0.5, tokens=10),
        row("vector", 1.0, "a", 1, scores=Scores(concept=1.0, **judged), nats=0.5, kl=0.1, tokens=30),
        row(
            "vector",
            1.0,
            "b",
            0,
            scores=Scores(concept=1.0, **judged),
            nats=0.1,
            kl=0.2,
            tokens=5,
            applied=False,
        ),
        row(
            "vector", 1.0, "b", 1, scores=Scores(concept=0.0, **judged), degenerate="loop", nats=9.0, tokens=5
        ),
    ]
    asked = [AnswerRow(key="", kind="vector", scale=1.0, index=0, question=q, right=q == "q") for q in "qr"]
    found = responses([*arm, *base, *asked])
    plain, ours = at(found, "base"), at(found, "vector", 1.0)
    assert (plain.samples, plain.unreadable, plain.concept.n, plain.anti, plain.applied) == (
        4,
        1,
        2,
        None,
        None,
    )
    assert plain.concept.mean == pytest.approx((0.5 + 2.0) / 2)
    assert plain.perplexity == pytest.approx(math.exp((10 * 0.2 + 30 * 0.4 + 20 * 0.3) / 60))
    assert ours.concept.mean == pytest.approx((1.5 + 0.5) / 2)
    harmonic = [3 / (1 / c + 1 / 2 + 1 / 1) if c else 0.0 for c in (2.0, 1.0, 1.0, 0.0)]
    assert ours.score.mean == pytest.approx((np.mean(harmonic[:2]) + np.mean(harmonic[2:])) / 2)
    assert ours.fluency.mean == 1.0
    assert ours.kl == pytest.approx((10 * 0.5 + 30 * 0.1 + 5 * 0.2 + 5 * 0.0) / 50)
    assert ours.perplexity == pytest.approx(math.exp((10 * 1.0 + 30 * 0.5 + 5 * 0.1 + 5 * 9.0) / 50))
    # base surprisal 1/3 a token: 1.0 is no more than three times that; the loop is no salad as well
    assert (ours.loop, ours.salad, ours.empty) == (0.25, 0.0, 0.0)
    assert at(responses([*base, row("vector", 2.0, nats=1.1)]), "vector", 2.0).salad == 1.0
    # prompt a rose by 1 at both seeds; prompt b fell by 1 at the one seed that both have
    assert ours.anti == 0.5
    assert ours.applied == 0.75
    assert ours.capability.mean == 0.5


def test_the_wrong_sign_is_wrong_when_it_rises():
    """Its change is expected downward; a change of rounding only is none."""
    base = [row(prompt=p, scores=Scores(concept=1.0)) for p in "abc"]
    values = {"a": 0.5, "b": 1.5, "c": 1.0 + 1e-7}
    up = [row("vector", 1.0, p, scores=Scores(concept=v)) for p, v in values.items()]
    down = [row("wrong_sign", -1.0, p, scores=Scores(concept=v)) for p, v in values.items()]
    found = responses([*base, *up, *down])
    assert at(found, "vector", 1.0).anti == pytest.approx(1 / 3)
    assert at(found, "wrong_sign", -1.0).anti == pytest.approx(1 / 3)
    lower = [row("wrong_sign", -1.0, p, scores=Scores(concept=0.0)) for p in "abc"]
    assert at(responses([*base, *lower]), "wrong_sign", -1.0).anti == 0.0


def test_directions_of_one_arm_are_averaged_and_their_spread_is_told():
    """Lowest and highest mean of one direction; one direction has no spread."""
    rows = [
        row("random", 1.0, p, index=i, scores=Scores(concept=i + (p == "b"))) for i in (0, 1, 4) for p in "ab"
    ]
    found = at(responses([row(), *rows]), "random", 1.0)
    assert found.directions == 3
    assert found.spread == (0.5, 4.5)
    assert found.concept.mean == pytest.approx((0 + 1 + 4) / 3 + 0.5)
    assert at(responses([row(), *rows]), "base").spread is None


def arm(scale, concept, **fields):
    return [row("vector", scale, p, scores=Scores(concept=concept[p]), **fields) for p in concept]


def test_a_scale_is_chosen_on_one_half_and_reported_on_the_other():
    """What is best on half B plays no part; the report has every baseline there and no other scale."""
    base = [row(prompt=p, scores=Scores(concept=0.0)) for p in "ab"]
    wrong = [row("wrong_sign", -s, p, scores=Scores(concept=0.0)) for s in (1, 2) for p in "ab"]
    rows = [
        *base,
        *wrong,
        *arm(0.0, {"a": 9, "b": 9}),
        *arm(1.0, {"a": 2, "b": 0}),
        *arm(2.0, {"a": 1, "b": 5}),
    ]
    chosen = choose(rows, {"a"}, {"b"}, worse=2.0)
    assert (chosen.scale, chosen.tried) == (1.0, 2)
    assert chosen.on_a.concept.mean == 2
    assert [(r.kind, r.scale) for r in chosen.on_b] == [("base", 0.0), ("vector", 1.0), ("wrong_sign", -1.0)]
    assert at(chosen.on_b, "vector", 1.0).concept.mean == 0


def test_unreadable_text_is_never_chosen():
    """Too perplexing, or too often a loop, empty or a salad; of equals the smaller; None where nothing is left."""
    base = [row(prompt=p, scores=Scores(concept=0.0), nats=0.5) for p in "ab"]
    fine, worse = arm(1.0, {"a": 1, "b": 1}), arm(2.0, {"a": 3, "b": 3}, nats=0.5 + math.log(2.1))
    loops = arm(3.0, {"a": 4, "b": 4}, degenerate="loop")
    equal = arm(0.5, {"a": 1, "b": 1}, nats=0.5 + math.log(1.9))
    assert choose([*base, *fine, *worse, *loops, *equal], {"a"}, {"b"}, worse=2.0).scale == 0.5
    assert choose([*base, *worse, *fine], {"a"}, {"b"}, worse=2.2).scale == 2.0
    assert choose([*base, *worse, *loops], {"a"}, {"b"}, worse=2.0) is None
