"""What the model reads is what its own template makes of the caller's messages; transformers renders beside us."""

from __future__ import annotations

import json
from typing import Any

import pytest

from symposia.core.request import ModelCard
from symposia.engine.families import chat_tokenizer
from symposia.engine.template import ChatTemplate
from symposia.serve.wire import Aim, Limits, read, to_requests

pytestmark = pytest.mark.slow

LOOK = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}},
}
FEATURES = frozenset({"tools", "seed", "penalties"})
PLAIN = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi <|im_end|> there"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And  now?\n"},
]
LOOP = [
    {"role": "user", "content": "What colour is the sky?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {
                "id": "c12345678",
                "type": "function",
                "function": {"name": "look", "arguments": '{"at": "sky"}'},
            }
        ],
    },
    {"role": "tool", "content": "blue", "tool_call_id": "c12345678"},
]


def ours(name: str, messages: list[Any], tools: list[Any]) -> str | None:
    """The prompt that the engine would feed."""
    body = {"model": "m", "messages": messages} | ({"tools": tools} if tools else {})
    ask = read(json.dumps(body).encode(), Limits())
    (request,) = to_requests(ask, Aim("m", ModelCard(model="m", features=FEATURES)), Limits(), seed=1)
    return ChatTemplate(chat_tokenizer(name)).render(request).prompt().text


def theirs(name: str, messages: list[Any], tools: list[Any]) -> str:
    """The prompt that transformers makes."""
    shown = json.loads(json.dumps(messages))
    for call in (call for message in shown for call in message.get("tool_calls", ())):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text = chat_tokenizer(name).apply_chat_template(
        shown, tools=tools or None, add_generation_prompt=True, tokenize=False
    )
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3", "phi4-mini"])
def test_a_dialogue_is_rendered_as_its_template_does(name: str) -> None:
    """System, user and assistant, with blanks and control tokens as text."""
    assert ours(name, PLAIN, []) == theirs(name, PLAIN, [])


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3"])
def test_a_tool_loop_is_rendered_as_its_template_does(name: str) -> None:
    """Tools, a call with text, and its result."""
    assert ours(name, LOOP, [LOOK]) == theirs(name, LOOP, [LOOK])
