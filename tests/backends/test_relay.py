"""A server relayed to, end to end: a real one on loopback."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from symposia.backends.policy import Timeouts
from symposia.backends.relay import Relay, flavour_at
from symposia.core.clock import SystemClock
from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.core.message import Reasoning, ToolCall
from symposia.core.redact import Secret
from symposia.core.request import About, Completion, Delta, Item, ModelCard, Prompt, Request, Retrying
from symposia.testing import check_backend
from symposia.testing.backends import demanding
from symposia.testing.faults import PLANTED_KEY, SENTENCE, Call, FaultyUpstream, Reply, Step, Used
from tests.backends.asking import ADD, LOOSE, line
from tests.backends.relaying import MODES, SHORT, asking, items_of, relay, whole

pytestmark = pytest.mark.timeout(60)
BOTH_WAYS = pytest.mark.parametrize("streamed", MODES, ids=("streamed", "whole"))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVERYTHING = Reply(
    text="Grüße, 雪 and 🌨.",
    reasoning="let me think",
    calls=(
        Call(id="a", name="files_read", arguments={"p": "ü"}),
        Call(id="b", name="add", arguments={"a": 1}),
    ),
    usage=Used(prompt=200, completion=90, cached=5, reasoning=3),
)


class InOnePiece:
    """A backend that is never asked for a stream."""

    def __init__(self, backend: Relay) -> None:
        self._backend = backend

    async def describe(self, model: str) -> ModelCard:
        return await self._backend.describe(model)

    async def render(self, request: Request) -> Prompt:
        return await self._backend.render(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        stream = self._backend.generate(replace(request, about=About(streamed=False)))
        try:
            async for item in stream:
                yield item
        finally:
            assert isinstance(stream, AsyncGenerator)
            await stream.aclose()


@BOTH_WAYS
@pytest.mark.parametrize("flavour", ["generic", "openai", "openrouter", "vllm", "sglang", "ollama"])
async def test_the_whole_protocol_is_kept(flavour: str, streamed: bool) -> None:
    """`check_backend`, for every flavour, streamed and in one piece."""
    async with FaultyUpstream() as server, relay(server, flavour=flavour) as backend:
        await check_backend(backend if streamed else InOnePiece(backend), "upstream:gpt-x")
        assert {one.body["stream"] for one in server.asked} == {streamed}


async def test_it_streams_only_if_the_caller_does() -> None:
    """Usage is asked for where that must be asked; what is not streamed comes as one delta."""
    async with FaultyUpstream() as server, relay(server) as backend:
        pieces = await items_of(backend, asking())
        piece = await items_of(backend, asking(streamed=False))
        first, second = (one.body for one in server.asked)
    assert (first["stream"], first["stream_options"]) == (True, {"include_usage": True})
    assert (second["stream"], "stream_options" in second) == (False, False)
    assert (len(piece), piece[0]) == (2, Delta(text=SENTENCE))
    assert len(pieces) > 5


async def test_both_ways_give_the_same_completion() -> None:
    """Reasoning, text, calls under names of ours, logprobs, usage and finish."""
    async with FaultyUpstream(replies=[EVERYTHING]) as server, relay(server) as backend:
        request = asking(tools=(LOOSE, ADD), logprobs=2)
        streamed = await whole(backend, request)
        assert await whole(backend, replace(request, about=About(streamed=False))) == streamed
    thought, _, read, added = streamed.parts
    assert isinstance(thought, Reasoning)
    assert isinstance(read, ToolCall)
    assert isinstance(added, ToolCall)
    assert (read.name, read.arguments, added.name) == ("files.read", {"p": "ü"}, "add")
    assert (streamed.usage.input_tokens, streamed.usage.cached_tokens, streamed.usage.reasoning_tokens) == (
        200,
        5,
        3,
    )
    assert streamed.logprobs is not None
    assert len(streamed.logprobs.top[0]) == 2
    assert streamed.served.endpoint == "upstream"
    assert streamed.served.request_id == "", "the server's own ids stay with it"


async def test_lines_go_as_they_stand() -> None:
    """The caller chose their order: nothing is joined, moved or labelled."""
    lines = (
        line("system", "Be brief."),
        line("system", "Be kind."),
        line("assistant", "Hello."),
        line("user", "One."),
        line("user", "Two."),
        line("system", "Now."),
    )
    for flavour in ("generic", "vllm"):
        async with FaultyUpstream() as server, relay(server, flavour=flavour) as backend:
            await whole(backend, asking(lines=lines))
            sent = server.asked[0].body["messages"]
        assert [(one["role"], one["content"]) for one in sent] == [(one.role, one.text) for one in lines]


async def test_what_cannot_be_honoured_is_refused_before_any_call() -> None:
    """Interventions and captures first of all."""
    async with FaultyUpstream() as server, relay(server) as backend:
        card = await backend.describe("upstream:gpt-x")
        asks = demanding(asking())
        assert {"interventions", "captures"} <= asks.keys() - card.features
        for feature in asks.keys() - card.features:
            with pytest.raises(UnsupportedRequest):
                await anext(backend.generate(asks[feature]))
        assert server.received == []


async def test_nothing_of_the_caller_is_sent_but_its_traceparent() -> None:
    """One header more where there is one; none where it is no trace context. No cookie comes back."""
    biscuit = Step(kind="answer", headers=(("set-cookie", "a=b; Path=/"),))
    async with FaultyUpstream([biscuit]) as server, relay(f"http://localhost:{server.port}") as backend:
        await whole(backend, replace(asking(), about=About(traceparent=TRACEPARENT)))
        await whole(backend, asking())
        await whole(backend, replace(asking(), about=About(traceparent="evil\r\nx-admin: 1", run="r")))
        first, *others = (set(one.headers) for one in server.asked)
        assert server.asked[0].headers["traceparent"] == TRACEPARENT
        assert server.asked[0].key == PLANTED_KEY
    assert others == [first - {"traceparent"}] * 2
    assert first - {"traceparent"} == {
        "host",
        "authorization",
        "content-type",
        "content-length",
        "accept",
        "accept-encoding",
        "user-agent",
    }


async def test_no_key_no_header() -> None:
    """A server of one's own needs none."""
    async with FaultyUpstream() as server, relay(server, key=None) as backend:
        await whole(backend, asking())
        assert "authorization" not in server.asked[0].headers


async def test_the_environment_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no netrc."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with FaultyUpstream() as server, relay(server) as backend:
        assert (await whole(backend, asking())).text == SENTENCE


async def test_a_redirect_is_not_followed() -> None:
    """The key and the texts go where the address says."""
    away = Step(kind="status", status=307, headers=(("location", "http://127.0.0.1:9/"),))
    async with FaultyUpstream([away]) as server, relay(server) as backend:
        with pytest.raises(BackendError) as caught:
            await whole(backend, asking())
        assert len(server.asked) == 1
    assert caught.value.cause == "bad_response"


async def test_an_address_without_a_path_is_completed() -> None:
    """As people give it in INFERENCE_BASE_URL; a slash at the end is none."""
    async with FaultyUpstream() as server:
        for url in (server.root_url, f"{server.root_url}/", server.base_url, f"{server.base_url}/"):
            async with relay(url) as backend:
                await whole(backend, asking())
        assert {one.path for one in server.asked} == {"/v1/chat/completions"}


def test_known_servers_are_known_by_their_address() -> None:
    """So that a field goes by the name that server gives it."""
    assert flavour_at("https://api.openai.com/v1/") == "openai"
    assert flavour_at("https://api.openai.com") == "openai"
    assert flavour_at("http://localhost:11434/v1") == "ollama"
    assert flavour_at("https://models.example/v1") == "generic"


def test_what_no_header_can_carry_is_told_without_it() -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidInput, match="line break") as caught:
        Relay("http://127.0.0.1/v1", Secret("k-0123\n456789"), Timeouts(), SystemClock())
    assert "456789" not in str(caught.value)
    with pytest.raises(InvalidInput, match="expected http"):
        Relay("upstream.example", None, Timeouts(), SystemClock())


async def test_models_are_listed() -> None:
    """In the server's order; a refusal is classified like any other."""
    async with FaultyUpstream(models=("b", "a")) as server, relay(server) as backend:
        assert await backend.models() == ("b", "a")
    nobody = closed_port()
    async with relay(f"http://127.0.0.1:{nobody}/v1") as backend:
        with pytest.raises(BackendError) as caught:
            await backend.models()
    assert caught.value.cause == "connection"
    assert str(nobody) not in str(caught.value)


async def test_unknown_fields_are_named_once_a_reply() -> None:
    """By path, streamed and whole; what is empty loses nothing; what we make anew ourselves is not missed."""
    chunk = (
        '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","provider":"p","x_empty":null,"choices":'
        '[{"index":0,"%s":{"role":"assistant","content":"a","annotations":[1]},"finish_reason":%s,"native":"eos"}]%s}'
    )
    used = ',"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"prompt_cache_hit_tokens":2}'
    events = [chunk % ("delta", "null", ""), chunk % ("delta", '"stop"', ""), chunk % ("delta", "null", used)]
    stream = "".join(f"data: {one}\n\n" for one in [*events, "[DONE]"])
    expected = {"provider", "choices.native", "usage.prompt_cache_hit_tokens"}
    for streamed in MODES:
        named: list[str] = []
        raw = stream if streamed else chunk % ("message", '"stop"', used)
        kind = "text/event-stream" if streamed else "application/json"
        async with answering(kind, raw.encode()) as url, relay(url, unknown=named.append) as backend:
            done = await whole(backend, asking(streamed=streamed))
            assert sorted(named) == sorted(
                expected | {f"choices.{'delta' if streamed else 'message'}.annotations"}
            )
            assert done.usage.input_tokens == 3


async def test_a_field_that_is_named_like_a_secret_is_not_named() -> None:
    """Only plain words are names."""
    named: list[str] = []
    raw = b'{"sk-0123456789abcdef!": 1, "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}'
    async with answering("application/json", raw) as url, relay(url, unknown=named.append) as backend:
        await whole(backend, asking(streamed=False))
    assert named == ["other"]


async def test_the_reply_says_itself_whether_it_streams() -> None:
    """A server that answers in the other way than it was asked is understood all the same."""
    plain = b'{"choices": [{"index": 0, "message": {"content": "Yes."}, "finish_reason": "stop"}]}'
    events = b'data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\n'
    for streamed, kind, raw in ((True, "application/json", plain), (False, "text/event-stream", events)):
        async with answering(kind, raw) as url, relay(url) as backend:
            assert (await whole(backend, asking(streamed=streamed))).text == "Yes."


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that reads a request's head and leaves the rest to `answer`; its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def answering(kind: str, raw: bytes) -> AsyncIterator[str]:
    """A server that says just this."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n"
        writer.write(head.encode() + raw)
        await writer.drain()

    async with serving(answer) as url:
        yield url


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Counting(FaultyUpstream):
    """Counts connections."""

    connections = 0

    def _connected(self, reader, writer) -> None:
        self.connections += 1
        super()._connected(reader, writer)


@BOTH_WAYS
async def test_a_connection_is_used_again(streamed: bool) -> None:
    """After answers, after errors that were read; side by side there are as many as are needed."""
    async with Counting("200,200,400,500,429,200*20") as server, relay(server) as backend:
        for _ in range(2):
            await whole(backend, asking(streamed=streamed))
        for _ in range(3):
            with pytest.raises(BackendError):
                await whole(backend, asking(streamed=streamed))
        await whole(backend, asking(streamed=streamed))
        assert server.connections == 1
        await asyncio.gather(*(whole(backend, asking(streamed=streamed)) for _ in range(12)))
        assert 1 < server.connections <= 12


async def test_a_text_cut_here_takes_its_connection_with_it() -> None:
    """The rest of a stopped reply is not waited for, and is in no other reply."""
    async with Counting(replies=["word " * 5000, "next"]) as server, relay(server) as backend:
        cut = await whole(
            backend, asking(stop_after=("word",), sampling=replace(asking().sampling, max_tokens=9999))
        )
        assert (cut.text, cut.finish_reason, cut.usage.estimated) == ("word", "stop_string", True)
        assert (await whole(backend, asking())).text == "next"
        assert server.connections == 2


async def test_one_pool_for_each_event_loop() -> None:
    """A relay made once serves several loops."""
    async with FaultyUpstream() as server:
        backend = Relay(server.base_url, None, Timeouts(), SystemClock())

        async def once() -> str:
            text = (await whole(backend, asking())).text
            await backend.aclose()
            return text

        assert await once() == SENTENCE
        assert await asyncio.to_thread(asyncio.run, once()) == SENTENCE
    gc.collect()


@pytest.mark.parametrize("leaves", ["closes", "is cancelled"])
@pytest.mark.parametrize("name", ["stall", "silence"])
@BOTH_WAYS
async def test_a_listener_that_leaves_frees_the_server(name: str, leaves: str, streamed: bool) -> None:
    """Before the headers or in the middle, closed or cancelled: the server sees it within a second."""
    async with FaultyUpstream() as server, relay(server) as backend:
        stream = backend.generate(asking(f"fault-{name}", streamed=streamed))
        assert isinstance(stream, AsyncGenerator)
        waits = name == "silence" or not streamed
        if not waits:
            assert await anext(stream) == Delta(text="Grüße")
        task = asyncio.ensure_future(anext(stream)) if waits or leaves == "is cancelled" else None
        await server.arrived()
        if task is not None:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await stream.aclose()
        async with asyncio.timeout(1):
            await server.abandoned()
        assert server.open == 0


async def test_nobody_there_is_asked_once_more() -> None:
    """Nothing was sent, so one repetition harms nobody; it is told before, and counted."""
    async with relay(f"http://127.0.0.1:{closed_port()}/v1") as backend:
        stream = backend.generate(asking())
        assert await anext(stream) == Retrying(cause="connection", wait_s=0.0, attempt=2)
        with pytest.raises(BackendError, match="ConnectionRefusedError") as caught:
            await anext(stream)
    assert (caught.value.cause, caught.value.attempts) == ("connection", 2)


async def test_the_repetition_may_succeed() -> None:
    """Somebody is there the second time."""
    port = closed_port()
    server = FaultyUpstream()
    async with relay(f"http://127.0.0.1:{port}/v1") as backend:
        stream = backend.generate(asking())
        assert isinstance(await anext(stream), Retrying)
        await server.listen(port)
        items = [item async for item in stream]
        await server.aclose()
    assert isinstance(items[-1], Completion)
    assert (items[-1].usage.attempts, items[-1].text) == (2, SENTENCE)


async def test_a_limit_that_passes_between_two_attempts_ends_nobody_else() -> None:
    """Whoever is told of the repetition may take his time: his own work is not cancelled for it."""
    port = closed_port()
    limits = replace(SHORT, connect_s=0.1, total_s=0.1)
    async with relay(f"http://127.0.0.1:{port}/v1", timeouts=limits) as backend:
        stream = backend.generate(asking())
        assert isinstance(await anext(stream), Retrying)
        await asyncio.sleep(0.4)
        with pytest.raises(BackendError) as caught:
            await anext(stream)
    assert caught.value.cause == "timeout"


async def test_an_error_in_pieces_is_read_whole() -> None:
    """Wherever the network cuts its body."""
    said = b'{"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}'

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n" % len(said))
        for byte in said:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(answer) as url, relay(url) as backend:
        with pytest.raises(BackendError) as caught:
            await whole(backend, asking())
    assert (caught.value.code, caught.value.cause) == ("context_length_exceeded", "context_overflow")


@pytest.mark.parametrize("name", ["hangup", "reset", "500", "429", "503"])
@BOTH_WAYS
async def test_what_was_sent_is_not_sent_again(name: str, streamed: bool) -> None:
    """Whatever came of it, also on a connection used before."""
    async with FaultyUpstream() as server, relay(server) as backend:
        await whole(backend, asking())
        with pytest.raises(BackendError) as caught:
            await items_of(backend, asking(f"fault-{name}", streamed=streamed))
        assert server.attempts[f"fault-{name}"] == 1
    assert caught.value.attempts == 1


async def test_no_room_to_connect_is_a_timeout_of_its_own() -> None:
    """A server that takes no connection: `connect`, once, and nothing was sent."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        async with relay(f"http://127.0.0.1:{address[1]}/v1", timeouts=SHORT) as backend:
            with pytest.raises(BackendError) as caught:
                await whole(backend, asking())
        for one in waiting:
            one.close()
    assert (caught.value.cause, caught.value.code) == ("timeout", "connect")


async def test_all_together_has_a_limit() -> None:
    """Deltas that come steadily do not make it endless."""
    limits = replace(SHORT, total_s=0.5)
    async with FaultyUpstream(replies=["word " * 500]) as server, relay(server, timeouts=limits) as backend:
        with pytest.raises(BackendError) as caught:
            await items_of(backend, asking("fault-slow:between-ms=20"))
        async with asyncio.timeout(1):
            await server.abandoned()
    assert (caught.value.cause, caught.value.code) == ("timeout", "total")


async def test_comments_are_no_sign_of_the_model() -> None:
    """A server that only says it is still there has said nothing: `first_token`."""

    async def chatter(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while True:
            writer.write(b": still processing\n\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(chatter) as url, relay(url, timeouts=SHORT) as backend:
        with pytest.raises(BackendError) as caught:
            await whole(backend, asking())
    assert (caught.value.cause, caught.value.code) == ("timeout", "first_token")


async def test_a_slow_listener_is_not_held_against_the_server() -> None:
    """What was said waits here for as long as the listener likes."""
    async with FaultyUpstream() as server, relay(server, timeouts=SHORT) as backend:
        stream = backend.generate(asking())
        items = [await anext(stream)]
        await asyncio.sleep(SHORT.idle_s * 3)
        items += [item async for item in stream]
    assert isinstance(items[-1], Completion)


async def test_a_finish_is_an_answer_whatever_comes_after() -> None:
    """A server that stalls, or is gone, before its usage and [DONE] has answered: the usage is estimated."""
    said = b'data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\n'

    async def stalls(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n" + said
        )
        await writer.drain()
        await asyncio.get_running_loop().create_future()

    async def goes(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n" + said
        )
        await writer.drain()

    for answer in (stalls, goes):
        async with serving(answer) as url, relay(url, timeouts=SHORT) as backend:
            done = await whole(backend, asking())
        assert (done.text, done.finish_reason, done.usage.estimated) == ("Yes.", "stop", True)


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: no\r\n\r\n"]
)
async def test_what_is_no_http_is_told(raw: bytes) -> None:
    """Something else listens there."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    async with serving(answer) as url, relay(url) as backend:
        with pytest.raises(BackendError) as caught:
            await whole(backend, asking())
    assert caught.value.cause == "bad_response"


async def test_a_reply_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, streamed or not."""
    monkeypatch.setattr("symposia.backends.relay.MOST_HELD", 100_000)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 50_000)
            await writer.drain()

    async with serving(answer) as url, relay(url) as backend:
        with pytest.raises(BackendError, match="more than") as caught:
            await whole(backend, asking(streamed=False))
    assert caught.value.cause == "bad_response"


async def test_closing_early_leaves_nothing_running() -> None:
    """Nor does the end: the one task that looks at deadlines ends when there is nothing to look at."""
    async with FaultyUpstream(replies=["word " * 1000]) as server:
        before = asyncio.all_tasks()
        async with relay(server) as backend:
            for _ in range(3):
                stream = backend.generate(asking())
                await anext(stream)
                await stream.aclose()
        await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)}
        assert left == set()
