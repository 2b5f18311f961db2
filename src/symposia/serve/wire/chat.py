"""The body of `POST /v1/chat/completions`: OpenAI's fields as far as they can be honoured, and the steering ones.

Fields of type null are known and cannot be honoured: null, which asks for nothing, is all they take.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.intervention import Intervention
from symposia.core.receipt import History
from symposia.core.value import Value

from .asked import Asked, NonEmpty, Short
from .messages import ChatMessage
from .shapes import ResponseFormat, Tool, ToolChoice

MOST_INTERVENTIONS = 16
MOST_PAIRS = 16

Effort = Literal["none", "low", "medium", "high"]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
MaxTokens = Annotated[int, Meta(ge=1)]
Stops = Annotated[tuple[Short, ...], Meta(min_length=1, max_length=4)]
TokenId = Annotated[int, Meta(ge=0, le=9_999_999_999)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Biases = Annotated[
    dict[TokenId, Bias], Meta(extra_json_schema={"propertyNames": {"pattern": "^(0|[1-9][0-9]{0,9})$"}})
]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=MOST_PAIRS),
]


Shut = Annotated[bool, Meta(extra_json_schema={"enum": [False]})]
Open = Annotated[bool, Meta(extra_json_schema={"enum": [True]})]
"""Booleans of which one value only can be honoured; `read` refuses the other by name."""


class Limits(Value, frozen=True, kw_only=True):
    """How much one request may ask for. The output numbers are tokens a choice."""

    max_messages: int = 2_048
    max_n: int = 8
    default_output_tokens: int = 512
    max_output_tokens: int = 4_096


class StreamOptions(Asked, frozen=True, kw_only=True):
    """`include_usage`: one more chunk, with the usage. Obfuscation is not made."""

    include_usage: bool | None = None
    include_obfuscation: Shut | None = None


class SteeringAsk(Asked, frozen=True, kw_only=True):
    """Interventions of the caller's own, after the profile's. `receipts` asks for them verbatim."""

    interventions: Annotated[tuple[Intervention, ...], Meta(max_length=MOST_INTERVENTIONS)] = ()
    history: History | None = None
    receipts: bool = False


class ChatRequest(Asked, frozen=True, kw_only=True):
    """One request. A field left out, or null, is open: the profile fills it, else its default."""

    model: NonEmpty
    messages: Annotated[tuple[ChatMessage, ...], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Meta(ge=0, lt=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    seed: Int64 | None = None
    stop: Short | Stops | None = None
    logit_bias: Biases | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    reasoning_effort: Effort | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Open | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: Shut | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: Annotated[tuple[Literal["text"], ...], Meta(min_length=1)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Metadata | None = None
    steering_profile: NonEmpty | None = None
    steering_required: bool | None = None
    steering: SteeringAsk | None = None
    functions: None = None
    function_call: None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    verbosity: None = None
    moderation: None = None
    prompt_cache_options: None = None
    prompt_cache_retention: None = None

    @property
    def output_tokens(self) -> int | None:
        """What the caller asked for at most, under either name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> tuple[str, ...] | None:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else self.stop

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)
