"""Taps of the residual that a captured graph contains: what they do is read from the device at every replay.

Axes: P taps, R rows of the graph, D the residual's width, G gate registers.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from symposia.interp.bank import Bank, Ledger
from symposia.interp.plan import Point
from symposia.interp.program import SIZE
from symposia.interp.write import Code

from .rows import instructed
from .shelf import Shelf
from .writer import counted, warps

REGISTERS = 16  # of a row, register 0 included
_RECORDS = 1 << 16
_SITES = ("resid_pre", "resid_mid", "resid_post")


@triton.jit
def _tap(
    hidden: tl.tensor,
    kept: tl.tensor,
    wanted: tl.tensor,
    bounds: tl.tensor,
    ints: tl.tensor,
    numbers: tl.tensor,
    rows: tl.tensor,
    stride: tl.tensor,
    sums: tl.tensor,
    peaks: tl.tensor,
    gates: tl.tensor,
    D: tl.constexpr,
    BLOCK: tl.constexpr,
    G: tl.constexpr,
) -> None:
    """Program r runs row r's instructions of one tap, and keeps the row if it is wanted; mostly neither."""
    r = tl.program_id(0)
    first, last = tl.load(bounds + 2 * r), tl.load(bounds + 2 * r + 1)
    keep = tl.load(wanted)
    if (last > first) | (keep != 0):
        at_D, at_G = tl.arange(0, BLOCK), tl.arange(0, G)
        place = r.to(tl.int64) * D + at_D
        h = tl.load(hidden + place, mask=at_D < D, other=0.0).to(tl.float32)
        open_G = tl.load(gates + r * G + at_G)
        h, open_G = instructed(
            h, open_G, at_D, first, last, ints, numbers, rows, stride, sums, peaks, hidden, D, G
        )
        tl.store(hidden + place, h.to(hidden.dtype.element_ty), mask=at_D < D)
        tl.store(gates + r * G + at_G, open_G)
        if keep != 0:
            tl.store(kept + place, h.to(hidden.dtype.element_ty), mask=at_D < D)


def tap_of(point: Point) -> int | None:
    """The number of a tap in the order of the forward; None for other sites."""
    site, layer = point
    return None if layer is None or site not in _SITES else len(_SITES) * layer + _SITES.index(site)


class Tables:
    """What all graphs of a runner share: instructions, bank and ledger as they are now, and room for kept rows."""

    def __init__(self, like_1D: Tensor, layers: int, rows: int, *, bank: Bank, ledger: Ledger) -> None:
        self.bank_KD, (self.sums_S5, self.peaks_S) = bank.rows_KD, counted(ledger)
        self._sums_S5 = self.sums_S5
        self.shelf = Shelf(_RECORDS, like_1D.device)
        self.taps, self.rows = layers * len(_SITES), rows
        self.kept_PRD = like_1D.new_zeros(self.taps, rows, like_1D.shape[-1])

    def still(self, bank: Bank, ledger: Ledger) -> bool:
        """Whether bank and ledger lie where they lay: both move when they grow."""
        return bank.rows_KD is self.bank_KD and counted(ledger)[0] is self._sums_S5


class Taps:
    """The taps of one graph. `visit` is what is recorded; `fill` sets what they do at the next replay."""

    def __init__(self, tables: Tables, rows: int) -> None:
        self._tables, device = tables, tables.kept_PRD.device
        self._codes: dict[int, Code] = {}
        self._emptied = 0
        self._wanted: frozenset[int] = frozenset()
        self._bounds_PR2 = torch.zeros(tables.taps, rows, 2, dtype=torch.int32, device=device)
        self._wanted_P = torch.zeros(tables.taps, dtype=torch.int32, device=device)
        self._gates_RG = torch.ones(rows, REGISTERS, device=device)

    def fill(self, codes: dict[int, Code], wanted: frozenset[int], *, gated: bool) -> bool:
        """Codes by tap, and taps whose rows are kept. False, and nothing set, if the instructions are too many."""
        if codes != self._codes or self._emptied != self._tables.shelf.emptied:
            bounds = self._bounds(codes)
            if bounds is None:
                return False
            self._bounds_PR2.copy_(torch.from_numpy(bounds))
            self._codes, self._emptied = codes, self._tables.shelf.emptied
        if wanted != self._wanted:
            flags = [int(tap in wanted) for tap in range(self._tables.taps)]
            self._wanted_P.copy_(torch.tensor(flags, dtype=torch.int32))
            self._wanted = wanted
        if gated:
            self._gates_RG.fill_(1.0)
        return True

    def kept(self, tap: int, rows: int) -> Tensor:
        """What the rows were at a wanted tap, after their instructions."""
        return self._tables.kept_PRD[tap, :rows]

    @property
    def points(self) -> frozenset[Point]:
        """Known at a replay only."""
        return frozenset()

    def visit(self, point: Point, hidden_RD: Tensor, *, owned: bool = False) -> Tensor:
        """Written in place."""
        tap, tables = tap_of(point), self._tables
        if tap is None:
            return hidden_RD
        hidden_RD = hidden_RD.contiguous()
        width = hidden_RD.shape[1]
        _tap[(len(hidden_RD),)](
            *(hidden_RD, tables.kept_PRD[tap], self._wanted_P[tap:], self._bounds_PR2[tap]),
            *(*tables.shelf.views, tables.bank_KD, tables.bank_KD.stride(0), tables.sums_S5, tables.peaks_S),
            self._gates_RG,
            D=width,
            BLOCK=triton.next_power_of_2(width),
            G=REGISTERS,
            num_warps=warps(width),
        )
        return hidden_RD

    def within(self, layer: int) -> bool:
        """Nothing within attention is in a graph."""
        return False

    def tokens_at(self, point: Point) -> list[int]:
        """Nor what is computed on demand."""
        return []

    def visit_rows(self, point: Point, tokens: list[int], rows: Tensor) -> None:
        """Nor handed over."""

    def _bounds(self, codes: dict[int, Code]) -> np.ndarray | None:
        flat = [each for code in codes.values() for each in code.instructions]
        firsts = self._tables.shelf.place(flat)
        if firsts is None:
            return None
        made = np.zeros(tuple(self._bounds_PR2.shape), dtype=np.int32)
        taps = [tap for tap, code in codes.items() for _ in code.tokens]
        tokens = [token for code in codes.values() for token in code.tokens]
        made[taps, tokens, 0] = firsts
        made[taps, tokens, 1] = [first + len(e) // SIZE for first, e in zip(firsts, flat, strict=True)]
        return made
