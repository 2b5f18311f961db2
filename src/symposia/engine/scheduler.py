"""Who is computed next: decode first, then prefill in chunks, then admission; preemption by recompute. No torch.

Decisions are functions of integers: how many positions each sequence knows and has computed, how many blocks are free.
A sequence that was preempted loses its blocks, never its tokens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .blocks import BlockPool, Key


class Feedable(Protocol):
    """What the scheduler sees of a sequence. `computed` positions have keys and values in `blocks`."""

    computed: int
    blocks: list[int]

    @property
    def known(self) -> int:
        """Positions whose token is known and is to be forwarded."""
        ...

    def reusable(self, size: int) -> list[Key]:
        """Keys of full blocks from the start that may be taken from the cache instead of being computed."""
        ...

    def key(self, block: int, size: int) -> Key:
        """The key of a full, computed block."""
        ...

    def reused(self, positions: int) -> None:
        """Told at admission that the first positions came from the cache."""
        ...


S = TypeVar("S", bound=Feedable)


@dataclass(frozen=True)
class Chunk(Generic[S]):
    """Positions `[start, stop)` of a sequence, to be forwarded in this step."""

    sequence: S
    start: int
    stop: int


class Scheduler(Generic[S]):
    """`max_rows` sequences a step, `max_tokens` positions a step, one pool of blocks."""

    def __init__(self, pool: BlockPool, *, max_rows: int, max_tokens: int, reuse: bool = True) -> None:
        self.pool = pool
        self._max_rows, self._max_tokens, self._reuse = max_rows, max_tokens, reuse
        self.waiting: deque[S] = deque()
        self.running: list[S] = []
        self.preempted = 0

    def add(self, sequence: S) -> None:
        """Queue a sequence; the caller has checked that it can ever fit."""
        self.waiting.append(sequence)

    def remove(self, sequence: S) -> None:
        """Forget a finished, failed or cancelled sequence and free its blocks."""
        if sequence in self.running:
            self.running.remove(sequence)
        else:
            self.waiting.remove(sequence)
        self._free(sequence)

    def schedule(self) -> list[Chunk[S]]:
        """The next step's work; blocks for it are in place. Empty when nothing can run."""
        budget, preempted = self._max_tokens, self.preempted
        chunks: list[Chunk[S]] = []
        for sequence in sorted(self.running, key=lambda s: s.known - s.computed > 1):
            if budget > 0 and sequence in self.running:
                budget -= self._place(sequence, budget, chunks)
        while (
            self.waiting and budget > 0 and len(self.running) < self._max_rows and preempted == self.preempted
        ):
            if not self._admit(self.waiting[0]):
                break
            self.running.append(self.waiting.popleft())
            budget -= self._place(self.running[-1], budget, chunks)
        return chunks

    def advance(self, chunks: list[Chunk[S]]) -> None:
        """The chunks were forwarded: count them, and name the blocks they filled."""
        size = self.pool.size
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.computed = chunk.stop
            if self._reuse:
                for block in range(chunk.start // size, chunk.stop // size):
                    self.pool.name(sequence.blocks[block], sequence.key(block, size))

    def _admit(self, sequence: S) -> bool:
        """Take the cached prefix, if the rest of what is known fits without pushing anybody out."""
        keys = sequence.reusable(self.pool.size) if self._reuse else []
        prefix = self.pool.match(keys)
        rest = self.pool.needed(sequence.known + 1) - len(prefix)
        if self.running and rest + len(self.running) > self.pool.available:
            self.pool.release(prefix)
            return False
        sequence.blocks, sequence.computed = prefix, len(prefix) * self.pool.size
        sequence.reused(sequence.computed)
        return True

    def _place(self, sequence: S, budget: int, chunks: list[Chunk[S]]) -> int:
        stop = min(sequence.known, sequence.computed + budget)
        if stop <= sequence.computed:
            return 0
        while self.pool.needed(stop) > len(sequence.blocks):
            if self.pool.available:
                sequence.blocks.append(self.pool.take())
            elif not self._preempt(sequence, chunks):
                return 0
        chunks.append(Chunk(sequence, sequence.computed, stop))
        return stop - sequence.computed

    def _preempt(self, needy: S, chunks: list[Chunk[S]]) -> bool:
        """Send the youngest sequence back to the queue; False if that is the needy one itself."""
        victim = self.running.pop()
        chunks[:] = [chunk for chunk in chunks if chunk.sequence is not victim]
        self._free(victim)
        victim.computed = 0
        self.waiting.appendleft(victim)
        self.preempted += 1
        return victim is not needy

    def _free(self, sequence: S) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
