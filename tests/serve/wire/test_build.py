"""From what was asked to core requests: the caller before the profile before the default, nothing silently dropped."""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.intervention import Ablate
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Feature, ModelCard, Request
from symposia.core.toolspec import ToolSpec
from symposia.core.value import checked
from symposia.serve.faults import Fault
from symposia.serve.wire import Aim, Limits, choice_seed, output_tokens, read, to_requests

EVERY: frozenset[Feature] = frozenset(get_args(Feature))
THINKS = ("auto", "off", "on", "low", "medium", "high")
CARD = ModelCard(model="m", features=EVERY, thinking=THINKS)
VECTOR = "sha256:" + "a" * 64
LOOK = ToolSpec(name="look", description="Looks.", parameters={"type": "object"})
PROFILE = Profile(
    model="m",
    system="Be warm.",
    sampling=Sampling(
        temperature=0.3, top_p=0.5, top_k=7, min_p=0.1, max_tokens=99, stop=("END",), seed=5, thinking="low",
        repetition_penalty=1.2, presence_penalty=0.1, frequency_penalty=0.2, logit_bias=((3, 1.0),), min_tokens=2,
    ),
    interventions=(Ablate(vector=VECTOR),),
    tools=(LOOK,),
    history="clean",
)  # fmt: skip


def requests(
    more: dict[str, Any] | None = None,
    *,
    profile: Profile | None = None,
    card: ModelCard = CARD,
    limits: Limits = Limits(),
    seed: int = 41,
) -> tuple[Request, ...]:
    """The requests of a small body with some fields more."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]} | (more or {})
    return to_requests(read(json.dumps(body).encode(), limits), Aim("m", card, profile), limits, seed=seed)


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def refused(more: dict[str, Any], **others: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        requests(more, **others)
    assert caught.value.status == 400
    return caught.value


def test_nothing_asked_is_the_default() -> None:
    """A plain request of a plain model."""
    (request,) = requests()
    assert request.sampling == Sampling(max_tokens=512)
    assert (request.seed, request.seed_required, request.speaker, request.turn) == (41, False, "assistant", 1)
    assert (request.interventions, request.tools, request.history, request.logprobs) == (
        (),
        (),
        "scoped",
        None,
    )
    assert checked(request) == request


def test_a_profile_fills_what_the_caller_left_open() -> None:
    """All of its sampling, its system line, tools, interventions and history."""
    (request,) = requests(profile=PROFILE)
    assert request.sampling == PROFILE.sampling
    assert request.interventions == PROFILE.interventions
    assert (request.history, request.tools) == ("clean", (LOOK,))
    assert (request.seed, request.seed_required) == (5, True)
    assert request.lines[0].text == "Be warm."


ASKED: dict[str, tuple[Any, str, Any]] = {
    "temperature": (1.5, "temperature", 1.5),
    "top_p": (0.8, "top_p", 0.8),
    "top_k": (0, "top_k", 0),
    "min_p": (0, "min_p", 0.0),
    "frequency_penalty": (0, "frequency_penalty", 0.0),
    "presence_penalty": (-1, "presence_penalty", -1.0),
    "repetition_penalty": (1, "repetition_penalty", 1.0),
    "stop": ("STOP", "stop", ("STOP",)),
    "logit_bias": ({"9": 2, "4": -1}, "logit_bias", ((4, -1.0), (9, 2.0))),
    "max_tokens": (16, "max_tokens", 16),
    "max_completion_tokens": (17, "max_tokens", 17),
    "reasoning_effort": ("none", "thinking", "off"),
    "seed": (6, "seed", 6),
}


@pytest.mark.parametrize("field", ASKED)
def test_the_callers_word_goes_before_the_profiles(field: str) -> None:
    """One field asked changes that one; a neutral value is a word too."""
    value, name, expected = ASKED[field]
    (request,) = requests({field: value}, profile=PROFILE)
    changed = {
        f for f in Sampling.__struct_fields__ if getattr(request.sampling, f) != getattr(PROFILE.sampling, f)
    }
    assert getattr(request.sampling, name) == expected
    assert changed == {name}


def test_stop_strings_may_be_many() -> None:
    """A list replaces the profile's; an absent one leaves them."""
    (request,) = requests({"stop": ["a", "b"]}, profile=PROFILE)
    assert request.sampling.stop == ("a", "b")


def test_output_never_exceeds_the_servers_or_the_models_bound() -> None:
    """Asked or default, under both."""
    limits = Limits(default_output_tokens=600, max_output_tokens=1_000)
    assert requests(limits=limits)[0].sampling.max_tokens == 600
    assert requests({"max_tokens": 10**9}, limits=limits)[0].sampling.max_tokens == 1_000
    small = ModelCard(model="m", features=EVERY, max_output=64)
    assert requests({"max_tokens": 10**9}, limits=limits, card=small)[0].sampling.max_tokens == 64
    ask = read(b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":7}', limits)
    assert output_tokens(ask, Aim("m", small), limits) == 7


@given(seed=st.integers(-(2**63), 2**63 - 1), n=st.integers(1, 8))
def test_choices_differ_in_their_seeds_only(seed: int, n: int) -> None:
    """Choice 0 has the seed; the others' follow from it, all different, all reproducible."""
    made = requests({"seed": seed, "n": n})
    assert [r.seed for r in made] == [seed, *(choice_seed(seed, i) for i in range(1, n))]
    assert len({r.seed for r in made}) == n
    assert all(0 <= r.seed < 2**63 for r in made[1:])
    digests = {r.digest for r in made}
    assert len(digests) == n


def test_a_choices_seed_is_the_documented_hash() -> None:
    """First 8 bytes of sha256 over the JSON array, top bit cleared."""
    number = int.from_bytes(hashlib.sha256(b'["choice",17,3]').digest()[:8], "big") % 2**63
    assert choice_seed(17, 3) == number


def test_without_a_seed_the_servers_is_used_and_not_demanded() -> None:
    """Only who asked for a seed is refused where there are none."""
    blind = ModelCard(model="m", features=EVERY - {"seed"})
    assert requests(card=blind, seed=9)[0].seed == 9
    assert refused({"seed": 3}, card=blind).param == "seed"


def test_inline_interventions_come_after_the_profiles() -> None:
    """Appended in order; the history policy asked for is used."""
    steering = {"interventions": [{"op": "ablate", "vector": VECTOR, "strength": 0.5}], "history": "keep"}
    (request,) = requests({"steering": steering}, profile=PROFILE)
    assert [i.strength for i in request.interventions if isinstance(i, Ablate)] == [1.0, 0.5]
    assert request.history == "keep"
    assert requests({"steering": {"receipts": True}}, profile=PROFILE)[0].history == "clean"


def test_tools_of_both_the_profiles_first() -> None:
    """Descriptions and parameters default to nothing said."""
    (request,) = requests({"tools": [tool("find")]}, profile=PROFILE)
    assert [t.name for t in request.tools] == ["look", "find"]
    assert request.tools[1].parameters == {"type": "object", "properties": {}}
    assert request.tool_choice == "auto"
    assert requests({"tools": [tool("a")], "tool_choice": "none"})[0].tool_choice == "none"


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"tools": [tool("find"), tool("look")]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [tool("a"), tool("a")]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [tool("a")], "tool_choice": "required"}, "tool_choice", "unsupported_parameter"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "lok"}}},
            "tool_choice.function.name",
            "invalid_value",
        ),
        (
            {"tool_choice": "required", "response_format": {"type": "json_object"}},
            "response_format",
            "invalid_value",
        ),
    ],
)
def test_tools_that_clash_or_cannot_be_demanded(more: dict[str, Any], param: str, code: str) -> None:
    """Each with the path of the name at fault."""
    fault = refused(more, profile=PROFILE)
    assert (fault.param, fault.code) == (param, code)


def test_required_without_tools_is_refused() -> None:
    """There is nothing to call."""
    assert refused({"tool_choice": "required"}).param == "tool_choice"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_a_demanded_call_is_forced(choice: object) -> None:
    """`required` with one tool, and a named function, become `force`."""
    (request,) = requests({"tools": [tool("look")], "tool_choice": choice})
    assert request.force is request.tools[0]
    assert [t.name for t in request.told] == ["look"]


def test_formats_become_schemas() -> None:
    """`text` is none, `json_object` any object, `json_schema` the given one."""
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert requests({"response_format": form})[0].schema == schema
    assert requests({"response_format": {"type": "json_object"}})[0].schema == {"type": "object"}
    assert requests({"response_format": {"type": "text"}})[0].schema is None


def test_logprobs_ask_for_the_chosen_and_so_many_beside() -> None:
    """`logprobs` alone is the chosen token's."""
    assert requests({"logprobs": True})[0].logprobs == 0
    assert requests({"logprobs": True, "top_logprobs": 5})[0].logprobs == 5
    assert requests({"logprobs": False})[0].logprobs is None


LACKING: list[tuple[str, dict[str, Any], str]] = [
    ("logprobs", {"logprobs": True}, "logprobs"),
    ("tools", {"tools": [tool("a")]}, "tools"),
    ("force", {"tools": [tool("a")], "tool_choice": "required"}, "tool_choice"),
    ("schema", {"response_format": {"type": "json_object"}}, "response_format"),
    ("top_k", {"top_k": 3}, "top_k"),
    ("min_p", {"min_p": 0.2}, "min_p"),
    ("logit_bias", {"logit_bias": {"3": 1}}, "logit_bias"),
    ("penalties", {"presence_penalty": 1}, "presence_penalty"),
    ("penalties", {"repetition_penalty": 1.1}, "repetition_penalty"),
    ("penalties", {"frequency_penalty": 1}, "frequency_penalty"),
    ("thinking", {"reasoning_effort": "high"}, "reasoning_effort"),
]


@pytest.mark.parametrize(("feature", "more", "param"), LACKING)
def test_what_the_model_lacks_is_refused_by_the_field_that_asks(
    feature: Feature, more: dict[str, Any], param: str
) -> None:
    """Never dropped: the caller is told which field to leave out."""
    fault = refused(more, card=ModelCard(model="m", features=EVERY - {feature}, thinking=THINKS))
    assert (fault.code, fault.param) == ("unsupported_parameter", param)
    assert requests(more)[0].model == "m"


def test_what_the_profile_asks_for_is_the_profiles_fault() -> None:
    """The caller sent nothing of it, so no field of his is named."""
    lacking = ModelCard(model="m", features=EVERY - {"min_p"}, thinking=THINKS)
    fault = refused({}, profile=PROFILE, card=lacking)
    assert (fault.code, fault.param) == ("steering_profile_incompatible", None)
    assert requests({"min_p": 0}, profile=PROFILE, card=lacking)


def test_steering_where_there_is_none() -> None:
    """The profile's and the caller's own interventions are told apart."""
    blind = ModelCard(model="m", features=EVERY - {"interventions"}, thinking=THINKS)
    assert refused({}, profile=PROFILE, card=blind).code == "steering_profile_incompatible"
    inline = {"steering": {"interventions": [{"op": "ablate", "vector": VECTOR}]}}
    fault = refused(inline, card=blind)
    assert (fault.code, fault.param) == ("invalid_steering", "steering.interventions")


def test_an_effort_the_model_does_not_react_to_is_refused() -> None:
    """The message says what it reacts to."""
    switch = ModelCard(model="m", features=EVERY, thinking=("auto", "off", "on"))
    fault = refused({"reasoning_effort": "high"}, card=switch)
    assert (fault.code, fault.param) == ("unsupported_parameter", "reasoning_effort")
    assert "off, on" in fault.message
    assert requests({"reasoning_effort": "none"}, card=switch)[0].sampling.thinking == "off"


def test_json_that_lies_too_deep_is_named() -> None:
    """Whoever renders or hashes it later does so recursively: it is refused here."""
    deep: Any = {}
    for _ in range(150):
        deep = {"x": [deep]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": deep}}
    assert refused({"response_format": form}).param == "response_format.json_schema.schema"
    shallow = {"type": "function", "function": {"name": "a", "parameters": deep["x"][0]["x"][0]}}
    assert refused({"tools": [tool("b"), shallow]}).param == "tools[1].function.parameters"
