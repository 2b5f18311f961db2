"""Addresses resolve in the documented order, and one model has one canonical spelling."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symposia
from symposia.core.errors import InvalidInput, UnknownModel, UnknownName
from symposia.core.models import ALIASES, MODELS, canonical, refined, resolve

ENDPOINTS = ("openai", "ollama", "scripted", "symposia")


@pytest.mark.parametrize(
    ("address", "source", "endpoint", "name"),
    [
        ("symposia:tiny", "bundled", "local", "weights/tiny"),
        ("qwen2.5-0.5b", "hub", "local", "Qwen/Qwen2.5-0.5B-Instruct"),
        ("openai:gpt-x", "endpoint", "openai", "gpt-x"),
        ("openai:ft:gpt@2?x=y", "endpoint", "openai", "ft:gpt@2?x=y"),
        ("ollama:llama3.2:3b", "endpoint", "ollama", "llama3.2:3b"),
        ("scripted:file.py:function", "endpoint", "scripted", "file.py:function"),
        ("openai:qwen2.5-0.5b", "endpoint", "openai", "qwen2.5-0.5b"),
        ("./here", "path", "local", "./here"),
        (".cache/tiny/llama", "path", "local", ".cache/tiny/llama"),
        (".cache/llama", "path", "local", ".cache/llama"),
        ("../there/model", "path", "local", "../there/model"),
        ("~/model", "path", "local", "~/model"),
        ("/abs/model", "path", "local", "/abs/model"),
        ("owner/name", "hub", "local", "owner/name"),
        ("local:owner/name", "hub", "local", "owner/name"),
        ("loaded:mine#sha256:ab", "loaded", "local", "mine#sha256:ab"),
    ],
)
def test_resolution_order(address: str, source: str, endpoint: str, name: str) -> None:
    """The table first, then a declared endpoint, then a path, then a Hub id."""
    found = resolve(address, ENDPOINTS)
    assert (found.source, found.endpoint, found.name) == (source, endpoint, name)


def test_options_are_read() -> None:
    """Revision, adapter, dtype and quantisation are parsed for local models."""
    found = resolve("owner/name@v2?adapter=me/lora&dtype=bfloat16&quant=4bit")
    assert (found.name, found.revision, found.adapter, found.dtype, found.quant) == (
        "owner/name",
        "v2",
        "me/lora",
        "bfloat16",
        "4bit",
    )
    assert found.canonical == "owner/name@v2?adapter=me/lora&dtype=bfloat16&quant=4bit"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct"),
        ("gpt-oss", "openai/gpt-oss-20b"),
        ("tiny", "symposia:tiny"),
        ("local:phi4", "microsoft/phi-4?quant=none"),
        ("qwen3-4b?quant=8bit&dtype=float16", "Qwen/Qwen3-4B?dtype=float16&quant=8bit"),
    ],
)
def test_one_model_has_one_spelling(one: str, other: str) -> None:
    """A short name, an alias and a Hub id agree; defaults and order of options do not count."""
    assert canonical(one) == canonical(other)


@given(st.sampled_from([*MODELS, *ALIASES, "a/b", "./x", "openai:m", "a/b@r?dtype=float32"]))
def test_canonical_is_stable(address: str) -> None:
    """The canonical spelling resolves to the same address."""
    found = resolve(address, ENDPOINTS)
    assert resolve(found.canonical, ENDPOINTS) == found


@given(st.text(min_size=1).filter(str.isprintable))
def test_any_adapter_name_survives_its_address(name: str) -> None:
    """Signs that an address gives a meaning to are written otherwise, and read back."""
    found = refined(resolve("a/b"), adapter=name)
    assert resolve(found.canonical).adapter == name


@pytest.mark.parametrize("address", ["qwen2.5-0.5c", "gpt:4", "name", "a/b/c", "https://x/y"])
def test_the_unknown_lists_the_five_nearest(address: str) -> None:
    """What resolves to nothing names five known spellings and the forms there are."""
    with pytest.raises(UnknownModel, match="owner/name") as caught:
        resolve(address, ENDPOINTS)
    nearest = re.search(r"nearest: ([^;]*?)\. Give", str(caught.value))
    assert nearest
    assert len(nearest[1].split(", ")) == 5


def test_the_nearest_is_near() -> None:
    """A typo names what was meant, and an undeclared endpoint the declared ones."""
    with pytest.raises(UnknownModel, match=r"nearest: qwen2\.5-0\.5b"):
        resolve("qwen2.5-0.5")
    with pytest.raises(UnknownModel, match=r"no endpoint 'openia' is declared .*ollama, openai"):
        resolve("openia:gpt", ENDPOINTS)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("a/b?quant=5bit", UnknownName),
        ("a/b?dtype=int8", UnknownName),
        ("a/b?speed=9", UnknownName),
        ("a/b?quant=", InvalidInput),
        ("a/b?quant=8bit&quant=4bit", InvalidInput),
        ("", InvalidInput),
        (" phi4", InvalidInput),
    ],
)
def test_options_that_do_not_exist_are_refused(address: str, error: type[Exception]) -> None:
    """A misspelt or repeated option is an error that lists the valid ones."""
    with pytest.raises(error):
        resolve(address)


def test_the_table_is_sound() -> None:
    """Rows have a Hub id or a bundled directory, plausible sizes, and no name twice; aliases lead to rows."""
    hubs = [entry.hub for entry in MODELS.values() if entry.bundled is None]
    assert len(set(hubs)) == len(hubs)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", hub) for hub in hubs)
    assert all(entry.parameters > 1e6 and entry.context_window >= 1024 for entry in MODELS.values())
    assert set(ALIASES.values()) <= set(MODELS)
    assert not set(ALIASES) & set(MODELS)


def test_the_bundled_row_says_what_is_bundled() -> None:
    """The directory is inside the package, and its context window is the table's."""
    entry = MODELS["symposia:tiny"]
    folder = Path(symposia.__file__).parent / str(entry.bundled)
    config = json.loads((folder / "config.json").read_text())
    assert config["max_position_embeddings"] == entry.context_window
