"""Fixed-size pieces of KV cache: counted by reference, found again by key, evicted least recently used.

No torch: a block is a number. A full block with a key holds exactly the keys and values its key names, is shared, and
is never written again. Any other block belongs to the one sequence that fills it, front to back; what it holds so far
may be noted, and is then found as the beginning of what others need, who copy it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import NamedTuple

from symposia.core.errors import InvalidInput

Key = bytes
Item = Hashable  # all that the keys and values of one position depend on, beside what lies before it
ROOT: Key = b""
_CANDIDATES = 64


class Tail(NamedTuple):
    """The first `length` positions of a block continue somebody else's prefix too."""

    block: int
    length: int


class Copy(NamedTuple):
    """The first `length` positions of one block, to be copied into another."""

    source: int
    target: int
    length: int


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
        self._noted: dict[int, tuple[Key, Sequence[Item]]] = {}
        self._starts: dict[tuple[Key, Item], dict[int, None]] = {}  # newest last
        self._trusted = True
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

    def knows(self, key: Key) -> bool:
        """Whether a block can be found by the key."""
        return key in self._index

    def take(self) -> int:
        """An empty block, referenced once; evicts the least recently used idle one. The caller checks `available`."""
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            if block in self._key:
                del self._index[self._key.pop(block)]
            self._unnote(block)
            self.evicted += 1
        self._refs[block] = 1
        return block

    def name(self, block: int, key: Key, *, parent: Key = ROOT, items: Sequence[Item] = ()) -> None:
        """Let a full block be found by key, and by its items after `parent`.

        If another block has the key already, this one stays private.
        """
        self._unnote(block)
        if self._trusted and key not in self._index and block not in self._key:
            self._index[key], self._key[block] = block, key
            self.note(block, parent, items)

    def note(self, block: int, parent: Key, items: Sequence[Item]) -> None:
        """Let the beginning of a block be found by what it holds, after a prefix named `parent`.

        Blocks fill front to back: a longer note stands.
        """
        if block in self._noted and len(self._noted[block][1]) >= len(items):
            return
        self._unnote(block)
        if self._trusted and items:
            self._noted[block] = (parent, items)
            self._starts.setdefault((parent, items[0]), {})[block] = None

    def tail(self, parent: Key, wanted: Sequence[Item]) -> Tail | None:
        """The block that begins with most of `wanted`, among the newest after `parent`; it counts as just used."""
        found: Tail | None = None
        starts = self._starts.get((parent, wanted[0]), {}) if wanted else {}
        for block in islice(reversed(starts), _CANDIDATES):
            length = _common(self._noted[block][1], wanted)
            if found is None or length > found.length:
                found = Tail(block, length)
            if length == len(wanted):
                break
        if found is not None and found.block in self._idle:
            self._idle.move_to_end(found.block)
        return found

    def release(self, blocks: Sequence[int]) -> None:
        """Give references back, last block first, so that a prefix outlives what extends it."""
        for block in reversed(blocks):
            self._refs[block] -= 1
            if self._refs[block] < 0:
                raise InvalidInput(f"block {block} was released more often than it was held")
            if self._refs[block] == 0:
                if block in self._key or block in self._noted:
                    self._idle[block] = None
                else:
                    self._free.append(block)

    def forget(self) -> None:
        """Drop every key and note, for good: nothing is found again, and nothing new is named."""
        self._trusted = False
        self._key.clear()
        self._index.clear()
        self._noted.clear()
        self._starts.clear()
        self._free.extend(self._idle)
        self._idle.clear()

    def _hold(self, block: int) -> None:
        self._idle.pop(block, None)
        self._refs[block] += 1

    def _unnote(self, block: int) -> None:
        if block in self._noted:
            parent, items = self._noted.pop(block)
            same = self._starts[parent, items[0]]
            del same[block]
            if not same:
                del self._starts[parent, items[0]]


def _common(held: Sequence[Item], wanted: Sequence[Item]) -> int:
    """How many first items agree."""
    pairs = zip(held, wanted, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(held), len(wanted)))
