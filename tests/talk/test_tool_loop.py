"""The tool loop: what is asked, what is committed, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.capture import ActivationRef, Capture
from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, TurnFailed, UnsupportedRequest
from symposia.core.events import GenerationFinished, ToolCalled, ToolReturned, TurnDenied, TurnTaken
from symposia.core.message import NOBODY, Message, Reasoning, Signal, Text, ToolCall, ToolResult
from symposia.core.profile import Participant
from symposia.core.request import Request
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage
from symposia.talk.converse import converse
from symposia.talk.fit import DropOldest
from symposia.talk.hooks import Forbid
from symposia.talk.protocols import Once, RoundRobin, Stop, Turn
from symposia.talk.rules import Kit, Reading, Rules
from symposia.talk.seeds import turn_seed
from symposia.talk.stop import Tokens, Turns
from symposia.talk.tools import Tool, ToolBox, tool
from tests.company import completion, of, opened, party, person, talk, texts

TOOLS = frozenset({"tools"})
ONCE = Once(speaker="ann")


@tool
def add(a: int, b: int = 0) -> int:
    """The sum."""
    return a + b


BOX = ToolBox(add)
KIT = Kit(tools=BOX)
TWO = party("ann", "bob", tools=BOX.specs)


def call(name: str = "add", number: int = 0, **arguments: object) -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def calling(*calls: ToolCall, text: str = "", **fields: object):
    parts = (*((Text(text),) if text else ()), *calls)
    return completion(text, "tool_calls", parts=parts, **fields)


def rounds_of(request: Request) -> int:
    return sum(bool(line.calls) and line.segments == () for line in request.lines) or sum(
        bool(line.calls) for line in request.lines
    )


def script(*replies: object) -> Scripted:
    """Ann's replies, one a generation."""
    return Scripted(lambda request: replies[request.about.call], features=TOOLS)


def run(backend: Scripted, people=TWO, protocol=ONCE, *, kit=KIT, events=None, start=None, **rules):
    return talk(protocol, people, backend, transcript=start or opened(), kit=kit, events=events, **rules)


def test_a_call_is_answered_and_the_answer_is_read() -> None:
    """One round: the trail, for its speaker alone, then the message; the second request holds call and result."""
    backend = script(calling(call(a=2, b=3), text="Let me see."), "It is 5.")
    asked, called, result, said = run(backend).transcript
    assert asked == opened()[0]
    assert called.parts == (
        Text("Let me see."),
        ToolCall(id="call_1_0_0", name="add", arguments={"a": 2, "b": 3}),
    )
    assert result.parts == (ToolResult(id="call_1_0_0", name="add", text="5"),)
    assert called.audience == result.audience == frozenset({"ann"})
    assert (called.author, result.author, called.origin, result.origin) == (
        "ann",
        "tool",
        "sampled",
        "scripted",
    )
    assert (said.text, said.audience, called.as_of, said.as_of) == ("It is 5.", None, 1, 1)
    first, second = backend.requests
    assert second.lines[: len(first.lines)] == first.lines
    line, answer = second.lines[len(first.lines) :]
    assert (line.role, line.text, line.calls) == ("assistant", "Let me see.", called.parts[1:])
    assert (answer.role, answer.text, answer.call_id) == ("tool", "5", "call_1_0_0")


def test_every_generation_has_its_own_stream_and_name() -> None:
    """Seeds with `call` when > 0; `about.call` counts; what goes on after results has purpose "tool"."""
    backend = script(calling(call(a=1)), calling(call(a=2)), "done")
    run(backend, seed_key=(7, "c"))
    assert [r.seed for r in backend.requests] == [turn_seed((7, "c"), 1, "ann", call=k) for k in range(3)]
    assert [(r.about.call, r.about.purpose) for r in backend.requests] == [
        (0, "turn"),
        (1, "tool"),
        (2, "tool"),
    ]


def test_nothing_of_a_round_is_lost() -> None:
    """Usage, activations and completions of every round: in the tally, on its message, in the final provenance."""
    seen: list = []
    used = [Usage(input_tokens=10 * k, output_tokens=k) for k in (1, 2, 3)]
    backend = script(
        calling(call(a=1), usage=used[0]), calling(call(a=2), usage=used[1]), completion("3", usage=used[2])
    )
    outcome = run(backend, events=seen)
    assert outcome.tally.usage == used[0] + used[1] + used[2] == of(seen, TurnTaken)[0].usage
    made = [m.provenance for m in outcome.transcript if m.provenance]
    assert [p.usage for p in made] == used
    finished = tuple(e.completion.digest for e in of(seen, GenerationFinished))
    assert [p.completions for p in made] == [finished[:1], finished[:2], finished]
