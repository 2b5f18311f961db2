"""The table of flavours, row by row: what a request becomes, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import OpenAIEndpoint
from symposia.backends.openai.flavours import FLAVOURS
from symposia.backends.openai.wire import ChatWire
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.lines import LineRules
from symposia.core.message import Reasoning, ToolCall
from tests.backends.asking import ADD, LOOSE, asked, line

URL = "https://example.test/v1"
EVERY = tuple(FLAVOURS)
NEUTRAL = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)


def wire(flavour: str, **declared: object) -> ChatWire:
    return ChatWire("up", OpenAIEndpoint(flavour=flavour, base_url=URL, **declared))


def body(flavour: str, **changes: object) -> dict:
    """What is sent, unless it is refused."""
    request, spoken = asked(**changes), wire(flavour)
    spoken.refuse(request)
    return spoken.body(request)


def refused(flavour: str, **changes: object) -> str:
    """The feature that is refused."""
    with pytest.raises(UnsupportedRequest) as caught:
        body(flavour, **changes)
    assert caught.value.way_out
    return caught.value.feature


@pytest.mark.parametrize("flavour", EVERY)
def test_every_request_streams_with_usage(flavour: str) -> None:
    """One way of asking: a stream whose last chunk has the usage; the model under the server's own name."""
    sent = body(flavour)
    assert (sent["stream"], sent["stream_options"], sent["model"]) == (True, {"include_usage": True}, "gpt-x")
    assert sent["messages"] == [{"role": "user", "content": "Say one word, please."}]
    limit = "max_completion_tokens" if flavour == "openai" else "max_tokens"
    assert [name for name in ("max_tokens", "max_completion_tokens") if name in sent] == [limit]


@pytest.mark.parametrize(
    ("flavour", "sent"),
    [
        ("openai", ()),
        ("openrouter", ()),
        ("vllm", NEUTRAL),
        ("sglang", NEUTRAL),
        ("ollama", ("temperature", "top_p")),
        ("generic", ()),
    ],
)
def test_neutral_knobs_go_where_a_server_would_put_its_own(flavour: str, sent: tuple[str, ...]) -> None:
    """Left out elsewhere: some models refuse even a neutral temperature."""
    fields = body(flavour)
    assert tuple(name for name in NEUTRAL if name in fields) == sent


def test_knobs_go_in_one_order() -> None:
    """The same bytes for the same request, on every version."""
    told = {
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.1,
        "min_p": 0.1,
        "top_k": 5,
    }
    fields = body("vllm", **told, top_p=0.9, temperature=0.3)
    assert [name for name in fields if name in NEUTRAL] == [
        *("temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
        *("presence_penalty", "frequency_penalty"),
    ]
    assert body("vllm")["top_k"] == -1
    assert refused("openai", **told) == "min_p"


@pytest.mark.parametrize("flavour", EVERY)
def test_chosen_temperature_and_top_p_are_sent(flavour: str) -> None:
    """Whatever the server, what the profile chose is in the body."""
    fields = body(flavour, temperature=0.3, top_p=0.5, frequency_penalty=0.5)
    assert (fields["temperature"], fields["top_p"], fields["frequency_penalty"]) == (0.3, 0.5, 0.5)


@pytest.mark.parametrize(("knob", "value"), [("top_k", 20), ("min_p", 0.1), ("repetition_penalty", 1.2)])
@pytest.mark.parametrize("flavour", EVERY)
def test_other_knobs_are_sent_or_refused(flavour: str, knob: str, value: float) -> None:
    """Never dropped; a router is told to choose providers that have them."""
    if flavour not in ("openrouter", "vllm", "sglang"):
        assert refused(flavour, **{knob: value}) == knob
        return
    fields = body(flavour, **{knob: value})
    assert fields[knob] == value
    assert fields.get("provider") == ({"require_parameters": True} if flavour == "openrouter" else None)


@given(st.integers(0, 2**63 - 1))
def test_seeds_keep_their_low_31_bits(seed: int) -> None:
    """What every server can read."""
    assert body("openai", seed=seed)["seed"] == seed % 2**31


@pytest.mark.parametrize("flavour", EVERY)
def test_stop_strings(flavour: str) -> None:
    """Four are sent everywhere, a fifth where any number is taken."""
    five = ("a", "b", "c", "d", "e")
    assert body(flavour, stop=five[:4])["stop"] == five[:4]
    if flavour in ("openai", "openrouter", "generic"):
        assert refused(flavour, stop=five) == "5 stop strings"
    else:
        assert body(flavour, stop=five)["stop"] == five


def test_stop_after_is_cut_here_or_kept_there() -> None:
    """vLLM keeps the string in the text itself, unless other stop strings are to be left out of it."""
    assert "stop" not in body("openai", stop_after=("END",))
    kept = body("vllm", stop_after=("END",))
    assert (kept["stop"], kept["include_stop_str_in_output"]) == (("END",), True)
    both = body("vllm", stop_after=("END",), stop=("x",))
    assert (both["stop"], "include_stop_str_in_output" in both) == (("x",), False)


def test_logprobs_are_bounded() -> None:
    """Twenty a token at most; vLLM tells the ids too; a router needs providers that have them."""
    assert body("openai", logprobs=3).items() >= {"logprobs": True, "top_logprobs": 3}.items()
    assert body("vllm", logprobs=0)["return_token_ids"] is True
    assert body("openrouter", logprobs=1)["provider"] == {"require_parameters": True}
    assert refused("openai", logprobs=21) == "logprobs=21"


@pytest.mark.parametrize(
    ("flavour", "mode", "sent"),
    [
        ("openai", "off", {"reasoning_effort": "none"}),
        ("openai", "high", {"reasoning_effort": "high"}),
        ("ollama", "low", {"reasoning_effort": "low"}),
        ("openrouter", "off", {"reasoning": {"enabled": False}}),
        ("openrouter", "on", {"reasoning": {"enabled": True}}),
        ("openrouter", "medium", {"reasoning": {"effort": "medium"}}),
        ("vllm", "on", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("sglang", "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", "high", {"chat_template_kwargs": {"reasoning_effort": "high"}}),
    ],
)
def test_thinking(flavour: str, mode: str, sent: dict) -> None:
    """Each server's own field."""
    plain = body(flavour)
    fields = body(flavour, thinking=mode)
    assert {key: value for key, value in fields.items() if key not in plain} == (
        sent | ({"provider": {"require_parameters": True}} if flavour == "openrouter" else {})
    )


def test_a_thinking_budget_goes_where_there_is_a_field_for_it() -> None:
    """Elsewhere it is refused: an effort is no budget."""
    assert body("openrouter", thinking_budget=2000)["reasoning"] == {"max_tokens": 2000}
    assert refused("openai", thinking_budget=2000) == "thinking_budget"


def test_tools_and_a_forced_one() -> None:
    """Names the protocol allows; a forced tool stands among the others, strict where its schema is closed."""
    fields = body("openai", tools=(LOOSE,), force=ADD)
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["files_read", "add"]
    assert [tool["function"].get("strict") for tool in fields["tools"]] == [None, True]
    assert fields["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body("openai", tools=(LOOSE,))["tools"][0]["function"]["parameters"] == LOOSE.parameters
    assert "tool_choice" not in body("openai", tools=(LOOSE,))
    assert body("openai", tools=(LOOSE,), tool_choice="none")["tool_choice"] == "none"
    assert "strict" not in body("openai", force=LOOSE)["tools"][0]["function"]


def test_a_schema_is_the_response_format() -> None:
    """Strict where it is closed."""
    form = body("openai", schema=ADD.parameters)["response_format"]
    assert form == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": ADD.parameters, "strict": True},
    }


def test_a_tool_loop_goes_back_as_it_came() -> None:
    """Calls, results, and the loop's own reasoning in the field the server gave it in."""
    thought = Reasoning("Hm.", '{"of":"chat","field":"reasoning_content"}')
    foreign = Reasoning("Other.", '{"of":"messages","signature":"s"}')
    call = ToolCall(id="c1", name="files.read", arguments={"p": "ü"})
    lines = (
        line("system", "Be brief."),
        line("user", "Read."),
        line("assistant", "", calls=(call,), reasoning=(thought, foreign)),
        line("tool", "text", call_id="c1", call_name="files.read"),
    )
    function = {"name": "files_read", "arguments": '{"p":"ü"}'}
    assert body("vllm", lines=lines, tools=(LOOSE,))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Read."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "text"},
    ]


def test_structured_reasoning_goes_back_whole() -> None:
    """A router's details, signatures and all."""
    thought = Reasoning(
        "Hm.", '{"of":"chat","details":[{"type":"reasoning.text","text":"Hm.","signature":"s"}]}'
    )
    sent = body("openrouter", lines=(line("user", "x"), line("assistant", "y", reasoning=(thought,))))
    assert sent["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm.", "signature": "s"}
    ]
    assert sent["messages"][1]["reasoning"] == "Hm."


@pytest.mark.parametrize("flavour", EVERY)
def test_lines_have_the_shape_the_flavour_takes(flavour: str) -> None:
    """OpenAI takes lines as they are; the others get strict alternation, the user first; an endpoint may say else."""
    lines = (line("user", "a"), line("user", "b"), line("system", "late"))
    roles = [m["role"] for m in body(flavour, lines=lines)["messages"]]
    assert roles == (["user", "user", "system"] if flavour == "openai" else ["user", "system"])
    own = wire(flavour, rules=LineRules(late_system="as_user", alternate=True)).body(asked(lines=lines))
    assert [m["role"] for m in own["messages"]] == ["user"]
    one = wire(flavour, model_rules={"gpt-x": LineRules(late_system="as_user")}).body(asked(lines=lines))
    assert [m["role"] for m in one["messages"]] == ["user"] * 3


async def test_a_card_is_the_row_with_what_was_declared() -> None:
    """Features and windows are added by the endpoint; what the protocol has no field for cannot be declared."""
    card = wire("generic", features=("logprobs", "schema"), context_window={"gpt-x": 4096}).card("up:gpt-x")
    assert {"logprobs", "schema"} <= card.features
    assert card.context_window == 4096
    assert wire("generic").card("up:gpt-x").context_window is None
    with pytest.raises(InvalidInput, match="interventions has no place in this protocol"):
        wire("vllm", features=("interventions",))


@pytest.mark.parametrize(
    ("flavour", "seed", "left"),
    [
        ("openai", "sent", set()),
        ("openrouter", "sent", {"top_p", "top_k", "min_p", "repetition_penalty"}),
        ("vllm", "honoured", set()),
        ("sglang", "sent", set()),
        ("ollama", "honoured", {"top_k", "min_p", "repetition_penalty"}),
        ("generic", "sent", {"top_p", "top_k", "min_p", "repetition_penalty"}),
    ],
)
def test_a_completion_says_what_nobody_controlled(flavour: str, seed: str, left: set[str]) -> None:
    """Knobs a server may set itself are named, unless they were sent."""
    reply = wire(flavour).reply(asked(temperature=0.5))
    list(reply.feed("", b'{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}'))
    served = reply.completion("").served
    assert (served.endpoint, served.model, served.seed) == ("up", "gpt-x", seed)
    assert set(served.uncontrolled) == left
