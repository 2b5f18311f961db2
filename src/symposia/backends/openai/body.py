"""A request as the body of `POST /chat/completions`, by the flavour's row. Pure."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from symposia.backends.strict import is_strict
from symposia.backends.toolnames import ToolNames
from symposia.core.conform import conform
from symposia.core.errors import UnsupportedRequest
from symposia.core.lines import LineRules
from symposia.core.profile import Sampling
from symposia.core.request import Request
from symposia.core.toolspec import ToolSpec

from .flavours import Flavour, Knob
from .messages import Json, messages

SEED_BITS = (1 << 31) - 1
MOST_LOGPROBS = 20
_EXTRA: dict[Knob, float] = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Knobs that not every server takes, and where they change nothing."""

_UNASKED = tuple(_EXTRA.values())
_extra: Callable[[Sampling], tuple[float, ...]] = attrgetter(*_EXTRA)
_OFF: dict[Knob, float] = {"top_k": -1}


def refuse(request: Request, flavour: Flavour, endpoint: str) -> None:
    """Raise `UnsupportedRequest` for what the flavour cannot carry, beyond its features."""

    def no(feature: str, way_out: str) -> UnsupportedRequest:
        return UnsupportedRequest(endpoint=endpoint, model=request.model, feature=feature, way_out=way_out)

    sampling = request.sampling
    if (asked := _extra(sampling)) != _UNASKED:
        for knob, value in sorted(zip(_EXTRA, asked, strict=True)):
            if value != (neutral := _EXTRA[knob]) and knob not in flavour.extra:
                raise no(
                    knob, f"leave {knob} at {neutral:g}, or use vllm, sglang, openrouter or a local model"
                )
    if flavour.stops is not None and len(sampling.stop) > flavour.stops:
        raise no(f"{len(sampling.stop)} stop strings", f"give at most {flavour.stops}")
    if (request.logprobs or 0) > MOST_LOGPROBS:
        raise no(f"logprobs={request.logprobs}", f"ask for at most {MOST_LOGPROBS} a token")
    if sampling.thinking_budget is not None and flavour.reasoning != "object":
        raise no("thinking_budget", "choose thinking low, medium or high instead, or a local model")


def body(request: Request, model: str, flavour: Flavour, rules: LineRules, *, streamed: bool = True) -> Json:
    """What is sent. `model` is the server's own name for it."""
    names = ToolNames.of(request)
    fields: Json = {
        "model": model,
        "messages": messages(conform(request.lines, rules), names),
        "stream": streamed,
        flavour.limit: request.sampling.max_tokens,
        "seed": request.seed & SEED_BITS,
    }
    if streamed:
        fields["stream_options"] = {"include_usage": True}
    fields |= knobs(request.sampling, flavour)
    fields |= _stops(request, flavour)
    fields |= _thinking(request.sampling, flavour)
    if request.tools or request.force is not None:
        fields |= _tools(request, names)
    if request.force is not None and "parallel_tools" in flavour.features:
        fields["parallel_tool_calls"] = False
    if request.schema is not None:
        fields["response_format"] = _shape(request.schema)
    if request.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": request.logprobs}
        if flavour.returns_ids:
            fields["return_token_ids"] = True
    if flavour.routed:
        fields["usage"] = {"include": True}
        if _demanding(request, fields):
            fields["provider"] = {"require_parameters": True}
    return fields


def told(sampling: Sampling, flavour: Flavour) -> Json:
    """The knobs that are told to the server: where they can be, and it would do otherwise."""
    fields: Json = {}
    if sampling.temperature != 1.0 or "temperature" in flavour.neutral:
        fields["temperature"] = sampling.temperature
    if sampling.top_p != 1.0 or "top_p" in flavour.neutral:
        fields["top_p"] = sampling.top_p
    if flavour.extra:
        for (knob, neutral), value in zip(_EXTRA.items(), _extra(sampling), strict=True):
            if knob in flavour.extra and (value != neutral or knob in flavour.neutral):
                fields[knob] = _OFF.get(knob, value) if value == neutral else value
    return fields


def knobs(sampling: Sampling, flavour: Flavour) -> Json:
    """Fields of how tokens are drawn."""
    fields = told(sampling, flavour)
    always = "repetition_penalty" in flavour.neutral
    if always or sampling.presence_penalty:
        fields["presence_penalty"] = sampling.presence_penalty
    if always or sampling.frequency_penalty:
        fields["frequency_penalty"] = sampling.frequency_penalty
    if sampling.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    if sampling.min_tokens:
        fields["min_tokens"] = sampling.min_tokens
    if sampling.stop_token_ids:
        fields["stop_token_ids"] = sampling.stop_token_ids
    return fields


def keeps_stop(request: Request, flavour: Flavour) -> bool:
    """Whether the server itself ends the text after a `stop_after` string; else it is cut here."""
    return flavour.stop_kept and bool(request.stop_after) and not request.sampling.stop


def _stops(request: Request, flavour: Flavour) -> Json:
    if keeps_stop(request, flavour):
        return {"stop": request.stop_after, "include_stop_str_in_output": True}
    return {"stop": request.sampling.stop} if request.sampling.stop else {}


def _thinking(sampling: Sampling, flavour: Flavour) -> Json:
    mode, budget = sampling.thinking, sampling.thinking_budget
    if mode == "auto" and budget is None:
        return {}
    match flavour.reasoning:
        case "effort":
            return {"reasoning_effort": "none" if mode == "off" else mode}
        case "object":
            asked: Json = {"enabled": mode != "off"} if mode in ("off", "on") else {}
            if mode in ("low", "medium", "high"):
                asked["effort"] = mode
            return {"reasoning": asked if budget is None else asked | {"max_tokens": budget}}
        case "template":
            if mode in ("on", "off"):
                return {"chat_template_kwargs": {"enable_thinking": mode == "on"}}
            return {"chat_template_kwargs": {"reasoning_effort": mode}}
        case "none":
            return {}


def _tools(request: Request, names: ToolNames) -> Json:
    force = request.force
    fields: Json = {"tools": [_tool(tool, names, forced=tool is force) for tool in request.told]}
    if force is not None:
        fields["tool_choice"] = {"type": "function", "function": {"name": names.sent(force.name)}}
    elif request.tool_choice == "none":
        fields["tool_choice"] = "none"
    return fields


def _tool(tool: ToolSpec, names: ToolNames, *, forced: bool) -> Json:
    function: Json = {
        "name": names.sent(tool.name),
        "description": tool.description,
        "parameters": tool.parameters,
    }
    if forced and is_strict(tool.parameters):
        function["strict"] = True
    return {"type": "function", "function": function}


def _shape(schema: Json) -> Json:
    asked: Json = {"name": "reply", "schema": schema, "strict": is_strict(schema)}
    return {"type": "json_schema", "json_schema": asked}


def _demanding(request: Request, fields: Json) -> bool:
    """Whether a router must choose providers that take every field."""
    knobs = {"top_k", "min_p", "repetition_penalty", "reasoning", "tool_choice", "response_format"}
    return request.logprobs is not None or request.seed_required or bool(knobs & fields.keys())
