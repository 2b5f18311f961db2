"""Recordings given again: the same pieces, at their own pace, and nothing that was not recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.backends.replay import Replay
from symposia.core.clock import SystemClock, VirtualClock
from symposia.core.errors import BackendError, InvalidInput
from symposia.core.request import Backend, Completion, Delta, Item, ModelCard, Prompt, Request
from symposia.core.trace import Generation, Said, Trace, generation
from symposia.testing import check_backend
from symposia.testing.backends import plain_request
from symposia.testing.faults import Call, FaultyUpstream, Reply
from tests.backends.asking import LOOSE
from tests.backends.relaying import asking, relay


class Taped:
    """A backend that is recorded as it answers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.tape: list[Generation] = []

    async def describe(self, model: str) -> ModelCard:
        return await self._backend.describe(model)

    async def render(self, request: Request) -> Prompt:
        return await self._backend.render(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        heard: list[tuple[float, Delta]] = []
        stream = self._backend.generate(request)
        assert isinstance(stream, AsyncGenerator)
        try:
            async for item in stream:
                if isinstance(item, Delta):
                    heard.append((10.0 * len(heard), item))
                elif isinstance(item, Completion):
                    self.tape.append(generation(request, heard, item, 10.0 * len(heard)))
                yield item
        finally:
            await stream.aclose()


def written(tape: list[Generation], path: Path) -> Path:
    """The recordings as a trace file, a line each, blank lines between."""
    said = (Said(role="user", content="hi"),)
    traces = (
        Trace(
            trace_id=f"t{n}",
            request_id=f"r{n}",
            time=0.0,
            model="m",
            messages=said,
            latency_ms=1.0,
            generations=(one,),
        )
        for n, one in enumerate(tape)
    )
    path.write_bytes(b"\n\n".join(map(msgspec.json.encode, traces)))
    return path


async def items(backend: Backend, request: Request) -> list[Item]:
    return [item async for item in backend.generate(request)]


async def test_a_recorded_conformance_check_can_be_held_again(tmp_path: Path) -> None:
    """`check_backend` is recorded with one backend and passed by its recordings: every promise but new answers."""
    script = Taped(Scripted(chunk=3))
    await check_backend(script, "m")
    again = Replay.read(written(script.tape, tmp_path / "t.jsonl"), SystemClock())
    await check_backend(again, "replay:t.jsonl")


CALLS = Reply(reasoning="hm", text="Well.", calls=(Call(id="c", name="files_read", arguments={"p": 1}),))
REFUSES = Reply(reasoning="hm", text="I had rather not.", finish="refusal")


@pytest.mark.parametrize("reply", [CALLS, REFUSES], ids=["calls", "refuses"])
async def test_everything_that_was_said_comes_back(reply: Reply, tmp_path: Path) -> None:
    """Calls, a refusal, reasoning, usage; of another backend, under another model's name: item for item."""
    async with FaultyUpstream(replies=[reply]) as server, relay(server) as backend:
        taped = Taped(backend)
        request = asking(tools=(LOOSE,), logprobs=0)
        said = await items(taped, request)
    again = Replay.read(written(taped.tape, tmp_path / "t.jsonl"), SystemClock())
    assert await items(again, replace(request, model="replay:t.jsonl")) == said


async def test_what_was_not_recorded_is_refused() -> None:
    """By a 400 of its own code, that says what is known."""
    taped = Taped(Scripted())
    await items(taped, plain_request("m"))
    backend = Replay(taped.tape, SystemClock())
    for missing in (
        plain_request("m", text="Something else."),
        replace(plain_request("m"), seed=2, seed_required=True),
    ):
        with pytest.raises(BackendError) as caught:
            await items(backend, missing)
        error = caught.value
        assert (error.status, error.code, error.cause) == (400, "replay_miss", "invalid_request")
    assert "only with seeds 1" in str(caught.value)


async def test_recordings_of_one_ask_take_turns_by_seed() -> None:
    """A seed that was drawn does not matter, but the same seed gives the same; the exact one has its own."""
    taped = Taped(Scripted())
    for seed in (5, 6, 7):
        await items(taped, replace(plain_request("m"), seed=seed))
    backend = Replay(taped.tape, SystemClock())
    texts = {
        seed: (await items(backend, replace(plain_request("m"), seed=seed)))[-1].text for seed in range(5, 11)
    }
    assert len(set(texts.values())) == 3
    assert [texts[seed] for seed in (5, 6, 7)] == [one.text for one in taped.tape]
    assert texts[8] == taped.tape[8 % 3].text
    assert (await items(backend, replace(plain_request("m"), seed=8)))[-1].text == texts[8]


async def test_the_pace_is_the_recorded_one_or_none() -> None:
    """Pieces stand 10 ms apart on the tape: so they do on the clock, if that is asked for."""
    taped = Taped(Scripted(lambda _: "abcdef", chunk=2))
    await items(taped, plain_request("m"))
    clock = VirtualClock()

    async def times(backend: Replay) -> list[float]:
        return [clock.monotonic() async for _ in backend.generate(plain_request("m"))]

    assert await clock.run(times(Replay(taped.tape, clock, pace="real"))) == pytest.approx(
        [0.0, 0.01, 0.02, 0.03]
    )
    assert await asyncio.wait_for(times(Replay(taped.tape, clock)), 5) == [clock.monotonic()] * 4


def test_what_is_no_trace_file_is_told(tmp_path: Path) -> None:
    """The file, the line, and what was expected there."""
    with pytest.raises(InvalidInput, match="expected a trace file"):
        Replay.read(tmp_path / "none.jsonl", SystemClock())
    path = tmp_path / "t.jsonl"
    path.write_text('{"format": "symposia.trace/2"}\n')
    with pytest.raises(InvalidInput, match=r"t.jsonl, line 1: .*symposia.trace/2"):
        Replay.read(path, SystemClock())
