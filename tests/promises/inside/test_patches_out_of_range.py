"""interlens: a patch out of range was ignored."""

from __future__ import annotations

import asyncio

import pytest

from symposia.core.capture import Capture
from symposia.core.errors import InvalidIntervention, SelectionMissed
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.interp.align import AlignmentError
from symposia.interp.patch import How, Logprob, Model, sweep
from tests.reference.asking import answer, engine_of, line, request, talk

READ = (Capture(layers=(1,), where=everything()),)


def test_a_pair_never_reached_is_missed() -> None:
    """One target of two lies beyond what was generated: the completion never passes as patched."""
    with engine_of("llama") as engine:
        source = answer(engine, request(engine, talk(12), captures=READ)).activations[0]
        with pytest.raises(SelectionMissed) as caught:
            answer(engine, request(engine, interventions=(Replace(source=source, pairs=((2, 3), (2, 900))),)))
        assert [r.status for r in caught.value.completion.receipts] == ["missed"]
        allowed = Replace(source=source, pairs=((2, 3), (2, 900)), may_miss=True)
        done = answer(engine, request(engine, interventions=(allowed,)))
        assert done.receipts[0].status == "missed"
        assert done.receipts[0].runs == ((3, 4),)


def test_a_row_that_was_not_captured_is_refused() -> None:
    """Before the first token, naming what there is."""
    with engine_of("llama") as engine:
        source = answer(engine, request(engine, talk(12), captures=READ)).activations[0]
        with pytest.raises(InvalidIntervention, match="replace from position 900"):
            answer(engine, request(engine, interventions=(Replace(source=source, pairs=((900, 3),)),)))


def test_a_grid_names_positions_that_have_no_counterpart() -> None:
    """Out of range, or unmatched: both windows are shown, and what is aligned."""
    clean, corrupt = (
        (line("user", text, "bob", 0),)
        for text in ("the red fox ran over seven hills", "the red hen ran home")
    )
    with engine_of("llama") as engine:
        asked = request(engine, clean), request(engine, corrupt)
        model = Model(engine, engine.store, engine)
        for column, words in (((900,), "out of range"), ((6,), "no counterpart by 'span'")):
            with pytest.raises(AlignmentError, match=words) as caught:
                asyncio.run(
                    sweep(*asked, Logprob(" day"), model=model, layers=(1,), how=How(columns=(column,)))
                )
            assert "target [" in str(caught.value)
            assert "source [" in str(caught.value)
