"""How a store on disk keeps what it is given: a value chosen where the store is opened."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.value import Value

Durability = Literal["turn", "lazy"]
Positive = Annotated[int, Meta(ge=1)]
TENSORS = 8_000  # of these a header of 1 MiB always has room


class StoreOptions(Value, frozen=True, kw_only=True):
    """`turn` delivers a completion when its rows are on the disk; `lazy` at once: a crash loses up to 0.1 s of them.

    A shard is sealed at `shard_bytes` or `shard_tensors`; `most_bytes` is the size the folder's shards may reach. More
    than `pending_bytes` not yet on the disk make the engine wait.
    """

    durability: Durability = "turn"
    shard_bytes: Positive = 1 << 30
    shard_tensors: Annotated[int, Meta(ge=1, le=TENSORS)] = TENSORS
    most_bytes: Positive | None = None
    pending_bytes: Positive = 512 << 20
