"""A stream says what the whole reply says, however the backend cut it; and stops where it goes in circles."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from symposia.core.request import Completion, Delta, Request, ServedBy
from symposia.core.usage import Usage
from symposia.serve.replies import Decided, Envelope, choice_of, steering_of, usage_of
from symposia.serve.stream import Events, lanes_of

ENVELOPE = Envelope("chatcmpl-1", 1, "m", "sym-1")
REQUEST = Request(model="m", lines=(), speaker="assistant")
TEXTS = st.text(alphabet=st.sampled_from("ab <>/think\n"), max_size=40).map(
    lambda text: text.replace("think", "<think>")
)


def pieces_of(text: str, cuts: list[int], *, ids: bool) -> list[Delta]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [Delta(text=text[a:b], token_ids=(1,) if ids else ()) for a, b in pairwise(places) if b > a]


def whole(text: str) -> Completion:
    return Completion(
        text=text,
        finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1),
        served=ServedBy(endpoint="x", model="m"),
    )


def events_of(raw: bytes) -> list[object]:
    parts = raw.decode().split("\n\n")
    assert parts[-1] == ""
    return [part.removeprefix("data: ") for part in parts[:-1]]


@given(
    text=TEXTS,
    cuts=st.lists(st.integers(min_value=0, max_value=50), max_size=8),
    ids=st.booleans(),
    usage=st.booleans(),
)
def test_any_cutting_says_the_same(text, cuts, ids, usage):
    events = Events(ENVELOPE, lanes_of((REQUEST,), "plain"), usage=usage)
    raw = b"".join(events.pieces([(0, piece)]) for piece in pieces_of(text, cuts, ids=ids))
    completion = whole(text)
    choice = choice_of(0, completion, REQUEST)
    block = steering_of(Decided(), completion.receipts)
    told = events_of(raw + events.ending([choice], usage_of(completion.usage), block))
    assert told[-1] == "[DONE]"
    chunks = [json.loads(each) for each in told[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    said = "".join(delta.get("content", "") for delta in deltas)
    thought = "".join(delta.get("reasoning_content", "") for delta in deltas)
    message = choice.message
    assert said == (message.content or "")
    assert thought.strip("\n") == (message.reasoning_content or "").strip("\n")
    assert [d for d in deltas if "role" in d] == deltas[:1]
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
    assert finishes[-1] == "stop"
    assert set(finishes[:-1]) <= {None}
    assert "steering" in chunks[-1]


def test_what_the_server_marked_as_refusal_is_not_read_again():
    events = Events(ENVELOPE, lanes_of((REQUEST,), "plain"), usage=False)
    said = [
        Delta(text="Well. ", token_ids=(1,)),
        Delta(text="<think>", refusal=True),
        Delta(text="No.", refusal=True),
    ]
    raw = b"".join(events.pieces([(0, piece)]) for piece in said)
    deltas = [json.loads(each)["choices"][0]["delta"] for each in events_of(raw)]
    assert "".join(delta.get("content", "") for delta in deltas) == "Well. "
    assert "".join(delta.get("refusal", "") for delta in deltas) == "<think>No."


@given(words=st.integers(min_value=1, max_value=5), times=st.integers(min_value=40, max_value=200))
def test_circles_are_seen_while_they_are_drawn(words, times):
    loop = [f"w{n} " for n in range(words)] * times
    looking = Events(ENVELOPE, lanes_of((REQUEST,), "plain"), usage=False, detects=True)
    blind = Events(ENVELOPE, lanes_of((REQUEST,), "plain"), usage=False)
    for word in loop:
        looking.pieces([(0, Delta(text=word))])
        blind.pieces([(0, Delta(text=word))])
    assert looking.degenerate == ("loop" if len(loop) >= 40 else None)
    assert blind.degenerate is None
