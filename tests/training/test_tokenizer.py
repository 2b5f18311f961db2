"""Promise: every string survives the tokenizer; control tokens are special, tags are not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from training import vocabulary
from training.abilities.subject import Subject
from training.grammar.bank import names, words
from training.grammar.mixture import sample
from training.render import pieces, rendered


@given(text=st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_round_trips(subject: Subject, text: str) -> None:
    """decode(encode(text)) is text, for every Unicode string."""
    ids = subject.tokenizer(text, add_special_tokens=False).input_ids
    assert subject.tokenizer.decode(ids, skip_special_tokens=False) == text


@given(number=st.integers(0, 10**12))
@settings(max_examples=50, deadline=None)
def test_numbers_are_read_digit_by_digit(subject: Subject, number: int) -> None:
    """One token per digit."""
    ids = subject.tokenizer(str(number), add_special_tokens=False).input_ids
    assert [subject.tokenizer.decode([i]) for i in ids] == list(str(number))


def test_control_tokens_and_tags(subject: Subject) -> None:
    """It is a fast tokenizer; tags survive skip_special_tokens, control tokens do not; each is one token."""
    assert subject.tokenizer.is_fast
    assert len(subject.tokenizer) == vocabulary.SIZE
    control = [vocabulary.PAD, vocabulary.START, vocabulary.END]
    for text in (*control, *vocabulary.MARKS):
        ids = subject.tokenizer(text, add_special_tokens=False).input_ids
        assert len(ids) == 1
        assert subject.tokenizer.decode(ids, skip_special_tokens=True) == ("" if text in control else text)


def test_common_names_and_secret_words_are_one_token(subject: Subject) -> None:
    """So that one position holds them, which patching needs; rare exceptions are tolerated."""
    known = [f" {word}" for word in (*words(), *names())]
    single = sum(len(subject.tokenizer(word, add_special_tokens=False).input_ids) == 1 for word in known)
    assert single >= 0.95 * len(known)


def test_pieces_are_encoded_as_the_whole_text_is(subject: Subject) -> None:
    """Training ids, made piece by piece, are those of the whole rendering."""
    for seed in range(60):
        drawn = sample(seed)
        parts = [subject.tokenizer(p.text, add_special_tokens=False).input_ids for p in pieces(drawn)]
        whole = subject.tokenizer(rendered(drawn), add_special_tokens=False).input_ids
        assert [i for part in parts for i in part] == whole
