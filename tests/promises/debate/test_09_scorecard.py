"""Promises 8 and 9 of debates, their part in the scorecard: budgets are kept, and equal methods show no difference."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.evals.scorecard.methodrow import fresh_tokens
from tests.evals.answering import plan, scored, setup


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["fresh", "total"]))
def test_token_totals_of_sc_at_tokens_stay_within_the_debates(seed, count):
    """On every item, whatever is said: no more tokens than the debate used, or a single sample; calls are equal."""
    card = scored(plan(3, setup=setup(seed=seed, count=count))).card
    by_item = {(t.item, t.method): t.tried for t in card.trials}
    for item in {t.item for t in card.trials}:
        debate, tokens = by_item[item, "debate"], by_item[item, "sc@tokens"]
        assert fresh_tokens(tokens.usage) <= fresh_tokens(debate.usage) or tokens.samples == 1
        assert by_item[item, "sc@calls"].usage.calls == debate.usage.calls
        assert by_item[item, "usc@calls"].usage.calls == debate.usage.calls


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_one_method_under_two_names_shows_nothing(seed):
    """The same samples, the same vote: nothing fixed, nothing broken, p = 1, and not shown."""
    card = scored(plan(6, methods=("sc:3", "self_consistency:3"), setup=setup(seed=seed))).card
    (one,) = card.comparisons
    for found in (one.graded, one.strict):
        assert (found.n, found.fixed, found.broken, found.p, found.p_holm) == (6, 0, 0, 1.0, 1.0)
        assert (found.interval.low, found.interval.high, found.wording) == (0.0, 0.0, "not shown")
