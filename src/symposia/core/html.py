"""A transcript as one HTML fragment: inline style, no script, no outside reference, all text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .message import Message


def fragment(messages: Sequence[Message]) -> str:
    """One self-contained fragment."""
    return (
        "<div>" + "".join(f"<p><b>{escape(m.author)}</b> {escape(m.text)}</p>" for m in messages) + "</div>"
    )
