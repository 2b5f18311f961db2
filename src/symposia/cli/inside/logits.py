"""`symposia lens logits`: what the model would say next at each of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.world import World, guarded, this_world

from .reading import (
    AS,
    FILE,
    HTML,
    JSON,
    MODEL,
    WHERE,
    engine_of,
    positions,
    read,
    told,
    told_token,
    written,
)

if TYPE_CHECKING:
    from symposia.interp.logitlens import LogitLens


@dataclass(frozen=True)
class LogitsOptions:
    """The flags of `symposia lens logits`."""

    file: FILE
    model: MODEL
    as_: AS = None
    where: WHERE = None
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="Without --where: the last N tokens; 0 is all.")
    ] = 12
    top: Annotated[int, typer.Option("--top", help="How many tokens of each layer, with --json.")] = 3
    token: Annotated[
        list[str] | None,
        typer.Option("--token", metavar="TEXT", help="Its rank and log-probability; may be repeated."),
    ] = None
    json: JSON = False
    html: HTML = None


def logits(asked: LogitsOptions) -> int:
    """The logit lens: every layer's residual through the final norm and unembedding."""
    world = this_world()
    return guarded(world, lambda: _logits(asked, world))


def _logits(asked: LogitsOptions, world: World) -> int:
    from symposia.core.capture import Capture
    from symposia.core.errors import InvalidInput
    from symposia.core.positions import Positions, Range, Where, everything
    from symposia.interp import heat, lens

    if asked.last < 0 or asked.top < 1:
        raise InvalidInput(f"expected --last >= 0 and --top >= 1; got {asked.last} and {asked.top}")
    tail = Where(tokens=(Range(-asked.last or 0, None),), within="sequence", special=True, made="given")
    where = positions(asked.where, Positions(any=(tail,)) if asked.last else everything())
    captures = (Capture(layers=tuple(range(engine_of(asked.model).shape.layers)), where=where),)
    engine, done = read(asked.file, asked.model, asked.as_, captures)
    try:
        acts = engine.store.of(done.activations)
        found = lens.logits(acts, engine, asked.top, tokens=asked.token or ())
    finally:
        engine.store.drop(done.activations)
    if asked.html is not None:
        written(world, asked.html, heat.of_layers(found))
    if asked.json:
        told(world, {"model": engine.address, "layers": list(found.layers), "tokens": _plain(found)})
        return 0
    world.out.line(str(found))
    for text in asked.token or ():
        rank = found.rank(text)[:, -1].tolist()
        world.out.line(f"rank of {text!r} after the last token, by layer: {', '.join(map(str, rank))}")
    return 0


def _plain(found: LogitLens) -> list[dict[str, object]]:
    named = [found.spelled[i] for i in found.named]
    return [
        {
            **told_token(token),
            "entropy": found.entropy_LN[:, j].tolist(),
            "kl_to_final": None if found.kl_LN is None else found.kl_LN[:, j].tolist(),
            "top": [
                [
                    {"text": found.spelled[i], "token_id": i, "logprob": p}
                    for i, p in zip(ids, logprobs, strict=True)
                ]
                for ids, logprobs in zip(
                    found.top_ids_LNk[:, j].tolist(), found.top_logprobs_LNk[:, j].tolist(), strict=True
                )
            ],
            "named": {
                text: {
                    "rank": found.ranks_LNW[:, j, w].tolist(),
                    "logprob": found.logprobs_LNW[:, j, w].tolist(),
                }
                for w, text in enumerate(named)
            },
        }
        for j, token in enumerate(found.tokens)
    ]
