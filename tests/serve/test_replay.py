"""What a server recorded is what a server over the recordings answers, through the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from openai import BadRequestError, OpenAI

from symposia.backends import Replay, Scripted
from symposia.cli.serve.backends import backends_of
from symposia.core.clock import SystemClock
from symposia.core.errors import InvalidInput
from symposia.core.redact import Redactor
from symposia.core.request import Completion, Delta, Request, ServedBy
from symposia.core.usage import NOTHING
from symposia.serve.settings import Model, Settings
from symposia.serve.traces import Traces
from tests.serving import Serving

pytestmark = pytest.mark.timeout(60)
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hello yourself."},
    {"role": "user", "content": "And now?"},
]
ASKS: list[dict[str, Any]] = [
    {"seed": 5},
    {"seed": 6, "temperature": 0.5, "stop": ["the"]},
    {"seed": 7, "n": 2},
    {"max_tokens": 3},
    {"seed": 8, "stream": True},
]


class Refusing(Scripted):
    """Declines, as a server does that marks it."""

    def __init__(self) -> None:
        served = ServedBy(endpoint="scripted", model="m")
        super().__init__(
            lambda _: Completion(text="Rather not.", finish_reason="refusal", usage=NOTHING, served=served),
            chunk=4,
        )

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        async for item in super().generate(request):
            yield replace(item, refusal=True) if isinstance(item, Delta) else item


def texts(client: OpenAI, ask: dict[str, Any]) -> list[str | None]:
    """What each choice said."""
    said = client.chat.completions.create(model="m", messages=TALK, **ask)
    if ask.get("stream"):
        return ["".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices)]
    return [choice.message.content for choice in said.choices]


def test_recorded_requests_are_answered_again_and_no_others(tmp_path: Path) -> None:
    """Whole and streamed, several choices, a drawn seed; another request is a 400 of its own code."""
    recording = Serving({"m": Scripted(chunk=4)})
    recording.server.traces = Traces(tmp_path, Redactor({}), recording.server.emit)
    with recording:
        client = recording.openai()
        said = [texts(client, ask) for ask in ASKS]
        recording.settled(len(ASKS))
    (path,) = tmp_path.glob("*.jsonl")
    with Serving({"m": Replay.read(path, SystemClock())}) as replaying:
        client = replaying.openai()
        assert [texts(client, ask) for ask in ASKS] == said
        for other in ({"seed": 9}, {"seed": 5, "temperature": 0.9}):
            with pytest.raises(BadRequestError) as caught:
                texts(client, other)
            assert caught.value.code == "replay_miss"
        assert [event.status for event in replaying.settled(len(ASKS) + 2)][-2:] == [400, 400]


def test_a_refusal_reaches_the_caller_as_one(tmp_path: Path) -> None:
    """Streamed as it was recorded; the client's own accumulator ends with what a plain call gives."""
    ask: dict[str, Any] = {"model": "m", "messages": TALK, "seed": 1}
    recording = Serving({"m": Refusing()})
    recording.server.traces = Traces(tmp_path, Redactor({}), recording.server.emit)
    with recording, recording.openai().chat.completions.stream(**ask) as events:
        said = [event.delta for event in events if event.type == "refusal.delta"]
        recording.settled(1)
    (path,) = tmp_path.glob("*.jsonl")
    with Serving({"m": Replay.read(path, SystemClock())}) as replaying:
        client = replaying.openai()
        with client.chat.completions.stream(**ask) as events:
            again = [event.delta for event in events if event.type == "refusal.delta"]
            final = events.get_final_completion().choices[0]
        whole = client.chat.completions.create(**ask).choices[0]
    assert said == again == ["Rath", "er n", "ot."]
    for choice in (final, whole):
        assert (choice.message.content, choice.message.refusal) == (None, "Rather not.")
        assert choice.finish_reason == "stop"


async def test_a_file_of_recordings_is_an_address(tmp_path: Path) -> None:
    """Read at the start: a file that is none keeps the server from starting. `scripted:words` needs no file."""

    def built(address: str) -> Any:
        settings = Settings(models=(Model(name="m", address=address),), pace="real")
        return backends_of(settings, {}, SystemClock(), unknown=lambda _: None).named["m"]

    (tmp_path / "t.jsonl").touch()
    assert isinstance(built(f"replay:{tmp_path}/t.jsonl"), Replay)
    with pytest.raises(InvalidInput, match="expected a trace file"):
        built(f"replay:{tmp_path}/none.jsonl")
    assert "seed" in (await built("scripted:words").describe("scripted:words")).features
