"""Rows of vectors on the device, shared by key and counted by use; and the ledger where writes are counted.

Axes: K bank rows, S ledger slots, D residual width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput

COUNT, NORM, DELTA, BEFORE, AFTER = range(5)


class Bank:
    """`rows_KD` in the working dtype, D the widest site's; shorter vectors are followed by zeros.

    Row 0 is zero and never given away; a row lives while somebody holds it.
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device, rows: int = 64) -> None:
        self.rows_KD = torch.zeros(rows, width, dtype=dtype, device=device)
        self._free = list(range(rows - 1, 0, -1))
        self._index: dict[object, int] = {}
        self._held: dict[int, int] = {}
        self._key: dict[int, object] = {}

    def __len__(self) -> int:
        return len(self._held)

    def rows(self, width: int) -> Tensor:
        """All rows as a site of this width has them."""
        return self.rows_KD[:, :width]

    def hold(self, key: object, values_D: Tensor) -> int:
        """The row of `key`, which has these values; give it back with `drop`."""
        row = self._index.get(key)
        if row is None:
            row = self._take()
            if len(values_D) < self.rows_KD.shape[1]:
                self.rows_KD[row] = 0
            self.rows_KD[row, : len(values_D)] = values_D
            self._index[key], self._key[row] = row, key
        self._held[row] = self._held.get(row, 0) + 1
        return row

    def drop(self, rows: Iterable[int]) -> None:
        """Give rows back; the last holder frees them."""
        for row in rows:
            self._held[row] -= 1
            if not self._held[row]:
                del self._held[row], self._index[self._key.pop(row)]
                self._free.append(row)

    def _take(self) -> int:
        if not self._free:
            size = len(self.rows_KD)
            self.rows_KD = torch.cat([self.rows_KD, torch.zeros_like(self.rows_KD)])
            self._free = list(range(2 * size - 1, size - 1, -1))
        return self._free.pop()


@dataclass(frozen=True)
class Count:
    """What one slot has seen: tokens written, sums of ‖h‖, ‖δ‖ and projections, the largest ‖δ‖."""

    tokens: int
    norm: float
    delta: float
    before: float
    after: float
    peak: float


class Ledger:
    """Sums on the device, one slot per (request, intervention, layer), read back once when the request ends."""

    def __init__(self, device: torch.device, slots: int = 64) -> None:
        self._lay(torch.zeros(6 * slots, dtype=torch.float64, device=device))
        self._free = list(range(slots - 1, 0, -1))  # slot 0 takes what was counted before
        self._used: set[int] = set()

    def __len__(self) -> int:
        return len(self._used)

    def open(self) -> int:
        """A slot that holds nothing."""
        if not self._free:
            size, sums_S5, peak_S = len(self._peak_S), self._sums_S5, self._peak_S
            self._lay(torch.zeros(12 * size, dtype=torch.float64, device=peak_S.device))
            self._sums_S5[:size], self._peak_S[:size] = sums_S5, peak_S
            self._free = list(range(2 * size - 1, size - 1, -1))
        slot = self._free.pop()
        self._used.add(slot)
        return slot

    def close(self, slots: Sequence[int]) -> None:
        """Give slots back, and empty them."""
        if not slots:
            return
        self._used.difference_update(slots)
        self._free.extend(slots)
        index_N = torch.tensor(slots, device=self._peak_S.device)
        self._sums_S5.index_fill_(0, index_N, 0.0)
        self._peak_S.index_fill_(0, index_N, 0.0)

    def add(self, slots: Sequence[int], entries_N4: Tensor) -> None:
        """Count N writes: ‖h‖, ‖δ‖, projection before and after, each for its slot."""
        if len(slots) != len(entries_N4):
            raise InvalidInput(f"expected {len(slots)} ledger entries; got {len(entries_N4)}")
        index_N = torch.tensor(slots, dtype=torch.long, device=self._peak_S.device)
        entries_N4 = entries_N4.to(self._sums_S5)
        ones_N1 = torch.ones_like(entries_N4[:, :1])
        self._sums_S5.index_add_(0, index_N, torch.cat([ones_N1, entries_N4], dim=1))
        self._peak_S.scatter_reduce_(0, index_N, entries_N4[:, DELTA - 1], reduce="amax")

    def addresses(self) -> tuple[int, int]:
        """Where sums `[S, 5]` and peaks `[S]` lie, fp64, for a kernel that counts by itself."""
        return self._sums_S5.data_ptr(), self._peak_S.data_ptr()

    def counts(self) -> Tensor:
        """A copy of everything counted so far, for `restore`."""
        return self._all.clone()

    def restore(self, counts: Tensor) -> None:
        """Put back what had been counted; no slot may have been opened since."""
        self._all.copy_(counts)

    def read(self, slots: Sequence[int]) -> list[Count]:
        """The counts of some slots, in order."""
        if not slots:
            return []
        index_N = torch.tensor(slots, device=self._peak_S.device)
        sums = self._sums_S5[index_N].tolist()
        peaks = self._peak_S[index_N].tolist()
        return [
            Count(int(row[COUNT]), row[NORM], row[DELTA], row[BEFORE], row[AFTER], peak)
            for row, peak in zip(sums, peaks, strict=True)
        ]

    def _lay(self, whole: Tensor) -> None:
        """Sums and peaks lie one after the other, and are copied as one."""
        slots = len(whole) // 6
        self._all, self._sums_S5, self._peak_S = whole, whole[: 5 * slots].view(slots, 5), whole[5 * slots :]
