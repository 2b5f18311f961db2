"""The bundled model asks a calculator, reads what it says, and answers."""

from __future__ import annotations

import pytest

import symposia
from symposia.core.capture import Capture
from symposia.core.message import ToolCall, ToolResult
from symposia.core.positions import everything
from symposia.core.profile import Sampling

GREEDY = Sampling(temperature=0, max_tokens=80)
SUMS = (
    ("What is 12 + 30?", "12 + 30", "42"),
    ("How much is 57 * 3?", "57 * 3", "171"),
    ("Please compute 123 - 456.", "123 - 456", "-333"),
)


def asked(question: str, **more) -> symposia.Conversation:
    talk = symposia.Conversation.from_models(
        ["symposia:tiny"], names=["ann"], tools=[symposia.calculator], sampling=GREEDY, **more
    )
    talk.say("you", question)
    return talk


@pytest.mark.parametrize(("question", "expression", "value"), SUMS)
def test_the_bundled_model_uses_a_calculator(question: str, expression: str, value: str) -> None:
    """It calls with the sum it was asked for, and its answer repeats the result; both generations are counted."""
    talk = asked(question)
    talk.run(turns=1)
    _, called, result, said = talk.transcript
    (call,) = [p for p in called.parts if isinstance(p, ToolCall)]
    assert (call.name, call.arguments) == ("calculator", {"expression": expression})
    assert result.parts == (ToolResult(id=call.id, name="calculator", text=value),)
    assert value in said.text
    assert talk.usage()["ann"].calls == 2
    assert [talk.request(i).digest for i in (1, 3)] == [m.provenance.request for m in (called, said)]


def test_the_second_prompt_extends_the_first() -> None:
    """Within the loop nothing is read twice: call and result come after what was read, token for token."""
    talk = asked(SUMS[0][0])
    talk.run(turns=1)
    first, second = (talk.completion(i) for i in (1, 3))
    read = first.prompt_token_ids
    assert second.prompt_token_ids[: len(read)] == read
    assert second.usage.cached_tokens > len(read) // 2
    tools = [s for s in second.spans if s.role == "tool" and s.phase == "tool"]
    assert tools


def test_captures_cover_every_round() -> None:
    """What is captured on a turn is captured in its calls and in its answer, each on its own message."""
    talk = asked(SUMS[0][0])
    with talk.capture(Capture(layers=(2,), where=everything())) as caught:
        talk.run(turns=1)
    on_messages = [ref for m in talk.transcript if m.provenance for ref in m.provenance.activations]
    assert list(caught.activations) == on_messages
    assert len(on_messages) == 2


def test_a_conversation_with_tools_goes_on() -> None:
    """Two models, each with a calculator: the trail of one is nothing to the other, and both keep talking."""
    talk = symposia.Conversation.from_models(
        ["symposia:tiny"] * 2, names=["ann", "bob"], tools={"ann": [symposia.calculator]}, sampling=GREEDY
    )
    talk.say("bob", "What is 8 + 9?")
    talk.run(turns=3, first="ann")
    assert any(m.author == "tool" for m in talk.transcript)
    assert not any(line.role == "tool" for line in talk.view("bob"))
    assert [m.author for m in talk.transcript if m.is_turn()] == ["ann", "bob", "ann"]
