"""A call goes all the way round on every family: demanded, read as it streams, stored, shown again in history."""

from __future__ import annotations

import pytest

import symposia
from symposia.core.message import ToolCall, ToolResult
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import Delta
from symposia.engine import Engine, EngineOptions
from symposia.engine.families import chat_tokenizer, family
from symposia.talk.moderated import TOOL, Moderated

FAMILIES = (
    *("qwen2.5", "qwen3-coder", "llama3.1", "llama3.2-list", "mistral-nemo", "mistral-small", "gemma3-code"),
    *("phi4-mini", "gemma2"),
)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_moderates_in_its_own_syntax(name):
    """Noise for weights: each demanded call is read; in the next prompt its tokens are the speaker's, of its turn."""
    tokenizer = chat_tokenizer(name)
    model = family("llama").model(
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        max_position_embeddings=4096,
    )
    chair = Moderated(moderator="ann", speakers=("bob", "carla"), turns=2, by="force", asks=1, may_stop=False)
    with Engine.adopt(model, tokenizer, name, options=EngineOptions(kv_bytes=1 << 24)) as engine:
        hot = Sampling(temperature=1.2, max_tokens=80, seed=3)
        people = [
            Participant(name=who, profile=Profile(model=engine.address, sampling=hot))
            for who in ("ann", "bob", "carla")
        ]
        conv = symposia.Conversation(people, protocol=chair, backend=engine)
        shown = []
        conv.run(prompt="Shall we talk about bread?", listen=shown.append)
        asked = [(i, m) for i, m in enumerate(conv.transcript.messages) if m.author == "ann"]
        prompt = conv.prompt("ann")
    calls = [(i, p) for i, m in asked for p in m.parts if isinstance(p, ToolCall)]
    assert [(call.name, call.error) for _, call in calls] == [(TOOL, "")] * 2
    assert {call.arguments["name"] for _, call in calls} <= {"bob", "carla"}
    spans = [s for s in prompt.spans if s.role == "assistant" and s.phase == "tool"]
    assert {(s.author, s.turn) for s in spans} == {("ann", i) for i, _ in calls}
    results = [p for m in conv.transcript.messages for p in m.parts if isinstance(p, ToolResult)]
    assert [r.error for r in results] == [False, False]
    told = "".join(d.text for d in shown if isinstance(d, Delta) and d.phase == "tool")
    assert told.count(TOOL) == 2
    assert TOOL not in "".join(d.text for d in shown if isinstance(d, Delta) and d.phase == "answer")
