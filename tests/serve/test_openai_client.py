"""The real client of OpenAI, sync and async, against a real server on loopback."""

from __future__ import annotations

import pytest
from openai import (
    APIError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

from symposia.backends.scripted import Fault
from symposia.core.request import Completion, Logprobs, ServedBy
from symposia.core.usage import Usage
from symposia.serve.budget import CostPolicy, Limits, Rule
from symposia.store.keys import Grant
from tests.serving import Serving, scripted

TEXT = "Hello there, how are you today?"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def serving():
    features = frozenset({"tools", "force", "schema", "logprobs", "seed"})

    def reply(request):
        if request.force is not None:
            return {"place": "Oslo"}
        if request.schema is not None:
            return '{"answer": 42}'
        if request.logprobs is not None:
            return Completion(
                text="Yes",
                finish_reason="stop",
                usage=Usage(input_tokens=1, output_tokens=1),
                logprobs=Logprobs(
                    tokens=("Yes",), chosen=(-0.5,), top_tokens=(("Yes", "No"),), top=((-0.5, -1.5),)
                ),
                served=ServedBy(endpoint="scripted", model=request.model),
            )
        return TEXT

    with Serving({"m": scripted(reply, features=features, chunk=4)}) as running:
        yield running


@pytest.fixture(scope="module")
def client(serving):
    with OpenAI(base_url=serving.url, api_key="dev", max_retries=0) as made:
        yield made


def test_a_reply_has_its_text_finish_usage_and_request_id(client):
    got = client.chat.completions.create(**ASK)
    assert got.choices[0].message.content == TEXT
    assert got.choices[0].finish_reason == "stop"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (1, 6, 7)
    assert got._request_id.startswith("req_")


def test_the_callers_request_id_is_kept_and_a_bad_one_is_not(client):
    named = client.chat.completions.create(**ASK, extra_headers={"x-request-id": "my-id:1"})
    assert named._request_id == "my-id:1"
    bad = client.chat.completions.create(**ASK, extra_headers={"x-request-id": "no spaces"})
    assert bad._request_id.startswith("req_")


def test_a_stream_says_the_same_text_and_ends_with_its_finish(client):
    chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert [c.choices[0].delta.role for c in chunks] == ["assistant"] + [None] * (len(chunks) - 1)
    assert chunks[-1].steering["applied"] == "false"


def test_usage_comes_in_a_last_chunk_of_its_own_if_asked_for(client):
    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].steering["arm"] == "none"


def test_the_stream_helper_gives_the_whole_reply(client):
    with client.chat.completions.stream(**ASK) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == TEXT


def test_choices_side_by_side_have_seeds_of_their_own(client, serving):
    got = client.chat.completions.create(**ASK, n=3, seed=7)
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    assert got.usage.prompt_tokens == 1
    assert got.usage.completion_tokens == 18
    assert got.steering["seed"] == 7
    asked = serving.server.models["m"].backend.requests[-3:]
    assert len({request.seed for request in asked}) == 3


def test_streamed_choices_each_get_one_finish(client):
    chunks = list(client.chat.completions.create(**ASK, n=2, stream=True))
    for index in (0, 1):
        own = [c.choices[0] for c in chunks if c.choices[0].index == index]
        assert "".join(choice.delta.content or "" for choice in own) == TEXT
        assert [choice.finish_reason for choice in own if choice.finish_reason] == ["stop"]


def test_a_demanded_call_comes_as_a_tool_call_whole_and_streamed(client):
    choice = {"type": "function", "function": {"name": "weather"}}
    got = client.chat.completions.create(**ASK, tools=[WEATHER], tool_choice=choice)
    call = got.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"place":"Oslo"}')
    assert got.choices[0].finish_reason == "tool_calls"
    again = client.chat.completions.create(**ASK, tools=[WEATHER], tool_choice=choice)
    assert again.choices[0].message.tool_calls[0].id != call.id
    chunks = list(client.chat.completions.create(**ASK, tools=[WEATHER], tool_choice=choice, stream=True))
    streamed = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert [c.function.arguments for c in streamed] == ['{"place":"Oslo"}']


def test_a_schema_and_logprobs_reach_the_caller(client):
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    got = client.chat.completions.create(**ASK, response_format=shape)
    assert got.choices[0].message.content == '{"answer": 42}'
    scored = client.chat.completions.create(**ASK, logprobs=True, top_logprobs=2)
    token = scored.choices[0].logprobs.content[0]
    assert (token.token, token.logprob) == ("Yes", -0.5)
    assert [top.token for top in token.top_logprobs] == ["Yes", "No"]
    chunks = list(client.chat.completions.create(**ASK, logprobs=True, top_logprobs=2, stream=True))
    assert [c.choices[0].logprobs.content[0].token for c in chunks if c.choices[0].logprobs] == ["Yes"]


def test_errors_are_the_clients_own_classes(client):
    with pytest.raises(NotFoundError) as missing:
        client.chat.completions.create(**{**ASK, "model": "mm"})
    assert missing.value.code == "model_not_found"
    assert missing.value.request_id.startswith("req_")
    assert "'m'" in missing.value.message
    with pytest.raises(BadRequestError) as unknown:
        client.chat.completions.create(**ASK, extra_body={"temprature": 1})
    assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "temprature")
    with pytest.raises(NotFoundError) as raw:
        client.completions.create(model="m", prompt="x")
    assert raw.value.code == "unsupported_endpoint"


def test_models_are_listed_and_found(client):
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").owned_by == "symposia"
    with pytest.raises(NotFoundError):
        client.models.retrieve("nobody")


async def test_the_async_client_gets_the_same(serving):
    async with AsyncOpenAI(base_url=serving.url, api_key="dev", max_retries=0) as client:
        whole = await client.chat.completions.create(**ASK)
        text = ""
        async for chunk in await client.chat.completions.create(**ASK, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert whole.choices[0].message.content == text == TEXT


def test_keys_open_what_they_are_for():
    with Serving({"m": scripted(), "other": scripted()}, insecure_dev=False) as serving:
        keys = serving.storage.keys
        _, good = keys.create(Grant(name="good", scopes=("inference",), models=("m",)), actor="test")
        _, bare = keys.create(Grant(name="bare", scopes=("metrics",)), actor="test")
        serving.run(serving.server.follower.refresh())
        client = serving.openai
        assert client(good.reveal()).chat.completions.create(**ASK).choices
        with pytest.raises(AuthenticationError) as unknown:
            client("sk-sym-aaaaaaaaaaaa-" + "x" * 43).chat.completions.create(**ASK)
        with pytest.raises(AuthenticationError) as malformed:
            client("nonsense").chat.completions.create(**ASK)
        assert unknown.value.message == malformed.value.message
        assert unknown.value.response.headers["www-authenticate"] == "Bearer"
        with pytest.raises(PermissionDeniedError) as scope:
            client(bare.reveal()).chat.completions.create(**ASK)
        assert scope.value.param == "inference"
        with pytest.raises(PermissionDeniedError):
            client(good.reveal()).chat.completions.create(**{**ASK, "model": "other"})
        assert [model.id for model in client(good.reveal()).models.list()] == ["m"]
        key = keys.all()[0]
        keys.revoke(key.id, actor="test")
        serving.run(serving.server.follower.refresh())
        with pytest.raises(AuthenticationError):
            client(good.reveal()).chat.completions.create(**ASK)


def test_a_cut_stream_is_an_error_and_never_a_stop():
    faults = [Fault(cause="stream_truncated", after=2, times=9)]
    with Serving({"m": scripted(chunk=4, faults=faults)}) as serving:
        client = serving.openai()
        stream = client.chat.completions.create(**ASK, stream=True)
        seen = [next(stream), next(stream)]
        with pytest.raises(APIError) as cut:
            next(stream)
        assert [chunk.choices[0].finish_reason for chunk in seen] == [None, None]
        assert cut.value.code == "provider_stream_truncated"
        with pytest.raises(InternalServerError) as whole:
            client.chat.completions.create(**ASK)
        assert whole.value.code == "provider_stream_truncated"
        assert [event.outcome for event in serving.settled(2)] == ["error", "error"]


def test_a_spent_rate_is_retried_as_long_as_it_says():
    rate = Rule(name="rpm", kind="rate", per=("key",), limits=Limits(max_requests=1, window_s=0.5))
    with Serving({"m": scripted()}) as serving:
        view = serving.server.view
        serving.server.see(type(view)(policy=CostPolicy(ceilings=(rate,), buckets=5)))
        patient = serving.openai(retries=2)
        assert patient.chat.completions.create(**ASK).choices
        assert patient.chat.completions.create(**ASK).choices
        assert [event.status for event in serving.settled(3)] == [200, 429, 200]
        hasty = serving.openai()
        with pytest.raises(RateLimitError) as limited:
            hasty.chat.completions.create(**ASK)
        assert limited.value.code == "rate_limit_exceeded"
        assert limited.value.response.headers["x-should-retry"] == "true"
        assert int(limited.value.response.headers["retry-after"]) == 1
        assert limited.value.response.headers["x-ratelimit-limit-requests"] == "1"
        assert limited.value.response.headers["x-ratelimit-remaining-requests"] == "0"
