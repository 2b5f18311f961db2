"""`symposia schema`: the JSON Schemas of what is written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from .world import World, guarded, this_world


@dataclass(frozen=True)
class SchemaOptions:
    """The flags of `symposia schema`."""

    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which; without it, the names.")] = None


def schema(asked: SchemaOptions) -> int:
    """Print a JSON Schema, or the names of those there are."""
    world = this_world()
    return guarded(world, lambda: _schema(asked.name, world))


def _schema(name: str | None, world: World) -> int:
    import json

    from symposia.core.errors import UnknownName

    from .schemas import schemas

    known = schemas()
    if name is None:
        for one in sorted(known):
            world.out.line(one)
        return 0
    if name not in known:
        raise UnknownName("schema", name, known)
    world.out.piece(json.dumps(known[name](), indent=2, ensure_ascii=False) + "\n")
    return 0
