"""`symposia profile export`, `import`: a profile with its vectors in one file, from store to store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.exits import DONE
from symposia.cli.registry import Json, Store, Url, actor, registry
from symposia.cli.world import World, guarded, this_world

from .create import Folders, try_it
from .selectors import Selector, digest_of

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector


@dataclass(frozen=True)
class ExportOptions:
    """The flags of `symposia profile export`."""

    profile: Selector
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.tar", help="The file to write.")]
    vectors: Folders = None
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class ImportOptions:
    """The flags of `symposia profile import`."""

    file: Annotated[Path, typer.Argument(metavar="FILE.tar", help="What `profile export` wrote.")]
    note: Annotated[str, typer.Option("--note", help="Kept with it.")] = ""
    vectors: Annotated[
        Path, typer.Option("--vectors", metavar="DIR", help="The folder its vector files go to.")
    ] = Path("vectors")
    untried: Annotated[
        bool,
        typer.Option("--untried", help="Do not load the model to see whether it takes the interventions."),
    ] = False
    store: Store = None
    url: Url = None
    json: Json = False


def export(asked: ExportOptions) -> int:
    """Write a profile and the vector files it names; the same profile makes the same file."""
    world = this_world()
    return guarded(world, lambda: _export(asked, world))


def take_in(asked: ImportOptions) -> int:
    """Keep a profile that was exported, and its vector files; both are held against their digests first."""
    world = this_world()
    return guarded(world, lambda: _import(asked, world))


def _export(asked: ExportOptions, world: World) -> int:
    from symposia.core.files import write_atomic
    from symposia.core.intervention import Replace
    from symposia.core.value import canonical
    from symposia.store.bundle import packed, vectors_needed

    from .files import USUAL, Vectors

    vectors = Vectors([USUAL] if asked.vectors is None else asked.vectors)
    with registry(asked.store, asked.url, world) as kept:
        one = kept.profiles.stored(digest_of(kept.profiles, asked.profile, archived=True))
    files = {name: vectors.library.find(name).encode() for name in vectors_needed(one.profile)}
    write_atomic(asked.out, packed(one.profile, files))
    if any(isinstance(edit, Replace) for edit in one.profile.interventions):
        world.err.line("the activations it replaces with are not in the file: copy their folder", "yellow")
    if asked.json:
        told = {"digest": one.digest, "file": str(asked.out), "vectors": sorted(files)}
        world.out.piece(canonical(told).decode() + "\n")
    else:
        world.out.line(f"{asked.out}: {one.digest}, {len(files)} vectors")
    return DONE


def _import(asked: ImportOptions, world: World) -> int:
    from symposia.core.files import write_atomic
    from symposia.core.value import canonical
    from symposia.store.bundle import unpacked

    from .files import Vectors

    bundle = unpacked(asked.file.read_bytes(), digest_of=_vector_digest, what=str(asked.file))
    if not asked.untried and asked.url is None:  # a server tries it itself
        trial = Vectors([])
        for raw in bundle.vectors.values():
            trial.library.add(_vector(raw))
        try_it(bundle.profile, trial, world)
    for name, raw in bundle.vectors.items():
        write_atomic(asked.vectors / f"{name.removeprefix('sha256:')}.safetensors", raw)
    with registry(asked.store, asked.url, world, make=True) as kept:
        digest = kept.profiles.put(bundle.profile, actor=actor(world), note=asked.note)
    if asked.json:
        world.out.piece(canonical({"digest": digest, "vectors": sorted(bundle.vectors)}).decode() + "\n")
    else:
        world.out.line(digest)
    return DONE


def _vector_digest(raw: bytes) -> str:
    return _vector(raw).digest


def _vector(raw: bytes) -> SteeringVector:
    """A vector file's bytes as a vector; `InvalidInput` says what they are instead."""
    import tempfile

    from symposia.cli.scenario.vectors import read_vector

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vector.safetensors"
        path.write_bytes(raw)
        return read_vector(path)
