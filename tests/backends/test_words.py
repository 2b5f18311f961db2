"""Replies that nobody wrote."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.backends.words import LEAST, MOST, made_of
from symposia.core.message import ToolCall
from symposia.core.request import Completion
from symposia.testing import check_backend
from symposia.testing.backends import plain_request
from tests.backends.asking import ADD


@given(st.text(max_size=20), st.integers(0, 2**31))
def test_the_same_request_has_the_same_words(text: str, seed: int) -> None:
    """And as many as promised; nothing but the request is looked at."""
    request = replace(plain_request("m", text=text), seed=seed)
    said = made_of(request)
    assert said == made_of(replace(request))
    assert LEAST <= len(said.split()) <= MOST


def test_other_requests_have_other_words() -> None:
    """Another seed, another text, another model."""
    requests = [replace(plain_request("m"), seed=seed) for seed in range(50)]
    requests += [plain_request("m", text=f"{n}") for n in range(50)] + [plain_request("other")]
    assert len({made_of(request) for request in requests}) == len(requests)


async def test_it_keeps_the_backend_protocol() -> None:
    """Without a function too, whatever it is said to honour."""
    await check_backend(Scripted(chunk=4), "m")
    await check_backend(Scripted(features=frozenset({"force", "schema", "choices", "tools"})), "m")


@pytest.mark.parametrize("form", ["force", "schema", "choices"])
async def test_it_comes_in_the_form_that_is_asked_for(form: str) -> None:
    """A call of the tool, JSON of the schema, one of the choices."""
    asked = {"force": ADD, "schema": ADD.parameters, "choices": ("yes", "no")}
    backend = Scripted(features=frozenset({form}))
    request = replace(plain_request("m", 64), **{form: asked[form]})
    done = [item async for item in backend.generate(request)][-1]
    assert isinstance(done, Completion)
    match form:
        case "force":
            (call,) = done.parts
            assert isinstance(call, ToolCall)
            jsonschema.validate(call.arguments, ADD.parameters)
        case "schema":
            jsonschema.validate(msgspec.json.decode(done.text), ADD.parameters)
        case "choices":
            assert sorted(done.scores.logprobs) == [-10.0, 0.0]
