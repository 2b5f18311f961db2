"""`symposia lens acts`: what a folder of activations holds, whether it is whole, its index as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .exits import DONE, FAILED
from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.interp.acts.answer import Activations
    from symposia.interp.acts.query import ActivationQuery, Stretch
    from symposia.interp.acts.record import Record

_WHERE = 'Tokens: "author=bob,phase=answer,back=1:3,last=4", joined by | and less by " - ".'


@dataclass(frozen=True)
class ActsOptions:
    """The flags of `symposia lens acts`."""

    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Of activations, or of a run that has some.")]
    action: Annotated[
        Literal["query", "verify", "parquet"],
        typer.Argument(metavar="query|verify|parquet", help="What to do."),
    ] = "query"
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", metavar="DIR", help="Another folder, read as one with the first."),
    ] = None
    reader: Annotated[str | None, typer.Option(help="Whose forward.")] = None
    author: Annotated[str | None, typer.Option(help="Whose tokens.")] = None
    conversation: Annotated[str | None, typer.Option(help="Of this conversation.")] = None
    turn: Annotated[int | None, typer.Option(help="Of this turn.")] = None
    site: Annotated[str | None, typer.Option(help="At this site.")] = None
    layer: Annotated[int | None, typer.Option(help="At this layer.")] = None
    name: Annotated[str | None, typer.Option(help="Captured under this name.")] = None
    steered: Annotated[
        bool | None, typer.Option("--steered/--clean", help="Steered forwards only, or others.")
    ] = None
    where: Annotated[str | None, typer.Option(metavar="SELECTION", help=_WHERE)] = None
    labels: Annotated[
        Path | None, typer.Option(metavar="JSONL", help="Join labels: conversation, turn, label a line.")
    ] = None
    label: Annotated[str | None, typer.Option(help="Of generations with this label.")] = None
    tokens: Annotated[bool, typer.Option("--tokens", help="A line a token, not a record.")] = False
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where `parquet` writes.")] = None
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def acts(asked: ActsOptions) -> int:
    """Ask a folder of activations, verify it (exit 1 if something is amiss), or write its index as Parquet."""
    world = this_world()
    return guarded(world, lambda: _acts(asked, world))


def _acts(asked: ActsOptions, world: World) -> int:
    from symposia.facade import activations_in
    from symposia.interp.acts.store import ActivationStore

    folders = [activations_in(each) for each in (asked.folder, *(asked.also or ()))]
    if asked.action == "verify":
        return max(_verify(folder, asked, world) for folder in folders)
    with ActivationStore.open(*folders) as store:
        found = store.query(_query(asked))
        if asked.labels is not None:
            found = found.labelled(asked.labels)
        if asked.action == "query":
            return _tell(found, asked, world)
        from symposia.core.errors import InvalidInput

        if asked.out is None:
            raise InvalidInput("parquet needs a file to write: --out FILE")
        found.to_parquet(asked.out)
        world.err.line(f"{len(found.records):,} records written to {asked.out}", "dim")
    return DONE


def _query(asked: ActsOptions) -> ActivationQuery:
    import msgspec

    from symposia.core.capture import Site
    from symposia.core.errors import InvalidInput
    from symposia.core.selector import selection
    from symposia.interp.acts.query import ActivationQuery

    try:
        site: Site | None = msgspec.convert(asked.site, Site | None)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"--site {asked.site}: {error}") from error
    return ActivationQuery(
        reader=asked.reader,
        author=asked.author,
        conversation=asked.conversation,
        turn=asked.turn,
        site=site,
        layer=asked.layer,
        name=asked.name,
        steered=asked.steered,
        label=asked.label,
        where=None if asked.where is None else selection(asked.where),
    )


def _verify(folder: Path, asked: ActsOptions, world: World) -> int:
    from symposia.core.value import canonical
    from symposia.interp.acts.verify import verify

    told = verify(folder)
    if asked.json:
        world.out.piece(canonical(told).decode() + "\n")
        return FAILED if told.faults else DONE
    world.out.line(
        f"{told.records:,} records of {told.generations:,} generations, {told.bytes:,} bytes, in {told.sealed} sealed "
        f"and {told.open} open shards"
    )
    if told.unknown:
        world.out.line(f"{told.unknown:,} bytes of no record: on their way, or left by a crash", "dim")
    for fault in told.faults:
        world.out.line(f"{fault.where}: {fault.what}", "bold red")
    if not told.faults:
        world.out.line("every record is what its digest says; every sealed shard opens", "green")
    return FAILED if told.faults else DONE


def _tell(found: Activations, asked: ActsOptions, world: World) -> int:
    if asked.tokens:
        return _tell_tokens(found, asked, world)
    from symposia.core.value import canonical
    from symposia.interp.acts.parquet import row_of

    from .table import Table

    if asked.json:
        for record, parts in found.selected():
            world.out.piece(canonical({**row_of(record), "rows": _rows(parts)}).decode() + "\n")
        return DONE
    table = Table(
        ("record", "conversation", "branch", "reader", "site", "notes", "turn", "layer", "rows", "shape"),
        left=6,
    )
    for record, parts in found.selected():
        table.row(*_cells(record), f"{_rows(parts):,}", "x".join(map(str, record.ref.shape)))
    table.print(world.out)
    return DONE


def _tell_tokens(found: Activations, asked: ActsOptions, world: World) -> int:
    from symposia.core.value import canonical

    for row in found.tokens():
        if asked.json:
            world.out.piece(canonical(vars(row)).decode() + "\n")
        else:
            whose = f"{row.span.author or row.span.role or '-'} {row.span.phase}"
            world.out.line(f"{row.record}  {row.position:>6}  {row.token_id:>7}  {whose:<24}  {row.text!r}")
    return DONE


def _rows(parts: list[Stretch]) -> int:
    return sum(part.rows.stop - part.rows.start for part in parts)


def _cells(record: Record) -> tuple[str, ...]:
    about, ref = record.source.about, record.ref
    said = {"steered": record.source.steered, record.at: record.at != "after", record.reduce: record.pooled}
    notes = [*(note for note, holds in said.items() if holds), *([] if record.made else ["made again"])]
    layer = "" if ref.layer is None else str(ref.layer)
    named = [f"name={ref.name}"] if ref.name else []
    return (
        ref.record,
        about.conversation[:19],
        about.branch,
        record.source.reader,
        ref.site,
        " ".join(notes + named),
        str(about.turn),
        layer,
    )
