"""Where in a file something stands, and the error that points there."""

from __future__ import annotations

from typing import NamedTuple

from symposia.core.errors import InvalidInput

Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    line: int
    column: int


class ScenarioFileError(InvalidInput):
    """A scenario file does not mean what it should: file, line, column, path, what was expected, what came."""

    def __init__(self, file: str, mark: Mark | None, path: Path, problem: str, source: str = "") -> None:
        place = f"{file}:{mark.line}:{mark.column}" if mark else file
        where = f"{dotted(path)}: " if path else ""
        super().__init__(f"{place}: {where}{problem}{_excerpt(mark, source)}")
        self.file, self.mark, self.path, self.problem = file, mark, path, problem


def dotted(path: Path) -> str:
    """A path as people write it: `participants.alice.tools[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _excerpt(mark: Mark | None, source: str) -> str:
    if mark is None or not source:
        return ""
    number = f"{mark.line:>5}"
    return f"\n{number} | {source}\n{' ' * len(number)} | {' ' * (mark.column - 1)}^"
