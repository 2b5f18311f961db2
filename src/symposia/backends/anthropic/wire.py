"""The messages protocol as a `Wire`."""

from __future__ import annotations

from symposia.backends.endpoint import AnthropicEndpoint
from symposia.backends.wire import Json, sendable_name
from symposia.core.lines import LineRules
from symposia.core.request import Feature, ModelCard, Request, ServedBy

from .body import body, refuse
from .reply import MessagesReply

FEATURES: frozenset[Feature] = frozenset(
    {"tools", "parallel_tools", "force", "schema", "stop_after", "thinking"}
)
RULES = LineRules(late_system="as_user", alternate=True, user_first=True)


class MessagesWire:
    """How one endpoint is spoken to."""

    path = "/v1/messages"

    def __init__(self, name: str, endpoint: AnthropicEndpoint) -> None:
        self.endpoint = name
        self._declared = endpoint

    def card(self, model: str) -> ModelCard:
        """What the protocol offers; older models still have top_k."""
        return ModelCard(
            model=model,
            context_window=self._declared.context_window.get(sendable_name(model, self.endpoint)),
            rules=self._rules(model),
            features=FEATURES | ({"top_k"} if self._declared.sampling_in_body else frozenset()),
            thinking=("auto", "off", "on", "low", "medium", "high"),
        )

    def refuse(self, request: Request) -> None:
        """Raise `UnsupportedRequest` for what the protocol cannot carry."""
        refuse(request, self._declared, self.endpoint)

    def body(self, request: Request) -> Json:
        """What is sent."""
        model = sendable_name(request.model, self.endpoint)
        return body(request, model, self._declared, self._rules(request.model))

    def reply(self, request: Request) -> MessagesReply:
        """A fold for the answer."""
        sampling = request.sampling
        knobs = {
            "temperature": sampling.temperature != 1.0,
            "top_p": sampling.top_p != 1.0,
            "top_k": sampling.top_k > 0,
        }
        served = ServedBy(
            endpoint=self.endpoint,
            model=sendable_name(request.model, self.endpoint),
            date=request.date,
            uncontrolled=tuple(knob for knob, sent in knobs.items() if not sent),
        )
        return MessagesReply(request, served)

    def _rules(self, model: str) -> LineRules:
        declared = self._declared
        return declared.model_rules.get(sendable_name(model, self.endpoint)) or declared.rules or RULES
