"""The activation store in memory: exactly one record, or an error that says what differs."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import ActivationRef
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.memory import (
    ActivationQuery,
    ActivationStore,
    ActivationWriteFailed,
    AmbiguousActivation,
    NoActivation,
    Source,
)

SPANS = (
    Span(start=0, stop=2, role="user", phase="prompt", author="bob"),
    Span(start=2, stop=5, role="assistant", phase="answer", author="alice"),
)


def source(**fields):
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


def ref(layer=1, runs=((1, 4),)):
    return ActivationRef(record="", digest="", site="resid_post", layer=layer, shape=(), dtype="", runs=runs)


def test_put_fills_in_record_digest_shape_and_dtype():
    """Equal rows have equal digests; records are their own."""
    store = ActivationStore.memory()
    rows = torch.arange(6.0).reshape(3, 2)
    one, two = store.put(rows, ref(), source()), store.put(rows.clone(), ref(), source())
    other = store.put(rows + 1, ref(), source())
    assert (one.shape, one.dtype, one.runs) == ((3, 2), "float32", ((1, 4),))
    assert one.digest == two.digest != other.digest
    assert one.record != two.record
    assert store.at(one).equal(rows)


def test_rows_line_up_with_tokens():
    """Row i is of position i of the runs, with its token and span; a query cuts rows by whose tokens they are."""
    store = ActivationStore.memory()
    store.put(torch.tensor([[1.0], [2.0], [3.0]]), ref(), source())
    acts = store.query(ActivationQuery(author="alice"))
    assert [(t.position, t.token_id, t.span.author) for t in acts.tokens()] == [
        (2, 7, "alice"),
        (3, 8, "alice"),
    ]
    assert acts.tensors().tolist() == [[2.0], [3.0]]


def test_one_record_or_an_error():
    """None, and several, are both said."""
    store = ActivationStore.memory()
    with pytest.raises(NoActivation):
        store.at(ActivationQuery(layer=1))
    with pytest.raises(NoActivation):
        store.query(ActivationQuery()).tensors()
    first = store.put(torch.ones(3, 1), ref(1), source())
    store.put(torch.ones(3, 1), ref(2), source(about=About(conversation="c", turn=2)))
    assert store.at(ActivationQuery(layer=2)).shape == (3, 1)
    with pytest.raises(AmbiguousActivation, match="resid_post 1 turn 1, resid_post 2 turn 2"):
        store.at(ActivationQuery(conversation="c"))
    store.drop([first])
    for gone in (lambda: store.at(first), lambda: store.open([first])):
        with pytest.raises(NoActivation, match="dropped"):
            gone()


def test_the_limit_holds_and_dropping_gives_room():
    """A write over the limit fails whole, and counts are exact."""
    store = ActivationStore.memory(limit=40)
    kept = store.put(torch.ones(8), ref(), source())
    with pytest.raises(ActivationWriteFailed, match="12 bytes to store; 8 of 40 free"):
        store.put(torch.ones(3), ref(), source())
    store.drop([kept, kept])
    assert store.free == 40
    assert len(store) == 0
