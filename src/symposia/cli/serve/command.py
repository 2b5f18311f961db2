"""`symposia serve`: read what is to be, refuse what must not be, then listen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from symposia.cli.world import World, guarded, this_world

from .options import ServeOptions

if TYPE_CHECKING:
    from symposia.serve.settings import Settings

    from .configured import Configured

BAD_INPUT = 2


def serve(asked: ServeOptions) -> int:
    """Serve models with steering profiles and budgets, behind the OpenAI protocol."""
    world = this_world()
    return guarded(world, lambda: _serve(asked, world))


def _serve(asked: ServeOptions, world: World) -> int:
    from .configured import configured

    told = configured(asked.flags, world.env, asked.config)
    told = told._replace(settings=_with_upstream(told.settings, world))
    if asked.check:
        return _check(told, world, as_json=asked.json)
    if told.settings.workers > 1:
        from .workers import run_workers

        return run_workers(told, world)
    from .assembled import assembled

    with assembled(told, world) as ready:
        if ready.refusals:
            return _refused(ready.refusals, world)
        from .running import run

        return run(ready, world)


def _check(told: Configured, world: World, *, as_json: bool) -> int:
    from symposia.core.value import canonical

    from .assembled import assembled

    with assembled(told, world, listens=False) as ready:
        if as_json:
            report = {"ok": not ready.refusals, "refusals": list(ready.refusals), "settings": told.settings}
            world.out.piece(world.redactor.text(canonical(report).decode()) + "\n")
        elif not ready.refusals:
            models = ", ".join(ready.server.models)
            world.out.line(f"it would start: {models} at {told.settings.host}:{told.settings.port}")
        return (
            _refused(ready.refusals, world)
            if ready.refusals and not as_json
            else BAD_INPUT * bool(ready.refusals)
        )


def _refused(refusals: tuple[str, ...], world: World) -> int:
    for refusal in refusals:
        world.err.always(f"error: {world.redactor.text(refusal)}", "bold red")
    return BAD_INPUT


def _with_upstream(settings: Settings, world: World) -> Settings:
    """The settings with the names of the upstream's models, asked for where none are named."""
    if settings.upstream is None or settings.only:
        return settings
    import msgspec

    from symposia.core.errors import InvalidInput

    from .backends import relay_of

    async def listed() -> tuple[str, ...]:
        relay = relay_of(settings, world.env, world.clock)
        try:
            return await relay.models()
        finally:
            await relay.aclose()

    names = asyncio.run(listed())
    if not names:
        raise InvalidInput("the upstream lists no models; name some: --only A,B")
    return msgspec.structs.replace(settings, only=names)
