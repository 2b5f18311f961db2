"""What the attention kernel reads of a batch: rows, their blocks, and the tiles of query tokens that programs take.

Axes: R rows, N blocks of the longest row, P tiles; a row is (flat offset, first position, one past the last), a tile
(row, first query token within the row).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symposia.engine.runner import RowView

_LANES = 64  # query tokens times grouped heads that a tile of a prefill holds
_MOST_SPLITS = 32


@dataclass(frozen=True)
class Grid:
    """How work is cut: query tokens of a tile, and how many programs the device runs at once."""

    tile: int
    kv_heads: int
    processors: int

    @classmethod
    def of(cls, heads: int, kv_heads: int, processors: int) -> Grid:
        """Cut for these heads on a device of so many processors."""
        return cls(max(1, _LANES * kv_heads // heads), kv_heads, processors)

    def splits(self, rows: int) -> int:
        """Parts into which each decoding row's keys are cut, so that every processor has two programs or more.

        A power of two that depends on the number of rows alone, not on their lengths: a captured graph keeps it.
        """
        parts = 1
        while parts < _MOST_SPLITS and parts * rows * self.kv_heads < 2 * self.processors:
            parts *= 2
        return parts


@dataclass(frozen=True)
class Tables:
    """`rows_R3`, `blocks_RN`, and tiles `[P, 2]` of rows that decode and of chunks of several tokens; all int32."""

    rows_R3: Tensor
    blocks_RN: Tensor
    decoding_P2: Tensor
    chunked_P2: Tensor
    tile: int
    splits: int


def tables(rows: Iterable[RowView], grid: Grid, device: torch.device) -> Tables:
    """The tables of a batch, on the device."""
    views = list(rows)
    longest = max((len(view.blocks) for view in views), default=0)
    blocks_RN = np.zeros((len(views), max(1, longest)), dtype=np.int32)
    for r, view in enumerate(views):
        blocks_RN[r, : len(view.blocks)] = view.blocks
    lengths = [view.stop - view.start for view in views]
    decoding = [(r, 0) for r, n in enumerate(lengths) if n == 1]
    chunked = [(r, first) for r, n in enumerate(lengths) if n > 1 for first in range(0, n, grid.tile)]
    return Tables(
        rows_R3=_ints([(view.offset, view.start, view.stop) for view in views], device, 3),
        blocks_RN=torch.from_numpy(blocks_RN).to(device),
        decoding_P2=_ints(decoding, device, 2),
        chunked_P2=_ints(chunked, device, 2),
        tile=grid.tile,
        splits=grid.splits(len(decoding)),
    )


def _ints(rows: Sequence[tuple[int, ...]], device: torch.device, width: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.int32, device=device).reshape(-1, width)
