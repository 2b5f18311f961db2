"""Which request field asks for which feature of a model."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "interventions": ("steering",),
        "logprobs": ("logprobs",),
        "seed": ("seed",),
        "tools": ("tools",),
        "force": ("tool_choice",),
        "schema": ("response_format",),
        "top_k": ("top_k",),
        "min_p": ("min_p",),
        "penalties": ("frequency_penalty", "presence_penalty", "repetition_penalty"),
        "repetition_penalty": ("repetition_penalty",),
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "logit_bias": ("logit_bias",),
        "thinking": ("reasoning_effort",),
    }
)
"""The request fields of a feature, by the name `UnsupportedRequest` gives it."""


def param_of(feature: str) -> str | None:
    """The field a caller would leave out to do without the feature; None where no field asks for it."""
    fields = FIELDS.get(feature.partition("=")[0])
    return fields[0] if fields else None
