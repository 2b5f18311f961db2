"""`symposia vector convert`: other tools' files in, ours out to theirs; each move of a layer is printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symposia.cli.world import World, guarded, this_world
from symposia.core.errors import InvalidInput

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

Said = Literal["block_output", "hidden_states", "steering_vectors"]
_OURS = ".safetensors"


@dataclass(frozen=True)
class ConvertOptions:
    """The flags of `symposia vector convert`."""

    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A vector file, .gguf, .pt, .svec, or a folder of SAELens.")
    ]
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help=".safetensors to import; .gguf or .pt to export.")
    ]
    convention: Annotated[
        Said | None, typer.Option(help="What the other tool's layer L is, where its file leaves it open.")
    ] = None
    as_read: Annotated[
        bool, typer.Option("--as-read", help="IBM .svec: at the blocks it was read after (the default).")
    ] = False
    as_applied: Annotated[
        bool, typer.Option("--as-applied", help="IBM .svec: at the blocks whose output it was added to.")
    ] = False
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="The local model an imported file belongs to."),
    ] = ""
    layers: Annotated[
        str, typer.Option(metavar="L,L", help="Blocks of a .pt of one row, which names none.")
    ] = ""
    name: Annotated[str, typer.Option(metavar="NAME", help="The imported vector's name.")] = ""
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def convert(asked: ConvertOptions) -> int:
    """Import or export a vector file; nothing that a file leaves open is guessed."""
    world = this_world()
    return guarded(world, lambda: _convert(asked, world))


def _convert(asked: ConvertOptions, world: World) -> int:
    if asked.as_read and asked.as_applied:
        raise InvalidInput("--as-read and --as-applied exclude each other")
    inward = asked.target.suffix == _OURS
    vector = _imported(asked) if inward else _stored(asked)
    if inward:
        vector.save(asked.target)
        changes = tuple((vector.header.origin or {}).get("changes", ()))
        warnings = vector.header.warnings
    else:
        from symposia.interp.formats.convert import export_vector

        changes, warnings = export_vector(vector, asked.target, asked.convention), ()
    _tell(asked, world, vector, changes)
    for warning in warnings:
        world.err.line(f"warning: {warning}", "yellow")
    return 0


def _imported(asked: ConvertOptions) -> SteeringVector:
    from symposia.interp.formats.convert import import_vector
    from symposia.interp.formats.foreign import Asked

    from .asked import engine_of, layers_of

    if _is_ours(asked.source):
        raise InvalidInput(f"{asked.source} is a vector file already; OUT of another ending exports it")
    applied = asked.as_applied if asked.as_read or asked.as_applied else None
    layers = layers_of(asked.layers)
    shape = engine_of(asked.model, "vector convert").shape if asked.model else None
    said = Asked(convention=asked.convention, applied=applied, layers=layers, name=asked.name, shape=shape)
    return import_vector(asked.source, said)


def _stored(asked: ConvertOptions) -> SteeringVector:
    from symposia.interp.vector import load_vector

    for name, said in (
        ("-m", asked.model),
        ("--layers", asked.layers),
        ("--name", asked.name),
        ("--as-read", asked.as_read),
        ("--as-applied", asked.as_applied),
    ):
        if said:
            raise InvalidInput(
                f"{name} is about a file that is imported; OUT {asked.target} is another tool's"
            )
    return load_vector(asked.source)


def _is_ours(path: Path) -> bool:
    from symposia.interp.kinds import UnreadableVector
    from symposia.interp.vector import load_header

    try:
        load_header(path)
    except UnreadableVector:
        return False
    return True


def _tell(asked: ConvertOptions, world: World, vector: SteeringVector, changes: tuple[str, ...]) -> None:
    from symposia.core.value import canonical

    if asked.json:
        told = {
            "in": str(asked.source),
            "out": str(asked.target),
            "name": vector.header.name,
            "digest": vector.digest,
            "changes": changes,
            "warnings": vector.header.warnings,
        }
        world.out.piece(canonical(told).decode() + "\n")
        return
    for line in changes:
        world.out.line(line)
    world.out.line(f"{asked.target}: {vector.header.name}", "bold")
