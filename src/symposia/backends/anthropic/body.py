"""A request as the body of `POST /v1/messages`. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from symposia.backends.endpoint import AnthropicEndpoint
from symposia.backends.toolnames import ToolNames
from symposia.backends.wire import Json
from symposia.core.conform import conform
from symposia.core.errors import UnsupportedRequest
from symposia.core.lines import LineRules
from symposia.core.profile import Sampling
from symposia.core.request import Request

from .blocks import messages

LEAST_BUDGET = 1024
_EFFORTS = ("low", "medium", "high")


def refuse(request: Request, declared: AnthropicEndpoint, endpoint: str) -> None:
    """Raise `UnsupportedRequest` for what the protocol cannot carry, beyond its features."""

    def no(feature: str, way_out: str) -> UnsupportedRequest:
        return UnsupportedRequest(endpoint=endpoint, model=request.model, feature=feature, way_out=way_out)

    sampling = request.sampling
    if not declared.sampling_in_body:
        for knob, value in (("temperature", sampling.temperature), ("top_p", sampling.top_p)):
            if value != 1.0:
                raise no(
                    f"{knob}={value:g}",
                    f"leave {knob} at 1, or say sampling_in_body: true for an older model",
                )
    if sampling.temperature > 1.0:
        raise no(f"temperature={sampling.temperature:g}", "choose at most 1")
    budget = sampling.thinking_budget
    if budget is not None and not LEAST_BUDGET <= budget < sampling.max_tokens:
        raise no(
            f"thinking_budget={budget}",
            f"choose {LEAST_BUDGET} or more, and less than max_tokens ({sampling.max_tokens})",
        )
    if budget is not None and sampling.thinking in _EFFORTS:
        raise no("thinking_budget with an effort", "give one of the two")
    thinks = budget is not None or sampling.thinking not in ("auto", "off")
    if request.force is not None and thinks:
        raise no("force while thinking", "set thinking off for turns that must call a tool")


def body(request: Request, model: str, declared: AnthropicEndpoint, rules: LineRules) -> Json:
    """What is sent. `model` is the server's own name for it.

    Where no tools are offered, earlier calls are told as text: the API takes their blocks only beside tools.
    """
    names = ToolNames.of(request)
    if not request.told:
        rules = replace(rules, tool_lines="as_user")
    system, turns = messages(conform(request.lines, rules), names)
    fields: Json = {
        "model": model,
        "max_tokens": request.sampling.max_tokens,
        "messages": turns,
        "stream": True,
    }
    if system:
        fields["system"] = system
    if declared.prompt_cache:
        fields["cache_control"] = {"type": "ephemeral"}
    if request.sampling.stop:
        fields["stop_sequences"] = request.sampling.stop
    if declared.sampling_in_body:
        fields |= _knobs(request.sampling)
    fields |= _thinking(request.sampling)
    fields |= _tools(request, names)
    shaped = (
        {"format": {"type": "json_schema", "schema": request.schema}} if request.schema is not None else {}
    )
    effort = {"effort": request.sampling.thinking} if request.sampling.thinking in _EFFORTS else {}
    if shaped or effort:
        fields["output_config"] = effort | shaped
    return fields


def _knobs(sampling: Sampling) -> Json:
    fields: Json = {"temperature": sampling.temperature} if sampling.temperature != 1.0 else {}
    if sampling.top_p != 1.0:
        fields["top_p"] = sampling.top_p
    if sampling.top_k:
        fields["top_k"] = sampling.top_k
    return fields


def _thinking(sampling: Sampling) -> Json:
    if sampling.thinking_budget is not None:
        return {"thinking": {"type": "enabled", "budget_tokens": sampling.thinking_budget}}
    match sampling.thinking:
        case "auto":
            return {}
        case "off":
            return {"thinking": {"type": "disabled"}}
        case _:
            return {"thinking": {"type": "adaptive"}}


def _tools(request: Request, names: ToolNames) -> Json:
    force = request.force
    if not request.told:
        return {}
    tools = [
        {"name": names.sent(tool.name), "description": tool.description, "input_schema": tool.parameters}
        for tool in request.told
    ]
    if force is not None:
        return {"tools": tools, "tool_choice": {"type": "tool", "name": names.sent(force.name)}}
    if request.tool_choice == "none":
        return {"tools": tools, "tool_choice": {"type": "none"}}
    return {"tools": tools}
