"""A participant's view, for people: one role and text a line, every segment in its author's colour."""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.lines import Line

from .terminal import Terminal

_ROLE_WIDTH = len("assistant")


def show_lines(out: Terminal, lines: Sequence[Line]) -> None:
    """Print the lines; text the view adds (labels, opener, cues) is dim."""
    for line in lines:
        role = "tool" if line.call_id else line.role
        out.piece(f"{role:>{_ROLE_WIDTH}} ", "dim")
        out.piece("│ ", "dim")
        for segment in line.segments:
            marked = segment.phase == "markup" or segment.author is None
            text = segment.text.replace("\n", "\n" + " " * (_ROLE_WIDTH + 1) + "│ ")
            out.piece(text, "dim" if marked else out.colour(segment.author or ""))
        for call in line.calls:
            out.piece(f"(calls {call.name})", "dim")
        out.piece("\n")
