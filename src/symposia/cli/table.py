"""A small table: aligned columns, styled on a terminal, the same text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from .terminal import Terminal


class Table:
    """Numbers to the right, the first columns to the left; a row may have a style for its first cell.

    Columns that are empty throughout are left out, unless the table is to be `whole`.
    """

    def __init__(self, heads: Sequence[str], *, left: int = 1, whole: bool = False) -> None:
        self._heads, self._left, self._whole = tuple(heads), left, whole
        self._rows: list[tuple[tuple[str, ...], str]] = []

    def row(self, *cells: str, style: str = "") -> None:
        """Add a row of as many cells as there are heads."""
        self._rows.append((cells, style))

    def print(self, out: Terminal) -> None:
        """Write it."""
        shown = [
            i
            for i in range(len(self._heads))
            if self._whole or any(cells[i] not in ("", "0", "-") for cells, _ in self._rows)
        ]
        widths = {i: max(len(self._heads[i]), *(len(cells[i]) for cells, _ in self._rows)) for i in shown}
        out.line(self._joined(self._heads, shown, widths), "dim")
        for cells, style in self._rows:
            line = self._joined(cells, shown, widths)
            if out.tty and style:
                head = len(cells[0].ljust(widths[0])) if shown[0] == 0 else 0
                out.piece(line[:head], style)
                out.line(line[head:])
            else:
                out.line(line)

    def _joined(self, cells: Sequence[str], shown: Sequence[int], widths: dict[int, int]) -> str:
        return "  ".join(
            cells[i].ljust(widths[i]) if i < self._left else cells[i].rjust(widths[i]) for i in shown
        ).rstrip()
