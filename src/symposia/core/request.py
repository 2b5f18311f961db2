"""One generation: the ask, the pieces, the whole; and the seam every backend implements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta
from msgspec.structs import replace

from .capture import ActivationRef, Capture, Readout
from .errors import Cause, InvalidInput
from .intervention import Intervention
from .lines import Line, LineRules
from .message import FinishReason, Part
from .profile import Sampling, Thinking
from .receipt import GateReading, History, Receipt
from .span import Span
from .toolspec import ToolSpec
from .usage import Usage
from .value import Count, Value, digest

NonEmpty = Annotated[str, Meta(min_length=1)]
Feature = Literal[
    "interventions",
    "captures",
    "logprobs",
    "token_ids",
    "seed",
    "tools",
    "parallel_tools",
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
]
Syntax = Literal[
    "hermes",
    "qwen_xml",
    "llama_json",
    "llama_list",
    "mistral",
    "mistral_args",
    "gemma_code",
    "phi",
    "harmony",
    "prompted",
    "plain",
]


class About(Value, frozen=True, kw_only=True):
    """Which generation this is; in no digest. `profile` is the speaker's digest.

    `purpose` says what it is for: "turn", "tool" (going on after tool results; `call` counts), "summary", "hook",
    "sample", or the name of the turn's mark. `streamed` is false where nobody reads the pieces as they come: then a
    backend may wait for the whole. `traceparent` (W3C Trace Context) is told to a remote endpoint that is relayed to.
    """

    run: str = ""
    conversation: str = ""
    branch: str = ""
    turn: int = 0
    call: int = 0
    speaker: str = ""
    profile: str = ""
    purpose: NonEmpty = "turn"
    streamed: bool = True
    traceparent: str = ""


class Request(Value, frozen=True, kw_only=True, dict=True, gc=True):
    """What a backend needs for one generation.

    `stop_after` strings end the text right after the match. `choices` scores those continuations instead of
    sampling. `force` demands a call of that tool, `schema` JSON of that shape. `logprobs` asks for the top n
    beside the chosen. `turn` is the index of the turn being made. `past` serves `history="keep"`.
    """

    model: str
    lines: tuple[Line, ...]
    sampling: Sampling = Sampling()
    seed: int = 0
    seed_required: bool = False
    speaker: str
    turn: Count = 0
    interventions: tuple[Intervention, ...] = ()
    captures: tuple[Capture, ...] = ()
    history: History = "scoped"
    past: tuple[PastTurn, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    force: ToolSpec | None = None
    schema: dict[str, Any] | None = None
    choices: tuple[NonEmpty, ...] = ()
    logprobs: Count | None = None
    stop_after: tuple[NonEmpty, ...] = ()
    date: str | None = None
    about: About = About()

    def __post_init__(self) -> None:
        if (self.force is not None) + (self.schema is not None) + bool(self.choices) > 1:
            shapes = {"force": self.force, "schema": self.schema, "choices": self.choices}
            asked = [name for name, given in shapes.items() if given not in (None, ())]
            raise InvalidInput(f"a request takes one of force, schema, choices; got {' and '.join(asked)}")

    @cached_property
    def digest(self) -> str:
        """Names the ask; `about` is outside. Made once: whoever makes, keeps or answers a request asks for it."""
        return digest(self if self.about == _NO_ABOUT else replace(self, about=_NO_ABOUT))

    @property
    def told(self) -> tuple[ToolSpec, ...]:
        """The tools the model is told of: a demanded one too, in the place of another of its name."""
        if self.force is None:
            return self.tools
        return (*(tool for tool in self.tools if tool.name != self.force.name), self.force)

    @property
    def offers_calls(self) -> bool:
        """Whether what looks like a call in the reply is one: there are tools, and no other shape was asked for."""
        return bool(self.told) and self.schema is None


class PastTurn(Value, frozen=True, kw_only=True):
    """What one of the reader's own earlier turns was sampled with, for `history="keep"`."""

    turn: int
    interventions: tuple[Intervention, ...]
    gates: tuple[GateReading, ...] = ()


class Delta(Value, frozen=True, kw_only=True):
    """A piece of a reply as it is made. `refusal`: an answer that its server marked as one while it came."""

    text: str
    phase: Literal["answer", "reasoning", "tool"] = "answer"
    token_ids: tuple[int, ...] = ()
    refusal: bool = False


class Retrying(Value, frozen=True, kw_only=True):
    """An attempt ended without a completion; number `attempt` follows after `wait_s`."""

    cause: Cause
    wait_s: float
    attempt: int


class Logprobs(Value, frozen=True, kw_only=True):
    """Columns, one row per token, in nats: `chosen` [n], `top_ids` and `top` [n][k].

    They are of the model's own distribution, before any sampling warp, when `of` is "model". `prompt` is
    aligned with the prompt's tokens from the second on, when asked for by a read.
    """

    of: Literal["model", "provider"] = "model"
    tokens: tuple[str, ...] = ()
    chosen: tuple[float, ...] = ()
    top_ids: tuple[tuple[int, ...], ...] = ()
    top_tokens: tuple[tuple[str, ...], ...] = ()
    top: tuple[tuple[float, ...], ...] = ()
    entropy: tuple[float, ...] = ()
    prompt: tuple[float, ...] = ()


class ServedBy(Value, frozen=True, kw_only=True):
    """Who answered and what they controlled. `weights` is the digest of the weights actually loaded."""

    endpoint: str
    model: str
    weights: str = ""
    template: str = ""
    date: str | None = None
    seed: Literal["honoured", "sent", "none"] = "none"
    uncontrolled: tuple[str, ...] = ()
    request_id: str = ""


class ChoiceScores(Value, frozen=True, kw_only=True):
    """Summed log-probability and token count of each given continuation, in the request's order."""

    logprobs: tuple[float, ...]
    tokens: tuple[Annotated[int, Meta(ge=1)], ...]

    @property
    def per_token(self) -> tuple[float, ...]:
        """Mean log-probability per token of each continuation."""
        return tuple(total / n for total, n in zip(self.logprobs, self.tokens, strict=True))


class Completion(Value, frozen=True, kw_only=True):
    """A finished generation. `parts` empty: parse `text` by `syntax`.

    `opens_thinking`: the prompt opened a think block. `spans` partition prompt plus generated tokens.
    `scores` answers `choices`.
    """

    text: str
    parts: tuple[Part, ...] = ()
    syntax: Syntax = "plain"
    opens_thinking: bool = False
    finish_reason: FinishReason
    usage: Usage
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    logprobs: Logprobs | None = None
    scores: ChoiceScores | None = None
    receipts: tuple[Receipt, ...] = ()
    readouts: tuple[Readout, ...] = ()
    activations: tuple[ActivationRef, ...] = ()
    served: ServedBy

    @property
    def digest(self) -> str:
        """Names the whole completion."""
        return digest(self)


class ModelCard(Value, frozen=True, kw_only=True):
    """What is known of a model before asking it. `preamble_tokens` is what an empty prompt costs."""

    model: str
    context_window: Annotated[int, Meta(ge=1)] | None = None
    max_output: Annotated[int, Meta(ge=1)] | None = None
    rules: LineRules = LineRules()
    syntax: Syntax = "plain"
    features: frozenset[Feature] = frozenset()
    thinking: tuple[Thinking, ...] = ("auto",)
    preamble_tokens: Count = 0
    weights: str = ""


Item = Delta | Retrying | Completion
"""What a backend's stream consists of."""


class Prompt(Value, frozen=True, kw_only=True):
    """A rendered prompt. `omitted` names what a template is known to leave out, by line.

    When `exact` is false, `tokens` is a safe estimate and nothing else is known.
    """

    tokens: Count
    exact: bool
    text: str | None = None
    token_ids: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    omitted: tuple[tuple[int, str], ...] = ()


class Backend(Protocol):
    """Anything that produces tokens."""

    def generate(self, request: Request) -> AsyncIterator[Item]:
        """Deltas, then exactly one completion. Closing the iterator early cancels the generation.

        A backend that repeats attempts says so where it does; before the first delta only.
        """
        ...

    async def describe(self, model: str) -> ModelCard:
        """What the model accepts and can do."""
        ...

    async def render(self, request: Request) -> Prompt:
        """The prompt as the model will see it, or a safe estimate of its length."""
        ...


_NO_ABOUT = About()
