"""Who sees what of a debate: a pure function of the transcript.

Every seat's system line is the same bytes, nothing of the running round is shown, and a reader's lines of one round
begin the lines of the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from symposia.core.lines import Line, Segment, markup
from symposia.core.message import Message
from symposia.core.transcript import Transcript
from symposia.talk.view import BLANK, trail_lines

from .calls import calls_of
from .prompts import disposition, prompt, roster
from .reading import Attempt, Round, attempts_at_ruling
from .rulings import why_invalid
from .values import CAPTAIN

if TYPE_CHECKING:
    from .protocol import Debate

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_START, _CLOSING, _END = markup("["), markup('"}'), markup("]")


def seat_lines(
    transcript: Transcript, rounds: Sequence[Round], debate: Debate, seat: str
) -> tuple[Line, ...]:
    """What a seat sees before it speaks, `rounds` being the complete ones."""
    lines = [_system("team", debate), _user([*_question(transcript), *_framing(debate, seat)])]
    for held in rounds:
        said = held.answer_of(seat)
        if said is not None:
            for index in said.trail:
                lines += trail_lines(transcript[index], index, seat)
            lines.append(_own(said.message, said.index, seat))
        lines.append(_user(_entries(held, reader=seat)))
    return _joined(lines)


def captain_lines(
    transcript: Transcript, rounds: Sequence[Round], debate: Debate, *, ruled: bool = False
) -> tuple[Line, ...]:
    """What the captain sees before it rules on the last of `rounds`; `ruled` adds what it has said of that one."""
    lines = [_system("captain", debate), _user(_question(transcript))]
    for held in rounds:
        lines.append(_user(_entries(held, reader=CAPTAIN)))
        if held is not rounds[-1] or ruled:
            lines += _ruled(transcript, held)
    return _joined(lines)


def with_cue(lines: Sequence[Line], cue: str) -> tuple[Line, ...]:
    """The lines, and what is asked of the captain in this turn only."""
    segment = Segment(text=cue, phase="prompt", author="moderator", origin="scripted")
    return _joined([*lines, Line(role="user", segments=(segment,), kind="cue")])


def repair_lines(
    lines: Sequence[Line], transcript: Transcript, attempt: Attempt, why: str
) -> tuple[Line, ...]:
    """The lines, the reply that could not be read, and why."""
    return _joined([*lines, *_attempted(transcript, attempt, why)])


def _system(name: str, debate: Debate) -> Line:
    standards = roster(debate.prompts)
    listed = "\n".join(f"- {seat.name}: {standards[seat.disposition]}" for seat in debate.team.seats)
    text = prompt(debate.prompts, name).replace("{roster}", listed)
    if name == CAPTAIN and debate.captain is not None and debate.captain.system:
        text += BLANK + debate.captain.system
    return Line(
        role="system", segments=(Segment(text=text, phase="prompt", author="system"),), kind="framing"
    )


def _question(transcript: Transcript) -> list[Segment]:
    asked = transcript[0]
    return [Segment(text=asked.text, phase="prompt", author=asked.author, turn=0, origin=asked.origin)]


def _framing(debate: Debate, seat: str) -> list[Segment]:
    one = next(s for s in debate.team.seats if s.name == seat)
    standard = disposition(debate.prompts, one.disposition)
    framing = prompt(debate.prompts, "seat").replace("{name}", seat).replace("{disposition}", standard)
    own = debate.profile_of(seat).system
    texts = [framing, *([own] if own else [])]
    return [
        part
        for text in texts
        for part in (markup(BLANK), Segment(text=text, phase="prompt", author="system", origin="scripted"))
    ]


def _own(message: Message, index: int, seat: str) -> Line:
    made = message.provenance
    ids = made.token_ids or None if made is not None else None
    said = Segment(
        text=message.text, phase="answer", author=seat, turn=index, origin=message.origin, token_ids=ids
    )
    return Line(role="assistant", segments=(said,), kind="turn")


def _entries(held: Round, *, reader: str) -> list[Segment]:
    """The round as a JSON array: the others' answers in team order; for a seat, the captain's direction last."""
    shown = [
        (said.index, said.message, "answer")
        for said in held.answers
        if said.seat != reader and said.message.heard_by(reader)
    ]
    if reader != CAPTAIN and held.direction is not None and held.direction[1].heard_by(reader):
        shown.append((*held.direction, "direction"))
    segments = [_START]
    for at, (index, message, kind) in enumerate(shown):
        content = _quoted(message.text)
        segments += [
            _opening(held.number, message.author, kind, follows=at > 0),
            Segment(text=content, phase="prompt", author=message.author, turn=index, origin=message.origin),
            _CLOSING,
        ]
    return [*segments, _END]


@lru_cache(maxsize=1024)
def _opening(number: int, author: str, kind: str, *, follows: bool) -> Segment:
    head = {"round": number, "author": author, "kind": kind, "content": ""}
    return markup(("," if follows else "") + _JSON.encode(head)[:-2])


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """A text as it stands between the quotes; every seat but one, and the captain, are shown it in every round."""
    return _JSON.encode(text)[1:-1]


def _ruled(transcript: Transcript, held: Round) -> Iterator[Line]:
    """What the captain said of a round: its calls and their results; else the direction given in its name."""
    read = [attempt for attempt in attempts_at_ruling(held) if attempt.failed is None]
    for attempt in read:
        yield from _attempted(transcript, attempt, why_invalid(attempt))
    published = held.direction
    by_call = published is not None and any(published[0] == (a.results or -2) + 1 for a in read)
    if published is not None and not by_call:
        yield _own(published[1], published[0], CAPTAIN)


def _attempted(transcript: Transcript, attempt: Attempt, why: str) -> Iterator[Line]:
    if calls_of(attempt.message):
        yield from trail_lines(attempt.message, attempt.index, CAPTAIN)
        if attempt.results is not None:
            yield from trail_lines(transcript[attempt.results], attempt.results, CAPTAIN)
    elif attempt.message.text:
        yield _own(attempt.message, attempt.index, CAPTAIN)
        told = Segment(text=f"invalid: {why}", phase="prompt", author="moderator", origin="scripted")
        yield Line(role="user", segments=(told,), kind="cue")


def _user(segments: Sequence[Segment]) -> Line:
    return Line(role="user", segments=tuple(segments), kind="turn")


def _joined(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Consecutive user lines as one, with a blank line between."""
    joined: list[Line] = []
    for line in lines:
        if joined and joined[-1].role == line.role == "user":
            segments = (*joined[-1].segments, markup(BLANK), *line.segments)
            joined[-1] = Line(role="user", segments=segments, kind=joined[-1].kind)
        else:
            joined.append(line)
    return tuple(joined)
