"""From declared endpoints to backends: keys out of the environment given, limits shared by server and key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.clock import Clock, SystemClock
from symposia.core.redact import Redactor, Secret
from symposia.core.usage import Price

from .anthropic.wire import MessagesWire
from .endpoint import BUILT_IN, AnthropicEndpoint, OpenAIEndpoint, Remote
from .gates import Gates, Limits
from .hosted import Hosted, Terms
from .keys import read_key
from .openai.wire import ChatWire
from .policy import Policy
from .sdk import Sdk

if TYPE_CHECKING:
    import httpx2


class Hosts:
    """Makes backends of endpoints. `env` is read, a variable at a time, when an endpoint is first asked.

    `transport` takes the network's place for every one of them: an in-process server.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        clock: Clock | None = None,
        *,
        policy: Policy | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._env, self._clock = env, clock or SystemClock()
        self._policy, self._transport = policy, transport
        self._gates = Gates(self._clock)

    def backend(self, name: str, endpoint: Remote) -> Hosted:
        """The endpoint as a backend. No key is read and nothing is imported before it is asked."""
        placed = self.placed(endpoint)
        wire = ChatWire(name, placed) if isinstance(placed, OpenAIEndpoint) else MessagesWire(name, placed)
        return Hosted(wire, partial(self._terms, name, placed))

    def built_in(self) -> dict[str, Remote]:
        """The endpoints that need no declaration."""
        return {name: self.placed(endpoint) for name, endpoint in BUILT_IN.items()}

    def placed(self, endpoint: Remote) -> Remote:
        """The endpoint where it is: the providers' own addresses are moved by the variables their SDKs read."""
        if endpoint.base_url is not None or (
            isinstance(endpoint, OpenAIEndpoint) and endpoint.flavour != "openai"
        ):
            return endpoint
        variable = "OPENAI_BASE_URL" if isinstance(endpoint, OpenAIEndpoint) else "ANTHROPIC_BASE_URL"
        url = self._env.get(variable)
        return replace(endpoint, base_url=url) if url else endpoint

    def _terms(self, name: str, endpoint: Remote) -> Terms:
        key = read_key(endpoint.key, endpoint=name, usual=endpoint.usual_key, env=self._env)
        limits = Limits(rpm=endpoint.rpm, tpm=endpoint.tpm, concurrency=endpoint.concurrency)
        return Terms(
            connect=partial(
                Sdk,
                "anthropic" if isinstance(endpoint, AnthropicEndpoint) else "openai",
                name,
                endpoint,
                key,
                transport=self._transport,
            ),
            gate=self._gates.at(name, endpoint.url, key, limits),
            clock=self._clock,
            redactor=_redactor(endpoint, key),
            policy=self._policy or Policy(timeouts=endpoint.timeouts),
        )


def prices_of(endpoints: Mapping[str, Remote]) -> dict[str, Price]:
    """The prices endpoints declare, by model address."""
    return {
        f"{name}:{model}": price
        for name, endpoint in endpoints.items()
        for model, price in endpoint.prices.items()
    }


def _redactor(endpoint: Remote, key: Secret | None) -> Redactor:
    """Keeps the key, and whatever else is sent in headers, out of errors."""
    secrets = dict(endpoint.headers)
    if key is not None:
        secrets["key"] = key.reveal()
    return Redactor(secrets)
