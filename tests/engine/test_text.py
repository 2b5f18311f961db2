"""Text as it streams: every split of every character, stop strings that never leak, phases that fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from symposia.engine.detokenise import Detokeniser
from symposia.engine.stops import Stream, shown_phase

BYTE_TOKENS = [f"<0x{i:02X}>" for i in range(256)]
PIECES = ["▁the", "▁fox", "é", "日本", "👩‍🚀", "ab", "b", "<|im_end|>", "END", "E", "N", "D", "▁"]


def byte_fallback():
    """A SentencePiece-like tokenizer: pieces, bytes for the rest, and a decoder that strips the first space."""
    vocabulary = {token: i for i, token in enumerate(BYTE_TOKENS + PIECES)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token=None))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def byte_level():
    from tests.reference.families import tokenizer

    return tokenizer()


SENTENCEPIECE = byte_fallback()


def byte_ids(text, splits):
    """A text as byte tokens, some runs of it as pieces."""
    return list(text.encode())


@given(st.text(max_size=12), st.lists(st.integers(256, 256 + len(PIECES) - 1), max_size=4))
def test_pieces_of_byte_tokens_are_the_whole_text(text, tail):
    """One byte at a time, then whole pieces: nothing is lost, doubled or shown half."""
    ids = [*text.encode(), *tail]
    detokeniser = Detokeniser(SENTENCEPIECE)
    pieces = [detokeniser.push(i) for i in ids]
    assert "".join(pieces) + detokeniser.flush() == SENTENCEPIECE.decode(ids)
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(st.text(max_size=30))
def test_pieces_of_a_byte_level_tokenizer_are_the_whole_text(text):
    """The bundled tokenizer, on any text it is given."""
    tokenizer = byte_level()
    ids = tokenizer.encode(text, add_special_tokens=False)
    detokeniser = Detokeniser(tokenizer)
    assert "".join([detokeniser.push(i) for i in ids]) + detokeniser.flush() == tokenizer.decode(ids)


@given(st.lists(st.integers(0, 255), max_size=12))
def test_invalid_bytes_are_shown_and_never_taken_back(ids):
    """Broken UTF-8 still ends; what was given out stands."""
    detokeniser = Detokeniser(SENTENCEPIECE)
    shown = "".join(detokeniser.push(i) for i in ids) + detokeniser.flush()
    assert bool(shown) is bool(ids) or all(i == 32 for i in ids) or ids[0] == 32


def streamed(ids, stop=(), stop_after=()):
    """Deltas and the stream, fed until a stop string is complete."""
    stream = Stream(Detokeniser(SENTENCEPIECE), stop, stop_after)
    deltas = []
    for token_id in ids:
        stopped = stream.push(token_id, "answer")
        deltas += stream.release(final=stopped)
        if stopped:
            return stream, deltas, True
    stopped = stream.close()
    return stream, deltas + stream.release(final=True), stopped


WORD = st.lists(st.sampled_from([*range(256, 256 + len(PIECES)), *b"ENDab"]), max_size=20)


@given(WORD, st.sampled_from(["END", "DE", "b", "END the", "xyz"]), st.booleans())
def test_stop_strings_cut_exactly_and_never_leak(ids, stop, after):
    """The text ends before (or right after) the first match; kept tokens say no more than the text does."""
    stream, deltas, stopped = streamed(ids, *(((), (stop,)) if after else ((stop,), ())))
    whole = SENTENCEPIECE.decode(ids)
    expected = whole
    if stop in whole:
        expected = whole[: whole.index(stop) + (len(stop) if after else 0)]
    assert stopped is (stop in whole)
    assert stream.text == expected
    assert "".join(d.text for d in deltas) == expected
    released = [i for d in deltas for i in d.token_ids]
    assert released == ids[: stream.kept]
    assert expected.startswith(SENTENCEPIECE.decode(released))
    if not stopped:
        assert released == ids


def test_a_held_back_beginning_is_released_when_it_comes_to_nothing():
    """`EN` waits for what follows; `b` shows that it was no stop."""
    stream = Stream(Detokeniser(SENTENCEPIECE), ("END",), ())
    e, n, b = (256 + PIECES.index(p) for p in ("E", "N", "b"))
    shown = []
    for token_id in (b, e, n, b):
        assert not stream.push(token_id, "answer")
        shown.append("".join(d.text for d in stream.release(final=False)))
    assert shown == ["b", "", "", "ENb"]


def test_unarmed_text_matches_nothing_even_later():
    """Stop strings completed before `min_tokens` are part of the text."""
    stream = Stream(Detokeniser(SENTENCEPIECE), ("END",), ())
    end = 256 + PIECES.index("END")
    assert not stream.push(end, "answer", armed=False)
    assert stream.push(end, "answer")
    assert stream.text == "END"


@pytest.mark.parametrize(
    ("phase", "before", "following", "shown"),
    [
        ("answer", "answer", "answer", "answer"),
        ("markup", "answer", "reasoning", "reasoning"),
        ("markup", "reasoning", "answer", "reasoning"),
        ("markup", "answer", "tool", "tool"),
        ("markup", "tool", "answer", "tool"),
        ("markup", "answer", "answer", "answer"),
        ("tool", "answer", "tool", "tool"),
    ],
)
def test_delimiters_are_shown_with_what_they_enclose(phase, before, following, shown):
    """`<think>` and `</think>` belong to the reasoning a listener shows or hides."""
    assert shown_phase(phase, before, following) == shown
