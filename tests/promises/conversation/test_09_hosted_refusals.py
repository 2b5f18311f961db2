"""Promise 9, for hosted backends: what they lack is refused, and no byte reaches the wire."""

from __future__ import annotations

import pytest

from symposia.backends import Endpoints
from symposia.backends.openai.flavours import FLAVOURS
from symposia.core.errors import UnsupportedRequest
from symposia.core.request import Completion
from symposia.testing.backends import demanding, plain_request
from symposia.testing.faults import FaultyUpstream
from tests.backends.asking import asked, hosts, of, openai

MODEL = "up:gpt-x"
ASKED = demanding(plain_request(MODEL))
EVERY = [*FLAVOURS, "anthropic"]


@pytest.mark.parametrize("flavour", EVERY)
async def test_what_an_endpoint_lacks_is_refused_before_any_connection(flavour: str) -> None:
    """For each feature missing from the card: `UnsupportedRequest` with a way out, whichever way it is reached.

    The key is not even looked for.
    """
    async with FaultyUpstream() as server:
        endpoint = of("anthropic", server) if flavour == "anthropic" else openai(server, flavour=flavour)
        backend = hosts(env={}).backend("up", endpoint)
        routed = Endpoints({"up": lambda: backend}, local=lambda: backend)
        card = await routed.describe(MODEL)
        lacking = set(ASKED) - card.features
        assert {"interventions", "captures", "choices", "read", "deterministic"} <= lacking
        for feature in lacking:
            for stream in (backend.generate(ASKED[feature]), routed.generate(ASKED[feature])):
                with pytest.raises(UnsupportedRequest) as caught:
                    await anext(aiter(stream))
                assert (caught.value.endpoint, caught.value.feature) == ("up", feature)
                assert caught.value.way_out
        assert server.received == []


@pytest.mark.parametrize("flavour", EVERY)
async def test_what_an_endpoint_has_is_sent(flavour: str) -> None:
    """The same requests are answered where the card has the feature: nothing is refused that could be kept."""
    async with FaultyUpstream() as server:
        endpoint = of("anthropic", server) if flavour == "anthropic" else openai(server, flavour=flavour)
        backend = hosts().backend("up", endpoint)
        card = await backend.describe(MODEL)
        for feature in set(ASKED) & card.features:
            items = [item async for item in backend.generate(ASKED[feature])]
            assert isinstance(items[-1], Completion), feature
        await backend.aclose()
        assert len(server.asked) == len(set(ASKED) & card.features)


@pytest.mark.parametrize(
    ("flavour", "knobs"),
    [
        ("openai", {"repetition_penalty": 1.2}),
        ("ollama", {"repetition_penalty": 1.2}),
        ("openai", {"stop": ("a", "b", "c", "d", "e")}),
        ("vllm", {"thinking_budget": 64}),
        ("anthropic", {"temperature": 0.5}),
        ("anthropic", {"thinking_budget": 10}),
    ],
)
async def test_a_knob_without_a_field_is_refused_before_any_connection(flavour: str, knobs: dict) -> None:
    """Finer than a feature: while the request is rendered and when it is asked, nothing is dropped or sent."""
    async with FaultyUpstream() as server:
        endpoint = of("anthropic", server) if flavour == "anthropic" else openai(server, flavour=flavour)
        backend = hosts(env={}).backend("up", endpoint)
        with pytest.raises(UnsupportedRequest) as caught:
            await anext(backend.generate(asked(**knobs)))
        assert next(iter(knobs)) in caught.value.feature or "stop" in caught.value.feature
        with pytest.raises(UnsupportedRequest):
            await backend.render(asked(**knobs))
        assert server.received == []
