"""`symposia traces read`: what was said, request by request, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from symposia.cli.terminal import Terminal
from symposia.cli.world import World, guarded, this_world
from symposia.core.errors import InvalidInput
from symposia.core.trace import Said, Trace

from .rows import Files, Rows, flaws, place

_ROLE_WIDTH = len("developer")


@dataclass(frozen=True)
class ReadOptions:
    """Which traces."""

    files: Files = None
    request: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this request, by its id or its trace's.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The lines as they are in the file.")] = False


def read(asked: ReadOptions) -> int:
    """Print each conversation; 1 if a line could not be read, with its file, number and cause."""
    world = this_world()
    return guarded(world, lambda: _read(asked, world))


def _read(asked: ReadOptions, world: World) -> int:
    rows, found = Rows(asked.files), 0
    for row in rows:
        if asked.request not in (None, row.trace.request_id, row.trace.trace_id):
            continue
        if asked.json:
            world.out.piece(row.raw.decode())
        else:
            if found:
                world.out.line()
            _show(row.trace, world.out)
        found += 1
    if asked.request is not None and not found:
        raise InvalidInput(f"no request {asked.request} in {', '.join(map(str, rows.files))}")
    return rows.told(world)


def _show(trace: Trace, out: Terminal) -> None:
    when = datetime.fromtimestamp(trace.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    out.line(f"{when}  {trace.request_id}  {place(trace)}  {trace.latency_ms:,.0f} ms", "bold")
    for said in trace.messages:
        _line(said, out)
    if trace.response is not None:
        _line(trace.response.message, out)
    if flaws(trace):
        out.line(f"{'':>{_ROLE_WIDTH}}   {flaws(trace)}", "red")


def _line(said: Said, out: Terminal) -> None:
    blocks = [(f"(thinks) {said.reasoning_content}", "dim")] if said.reasoning_content else []
    blocks += [(text, "") for text in (said.content, said.refusal) if text]
    blocks += [(f"(calls {call.name} {call.arguments})", "dim") for call in said.tool_calls]
    for text, style in blocks:
        out.piece(f"{said.role:>{_ROLE_WIDTH}} │ ", "dim")
        out.line(text.replace("\n", f"\n{'':>{_ROLE_WIDTH}} │ "), style)
