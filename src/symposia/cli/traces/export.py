"""`symposia traces export`: the requests in another tool's form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from symposia.cli.world import World, guarded, this_world
from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic

from .rows import Files, Rows

FORMS = ("otlp-json",)
_SPANS = 256  # a document


@dataclass(frozen=True)
class ExportOptions:
    """Which traces, in which form, where to."""

    files: Files = None
    to: Annotated[str, typer.Option("--to", metavar="FORM", help=f"One of {', '.join(FORMS)}.")] = FORMS[0]
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Instead of standard output.")
    ] = None


def export(asked: ExportOptions) -> int:
    """OpenTelemetry spans, what was said included: a JSON document a line. 1 if a trace could not be read."""
    world = this_world()
    return guarded(world, lambda: _export(asked, world))


def _export(asked: ExportOptions, world: World) -> int:
    if asked.to not in FORMS:
        raise InvalidInput(f"--to {asked.to}: expected one of {', '.join(FORMS)}")
    rows = Rows(asked.files)
    if asked.out is None:
        for line in _documents(rows, world):
            world.out.piece(line.decode())
    else:
        write_atomic(asked.out, b"".join(_documents(rows, world)))
    return rows.told(world)


def _documents(rows: Rows, world: World) -> Iterator[bytes]:
    from symposia import __version__
    from symposia.serve.otlp import document, span_of

    held = []
    for row in rows:
        held.append(span_of(row.trace, world.redactor))
        if len(held) == _SPANS:
            yield msgspec.json.encode(document(held, __version__)) + b"\n"
            held = []
    if held:
        yield msgspec.json.encode(document(held, __version__)) + b"\n"
