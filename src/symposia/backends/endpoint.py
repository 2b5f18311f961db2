"""An endpoint as it is declared: where it is, whose key it takes, what it is known to do. Values; nothing is opened."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.lines import LineRules
from symposia.core.request import Feature, Syntax
from symposia.core.usage import Price
from symposia.core.value import Count, Value

from .openai.flavours import DECLARABLE, FLAVOURS, Name
from .policy import Timeouts
from .scripted import Fault

Positive = Annotated[int, Meta(ge=1)]
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class HostedEndpoint(Value, frozen=True, kw_only=True, tag_field="kind"):
    """What every hosted endpoint has. `key`: `env:NAME`, `file:PATH` or `none`; prices in USD per million tokens.

    `context_window`, `prices` and `model_rules` are by the server's own model names. `features` adds what the flavour
    does not promise and the protocol can carry. Plain http only to this machine, unless `insecure`.
    """

    base_url: str | None = None
    key: Annotated[str, Meta(pattern=r"^(env:.+|file:.+|none)$")] | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None
    concurrency: Positive = 64
    features: tuple[Feature, ...] = ()
    rules: LineRules | None = None
    model_rules: dict[str, LineRules] = {}
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    context_window: dict[str, Positive] = {}
    prices: dict[str, Price] = {}
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.base_url is not None:
            check_url(self.base_url, insecure=self.insecure)
        for name, value in self.headers.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                raise InvalidInput(f"headers: {name}: expected plain ASCII on one line")


class OpenAIEndpoint(HostedEndpoint, frozen=True, kw_only=True, tag="openai"):
    """A server that speaks the chat-completions protocol."""

    flavour: Name = "openai"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_url is None and FLAVOURS[self.flavour].base_url is None:
            raise InvalidInput(f"flavour {self.flavour}: expected a base_url")
        check_features(self.features, DECLARABLE)

    @property
    def url(self) -> str:
        """Where it is."""
        return self.base_url or FLAVOURS[self.flavour].base_url or ""

    @property
    def usual_key(self) -> str:
        """The variable its key is usually in; "" for servers that want none."""
        return FLAVOURS[self.flavour].usual_key


class AnthropicEndpoint(HostedEndpoint, frozen=True, kw_only=True, tag="anthropic"):
    """A server that speaks the messages protocol. `sampling_in_body`: it still takes temperature, top_p and top_k."""

    sampling_in_body: bool = False
    prompt_cache: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_features(self.features, frozenset())

    @property
    def url(self) -> str:
        """Where it is."""
        return self.base_url or "https://api.anthropic.com"

    @property
    def usual_key(self) -> str:
        """The variable its key is usually in."""
        return "ANTHROPIC_API_KEY"


class ScriptedEndpoint(Value, frozen=True, kw_only=True, tag_field="kind", tag="scripted"):
    """Lines written in advance: `replies` by speaker, in order; a mapping answers a forced tool call.

    `cycle` begins again after the last one. `chunk` is characters a delta. `faults` fail on purpose, for rehearsals.
    Calls in the lines are read as `syntax` writes them; a script that calls tools has the feature `tools`.
    """

    replies: dict[str, tuple[str | dict[str, Any], ...]]
    cycle: bool = False
    latency_s: Annotated[float, Meta(ge=0)] = 0.0
    chunk: Count = 0
    features: tuple[Feature, ...] = ()
    syntax: Syntax = "plain"
    context_window: Positive | None = None
    faults: tuple[Fault, ...] = ()


Remote = OpenAIEndpoint | AnthropicEndpoint
Endpoint = OpenAIEndpoint | AnthropicEndpoint | ScriptedEndpoint


def check_url(url: str, *, insecure: bool) -> None:
    """Refuse what is no http address, and plain http to another machine unless `insecure`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"base_url: expected http://HOST… or https://HOST…; got {_shown(url)!r}")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not insecure:
        raise InvalidInput(
            f"base_url {_shown(url)!r} would send the key and every text unencrypted; "
            "use https, or say insecure: true"
        )


def check_features(features: tuple[Feature, ...], declarable: frozenset[Feature]) -> None:
    """Refuse a declared feature that the protocol has no field for."""
    for feature in features:
        if feature not in declarable:
            known = ", ".join(sorted(declarable)) or "none can be added"
            raise InvalidInput(f"features: {feature} has no place in this protocol; expected: {known}")


def _shown(url: str) -> str:
    """Without user info."""
    return url.rpartition("@")[2] if "@" in url else url


BUILT_IN: dict[str, Remote] = {
    "openai": OpenAIEndpoint(),
    "anthropic": AnthropicEndpoint(),
    "openrouter": OpenAIEndpoint(flavour="openrouter"),
    "ollama": OpenAIEndpoint(flavour="ollama"),
    "vllm": OpenAIEndpoint(flavour="vllm"),
    "sglang": OpenAIEndpoint(flavour="sglang"),
}
