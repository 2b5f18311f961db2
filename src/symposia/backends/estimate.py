"""A safe over-estimate of a prompt's length, for endpoints whose tokenizer is not at hand."""

from __future__ import annotations

from symposia.core.request import Prompt, Request
from symposia.core.value import canonical

BYTES_PER_TOKEN = 3
TOKENS_PER_LINE = 8


def estimate(request: Request) -> Prompt:
    """ceil(UTF-8 bytes of texts and tools / 3) + 8 a line."""
    size = 0
    for line in request.lines:
        for segment in line.segments:
            size += len(segment.text.encode())
        for thought in line.reasoning:
            size += len(thought.text.encode())
        for call in line.calls:
            size += len(canonical(call))
    for tool in request.told:
        size += len(canonical(tool))
    return Prompt(tokens=-(-size // BYTES_PER_TOKEN) + TOKENS_PER_LINE * len(request.lines), exact=False)


def tokens_of(text: str) -> int:
    """As many tokens as the text can plausibly have."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
