"""A small evaluation on a random model in float64, as a test and as a process that can be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from symposia.core.profile import Sampling
from symposia.interp.contrast import lines_of
from symposia.interp.dose.journal import Journal
from symposia.interp.dose.scores import ReadoutScore
from symposia.interp.dose.values import Design, Push
from symposia.interp.evaluate import evaluate
from symposia.interp.metric import Model
from symposia.interp.prompts import Prompt, Question
from symposia.interp.vector import Spread
from tests.reference.asking import NO_CONTROL, WORDS, engine_of
from tests.reference.steering import random_vector

LAYERS = (1, 2)
QUESTIONS = tuple(
    Question(
        id=str(i),
        lines=lines_of([("user", f"which one {i}")]),
        options=(" rain", " tea now", " town"),
        answer=1,
    )
    for i in range(3)
)
SAMPLING = Sampling(temperature=1.0, max_tokens=10, logit_bias=NO_CONTROL)


def prompts(n=4):
    texts = [" ".join(WORDS[(i * 3 + j) % len(WORDS)] for j in range(2 + i % 3)) for i in range(n)]
    return tuple(Prompt(id=f"p{i}", lines=lines_of([("user", text)])) for i, text in enumerate(texts))


def vector_of(engine, seed=1):
    """A random direction that says something of its examples, so that words can be read on it."""
    import msgspec

    made = random_vector(engine, seed, LAYERS)
    notes = {
        key: msgspec.structs.replace(note, projection=Spread(mean=0.3, sd=1.0))
        for key, note in made.header.layers.items()
    }
    told = made.with_header(msgspec.structs.replace(made.header, layers=notes))
    engine.library.add(told)
    return told


def model_of(engine):
    return Model(engine, engine.store, engine, library=engine.library)


def evaluated(engine, vector, *, asked=None, score=None, push=None, journal=None, **design):
    given = {"scales": (0.0, 0.5), "seeds": 2, "sampling": SAMPLING, "random": 2, **design}
    return asyncio.run(
        evaluate(
            vector,
            asked or prompts(),
            push or Push(layers=LAYERS),
            model=model_of(engine),
            score=score or ReadoutScore(vector=vector.digest, layer=2),
            design=Design(**given),
            journal=journal,
        )
    )


def main(folder: str) -> None:
    """The evaluation that is killed and resumed; prints how many rows it made itself."""
    made = 0

    def tell(rows: int) -> None:
        nonlocal made
        made = rows

    with engine_of("llama") as engine:
        vector = vector_of(engine)
        evaluated(
            engine,
            vector,
            asked=prompts(12),
            journal=Journal(Path(folder), tell),
            questions=QUESTIONS,
            trait="be warm",
            scales=(0.5, 1.0, 2.0),
        )
    sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main(sys.argv[1])
