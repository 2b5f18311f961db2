"""Lines of trace files, each read or rejected with its cause; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from symposia.cli.exits import DONE, FINDINGS
from symposia.cli.world import World
from symposia.core.errors import InvalidInput
from symposia.core.trace import Trace
from symposia.core.value import decode

FOLDER = Path("traces")
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE", help="Trace files, or folders of them, as `serve --traces` names one; else `traces`."
    ),
]


@dataclass(frozen=True)
class Row:
    """A line: where it stands, as it stands there, and what it says."""

    path: Path
    number: int
    raw: bytes
    trace: Trace


class Rows:
    """All lines of some files, in order; `rejected` are those that could not be read, `FILE:LINE: cause`."""

    def __init__(self, paths: Sequence[Path] | None) -> None:
        self.files = tuple(file for path in paths or (FOLDER,) for file in files_of(path))
        self.rejected: list[str] = []

    def __iter__(self) -> Iterator[Row]:
        for path in self.files:
            with path.open("rb") as lines:
                for number, raw in enumerate(lines, start=1):
                    if row := self._row(path, number, raw):
                        yield row

    def _row(self, path: Path, number: int, raw: bytes) -> Row | None:
        where = f"{path}:{number}"
        if not raw.endswith(b"\n"):
            self.rejected.append(f"{where}: the line has no end; its writer was stopped, or still writes")
            return None
        try:
            return Row(path, number, raw, decode(raw, Trace, where))
        except InvalidInput as error:
            self.rejected.append(str(error))
            return None

    def told(self, world: World) -> int:
        """Say what was rejected; the exit code that is due."""
        for line in self.rejected:
            world.err.line(f"unreadable: {world.redactor.text(line)}", "yellow")
        return FINDINGS if self.rejected else DONE


def files_of(path: Path) -> tuple[Path, ...]:
    """A file itself; of a folder its `*.jsonl`, by name, which is by day."""
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(path.glob("*.jsonl")))
    if not found:
        raise InvalidInput(
            f"{path} has no trace files (*.jsonl); `symposia serve --traces {path}` writes them"
        )
    return found


def place(trace: Trace) -> str:
    """Which model answered, and as what: `tiny`, `tiny@calm`, with the arm where a canary chose it."""
    named = trace.model if trace.profile == "none" else f"{trace.model}@{trace.profile}"
    return f"{named} ({trace.arm})" if trace.canary else named


def flaws(trace: Trace) -> str:
    """What was wrong with it, in a word or two; "" if nothing was."""
    found = (trace.flags.error, trace.flags.degenerate, "slow" if trace.flags.slow else None)
    return " ".join(each for each in found if each)
