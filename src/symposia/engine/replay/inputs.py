"""The tensors from which a recorded decode step reads its batch: they stay, what they hold changes.

Axes: R rows of the recording, N blocks that a row can have. Rows that a batch has not are empty: they see no key, and
their own goes to the store's waste slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from symposia.engine.kernels.tables import Grid, Tables
from symposia.engine.runner import Batch


@dataclass(frozen=True, eq=False)
class Laid:
    """A batch as arrays: `longs_3R` are token ids, positions and slots; rows and blocks are those of `Tables`."""

    longs_3R: np.ndarray
    rows_R3: np.ndarray
    blocks_RN: np.ndarray


def laid(batch: Batch, rows: int, size: int, waste: int) -> Laid:
    """A batch of single tokens over blocks of `size` positions, filled up to so many rows."""
    count, longest = len(batch.rows), max(len(row.blocks) for row in batch.rows)
    longs_3R = np.zeros((3, rows), dtype=np.int64)
    longs_3R[2] = waste
    longs_3R[0, :count], longs_3R[1, :count] = batch.token_ids, batch.positions
    longs_3R[2, :count] = [row.blocks[row.start // size] * size + row.start % size for row in batch.rows]
    rows_R3 = np.zeros((rows, 3), dtype=np.int32)
    rows_R3[:, 0] = range(rows)
    blocks_RN = np.zeros((rows, longest), dtype=np.int32)
    for r, row in enumerate(batch.rows):
        rows_R3[r, 1:] = row.start, row.stop
        blocks_RN[r, : len(row.blocks)] = row.blocks
    return Laid(longs_3R, rows_R3, blocks_RN)


class Inputs:
    """The tensors of one recording: each row's token, its position and slot; `tables` are what attention reads."""

    def __init__(self, rows: int, blocks: int, waste: int, *, grid: Grid, device: torch.device) -> None:
        self._longs_3R = torch.zeros(3, rows, dtype=torch.long, device=device)
        self._longs_3R[2] = waste
        self.token_ids_R, self.positions_R, self.slots_R = self._longs_3R
        self._blocks_RN = torch.zeros(rows, blocks, dtype=torch.int32, device=device)
        self._sent_RN = np.zeros((rows, 0), dtype=np.int32)
        each = torch.arange(rows, dtype=torch.int32, device=device)
        none_R = torch.zeros_like(each)
        self.tables = Tables(
            rows_R3=torch.stack([each, none_R, none_R], dim=1),
            blocks_RN=self._blocks_RN,
            decoding_P2=torch.stack([each, none_R], dim=1),
            chunked_P2=torch.zeros(0, 2, dtype=torch.int32, device=device),
            tile=grid.tile,
            splits=grid.splits(rows),
        )

    def send(self, batch: Laid) -> None:
        """Copy a batch to the device; block tables only where they changed since the last."""
        self._longs_3R.copy_(torch.from_numpy(batch.longs_3R))
        self.tables.rows_R3.copy_(torch.from_numpy(batch.rows_R3))
        if not np.array_equal(batch.blocks_RN, self._sent_RN):
            self._blocks_RN[:, : batch.blocks_RN.shape[1]] = torch.from_numpy(batch.blocks_RN)
            self._sent_RN = batch.blocks_RN
