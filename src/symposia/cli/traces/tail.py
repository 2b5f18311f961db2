"""`symposia traces tail`: the newest requests, a line each; on request, those still to come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from symposia.cli.terminal import Terminal
from symposia.cli.world import World, guarded, this_world
from symposia.core.errors import InvalidInput
from symposia.core.trace import Trace
from symposia.core.value import decode

from .rows import FOLDER, Rows, files_of, flaws, place

_EVERY_S = 0.2
_WIDEST = 48


@dataclass(frozen=True)
class TailOptions:
    """Which traces, and how many."""

    files: Annotated[Path, typer.Argument(metavar="FILE", help="A trace file, or a folder of them.")] = FOLDER
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="How many of the newest.")] = 10
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then wait for more, until Ctrl-C.")] = False
    json: Annotated[bool, typer.Option("--json", help="The lines as they are in the file.")] = False


def tail(asked: TailOptions) -> int:
    """The newest requests: when, what answered, how long it took, how it ended, how it began."""
    world = this_world()
    return guarded(world, lambda: _tail(asked, world))


def _tail(asked: TailOptions, world: World) -> int:
    rows = Rows([asked.files])
    ends = {path: path.stat().st_size for path in rows.files}
    for row in deque(rows, maxlen=asked.count):
        _show(row.trace, row.raw, world.out, as_json=asked.json)
    code = rows.told(world)
    if asked.follow:
        from symposia.talk import portal

        portal.call(_follow(asked, ends, world))
    return code


async def _follow(asked: TailOptions, ends: dict[Path, int], world: World) -> None:
    """Whole lines as they come, also in files that are not there yet; a new day begins one."""
    while True:
        for path in files_of(asked.files):
            with path.open("rb") as lines:
                lines.seek(ends.get(path, 0))
                fresh = lines.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            ends[path] = ends.get(path, 0) + len(whole)
            for raw in whole.splitlines(keepends=True):
                _arrived(path, raw, asked, world)
        await world.clock.sleep(_EVERY_S)


def _arrived(path: Path, raw: bytes, asked: TailOptions, world: World) -> None:
    try:
        trace = decode(raw, Trace, str(path))
    except InvalidInput as error:
        world.err.line(f"unreadable: {world.redactor.text(str(error))}", "yellow")
        return
    _show(trace, raw, world.out, as_json=asked.json)


def _show(trace: Trace, raw: bytes, out: Terminal, *, as_json: bool) -> None:
    if as_json:
        out.piece(raw.decode())
        return
    when = datetime.fromtimestamp(trace.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    used = "" if trace.usage is None else f"{trace.usage.input_tokens}+{trace.usage.output_tokens} tokens"
    ended = flaws(trace) or (trace.response.finish_reason if trace.response else None) or "no reply"
    out.piece(f"{when}  ", "dim")
    out.piece(f"{place(trace):<20}  ", "bold")
    out.piece(f"{trace.latency_ms:>8,.0f} ms  {used:>16}  ")
    out.piece(f"{ended:<12}  ", "red" if flaws(trace) else "")
    out.line(_beginning(trace), "dim")


def _beginning(trace: Trace) -> str:
    """The first words of what the last user said, on one line."""
    said = next((each.content or "" for each in reversed(trace.messages) if each.role == "user"), "")
    words = " ".join(said.split())
    return words if len(words) <= _WIDEST else words[: _WIDEST - 1] + "…"
