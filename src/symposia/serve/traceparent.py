"""Where a request stands in somebody's distributed trace: W3C Trace Context, the `traceparent` header, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable

from symposia.core.value import Value

_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class Context(Value, frozen=True, kw_only=True):
    """Ids in hex: 32 digits the trace's, 16 our span's and its parent's ("" where we begin the trace).

    `sampled` is what the caller wants: false, and no span is to be kept.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True

    @property
    def header(self) -> str:
        """The `traceparent` for those we call: our span is the parent of theirs."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def context(header: str | None, drawn: Callable[[int], bytes]) -> Context:
    """The caller's trace, if its header can be read, else a new one; `drawn(n)` gives n random bytes.

    A later version's header counts as far as version 00 goes; one that breaks the rules counts as none.
    """
    span_id = _id(8, drawn)
    match = _SHAPE.fullmatch(header or "")
    if match is None:
        return Context(trace_id=_id(16, drawn), span_id=span_id)
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace_id, 16) and int(parent_id, 16)):
        return Context(trace_id=_id(16, drawn), span_id=span_id)
    return Context(
        trace_id=trace_id, span_id=span_id, parent_id=parent_id, sampled=bool(int(flags, 16) & _SAMPLED)
    )


def alone(trace_id: str, drawn: Callable[[int], bytes]) -> Context:
    """A span nobody was told of, in this trace if it is the name of one."""
    known = re.fullmatch(r"(?!0{32})[0-9a-f]{32}", trace_id)
    return Context(trace_id=trace_id if known else _id(16, drawn), span_id=_id(8, drawn))


def _id(size: int, drawn: Callable[[int], bytes]) -> str:
    """Not all zeros, which means none."""
    while not any(raw := drawn(size)):
        pass
    return raw.hex()
