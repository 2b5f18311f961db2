"""One right reply: the planted word, the answer marker, arithmetic, the tool call, the next speaker."""

import itertools
import json

from training.abilities.held_out import Asked, cuts
from training.abilities.row import Row
from training.abilities.subject import Subject
from training.grammar.markers import said
from training.grammar.quiz import MARKER

_QUIZ = ("arithmetic", "yes_no", "choice")


def _replies(subject: Subject, skill: str, count: int) -> list[tuple[Asked, str]]:
    chosen = list(itertools.islice(cuts(skill=skill), count))
    replies = subject.replies([asked.prompt for asked in chosen], temperature=0.0, seed=0, limit=200)
    return [(asked, said(reply)) for asked, (reply, _) in zip(chosen, replies, strict=True)]


def recall(subject: Subject, count: int) -> Row:
    """Share of replies that hold the word planted four to ten utterances earlier."""
    pairs = _replies(subject, "recall", count)
    rate = sum(asked.line.expects in reply for asked, reply in pairs) / count
    return Row("remembers across turns", "planted word, 4-10 turns later", rate, 0.9)


def marked(reply: str) -> str | None:
    """What stands after the last marker, or None without a marker or with nothing after it."""
    _, found, after = reply.rpartition(MARKER)
    return after.strip() or None if found else None


def answers(subject: Subject, count: int) -> list[Row]:
    """The marker and what stands after it, for arithmetic, yes/no and multiple choice."""
    rows = []
    present, total = 0, 0
    for skill in _QUIZ:
        pairs = _replies(subject, skill, count)
        given = [(asked.line.expects, marked(reply)) for asked, reply in pairs]
        present += sum(answer is not None for _, answer in given)
        total += count
        bar = 0.8 if skill == "arithmetic" else 0.0
        right = sum(expected == answer for expected, answer in given) / count
        rows.append(
            Row("answers with a marker", f"{skill} correct", right, bar, detail="" if bar else "no bar")
        )
    return [Row("answers with a marker", "[[ANSWER]] present and parseable", present / total, 0.95), *rows]


def call_of(reply: str) -> dict[str, object] | None:
    """The one well-formed call in a reply: `{"name": str, "arguments": object}` between its tags."""
    _, opened, rest = reply.partition("<tool_call>")
    body, closed, after = rest.partition("</tool_call>")
    if not opened or not closed or after.strip():
        return None
    try:
        call = json.loads(body)
    except json.JSONDecodeError:
        return None
    well = (
        isinstance(call, dict)
        and isinstance(call.get("arguments"), dict)
        and set(call) == {"name", "arguments"}
    )
    return call if well else None


def tools(subject: Subject, count: int) -> list[Row]:
    """Well-formed calculator calls, and how many of them hold the sum that was asked for."""
    pairs = _replies(subject, "call", count)
    calls = [(asked.line.expects, call_of(reply)) for asked, reply in pairs]
    formed = [(e, c) for e, c in calls if c is not None and c["name"] == "calculator"]
    exact = sum(c["arguments"] == {"expression": e} for e, c in formed)
    return [
        Row("calls a tool", "well-formed calculator call", len(formed) / count, 0.9),
        Row("calls a tool", "with the sum asked for", exact / count, 0.0, detail="no bar"),
    ]


def next_speaker(subject: Subject, count: int) -> Row:
    """Share of the chair's answers that are one line naming somebody present, or stop."""
    good = 0
    for asked, reply in _replies(subject, "next", count):
        cue = str(asked.prompt.messages[-1]["content"])
        head, _, name = reply.partition("NEXT: ")
        good += not head and (
            name == "stop" or name in cue.replace(":", " ").replace(",", " ").split() or name in cue
        )
    return Row("names the next speaker", "NEXT: name", good / count, 0.9)
