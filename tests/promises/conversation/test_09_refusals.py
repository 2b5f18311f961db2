"""Promise 9, for Scripted: for each feature it lacks, UnsupportedRequest before any delta."""

from __future__ import annotations

import pytest

from symposia.backends import Endpoints, Scripted
from symposia.core.errors import UnsupportedRequest
from symposia.testing.backends import demanding, plain_request

ASKED = demanding(plain_request("m"))
HAS = frozenset({"stop_after", "seed"})


@pytest.mark.parametrize("feature", sorted(set(ASKED) - HAS))
async def test_what_it_lacks_is_refused(feature: str) -> None:
    """The refusal names endpoint, model, feature and a way out; nothing was asked and no delta came."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(UnsupportedRequest) as caught:
        await anext(aiter(backend.generate(ASKED[feature])))
    assert (caught.value.endpoint, caught.value.model, caught.value.feature) == ("scripted", "m", feature)
    assert caught.value.way_out
    assert backend.requests == []


@pytest.mark.parametrize("feature", sorted(ASKED))
async def test_what_it_has_is_accepted(feature: str) -> None:
    """The same request is answered by a script that declares the feature."""
    backend = Scripted(lambda r: {} if r.force else "yes", features=frozenset({feature}))
    items = [item async for item in backend.generate(ASKED[feature])]
    assert items
    assert len(backend.requests) == 1


async def test_a_route_refuses_what_its_backend_refuses() -> None:
    """Behind an endpoint table the refusal is the same."""
    backend = Scripted(lambda _: "x")
    routed = Endpoints({"mine": lambda: backend}, local=lambda: backend)
    request = demanding(plain_request("mine:m"))["captures"]
    with pytest.raises(UnsupportedRequest):
        await anext(aiter(routed.generate(request)))
    assert backend.requests == []
