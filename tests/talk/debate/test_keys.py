"""When answers are the same, and where in a reply an answer stands."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.message import Reasoning, Text, said
from symposia.talk.debate import MARKER, answer_key, extract
from symposia.talk.debate.extract import extract_text
from symposia.talk.debate.keys import group_key
from tests.debates import completion


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("42", "number:42"),
        (" 42. ", "number:42"),
        ("42.0", "number:42"),
        ("4.2e1", "number:42"),
        ("-1,234,567.50", "number:-2469135/2"),
        ("1 234", "number:1234"),
        ("1\\,234", "number:1234"),
        ("1{,}234", "number:1234"),
        ("$1,200", "number:1200"),
        ("-$5", "number:-5"),
        ("5 €", "number:5"),
        ("$42$", "number:42"),
        ("\\boxed{42}", "number:42"),
        ("$\\boxed{\\frac{3}{4}}$.", "number:3/4"),
        ("-\\dfrac{6}{8}", "number:-3/4"),
        ("3/4", "number:3/4"),
        ("0.75", "number:3/4"),
        ("\u22123", "number:-3"),
        ("50%", "number:50%"),
        ("50\\%", "number:50%"),
    ],
)
def test_a_number_is_compared_by_its_value(text: str, key: str) -> None:
    """Separators, currency, dollars, boxes and fractions do not matter; a percentage is another thing."""
    assert answer_key(text) == key == answer_key(text, "number")


@pytest.mark.parametrize(
    "text", ["42 km", "1,23,4", "12,34", "1/0", "4 or 5", "1e9999", "9" * 300, "", "x=3", "."]
)
def test_what_is_not_just_one_number_is_none(text: str) -> None:
    assert answer_key(text, "number") is None
    assert str(answer_key(text)).startswith("text:")


@given(st.fractions(), st.booleans())
def test_any_fraction_written_as_a_ratio_is_read_back(value: Fraction, boxed: bool) -> None:
    text = str(value)
    if len(text) < 150:
        assert answer_key(f"\\boxed{{{text}}}" if boxed else text, "number") == f"number:{value}"


def test_letters_and_options_are_one_choice() -> None:
    """One letter in any of its usual forms, or the exact text of an option; nothing out of a sentence."""
    options = ("Paris", "London", "Rome")
    for text in ("B", "b", "(B)", "B.", "London"):
        assert answer_key(text, "choice", options) == "choice:B"
    for text in ("D", "I think B", "london", "B or C", "AB"):
        assert answer_key(text, "choice", options) is None


def test_text_is_folded_but_says_what_it_said() -> None:
    """Case, width, spaces and punctuation around it do not matter; a sign and a per cent do."""
    assert group_key("  „The  Cat.“ ", "text") == group_key("the cat", "text")
    assert group_key("\uff34he cat!", "text") == "text:the cat"
    assert group_key("-5 degrees", "text") != group_key("5 degrees", "text")
    assert group_key("C++", "text") != group_key("C", "text")
    assert group_key("...", "text") == "text:..."


@given(st.text(), st.text(), st.booleans())
def test_the_answer_is_what_follows_the_last_marker(before: str, after: str, cut: bool) -> None:
    """Byte for byte a piece of the text; without a marker all of it, which half a reply may not be."""
    with_marker = extract_text(f"{before}{MARKER}{after}", truncated=cut)
    expected = f"{MARKER}{after}".rpartition(MARKER)[2].strip()
    assert (with_marker.text, with_marker.marker, with_marker.truncated) == (expected, True, cut)
    assert with_marker.cause == (None if expected else "empty_answer")
    if MARKER not in before:
        bare = extract_text(before, truncated=cut)
        assert (bare.text, bare.marker) == (before.strip(), False)
        assert bare.cause == ("truncated" if cut else None if before.strip() else "empty_answer")


def test_reasoning_is_never_looked_at() -> None:
    message = completion(Reasoning(f"{MARKER} 1"), Text("two"))
    assert extract(said("a", "two")).text == "two"
    assert extract_text(message.text) == extract(said("a", "two"))
