"""What a caller with the plain openai client sees, of either generation: `python suite.py PLACE` in any environment.

PLACE is JSON: `url`, `key`, `model` (answers freely), `limited` (a key whose rate pool holds two requests a short
window), `spent` (a key whose budget is used up), `cutting` (a server whose upstream cuts `fault-NAME` streams, and
declines to answer others). Only openai and the standard library. Prints one JSON line a case; exits 1 if any failed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI

QUESTION: Any = [{"role": "user", "content": "What is 3 plus 4?"}]
CALCULATOR: Any = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Works out arithmetic.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
            "additionalProperties": False,
        },
    },
}
SHAPE: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"number": {"type": "integer"}, "sure": {"type": "boolean"}},
            "required": ["number", "sure"],
            "additionalProperties": False,
        },
    },
}
SHORT: dict[str, Any] = {"max_tokens": 24, "seed": 7, "temperature": 0}


class Place:
    """Where the servers are, and clients of them."""

    def __init__(self, told: dict[str, str]) -> None:
        self.told, self.model = told, told["model"]

    def client(self, key: str = "key", url: str = "url", **options: Any) -> OpenAI:
        """A client as its users make it."""
        return OpenAI(base_url=self.told[url], api_key=self.told[key], **options)

    def other(self, **options: Any) -> AsyncOpenAI:
        """The same, asynchronous."""
        return AsyncOpenAI(base_url=self.told["url"], api_key=self.told["key"], **options)


def chat(place: Place) -> None:
    """A plain answer: text, a reason to finish, usage, ids, the steering block."""
    reply = place.client().chat.completions.create(model=place.model, messages=QUESTION, **SHORT)
    assert reply.object == "chat.completion"
    assert reply.id.startswith("chatcmpl-")
    assert reply.model == place.model
    (choice,) = reply.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert reply._request_id, "no x-request-id"
    steering = (reply.model_extra or {})["steering"]
    assert steering["arm"] == "none", steering
    assert steering["applied"] == "false", steering


def stream(place: Place) -> None:
    """The same text in pieces; one last chunk without choices holds usage and the steering block."""
    client = place.client()
    whole = client.chat.completions.create(model=place.model, messages=QUESTION, **SHORT)
    chunks = list(
        client.chat.completions.create(
            model=place.model, messages=QUESTION, stream=True, stream_options={"include_usage": True}, **SHORT
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
    assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert "steering" in (chunks[-1].model_extra or {})
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1


def stream_helper(place: Place) -> None:
    """The client's own accumulator, which refuses replies cut by length, ends with what a plain call gives."""
    client, asked = place.client(), {**SHORT, "max_tokens": 400}
    with client.chat.completions.stream(model=place.model, messages=QUESTION, **asked) as events:
        kinds = {event.type for event in events}
        final = events.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    whole = client.chat.completions.create(model=place.model, messages=QUESTION, **asked)
    assert final.choices[0].message.content == whole.choices[0].message.content


def several(place: Place) -> None:
    """n = 3: three choices, the same again with the same seed, streamed too."""
    client = place.client()
    asked: dict[str, Any] = {**SHORT, "temperature": 1.0, "n": 3}
    first, again = (
        [
            c.message.content
            for c in client.chat.completions.create(model=place.model, messages=QUESTION, **asked).choices
        ]
        for _ in range(2)
    )
    assert first == again
    assert len(first) == 3
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(model=place.model, messages=QUESTION, stream=True, **asked):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == first


def logprobs(place: Place) -> None:
    """One row a token, the chosen among the likeliest at temperature 0."""
    reply = place.client().chat.completions.create(
        model=place.model, messages=QUESTION, logprobs=True, top_logprobs=3, **SHORT
    )
    scores = reply.choices[0].logprobs
    assert scores is not None
    assert scores.content
    for token in scores.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert token.logprob >= token.top_logprobs[0].logprob - 1e-4
        assert token.bytes is not None
    streamed = [
        token
        for chunk in place.client().chat.completions.create(
            model=place.model, messages=QUESTION, logprobs=True, top_logprobs=3, stream=True, **SHORT
        )
        for choice in chunk.choices
        if choice.logprobs and choice.logprobs.content
        for token in choice.logprobs.content
    ]
    assert [t.token for t in streamed] == [t.token for t in scores.content]


def tools(place: Place) -> None:
    """A demanded call comes with readable arguments; its result is taken back and answered."""
    client = place.client()
    asked: dict[str, Any] = {"tools": [CALCULATOR], "max_tokens": 64, "seed": 3, "temperature": 0}
    named: Any = {"type": "function", "function": {"name": "calculator"}}
    reply = client.chat.completions.create(
        model=place.model, messages=QUESTION, tool_choice=named, **asked
    ).choices[0]
    assert reply.finish_reason in ("tool_calls", "stop"), reply
    (call,) = reply.message.tool_calls or ()
    assert call.type == "function"
    assert call.function.name == "calculator"
    assert isinstance(json.loads(call.function.arguments)["expression"], str)
    told = [*QUESTION, reply.message.model_dump(exclude_none=True)]
    told.append({"role": "tool", "tool_call_id": call.id, "content": "7"})
    after = client.chat.completions.create(model=place.model, messages=told, **asked).choices[0]
    assert after.message.content or after.message.tool_calls
    pieces = [
        piece
        for chunk in client.chat.completions.create(
            model=place.model, messages=QUESTION, tool_choice=named, stream=True, **asked
        )
        for choice in chunk.choices
        for piece in choice.delta.tool_calls or ()
    ]
    assert [p.function and p.function.arguments for p in pieces] == [call.function.arguments], pieces


def json_schema(place: Place) -> None:
    """The text is JSON of the shape asked for, whatever the model would rather say."""
    reply = place.client().chat.completions.create(
        model=place.model, messages=QUESTION, response_format=SHAPE, max_tokens=200, seed=1
    )
    found = json.loads(reply.choices[0].message.content or "")
    assert set(found) == {"number", "sure"}
    assert isinstance(found["number"], int)
    assert isinstance(found["sure"], bool)


def models(place: Place) -> None:
    """Listed, and found by name; an unknown one is a 404."""
    client = place.client()
    assert place.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(place.model).id == place.model
    raises(openai.NotFoundError, lambda: client.models.retrieve("nobody"))


def raises(kind: type[openai.APIStatusError], act: Callable[[], object]) -> openai.APIStatusError:
    """The error of that class that `act` raises."""
    try:
        act()
    except kind as error:
        assert type(error) is kind, type(error)
        assert error.request_id, "no x-request-id on the error"
        return error
    raise AssertionError(f"expected {kind.__name__}; nothing was raised")


def errors(place: Place) -> None:
    """Each refusal is the class its users catch, with `code` and `param`."""

    def ask(client: OpenAI, **more: Any) -> object:
        asked: dict[str, Any] = {"model": place.model, "messages": QUESTION, **SHORT, **more}
        return client.chat.completions.create(**asked)

    nobody = OpenAI(base_url=place.told["url"], api_key="sk-sym-NOBODY", max_retries=0)
    error = raises(openai.AuthenticationError, lambda: ask(nobody))
    assert error.code == "invalid_api_key"
    client = place.client(max_retries=0)
    error = raises(openai.NotFoundError, lambda: ask(client, model="nobody"))
    assert error.code == "model_not_found"
    error = raises(openai.BadRequestError, lambda: ask(client, temperature="hot"))
    assert (error.code, error.param) == ("invalid_value", "temperature"), error.body
    error = raises(openai.BadRequestError, lambda: ask(client, extra_body={"temprature": 1}))
    assert (error.code, error.param) == ("unknown_parameter", "temprature"), error.body
    error = raises(openai.BadRequestError, lambda: ask(client, messages=[]))
    assert error.param == "messages"
    error = raises(
        openai.BadRequestError, lambda: ask(client, messages=[{"role": "user", "content": "w " * 40_000}])
    )
    assert error.code == "context_length_exceeded", error.body
    error = raises(openai.RateLimitError, lambda: ask(place.client("spent", max_retries=2)))
    assert (error.code, error.type) == ("steering_budget_exceeded", "insufficient_quota"), error.body
    retried = error.response.request.headers.get("x-stainless-retry-count")
    assert retried == "0", f"a budget that stays spent was asked again: {retried}"


def retries(place: Place) -> None:
    """A rate limit is waited out by the client itself: Retry-After says for how long."""
    client = place.client("limited", max_retries=3)
    taken = [
        client.chat.completions.with_raw_response.create(
            model=place.model, messages=QUESTION, **{**SHORT, "max_tokens": 1}
        ).retries_taken
        for _ in range(4)
    ]
    assert sum(taken) >= 1, taken
    assert max(taken) <= 2, taken


def cut(place: Place) -> None:
    """A stream that upstream cuts raises; it never ends as if it were whole."""
    client = place.client(url="cutting", max_retries=0)
    chunks = []
    try:
        for chunk in client.chat.completions.create(model="fault-drop", messages=QUESTION, stream=True):
            chunks.append(chunk)  # noqa: PERF402  what came before the error is looked at
    except openai.APIError as error:
        assert not isinstance(error, openai.APIStatusError), error
        assert (error.body or {}).get("code") == "provider_stream_truncated", error.body  # type: ignore[attr-defined]
    else:
        raise AssertionError("the cut stream ended without an error")
    assert chunks
    assert all(choice.finish_reason is None for chunk in chunks for choice in chunk.choices)


def refused(place: Place) -> None:
    """A model that declines: its words are the message's `refusal`, whole or as the client's helper joins them."""
    client = place.client(url="cutting", max_retries=0)
    asked: dict[str, Any] = {"model": "gpt-x", "messages": QUESTION}
    whole = client.chat.completions.create(**asked).choices[0]
    with client.chat.completions.stream(**asked) as events:
        kinds = [event.type for event in events]
        streamed = events.get_final_completion().choices[0]
    assert kinds.count("refusal.delta") > 1, kinds
    assert "content.delta" not in kinds, kinds
    for choice in (whole, streamed):
        assert (choice.message.content, choice.message.refusal) == (None, "I had rather not."), choice
        assert choice.finish_reason == "stop"


def upstream_down(place: Place) -> None:
    """A failing upstream is a 5xx of ours, asked again by the client as often as it was told to."""
    client = place.client(url="cutting", max_retries=0)
    asked: dict[str, Any] = {"model": "fault-500", "messages": QUESTION}
    error = raises(openai.InternalServerError, lambda: client.chat.completions.create(**asked))
    assert (error.status_code, error.code) == (502, "provider_internal_error"), error.body


async def asynchronous(place: Place) -> None:
    """Eight at once, plain and streamed, through the asynchronous client; a reader that leaves early."""
    async with place.other() as client:

        async def plain() -> str | None:
            reply = await client.chat.completions.create(model=place.model, messages=QUESTION, **SHORT)
            return reply.choices[0].message.content

        async def streamed() -> str | None:
            pieces = await client.chat.completions.create(
                model=place.model, messages=QUESTION, stream=True, **SHORT
            )
            return "".join([c.choices[0].delta.content or "" async for c in pieces if c.choices])

        assert len(set(await asyncio.gather(*[make() for make in (plain, streamed) * 4]))) == 1
        pieces = await client.chat.completions.create(
            model=place.model, messages=QUESTION, stream=True, max_tokens=200
        )
        async for _ in pieces:
            break
        await pieces.close()
        assert await plain()
        nobody = AsyncOpenAI(base_url=place.told["url"], api_key="sk-sym-NOBODY", max_retries=0)
        try:
            await nobody.models.list()
        except openai.AuthenticationError as error:
            assert error.request_id
        else:
            raise AssertionError("expected AuthenticationError; nothing was raised")


CASES: tuple[Callable[[Place], Any], ...] = (
    chat, stream, stream_helper, several, logprobs, tools, json_schema, models, errors, retries, cut, refused,
    upstream_down, asynchronous,
)  # fmt: skip


def main(told: str) -> int:
    """1 if any case failed."""
    place, failed = Place(json.loads(told)), 0
    for case in CASES:
        row = {"case": case.__name__, "openai": openai.__version__, "ok": True, "why": ""}
        try:
            if inspect.iscoroutine(work := case(place)):
                asyncio.run(work)
        except Exception:  # noqa: BLE001  a case that fails is a row, and the others still run
            row |= {"ok": False, "why": traceback.format_exc(limit=-4)}
            failed += 1
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
