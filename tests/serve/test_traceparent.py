"""W3C Trace Context: a readable `traceparent` is joined, any other begins a trace."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.serve.traceparent import Context, alone, context

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
drawn = random.Random(0).randbytes


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-03", True),  # other flags are others' business
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
    ],
)
def test_a_trace_is_joined(header: str, sampled: bool) -> None:
    """The same trace, the caller's span as parent, and an id of our own for those we call."""
    joined = context(header, drawn)
    assert (joined.trace_id, joined.parent_id, joined.sampled) == (TRACE, PARENT, sampled)
    assert joined.span_id != PARENT
    assert joined.header == f"00-{TRACE}-{joined.span_id}-0{int(sampled)}"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_what_breaks_the_rules_is_none(header: str | None) -> None:
    """A new trace then, without a parent."""
    begun = context(header, drawn)
    assert begun.trace_id != TRACE
    assert (begun.parent_id, begun.sampled) == ("", True)


@given(st.text(max_size=60))
def test_whatever_comes_there_is_a_context(header: str) -> None:
    """Our own header is one that is joined."""
    mine = context(header, drawn)
    theirs = context(mine.header, drawn)
    assert (theirs.trace_id, theirs.parent_id) == (mine.trace_id, mine.span_id)


def test_an_id_is_never_zero() -> None:
    """All zeros would mean none."""
    zeros = iter([bytes(8), b"\1" * 8, bytes(16), b"\2" * 16])
    assert context(None, lambda _: next(zeros)) == Context(trace_id="02" * 16, span_id="01" * 8)


@pytest.mark.parametrize("name", ["", "0" * 32, TRACE.upper(), TRACE[1:], "hush-hush"])
def test_a_span_alone_is_in_a_trace(name: str) -> None:
    """The one that is named, if that is a trace's name; else a new one."""
    assert alone(TRACE, drawn).trace_id == TRACE
    begun = alone(name, drawn)
    assert context(begun.header, drawn).trace_id == begun.trace_id != name
