"""Who is computed next: decode first, then prefill in chunks, then admission; preemption by recompute. No torch.

Decisions are functions of integers: how many positions each sequence knows and has computed, how many blocks are free.
A sequence that was preempted loses its blocks, never its tokens. A cached prefix is taken to the token: full blocks are
shared, and the beginning of one more is copied (`copies`, to be carried out before the step's forward). What begins as
somebody else's prefill of this step does waits for that: a prefix is computed once, however many arrive with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from .blocks import ROOT, BlockPool, Copy, Item, Key
from .pace import Pace


class Feedable(Protocol):
    """What the scheduler sees of a sequence. `computed` positions have keys and values in `blocks`."""

    computed: int
    blocks: list[int]

    @property
    def known(self) -> int:
        """Positions whose token is known and is to be forwarded."""
        ...

    @property
    def pace(self) -> Pace | None:
        """Fixed steps, whatever the budget of a step is; None: any."""
        ...

    @property
    def settled(self) -> int:
        """Positions from the start whose tokens stay: `items` exist for them."""
        ...

    def reusable(self) -> int:
        """Positions from the start that may be taken from the cache instead of being computed."""
        ...

    def key(self, block: int, size: int) -> Key:
        """The key of a full block."""
        ...

    def items(self, start: int, stop: int) -> Sequence[Item]:
        """What the keys and values of these positions depend on, position by position."""
        ...

    def reused(self, positions: int) -> None:
        """Told at admission that the first positions came from the cache."""
        ...


S = TypeVar("S", bound=Feedable)
WORTH_WAITING = 4
"""Full blocks under way that are worth a step's wait to the one who would compute them again."""


class Chunk(NamedTuple, Generic[S]):
    """Positions `[start, stop)` of a sequence, to be forwarded in this step."""

    sequence: S
    start: int
    stop: int


class Scheduler(Generic[S]):
    """`max_rows` sequences a step, `max_tokens` positions a step, one pool of blocks.

    The last chunk of a sequence with a `pace` may reach over `max_tokens`.
    """

    def __init__(self, pool: BlockPool, *, max_rows: int, max_tokens: int, reuse: bool = True) -> None:
        self.pool = pool
        self._max_rows, self._max_tokens, self._reuse = max_rows, max_tokens, reuse
        self.waiting: deque[S] = deque()
        self.running: list[S] = []
        self.copies: list[Copy] = []
        self.preempted, self.computed, self.reused = 0, 0, 0

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
        self.copies = []
        chunks: list[Chunk[S]] = []
        for sequence in sorted(self.running, key=lambda s: s.known - s.computed > 1):
            if budget > 0 and sequence in self.running:
                budget -= self._place(sequence, budget, chunks)
        under_way = {key for chunk in chunks for key in self._filled(chunk)} if self.waiting else set()
        while (
            self.waiting and budget > 0 and len(self.running) < self._max_rows and preempted == self.preempted
        ):
            if self._gains_by_waiting(self.waiting[0], under_way) or not self._admit(self.waiting[0]):
                break
            self.running.append(self.waiting.popleft())
            placed = self._place(self.running[-1], budget, chunks)
            if placed:
                under_way.update(self._filled(chunks[-1]))
            budget -= placed
        return chunks

    def advance(self, chunks: list[Chunk[S]]) -> None:
        """The chunks were forwarded: count them, name the blocks they filled, and note what a prefill began."""
        size = self.pool.size
        self.copies = []
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.computed = chunk.stop
            self.computed += chunk.stop - chunk.start
            if self._reuse:
                whole = chunk.stop if sequence.pace is None else sequence.pace.shared(chunk.stop, size)
                for block in range(chunk.start // size, whole // size):
                    begin = block * size
                    items = sequence.items(begin, begin + size)
                    self.pool.name(
                        sequence.blocks[block],
                        sequence.key(block, size),
                        parent=self._parent(sequence, block),
                        items=items,
                    )
                if chunk.stop - chunk.start > 1:
                    self._note(sequence)

    def _filled(self, chunk: Chunk[S]) -> Iterator[Key]:
        """The keys of the full blocks that a prefill fills."""
        size = self.pool.size
        if self._reuse and chunk.sequence.pace is None and chunk.stop - chunk.start > 1:
            for block in range(chunk.start // size, chunk.stop // size):
                yield chunk.sequence.key(block, size)

    def _gains_by_waiting(self, sequence: S, under_way: Collection[Key]) -> bool:
        """Whether this step computes enough of what the sequence would have to compute itself if admitted now."""
        if not under_way or sequence.pace is not None:
            return False
        size, most = self.pool.size, sequence.reusable()
        gained = 0
        for block in range(most // size):
            key = sequence.key(block, size)
            if key in under_way:
                gained += 1
            elif gained or not self.pool.knows(key):
                break
        return gained >= WORTH_WAITING

    def _admit(self, sequence: S) -> bool:
        """Take the cached prefix, if the rest of what is known fits without pushing anybody out."""
        size, most = self.pool.size, sequence.reusable() if self._reuse else 0
        if sequence.pace is not None:
            most = sequence.pace.shared(most, size)
        prefix = self.pool.match([sequence.key(block, size) for block in range(most // size)])
        if sequence.pace is not None:
            whole = sequence.pace.shared(len(prefix) * size, size) // size
            self.pool.release(prefix[whole:])
            del prefix[whole:]
        rest = self.pool.needed(sequence.known + 1) - len(prefix)
        if self.running and rest + len(self.running) > self.pool.available:
            self.pool.release(prefix)
            return False
        sequence.blocks, sequence.computed = prefix, len(prefix) * size
        if sequence.pace is None:
            self._begin(sequence, most)
        self.reused += sequence.computed
        sequence.reused(sequence.computed)
        return True

    def _begin(self, sequence: S, most: int) -> None:
        """Take the beginning of the next block too, if some block holds it: by a copy into an own one."""
        start, size = sequence.computed, self.pool.size
        wanted = sequence.items(start, min(most, start + size)) if most > start else ()
        found = self.pool.tail(self._parent(sequence, len(sequence.blocks)), wanted)
        if found is not None and self.pool.available:
            target = self.pool.take()
            sequence.blocks.append(target)
            sequence.computed += found.length
            if target != found.block:
                self.copies.append(Copy(found.block, target, found.length))

    def _parent(self, sequence: S, block: int) -> Key:
        if block:
            return sequence.key(block - 1, self.pool.size)
        return ROOT if sequence.pace is None else sequence.pace.root

    def _note(self, sequence: S) -> None:
        """Let what the last, partly filled block holds be found."""
        stop, size = min(sequence.computed, sequence.settled), self.pool.size
        block = stop // size
        if stop % size and block < len(sequence.blocks) and sequence.pace is None:
            items = sequence.items(block * size, stop)
            self.pool.note(sequence.blocks[block], self._parent(sequence, block), items)

    def _place(self, sequence: S, budget: int, chunks: list[Chunk[S]]) -> int:
        end = sequence.computed + budget if sequence.pace is None else sequence.pace.stop(sequence.computed)
        stop = min(sequence.known, end)
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
        own = set(victim.blocks)
        self._free(victim)
        self.copies = [copy for copy in self.copies if copy.target not in own]
        victim.computed = 0
        self.waiting.appendleft(victim)
        self.preempted += 1
        return victim is not needy

    def _free(self, sequence: S) -> None:
        if self._reuse and not any(copy.target in sequence.blocks for copy in self.copies):
            self._note(sequence)
        self.pool.release(sequence.blocks)
        sequence.blocks = []
