"""Who said which piece of a rendering: content by its segment, the rest by the line whose header or end it is."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from symposia.core.lines import Line
from symposia.core.request import Request
from symposia.core.span import Origin, Phase, Role

from .align import Literals, Transform, as_text
from .facts import Marks
from .masks import Masks
from .slots import Conversation, Slot


class Label(NamedTuple):
    """What a span says of its tokens."""

    role: Role | None
    phase: Phase
    author: str | None = None
    turn: int | None = None
    origin: Origin = "scripted"


class Piece(NamedTuple):
    """A stretch of the prompt. `written`: by the template, so control strings in it are control tokens.

    `ids`: to be used as they are if they spell the text. `alone`: a segment, never merged into a neighbour's span.
    """

    text: str
    label: Label
    written: bool = True
    ids: tuple[int, ...] | None = None
    alone: bool = False


class Layout:
    """One request's lines, ready to say where each piece belongs."""

    def __init__(self, lines: Sequence[Line], request: Request, marks: Marks, bos: str, masks: Masks) -> None:
        self.lines = lines
        self.request = request
        self.marks = marks
        self.bos = bos
        self.masks = masks
        self.ends: dict[Role, str] = {
            "system": marks.system_end,
            "user": marks.user_end,
            "assistant": marks.assistant_end,
            "tool": marks.tool_end,
        }

    def pieces(self, literals: Literals, transforms: Sequence[Transform], talk: Conversation) -> list[Piece]:
        """Every piece of the prompt in order; their texts joined are the prompt."""
        places, slots = _places(literals, talk), talk.slots
        out: list[Piece] = []
        before: Slot | None = None
        for literal, place, index, transform in zip(
            literals.texts, places, literals.slots, transforms, strict=False
        ):
            slot = slots[index]._replace(line=place[0], call=place[1])
            out += self.written(literal, before, slot)
            out += self.content(slot, slots[index], transform)
            before = slot
        out += self.last(literals.texts[-1], before)
        return [piece for piece in out if piece.text]

    def content(self, slot: Slot, original: Slot, transform: Transform) -> Iterator[Piece]:
        """What stands in a slot."""
        line = self.lines[slot.line]
        if slot.kind == "content":
            yield from _segments(line, transform)
            return
        text = transform.shown(as_text(original.value))
        if slot.kind == "reasoning":
            yield Piece(text, self._own(line, "reasoning"), written=False)
        elif slot.in_call:
            yield Piece(text, self._own(line, "tool"), written=False)
        else:
            yield Piece(text, self._markup(slot.line), written=False)

    def written(self, literal: str, before: Slot | None, after: Slot) -> Iterator[Piece]:
        """A literal between two slots, cut where one line ends and the next begins."""
        if before is None:
            yield from self._first(literal, after)
        elif before.line == after.line:
            yield from self._within(literal, before, after)
        else:
            rest = yield from self._end(literal, before)
            yield from self._next(rest, before, after)

    def last(self, literal: str, before: Slot | None) -> Iterator[Piece]:
        """The end of the last line, then the generation prompt."""
        rest = literal
        if before is not None:
            rest = yield from self._end(literal, before)
        yield from self._cut(rest, Label("assistant", "markup", turn=self.request.turn))

    def _first(self, literal: str, after: Slot) -> Iterator[Piece]:
        rest = literal
        if self.bos and literal.startswith(self.bos):
            yield Piece(self.bos, Label(None, "markup"))
            rest = literal[len(self.bos) :]
        yield from self._next(rest, None, after)

    def _next(self, literal: str, before: Slot | None, after: Slot) -> Iterator[Piece]:
        """The head of the next line; what a template says before a user's head is framing: a default, tools, dates."""
        head = self.marks.user_head
        if self.lines[after.line].role == "user" and head and literal.endswith(head):
            framed = before is not None and self.lines[before.line].role == "system"
            label = self._markup(before.line) if before and framed else Label("system", "markup")
            yield from self._cut(literal.removesuffix(head), label)
            literal = head
        yield from self._head(literal, after)

    def _within(self, literal: str, before: Slot, after: Slot) -> Iterator[Piece]:
        if before.in_call and after.in_call:
            yield from self._cut(literal, self._own(self.lines[after.line], "tool"))
        else:
            yield from self._head(literal, after)

    def _end(self, literal: str, before: Slot) -> Generator[Piece, None, str]:
        """What belongs to the line before; the rest is the generator's value."""
        line = self.lines[before.line]
        end = self.marks.call_end if before.in_call else self.ends[line.role]
        rest = literal
        if before.in_call and end and end in literal:
            at = literal.index(end)
            yield from self._cut(literal[:at], self._own(line, "tool"))
            rest = literal[at:]
        if end and rest.startswith(end):
            yield from self._cut(end, self._markup(before.line))
            rest = rest[len(end) :]
        return rest

    def _head(self, literal: str, after: Slot) -> Iterator[Piece]:
        opening = self.marks.call_open
        if after.in_call and opening and literal.endswith(opening):
            yield from self._cut(literal.removesuffix(opening), self._markup(after.line))
            yield from self._cut(opening, self._own(self.lines[after.line], "tool"))
        else:
            yield from self._cut(literal, self._markup(after.line))

    def _cut(self, literal: str, label: Label) -> Iterator[Piece]:
        if not self.masks:
            yield Piece(literal, label)
            return
        for text, typed in self.masks.restore(literal):
            yield Piece(text, label, written=not typed)

    def _markup(self, line: int) -> Label:
        return Label(self.lines[line].role, "markup", turn=_turn(self.lines[line]))

    def _own(self, line: Line, phase: Phase) -> Label:
        """The speaker's; calls are of the last turn in a line that joins several."""
        turn = _turn(line, newest=phase == "tool")
        return Label("assistant", phase, self.request.speaker, turn, "sampled")


def _segments(line: Line, transform: Transform) -> Iterator[Piece]:
    stop = sum(len(s.text) for s in line.segments) - transform.right
    end = 0
    for segment in line.segments:
        start, end = end, end + len(segment.text)
        left, right = max(transform.left - start, 0), max(end - stop, 0)
        text = Transform(left, min(right, len(segment.text)), transform.escape).shown(segment.text)
        whole = text == segment.text
        label = Label(line.role, segment.phase, segment.author, segment.turn, segment.origin)
        yield Piece(text, label, written=False, ids=segment.token_ids if whole else None, alone=True)


def _turn(line: Line, *, newest: bool = False) -> int | None:
    turns = [s.turn for s in line.segments if s.turn is not None]
    return turns[-1 if newest else 0] if turns else None


def _places(literals: Literals, talk: Conversation) -> list[tuple[int, int]]:
    """Line and call of each occurrence; a call's name or id said again belongs to the line with its result."""
    slots, order = talk.slots, literals.slots
    places: list[tuple[int, int]] = []
    seen: set[int] = set()
    for k, index in enumerate(order):
        slot = slots[index]
        again = index in seen
        if slot.kind == "id" and not again and slot.in_call:
            beside = [slots[order[j]] for j in (k - 1, k + 1) if 0 <= j < len(order)]
            again = not any((b.line, b.call) == (slot.line, slot.call) and b.kind != "id" for b in beside)
        seen.add(index)
        answer = talk.answers.get(index) if again else None
        places.append((slot.line, slot.call) if answer is None else (answer, -1))
    return places
