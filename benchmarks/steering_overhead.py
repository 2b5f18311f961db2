"""`python benchmarks/steering_overhead.py [--quick] [--shape M] [--model symposia:tiny]`: what looking inside costs.

One model without prefix reuse, so that every arm computes its prompts; arms taken in turns, greedy replies of exact
length. Loss is the throughput lost against the plain arm. The receipts of every steered reply are checked: each says
what it should. Bars are those of the specification for a GPU and five points more, since this is a CPU; for everything
on at once, the engine's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

from inside import Inside
from random_vectors import random_vectors
from rows import Row, loss, parser, progress, report
from shapes import alternated, answers, ask, build, engine_of, line, tokenizer, words
from talks import three_layers

from symposia.core.capture import Capture, Project
from symposia.core.intervention import Ablate, Add, Cap
from symposia.core.lines import Line
from symposia.core.positions import everything, speaking, tools
from symposia.engine import Engine, EngineOptions
from symposia.interp.acts.store import ActivationStore

ALL = "add, ablate and capture at 3 layers, a vector for each row"
BARS = {
    "half the rows steered, a vector each": 10.0,
    "all rows, one vector, one layer": 8.0,
    "all rows, one vector, all layers": 15.0,
    "8 vectors for each row": 13.0,
    "3 operations at all layers": 20.0,
    "capture of 3 layers": 15.0,
    "capture of 3 layers, all tokens, to disk": 15.0,
    "8 projections": 7.0,
    "an intervention that selects nothing": 6.0,
}
BARS_ALL = {"S": 8.0, "M": 5.0, "tiny": 8.0}
Wish = Callable[[int], dict[str, object]]


@dataclass(frozen=True)
class Arms:
    """What is asked of an engine, all rows at once; captured rows are forgotten again."""

    engine: Engine
    lines: Sequence[tuple[Line, ...]]
    tokens: int

    def run(self, wish: Wish, status: str = "applied") -> Callable[[], None]:
        """A request for each row, checked."""

        def measured() -> None:
            asks = [
                ask(self.engine, each, self.tokens, turn=1, **wish(row))
                for row, each in enumerate(self.lines)
            ]
            for request, done in zip(asks, answers(self.engine, asks), strict=True):
                assert [r.status for r in done.receipts] == [status] * len(request.interventions)
                assert len(done.activations) + len(done.readouts) >= len(request.captures)
                self.engine.store.drop(done.activations)

        return measured

    def all(self) -> dict[str, Callable[[], None]]:
        """By name, but for the one to disk."""
        depth = self.engine.shape.layers
        layers, every = three_layers(depth), tuple(range(depth))
        known = random_vectors(self.engine, max(8 * len(self.lines), 8), every)
        one, own = known[0], known[:: max(1, len(known) // len(self.lines))]

        def add(vector: str, at: Sequence[int] = layers[1:2]) -> Add:
            return Add(vector=vector, scale=0.1, layers=tuple(at), where=speaking())

        three = (
            add(one, every),
            Ablate(vector=known[1], layers=every, where=speaking()),
            Cap(vector=known[2], high=1e4, layers=every, where=speaking()),
        )
        read = Capture(layers=layers, where=speaking())
        watched = tuple(
            Capture(layers=layers[1:2], where=speaking(), reduce=Project(vector), name=vector)
            for vector in known[:8]
        )
        idle = Add(vector=one, scale=0.1, layers=layers[1:2], where=tools(), may_miss=True)
        eight = [tuple(add(v) for v in known[8 * row : 8 * row + 8]) for row in range(len(self.lines))]
        wishes: list[Wish] = [
            lambda row: {"interventions": (add(own[row]),)} if row % 2 else {},
            lambda _: {"interventions": (add(one),)},
            lambda _: {"interventions": (add(one, every),)},
            lambda row: {"interventions": eight[row]},
            lambda _: {"interventions": three},
            lambda _: {"captures": (read,)},
            lambda _: {"captures": watched},
        ]
        names = [name for name in BARS if not name.endswith(("to disk", "nothing"))]
        arms = {name: self.run(wish) for name, wish in zip(names, wishes, strict=True)}
        nothing = self.run(lambda _: {"interventions": (idle,)}, "missed")
        return {"plain": self.run(lambda _: {}), **arms, "an intervention that selects nothing": nothing}


def measured(shape: str, rows: int, tokens: int, repeats: int) -> list[Row]:
    """Every arm's row."""
    model = build(shape)
    lines = [(line("user", words(40, seed), "bob", 0),) for seed in range(rows)]
    with tempfile.TemporaryDirectory() as folder, ActivationStore.open(folder, write=True) as store:
        keeping = Engine.adopt(
            deepcopy(model), tokenizer(), "kept", options=EngineOptions(reuse=False), store=store
        )
        with keeping, engine_of(model, reuse=False) as engine:
            layers = three_layers(engine.shape.layers)
            everywhere = Capture(layers=layers, where=everything())
            arms = {
                **Arms(engine, lines, tokens).all(),
                "capture of 3 layers, all tokens, to disk": Arms(keeping, lines, tokens).run(
                    lambda _: {"captures": (everywhere,)}
                ),
                ALL: Inside(engine, lines, layers).run(tokens),
            }
            for arm in arms.values():
                arm()  # warm
            took = alternated(arms, repeats)
    bars = {**BARS, ALL: BARS_ALL[shape]}
    what = f"{shape} float32, {rows} rows x {tokens} tokens"
    return [loss(f"{what}: {name}", took["plain"], took[name], "s", bars[name]) for name in bars]


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    options = parser(__doc__)
    options.add_argument("--shape", default="M", choices=tuple(BARS_ALL))
    options.add_argument(
        "--model", choices=("symposia:tiny",), help="the bundled weights, instead of a shape"
    )
    options.add_argument(
        "--device", default="cpu", choices=("cpu",), help="benchmarks/gpu.py is for the other"
    )
    options.add_argument("--rows", type=int, default=32)
    chosen = options.parse_args()
    shape = "tiny" if chosen.model else chosen.shape
    tokens, repeats = (32, 3) if chosen.quick else (128, 5)
    progress(f"overhead: {shape}")
    return report(measured(shape, chosen.rows, tokens, chosen.repeats or repeats), as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
