"""`python benchmarks/steering_overhead.py [--quick] [--shape M]`: what steering and captures cost, against plain rows.

One engine, arms taken in turns, greedy replies of exact length. Loss is the throughput lost against the plain arm.
The receipts of every steered reply are checked: each says that its intervention was applied.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from shapes import alternated, answers, ask, build, engine_of, line, table, words

from symposia.core.capture import Capture
from symposia.core.intervention import Ablate, Add
from symposia.core.positions import speaking
from symposia.engine import Engine
from symposia.interp.vector import FittedOn, Header, LayerNotes, SteeringVector

BARS = {"half the rows steered": 10.0, "all rows, one vector, one layer": 8.0, "capture of 3 layers": 15.0}
ALL = "add, ablate and capture at 3 layers, a vector for each row"


def vectors(engine: Engine, count: int, layers: Sequence[int]) -> list[str]:
    """Digests of random directions, known to the engine's library."""
    shape = engine.shape
    generator = torch.Generator().manual_seed(7)
    fitted = FittedOn(
        name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=shape.width
    )
    found = []
    for index in range(count):
        rows = torch.nn.functional.normalize(
            torch.randn(len(layers), shape.width, generator=generator), dim=1
        )
        notes = {str(layer): LayerNotes(fitted_norm=1.0) for layer in layers}
        header = Header(name=f"random {index}", kind="direction", model=fitted, layers=notes, seed=index)
        vector = SteeringVector(header, {layer: rows[i].clone() for i, layer in enumerate(layers)})
        engine.library.add(vector)
        found.append(vector.digest)
    return found


def arms(engine: Engine, rows: int, tokens: int) -> dict[str, Callable[[], None]]:
    """Each arm asks for all rows at once."""
    depth = engine.shape.layers
    layers = (depth // 4, depth // 2, 3 * depth // 4)
    known = vectors(engine, rows, layers)
    lines = [(line("user", words(40, seed), "bob", 0),) for seed in range(rows)]

    def run(wish: Callable[[int], dict[str, object]]) -> Callable[[], None]:
        def measured() -> None:
            asks = [ask(engine, each, tokens, turn=1, **wish(row)) for row, each in enumerate(lines)]
            for request, done in zip(asks, answers(engine, asks), strict=True):
                assert [r.status for r in done.receipts] == ["applied"] * len(request.interventions)
                assert len(done.activations) >= len(request.captures)

        return measured

    def add(row: int, at: Sequence[int]) -> Add:
        return Add(vector=known[row], scale=0.1, layers=tuple(at), where=speaking())

    def everything(row: int) -> dict[str, object]:
        ablate = Ablate(vector=known[row], layers=layers, where=speaking())
        capture = Capture(layers=layers, where=speaking())
        return {"interventions": (add(row, layers), ablate), "captures": (capture,)}

    return {
        "plain": run(lambda _: {}),
        "half the rows steered": run(
            lambda row: {"interventions": (add(row, layers[1:2]),)} if row % 2 else {}
        ),
        "all rows, one vector, one layer": run(lambda _: {"interventions": (add(0, layers[1:2]),)}),
        "capture of 3 layers": run(lambda _: {"captures": (Capture(layers=layers, where=speaking()),)}),
        ALL: run(everything),
    }


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tokens and repeats; noisier")
    parser.add_argument("--shape", default="M", choices=("S", "M"))
    parser.add_argument("--rows", type=int, default=32)
    chosen = parser.parse_args()
    tokens, repeats = (32, 2) if chosen.quick else (128, 5)
    bars = {**BARS, ALL: 8.0 if chosen.shape == "S" else 5.0}
    with engine_of(build(chosen.shape)) as engine:
        measured = arms(engine, chosen.rows, tokens)
        measured["plain"]()  # warm
        took = alternated(measured, repeats)
    rows = [
        (f"{chosen.shape} float32, {chosen.rows} rows x {tokens} tokens", "CPU", "loss", "bar", "verdict")
    ]
    missed = False
    for name, seconds in took.items():
        loss = 100 * (1 - took["plain"] / seconds)
        verdict = "-" if name == "plain" else "pass" if loss <= bars[name] else "MISSED"
        missed |= verdict == "MISSED"
        bar = "" if name == "plain" else f"<= {bars[name]:g} %"
        rows.append((name, f"{seconds:.2f} s", f"{loss:.1f} %", bar, verdict))
    table(rows)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
