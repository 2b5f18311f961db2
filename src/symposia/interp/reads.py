"""Rows copied out of a forward, kept until the turn ends; then cut, reduced, stored or turned into floats.

Axes: N rows, D residual width (or vocabulary).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import pad

from symposia.core.positions import runs
from symposia.core.span import Span


class Reads:
    """The rows of one capture at one layer, in order of position."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._rows: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._positions)

    def append(self, positions: Sequence[int], rows_ND: Tensor) -> None:
        """Take rows that nobody else will write to."""
        self._positions.extend(positions)
        self._rows.append(rows_ND)

    def rewind(self, length: int) -> None:
        """Give up all rows but the first `length`; appends are given up whole."""
        del self._positions[length:]
        while sum(len(rows) for rows in self._rows) > length:
            self._rows.pop()

    def cut(self, stop: int) -> tuple[list[int], Tensor]:
        """Positions below `stop` and their rows `[N, ...]`, shorter ones (attention, over fewer keys) padded by 0."""
        kept = sum(p < stop for p in self._positions)
        starts = accumulate(map(len, self._rows), initial=0)
        within = [rows for start, rows in zip(starts, self._rows, strict=False) if start < kept]
        longest = max((rows.shape[-1] for rows in within if rows.dim() > 1), default=0)
        even = [x if x.dim() == 1 else pad(x, (0, longest - x.shape[-1])) for x in within]
        rows_ND = torch.cat(even) if even else torch.empty(0)
        return self._positions[:kept], rows_ND[:kept]


def by_head(rows_NX: Tensor, heads: int, chosen: Sequence[int]) -> Tensor:
    """`[N, heads, size]`, or of the chosen heads in their order; the rows as they are where heads is 0."""
    if not heads:
        return rows_NX
    rows_NHd = rows_NX.view(len(rows_NX), heads, -1)
    return rows_NHd[:, list(chosen)] if chosen else rows_NHd


def pool(
    by: str, positions: Sequence[int], rows_ND: Tensor, spans: Sequence[Span]
) -> tuple[tuple[tuple[int, int], ...], Tensor]:
    """One fp32 row per span that has any of the positions, and the runs of positions pooled."""
    pooled: list[Tensor] = []
    covered: list[int] = []
    work_ND = rows_ND if rows_ND.dtype == torch.float64 else rows_ND.float()
    for span in spans:
        at = [i for i, p in enumerate(positions) if span.start <= p < span.stop]
        if not at:
            continue
        covered.extend(positions[i] for i in at)
        chosen_ND = work_ND[at]
        match by:
            case "mean":
                pooled.append(chosen_ND.mean(dim=0))
            case "max":
                pooled.append(chosen_ND.amax(dim=0))
            case _:
                pooled.append(chosen_ND[-1])
    rows = torch.stack(pooled) if pooled else work_ND[:0]
    return runs(covered), rows.float()
