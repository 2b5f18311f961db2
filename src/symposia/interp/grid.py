"""What patching found: a number for every site, layer, column of positions and head.

Axes: S sites, L layers, C columns (positions written together), H heads (1 where whole rows are written).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput

from .align import Rule
from .readings import Token

_SHOWN = 12
Mode = Literal["restore", "break"]


@dataclass(frozen=True)
class How:
    """`restore` writes clean rows into the corrupt run, `break` corrupt rows into the clean one.

    `columns` are target positions written together; None: each aligned position alone. `heads`, for sites that have
    them: each is written alone; (): whole rows.
    """

    mode: Mode = "restore"
    rule: Rule = "span"
    columns: tuple[tuple[int, ...], ...] | None = None
    heads: tuple[int, ...] = ()


class Cell(NamedTuple):
    """One thing to write: a place, a column by its index, and a head (None: the whole row)."""

    site: Site
    layer: int
    column: int
    head: int | None


@dataclass(frozen=True)
class Grid:
    """(m - m_corrupt)/(m_clean - m_corrupt) of every cell: 1 as the clean run, 0 as the corrupt one.

    What matters restores up to 1 or breaks down to 0, by `mode`. `columns[c]` are the target positions written
    together, `tokens` their tokens where the model could spell them.
    """

    values_SLCH: Tensor
    sites: tuple[Site, ...]
    layers: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]
    clean: float
    corrupt: float
    heads: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    mode: Mode = "restore"

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order of the flat values."""
        return cells(self.sites, self.layers, len(self.columns), self.heads)

    @property
    def values_SLC(self) -> Tensor:  # noqa: N802  its axes are its name
        """The values of whole rows; `InvalidInput` for a grid of heads."""
        if self.heads:
            raise InvalidInput("this grid is by head: read values_SLCH")
        return self.values_SLCH[..., 0]

    def ranked(self, n: int = 1) -> list[tuple[Cell, float]]:
        """The n cells that matter most, and their values."""
        flat = self.values_SLCH.flatten()
        found = flat.topk(min(n, len(flat)), largest=self.mode == "restore")
        known = self.cells
        return [(known[i], v) for i, v in zip(found.indices.tolist(), found.values.tolist(), strict=True)]

    def peak(self) -> tuple[Cell, float]:
        """The cell that brings most of the source run, and its value."""
        return self.ranked()[0]

    def best(self) -> tuple[Site, int, tuple[int, ...], float]:
        """Site, layer and positions of that cell, and its value."""
        cell, value = self.peak()
        return cell.site, cell.layer, self.columns[cell.column], value

    def text(self, column: int) -> str:
        """A column's tokens as text, or its positions."""
        known = {token.position: token.text for token in self.tokens}
        at = self.columns[column]
        if all(p in known for p in at):
            return "".join(known[p] for p in at)
        return ",".join(map(str, at))

    def __str__(self) -> str:
        """The cells that matter most."""
        lines = [f"clean {self.clean:.4f}, corrupt {self.corrupt:.4f}; 1 is clean, 0 is corrupt"]
        for cell, value in self.ranked(_SHOWN):
            head = "" if cell.head is None else f" head {cell.head}"
            at = self.columns[cell.column]
            place = f"position {at[0]}" if len(at) == 1 else f"positions {at[0]}..{at[-1]} ({len(at)})"
            shown = f" {self.text(cell.column)!r}" if self.tokens else ""
            lines.append(f"  {value:+.3f}  {cell.site} {cell.layer}{head}  {place}{shown}")
        return "\n".join(lines)


def cells(
    sites: tuple[Site, ...], layers: tuple[int, ...], columns: int, heads: tuple[int, ...]
) -> list[Cell]:
    """All cells: sites, then layers, columns, heads."""
    return [
        Cell(site, layer, column, head)
        for site in sites
        for layer in layers
        for column in range(columns)
        for head in (heads or (None,))
    ]
