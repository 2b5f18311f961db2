"""interlens: a patch was written into row 0 of a batch only."""

from __future__ import annotations

import pytest

from symposia.core.capture import Capture
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from tests.reference.asking import answer, answers_together, engine_of, request, talk
from tests.reference.families import BARS, relative_l2

READ = Capture(layers=(1, 3), where=everything())


@pytest.mark.parametrize("runner", ["hf", "lean"])
def test_each_row_of_a_batch_holds_its_own_patch(runner: str) -> None:
    """Five rows in one step, patched at different positions from different rows, a plain one among them."""
    with engine_of("llama", runner=runner, reuse=False) as engine:
        reading = {"sampling": Sampling(max_tokens=0), "captures": (READ,)}
        sources = [answer(engine, request(engine, talk(9, i), **reading)).activations[0] for i in range(4)]
        pairs = [((2, 5),), ((3, 4), (5, 6)), ((6, 2),), ((1, 7),)]
        edits = [(Replace(source=ref, pairs=p),) for ref, p in zip(sources, pairs, strict=True)]
        asks = [request(engine, talk(9, 7), interventions=e, **reading) for e in (*edits[:2], (), *edits[2:])]
        together = answers_together(engine, asks)
        alone = [answer(engine, ask) for ask in asks]
        for one, other in zip(together, alone, strict=True):
            for a, b in zip(one.activations, other.activations, strict=True):
                assert relative_l2(engine.store.at(a), engine.store.at(b)) <= BARS["float64"]
        patched = [*together[:2], *together[3:]]
        for done, ref, own in zip(patched, sources, pairs, strict=True):
            rows, source = engine.store.at(done.activations[0]), engine.store.at(ref)
            for start, to in own:
                assert relative_l2(rows[to], source[start]) <= BARS["float64"]
        plain = answer(engine, request(engine, talk(9, 7), **reading))
        untouched, clean = (engine.store.at(done.activations[1]) for done in (together[2], plain))
        assert relative_l2(untouched, clean) <= BARS["float64"]
