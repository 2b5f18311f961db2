"""The captain's two forced tools: how they are asked for, read strictly, and answered.

Decoding refuses unknown keys and coerces nothing, so `{"consensus": "false"}` is no ruling. A reply is read whole:
calls that disagree are none. Every call gets its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from symposia.core.message import Message, Text, ToolCall, ToolResult
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.core.value import Value
from symposia.talk.protocols import Turn
from symposia.talk.rules import Answer, Answered

from .reading import Mark, mark_of
from .values import CAPTAIN

if TYPE_CHECKING:
    from .protocol import Debate

T = TypeVar("T")
CONCLUDE = ToolSpec(
    name="conclude",
    description="Report whether the answers of this round agree in substance, and if not, what to look at next.",
    parameters={
        "type": "object",
        "properties": {"consensus": {"type": "boolean"}, "direction": {"type": ["string", "null"]}},
        "required": ["consensus", "direction"],
        "additionalProperties": False,
    },
)
RECORDED = "recorded"


def choose_tool(labels: Sequence[str]) -> ToolSpec:
    """`choose`, which takes one of the labels and nothing else."""
    return ToolSpec(
        name="choose",
        description="Choose the best of the labelled answers.",
        parameters={
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": list(labels)}},
            "required": ["choice"],
            "additionalProperties": False,
        },
    )


class Conclusion(Value, frozen=True):
    """The arguments of `conclude`."""

    consensus: bool
    direction: str | None


class Choice(Value, frozen=True):
    """The arguments of `choose`."""

    choice: str


class Invalid(Value, frozen=True):
    """Why a reply is no ruling or no choice, as the model is told."""

    why: str


def read_conclusion(calls: Sequence[ToolCall]) -> Conclusion | Invalid:
    """What the calls of one reply say together."""
    return _agreed(calls, CONCLUDE.name, "consensus and direction", Conclusion, _directed)


def read_choice(calls: Sequence[ToolCall], labels: Sequence[str]) -> Choice | Invalid:
    """The label the calls of one reply name."""

    def known(choice: Choice) -> str:
        if choice.choice in labels:
            return ""
        return f"expected choice to be one of {', '.join(labels)}; got {choice.choice[:80]!r}"

    return _agreed(calls, "choose", "choice", Choice, known)


def calls_of(message: Message) -> tuple[ToolCall, ...]:
    """The calls a message makes."""
    return tuple(part for part in message.parts if isinstance(part, ToolCall))


def answers_for(debate: Debate) -> Mapping[str, Answer]:
    """What the debate's forced tools answer; a ruling without consensus brings its direction to everybody."""

    def conclude(calls: Sequence[ToolCall], turn: Turn, seen: Transcript) -> Answered:
        read = read_conclusion(calls)
        results = _results(calls, read)
        if isinstance(read, Invalid) or read.consensus or not read.direction:
            return Answered(results)
        if _round(turn) >= debate.max_rounds:
            return Answered(results)
        return Answered(results, (publication(read.direction, debate, len(seen)),))

    def choose(calls: Sequence[ToolCall], turn: Turn, seen: Transcript) -> Answered:
        del seen
        return Answered(_results(calls, read_choice(calls, labels_of(turn.force))))

    return {"conclude": conclude, "choose": choose}


def publication(direction: str, debate: Debate, as_of: int) -> Message:
    """The captain's direction as a message to everybody, verbatim."""
    return Message(
        author=CAPTAIN, parts=(Text(direction),), audience=debate.everyone, origin="sampled", as_of=as_of
    )


def labels_of(tool: ToolSpec | None) -> tuple[str, ...]:
    """The labels a `choose` tool allows."""
    return () if tool is None else tuple(tool.parameters["properties"]["choice"]["enum"])


def _results(calls: Sequence[ToolCall], read: Value) -> tuple[ToolResult, ...]:
    text = f"invalid: {read.why}" if isinstance(read, Invalid) else RECORDED
    return tuple(
        ToolResult(id=call.id, name=call.name or "unknown", text=text, error=isinstance(read, Invalid))
        for call in calls
    )


def _round(turn: Turn) -> int:
    read: Mark | None = None
    if turn.mark is not None:
        read = mark_of(Message(author=turn.speaker, parts=(turn.mark,)))
    return 0 if read is None else read.round


def _directed(conclusion: Conclusion) -> str:
    if conclusion.consensus or (conclusion.direction and conclusion.direction.strip()):
        return ""
    return f"expected a direction, since there is no consensus; got {conclusion.direction!r}"


def _agreed(
    calls: Sequence[ToolCall], tool: str, keys: str, kind: type[T], check: Callable[[T], str]
) -> T | Invalid:
    if not calls:
        return Invalid(f"expected one call of {tool}; got none")
    read: list[T] = []
    for call in calls:
        if call.error:
            return Invalid(f"expected a call of {tool} with {keys}; got {call.error[:200]}")
        if call.name != tool:
            return Invalid(f"expected a call of {tool}; got a call of {call.name[:80]!r}")
        try:
            one = msgspec.convert(call.arguments, kind, strict=True)
        except msgspec.ValidationError as error:
            got = msgspec.json.encode(call.arguments)[:200].decode("utf-8", "replace")
            return Invalid(f"expected {keys} and nothing else; got {got} ({error})")
        if problem := check(one):
            return Invalid(problem)
        read.append(one)
    if any(one != read[0] for one in read):
        return Invalid(f"expected one call of {tool}; got {len(read)} that differ")
    return read[0]
