"""Which features a request needs, and the refusal when a backend lacks one."""

from __future__ import annotations

from itertools import compress

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
_FEATURES: tuple[Feature, ...] = (
    "interventions",
    "captures",
    "logprobs",
    "seed",
    "tools",
    "force",
    "schema",
    "choices",
    "stop_after",
    "stop_token_ids",
    "top_k",
    "min_p",
    "penalties",
    "logit_bias",
    "min_tokens",
    "thinking",
    "deterministic",
    "read",
)


def needed(request: Request) -> list[Feature]:
    """The features `request` cannot do without."""
    sampling = request.sampling
    asked = (  # in the order of `_FEATURES`; asked twice of every request served, and a dict takes three times as long
        request.interventions,
        request.captures,
        request.logprobs is not None,
        request.seed_required,
        request.tools,
        request.force is not None,
        request.schema is not None,
        request.choices,
        request.stop_after,
        sampling.stop_token_ids,
        sampling.top_k > 0,
        sampling.min_p > 0,
        (sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty)
        != (1.0, 0.0, 0.0),
        sampling.logit_bias,
        sampling.min_tokens > 0,
        sampling.thinking != "auto" or sampling.thinking_budget is not None,
        sampling.deterministic,
        sampling.max_tokens == 0,
    )
    return list(compress(_FEATURES, asked))


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
