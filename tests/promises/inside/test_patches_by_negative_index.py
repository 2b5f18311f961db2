"""interlens: a negative index hit every decode step."""

from __future__ import annotations

import pytest

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from tests.reference.asking import answer, engine_of, request, talk


def test_positions_count_from_the_beginning() -> None:
    """A negative position of either side is refused before the first token: sequences have no end while they grow."""
    with engine_of("llama") as engine:
        source = answer(
            engine, request(engine, talk(12), captures=(Capture(layers=(1,), where=everything()),))
        )
        for pairs in (((2, -1),), ((-1, 2),)):
            edit = Replace(source=source.activations[0], pairs=pairs)
            with pytest.raises(InvalidInput, match="pairs"):
                answer(engine, request(engine, interventions=(edit,)))
