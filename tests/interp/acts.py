"""Stores to test with: in memory, on disk, and rows of made-up generations."""

from __future__ import annotations

import torch

from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.record import Draft, Source
from symposia.interp.acts.store import ActivationStore

SPANS = (
    Span(start=0, stop=2, role="user", phase="prompt", author="bob", turn=0),
    Span(start=2, stop=5, role="assistant", phase="answer", author="alice", turn=1, generated=True),
)
KINDS = ("memory", "disk")


def store_of(kind, path, **options):
    """An empty store to write to."""
    from symposia.interp.acts.options import StoreOptions

    if kind == "memory":
        return ActivationStore.memory()
    return ActivationStore.open(path, write=True, options=StoreOptions(**options))


def source(**fields):
    """Alice's forward over two tokens of bob's and three of her own."""
    given = {
        "about": About(conversation="c", turn=1),
        "reader": "alice",
        "model": "m",
        "request": "r",
        "token_ids": (5, 6, 7, 8, 9),
        "spans": SPANS,
        "steered": False,
    }
    return Source(**{**given, **fields})


def draft(rows=None, layer=1, runs=((1, 4),), **fields):
    """Rows of positions 1 to 3, if not otherwise."""
    rows = torch.arange(6.0).reshape(3, 2) if rows is None else rows
    return Draft(rows=rows, site=fields.pop("site", "resid_post"), layer=layer, runs=runs, **fields)


def put(store, rows=None, layer=1, runs=((1, 4),), *, of=None, **fields):
    """One record, kept."""
    [ref] = store.put(of or source(), [draft(rows, layer, runs, **fields)])
    store.flush()
    return ref
