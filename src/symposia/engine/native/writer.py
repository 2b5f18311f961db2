"""Interventions by the kernels: all instructions of a site in one call, fp32 inside, counts straight into the ledger.

Axes: T tokens of the flat batch, D the site's width, G gate registers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symposia.interp.bank import Bank, Ledger
from symposia.interp.write import Code

from .binding import Kernels, ProgramC, WritingC


class NativeWriter:
    """Implements `Writer` for fp32 and bf16 rows on the CPU."""

    def __init__(self, native: Kernels, bank: Bank, ledger: Ledger) -> None:
        self._library, self._bank, self._ledger = native.library, bank, ledger

    def write(self, hidden_TD: Tensor, code: Code, gates_TG: Tensor | None, *, owned: bool = False) -> Tensor:
        """As the seam says."""
        out_TD = hidden_TD if owned else hidden_TD.clone(memory_format=torch.contiguous_format)
        writing = writing_of(self._bank, self._ledger, gates_TG)
        program = program_of(code, out_TD.shape[1])
        half = out_TD.dtype == torch.bfloat16
        if self._library.intervene(writing, program, out_TD.data_ptr(), half):
            raise MemoryError(f"no memory to write rows of {out_TD.shape[1]} numbers")
        return out_TD


def writing_of(bank: Bank, ledger: Ledger, gates_TG: Tensor | None) -> WritingC:
    """Where bank, ledger and registers are now: the first two move when they grow."""
    rows_KD, (sums, peak) = bank.rows_KD, ledger.addresses()
    if gates_TG is None:
        return WritingC(rows_KD.data_ptr(), rows_KD.shape[1], sums, peak)
    return WritingC(rows_KD.data_ptr(), rows_KD.shape[1], sums, peak, gates_TG.shape[1], gates_TG.data_ptr())


def program_of(code: Code, width: int) -> ProgramC:
    """A site's code; it lies in `code`, which must live as long."""
    tokens, ends = code.places.buffer_info()[0], code.ends.buffer_info()[0]
    return ProgramC(width, len(code.tokens), tokens, ends, code.whole)
