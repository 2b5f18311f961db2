"""Tool calls and results in the shapes rules ask for: fewer calls a line, as text, with short ids."""

from __future__ import annotations

import hashlib
import json

from msgspec.structs import replace

from .lines import Line, Segment, markup
from .message import ToolCall

Lines = tuple[Line, ...]


def split_calls(lines: Lines, most: int) -> Lines:
    """At most that many calls a line: call, its results, call, its results. Text stays with the first."""
    out: list[Line] = []
    moved: set[int] = set()
    for at, line in enumerate(lines):
        if at in moved:
            continue
        if len(line.calls) <= most:
            out.append(line)
            continue
        answers = _answers(lines, at)
        for start in range(0, len(line.calls), most):
            part = line.calls[start : start + most]
            rest = line if start == 0 else replace(line, segments=_silent(line), reasoning=())
            out.append(replace(rest, calls=part))
            for call in part:
                if call.id in answers:
                    where = answers.pop(call.id)
                    moved.add(where)
                    out.append(lines[where])
    return tuple(out)


def _silent(line: Line) -> tuple[Segment, ...]:
    """Whose line it is and of which turn, without its text."""
    said = (s for s in line.segments if s.author is not None or s.turn is not None)
    return tuple(replace(s, text="", token_ids=None) for s in said)[:1]


def _answers(lines: Lines, at: int) -> dict[str, int]:
    """Where the results of the calls of line `at` stand, by call id."""
    found: dict[str, int] = {}
    for where in range(at + 1, len(lines)):
        if lines[where].role != "tool":
            break
        found.setdefault(lines[where].call_id or "", where)
    return found


def tools_as_text(lines: Lines) -> Lines:
    """Calls as `<tool_call>` text of their line, results as user lines holding a `<tool_response>`."""
    reader = next(
        (s.author for line in lines if line.role == "assistant" for s in line.segments if s.author), None
    )
    return tuple(_as_text(line, reader) for line in lines)


def stray_trails_as_text(lines: Lines) -> Lines:
    """The same for trails between two lines of one role, as after a call that nobody was to answer."""
    out: list[Line] = []
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and (lines[end].calls or lines[end].role == "tool"):
            end += 1
        if end == at:
            out.append(lines[at])
            at += 1
            continue
        before, after = lines[at - 1] if at else None, lines[end] if end < len(lines) else None
        stray = before is not None and after is not None and before.role == after.role
        out += tools_as_text(lines[at:end]) if stray else lines[at:end]
        at = end
    return tuple(out)


def _as_text(line: Line, reader: str | None) -> Line:
    if line.role == "tool":
        segments = (markup("<tool_response>\n"), *line.segments, markup("\n</tool_response>"))
        return replace(line, role="user", kind="trail", segments=segments, call_id=None, call_name=None)
    if not line.calls:
        return line
    author = next((s.author for s in line.segments if s.author is not None), reader)
    turn = next((s.turn for s in line.segments if s.turn is not None), None)
    texts = tuple(
        Segment(
            text=("\n" if i or line.text else "") + call_text(call),
            phase="tool",
            author=author,
            turn=turn,
            origin="sampled",
        )
        for i, call in enumerate(line.calls)
    )
    return replace(line, segments=(line.segments if line.text else ()) + texts, calls=())


def call_text(call: ToolCall) -> str:
    """A call in the hermes form, name first, as models are told to write it."""
    body = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False, allow_nan=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def short_ids(lines: Lines) -> Lines:
    """Call ids of nine letters and digits, one to one; ids of that form stay."""
    return tuple(
        replace(
            line,
            calls=tuple(replace(call, id=_alnum9(call.id)) for call in line.calls),
            call_id=_alnum9(line.call_id) if line.call_id else line.call_id,
        )
        if line.calls or line.call_id
        else line
        for line in lines
    )


def _alnum9(name: str) -> str:
    if len(name) == 9 and name.isalnum() and name.isascii():
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:9]
