"""Lines into the shape a template or provider accepts.

Pure and idempotent; every segment of the input stands in the output, in an order that keeps the conversation's.
"""

from __future__ import annotations

import hashlib
from itertools import groupby

import msgspec

from .lines import OPENER, Line, LineRules, Segment, markup
from .message import ToolCall
from .value import canonical

BLANK = "\n\n"
Lines = tuple[Line, ...]


def conform(lines: Lines, rules: LineRules, opener: str = OPENER) -> Lines:
    """Apply `rules` in their documented order."""
    if rules.late_system == "as_user":
        lines = _late_system(lines)
    if rules.user_first:
        lines = _user_first(lines, opener)
    if rules.system in ("rejected", "last_user"):
        lines = _system_into_user(lines, last=rules.system == "last_user", opener=opener)
    if rules.calls_per_line is not None:
        lines = _split_calls(lines, rules.calls_per_line)
    if rules.tool_lines == "as_user":
        lines = _tools_as_text(lines)
    if rules.alternate:
        lines = _alternate(lines)
    if rules.call_ids == "alnum9":
        lines = tuple(_short_ids(line) for line in lines)
    return lines


def _late_system(lines: Lines) -> Lines:
    return tuple(
        msgspec.structs.replace(line, role="user") if line.role == "system" and i > 0 else line for i, line in enumerate(lines)
    )


def _user_first(lines: Lines, opener: str) -> Lines:
    for i, line in enumerate(lines):
        if line.role == "assistant":
            return (*lines[:i], _opener(opener), *lines[i:])
        if line.role == "user":
            return lines
    return lines


def _opener(text: str) -> Line:
    return Line(role="user", segments=(markup(text),), kind="opener")


def _system_into_user(lines: Lines, *, last: bool, opener: str) -> Lines:
    if not lines or lines[0].role != "system":
        return lines
    system, rest = lines[0], list(lines[1:])
    users = [i for i, line in enumerate(rest) if line.role == "user"]
    if not users:
        return (Line(role="user", segments=(*system.segments, markup(BLANK + opener)), kind="opener"), *rest)
    at = users[-1 if last else 0]
    user = rest[at]
    rest[at] = msgspec.structs.replace(user, segments=(*system.segments, markup(BLANK), *user.segments))
    return tuple(rest)


def _split_calls(lines: Lines, most: int) -> Lines:
    out: list[Line] = []
    for at, line in enumerate(lines):
        if line.role == "tool" and _answered(line, out):
            continue
        if len(line.calls) <= most:
            out.append(line)
            continue
        answers: dict[str | None, Line] = {}
        for later in lines[at + 1 :]:
            if later.role != "tool":
                break
            answers.setdefault(later.call_id, later)
        for start in range(0, len(line.calls), most):
            part = line.calls[start : start + most]
            kept = line if start == 0 else msgspec.structs.replace(line, segments=(), reasoning=())
            out.append(msgspec.structs.replace(kept, calls=part))
            out.extend(answers[call.id] for call in part if call.id in answers)
    return tuple(out)


def _answered(line: Line, out: list[Line]) -> bool:
    return any(done is line for done in out)


def _tools_as_text(lines: Lines) -> Lines:
    out: list[Line] = []
    for line in lines:
        if line.calls:
            texts = [call_text(call) for call in line.calls]
            joint = "\n" if line.segments else ""
            segments = tuple(
                Segment(text=(joint if i == 0 else "\n") + t, phase="tool", author=_author(line), turn=_turn(line), origin="sampled")
                for i, t in enumerate(texts)
            )
            out.append(msgspec.structs.replace(line, segments=line.segments + segments, calls=()))
        elif line.role == "tool":
            segments = (markup("<tool_response>\n"), *line.segments, markup("\n</tool_response>"))
            out.append(msgspec.structs.replace(line, role="user", segments=segments, call_id=None, call_name=None))
        else:
            out.append(line)
    return tuple(out)


def call_text(call: ToolCall) -> str:
    """A call in the hermes form."""
    body = canonical({"name": call.name, "arguments": call.arguments}).decode()
    return f"<tool_call>\n{body}\n</tool_call>"


def _alternate(lines: Lines) -> Lines:
    out: list[Line] = []
    for _, group in groupby(lines, key=_merge_key(lines)):
        members = list(group)
        out.append(members[0] if len(members) == 1 else _merge(members))
    return tuple(out)


def _merge_key(lines: Lines) -> object:
    numbered = {id(line): i for i, line in enumerate(lines)}

    def key(line: Line) -> object:
        mergeable = line.role in ("user", "assistant") and not line.calls
        return line.role if mergeable else ("alone", numbered[id(line)])

    return key


def _merge(lines: list[Line]) -> Line:
    authors = {_author(line) for line in lines}
    segments: list[Segment] = []
    for i, line in enumerate(lines):
        name = _author(line)
        label = len(authors) > 1 and name is not None and not _labelled(line, name)
        head = (BLANK if i else "") + (f"{name}: " if label else "")
        if head:
            segments.append(markup(head))
        segments.extend(line.segments)
    return msgspec.structs.replace(lines[0], segments=tuple(segments), reasoning=sum((x.reasoning for x in lines), ()))


def _labelled(line: Line, name: str) -> bool:
    return bool(line.segments) and line.segments[0].phase == "markup" and line.segments[0].text.startswith(f"{name}: ")


def _author(line: Line) -> str | None:
    return next((s.author for s in line.segments if s.author is not None), None)


def _turn(line: Line) -> int | None:
    return next((s.turn for s in line.segments if s.turn is not None), None)


def _short_ids(line: Line) -> Line:
    calls = tuple(msgspec.structs.replace(call, id=_alnum9(call.id)) for call in line.calls)
    return msgspec.structs.replace(line, calls=calls, call_id=_alnum9(line.call_id) if line.call_id else None)


def _alnum9(name: str) -> str:
    if len(name) == 9 and name.isalnum() and name.isascii():
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:9]
