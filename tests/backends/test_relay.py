"""A server relayed to, end to end: a real one on loopback."""

from __future__ import annotations

import pytest

from symposia.testing import check_backend
from symposia.testing.faults import FaultyUpstream
from tests.backends.relaying import relay

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("flavour", ["generic", "openai", "openrouter", "vllm", "sglang", "ollama"])
async def test_the_whole_protocol_is_kept(flavour: str) -> None:
    """`check_backend`, for every flavour."""
    async with FaultyUpstream() as server, relay(server, flavour=flavour) as backend:
        await check_backend(backend, "upstream:gpt-x")
