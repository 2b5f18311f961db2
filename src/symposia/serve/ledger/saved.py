"""A window and a lease as bytes: the same MessagePack in SQLite, PostgreSQL and Redis."""

from __future__ import annotations

import msgspec

from . import Kind, Lease
from .window import Span, Window


class Saved(msgspec.Struct, array_like=True, gc=False):
    """What of a window cannot be counted again. `cells` are (bucket, used, reserved), oldest first."""

    latest: int
    armed: bool
    limit: int
    line: int
    kind: Kind
    spans: list[Span]
    cells: list[tuple[int, int, int]]


_encoder = msgspec.msgpack.Encoder()
_windows = msgspec.msgpack.Decoder(Saved)
_leases = msgspec.msgpack.Decoder(Lease)


def packed(window: Window) -> bytes:
    """A window's bytes."""
    return _encoder.encode(
        Saved(
            latest=window.latest,
            armed=window.armed,
            limit=window.limit,
            line=window.line,
            kind=window.kind,
            spans=window.spans,
            cells=[(index, used, reserved) for index, (used, reserved) in window.cells.items()],
        )
    )


def unpacked(raw: bytes) -> Window:
    """The window of `packed`."""
    saved = _windows.decode(raw)
    window = Window(saved.spans, saved.latest)
    window.armed, window.limit, window.line, window.kind = saved.armed, saved.limit, saved.line, saved.kind
    window.fill(saved.cells)
    return window


def packed_lease(lease: Lease) -> bytes:
    """A lease's bytes."""
    return _encoder.encode(lease)


def unpacked_lease(raw: bytes) -> Lease:
    """The lease of `packed_lease`."""
    return _leases.decode(raw)
