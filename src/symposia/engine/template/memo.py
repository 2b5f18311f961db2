"""A bounded memo: least recently used entries go first when the total cost is over the limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Values by key. Safe to share between threads; two may make the same value at once, and the first is kept."""

    def __init__(self, *, limit: int, cost: Callable[[K], int] | None = None) -> None:
        self._limit = limit
        self._cost = cost
        self._held: OrderedDict[K, V] = OrderedDict()
        self._total = 0
        self._lock = Lock()

    def get(self, key: K, make: Callable[[K], V]) -> V:
        """The value of a key, made if it is not held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        value = make(key)
        with self._lock:
            if key not in self._held:
                self._held[key] = value
                self._total += self._price(key)
                while self._total > self._limit and len(self._held) > 1:
                    self._total -= self._price(self._held.popitem(last=False)[0])
        return value

    def __len__(self) -> int:
        return len(self._held)

    def _price(self, key: K) -> int:
        return 1 if self._cost is None else 1 + self._cost(key)
