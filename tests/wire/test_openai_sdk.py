"""The openai client, in process: what it sends is read, what is written it reads, and errors are its own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, get_args

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.profile import Thinking
from symposia.core.request import Completion, Delta, Feature, Logprobs, ModelCard, Request, ServedBy
from symposia.core.usage import Usage
from symposia.serve.faults import CONDITIONS, Fault
from symposia.serve.replies import Chunks, Decided, Envelope, choice_of, failed, reply, steering_of, usage_of
from symposia.serve.said import total
from symposia.serve.wire import Aim, ChatRequest, Limits, read, to_requests
from tests.examples import examples

CARD = ModelCard(model="m", features=frozenset(get_args(Feature)), thinking=get_args(Thinking))
ENVELOPE = Envelope("chatcmpl-1", 1_700_000_000, "tiny", "sym-0123456789ab")
HELLO: Any = [{"role": "user", "content": "Hi"}]
Say = Callable[[Request], Completion]


class Look(BaseModel):
    """Looks at something."""

    at: str


class Colour(BaseModel):
    name: str
    bright: bool


def completion(text: str = "Hello.", **more: Any) -> Completion:
    fields: dict[str, Any] = {
        "finish_reason": "stop",
        "usage": Usage(input_tokens=3, output_tokens=2),
        "served": ServedBy(endpoint="e", model="m"),
    }
    return Completion(text=text, **(fields | more))


class Server:
    """Reads as the server does, answers what `say` says, and keeps what was asked."""

    def __init__(self, say: Say = lambda _: completion()) -> None:
        self.say = say
        self.asked: list[ChatRequest] = []
        self.made: list[tuple[Request, ...]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        try:
            ask = read(request.content, Limits())
            made = to_requests(ask, Aim("m", CARD), Limits(), seed=7)
        except Fault as fault:
            return refusal(fault)
        self.asked.append(ask)
        self.made.append(made)
        whole = [self.say(one) for one in made]
        raw = self.streamed(ask, made, whole) if ask.stream else self.whole(made, whole)
        kind = "text/event-stream; charset=utf-8" if ask.stream else "application/json"
        return httpx2.Response(200, content=raw, headers={"content-type": kind, "x-request-id": "req_1"})

    @staticmethod
    def whole(made: tuple[Request, ...], completions: list[Completion]) -> bytes:
        choices = [choice_of(i, c, r) for i, (c, r) in enumerate(zip(completions, made, strict=True))]
        block = steering_of(Decided(seed=made[0].seed), ())
        return reply(ENVELOPE, choices, usage_of(total(completions)), block)

    @staticmethod
    def streamed(ask: ChatRequest, made: tuple[Request, ...], completions: list[Completion]) -> bytes:
        chunks = Chunks(ENVELOPE, len(made), include_usage=ask.wants_usage)
        block = steering_of(Decided(seed=made[0].seed), ())
        out = []
        for i, (one, request) in enumerate(zip(completions, made, strict=True)):
            choice = choice_of(i, one, request)
            if choice.message.reasoning_content:
                out.append(chunks.delta(i, Delta(text=choice.message.reasoning_content, phase="reasoning")))
            out += [chunks.delta(i, Delta(text=letter)) for letter in choice.message.content or ""]
            last = i == len(made) - 1 and not ask.wants_usage
            out += [chunks.tail(choice), chunks.finish(i, choice.finish_reason, block if last else None)]
        if ask.wants_usage:
            out.append(chunks.usage(usage_of(total(completions)), block))
        return b"".join([*out, chunks.done()])


def refusal(fault: Fault) -> httpx2.Response:
    headers = [*fault.headers, ("content-type", "application/json"), ("x-request-id", "req_1")]
    return httpx2.Response(fault.status, content=fault.body("req_1"), headers=headers)


def client(handler: Callable[[httpx2.Request], httpx2.Response]) -> OpenAI:
    """The client over a transport in process."""
    return OpenAI(
        api_key="sk-sym-x",
        base_url="http://server/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(handler)),
    )


@pytest.fixture
def server() -> Server:
    return Server()


def test_every_field_the_client_can_send_and_we_honour(server: Server) -> None:
    """The client's own names arrive as they were meant."""
    answer = client(server).chat.completions.create(
        model="tiny",
        messages=[
            {"role": "developer", "content": "Be kind.", "name": "house"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "ann"},
        ],
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=11,
        stop=["END"],
        logit_bias={"5": -3},
        max_completion_tokens=20,
        n=2,
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="low",
        parallel_tool_calls=True,
        response_format={"type": "text"},
        service_tier="auto",
        store=False,
        modalities=["text"],
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        metadata={"team": "blue"},
        extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "steering_profile": "calm"},
    )
    sampling = server.made[0][0].sampling
    assert (sampling.temperature, sampling.top_k, sampling.stop, sampling.thinking) == (
        0.5,
        5,
        ("END",),
        "low",
    )
    assert sampling.logit_bias == ((5, -3.0),)
    assert server.asked[0].metadata == {"team": "blue"}
    assert server.asked[0].steering_profile == "calm"
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content == "Hello."
    assert answer._request_id == "req_1"
    assert answer.model_extra is not None
    assert answer.model_extra["steering"]["seed"] == 11


def test_nulls_of_the_client_ask_for_nothing(server: Server) -> None:
    """Fields it lets users set to None are sent as null."""
    client(server).chat.completions.create(
        model="tiny",
        messages=HELLO,
        temperature=None,
        audio=None,
        stop=None,
        max_tokens=None,
        n=None,
        metadata=None,
        prediction=None,
        reasoning_effort=None,
        verbosity=None,
        stream=None,
        seed=None,
    )
    assert server.made[0][0].sampling.max_tokens == 512


def test_a_tool_loop_sends_the_clients_own_message_objects_back() -> None:
    """The reply's message goes into the history as it is, as object and as dictionary with all its nulls."""
    call = ToolCall(id="c1", name="Look", arguments={"at": "sky"})
    server = Server(lambda r: completion("", parts=(Reasoning("Hmm."), call), finish_reason="tool_calls"))
    chat = client(server).chat.completions
    tools: Any = [pydantic_function_tool(Look)]
    first = chat.create(model="tiny", messages=HELLO, tools=tools, tool_choice="required")
    message = first.choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].type == "function"
    assert json.loads(message.tool_calls[0].function.arguments) == {"at": "sky"}
    assert server.made[0][0].force is not None
    result: Any = {"role": "tool", "tool_call_id": "c1", "content": "blue"}
    for again in (message, message.model_dump(), message.model_dump(exclude_none=True)):
        chat.create(model="tiny", messages=[*HELLO, again, result], tools=tools)
        (request,) = server.made[-1]
        assert request.lines[1].calls == (call,)
        assert request.lines[1].reasoning[0].text == "Hmm."
        assert request.lines[2].call_name == "Look"


def test_parsed_replies_of_a_pydantic_shape() -> None:
    """The parse helper's strict schema is the request's, and its reader takes the reply."""
    server = Server(lambda r: completion('{"name": "blue", "bright": true}'))
    answer = client(server).chat.completions.parse(model="tiny", messages=HELLO, response_format=Colour)
    schema = server.made[0][0].schema
    assert schema is not None
    assert schema["properties"].keys() == {"name", "bright"}
    assert answer.choices[0].message.parsed == Colour(name="blue", bright=True)


def test_logprobs_are_the_clients_objects() -> None:
    """Tokens, bytes and the likeliest, whole and streamed."""
    columns = Logprobs(tokens=("é",), chosen=(-0.5,), top_tokens=(("é", "e"),), top=((-0.5, -1.5),))
    server = Server(lambda r: completion("é", logprobs=columns))
    chat = client(server).chat.completions
    answer = chat.create(model="tiny", messages=HELLO, logprobs=True, top_logprobs=2)
    pieces = list(chat.create(model="tiny", messages=HELLO, logprobs=True, top_logprobs=2, stream=True))
    streamed = next(p.choices[0].logprobs for p in pieces if p.choices[0].logprobs is not None)
    assert answer.choices[0].logprobs is not None
    for content in (answer.choices[0].logprobs.content, streamed.content):
        assert content is not None
        assert (content[0].token, content[0].bytes) == ("é", [0xC3, 0xA9])
        assert [top.token for top in content[0].top_logprobs] == ["é", "e"]


def test_the_stream_helper_gathers_what_was_sent() -> None:
    """Its own fold over our chunks gives the reply that is not streamed."""
    call = ToolCall(id="c1", name="Look", arguments={"at": "sky"})
    parts = (Text("Let me look."), call)
    server = Server(lambda r: completion("Let me look.", parts=parts, finish_reason="tool_calls"))
    chat = client(server).chat.completions
    tools: Any = [pydantic_function_tool(Look)]
    with chat.stream(
        model="tiny", messages=HELLO, tools=tools, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        gathered = stream.get_final_completion()
    whole = chat.create(model="tiny", messages=HELLO, tools=tools)
    assert {"chunk", "content.delta", "tool_calls.function.arguments.done"} <= kinds
    message, expected = gathered.choices[0].message, whole.choices[0].message
    assert message.content == expected.content
    assert message.tool_calls is not None
    assert expected.tool_calls is not None
    assert message.tool_calls[0].function.arguments == expected.tool_calls[0].function.arguments
    assert gathered.choices[0].finish_reason == "tool_calls"
    assert gathered.usage == whole.usage


class Pieces(httpx2.SyncByteStream):
    """A body in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def in_pieces(raw: bytes, cuts: list[int]) -> Callable[[httpx2.Request], httpx2.Response]:
    """A server that sends a body cut at these places."""
    at = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    pieces = [raw[a:b] for a, b in pairwise(at)]
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return lambda _: httpx2.Response(200, stream=Pieces(pieces), headers=headers)


@examples(50)
@given(
    said=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 10_000), max_size=20),
    n=st.integers(1, 3),
)
def test_streams_cut_anywhere_are_read(said: list[str], cuts: list[int], n: int) -> None:
    """Any text of any choice, in pieces of any size: the client hears it all, and a finish for each."""
    chunks = Chunks(ENVELOPE, n)
    raw = b"".join(chunks.delta(i, Delta(text=text)) for text in said for i in range(n))
    raw += b": ping\n\n" + b"".join(chunks.finish(i, "stop") for i in range(n)) + chunks.done()
    heard, finished = dict.fromkeys(range(n), ""), set()
    for piece in client(in_pieces(raw, cuts)).chat.completions.create(model="t", messages=HELLO, stream=True):
        for choice in piece.choices:
            heard[choice.index] += choice.delta.content or ""
            finished |= {choice.index} if choice.finish_reason else set()
    assert heard == dict.fromkeys(range(n), "".join(said))
    assert finished == set(range(n))


def test_a_failed_stream_raises_in_the_client() -> None:
    """The pieces before, then an error of its own class; never an end that looks like one."""
    chunks = Chunks(ENVELOPE)
    raw = chunks.delta(0, Delta(text="Hel")) + failed(
        Fault("provider_stream_truncated", "it ended early"), "req_1"
    )
    pieces = iter(client(in_pieces(raw, [])).chat.completions.create(model="t", messages=HELLO, stream=True))
    assert next(pieces).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APIError, match="it ended early") as caught:
        next(pieces)
    assert caught.value.code == "provider_stream_truncated"


CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    429: openai.RateLimitError,
}


@pytest.mark.parametrize("code", CONDITIONS)
def test_every_row_of_the_table_is_an_error_of_the_client(code: str) -> None:
    """Its class by status, and code, param, type and request id where the client looks for them."""
    fault = Fault(code, "words", param="p")
    with pytest.raises(openai.APIStatusError) as caught:
        client(lambda _: refusal(fault)).chat.completions.create(model="t", messages=HELLO)
    error = caught.value
    expected = CLASSES.get(
        fault.status, openai.InternalServerError if fault.status >= 500 else openai.APIStatusError
    )
    assert type(error) is expected
    assert (error.code, error.param, error.type, error.request_id) == (code, "p", fault.type, "req_1")
    assert "words" in error.message


def test_what_we_cannot_read_is_a_bad_request_naming_the_part(server: Server) -> None:
    """A picture is refused where it stands."""
    picture: Any = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with pytest.raises(openai.BadRequestError) as caught:
        client(server).chat.completions.create(model="t", messages=[{"role": "user", "content": picture}])
    assert (caught.value.code, caught.value.param) == ("unsupported_content", "messages[0].content[0].type")
