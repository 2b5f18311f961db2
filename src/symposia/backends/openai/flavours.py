"""What servers of the chat-completions protocol make of it: one row a flavour.

A knob at its neutral value is sent only where a server would otherwise put its own in place. What cannot be sent is
refused when it matters, and named in `ServedBy.uncontrolled` where the server may have a default of its own.
"""

from __future__ import annotations

from typing import Literal

from symposia.core.lines import LineRules
from symposia.core.profile import Thinking
from symposia.core.request import Feature
from symposia.core.value import Value

Name = Literal["openai", "openrouter", "vllm", "sglang", "ollama", "generic"]
Knob = Literal["temperature", "top_p", "top_k", "min_p", "repetition_penalty"]

COMMON: frozenset[Feature] = frozenset({"seed", "tools", "stop_after", "penalties"})
DECLARABLE: frozenset[Feature] = frozenset({"logprobs", "force", "schema", "parallel_tools", "logit_bias"})
"""What an endpoint's `features` may add where its flavour does not promise it."""

_EFFORTS: tuple[Thinking, ...] = ("auto", "off", "low", "medium", "high")
_EVERY: tuple[Thinking, ...] = ("auto", "off", "on", "low", "medium", "high")
_STRICT_LINES = LineRules(alternate=True, user_first=True)


class Flavour(Value, frozen=True, kw_only=True):
    """A row of the table.

    `limit` is the field of max_tokens. `neutral` knobs are sent at their neutral value too; `extra` ones can be sent at
    all, beside temperature and top_p. `stops` is how many stop strings a request may have.
    """

    base_url: str | None
    usual_key: str
    features: frozenset[Feature]
    thinking: tuple[Thinking, ...] = ("auto",)
    reasoning: Literal["effort", "object", "template", "none"] = "none"
    rules: LineRules = _STRICT_LINES
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    neutral: frozenset[Knob] = frozenset()
    extra: frozenset[Knob] = frozenset()
    uncontrolled: tuple[Knob, ...] = ()
    seed: Literal["honoured", "sent"] = "sent"
    stops: int | None = 4
    stop_kept: bool = False
    returns_ids: bool = False
    routed: bool = False

    @property
    def local(self) -> bool:
        """Whether such a server usually runs on one's own machine and wants no key."""
        return not self.usual_key


_OWN_SERVER: frozenset[Feature] = COMMON | {
    "logprobs",
    "parallel_tools",
    "force",
    "schema",
    "top_k",
    "min_p",
    "logit_bias",
    "min_tokens",
    "stop_token_ids",
    "thinking",
}
_ALL: frozenset[Knob] = frozenset({"temperature", "top_p", "top_k", "min_p", "repetition_penalty"})
_EXTRA: frozenset[Knob] = frozenset({"top_k", "min_p", "repetition_penalty"})

FLAVOURS: dict[Name, Flavour] = {
    "openai": Flavour(
        base_url="https://api.openai.com/v1",
        usual_key="OPENAI_API_KEY",
        features=COMMON | {"logprobs", "parallel_tools", "force", "schema", "logit_bias", "thinking"},
        thinking=_EFFORTS,
        reasoning="effort",
        rules=LineRules(),
        limit="max_completion_tokens",
    ),
    "openrouter": Flavour(
        base_url="https://openrouter.ai/api/v1",
        usual_key="OPENROUTER_API_KEY",
        features=COMMON
        | {"logprobs", "parallel_tools", "force", "schema", "logit_bias", "top_k", "min_p", "thinking"},
        thinking=_EVERY,
        reasoning="object",
        extra=_EXTRA,
        uncontrolled=("temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
        routed=True,
    ),
    "vllm": Flavour(
        base_url="http://localhost:8000/v1",
        usual_key="",
        features=_OWN_SERVER | {"token_ids"},
        thinking=_EVERY,
        reasoning="template",
        neutral=_ALL,
        extra=_EXTRA,
        seed="honoured",
        stops=None,
        stop_kept=True,
        returns_ids=True,
    ),
    "sglang": Flavour(
        base_url="http://localhost:30000/v1",
        usual_key="",
        features=_OWN_SERVER,
        thinking=_EVERY,
        reasoning="template",
        neutral=_ALL,
        extra=_EXTRA,
        stops=None,
    ),
    "ollama": Flavour(
        base_url="http://localhost:11434/v1",
        usual_key="",
        features=COMMON | {"logprobs", "schema", "thinking"},
        thinking=_EFFORTS,
        reasoning="effort",
        neutral=frozenset({"temperature", "top_p"}),
        uncontrolled=("top_k", "min_p", "repetition_penalty"),
        seed="honoured",
        stops=None,
    ),
    "generic": Flavour(
        base_url=None,
        usual_key="",
        features=COMMON,
        uncontrolled=("temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
    ),
}
