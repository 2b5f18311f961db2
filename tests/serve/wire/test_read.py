"""Reading requests: what does not fit is 400 with the path of the field, whatever it is."""

from __future__ import annotations

import json
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.profile import Profile
from symposia.core.request import ModelCard
from symposia.serve.faults import Fault
from symposia.serve.wire import ChatRequest, Limits, read, read_as
from tests.serve.bodies import (
    COMPONENTS,
    FULL,
    SHUT,
    Json,
    at,
    dotted,
    places,
    raw,
    resolved,
    validator,
    with_value,
)

LIMITS = Limits()
SMALL = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
PLACES = places(FULL, {"$ref": "#/components/schemas/ChatRequest"})
OBJECTS = [
    path for path, schema in PLACES if resolved(schema, at(FULL, path)).get("additionalProperties") is False
]

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.text(string.ascii_letters, min_size=600, max_size=700)
)
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)


def refused(body: bytes) -> Fault:
    """The fault of a body that must not be read."""
    with pytest.raises(Fault) as caught:
        read(body, LIMITS)
    fault = caught.value
    assert fault.status == 400
    assert fault.type == "invalid_request_error"
    return fault


def code_of(body: bytes) -> str | None:
    """The code of the fault of a body, None if it is read."""
    try:
        read(body, LIMITS)
    except Fault as fault:
        return fault.code
    return None


def test_the_whole_form_is_read() -> None:
    """A body with every field is a request, and no field of the document is missing from it."""
    ask = read(raw(FULL), LIMITS)
    assert isinstance(ask, ChatRequest)
    assert set(FULL) | set(SHUT) == set(COMPONENTS["ChatRequest"]["properties"])
    named = {schema["$ref"].rpartition("/")[2] for path, s in PLACES if "$ref" in (schema := s)}
    ops = {i["op"] for i in FULL["steering"]["interventions"]}
    assert len(ops) == 11
    assert "ChatRequest" in named


@given(place=st.sampled_from(PLACES), value=values)
def test_what_the_schema_refuses_is_400_with_its_path(
    place: tuple[tuple[str | int, ...], Json], value: Json
) -> None:
    """Promise 11: any value at any place; jsonschema says whether it fits, and `param` points at it or into it.

    What the document allows is read; only steering may contradict itself in ways that no schema says.
    """
    path, schema = place
    body = with_value(FULL, path, value)
    if validator(schema).is_valid(value):
        once = {key: item for key, item in body.items() if key != "max_tokens"} if path else body
        if validator({"$ref": "#/components/schemas/ChatRequest"}).is_valid(once):
            assert code_of(raw(once)) in (None, "invalid_steering")
        return
    fault = refused(raw(body))
    param = fault.param or ""
    tag = path[-1:] in [("role",), ("type",), ("op",)]  # another tag is another struct: its fields are judged
    assert (
        param == dotted(path) or param.startswith((dotted(path) + ".", dotted(path) + "[")) or not path or tag
    )
    if not isinstance(value, dict | list):
        assert fault.param == (dotted(path) or None)
    assert "expected" in fault.message
    assert "got" in fault.message


@given(path=st.sampled_from(OBJECTS), name=st.text(string.ascii_lowercase, min_size=1, max_size=8))
def test_an_unknown_neighbour_is_named_by_its_path(path: tuple[str | int, ...], name: str) -> None:
    """A field nobody knows, anywhere, is `unknown_parameter`."""
    name = f"zz_{name}"
    fault = refused(raw(with_value(FULL, (*path, name), 1)))
    assert fault.code == "unknown_parameter"
    assert fault.param == dotted((*path, name))


@given(path=st.sampled_from(OBJECTS))
def test_a_missing_field_is_named_by_its_path(path: tuple[str | int, ...]) -> None:
    """What the schema requires and is not there is named."""
    schema = next(schema for where, schema in PLACES if where == path)
    value = dict(at(FULL, path))
    for name in resolved(schema, value).get("required", []):
        without = {key: item for key, item in value.items() if key != name}
        assert refused(raw(with_value(FULL, path, without))).param == dotted((*path, name))


@given(value=values.filter(lambda value: value is not None), name=st.sampled_from(SHUT))
def test_known_fields_that_cannot_be_honoured_say_so(value: Json, name: str) -> None:
    """Null asks for nothing; anything else is refused by name."""
    assert read(raw(SMALL | {name: None}), LIMITS).model == "tiny"
    fault = refused(raw(SMALL | {name: value}))
    assert (fault.code, fault.param) == ("unsupported_parameter", name)


@given(body=st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_anything_but_read_or_400(body: bytes) -> None:
    """Bytes of any kind never raise another exception."""
    refused(body)


@given(cut=st.integers(0, len(raw(FULL)) - 1))
def test_a_body_cut_anywhere_is_no_json(cut: int) -> None:
    """A body that ends early is not read as far as it goes."""
    assert refused(raw(FULL)[:cut]).code == "invalid_json"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"model":' + b'{"a":' * 100_000,
        b'{"model":"a","seed":' + b"9" * 5_000 + b"}",
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        b'{"model":NaN}',
        b"\xef\xbb\xbf{}",
        b"",
    ],
)
def test_json_that_nobody_can_read_is_said_to_be_none(body: bytes) -> None:
    """Depth, digits, encodings: a parser's limits are the caller's 400, not our 500."""
    assert refused(body).code == "invalid_json"


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
def test_numbers_without_end_are_named(number: bytes) -> None:
    """What a float cannot hold is refused where it stands, in free JSON too."""
    body = raw(SMALL)[:-1] + b',"temperature":' + number + b"}"
    assert refused(body).param == "temperature"
    tool = b'{"type":"function","function":{"name":"f","parameters":{"x":[' + number + b"]}}}"
    fault = refused(raw(SMALL)[:-1] + b',"tools":[' + tool + b"]}")
    assert fault.param == "tools[0].function.parameters.x[0]"


@given(n=st.integers(1, 8), seed=st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_number_may_be_written_with_a_point(n: int, seed: int) -> None:
    """JSON tells 5 and 5.0 not apart, and neither does the schema; 5.5 is none."""
    ask = read(raw(SMALL | {"n": float(n), "seed": float(seed)}), LIMITS)
    assert (ask.n, ask.seed) == (n, seed)
    assert refused(raw(SMALL | {"n": n + 0.5})).param == "n"
    assert refused(raw(SMALL | {"n": float(n), "zz": 1})).param == "zz"


@pytest.mark.parametrize("depth", [50, 400, 900, 980, 990, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("more", [b"", b',"zz":1', b',"n":1.0', b',"n":0.5'])
def test_depth_is_never_our_failure(depth: int, more: bytes) -> None:
    """Deep JSON is read, or 400; nothing else, at whatever depth the interpreter gives up."""
    deep = b'{"x":' + b"[" * depth + b"]" * depth + b"}"
    tool = b'{"type":"function","function":{"name":"f","parameters":' + deep + b"}}"
    with suppress(Fault):
        read(raw(SMALL)[:-1] + b',"tools":[' + tool + b"]" + more + b"}", LIMITS)


CASES = [
    ({"temperature": "hot"}, "invalid_value", "temperature", 'got "hot"'),
    ({"temperatur": 1}, "unknown_parameter", "temperatur", "'temperature'"),
    ({"n": 9}, "invalid_value", "n", "1 to 8"),
    ({"messages": []}, "invalid_value", "messages", "at least 1"),
    ({"messages": SMALL["messages"] * 2_049}, "invalid_value", "messages", "2048"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "invalid_value", "max_completion_tokens", "5"),
    ({"top_logprobs": 3}, "invalid_value", "top_logprobs", "logprobs"),
    ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options", "stream"),
    ({"stop": ["a"] * 5}, "invalid_value", "stop", "at most 4"),
    ({"stop": "x" * 257}, "invalid_value", "stop", "256"),
    ({"stop": ["a", ""]}, "invalid_value", "stop[1]", "at least 1"),
    ({"metadata": {str(i): "" for i in range(17)}}, "invalid_value", "metadata", "at most 16"),
    ({"metadata": {"k" * 65: ""}}, "invalid_value", "metadata." + "k" * 65, "64"),
    ({"metadata": {"k": "v" * 513}}, "invalid_value", "metadata.k", "512"),
    ({"store": True}, "unsupported_parameter", "store", "false"),
    ({"parallel_tool_calls": False}, "unsupported_parameter", "parallel_tool_calls", "true"),
    ({"service_tier": "flex"}, "unsupported_parameter", "service_tier", "auto"),
    ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities[1]", "text"),
    ({"reasoning_effort": "xhigh"}, "unsupported_parameter", "reasoning_effort", "high"),
    ({"functions": []}, "unsupported_parameter", "functions", "tools"),
    ({"function_call": "auto"}, "unsupported_parameter", "function_call", "tool_choice"),
    ({"verbosity": "low"}, "unsupported_parameter", "verbosity", "max_completion_tokens"),
    ({"tools": [{"type": "custom"}]}, "unsupported_parameter", "tools[0].type", "function"),
    (
        {"response_format": {"type": "grammar"}},
        "unsupported_parameter",
        "response_format.type",
        "json_schema",
    ),
    (
        {"steering": {"interventions": [{"op": "push"}]}},
        "invalid_value",
        "steering.interventions[0].op",
        "add",
    ),
    (
        {"steering": {"interventions": [{"op": "cap", "vector": "v"}]}},
        "invalid_steering",
        "steering.interventions[0]",
        "low, high",
    ),
    (
        {"steering": {"interventions": [{"op": "add", "vector": "v", "where": {"any": [{"author": []}]}}]}},
        "unknown_parameter",
        "steering.interventions[0].where.any[0].author",
        "'authors'",
    ),
    (
        {"steering": {"interventions": [{"op": "ablate", "vector": "v"}] * 17}},
        "invalid_value",
        "steering.interventions",
        "at most 16",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
        "unsupported_content",
        "messages[0].content[0].type",
        "text",
    ),
    (  # what a part is comes before what it holds, in whatever order they stand
        {"messages": [{"role": "user", "content": [{"image_url": {"url": "u"}, "type": "image_url"}]}]},
        "unsupported_content",
        "messages[0].content[0].type",
        "text",
    ),
    (
        {"messages": [{"role": "user", "content": "x", "name": "a b"}]},
        "invalid_value",
        "messages[0].name",
        "a b",
    ),
]


@pytest.mark.parametrize(("more", "code", "param", "words"), CASES, ids=[c[2] for c in CASES])
def test_the_named_refusals(more: Json, code: str, param: str, words: str) -> None:
    """What the specification names, each with its code, its path and the way out."""
    fault = refused(raw(SMALL | more))
    assert (fault.code, fault.param) == (code, param)
    assert words in fault.message


@pytest.mark.parametrize(
    "more",
    [
        {"steering": {"vectors": [{"source": "/etc/passwd", "scale": 2.0}]}},
        {"steering": {"vectors": {}, "interventions": []}},
        {"steer_vector_request": {"steer_vector_local_path": "/x.gguf"}},
    ],
)
def test_vector_files_named_by_callers_are_refused_with_the_native_form(more: Json) -> None:
    """Another server's steering names files of the machine; the answer shows how it is asked here."""
    fault = refused(raw(SMALL | more))
    assert fault.code == "invalid_steering"
    assert (fault.param or "").startswith("steer")
    shown = fault.message[fault.message.index("{") : fault.message.rindex("}") + 1].replace("…", "0")
    native = SMALL | {"steering": json.loads(shown)}
    assert read(raw(native), LIMITS).steering is not None


def test_limits_are_the_servers_own() -> None:
    """Numbers of the settings bind, not those of the document's defaults."""
    tight = Limits(max_messages=1, max_n=1)
    assert read(raw(SMALL), tight).n is None
    with pytest.raises(Fault, match="at most 1 messages"):
        read(raw(SMALL | {"messages": SMALL["messages"] * 2}), tight)
    with pytest.raises(Fault, match="1 to 1"):
        read(raw(SMALL | {"n": 2}), tight)


def test_long_and_secretive_input_is_not_thrown_back() -> None:
    """A megabyte in a wrong place makes a short message and a short path."""
    fault = refused(raw(SMALL | {"k" * 1_000_000: 1}))
    assert len(fault.param or "") < 300
    assert len(fault.message) < 2_000
    assert len(refused(raw(SMALL | {"temperature": "x" * 1_000_000})).message) < 300


def test_any_other_body_is_read_alike() -> None:
    """A profile, with sets, rows and contradictions: the same paths and codes."""
    profile = {
        "model": "m",
        "sampling": {"max_tokens": 5.0},
        "interventions": [{"op": "ablate", "vector": "v"}],
    }
    assert read_as(raw(profile), Profile).sampling.max_tokens == 5
    for more, code, param in (
        ({"sampling": {"temperature": 11}}, "invalid_value", "sampling.temperature"),
        ({"sampling": {"logit_bias": [[1, 2, 3]]}}, "invalid_value", "sampling.logit_bias[0]"),
        ({"tools": [{"name": "a"}]}, "invalid_value", "tools[0].description"),
        ({"interventions": [{"op": "cap", "vector": "v"}]}, "invalid_steering", "interventions[0]"),
        ({"sytem": "x"}, "unknown_parameter", "sytem"),
    ):
        with pytest.raises(Fault) as caught:
            read_as(raw(profile | more), Profile)
        assert (caught.value.code, caught.value.param) == (code, param)
    card = {"model": "m", "features": ["seed", "sed"]}
    with pytest.raises(Fault) as caught:
        read_as(raw(card), ModelCard)
    assert caught.value.param == "features[1]"
