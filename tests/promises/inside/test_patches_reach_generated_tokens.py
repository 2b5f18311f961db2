"""interlens: patches acted in prefill only."""

from __future__ import annotations

import pytest

from symposia.core.capture import Capture
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from tests.reference.asking import GREEDY, answer, engine_of, request, talk
from tests.reference.families import BARS, relative_l2

READ = (Capture(layers=(1,), where=everything()),)


@pytest.mark.parametrize("chunk", [512, 4])
def test_a_generated_position_is_patched_once_and_no_other(chunk: int) -> None:
    """A pair beyond the prompt waits for its token, in whatever chunks the prompt came; the receipt names it."""
    with engine_of("qwen3", max_tokens=chunk) as engine:
        source = answer(engine, request(engine, talk(12, 1), captures=READ))
        n = len(answer(engine, request(engine, talk(9, 2))).prompt_token_ids)
        edit = Replace(source=source.activations[0], pairs=((4, n + 3), (n, n + 5)))
        ask = request(engine, talk(9, 2), sampling=GREEDY, captures=READ)
        clean = answer(engine, ask)
        done = answer(
            engine, request(engine, talk(9, 2), sampling=GREEDY, captures=READ, interventions=(edit,))
        )
        rows, was = (engine.store.at(d.activations[0]) for d in (done, clean))
        theirs = engine.store.at(source.activations[0])
        assert done.receipts[0].runs == ((n + 3, n + 4), (n + 5, n + 6))
        assert done.receipts[0].tokens.generated == 2
        assert relative_l2(rows[n + 3], theirs[4]) <= BARS["float64"]
        assert relative_l2(rows[n + 5], theirs[n]) <= BARS["float64"]
        assert relative_l2(rows[: n + 3], was[: n + 3]) <= BARS["float64"]
        assert relative_l2(rows[n + 4], theirs[4]) > 1e-3
