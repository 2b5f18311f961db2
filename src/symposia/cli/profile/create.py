"""`symposia profile create`: a file becomes a profile, tried on its model first, and perhaps an alias."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.registry import Json, Store, Url, actor, registry
from symposia.cli.world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.profile import Profile
    from symposia.core.request import Backend

    from .files import Vectors

Folders = Annotated[
    list[Path] | None, typer.Option("--vectors", metavar="DIR", help="Folders of vector files (./vectors).")
]


@dataclass(frozen=True)
class CreateOptions:
    """The flags of `symposia profile create`."""

    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Fields of a profile, TOML or JSON.")]
    alias: Annotated[
        str | None, typer.Option("--alias", metavar="A", help="Also name it so, if nothing is named so yet.")
    ] = None
    note: Annotated[str, typer.Option("--note", help="Kept with it; also the reason of naming it.")] = ""
    vectors: Folders = None
    untried: Annotated[
        bool,
        typer.Option("--untried", help="Do not load the model to see whether it takes the interventions."),
    ] = False
    store: Store = None
    url: Url = None
    json: Json = False


def create(asked: CreateOptions) -> int:
    """Keep a profile; print its digest. The same content is the same profile."""
    world = this_world()
    return guarded(world, lambda: _create(asked, world))


def _create(asked: CreateOptions, world: World) -> int:
    from symposia.core.value import canonical

    from .alias import moved
    from .files import USUAL, Vectors, read_profile

    vectors = Vectors([USUAL] if asked.vectors is None else asked.vectors)
    profile = read_profile(asked.file, vectors)
    if not asked.untried and asked.url is None:  # a server tries it itself
        try_it(profile, vectors, world)
    with registry(asked.store, asked.url, world, make=True) as kept:
        digest = kept.profiles.put(profile, actor=actor(world), note=asked.note)
        pointing = {one.name: one.digest for one in kept.profiles.aliases(profile.model)}
        if asked.alias is not None and pointing.get(asked.alias) != digest:
            reason = asked.note or f"created as {asked.alias}"
            code = moved(
                lambda: kept.profiles.move(
                    profile.model, str(asked.alias), digest, expect=None, actor=actor(world), reason=reason
                ),
                world,
                as_json=asked.json,
            )
            if code is not None:
                return code
    if asked.json:
        told = {"digest": digest, "model": profile.model, "alias": asked.alias}
        world.out.piece(canonical(told).decode() + "\n")
    else:
        world.out.line(digest)
    return 0


def try_it(profile: Profile, vectors: Vectors, world: World) -> None:
    """Raise what the profile's model says of its interventions; without any, nothing is loaded."""
    from symposia.store.trial import try_profile
    from symposia.talk import portal

    if profile.interventions:
        portal.call(try_profile(profile, _backend(profile.model, vectors, world)))


def _backend(model: str, vectors: Vectors, world: World) -> Backend:
    from symposia.backends.endpoints import HOSTED
    from symposia.cli.endpoints import backend_for_names
    from symposia.core.models import resolve

    if resolve(model, HOSTED).source == "endpoint":
        return backend_for_names(world.env)
    from symposia.engine import Engines

    return Engines(library=vectors.library)
