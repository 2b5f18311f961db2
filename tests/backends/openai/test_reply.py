"""What a chat-completions stream folds into, chunk by chunk."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import OpenAIEndpoint
from symposia.backends.causes import AttemptFailed
from symposia.backends.openai.reply import ChatReply
from symposia.backends.openai.wire import ChatWire
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.request import Completion, Delta
from symposia.testing.faults import Call, Received, Reply, chat
from symposia.testing.faults.reply import settled
from tests.backends.asking import ADD, LOOSE, asked

STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def said(**delta: object) -> dict:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def call(index: int | None, **function: object) -> dict:
    piece = {"index": index, "function": function} | ({"id": function.pop("id")} if "id" in function else {})
    return said(tool_calls=[{k: v for k, v in piece.items() if v is not None}])


def reply(flavour: str = "openai", **changes: object) -> ChatReply:
    return ChatWire("up", OpenAIEndpoint(flavour=flavour, base_url="https://x.test")).reply(asked(**changes))


def fold(*chunks: dict, flavour: str = "openai", **changes: object) -> tuple[Completion, list[Delta]]:
    """The completion and the deltas of a stream; every chunk has a key nobody knows."""
    folding = reply(flavour, **changes)
    deltas = []
    for chunk in chunks:
        deltas += folding.feed("", json.dumps(chunk | {"x_unknown": {"deep": [1]}}).encode())
        if folding.ended:
            break
    return folding.completion("req-1"), deltas


def cause(*chunks: dict) -> str:
    with pytest.raises(AttemptFailed) as caught:
        fold(*chunks)
    return caught.value.cause


def test_text_usage_and_who_served() -> None:
    """Content is appended; the usage of the last chunk counts, cached and reasoning tokens apart."""
    details = {
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    whole = {"choices": [], "usage": USAGE["usage"] | details | {"cost": 0.25}}
    done, deltas = fold(
        said(role="assistant", content=""), said(content="Hel"), said(content="lo"), STOP, whole
    )
    assert (done.text, [d.text for d in deltas]) == ("Hello", ["Hel", "lo"])
    used = done.usage
    assert (used.input_tokens, used.output_tokens, used.cached_tokens, used.reasoning_tokens) == (7, 3, 4, 2)
    assert (used.cost_usd, used.estimated) == (0.25, False)
    assert (done.finish_reason, done.parts, done.served.request_id) == ("stop", (), "req-1")


def test_usage_may_come_with_the_last_choice() -> None:
    """Some servers send it beside the finish."""
    done, _ = fold(said(content="x"), STOP | {"usage": USAGE["usage"]})
    assert (done.usage.input_tokens, done.usage.estimated) == (7, False)


def test_usage_that_never_comes_is_estimated_and_says_so() -> None:
    """Neither zero nor free."""
    done, _ = fold(said(content="x" * 30), STOP)
    assert done.usage.estimated
    assert done.usage.cost_usd is None
    assert done.usage.input_tokens > 0
    assert done.usage.output_tokens == 10


def test_a_finish_is_never_invented() -> None:
    """No finish_reason, whatever else came, is a cut stream; an unknown one is unreadable."""
    assert cause(said(content="x")) == "stream_truncated"
    assert cause(said(content="x"), USAGE) == "stream_truncated"
    assert cause(call(0, id="c", name="f", arguments="{}")) == "stream_truncated"
    assert cause(said(content="x"), {"choices": [{"delta": {}, "finish_reason": "abort"}]}) == "bad_response"


def test_a_chunk_that_is_no_json_is_unreadable() -> None:
    """Not skipped."""
    with pytest.raises(AttemptFailed) as caught:
        list(reply().feed("", b'{"choices": [{"del'))
    assert caught.value.cause == "bad_response"


def test_an_error_object_ends_the_reply() -> None:
    """Wherever it stands, also within a choice, and as a bare string."""
    for chunk in (
        {"error": {"message": "gone", "code": 502}},
        {"error": "gone"},
        {"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "gone"}}]},
    ):
        folding = reply()
        list(folding.feed("", json.dumps(chunk).encode()))
        assert folding.ended
        assert folding.error is not None
        assert folding.error.message == "gone"


def test_calls_are_merged_by_index() -> None:
    """Id and name come once, arguments in pieces, two calls interleaved; the names are ours again."""
    done, deltas = fold(
        call(1, id="b", name="add", arguments=""),
        call(0, id="a", name="files_read", arguments='{"p": '),
        call(1, arguments='{"a": 1}'),
        call(0, arguments='"x"}'),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        tools=(LOOSE,),
    )
    assert done.parts == (
        ToolCall(id="a", name="files.read", arguments={"p": "x"}),
        ToolCall(id="b", name="add", arguments={"a": 1}),
    )
    assert done.finish_reason == "tool_calls"
    assert {d.phase for d in deltas} == {"tool"}


def test_calls_without_index_or_id_are_told_apart() -> None:
    """By a new id; arguments may be a whole object; an id that never came is made up."""
    done, _ = fold(
        call(None, id="a", name="f", arguments={"x": 1}),
        call(None, id="b", name="g", arguments='"{\\"y\\": 2}"'),
        STOP,
    )
    assert [(c.id, c.name, c.arguments) for c in done.parts] == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]
    alone, _ = fold(call(0, name="f"), STOP)
    assert [(c.id, c.arguments) for c in alone.parts] == [("call_0", {})]


def test_stop_with_calls_is_tool_calls() -> None:
    """As servers say it after a named tool choice."""
    assert fold(call(0, id="a", name="f", arguments="{}"), STOP)[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nope", '"text"'])
def test_arguments_that_cannot_be_read_are_the_calls_error(arguments: str) -> None:
    """Data for the tool loop, which tells the model."""
    done, _ = fold(call(0, id="a", name="f", arguments=arguments), STOP)
    [made] = done.parts
    assert made.error.startswith("expected a JSON object")
    assert made.arguments == {}


def test_a_refusal_is_text_with_its_own_finish() -> None:
    """Committed and flagged, never taken for an answer that ended; its pieces say what they are as they come."""
    done, deltas = fold(said(content="Well: "), said(refusal="I ca"), said(refusal="nnot."), STOP)
    assert (done.text, done.finish_reason) == ("Well: I cannot.", "refusal")
    assert [(d.text, d.phase, d.refusal) for d in deltas] == [
        ("Well: ", "answer", False),
        ("I ca", "answer", True),
        ("nnot.", "answer", True),
    ]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_remembers_its_field(field: str) -> None:
    """So that it goes back where it came from; it is no part of the text."""
    done, deltas = fold(said(**{field: "Hm "}), said(**{field: "so."}), said(content="Yes."), STOP)
    thought, text = done.parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, json.loads(thought.opaque or "").get("field", "reasoning")) == ("Hm so.", field)
    assert text == Text("Yes.")
    assert done.text == "Yes."
    assert [d.phase for d in deltas] == ["reasoning", "reasoning", "answer"]


def test_details_of_reasoning_are_joined() -> None:
    """Pieces of one detail become one; the signature that ends it stays; encrypted ones stand alone."""
    piece = {"type": "reasoning.text", "index": 0}
    done, _ = fold(
        said(reasoning="a", reasoning_details=[piece | {"text": "a"}]),
        said(reasoning="b", reasoning_details=[piece | {"text": "b", "signature": "s"}]),
        said(reasoning_details=[{"type": "reasoning.encrypted", "index": 1, "data": "zz"}]),
        said(content="x"),
        STOP,
        flavour="openrouter",
    )
    thought = done.parts[0]
    assert isinstance(thought, Reasoning)
    assert thought.text == "ab"
    assert json.loads(thought.opaque or "")["details"] == [
        piece | {"text": "ab", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "zz"},
    ]


def test_thinking_left_in_the_text_is_reasoning_beside_calls() -> None:
    """A server without a reasoning parser; nothing of it leaks into what is said."""
    done, _ = fold(
        said(content="<think>Hm.</think>Let me add."), call(0, id="a", name="f", arguments="{}"), STOP
    )
    assert done.parts[:2] == (Reasoning("Hm."), Text("Let me add."))


@given(st.lists(st.integers(0, 12), max_size=6))
def test_stop_after_cuts_here_wherever_the_chunks_do(cuts: list[int]) -> None:
    """The text ends right after the string; the rest is not waited for, hence the usage is estimated."""
    text, at, chunks = "one END two", 0, []
    for cut in [*sorted(min(c, len(text)) for c in cuts), len(text)]:
        chunks.append(said(content=text[at:cut]))
        at = cut
    done, deltas = fold(*chunks, STOP, USAGE, stop_after=("END",))
    assert (done.text, done.finish_reason, done.usage.estimated) == ("one END", "stop_string", True)
    assert "".join(d.text for d in deltas) == "one END"


def test_a_stop_string_the_server_names_is_told() -> None:
    """vLLM and SGLang say which string ended the text; with vLLM it is kept there."""
    ended = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    done, _ = fold(said(content="one END"), ended, USAGE, flavour="vllm", stop_after=("END",))
    assert (done.text, done.finish_reason, done.usage.estimated) == ("one END", "stop_string", False)
    matched = {"choices": [{"delta": {}, "finish_reason": "stop", "matched_stop": "x"}]}
    assert fold(said(content="one"), matched, flavour="sglang", stop=("x",))[0].finish_reason == "stop_string"
    token = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": 151645}]}
    assert fold(said(content="one"), token, flavour="vllm")[0].finish_reason == "stop"


def test_logprobs_are_columns_of_the_provider() -> None:
    """One row a token; ids where the server tells them; cut with the text."""

    def scored(token: str) -> dict:
        top = [{"token": token, "logprob": -0.5}, {"token": "z", "logprob": -1.0}]
        content = [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": top}]
        choice = {"delta": {"content": token}, "logprobs": {"content": content}, "token_ids": [len(token)]}
        return {"choices": [choice], "prompt_token_ids": [1, 2]}

    done, _ = fold(scored("one"), scored(" END"), STOP, flavour="vllm", logprobs=2)
    assert done.logprobs is not None
    assert (done.logprobs.of, done.logprobs.tokens, done.logprobs.chosen) == (
        "provider",
        ("one", " END"),
        (-0.5,) * 2,
    )
    assert done.logprobs.top == ((-0.5, -1.0),) * 2
    assert (done.token_ids, done.prompt_token_ids) == ((3, 4), (1, 2))
    cut, _ = fold(scored("one"), scored(" END"), logprobs=2, stop_after=("one",))
    assert cut.logprobs is not None
    assert cut.logprobs.tokens == ("one",)


REPLIES = st.builds(
    Reply,
    text=st.text(max_size=30),
    reasoning=st.text(max_size=20),
    calls=st.lists(
        st.builds(
            Call,
            id=st.sampled_from(["", "a", "b"]),
            name=st.sampled_from(["files_read", "add"]),
            arguments=st.one_of(st.dictionaries(st.text(max_size=3), st.integers()), st.just("{broken")),
        ),
        max_size=3,
    ).map(tuple),
    finish=st.sampled_from([None, "stop", "length", "content_filter", "refusal"]),
)


@given(REPLIES, st.booleans(), st.sampled_from(["reasoning", "reasoning_content"]))
def test_a_reply_is_the_same_streamed_and_whole(said: Reply, scored: bool, field: str) -> None:
    """The same completion, and deltas that spell the same by phase."""
    body = {"messages": [], "logprobs": scored, "stream_options": {"include_usage": True}}
    received = Received(0, "POST", "/v1/chat/completions", {}, body)
    asks = {"tools": (LOOSE, ADD), "logprobs": 0 if scored else None}
    streamed, whole = reply("vllm", **asks), reply("vllm", **asks)
    settled_reply = settled(said, received)
    deltas: list[Delta] = []
    for raw in chat.stream(settled_reply, received, reasoning_field=field):
        deltas += streamed.feed("", raw.removeprefix(b"data: ").strip())
    at_once = whole.feed("", json.dumps(chat.whole(settled_reply, received, reasoning_field=field)).encode())
    assert whole.completion("r") == streamed.completion("r")
    for phase in ("answer", "reasoning", "tool"):
        assert spelled(at_once, phase) == spelled(deltas, phase)


def spelled(deltas: Sequence[Delta], phase: str) -> str:
    return "".join(delta.text for delta in deltas if delta.phase == phase)


def test_events_of_other_kinds_are_dropped() -> None:
    """Whatever they hold; an unnamed event must be readable, and a named one that is a chunk is read."""
    folding = reply()
    assert list(folding.feed("heartbeat", b"still here")) == []
    assert list(folding.feed("ping", b"{}")) == []
    assert list(folding.feed("chunk", json.dumps(said(content="a")).encode())) == [Delta(text="a")]
    with pytest.raises(AttemptFailed):
        folding.feed("", b"still here")
