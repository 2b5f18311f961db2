"""`attn_out` and `mlp_out` are the terms the residual adds, and writing one moves the residual by as much."""

from __future__ import annotations

import pytest

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.core.positions import everything
from tests.reference.asking import GREEDY, answer, engine_of, request, talk
from tests.reference.families import BARS, FAMILIES, WINDOW, relative_l2
from tests.reference.steering import random_vector

ALL = everything()
SITES = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")


def rows(engine, *edits):
    captures = tuple(Capture(site=site, layers=(0, 1, 3), where=ALL) for site in SITES)
    ask = request(engine, talk(2 * WINDOW), sampling=GREEDY, captures=captures, interventions=edits)
    done = answer(engine, ask)
    return {(ref.site, ref.layer): engine.store.at(ref) for ref in done.activations}, done.receipts


@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_adds_its_two_terms(family):
    """`resid_post = resid_pre + attn_out + mlp_out`, sandwich norms included, in every family."""
    with engine_of(family) as engine:
        got, _ = rows(engine)
    for layer in (0, 1, 3):
        between = got["resid_pre", layer] + got["attn_out", layer]
        assert relative_l2(between, got["resid_mid", layer]) <= BARS["float64"]
        assert relative_l2(between + got["mlp_out", layer], got["resid_post", layer]) <= BARS["float64"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_residual_between_attention_and_mlp_goes_on_as_written(family):
    """What is added there reaches the MLP and the block's output alike."""
    with engine_of(family) as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, scale=2.0, layers=(1,), site="resid_mid", where=ALL)
        clean, _ = rows(engine)
        got, [receipt] = rows(engine, edit)
    n = len(got["resid_mid", 1])
    assert relative_l2(got["resid_mid", 1] + got["mlp_out", 1], got["resid_post", 1]) <= BARS["float64"]
    assert (got["resid_mid", 1][0] - clean["resid_mid", 1][0]).norm() == pytest.approx(8.0)
    assert relative_l2(got["mlp_out", 1][0], clean["mlp_out", 1][0]) > 1e-3
    assert receipt.layers[0].tokens == n


@pytest.mark.parametrize("site", ["attn_out", "mlp_out"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_term_written_is_the_term_added(family, site):
    """The captured term holds the addition, and the residual still is the sum of what was captured."""
    with engine_of(family) as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, scale=2.0, layers=(1,), site=site, where=ALL)
        got, [receipt] = rows(engine, edit)
    total = got["resid_pre", 1] + got["attn_out", 1] + got["mlp_out", 1]
    assert relative_l2(total, got["resid_post", 1]) <= BARS["float64"]
    assert receipt.layers[0].delta_mean == pytest.approx(8.0)
    assert receipt.layers[0].tokens == len(got[site, 1])
