"""A line of a trace file: what it keeps of a generation, and that secrets do not hide between its pieces."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.message import Reasoning, Text
from symposia.core.profile import Sampling
from symposia.core.redact import Redactor
from symposia.core.request import About, Completion, Delta, ServedBy
from symposia.core.trace import Generation, Piece, Said, Trace, ask_digest, generation, redacted
from symposia.core.usage import Usage
from symposia.core.value import decode
from symposia.testing.backends import plain_request

KEY = "planted/key+0123456789abcdef=="
SERVED = ServedBy(endpoint="up", model="m")
ASKED = plain_request("up:m")


def kept(pieces: list[str], **more: object) -> Generation:
    """A generation that said these pieces."""
    done = Completion(
        text="".join(pieces), finish_reason="stop", usage=Usage(output_tokens=1), served=SERVED, **more
    )
    heard = [(float(i), Delta(text=piece)) for i, piece in enumerate(pieces)]
    return generation(ASKED, heard, done, 9.0)


def line(*generations: Generation, said: str = "hi") -> Trace:
    """A line with these generations."""
    return Trace(
        trace_id="t",
        request_id="r",
        time=1.0,
        model="tiny",
        messages=(Said(role="user", content=said),),
        latency_ms=2.0,
        generations=generations,
    )


def test_a_generation_gives_its_completion_back() -> None:
    """With reasoning apart, the text is the answer's pieces; through JSON and back."""
    done = Completion(
        text="Yes.",
        parts=(Reasoning("hm"), Text("Yes.")),
        finish_reason="stop",
        usage=Usage(output_tokens=3, reasoning_tokens=1),
        served=SERVED,
    )
    heard = [(1.0, Delta(text="hm", phase="reasoning")), (2.5, Delta(text="Yes")), (3.0, Delta(text="."))]
    trace = line(generation(ASKED, heard, done, 4.0))
    again = decode(msgspec.json.encode(trace), Trace)
    assert again == trace
    assert again.generations[0].completion == done
    assert again.generations[0].pieces[1] == Piece(2.5, "Yes")


def test_a_refusal_that_streamed_is_kept_as_one() -> None:
    """Its pieces say so, and spell the text beside reasoning too; each gives its delta back."""
    done = Completion(
        text="No.",
        parts=(Reasoning("hm"), Text("No.")),
        finish_reason="refusal",
        usage=Usage(output_tokens=3),
        served=SERVED,
    )
    heard = [
        Delta(text="hm", phase="reasoning"),
        Delta(text="N", refusal=True),
        Delta(text="o.", refusal=True),
    ]
    made = generation(ASKED, [(1.0, delta) for delta in heard], done, 4.0)
    again = decode(msgspec.json.encode(made), Generation)
    assert [piece.phase for piece in again.pieces] == ["reasoning", "refusal", "refusal"]
    assert [piece.delta for piece in again.pieces] == heard
    assert again.completion == done


def test_the_line_says_its_format_and_leaves_out_what_a_message_had_not() -> None:
    """So that a reader knows what it reads, and no line is longer than it must be."""
    raw = msgspec.json.decode(msgspec.json.encode(line(kept(["a"]))))
    assert raw["format"] == "symposia.trace/1"
    assert raw["messages"] == [{"role": "user", "content": "hi"}]
    assert raw["generations"][0]["pieces"] == [[0.0, "a", "answer"]]


def test_an_ask_is_the_same_of_any_model_with_any_seed_at_any_time() -> None:
    """And another where a word or a knob differs."""
    same = replace(
        ASKED,
        model="replay:t.jsonl",
        seed=77,
        seed_required=True,
        sampling=replace(ASKED.sampling, seed=77),
        date="2026-01-01",
        about=About(run="r"),
    )
    assert ask_digest(same) == ask_digest(ASKED)
    assert ask_digest(plain_request("up:m", text="Another.")) != ask_digest(ASKED)
    assert ask_digest(replace(ASKED, sampling=Sampling(temperature=0.5))) != ask_digest(ASKED)


@given(st.integers(1, 6), st.text("ab \n", max_size=20), st.text("ab \n", max_size=20))
def test_no_secret_hides_between_pieces(size: int, before: str, after: str) -> None:
    """However a reply is cut: the key is in no form in the line, and the pieces spell the redacted text."""
    text = f"{before} {KEY} {after}"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    redactor = Redactor({"key": KEY})
    clean = redacted(line(kept(pieces), said=KEY), redactor)
    assert KEY not in msgspec.json.encode(clean).decode()
    assert clean.generations[0].text == redactor.text(text)
    assert [piece.at_ms for piece in clean.generations[0].pieces] == [float(i) for i in range(len(pieces))]
    assert clean.redactions == 2


def test_a_line_without_secrets_stays_as_it_is() -> None:
    """Times and cuts of its pieces too."""
    trace = line(kept(["Hel", "lo ", "there"]))
    assert redacted(trace, Redactor({"key": KEY})) == trace
