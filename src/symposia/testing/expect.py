"""What every check says when a promise is broken."""

from __future__ import annotations


def expect(holds: bool, promise: str) -> None:
    """Raise `AssertionError` with the broken promise; unlike `assert`, it also works under `python -O`."""
    if not holds:
        raise AssertionError(promise)
