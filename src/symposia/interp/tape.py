"""Rows that forward after forward leaves of the same tokens, and the memory they lie in, used again and again.

Memory that is new to the process costs a page fault every 4 KiB, which is more than writing there.

Axes: K frames of a tape, N rows of a frame, D residual width (or vocabulary).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_FRAMES, _MOST_FRAMES = 8, 64
_BYTES = 1 << 22  # of a tape at one layer
_SPARE = 1 << 25


class Stock:
    """Memory of tapes that are gone, for those to come: at most 32 MiB, on the CPU only."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Of that shape, with anything in it."""
        size = math.prod(shape) * like.element_size()
        for i, whole in enumerate(self._free):
            if size <= len(whole) <= 2 * size and like.device == whole.device:
                return self._free.pop(i)[:size].view(like.dtype).view(*shape)
        if like.device.type != "cpu":
            return like.new_empty(*shape)
        return torch.empty(size, dtype=torch.uint8).view(like.dtype).view(*shape)

    def give(self, tensors: Iterable[Tensor]) -> None:
        """What was taken, by somebody who keeps no view of it."""
        for each in tensors:
            if each.device.type == "cpu":
                whole = torch.empty(0, dtype=torch.uint8).set_(each.untyped_storage())
                if sum(map(len, self._free)) + len(whole) <= _SPARE:
                    self._free.append(whole)


class Tape:
    """What some tokens of a batch leave at some layers: one frame for each forward in which the same rows go on.

    `room` is how many frames there may be, `most` how many a tape that follows may have. A frame counts once
    `rolled`, after its forward. Its memory comes from a stock and goes back there; parts of it do not outlive it.
    """

    def __init__(self, room: int = 1, most: int = 1, *, stock: Stock) -> None:
        self.room, self.most, self.frames = room, most, 0
        self._stock, self._rows = stock, dict[int | None, Tensor]()
        self._taken = list[Tensor]()
        weakref.finalize(self, stock.give, self._taken).atexit = False

    @classmethod
    def lasting(cls, stock: Stock) -> Tape:
        """For rows that are likely to go on, one position in each forward."""
        return cls(_FRAMES, _MOST_FRAMES, stock=stock)

    @property
    def layers(self) -> list[int | None]:
        """Where it has rows."""
        return list(self._rows)

    @property
    def full(self) -> bool:
        """Whether there is no room for another frame."""
        return self.frames >= self.room

    def keep(self, layer: int | None, rows_ND: Tensor) -> None:
        """Rows `[N, ...]` of the newest frame; they belong to the tape now."""
        if self.room == 1:
            self._rows[layer] = rows_ND[None]
        else:
            self.frame(layer, rows_ND.shape, rows_ND).copy_(rows_ND)

    def frame(self, layer: int | None, shape: Sequence[int], like: Tensor) -> Tensor:
        """Where the rows of the newest frame go, `[N, ...]`, contiguous."""
        known = self._rows.get(layer)
        if known is None:
            each = math.prod(shape) * like.element_size()
            self.room = max(1, min(self.room, _BYTES // max(1, each)))
            known = self._rows[layer] = self._stock.take((self.room, *shape), like)
            self._taken.append(known)
        return known[self.frames]

    def next(self) -> Tape:
        """An empty one for more of the same, longer if it may be."""
        return Tape(min(self.most, _FRAMES * self.frames), self.most, stock=self._stock)

    def rolled(self) -> None:
        """The newest frame is whole: the forward went through."""
        self.frames += 1

    def part(self, layer: int | None, start: int, n: int) -> Tensor:
        """`n` rows of every frame, frame by frame; to be copied at once."""
        rows = self._rows[layer]
        if self.room == 1:
            return rows[0, start : start + n]
        return rows[: self.frames, start : start + n].flatten(0, 1)
