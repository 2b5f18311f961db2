"""Interventions on CUDA: one Triton program a written token runs its instructions and counts what it wrote.

Axes: T tokens of the flat batch, W written ones, D the site's width, G gate registers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from symposia.interp.bank import Bank, Ledger
from symposia.interp.write import Code

from .rows import instructed


@triton.jit
def _write(
    hidden: tl.tensor,
    tokens: tl.tensor,
    ends: tl.tensor,
    ints: tl.tensor,
    numbers: tl.tensor,
    rows: tl.tensor,
    stride: tl.tensor,
    sums: tl.tensor,
    peaks: tl.tensor,
    gates: tl.tensor,
    registers: tl.tensor,
    D: tl.constexpr,
    BLOCK: tl.constexpr,
    G: tl.constexpr,
) -> None:
    """Program i writes flat token `tokens[i]`, by the instructions up to `ends[i]`."""
    i = tl.program_id(0)
    first = tl.load(ends + i - 1, mask=i > 0, other=0)
    token = tl.load(tokens + i).to(tl.int64)
    at_D, at_G = tl.arange(0, BLOCK), tl.arange(0, G)
    place, own = hidden + token * D + at_D, gates + token * registers + at_G
    h = tl.load(place, mask=at_D < D, other=0.0).to(tl.float32)
    open_G = tl.load(own, mask=at_G < registers, other=1.0)
    h, open_G = instructed(
        h, open_G, at_D, first, tl.load(ends + i), ints, numbers, rows, stride, sums, peaks, hidden, D, G
    )
    tl.store(place, h.to(hidden.dtype.element_ty), mask=at_D < D)
    tl.store(own, open_G, mask=at_G < registers)


class TritonWriter:
    """Implements `Writer` for rows of at most 32 bits; the bank is in fp32."""

    def __init__(self, bank: Bank, ledger: Ledger) -> None:
        self._bank, self._ledger = bank, ledger

    def write(self, hidden_TD: Tensor, code: Code, gates_TG: Tensor | None, *, owned: bool = False) -> Tensor:
        """As the seam says."""
        out_TD = hidden_TD if owned else hidden_TD.clone(memory_format=torch.contiguous_format)
        device, width, rows_KD = out_TD.device, out_TD.shape[1], self._bank.rows_KD
        ends = list(code.ends)
        if not ends or not ends[-1]:
            return out_TD
        table = torch.frombuffer(bytearray(code.whole), dtype=torch.uint8).to(device)
        where_2W = torch.tensor([code.tokens, ends], dtype=torch.int32, device=device)
        registers = 0 if gates_TG is None else gates_TG.shape[1]
        sums_S5, peaks_S = counted(self._ledger)
        _write[(len(ends),)](
            *(out_TD, where_2W[0], where_2W[1], table.view(torch.int32), table.view(torch.float64)),
            *(rows_KD, rows_KD.stride(0), sums_S5, peaks_S),
            *(rows_KD if gates_TG is None else gates_TG, registers),
            D=width,
            BLOCK=triton.next_power_of_2(width),
            G=triton.next_power_of_2(max(registers, 1)),
            num_warps=warps(width),
        )
        return out_TD


def counted(ledger: Ledger) -> tuple[Tensor, Tensor]:
    """Sums `[S, 5]`, and peaks `[S]` as integers: what lies at the ledger's addresses."""
    return ledger._sums_S5, ledger._peak_S.view(torch.int64)  # noqa: SLF001  triton takes tensors, not addresses


def warps(width: int) -> int:
    """Warps that hold three rows of this width in registers."""
    return 4 if width <= 2048 else 8 if width <= 4096 else 16
