"""The chat-completions protocol as a `Wire`: one flavour's row, one endpoint's additions to it."""

from __future__ import annotations

from symposia.backends.endpoint import OpenAIEndpoint
from symposia.backends.wire import Json, sendable_name
from symposia.core.lines import LineRules
from symposia.core.request import ModelCard, Request, ServedBy

from .body import body, keeps_stop, refuse, told
from .chunks import Read, decode
from .flavours import FLAVOURS
from .reply import ChatReply


class ChatWire:
    """How one endpoint is spoken to."""

    path = "/chat/completions"

    def __init__(self, name: str, endpoint: OpenAIEndpoint) -> None:
        self.endpoint = name
        self._declared, self._flavour = endpoint, FLAVOURS[endpoint.flavour]

    def card(self, model: str) -> ModelCard:
        """The flavour's row with what was declared."""
        name = sendable_name(model, self.endpoint)
        return ModelCard(
            model=model,
            context_window=self._declared.context_window.get(name),
            rules=self._rules(name),
            features=self._flavour.features | set(self._declared.features),
            thinking=self._flavour.thinking,
        )

    def refuse(self, request: Request) -> None:
        """Raise `UnsupportedRequest` for what the flavour cannot carry."""
        refuse(request, self._flavour, self.endpoint)

    def body(self, request: Request, *, streamed: bool = True) -> Json:
        """What is sent, for a stream of events or for one reply."""
        model = sendable_name(request.model, self.endpoint)
        return body(request, model, self._flavour, self._rules(model), streamed=streamed)

    def reply(self, request: Request, read: Read = decode) -> ChatReply:
        """A fold for the answer, streamed or whole; `read` makes chunks of bytes."""
        flavour, controlled = self._flavour, told(request.sampling, self._flavour)
        served = ServedBy(
            endpoint=self.endpoint,
            model=sendable_name(request.model, self.endpoint),
            date=request.date,
            seed=flavour.seed,
            uncontrolled=tuple([knob for knob in flavour.uncontrolled if knob not in controlled]),
        )
        return ChatReply(request, served, kept_there=keeps_stop(request, flavour), read=read)

    def _rules(self, name: str) -> LineRules:
        declared = self._declared
        return declared.model_rules.get(name) or declared.rules or self._flavour.rules
