"""Promise 9, for hosted backends: what they lack is refused, and no byte reaches the wire."""

from __future__ import annotations

import pytest

from symposia.backends import Endpoints
from symposia.backends.openai.flavours import FLAVOURS
from symposia.core.errors import UnsupportedRequest
from symposia.core.request import Completion
from symposia.testing.backends import demanding, plain_request
from symposia.testing.faults import FaultyUpstream
from tests.backends.asking import hosts, of, openai

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
