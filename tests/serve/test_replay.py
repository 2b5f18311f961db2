"""What a server recorded is what a server over the recordings answers, through the real client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from symposia.backends import Replay, Scripted
from symposia.cli.serve.backends import backends_of
from symposia.core.clock import SystemClock
from symposia.core.errors import InvalidInput
from symposia.core.redact import Redactor
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
