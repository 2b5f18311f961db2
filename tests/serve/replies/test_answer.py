"""Completions as replies: what was said where, tokens counted once, steering proven by receipts."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.message import FinishReason, Reasoning, Text, ToolCall
from symposia.core.receipt import LayerReceipt, Receipt, TokenCounts
from symposia.core.request import Completion, Logprobs, Request, ServedBy
from symposia.core.usage import Usage
from symposia.serve.replies import (
    FINISHES,
    Decided,
    Envelope,
    applied_of,
    choice_of,
    fingerprint,
    reply,
    steering_of,
    usage_of,
)
from symposia.serve.replies.logprobs import LEAST, logprobs_of
from symposia.serve.said import total
from tests.serve.bodies import validator

ENVELOPE = Envelope("chatcmpl-1", 1_700_000_000, "tiny@calm", "sym-0123456789ab")
ASK = Request(model="m", lines=(), speaker="assistant")


def completion(text: str = "Hi", **more: Any) -> Completion:
    fields: dict[str, Any] = {
        "finish_reason": "stop",
        "usage": Usage(input_tokens=10, output_tokens=4, cached_tokens=3, reasoning_tokens=1),
        "served": ServedBy(endpoint="e", model="m"),
    }
    return Completion(text=text, **(fields | more))


def receipt(status: str = "applied", *, norm: float = 10.0, delta: float = 2.0, tokens: int = 5) -> Receipt:
    return Receipt(
        intervention="sha256:1",
        name="warm",
        op="add",
        vector="sha256:2",
        site="resid_post",
        status=status,  # type: ignore[arg-type]
        history="scoped",
        tokens=TokenCounts(given=1, history=tokens, generated=7),
        runs=((0, 1),),
        layers=(LayerReceipt(layer=3, tokens=5, norm=norm, delta_mean=delta, delta_max=9.0),),
    )


def test_the_whole_reply_is_this() -> None:
    """The golden form: order, nulls and absences as clients see them."""
    one = completion(parts=(Reasoning("Hmm."), Text("Hi")), receipts=(receipt(),))
    block = steering_of(
        Decided(profile="calm", revision="sha256:9", arm="pinned", seed=17), one.receipts, verbatim=False
    )
    raw = reply(ENVELOPE, [choice_of(0, one, ASK)], usage_of(one.usage), block)
    assert raw.decode() == (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"tiny@calm",'
        '"system_fingerprint":"sym-0123456789ab","choices":[{"index":0,"message":{"role":"assistant","content":"Hi",'
        '"refusal":null,"reasoning_content":"Hmm."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,'
        '"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":3},'
        '"completion_tokens_details":{"reasoning_tokens":1}},"steering":{"profile":"calm","revision":"sha256:9",'
        '"arm":"pinned","canary":null,"applied":"true","reason":null,"seed":17,"tokens":{"given":1,"history":5,'
        '"generated":7},"delta_over_norm":0.2,"degenerate":null,"receipts":null}}'
    )
    assert validator({"$ref": "#/components/schemas/ChatCompletion"}).is_valid(json.loads(raw))


def test_a_plain_model_has_the_block_too() -> None:
    """Null-filled: nothing was asked, nothing applied."""
    one = completion()
    raw = reply(
        ENVELOPE, [choice_of(0, one, ASK)], usage_of(one.usage), steering_of(Decided(seed=1), one.receipts)
    )
    steering = json.loads(raw)["steering"]
    assert {name for name, value in steering.items() if value is not None} == {"arm", "applied", "seed"}
    assert (steering["arm"], steering["applied"]) == ("none", "false")


@pytest.mark.parametrize("reason", FINISHES)
def test_no_finish_is_invented(reason: FinishReason) -> None:
    """Each reason of a backend has the one word that OpenAI's clients know for it."""
    choice = choice_of(0, completion(finish_reason=reason), ASK)
    expected = "stop" if reason in ("stop", "stop_string", "refusal") else reason
    assert choice.finish_reason == expected
    refused = reason == "refusal"
    assert (choice.message.content, choice.message.refusal) == ((None, "Hi") if refused else ("Hi", None))


def test_calls_have_their_arguments_as_text() -> None:
    """Content is null beside calls alone; a call that could not be read has no arguments that look like some."""
    calls = (
        ToolCall(id="a", name="look", arguments={"at": "sky", "n": 1}),
        ToolCall(id="b", name="look", error="no JSON"),
    )
    message = choice_of(0, completion("", parts=calls, finish_reason="tool_calls"), ASK).message
    sent = json.loads(msgspec.json.encode(message))
    assert sent["content"] is None
    assert [(c["id"], c["type"], c["function"]) for c in sent["tool_calls"]] == [
        ("a", "function", {"name": "look", "arguments": '{"at":"sky","n":1}'}),
        ("b", "function", {"name": "look", "arguments": ""}),
    ]


def test_text_is_read_where_the_backend_gave_no_parts() -> None:
    """A model's own syntax does not reach the caller."""
    one = completion("<think>\nHmm.\n</think>\n\nHi", syntax="hermes")
    message = choice_of(0, one, ASK).message
    assert (message.content, message.reasoning_content) == ("Hi", "Hmm.")


def test_parts_of_a_kind_are_joined() -> None:
    """Text between thoughts, thoughts between text: each in its own field, in its order."""
    parts = (Reasoning("a"), Text("b"), Reasoning("c"), Text("d"))
    message = choice_of(0, completion("bd", parts=parts), ASK).message
    assert (message.content, message.reasoning_content) == ("bd", "ac")


def test_prompts_count_once_and_replies_each() -> None:
    """Usage of choices side by side; an estimate in one is one in all."""
    usage = usage_of(total([completion(), completion()]))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 8, 18)
    assert usage.completion_tokens_details.reasoning_tokens == 2
    guessed = completion(usage=Usage(input_tokens=10, output_tokens=4, estimated=True))
    assert usage_of(total([completion(), guessed])).estimated is True
    raw = reply(ENVELOPE, [], usage_of(completion().usage), steering_of(Decided(), ()))
    assert "estimated" not in json.loads(raw)["usage"]


@given(st.lists(st.sampled_from(["applied", "gated_off", "missed"]), max_size=4))
def test_applied_says_no_more_than_the_receipts(states: list[str]) -> None:
    """All, one missing, none."""
    said = applied_of([receipt(status) for status in states])
    assert said == ("false" if not states else "true" if set(states) == {"applied"} else "degraded")


def test_the_block_sums_choices_and_takes_the_largest_share() -> None:
    """Tokens over interventions and choices; ‖δ‖/‖h‖ by layer, zero norms left out; receipts verbatim if asked."""
    first = completion(receipts=(receipt(delta=1.0), receipt(norm=0.0, delta=5.0)))
    second = completion(receipts=(receipt(delta=3.0),))
    block = steering_of(
        Decided(profile="calm"), (*first.receipts, *second.receipts), verbatim=True, degenerate="loop"
    )
    assert block.tokens is not None
    assert (block.tokens.given, block.tokens.history, block.tokens.generated) == (3, 15, 21)
    assert block.delta_over_norm == pytest.approx(0.3)
    assert block.receipts == (*first.receipts, *second.receipts)
    assert block.degenerate == "loop"


def test_logprobs_have_bytes_and_the_likeliest() -> None:
    """One row a token; pieces of characters have no bytes, minus infinity a number, unasked rows none."""
    columns = Logprobs(
        tokens=("é", "\ufffd"),
        chosen=(-0.5, -math.inf),
        top_tokens=(("é", "a"), ("b", "c")),
        top=((-0.5, -2.0), (-0.1, -3.0)),
    )
    one = completion(logprobs=columns)
    asked = Request(model="m", lines=(), speaker="assistant", logprobs=2)
    rows = choice_of(0, one, asked).logprobs
    assert rows is not None
    assert rows.content is not None
    assert [(r.token, r.logprob, r.bytes) for r in rows.content] == [
        ("é", -0.5, (0xC3, 0xA9)),
        ("\ufffd", LEAST, None),
    ]
    assert [(t.token, t.logprob) for t in rows.content[0].top_logprobs] == [("é", -0.5), ("a", -2.0)]
    assert choice_of(0, one, ASK).logprobs is None
    bare = logprobs_of(Logprobs(tokens=("a",), chosen=(-1.0,)))
    assert bare is not None
    assert bare.content is not None
    assert bare.content[0].top_logprobs == ()


def test_a_fingerprint_changes_with_model_and_build() -> None:
    """Twelve hex digits behind `sym-`."""
    names = {fingerprint(weights, build) for weights in ("a", "b") for build in ("1", "2")}
    assert len(names) == 4
    assert all(len(name) == 16 and name.startswith("sym-") for name in names)
