"""Rows copied out of forwards, kept until the turn ends; then cut, reduced, stored or turned into floats.

Axes: N rows, D residual width (or vocabulary).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from symposia.core.positions import runs
from symposia.core.span import Span

from .tape import Stock, Tape

_TOGETHER = 8


class _Part(NamedTuple):
    """Rows of a tape from `start` on. `positions` are those of its first frame; a frame later they are one on."""

    tape: Tape
    start: int
    positions: Sequence[int]

    @property
    def size(self) -> int:
        return len(self.positions) * self.tape.frames

    def rows(self, layer: int | None) -> Tensor:
        return self.tape.part(layer, self.start, len(self.positions))


class Reads:
    """The rows of one capture, in order of position.

    Rows lie among others of the same steps; now and then they are moved together, so that no others stay for long.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    @property
    def positions(self) -> list[int]:
        """Of every row, in order."""
        return [p + k for part in self._parts for k in range(part.tape.frames) for p in part.positions]

    def append(self, positions: Sequence[int], tape: Tape, start: int) -> None:
        """Rows of a tape, and of all its frames to come: a position each, and one on in every later frame."""
        if len(self._parts) >= _TOGETHER:
            self._gather()
        self._parts.append(_Part(tape, start, positions))

    def below(self, stop: int) -> list[int]:
        """Positions below `stop`, in order."""
        positions = self.positions
        return positions[: bisect_left(positions, stop)]

    def cut(self, layer: int | None, kept: Sequence[int], *, by_key: bool = False) -> Tensor:
        """Rows `[N, ...]` of the first positions, those `kept`; nobody else holds them.

        `by_key`: rows end with a number for each key; those of the last position are all there are.
        """
        starts = accumulate((part.size for part in self._parts), initial=0)
        count = len(kept)
        within = [part.rows(layer) for start, part in zip(starts, self._parts, strict=False) if start < count]
        if not within:
            return torch.empty(0)
        rows = _together([*within[:-1], within[-1][: count - sum(map(len, within[:-1]))]])
        if by_key:
            keys = kept[-1] + 1
            rows = rows[..., :keys] if rows.shape[-1] >= keys else pad(rows, (0, keys - rows.shape[-1]))
        return rows

    def _gather(self) -> None:
        whole = Tape(stock=Stock())
        for layer in self._parts[0].tape.layers:
            whole.keep(layer, _together([part.rows(layer) for part in self._parts]))
        whole.rolled()
        self._parts = [_Part(whole, 0, self.positions)]


def _together(rows: Sequence[Tensor]) -> Tensor:
    longest = max(each.shape[-1] for each in rows)
    ragged = rows[0].dim() > 1 and any(each.shape[-1] < longest for each in rows)
    return torch.cat([pad(x, (0, longest - x.shape[-1])) for x in rows] if ragged else list(rows))


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
