"""interlens: captures came from a second, unsteered forward, so that steered turns showed clean activations."""

from __future__ import annotations

import pytest

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.interp import lens
from tests.reference.asking import answer, engine_of, request, talk
from tests.reference.families import BARS, build, relative_l2
from tests.reference.steering import hooked, random_vector, selected


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_lens_reads_what_made_the_tokens(family: str) -> None:
    """Each layer's log-probabilities are those of the steered forward, and far from those of a clean one."""
    with engine_of(family) as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, layers=(1,), scale=3.0)
        capture = Capture(layers=(0, 1, 2, 3), where=everything())
        done = answer(engine, request(engine, talk(9), captures=(capture,), interventions=(edit,)))
        found = lens.logits(engine.store.of(done.activations), engine, tokens=(11,))
        where = selected(engine, done, edit)
    ids = [*done.prompt_token_ids, *done.token_ids]
    steered, clean = (hooked(build(family), ids, e)[0].log_softmax(-1) for e in ([(edit, vector, where)], []))
    last = found.logprobs_LNW[-1, :, 0]
    assert relative_l2(last, steered[:, 11]) <= BARS["float64"]
    assert relative_l2(last[where], clean[where, 11]) > 1e-2
