"""A schema accepts what the types write and refuses what they refuse."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from symposia.core.message import Message, Provenance, Reasoning, Text, ToolCall, said
from symposia.core.schema import json_schema, stored_formats
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage

SCHEMA = json_schema(stored_formats()[0])
MADE = Provenance(
    profile="p", request="r", completions=("c",), seed=1, cue="", usage=Usage(), finish_reason="stop"
)
WHOLE = Transcript(
    (
        said("ann", "hello", frozenset({"bob"})),
        Message(author="bob", parts=(Reasoning("hm"), Text("x")), origin="sampled", as_of=1, provenance=MADE),
        Message(author="bob", parts=(ToolCall(id="1", name="f", arguments={"x": 1}),)),
    )
)


def test_what_we_write_is_valid() -> None:
    """A stored transcript validates against the transcript schema, itself a valid 2020-12 schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(WHOLE.encode()), SCHEMA)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.update(format="other"), "other"),
        (lambda t: t.update(version=2), "2"),
        (lambda t: t.update(extra=1), "extra"),
        (lambda t: t["messages"][0].update(origin="dreamt"), "dreamt"),
        (lambda t: t["messages"][0].update(as_of=-1), "-1"),
        (lambda t: t["messages"][0]["parts"].append({"type": "image"}), "image"),
        (lambda t: t["messages"][1]["provenance"].pop("seed"), "seed"),
    ],
)
def test_what_we_refuse_is_invalid(change: Any, why: str) -> None:
    """An unknown field, type, value or version fails validation."""
    stored = json.loads(WHOLE.encode())
    change(stored)
    with pytest.raises(jsonschema.ValidationError, match=why):
        jsonschema.validate(stored, SCHEMA)


def test_formats_are_named_once() -> None:
    """No two stored formats share a file."""
    names = [form.file_name for form in stored_formats()]
    assert len(set(names)) == len(names)
