"""What a messages stream folds into, event by event."""

from __future__ import annotations

import json

import pytest

from symposia.backends import AnthropicEndpoint
from symposia.backends.anthropic.wire import MessagesWire
from symposia.backends.causes import AttemptFailed
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.request import Completion, Delta
from tests.backends.asking import LOOSE, asked

START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}
END = {"type": "message_stop"}


def begin(index: int, kind: str, **fields: object) -> dict:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def add(index: int, kind: str, **fields: object) -> dict:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(reason: str | None, **usage: int) -> dict:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9, **usage}}


def fold(*events: dict, **changes: object) -> tuple[Completion, list[Delta]]:
    """The completion and the deltas; every event has a key nobody knows, and pings stand between."""
    reply = MessagesWire("up", AnthropicEndpoint()).reply(asked(**changes))
    deltas = []
    for event in events:
        for one in (event, {"type": "ping"}, {"type": "something_new", "index": 0}):
            deltas += reply.feed(one["type"], json.dumps(one | {"x_unknown": 1}).encode())
        if reply.ended:
            break
    return reply.completion("req-1"), deltas


TEXT = (begin(0, "text", text=""), add(0, "text_delta", text="Hel"), add(0, "text_delta", text="lo"))


def test_text_and_usage() -> None:
    """Input sums what was read fresh, from the cache and into it; the last word on a count is the one that holds."""
    start = START | {
        "message": {
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 100,
                "output_tokens": 1,
            }
        }
    }
    done, deltas = fold(start, *TEXT, stop("end_turn"), END)
    assert (done.text, [d.text for d in deltas], done.finish_reason) == ("Hello", ["Hel", "lo"], "stop")
    used = done.usage
    assert (used.input_tokens, used.cached_tokens, used.cache_write_tokens, used.output_tokens) == (
        125,
        20,
        100,
        9,
    )
    assert (used.estimated, done.served.request_id, done.served.seed) == (False, "req-1", "none")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
    ],
)
def test_stop_reasons(reason: str, finish: str) -> None:
    """Each has its finish."""
    assert fold(START, *TEXT, stop(reason), END)[0].finish_reason == finish


@pytest.mark.parametrize(
    ("events", "cause"), [((END,), "stream_truncated"), ((stop("pause_turn"), END), "bad_response")]
)
def test_a_finish_is_never_invented(events: tuple[dict, ...], cause: str) -> None:
    """Without a stop reason the stream was cut, even if it says that it ended; an unknown one is unreadable."""
    with pytest.raises(AttemptFailed) as caught:
        fold(START, *TEXT, *events)
    assert caught.value.cause == cause


def test_thinking_is_kept_to_be_sent_back() -> None:
    """Signatures and redacted blocks whole, beside the text, never in it."""
    done, deltas = fold(
        START,
        begin(0, "thinking", thinking="", signature=""),
        add(0, "thinking_delta", thinking="Hm."),
        add(0, "signature_delta", signature="sig"),
        begin(1, "redacted_thinking", data="zz"),
        begin(2, "text", text="Y"),
        add(2, "text_delta", text="es."),
        stop("end_turn"),
        END,
    )
    seen, hidden, text = done.parts
    assert isinstance(seen, Reasoning)
    assert isinstance(hidden, Reasoning)
    assert (seen.text, json.loads(seen.opaque or "")) == ("Hm.", {"of": "messages", "signature": "sig"})
    assert json.loads(hidden.opaque or "") == {"of": "messages", "type": "redacted_thinking", "data": "zz"}
    assert text == Text("Yes.")
    assert [(d.phase, d.text) for d in deltas] == [("reasoning", "Hm."), ("answer", "Y"), ("answer", "es.")]


def test_calls_are_read_from_pieces() -> None:
    """Arguments in pieces or none; the names are ours again; what cannot be read is the call's error."""
    done, _ = fold(
        START,
        begin(0, "tool_use", id="a", name="files_read", input={}),
        add(0, "input_json_delta", partial_json='{"p":'),
        add(0, "input_json_delta", partial_json=' "x"}'),
        begin(1, "tool_use", id="b", name="now", input={}),
        begin(2, "tool_use", id="c", name="now", input={}),
        add(2, "input_json_delta", partial_json='{"p":'),
        stop("tool_use"),
        END,
        tools=(LOOSE,),
    )
    first, second, third = done.parts
    assert first == ToolCall(id="a", name="files.read", arguments={"p": "x"})
    assert second == ToolCall(id="b", name="now", arguments={})
    assert third.error.startswith("expected a JSON object")


def test_stop_after_is_cut_here() -> None:
    """The text ends after the string, and the usage is estimated: the rest was not waited for."""
    done, _ = fold(
        START,
        begin(0, "text"),
        add(0, "text_delta", text="one EN"),
        add(0, "text_delta", text="D two"),
        stop_after=("END",),
    )
    assert (done.text, done.finish_reason, done.usage.estimated) == ("one END", "stop_string", True)


def test_usage_that_never_comes_is_estimated() -> None:
    """Not taken for zero."""
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}}
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    done, _ = fold(start, *TEXT, ended, END)
    assert done.usage.estimated
    assert done.usage.input_tokens > 0
    assert done.usage.output_tokens > 0


def test_an_error_event_ends_the_reply() -> None:
    """With the server's own type."""
    reply = MessagesWire("up", AnthropicEndpoint()).reply(asked())
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert list(reply.feed("error", json.dumps(said).encode())) == []
    assert reply.ended
    assert reply.error is not None
    assert (reply.error.type, reply.error.message) == ("overloaded_error", "busy")
