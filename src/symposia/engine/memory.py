"""When a forward runs out of memory: how to tell, how to undo what it counted, how to split the batch."""

from __future__ import annotations

import torch

from symposia.core.errors import BackendError
from symposia.interp.bank import Ledger

from .scheduler import Chunk
from .sequence import Sequence

Chunks = list[Chunk[Sequence]]
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


def ran_out(error: Exception) -> bool:
    """Whether a forward failed for want of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def halves(chunks: Chunks) -> list[Chunks]:
    """Two parts of nearly equal positions where the batch has two rows; the same positions again where it has one."""
    if len(chunks) < 2:
        return [chunks]
    parts: list[Chunks] = [[], []]
    for chunk in sorted(chunks, key=_size, reverse=True):
        min(parts, key=lambda part: sum(map(_size, part))).append(chunk)
    return parts


def largest(chunks: Chunks) -> Chunk[Sequence]:
    """The chunk that needs most: by new positions, then by all it looks at, then the youngest."""
    return max(chunks, key=lambda c: (_size(c), c.stop, c.sequence.number))


def no_memory(chunk: Chunk[Sequence], error: Exception) -> BackendError:
    """What the request hears that had to go."""
    return BackendError(
        f"out of memory, also in half the batch, with {chunk.stop} positions of this request ({error}); "
        "lower EngineOptions.max_tokens, max_rows or kv_bytes",
        cause="too_large",
    )


class Undo:
    """What rows had counted, and their gates seen, before a forward, to be put back if it breaks off halfway.

    Made before the forward is planned; `counted` is called when it is, just before it runs.
    """

    def __init__(self, chunks: Chunks, ledger: Ledger) -> None:
        active = [chunk.sequence.plan for chunk in chunks if chunk.sequence.plan.bounds]
        self._ledger, self._active = ledger, bool(active)
        self._counts: torch.Tensor | None = None
        self._gates = [(gate, gate.state()) for plan in active if plan.registers for gate in plan.undecided]

    def counted(self) -> None:
        """All slots are open now: keep what they hold."""
        self._counts = self._ledger.counts() if self._active else None

    def __call__(self) -> None:
        """Put it back."""
        if self._counts is not None:
            self._ledger.restore(self._counts)
        for gate, state in self._gates:
            gate.restore(state)


def _size(chunk: Chunk[Sequence]) -> int:
    return chunk.stop - chunk.start
