"""One random stream per generation, named by who speaks when: no global generator, no memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

SeedKey = tuple[int | str, ...]


def turn_seed(seed_key: SeedKey, turn: int, speaker: str, *, call: int = 0) -> int:
    """First 8 bytes of sha256 of the JSON array `[*seed_key, turn, speaker]` (and `call` when > 0), top bit cleared."""
    parts: list[int | str] = [*seed_key, turn, speaker]
    if call:
        parts.append(call)
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(parts)).digest()[:8]) & (2**63 - 1)


def with_root(seed_key: Sequence[int | str], root: int | None) -> SeedKey:
    """The key with its root replaced, when a profile names its own seed."""
    return tuple(seed_key) if root is None else (root, *seed_key[1:])
