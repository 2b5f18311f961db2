"""Lines: a transcript as one participant sees it, and the rules a template or provider puts on them.

`conform` applies `LineRules`; it is pure, idempotent, and loses no segment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .message import Reasoning, ToolCall
from .span import Origin, Phase, Role
from .value import Count, Value

LineKind = Literal["framing", "private", "turn", "trail", "summary", "cue", "opener"]
OPENER = "(The conversation begins.)"


class Segment(Value, frozen=True, kw_only=True):
    """A piece of a line by one author. `token_ids`, if given, are the ids of exactly this text."""

    text: str
    phase: Phase
    author: str | None = None
    turn: Count | None = None
    origin: Origin = "given"
    token_ids: tuple[Count, ...] | None = None


class Line(Value, frozen=True, kw_only=True):
    """One role and what it says. `calls` stand on assistant lines, `call_id` on tool lines.

    A line of calls without text has an empty segment, for their author and turn. `reasoning` is native thinking of the
    current tool loop.
    """

    role: Role
    segments: tuple[Segment, ...]
    kind: LineKind
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    call_name: str | None = None
    reasoning: tuple[Reasoning, ...] = ()

    @property
    def text(self) -> str:
        """The line's text, its segments joined."""
        return "".join([s.text for s in self.segments])


class LineRules(Value, frozen=True, kw_only=True):
    """What a template or provider accepts; defaults accept everything.

    `trails="in_a_turn"`: calls and results are no change of role, so the lines before and after them must differ in
    theirs.
    """

    system: Literal["head", "first_user", "last_user", "rejected"] = "head"
    late_system: Literal["keep", "as_user"] = "keep"
    alternate: bool = False
    user_first: bool = False
    tool_lines: Literal["native", "as_user"] = "native"
    calls_per_line: Annotated[int, Meta(ge=1)] | None = None
    call_text: Literal["kept", "dropped"] = "kept"
    call_ids: Literal["any", "alnum9"] = "any"
    trails: Literal["anywhere", "in_a_turn"] = "anywhere"


def markup(text: str) -> Segment:
    """A segment the view or the rules add."""
    return Segment(text=text, phase="markup", origin="scripted")
