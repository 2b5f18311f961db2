"""Who wrote which token of a sequence, in which role and phase.

Spans partition `[0, n)`. `phase` is relative to the reader, the participant whose forward this is:
`reasoning` and `answer` are the reader's own words, `prompt` is what everyone else said, `tool` is calls and
results, `markup` is what the template and the view add.
"""

from __future__ import annotations

from typing import Literal

from .value import Count, Value

Role = Literal["system", "user", "assistant", "tool"]
Phase = Literal["prompt", "reasoning", "answer", "tool", "markup"]
Origin = Literal["given", "sampled", "scripted"]


class Span(Value, frozen=True, kw_only=True):
    """Tokens `[start, stop)`. `role` is None for BOS; `turn` is a transcript index, None for framing.

    The turn being made has index `len(transcript)`. `generated` means sampled by this very request.
    """

    start: Count
    stop: Count
    role: Role | None
    phase: Phase
    author: str | None = None
    turn: Count | None = None
    origin: Origin = "scripted"
    generated: bool = False

    def __len__(self) -> int:
        return self.stop - self.start


def partitions(spans: tuple[Span, ...], length: int) -> bool:
    """Whether the spans cover `[0, length)` exactly once, in order."""
    end = 0
    for span in spans:
        if span.start != end or span.stop <= span.start:
            return False
        end = span.stop
    return end == length
