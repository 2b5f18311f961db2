"""Two conversations side by side, turn beside turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap

from symposia.cli.terminal import Terminal

_GAP = 3


@dataclass(frozen=True)
class Cell:
    """One message in a column; `note` stands dim below it."""

    author: str
    text: str
    note: str = ""


def side_by_side(out: Terminal, heads: tuple[str, str], rows: Sequence[tuple[Cell, Cell]]) -> None:
    """Print the rows under two heads, each column half as wide as the terminal."""
    width = (min(out.width, 140) - _GAP) // 2
    _row(out, width, [("", heads[0], "bold")], [("", heads[1], "bold")])
    for left, right in rows:
        out.line()
        _row(out, width, _lines(left, width), _lines(right, width))


Styled = tuple[str, str, str]
"""A line as (author, text, style of the text); the author is set in its own colour."""


def _lines(cell: Cell, width: int) -> list[Styled]:
    first = wrap(f"{cell.author}: {cell.text}", width) or [f"{cell.author}:"]
    label = f"{cell.author}:"
    head: Styled = (label, first[0][len(label) :], "")
    rest: list[Styled] = [("", line, "") for line in first[1:]]
    notes: list[Styled] = [("", line, "dim") for line in wrap(cell.note, width)]
    return [head, *rest, *notes]


def _row(out: Terminal, width: int, left: Sequence[Styled], right: Sequence[Styled]) -> None:
    nothing: Styled = ("", "", "")
    for one, other in zip_longest(left, right, fillvalue=nothing):
        _put(out, one)
        out.piece(" " * (width + _GAP - len(one[0]) - len(one[1])))
        _put(out, other)
        out.piece("\n")


def _put(out: Terminal, line: Styled) -> None:
    label, text, style = line
    if label:
        out.piece(label, f"bold {out.colour(label.removesuffix(':'))}")
    if text:
        out.piece(text, style)
