"""Which recording a step takes, and whether it may take one. Pure."""

from __future__ import annotations

from symposia.engine.runner import Batch

_SMALL = (1, 2, 4)
_APART = 8


def buckets(max_rows: int) -> tuple[int, ...]:
    """Sizes of batch that get a recording: 1, 2, 4, every multiple of 8, and the most there can be."""
    sizes = {size for size in (*_SMALL, *range(_APART, max_rows, _APART)) if size < max_rows}
    return tuple(sorted({*sizes, max_rows}))


def bucket_of(rows: int, sizes: tuple[int, ...]) -> int | None:
    """The smallest that holds so many rows; None if none does."""
    return next((size for size in sizes if size >= rows), None)


def why_not(batch: Batch, sizes: tuple[int, ...], blocks: int) -> str | None:
    """Why no recording computes this batch, leaving aside what is written and read; None if one does.

    A recording decodes: one new token for every row; `blocks` is the most that a row may have.
    """
    if any(row.stop - row.start != 1 for row in batch.rows):
        return "prefill"
    if bucket_of(len(batch.rows), sizes) is None:
        return "too many rows"
    if any(len(row.blocks) > blocks for row in batch.rows):
        return "too many blocks"
    return None
