"""The view: a transcript as one participant sees it. A pure function of values.

Shared framing comes first, so participants on one model share a cached prefix; what is added for form (labels,
opener, resume) depends only on the roster and on what was said, so that a speaker's view in one turn begins his view in
the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal

from symposia.core.lines import OPENER, Line, LineKind, Segment, markup
from symposia.core.message import Message, Provenance, Reasoning, ToolCall, ToolResult
from symposia.core.profile import MODERATOR, Participant
from symposia.core.span import Origin, Phase
from symposia.core.transcript import Transcript
from symposia.core.value import Value

from .labels import impostor, labelled

BLANK = "\n\n"
Ranges = tuple[tuple[int, int], ...]
Memo = dict[tuple[int | str, ...], tuple[object, tuple[Line, ...]]]
"""Lines already made, by the message's identity, index and kind, or those of the head; with what they were made of.

Of one participant, roster and rules. A line that was shown before is the very same one again.
"""


class ViewRules(Value, frozen=True, kw_only=True):
    """How a transcript is shown.

    `labels`: `name: ` before others' lines; "auto" when the roster has more than one other participant. `reasoning`:
    "strip" shows none, "self" one's own earlier reasoning, "shared" everyone's. `trails="drop"` hides earlier turns'
    tool trails. `opener` stands before a first own line, `resume` after an own line that nobody answered.
    """

    labels: Literal["auto", "always", "never"] = "auto"
    reasoning: Literal["strip", "self", "shared"] = "strip"
    trails: Literal["keep", "drop"] = "keep"
    opener: str = OPENER
    resume: str = "(Continue.)"
    moderator: str = MODERATOR


def view(
    transcript: Transcript,
    participant: Participant,
    roster: Sequence[str],
    rules: ViewRules,
    cue: str = "",
    as_of: int | None = None,
    *,
    dropped: Ranges = (),
    marker: str = "",
    memo: Memo | None = None,
) -> tuple[Line, ...]:
    """The lines `participant` sees of the first `as_of` messages, with `cue` as the newest.

    `dropped` message ranges are left out (a fit policy's decision), with `marker` in the place of the first.
    `memo` carries lines from one turn's view to the next; it changes no result.
    """
    messages = transcript.messages if as_of is None else transcript.messages[:as_of]
    eyes = _Eyes(participant, roster, rules, {} if memo is None else memo)
    head = framing_end(messages, participant.name, rules.moderator, only_system=True)
    lines = list(eyes.head_lines(messages[:head]))
    lines += eyes.transcript_lines(messages, head, dropped, marker)
    if cue:
        lines.append(eyes.said(rules.moderator, cue, "cue"))
    return tuple(_with_openers(lines, rules))


def framing_end(messages: Sequence[Message], name: str, moderator: str, *, only_system: bool = False) -> int:
    """How many leading messages are framing: given by `system`, then, unless `only_system`, by the moderator.

    Messages `name` cannot see do not count: they change nothing.
    """
    authors = {"system"} if only_system else {"system", moderator}
    for index, message in enumerate(messages):
        if message.heard_by(name) and (message.author not in authors or message.origin != "given"):
            return index
    return len(messages)


def summaries(messages: Sequence[Message], name: str) -> dict[int, int]:
    """Index of the message each visible, not superseded summary of `name` begins to stand for: {start: index}."""
    seen = [
        (i, m.stands_for) for i, m in enumerate(messages) if m.stands_for is not None and m.heard_by(name)
    ]
    current: dict[int, int] = {}
    for at, (index, (start, stop)) in enumerate(seen):
        newer = seen[at + 1 :]
        if not any((s <= start and stop <= e) or s <= index < e for _, (s, e) in newer):
            current[start] = index
    return current


def cue_line(participant: Participant, roster: Sequence[str], rules: ViewRules, cue: str) -> Line:
    """An instruction by the moderator for this generation only, labelled as `participant` sees labels."""
    return _Eyes(participant, roster, rules, {}).said(rules.moderator, cue, "cue")


class _Eyes:
    """One participant's way of seeing, fixed for one view."""

    def __init__(self, participant: Participant, roster: Sequence[str], rules: ViewRules, memo: Memo) -> None:
        self.participant = participant
        self.name = participant.name
        self.rules = rules
        others = [n for n in roster if n != self.name]
        self.labelled = rules.labels == "always" or (rules.labels == "auto" and len(others) > 1)
        self.named = (*roster, rules.moderator)
        self.memo = memo
        self.called: set[str] = set()

    def head_lines(self, shared: Sequence[Message]) -> tuple[Line, ...]:
        """The system line and private messages, made once."""
        key: tuple[int | str, ...] = ("head", *map(id, shared))
        known = self.memo.get(key)
        if known is None:
            known = self.memo[key] = shared, (*self.system_line(shared), *self.private_lines())
        return known[1]

    def system_line(self, shared: Sequence[Message]) -> Iterator[Line]:
        profile = self.participant.profile
        segments = [
            Segment(text=m.text, phase="prompt", author="system", turn=i, origin=m.origin)
            for i, m in enumerate(shared)
            if m.heard_by(self.name) and m.text
        ]
        own = [profile.system or "", *(m.text for m in self.participant.private if m.author == "system")]
        segments += [Segment(text=t, phase="prompt", author="system") for t in own if t]
        if segments or profile.system == "":
            joined = [part for s in segments for part in (markup(BLANK), s)][1:]
            yield Line(role="system", segments=tuple(joined), kind="framing")

    def private_lines(self) -> Iterator[Line]:
        for message in self.participant.private:
            if message.author != "system" and message.text:
                yield self.said(message.author, message.text, "private", origin=message.origin)

    def transcript_lines(
        self, messages: Sequence[Message], head: int, dropped: Ranges, marker: str
    ) -> list[Line]:
        name, lines = self.name, list[Line]()
        stand_ins = summaries(messages, name)
        covered = {i for at in stand_ins.values() for i in range(*(messages[at].stands_for or (0, 0)))}
        gone = {i for start, stop in dropped for i in range(start, stop)}
        framed = framing_end(messages, name, self.rules.moderator)
        marked = not marker
        for index in range(head, len(messages)):
            if index in stand_ins:
                at = stand_ins[index]
                lines += self.remembered(messages[at], at, "summary")
            if index in gone and not marked:
                marked = True
                lines.append(Line(role="user", segments=(markup(marker),), kind="opener"))
            message = messages[index]
            if index in gone or index in covered or message.stands_for:
                continue
            if message.audience is None or message.heard_by(name):
                lines += self.remembered(message, index, "framing" if index < framed else "turn")
        return lines

    def remembered(self, message: Message, index: int, kind: LineKind) -> Iterable[Line]:
        """The message's lines, made once. A trail's depend on the calls before it, so they are made anew."""
        known = self.memo.get((id(message), index, kind))
        if known is not None:
            return known[1]
        if message.has_tools:
            return self.trail(message, index) if self.rules.trails == "keep" else ()
        lines = tuple(self.message_lines(message, index, kind))
        self.memo[id(message), index, kind] = message, lines  # the message is kept, so its id stays its own
        return lines

    def message_lines(self, message: Message, index: int, kind: LineKind) -> Iterator[Line]:
        own = message.author == self.name
        reasoning = (
            [p for p in message.parts if isinstance(p, Reasoning) and p.text]
            if self.shows_reasoning(own)
            else []
        )
        text = message.text
        if not text and not reasoning:
            return
        phases: tuple[Phase, Phase] = ("reasoning", "answer") if own else ("prompt", "prompt")
        segments: list[Segment] = []
        for part in reasoning:
            thought = Segment(
                text=part.text, phase=phases[0], author=message.author, turn=index, origin=message.origin
            )
            segments += [markup("<reasoning>\n"), thought, markup("\n</reasoning>" + BLANK)]
        if text:
            segments.append(
                Segment(
                    text=text,
                    phase=phases[1],
                    author=message.author,
                    turn=index,
                    origin=message.origin,
                    token_ids=_stored_ids(message.provenance) if own else None,
                )
            )
        if message.author == "system":
            yield Line(role="system", segments=tuple(segments), kind="framing")
        elif own:
            yield Line(role="assistant", segments=tuple(segments), kind=kind)
        else:
            yield Line(role="user", segments=tuple(self.label(message.author, segments)), kind=kind)

    def trail(self, message: Message, index: int) -> Iterator[Line]:
        """The reader's own calls, and the results of these; a trail is never shown to anybody else."""
        if message.author == self.name:
            self.called.update(p.id for p in message.parts if isinstance(p, ToolCall))
        results = [p for p in message.parts if isinstance(p, ToolResult)]
        if message.author == self.name or any(r.id in self.called for r in results):
            yield from trail_lines(message, index, self.name)

    def shows_reasoning(self, own: bool) -> bool:
        return self.rules.reasoning == "shared" or (own and self.rules.reasoning == "self")

    def said(self, author: str, text: str, kind: LineKind, *, origin: Origin = "scripted") -> Line:
        """A line that is in no transcript: private framing or the cue."""
        if author == self.name:
            return Line(role="assistant", segments=(_plain(text, "answer", author, origin),), kind=kind)
        return Line(
            role="user",
            segments=tuple(self.label(author, [_plain(text, "prompt", author, origin)])),
            kind=kind,
        )

    def label(self, author: str, segments: list[Segment]) -> list[Segment]:
        return labelled(author, segments, impostor(self.named)) if self.labelled else segments


def trail_lines(message: Message, index: int, reader: str, *, current: bool = False) -> Iterator[Line]:
    """A trail message as its own speaker sees it: an assistant line with calls, or a tool line a result.

    Calls without text stand on a line with an empty segment, which says whose they are and of which turn. A `current`
    trail is of the turn being made, whose index it has; it keeps its reasoning.
    """
    calls = tuple(p for p in message.parts if isinstance(p, ToolCall))
    if calls and message.author == reader:
        own = Segment(text=message.text, phase="answer", author=reader, turn=index, origin=message.origin)
        reasoning = tuple(p for p in message.parts if isinstance(p, Reasoning)) if current else ()
        yield Line(role="assistant", segments=(own,), kind="trail", calls=calls, reasoning=reasoning)
    for result in (p for p in message.parts if isinstance(p, ToolResult)):
        segment = Segment(text=result.text, phase="tool", author="tool", turn=index, origin=message.origin)
        yield Line(role="tool", segments=(segment,), kind="trail", call_id=result.id, call_name=result.name)


def _with_openers(lines: Sequence[Line], rules: ViewRules) -> Iterator[Line]:
    answered = False
    for at, line in enumerate(lines):
        if line.role == "assistant" and not answered:
            yield _scripted(rules.opener)
            answered = True
        answered = answered or line.role == "user"
        yield line
        following = lines[at + 1] if at + 1 < len(lines) else None
        if (
            line.role == "assistant"
            and not line.calls
            and (following is None or following.role == "assistant")
        ):
            yield _scripted(rules.resume)
    if not answered:
        yield _scripted(rules.opener)


@lru_cache(maxsize=256)
def _scripted(text: str) -> Line:
    return Line(role="user", segments=(markup(text),), kind="opener")


def _plain(text: str, phase: Phase, author: str, origin: Origin) -> Segment:
    return Segment(text=text, phase=phase, author=author, origin=origin)


def _stored_ids(provenance: Provenance | None) -> tuple[int, ...] | None:
    return provenance.token_ids or None if provenance else None
