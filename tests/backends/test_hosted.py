"""Hosted models end to end: real SDKs, a real server on loopback."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

from symposia.backends import AnthropicEndpoint, OpenAIEndpoint
from symposia.backends.endpoint import check_url
from symposia.backends.hosts import prices_of
from symposia.backends.openai.flavours import FLAVOURS
from symposia.backends.policy import Policy, Retries
from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.request import Completion, Delta, Retrying
from symposia.core.usage import Price
from symposia.testing import check_backend
from symposia.testing.faults import SENTENCE, Call, FaultyUpstream, Reply, Used
from tests.backends.asking import ADD, LOOSE, MODEL, asked, hosts, items_of, line, of, openai, whole

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])


@pytest.mark.parametrize("flavour", [*FLAVOURS, "anthropic"])
async def test_the_whole_protocol_is_kept(flavour: str) -> None:
    """`check_backend`, for every flavour and for the other protocol."""
    async with FaultyUpstream() as server:
        endpoint = of("anthropic", server) if flavour == "anthropic" else openai(server, flavour=flavour)
        backend = hosts().backend("up", endpoint)
        try:
            await check_backend(backend, MODEL)
        finally:
            await backend.aclose()


@BOTH
async def test_a_reply_streams(dialect: str) -> None:
    """Characters of any width, piece by piece; usage as the server counts; one request, streamed."""
    async with FaultyUpstream() as server:
        *deltas, done = await items_of(of(dialect, server), asked())
        [received] = server.asked
    assert isinstance(done, Completion)
    assert done.text == SENTENCE
    assert len(deltas) > 5
    assert all(isinstance(d, Delta) for d in deltas)
    assert (done.finish_reason, done.usage.estimated, done.usage.attempts) == ("stop", False, 1)
    assert received.body["stream"] is True
    assert received.key == "k-0123456789"


@BOTH
async def test_a_tool_loop_goes_there_and_back(dialect: str) -> None:
    """Reasoning, a call under a name of ours, its result, an answer: a strict server takes every step."""
    first = Reply(
        reasoning="Let me look.", text="One moment.", calls=(Call(name="files_read", arguments={"p": "ü"}),)
    )
    async with FaultyUpstream(replies=[first, "Done."], strict=True) as server:
        endpoint = of(dialect, server, **({"flavour": "vllm"} if dialect == "openai" else {}))
        done = await whole(endpoint, asked(tools=(LOOSE,)))
        thought, text, call = done.parts
        assert isinstance(thought, Reasoning)
        assert isinstance(call, ToolCall)
        assert (text, call.name, call.arguments) == (Text("One moment."), "files.read", {"p": "ü"})
        assert done.finish_reason == "tool_calls"
        lines = (
            *asked().lines,
            line("assistant", "One moment.", calls=(call,), reasoning=(thought,), kind="trail"),
            line("tool", "read", call_id=call.id, call_name=call.name, kind="trail"),
        )
        answered = await whole(endpoint, asked(tools=(LOOSE,), lines=lines))
        sent = server.asked[1].body["messages"]
    assert answered.text == "Done."
    if dialect == "openai":
        assert sent[1]["reasoning"] == "Let me look."
    else:
        assert sent[1]["content"][0]["thinking"] == "Let me look."
        assert sent[1]["content"][0]["signature"]


@BOTH
async def test_a_forced_call_and_a_shape(dialect: str) -> None:
    """What is demanded comes in that form."""
    async with FaultyUpstream() as server:
        forced = await whole(of(dialect, server), asked(force=ADD))
        shaped = await whole(of(dialect, server), asked(schema=ADD.parameters))
    assert [(c.name, c.arguments) for c in forced.parts if isinstance(c, ToolCall)] == [("add", {"a": 1})]
    assert forced.finish_reason == "tool_calls"
    assert shaped.text == '{"a": 1}'


@BOTH
async def test_stop_after_closes_the_response(dialect: str) -> None:
    """The text ends right after the string; a second call is served, on a connection that is not the cut one's rest."""
    long = " ".join(["word"] * 5 + ["END"] + ["never"] * 5000)
    async with FaultyUpstream(replies=[long, "next"]) as server:
        backend = hosts().backend("up", of(dialect, server))
        cut = [i async for i in backend.generate(asked(stop_after=("END",), max_tokens=10_000))][-1]
        after = [i async for i in backend.generate(asked())][-1]
        await backend.aclose()
    assert isinstance(cut, Completion)
    assert isinstance(after, Completion)
    assert cut.text == "word word word word word END"
    assert (cut.finish_reason, cut.usage.estimated) == ("stop_string", True)
    assert after.text == "next"


@BOTH
async def test_attempts_are_told_and_counted(dialect: str) -> None:
    """Two failures, then an answer: two `Retrying` before the first delta, three attempts in the usage."""
    async with FaultyUpstream("429:retry-after-ms=1,500,200") as server:
        items = await items_of(of(dialect, server), asked())
        assert len(server.asked) == 3
    assert [i.cause for i in items[:2] if isinstance(i, Retrying)] == ["rate_limited", "server_error"]
    assert isinstance(items[-1], Completion)
    assert items[-1].usage.attempts == 3


async def test_reports_of_cached_tokens_and_cost() -> None:
    """Of the protocols' own fields; a cost nobody stated stays unknown."""
    used = Used(prompt=100, completion=9, cached=64, reasoning=3)
    async with FaultyUpstream(replies=[Reply(text="x", usage=used)]) as server:
        for dialect in ("openai", "anthropic"):
            done = await whole(of(dialect, server), asked())
            assert (done.usage.input_tokens, done.usage.cached_tokens, done.usage.output_tokens) == (
                100,
                64,
                9,
            )
            assert done.usage.cost_usd is None


async def test_one_client_for_each_event_loop() -> None:
    """A backend made once serves calls of several loops; within one, connections are used again."""
    async with FaultyUpstream() as server:
        backend = hosts().backend("up", openai(server))

        async def twice() -> list[str]:
            texts = []
            for _ in range(2):
                texts += [i.text async for i in backend.generate(asked()) if isinstance(i, Completion)]
            await backend.aclose()
            return texts

        assert await twice() == [SENTENCE] * 2
        assert await asyncio.to_thread(asyncio.run, twice()) == [SENTENCE] * 2
    gc.collect()


class Counting(FaultyUpstream):
    """Counts connections."""

    connections = 0

    def _connected(self, reader, writer) -> None:
        self.connections += 1
        super()._connected(reader, writer)


@BOTH
async def test_a_connection_is_used_again(dialect: str) -> None:
    """After answers and after errors; a reply that was cut here takes its connection with it."""
    async with Counting("200,200,400,200", replies=["word " * 500]) as server:
        backend = hosts().backend("up", of(dialect, server))
        for _ in range(2):
            assert [i async for i in backend.generate(asked())]
        with pytest.raises(BackendError):
            await anext(backend.generate(asked()))
        assert [i async for i in backend.generate(asked())]
        assert server.connections == 1
        assert [i async for i in backend.generate(asked(stop_after=("word",), max_tokens=5000))]
        assert [i async for i in backend.generate(asked())]
        assert server.connections == 2
        await backend.aclose()


async def test_cookies_are_kept_for_every_connection() -> None:
    """What a server sets in one answer it gets with the next request, whichever client sends that."""
    seen: list[str | None] = []

    async def serve(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("cookie"))
        await asyncio.sleep(0)
        return httpx2.Response(503, headers={"set-cookie": "at=1; Path=/"})

    made = hosts(transport=httpx2.MockTransport(serve), policy=Policy(retries=Retries(attempts=1)))
    backend = made.backend("up", OpenAIEndpoint(base_url="http://127.0.0.1/v1", key="env:KEY"))

    async def call() -> None:
        with pytest.raises(BackendError):
            await anext(backend.generate(asked()))

    await call()
    await asyncio.gather(call(), call(), call())
    await backend.aclose()
    assert seen == [None, *["at=1"] * 3]


async def test_what_has_no_json_is_not_sent() -> None:
    """NaN is refused by the field's name, before anything is sent."""
    async with FaultyUpstream() as server:
        with pytest.raises(InvalidInput, match="temperature"):
            await items_of(openai(server), asked(temperature=float("nan")))
        assert server.asked == []


async def test_calls_at_once_have_a_connection_each() -> None:
    """Twenty at once take twenty, and twenty more take no other."""
    async with Counting() as server:
        backend = hosts().backend("up", openai(server))

        async def call() -> None:
            assert [i async for i in backend.generate(asked())]

        for _ in range(2):
            await asyncio.gather(*(call() for _ in range(20)))
            assert server.connections == 20
        await backend.aclose()


@BOTH
async def test_closing_early_leaves_nothing_open(dialect: str) -> None:
    """A listener that leaves ends the request: no task stays, and the slot is free again."""
    async with FaultyUpstream(replies=["word " * 1000]) as server:
        backend = hosts().backend("up", of(dialect, server, concurrency=1))
        before = asyncio.all_tasks()
        for _ in range(3):
            stream = backend.generate(asked(max_tokens=5000))
            await anext(stream)
            await stream.aclose()
        assert {t for t in asyncio.all_tasks() - before if "_serve" not in repr(t)} == set()
        await backend.aclose()


async def test_headers_and_keys() -> None:
    """Declared headers are sent; no key, no Authorization; an organisation of OpenAI's is told to OpenAI alone."""
    async with FaultyUpstream() as server:
        plain = await whole(openai(server, key="none", headers={"X-Title": "t"}), asked())
        assert plain.text
        await whole(openai(server, flavour="vllm"), asked())
        await whole(of("anthropic", server, key="none"), asked())
        first, second, third = server.asked
    assert first.headers["x-title"] == "t"
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Bearer k-0123456789"
    assert not {"authorization", "x-api-key"} & third.headers.keys()


async def test_a_redirect_is_not_followed() -> None:
    """The key and the texts go where the endpoint says, nowhere else."""
    async with FaultyUpstream("307") as server:
        with pytest.raises(BackendError) as caught:
            await whole(openai(server), asked())
        assert len(server.asked) == 1
    assert caught.value.cause == "bad_response"


@BOTH
async def test_a_missing_key_is_told_when_it_is_needed(dialect: str) -> None:
    """Both ways are named; describing and refusing need no key."""
    async with FaultyUpstream() as server:
        backend = hosts(env={}).backend("up", of(dialect, server, key=None))
        assert (await backend.describe(MODEL)).features
        with pytest.raises(UnsupportedRequest):
            await anext(backend.generate(asked(choices=("a", "b"))))
        usual = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}[dialect]
        with pytest.raises(InvalidInput, match=f"{usual}_FILE"):
            await anext(backend.generate(asked()))
        with pytest.raises(InvalidInput, match=usual):
            await backend.ready()
        assert server.received == []


def test_plain_http_stays_on_this_machine() -> None:
    """Unless somebody takes it on himself; user info is not repeated."""
    for url in ("http://localhost:1/v1", "http://127.0.0.1/v1", "http://[::1]:2", "https://far.test/v1"):
        OpenAIEndpoint(base_url=url)
    OpenAIEndpoint(base_url="http://far.test/v1", insecure=True)
    with pytest.raises(InvalidInput, match="unencrypted") as caught:
        AnthropicEndpoint(base_url="http://user:secret@far.test/v1")
    assert "secret" not in str(caught.value)
    for url in ("ftp://x", "far.test", ""):
        with pytest.raises(InvalidInput, match="expected http"):
            check_url(url, insecure=False)


def test_a_key_no_header_can_carry_is_told_without_it() -> None:
    """A line break in a key file is found before anything is sent."""
    backend = hosts(env={"KEY": "k-01234\n56789"}).backend("up", OpenAIEndpoint(key="env:KEY"))
    with pytest.raises(InvalidInput, match="line break") as caught:
        asyncio.run(backend.ready())
    assert "56789" not in str(caught.value)


def test_a_header_nobody_could_send_is_refused_where_it_is_declared() -> None:
    """At the file's reader, not in the middle of a run."""
    for value in ("grün", "two\nlines"):
        with pytest.raises(InvalidInput, match="X-Title"):
            OpenAIEndpoint(headers={"X-Title": value})


class Lingering(httpx2.AsyncBaseTransport):
    """Answers in full, and never hangs up."""

    closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=_NeverOver(self))


class _NeverOver(httpx2.AsyncByteStream):
    def __init__(self, transport: Lingering) -> None:
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices":[{"delta":{"content":"Done."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self._transport.closed = True


async def test_a_server_that_does_not_hang_up_is_not_waited_for() -> None:
    """The answer has ended when the server says so; the connection is given up."""
    transport = Lingering()
    endpoint = OpenAIEndpoint(base_url="http://localhost/v1", key="none")
    assert (await whole(endpoint, asked(), transport=transport)).text == "Done."
    assert transport.closed


def test_prices_of_endpoints_are_by_address() -> None:
    """As the kit of a conversation takes them."""
    price = Price(input=1, output=2)
    assert prices_of({"up": OpenAIEndpoint(prices={"a:b": price})}) == {"up:a:b": price}


async def test_the_usual_variables_move_the_built_in_endpoints() -> None:
    """As they move the SDKs."""
    async with FaultyUpstream() as server:
        env = {"OPENAI_BASE_URL": server.base_url, "ANTHROPIC_BASE_URL": server.root_url}
        table = hosts(env=env).built_in()
        assert (table["openai"].url, table["anthropic"].url) == (server.base_url, server.root_url)
    assert table["openrouter"].url == "https://openrouter.ai/api/v1"


def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    """Before anything is sent, in a process that has neither SDK."""
    code = """
import asyncio, sys
sys.modules["openai"] = sys.modules["anthropic"] = None
from symposia.backends.hosts import Hosts
for name, endpoint in Hosts({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}).built_in().items():
    if name in ("openai", "anthropic"):
        try:
            asyncio.run(Hosts({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}).backend(name, endpoint).ready())
        except Exception as error:
            print(type(error).__name__, error)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["UnsupportedRequest"] * 2
    assert "pip install 'symposia[openai]'" in done.stdout
    assert "pip install 'symposia[anthropic]'" in done.stdout


async def test_two_names_for_one_key_share_its_limits() -> None:
    """They cannot spend them twice, nor contradict each other."""
    async with FaultyUpstream() as server:
        made = hosts()
        endpoint = openai(server, rpm=1000)
        first, second = made.backend("a", endpoint), made.backend("b", endpoint)
        third = made.backend("c", replace(endpoint, rpm=5))
        await first.ready()
        await second.ready()
        with pytest.raises(InvalidInput, match="give both the same"):
            await third.ready()
        for backend in (first, second):
            await backend.aclose()
