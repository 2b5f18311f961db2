"""A served request is a turn: what was asked and the profile that answers become one `Request`, and its siblings.

The caller's values win over the profile's, the profile's over the defaults. Pure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from functools import lru_cache
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from symposia.core.intervention import Intervention
from symposia.core.profile import Profile, Sampling, Thinking
from symposia.core.receipt import History
from symposia.core.request import About, Request
from symposia.core.toolspec import ToolSpec

from .faults import Fault
from .lines import lines_of, speaker_of
from .wire import ChatRequest, JsonObjectFormat, JsonSchemaFormat, NamedTool

_OBJECT: dict[str, Any] = {"type": "object"}
_SEEDS = 2**63
_THINKING: dict[str, Thinking] = {"none": "off"} | {level: level for level in get_args(Thinking)}


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What the server adds: address of the model, output tokens a choice, the date for templates, whose request."""

    address: str
    default_output_tokens: int
    max_output_tokens: int
    date: str
    request_id: str
    seed: int


def request_of(
    ask: ChatRequest, profile: Profile | None, interventions: tuple[Intervention, ...], history: History, to: Allowed
) -> Request:
    """The request of choice 0. Raises `Fault` 400 where fields of caller and profile contradict each other."""
    tools = _tools(ask, profile)
    force, choice = _choice(ask, tools)
    sampling = sampling_of(ask, profile, to)
    return Request(
        model=to.address,
        lines=lines_of(ask.messages, None if profile is None else profile.system),
        sampling=sampling,
        seed=to.seed if sampling.seed is None else sampling.seed,
        seed_required=sampling.seed is not None,
        speaker=speaker_of(ask.messages),
        turn=len(ask.messages),
        interventions=interventions,
        history=history,
        tools=tools,
        tool_choice=choice,
        force=force,
        schema=_schema(ask),
        logprobs=(ask.top_logprobs or 0) if ask.logprobs else None,
        date=to.date,
        about=About(run="serve", conversation=to.request_id, speaker=speaker_of(ask.messages)),
    )


def choices_of(request: Request, n: int) -> tuple[Request, ...]:
    """The request once for every choice, each with a seed of its own that follows from the first."""
    return (request, *(replace(request, seed=choice_seed(request.seed, i)) for i in range(1, n)))


def choice_seed(seed: int, index: int) -> int:
    """First 8 bytes of sha256 of the JSON array `["choice", seed, index]`, modulo 2^63."""
    named = msgspec.json.encode(["choice", seed, index])
    return int.from_bytes(hashlib.sha256(named).digest()[:8]) % _SEEDS


def sampling_of(ask: ChatRequest, profile: Profile | None, to: Allowed) -> Sampling:
    """How tokens are drawn. Output is what was asked for, or the default, and never more than the server allows."""
    base = Sampling() if profile is None else profile.sampling
    given: dict[str, object] = {
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "top_k": ask.top_k,
        "min_p": ask.min_p,
        "frequency_penalty": ask.frequency_penalty,
        "presence_penalty": ask.presence_penalty,
        "repetition_penalty": ask.repetition_penalty,
        "seed": ask.seed,
        "stop": ask.stops,
        "logit_bias": None if ask.logit_bias is None else tuple(sorted(ask.logit_bias.items())),
        "thinking": None if ask.reasoning_effort is None else _THINKING[ask.reasoning_effort],
    }
    named = {name: value for name, value in given.items() if value is not None}
    open_ = to.default_output_tokens if profile is None else profile.sampling.max_tokens
    most = min(ask.output_tokens or open_, to.max_output_tokens)
    return replace(base, max_tokens=most, **named)


@lru_cache(maxsize=8)
def date_of(day: int) -> str:
    """The date of a day counted from the epoch, as templates are told it."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


def _tools(ask: ChatRequest, profile: Profile | None) -> tuple[ToolSpec, ...]:
    own = () if profile is None else profile.tools
    if not ask.tools:
        return own
    names = {tool.name for tool in own}
    made = list(own)
    for index, tool in enumerate(ask.tools):
        function = tool.function
        if function.name in names:
            path = f"tools[{index}].function.name"
            raise Fault("invalid_value", f"{path}: there is a tool {function.name!r} already", param=path)
        names.add(function.name)
        parameters = _OBJECT if function.parameters is None else function.parameters
        made.append(
            ToolSpec(name=function.name, description=function.description or "", parameters=parameters)
        )
    return tuple(made)


def _choice(ask: ChatRequest, tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec | None, Any]:
    """The tool whose call is demanded, and whether others may be called."""
    match ask.tool_choice:
        case None | "auto":
            return None, "auto"
        case "none":
            return None, "none"
        case "required":
            if len(tools) != 1:
                raise Fault(
                    "unsupported_parameter",
                    f"tool_choice: `required` is honoured with one tool; there are {len(tools)}; name one of them",
                    param="tool_choice",
                )
            return tools[0], "auto"
        case NamedTool(function=named):
            found = next((tool for tool in tools if tool.name == named.name), None)
            if found is None:
                path = "tool_choice.function.name"
                known = ", ".join(tool.name for tool in tools) or "none"
                raise Fault("invalid_value", f"{path}: expected one of the tools ({known})", param=path)
            return found, "auto"


def _schema(ask: ChatRequest) -> dict[str, Any] | None:
    match ask.response_format:
        case JsonObjectFormat():
            return _OBJECT
        case JsonSchemaFormat(json_schema=shape):
            return shape.schema
    return None
