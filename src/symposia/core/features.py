"""Which features a request needs, and the refusal when a backend lacks one."""

from __future__ import annotations

from .errors import UnsupportedRequest
from .request import Feature, ModelCard, Request

_WAY_OUT: dict[str, str] = {
    "interventions": "use a local model: hosted endpoints cannot be steered from outside",
    "captures": "use a local model: hosted endpoints show no activations",
    "choices": "use a local model, or ask for the answer as text",
    "force": "use a model with tool calling, or ask for the answer as text",
    "schema": "use a model whose replies can be constrained, or ask for the shape in words",
    "seed": "leave Sampling.seed unset to accept a seed the endpoint may ignore",
}


def needed(request: Request) -> list[Feature]:
    """The features `request` cannot do without."""
    sampling = request.sampling
    asks: dict[Feature, object] = {
        "interventions": request.interventions,
        "captures": request.captures,
        "logprobs": request.logprobs is not None,
        "seed": request.seed_required,
        "tools": request.tools,
        "force": request.force is not None,
        "schema": request.schema is not None,
        "choices": request.choices,
        "stop_after": request.stop_after,
        "stop_token_ids": sampling.stop_token_ids,
        "top_k": sampling.top_k > 0,
        "min_p": sampling.min_p > 0,
        "penalties": (sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty)
        != (1.0, 0.0, 0.0),
        "logit_bias": sampling.logit_bias,
        "min_tokens": sampling.min_tokens > 0,
        "thinking": sampling.thinking != "auto" or sampling.thinking_budget is not None,
        "deterministic": sampling.deterministic,
        "read": sampling.max_tokens == 0,
    }
    return [feature for feature, asked in asks.items() if asked]


def refuse_unsupported(request: Request, card: ModelCard, endpoint: str) -> None:
    """Raise `UnsupportedRequest` for the first needed feature the card lacks."""
    for feature in needed(request):
        if feature not in card.features:
            raise UnsupportedRequest(
                endpoint=endpoint,
                model=request.model,
                feature=feature,
                way_out=_WAY_OUT.get(feature, "choose a model that has it, or leave it out"),
            )
    if request.sampling.thinking not in card.thinking and request.sampling.thinking != "auto":
        raise UnsupportedRequest(
            endpoint=endpoint,
            model=request.model,
            feature=f"thinking={request.sampling.thinking}",
            way_out=f"this model reacts to {', '.join(card.thinking)}",
        )
