"""Server-sent events: any pieces, any line ends, and what the openai package's own decoder makes of the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from symposia.backends.sse import MOST_HELD, EventReader
from symposia.core.errors import BackendError

FIELDS = st.sampled_from(
    ["data: ", "data:", "data", "event: ", "event:", ": ", ":", "id: ", "retry: ", "other: ", ""]
)
TEXTS = st.sampled_from(["", "x", "a b", " lead", '{"k": "ü 雪 🌨"}', "colon: here", "[DONE]"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.lists(st.tuples(FIELDS, TEXTS, ENDS), max_size=30)


def written(lines: list[tuple[str, str, str]]) -> bytes:
    """The lines as bytes; a blank line of its own ends them, so that nothing waits for a line feed after CR."""
    return "".join(field + text + end for field, text, end in lines).encode() + b"\n\n:\n"


def read(raw: bytes, cuts: list[int]) -> list[tuple[str, bytes]]:
    """The events, the bytes fed in pieces."""
    reader, at, events = EventReader(), 0, []
    for cut in [*sorted(c % (len(raw) + 1) for c in cuts), len(raw)]:
        events += reader.feed(raw[at:cut])
        at = cut
    return events


@given(LINES, st.lists(st.integers(0, 10_000), max_size=40))
def test_any_pieces_give_the_same_events(lines, cuts) -> None:
    """Where the network cuts the bytes, inside a character or between CR and LF, makes no difference."""
    raw = written(lines)
    assert read(raw, cuts) == read(raw, [])


PIECES = [
    b"data: a\n\n",
    b"data:b\n\n",
    b"data: c\n",
    b"event: d\n",
    b": e\n\n",
    b"data: f",
    b"\n\n",
    b"data: \r\n\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=9))
def test_an_event_alone_in_its_piece_is_read_as_any_other(pieces) -> None:
    """Far into a stream, whatever came before it, and whether or not that was whole."""
    pieces = [b"data: " + b"x" * 300 + b"\n\n", *pieces, b"\n:\n"]
    reader = EventReader()
    apart = [event for piece in pieces for event in reader.feed(piece)]
    assert apart == read(b"".join(pieces), [])


@given(LINES)
def test_the_events_are_those_another_decoder_sees(lines) -> None:
    """Names and data agree with the openai package's decoder, for every event that has data."""
    raw = written(lines)
    theirs = [(e.event or "", e.data.encode()) for e in SSEDecoder().iter_bytes(iter([raw])) if e.data]
    assert [(name, data) for name, data in read(raw, []) if data] == theirs


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """As the standard says; it may come in pieces of its own."""
    assert read(b"\xef\xbb\xbfdata: x\n\n", [1, 2, 3]) == [("", b"x")]


def test_an_event_without_its_blank_line_is_none() -> None:
    """A stream that ends inside an event has not sent it."""
    assert read(b"data: whole\n\ndata: half", []) == [("", b"whole")]


def test_a_line_without_end_is_given_up() -> None:
    """A server that never ends a line cannot fill the memory."""
    reader = EventReader()
    half = b"x" * (MOST_HELD // 2)
    assert [*reader.feed(half), *reader.feed(half)] == []
    with pytest.raises(BackendError, match="bytes in the stream"):
        list(reader.feed(half))


def test_a_page_is_told_from_events() -> None:
    """Lines of HTML are no events, and are counted."""
    reader = EventReader()
    assert list(reader.feed(b"<html>\n<body>no</body>\n</html>\n")) == []
    assert reader.strays == 3
