"""Encoded instructions on the device, kept from step to step: a row says the same thing at every token it makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from symposia.interp.program import SIZE


class Shelf:
    """Room for so many records; emptied when what a step adds does not fit. `emptied`: how often that was."""

    def __init__(self, records: int, device: torch.device) -> None:
        self.bytes = torch.zeros(records * SIZE, dtype=torch.uint8, device=device)
        self._room, self._used = records, 0
        self._at: dict[bytes, int] = {}
        self.emptied = 0

    @property
    def views(self) -> tuple[Tensor, Tensor]:
        """The records as int32 and as fp64."""
        return self.bytes.view(torch.int32), self.bytes.view(torch.float64)

    def place(self, codes: Sequence[bytes]) -> list[int] | None:
        """The first record of each of a step's codes; None if they do not fit even alone.

        Codes of earlier steps may be gone afterwards.
        """
        if not self._put(each for each in dict.fromkeys(codes) if each not in self._at):
            self._at, self._used, self.emptied = {}, 0, self.emptied + 1
            if not self._put(dict.fromkeys(codes)):
                return None
        return [self._at[each] for each in codes]

    def _put(self, codes: Iterable[bytes]) -> bool:
        new = list(codes)
        whole = b"".join(new)
        if self._used + len(whole) // SIZE > self._room:
            return False
        if whole:
            begin = self._used * SIZE
            self.bytes[begin : begin + len(whole)] = torch.frombuffer(bytearray(whole), dtype=torch.uint8)
        for each in new:
            self._at[each] = self._used
            self._used += len(each) // SIZE
        return True
