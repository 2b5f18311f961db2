"""Ending a text after one of some strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.cut import Cut

TEXT = st.text("ab.", max_size=30)
STRINGS = st.lists(st.text("ab.", min_size=1, max_size=4), max_size=3)


@given(TEXT, STRINGS, st.lists(st.integers(0, 30), max_size=10))
def test_any_pieces_end_at_the_first_match(text, strings, cuts) -> None:
    """The kept text is the shortest beginning that ends with one of the strings, else everything."""
    cut, at, kept = Cut(tuple(strings)), 0, ""
    for end in [*sorted(min(c, len(text)) for c in cuts), len(text)]:
        kept += cut.feed(text[at:end])
        at = end
    ends = [n for n in range(1, len(text) + 1) if any(text[:n].endswith(s) for s in strings)]
    assert kept == (text[: ends[0]] if ends else text)
    assert cut.met == bool(ends)
