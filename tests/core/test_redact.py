"""No planted secret survives redaction, whole or in pieces."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from itertools import pairwise
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import NotSerialisable
from symposia.core.profile import Profile
from symposia.core.redact import Redactor, Secret

PLAIN = "corr3ct-horse battery/staple+"
SECRETS = {"FORGE_TOKEN": PLAIN, "DB_PASSWORD": "hunter2hunter2", "SHORT_KEY": "abc"}
redactor = Redactor(SECRETS)

FORMS = {
    "exact": PLAIN,
    "url": quote(PLAIN, safe=""),
    "url plus": quote_plus(PLAIN),
    "base64": base64.b64encode(PLAIN.encode()).decode(),
    "base64 url": base64.urlsafe_b64encode(PLAIN.encode()).decode(),
    "basic auth": base64.b64encode(f"user:{PLAIN}".encode()).decode(),
    "basic auth, shifted": base64.b64encode(f"me:{PLAIN}!".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_known_secret_goes(form: str) -> None:
    """Exact, URL-encoded and base64 forms, also inside a longer base64 text, are replaced by name."""
    got = redactor.text(f"<{FORMS[form]}>")
    assert "[redacted:FORGE_TOKEN]" in got
    for part in (FORMS[form], FORMS[form][6:-6]):
        assert part not in got


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ghp_" + "a1" * 10, "github_token"),
        ("gho_" + "a1" * 10, "github_token"),
        ("github_pat_" + "A_1" * 8, "github_token"),
        ("sk-" + "a1" * 10, "api_key"),
        ("sk-proj-" + "a1" * 10, "api_key"),
        ("lsv2_" + "pt_" + "a1" * 10, "langsmith_key"),
        ("AKIA" + "A1B2" * 4, "aws_key"),
        ("abcdefgh.12345", "bearer"),
    ],
)
def test_unknown_keys_go_by_their_shape(text: str, kind: str) -> None:
    """What looks like a key is replaced by its kind."""
    given = f"Authorization: Bearer {text}" if kind == "bearer" else f"key {text}."
    got = redactor.text(given)
    assert f"[redacted:{kind}]" in got
    assert text not in got


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("OPENAI_API_KEY=abc def", "OPENAI_API_KEY=[redacted:OPENAI_API_KEY] def"),
        ('X_TOKEN="a b" y', 'X_TOKEN="[redacted:X_TOKEN]" y'),
        ("DB_PASSWORD='a b", "DB_PASSWORD='[redacted:DB_PASSWORD]"),
        ("https://me:pw@host/x", "https://[redacted:url]@host/x"),
        ("see https://host/a@b", "see https://host/a@b"),
        ("sorted(key=len), max_tokens=5", "sorted(key=len), max_tokens=5"),
        ("the bearer of news", "the bearer of news"),
        ("abc stays", "abc stays"),
        ("sk-short, AKIA1234", "sk-short, AKIA1234"),
    ],
)
def test_assignments_and_urls(text: str, want: str) -> None:
    """NAME=value and URL user info go, quoted or not; ordinary words, code and short values stay."""
    assert redactor.text(text) == want


def test_overlapping_secrets_leave_nothing() -> None:
    """Two secrets sharing characters are removed together."""
    both = Redactor({"A_KEY": "abcdefghij", "B_KEY": "ghijklmnop"})
    assert both.text("xabcdefghijklmnopx") == "x[redacted:A_KEY]x"


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [*FORMS.values(), "hunter2hunter2", "ghp_" + "z9" * 10, "Bearer abcdefghijkl", "Bearer  "]
        ),
        st.sampled_from(
            ['A_KEY="x y', "A_KEY=", '"', "'", "\n", " ", "http://u:p@h/", "é", "[redacted:A]", "sk-"]
        ),
        st.text("ab1 \n=@:/", max_size=10),
    ),
    max_size=8,
).map("".join)


@given(pieces)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """Redacted text has nothing left to redact."""
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert PLAIN not in once
    assert "hunter2hunter2" not in once


@given(pieces, st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_of_a_stream_is_the_whole(text: str, cuts: list[int]) -> None:
    """However the bytes are cut, inside characters too, the stream gives what the whole text gives."""
    raw = text.encode()
    places = sorted({0, len(raw), *(c for c in cuts if c < len(raw))})
    stream = redactor.stream()
    got = "".join(stream.feed(raw[a:b]) for a, b in pairwise(places)) + stream.flush()
    assert got == redactor.text(text)


def test_a_stream_lets_go_of_what_is_safe() -> None:
    """Text well before the end is out before the stream ends, and memory stays bounded without a pause."""
    stream = redactor.stream()
    assert stream.feed(b"plain words " * 40).startswith("plain words")
    endless = redactor.stream()
    out = "".join(endless.feed(b"x" * 50_000) for _ in range(6))
    assert len(out) > 100_000
    assert out + endless.flush() == "x" * 300_000


def test_values_are_redacted_keys_too() -> None:
    """Strings anywhere in a JSON value are redacted; other values stay."""
    got = redactor.value({PLAIN: [1, None, True, {"k": f"a {PLAIN}"}], "n": (PLAIN,)})
    assert got == {
        "[redacted:FORGE_TOKEN]": [1, None, True, {"k": "a [redacted:FORGE_TOKEN]"}],
        "n": ["[redacted:FORGE_TOKEN]"],
    }


@given(st.text(max_size=8), st.sampled_from([PLAIN, 'pä"ss\tword', "sk-" + "a1" * 10]), st.text(max_size=8))
def test_json_is_redacted_by_its_strings(before: str, secret: str, after: str) -> None:
    """However JSON writes what stands around a secret, or in it, the secret goes; what holds none stays as it was."""
    hides = Redactor({"known": 'pä"ss\tword', **SECRETS})
    raw = msgspec.json.encode({before: [f"{before} {after}"], "text": f"line\n{secret}\n{after}"})
    told = msgspec.json.decode(hides.json(raw))
    assert secret not in told["text"]
    assert "[redacted:" in told["text"]
    clean = msgspec.json.encode({"text": "no\nsecret \\ here"})
    assert hides.json(clean) == clean


@given(
    st.lists(pieces | st.sampled_from(["plain", "sk-" + "a1" * 10, 'pä"ss\tword']), min_size=1, max_size=4)
)
def test_lines_are_redacted_each_by_itself(words: list[str]) -> None:
    """Many lines of JSON at once are what each is alone, also where a secret has a line break in it."""
    hides = Redactor({"known": 'pä"ss\tword', "two_lines": "first line\nplain", **SECRETS})
    raws = [msgspec.json.encode({"text": word, word: ["plain", 1]}) for word in words]
    assert hides.lines(b"\n".join(raws)) == b"\n".join(map(hides.json, raws))


def test_a_secret_shows_itself_to_nobody() -> None:
    """A Secret prints as ***, and no serialiser takes it."""
    secret = Secret("very-secret-value")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == "very-secret-value"
    assert secret == Secret("very-secret-value")
    assert secret != Secret("another")
    for serialise in (pickle.dumps, copy.deepcopy, msgspec.json.encode, json.dumps):
        with pytest.raises((NotSerialisable, TypeError)):
            serialise(secret)


def test_a_secret_in_a_value_is_refused() -> None:
    """A value that holds a Secret has no digest."""
    from symposia.core.errors import InvalidInput
    from symposia.core.value import digest

    with pytest.raises(InvalidInput, match="Secret"):
        digest(Profile(model=Secret("x")))  # type: ignore[arg-type]
