"""Whatever the log takes it gives back equal; what could not be read again is refused by its field, with its batch."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput
from symposia.core.events import Event
from symposia.core.store import Entry, Logged, Query
from symposia.core.value import canonical, decode
from symposia.store import opened
from tests.laws.variants import variants
from tests.occurrences import any_event

CONVERSED = [event for kind in get_args(Event) for event in variants(kind)]
events = any_event() | st.sampled_from(CONVERSED)
with_fields = events.filter(lambda event: event.__struct_fields__)
TROUBLE = st.sampled_from(
    [
        *(float("nan"), float("inf"), -float("inf"), 0.5, -1, 1, 2**70, 10**400, True, None, "x", "\ud800"),
        *(b"x", object(), ["a"], ("a",), (1,), {"a": float("nan")}, {"a": (1,)}, {1: "a"}, {"a": [1]}),
    ]
)


@st.composite
def troubled(draw: st.DrawFn) -> tuple[Any, str]:
    """An event of which one field holds what its type may not allow, and which."""
    event = draw(with_fields)
    name = draw(st.sampled_from(event.__struct_fields__))
    return msgspec.structs.replace(event, **{name: draw(TROUBLE)}), name


def kept(*batch: Any) -> list[Any]:
    """What a log of its own gives back of a batch; if that is refused, nothing of it is there."""
    with opened("memory", clock=VirtualClock()) as storage:
        try:
            storage.events.extend([Entry(event=event, stream="s", time=1.0) for event in batch])
        except InvalidInput:
            assert list(storage.events.read(Query())) == []
            assert storage.events.length("s") == 0
            raise
        return [record.event for record in storage.events.read(Query())]


@given(st.lists(events, max_size=5))
def test_what_is_typed_is_kept(batch: list[Any]) -> None:
    """Any event as its type says, of runs and of servers, is taken and read back equal."""
    assert kept(*batch) == batch


@given(troubled(), events)
def test_what_is_not_typed_is_kept_or_refused(bad: tuple[Any, str], good: Any) -> None:
    """By the strict round trip of its canonical JSON: refused, with the field named, exactly where that differs."""
    event, name = bad
    try:
        same = decode(canonical(event), Logged) == event
    except (InvalidInput, TypeError, ValueError):
        same = False
    if same:
        assert kept(good, event) == [good, event]
    else:
        with pytest.raises(
            InvalidInput, match=rf"^event {type(event).__name__}: .* - at `\$\.{name}\b"
        ) as caught:
            kept(good, event)
        assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, (TypeError, ValueError))
