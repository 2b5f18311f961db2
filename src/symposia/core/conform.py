"""Lines into the shape a template or provider accepts.

Pure and idempotent; every segment of the input stands in the output, in an order that keeps the
conversation's. Only system text moves: to the head of a user line, where the rules say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from .lines import OPENER, Line, LineRules, Segment, markup
from .toollines import short_ids, split_calls, stray_trails_as_text, tools_as_text

BLANK = "\n\n"
Lines = tuple[Line, ...]


def conform(lines: Lines, rules: LineRules, opener: str = OPENER) -> Lines:
    """Apply `rules` in their documented order.

    Where system lines are not accepted at all (`rejected`, `last_user`), later ones become user lines too.
    """
    folds = rules.system in ("rejected", "last_user")
    if folds or rules.late_system == "as_user":
        lines = _late_system(lines)
    if rules.user_first:
        lines = _user_first(lines, opener)
    host: Line | None = None
    head: tuple[Segment, ...] = ()
    if folds:
        lines, host, head = _take_system(lines, last=rules.system == "last_user", opener=opener)
    if rules.calls_per_line is not None:
        lines = split_calls(lines, rules.calls_per_line)
    if rules.tool_lines == "as_user":
        lines = tools_as_text(lines)
    elif rules.trails == "in_a_turn":
        lines = stray_trails_as_text(lines)
    if rules.alternate or head:  # else every line is a group of its own, and stays as it is
        apart = rules.trails == "in_a_turn"
        groups = _neighbours(lines, calls_apart=apart) if rules.alternate else ([line] for line in lines)
        lines = tuple(_joined(group, head if any(line is host for line in group) else ()) for group in groups)
    return short_ids(lines) if rules.call_ids == "alnum9" else lines


def _late_system(lines: Lines) -> Lines:
    return tuple(
        replace(line, role="user") if line.role == "system" and i > 0 else line
        for i, line in enumerate(lines)
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


def _take_system(lines: Lines, *, last: bool, opener: str) -> tuple[Lines, Line | None, tuple[Segment, ...]]:
    """The lines without the system line, the user line that will host its text, and that text."""
    if not lines or lines[0].role != "system":
        return lines, None, ()
    system, rest = lines[0], lines[1:]
    users = [i for i, line in enumerate(rest) if line.role == "user"]
    if not users:
        host = _opener(opener)
        return (host, *rest), host, system.segments
    at = users[-1 if last else 0]
    host = replace(rest[at])  # its own object, so that identity finds it again
    return (*rest[:at], host, *rest[at + 1 :]), host, system.segments


def _neighbours(lines: Lines, *, calls_apart: bool) -> Iterator[list[Line]]:
    """Runs of one role. A line with calls ends its run; `calls_apart`: it does not join the text before it either."""
    run: list[Line] = []
    for line in lines:
        joins = run and line.role == run[-1].role and line.role in ("user", "assistant") and not run[-1].calls
        if run and not (joins and not (line.calls and calls_apart)):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _joined(group: list[Line], head: tuple[Segment, ...]) -> Line:
    """One line of a group: the head, then each piece after a blank line, labelled where authors differ."""
    if len(group) == 1 and not head:
        return group[0]
    names = {name for line in group if (name := _voice(line)) is not None}
    segments = list(head)
    for line in group:
        name = _voice(line) if len(names) > 1 else None
        label = f"{name}: " if name is not None and not _labelled(line, name) else ""
        begun = any(s.text for s in segments)
        if line.text and (begun or label):
            segments.append(markup((BLANK if begun else "") + label))
        segments.extend(_guarded(line.segments, names) if label else line.segments)
    return replace(
        group[0],
        segments=tuple(segments),
        calls=group[-1].calls,
        reasoning=tuple(thought for line in group for thought in line.reasoning),
    )


def _voice(line: Line) -> str | None:
    """The author a label would name: none for tool output, and for lines the view or the rules made."""
    if line.kind in ("trail", "framing", "opener"):
        return None
    return next((s.author for s in line.segments if s.author is not None), None)


def _labelled(line: Line, name: str) -> bool:
    first = line.segments[0]
    return first.phase == "markup" and first.text.startswith(f"{name}: ")


def _guarded(segments: tuple[Segment, ...], names: set[str]) -> Iterator[Segment]:
    """The segments, text lines that begin like one of the labels indented: nobody can speak for another."""
    forged = re.compile(rf"^(?=(?:{'|'.join(map(re.escape, sorted(names)))}):)", re.MULTILINE)
    for segment in segments:
        cuts = [match.start() for match in forged.finditer(segment.text)] if segment.phase != "markup" else []
        if not cuts:
            yield segment
            continue
        for start, stop in zip([0, *cuts], [*cuts, len(segment.text)], strict=True):
            if start in cuts:
                yield markup("  ")
            if stop > start:
                yield replace(segment, text=segment.text[start:stop], token_ids=None)
