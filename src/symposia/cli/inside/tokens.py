"""`symposia lens tokens`: how surprising each token of a conversation is to the model that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from symposia.cli.world import World, guarded, this_world

from .reading import AS, FILE, HTML, JSON, MODEL, read, told, told_token, written


@dataclass(frozen=True)
class TokensOptions:
    """The flags of `symposia lens tokens`."""

    file: FILE
    model: MODEL
    as_: AS = None
    json: JSON = False
    html: HTML = None


def tokens(asked: TokensOptions) -> int:
    """Log-probability, surprisal (nats) and entropy of every token, by who wrote it."""
    world = this_world()
    return guarded(world, lambda: _tokens(asked, world))


def _tokens(asked: TokensOptions, world: World) -> int:
    from symposia.core.capture import Capture
    from symposia.core.positions import everything
    from symposia.interp import heat, lens

    from .reading import engine_of

    last = engine_of(asked.model).shape.layers - 1
    captures = (Capture(layers=(last,), where=everything()),)
    engine, done = read(asked.file, asked.model, asked.as_, captures)
    try:
        found = lens.reread(engine.store.of(done.activations), engine)
    finally:
        engine.store.drop(done.activations)
    if asked.html is not None:
        written(world, asked.html, heat.of_tokens(found, "surprisal"))
    if asked.json:
        rows = [
            {**told_token(t), **{name: values[i] for name, values in found.columns.items()}}
            for i, t in enumerate(found.tokens)
        ]
        told(world, {"model": engine.address, "tokens": rows, "means": found.means("author")})
        return 0
    world.out.line(str(found))
    world.out.line()
    for author, means in found.means("author").items():
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in means.items() if name != "logprob")
        world.out.line(f"{author or 'markup'}: {numbers}")
    return 0
