"""Keys: where they come from, and that they are named, never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from symposia.backends.keys import read_key
from symposia.core.errors import InvalidInput, NotSerialisable
from symposia.core.redact import Secret

KEY = "planted-0123456789"


def test_the_usual_variable_then_its_file(tmp_path: Path) -> None:
    """Without a source: OPENAI_API_KEY, else the file OPENAI_API_KEY_FILE names; blanks around it are not the key."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    named = {"endpoint": "openai", "usual": "OPENAI_API_KEY"}
    both = {"OPENAI_API_KEY": " from-variable\n", "OPENAI_API_KEY_FILE": str(path)}
    assert read_key(None, env=both, **named) == Secret("from-variable")
    assert read_key(None, env={"OPENAI_API_KEY_FILE": str(path)}, **named) == Secret(KEY)
    assert read_key("env:MINE", env={**both, "MINE": KEY}, **named) == Secret(KEY)
    assert read_key(f"file:{path}", env={}, **named) == Secret(KEY)
    assert read_key("none", env=both, **named) is None
    assert read_key(None, env={}, endpoint="ollama", usual="") is None


def test_a_missing_key_names_both_ways(tmp_path: Path) -> None:
    """The error says which variable and which file would do."""
    with pytest.raises(InvalidInput, match=r"OPENAI_API_KEY, or OPENAI_API_KEY_FILE"):
        read_key(None, endpoint="openai", usual="OPENAI_API_KEY", env={})
    with pytest.raises(InvalidInput, match=r"MINE is not set; .*file:"):
        read_key("env:MINE", endpoint="openai", usual="OPENAI_API_KEY", env={"MINE": " "})
    with pytest.raises(InvalidInput, match=r"nowhere cannot be read .*env:OPENAI_API_KEY"):
        read_key(f"file:{tmp_path / 'nowhere'}", endpoint="openai", usual="OPENAI_API_KEY", env={})
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidInput, match="is empty"):
        read_key(None, endpoint="x", usual="K", env={"K_FILE": str(tmp_path / "empty")})


@pytest.mark.parametrize("source", [KEY, f"key:{KEY}", "env:", "file:"])
def test_a_key_where_its_source_is_expected_is_not_repeated(source: str) -> None:
    """Whoever pastes the key itself gets an error without it."""
    with pytest.raises(InvalidInput, match="expected env:NAME, file:PATH or none") as caught:
        read_key(source, endpoint="openai", usual="OPENAI_API_KEY", env={})
    assert KEY not in str(caught.value)


def test_a_key_cannot_be_shown_or_stored() -> None:
    """A key read is a Secret: stars in text, refused by serialisers."""
    key = read_key("env:K", endpoint="x", usual="", env={"K": KEY})
    assert key is not None
    assert KEY not in f"{key!r} {key}"
    assert key.reveal() == KEY
    with pytest.raises(NotSerialisable):
        pickle.dumps(key)
