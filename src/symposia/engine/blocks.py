"""Fixed-size pieces of KV cache: counted by reference, found again by key, evicted least recently used.

No torch: a block is a number. A block with a key holds exactly the keys and values its key names, and is never written
again. A block without one belongs to the one sequence that fills it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from symposia.core.errors import InvalidInput

Key = bytes


class BlockPool:
    """`count` blocks of `size` positions."""

    def __init__(self, count: int, size: int) -> None:
        if count < 1 or size < 1:
            raise InvalidInput(f"expected at least one block of at least one position; got {count} of {size}")
        self.count, self.size = count, size
        self._free = list(range(count - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()  # keyed, unreferenced; oldest first
        self._refs = [0] * count
        self._key: dict[int, Key] = {}
        self._index: dict[Key, int] = {}
        self.evicted = 0

    @property
    def available(self) -> int:
        """Blocks that `take` could give now."""
        return len(self._free) + len(self._idle)

    @property
    def held(self) -> int:
        """Blocks some sequence refers to."""
        return self.count - self.available

    def needed(self, positions: int) -> int:
        """Blocks that hold so many positions."""
        return -(-positions // self.size)

    def match(self, keys: Sequence[Key]) -> list[int]:
        """The blocks of the longest known prefix of `keys`, each referenced once more."""
        found: list[int] = []
        for key in keys:
            block = self._index.get(key)
            if block is None:
                break
            self._hold(block)
            found.append(block)
        return found

    def take(self) -> int:
        """An empty block, referenced once; evicts the least recently used idle one. The caller checks `available`."""
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._index[self._key.pop(block)]
            self.evicted += 1
        self._refs[block] = 1
        return block

    def name(self, block: int, key: Key) -> None:
        """Let a full block be found by key. If another block has it already, this one stays private."""
        if key not in self._index and block not in self._key:
            self._index[key], self._key[block] = block, key

    def release(self, blocks: Sequence[int]) -> None:
        """Give references back, last block first, so that a prefix outlives what extends it."""
        for block in reversed(blocks):
            self._refs[block] -= 1
            if self._refs[block] < 0:
                raise InvalidInput(f"block {block} was released more often than it was held")
            if self._refs[block] == 0:
                if block in self._key:
                    self._idle[block] = None
                else:
                    self._free.append(block)

    def forget(self) -> None:
        """Drop every key: nothing computed so far is found again."""
        self._key.clear()
        self._index.clear()
        self._free.extend(self._idle)
        self._idle.clear()

    def _hold(self, block: int) -> None:
        self._idle.pop(block, None)
        self._refs[block] += 1
