"""Seats with tools: a seat's calls are its own, the captain has none, and a seat that never stops calling abstains."""

from __future__ import annotations

from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.message import Text, ToolCall
from symposia.core.request import Request
from symposia.talk.calculator import calculator
from symposia.talk.debate.setting import with_tools
from symposia.talk.rules import Kit
from symposia.talk.tools import ToolBox
from tests.debates import ALL, called, completion, debate_of, held

BOX = ToolBox(calculator)


def sums(request: Request) -> object:
    """`derivation` never stops calling, `evidence` calls once a round, the others not at all."""
    if request.force is not None:
        return called({"consensus": False, "direction": "go on"}) if request.force.name == "conclude" else "?"
    call = completion(
        Text("Let me see."),
        ToolCall(id="c", name="calculator", arguments={"expression": "6*7"}),
        finish="tool_calls",
    )
    if request.speaker == "derivation":
        return call
    after = request.lines[-1].role == "tool"
    if request.speaker == "evidence" and not after:
        return call
    return f"[[ANSWER]] {request.lines[-1].text if after else 42}"


def test_calls_and_results_stay_with_their_caller() -> None:
    """In its own lines of every later round, in nobody else's; counted as calls of a tool."""
    debate = with_tools(replace(debate_of(4, max_rounds=2), tool_budget=2), BOX.specs)
    backend = Scripted(sums, features=ALL)
    done = held(debate, backend, kit=Kit(tools=BOX))
    assert (done.answer.answer, done.answer.status) == ("42", "answered")
    for request in backend.requests:
        calls = [call.name for line in request.lines for call in line.calls]
        if request.speaker == "captain":
            assert "calculator" not in calls
            assert not request.tools
        elif request.speaker not in ("evidence", "derivation"):
            assert not calls
            assert all("Let me see" not in line.text for line in request.lines)
    last = [r for r in backend.requests if r.speaker == "evidence"][-1]
    assert [call.name for line in last.lines for call in line.calls] == ["calculator", "calculator"]
    assert sum(row.purpose == "tool" and row.seat == "evidence" for row in done.answer.ledger) == 2


def test_a_seat_that_never_stops_calling_abstains() -> None:
    """After the budget one turn follows without tools and with a cue; a call even then is `tool_loop`."""
    debate = with_tools(replace(debate_of(4, max_rounds=1), tool_budget=2), BOX.specs)
    backend = Scripted(sums, features=ALL)
    done = held(debate, backend, kit=Kit(tools=BOX))
    (lost,) = done.proceedings.rounds[0].lost
    assert (lost.seat, lost.cause) == ("derivation", "tool_loop")
    asked = [r for r in backend.requests if r.speaker == "derivation"]
    assert [r.tool_choice for r in asked] == ["auto", "auto", "none"]
    assert "No more tools" in asked[-1].lines[-1].text
