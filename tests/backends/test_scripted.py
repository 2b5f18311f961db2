"""`Scripted`: a backend without a model, with everything else a backend has."""

from __future__ import annotations

import asyncio

import pytest

from symposia.backends import Fault, Scripted
from symposia.backends.estimate import estimate
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.core.lines import Line, Segment
from symposia.core.message import Reasoning, ToolCall
from symposia.core.profile import Sampling
from symposia.core.request import Completion, Delta, Request
from symposia.core.toolspec import ToolSpec
from symposia.testing import check_backend
from symposia.testing.backends import plain_request
from tests.company import completion

SPEC = ToolSpec(name="pick", description="Pick.", parameters={"type": "object"})


def ask(*texts: str, speaker: str = "ann", **fields) -> Request:
    roles = ("user", "assistant")
    lines = tuple(
        Line(role=roles[i % 2], segments=(Segment(text=t, phase="prompt"),), kind="turn")
        for i, t in enumerate(texts)
    )
    return Request(model="m", lines=lines, speaker=speaker, **fields)


async def items(backend: Scripted, request: Request) -> list[Delta | Completion]:
    return [item async for item in backend.generate(request)]


async def gather(stream, got: list[Delta | Completion]) -> None:
    async for item in stream:
        got.append(item)  # noqa: PERF401 - what came before an error must be kept


async def text(backend: Scripted, request: Request) -> str:
    return (await items(backend, request))[-1].text


@pytest.mark.parametrize(
    "options", [{}, {"chunk": 3}, {"latency_s": 0.001}, {"features": frozenset({"tools"})}]
)
async def test_it_keeps_the_backend_protocol(options: dict) -> None:
    """Whatever its options, Scripted passes the conformance check a real backend must pass."""
    await check_backend(Scripted(lambda _: "well, let me see", **options), "m")


async def test_a_list_is_indexed_by_what_the_speaker_said() -> None:
    """The k-th reply answers a request with k assistant lines, so asking twice gives the same."""
    backend = Scripted({"ann": ["first", "second"]})
    for _ in range(2):
        assert await text(backend, ask("q")) == "first"
        assert await text(backend, ask("q", "first", "q2")) == "second"


async def test_running_out_raises_unless_it_cycles() -> None:
    """No reply left, or none for that speaker, is an error that says so; `cycle` begins again."""
    with pytest.raises(InvalidInput, match="reply 2"):
        await text(Scripted({"ann": ["only"]}), ask("q", "a", "q"))
    with pytest.raises(InvalidInput, match="bob"):
        await text(Scripted({"ann": ["only"]}), ask("q", speaker="bob"))
    assert await text(Scripted({"ann": ["a", "b"]}, cycle=True), ask("q", "a", "q", "b", "q")) == "a"


async def test_replies_may_be_texts_calls_completions_and_errors() -> None:
    """Each kind of reply becomes what it stands for; anything else is refused."""
    whole = completion("x", parts=(Reasoning("hm"),))
    assert (await items(Scripted(lambda _: whole), ask("q")))[-1] is whole
    forced = await items(
        Scripted(lambda _: {"name": "bob"}, features=frozenset({"force"})), ask("q", force=SPEC)
    )
    assert forced[-1].parts == (ToolCall(id="call_0", name="pick", arguments={"name": "bob"}),)
    assert forced[-1].finish_reason == "tool_calls"
    with pytest.raises(KeyError):
        await text(Scripted(lambda _: KeyError("mine")), ask("q"))
    with pytest.raises(InvalidInput, match="not asked to call"):
        await text(Scripted(lambda _: {"a": 1}), ask("q"))
    with pytest.raises(InvalidInput, match="int"):
        await text(Scripted(lambda _: 3), ask("q"))


async def test_choices_are_scored_by_the_reply() -> None:
    """The choice equal to the reply scores highest; a reply that is none of them favours none."""
    backend = Scripted({"ann": ["yes", "perhaps"]}, features=frozenset({"choices"}))
    scored = (await items(backend, ask("q", choices=("no", "yes"))))[-1]
    assert scored.scores.logprobs[1] > scored.scores.logprobs[0]
    tied = (await items(backend, ask("q", "a", "q", choices=("no", "yes"))))[-1]
    assert len(set(tied.scores.logprobs)) == 1


@pytest.mark.parametrize(
    ("fields", "said", "finish"),
    [
        ({}, "one two. three four", "stop"),
        ({"sampling": Sampling(max_tokens=2)}, "one two.", "length"),
        ({"sampling": Sampling(stop=(" three",))}, "one two.", "stop_string"),
        ({"stop_after": ("three",)}, "one two. three", "stop_string"),
        ({"stop_after": ("four",), "sampling": Sampling(stop=("two",))}, "one ", "stop_string"),
        ({"stop_after": ("four",), "sampling": Sampling(max_tokens=3)}, "one two. three", "length"),
    ],
)
async def test_limits_are_applied_as_an_endpoint_would(fields: dict, said: str, finish: str) -> None:
    """Word budget, stop strings (left out) and stop-after strings (kept): the earliest wins, and the reason is true."""
    last = (await items(Scripted(lambda _: "one two. three four"), ask("q", **fields)))[-1]
    assert (last.text, last.finish_reason) == (said, finish)
    assert last.usage.output_tokens == len(said.split())


async def test_chunks_are_deltas() -> None:
    """`chunk` characters a delta, one delta without; then one completion."""
    chunked = await items(Scripted(lambda _: "abcdefg", chunk=3), ask("q"))
    assert [item.text for item in chunked] == ["abc", "def", "g", "abcdefg"]
    assert [item.text for item in await items(Scripted(lambda _: "abcdefg"), ask("q"))] == [
        "abcdefg",
        "abcdefg",
    ]


async def test_latency_passes_before_the_first_delta() -> None:
    """With a virtual clock, time passes without waiting."""
    clock = VirtualClock()
    backend = Scripted(lambda _: "x", latency_s=30, clock=clock)
    assert await clock.run(text(backend, ask("q"))) == "x"
    assert clock.monotonic() == 30


async def test_faults_fail_as_many_generations_as_they_say() -> None:
    """A fault matches by speaker and turn, after some deltas, `times` times; then all is well."""
    backend = Scripted(
        lambda _: "abc", chunk=1, faults=(Fault(cause="timeout", speaker="ann", after=2, times=2),)
    )
    for _ in range(2):
        got: list[Delta | Completion] = []
        with pytest.raises(BackendError, match="fault for ann") as caught:
            await gather(backend.generate(ask("q")), got)
        assert caught.value.cause == "timeout"
        assert [item.text for item in got] == ["a", "b"]
    assert await text(backend, ask("q")) == "abc"
    assert await text(Scripted(lambda _: "x", faults=(Fault(cause="auth", turn=4),)), ask("q", turn=3)) == "x"


async def test_a_fault_after_the_last_delta_is_a_stream_without_an_end() -> None:
    """`after` beyond the text fails before the completion."""
    backend = Scripted(lambda _: "abc", faults=(Fault(cause="stream_truncated", after=9),))
    with pytest.raises(BackendError):
        await text(backend, ask("q"))


async def test_what_was_asked_is_recorded_and_what_was_refused_is_not() -> None:
    """`requests` holds every request that was accepted, in order."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(UnsupportedRequest):
        await text(backend, ask("q", logprobs=1))
    await text(backend, ask("q"))
    assert backend.requests == [ask("q")]


async def test_a_thinking_mode_needs_the_feature() -> None:
    """Without the feature `thinking`, a mode is refused; with it, all modes are accepted."""
    loud = ask("q", sampling=Sampling(thinking="high"))
    with pytest.raises(UnsupportedRequest):
        await text(Scripted(lambda _: "x"), loud)
    assert await text(Scripted(lambda _: "x", features=frozenset({"thinking"})), loud) == "x"


async def test_closing_early_leaves_nothing_running() -> None:
    """A closed generation has no task, and its latency is not waited for."""
    clock = VirtualClock()
    backend = Scripted(lambda _: "x", latency_s=30, clock=clock)
    waiting = asyncio.ensure_future(text(backend, ask("q")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_estimate_is_the_documented_one() -> None:
    """ceil(UTF-8 bytes of texts and tools / 3) + 8 a line, never exact; a forced tool is a tool."""
    prompt = estimate(ask("é" * 10, "ab"))
    assert (prompt.tokens, prompt.exact) == (-(-22 // 3) + 16, False)
    assert estimate(ask("q", force=SPEC)).tokens > estimate(ask("q")).tokens
    assert estimate(ask("q", tools=(SPEC,))).tokens == estimate(ask("q", force=SPEC)).tokens


async def test_the_conformance_check_catches_what_breaks_the_protocol() -> None:
    """A backend that honours nothing it was asked, or ends twice, or never, fails `check_backend`."""

    class Careless(Scripted):
        async def generate(self, request):
            yield Delta(text="x")
            yield completion("x")

    class Twice(Scripted):
        async def generate(self, request):
            yield completion("x")
            yield completion("x")

    class Never(Scripted):
        async def generate(self, request):
            yield Delta(text="x")

    for broken, says in (
        (Careless, "interventions"),
        (Twice, "only deltas"),
        (Never, "expected a Completion"),
    ):
        with pytest.raises(AssertionError, match=says):
            await check_backend(broken(lambda _: "x"), "m")
    assert plain_request("m").model == "m"
