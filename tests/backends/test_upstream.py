"""The edge to a server: who is ended by what."""

from __future__ import annotations

import asyncio

import pytest

from symposia.backends.causes import AttemptFailed
from symposia.backends.policy import Timeouts
from symposia.backends.upstream import Upstream
from symposia.core.clock import SystemClock
from symposia.testing.faults import FaultyUpstream

MUCH_LATER = 1e12
ASK = b'{"model": "fault-silence"}'


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_caller_that_leaves_at_the_limit_leaves(cancelled: bool) -> None:
    """A limit alone is a timeout; whoever is cancelled in the same moment is cancelled, not told of a timeout."""
    async with FaultyUpstream() as server:
        upstream = Upstream(server.base_url, None, Timeouts(), SystemClock())
        waits = upstream.pool().watch.begin()
        try:
            sending = asyncio.ensure_future(upstream.pool().send("/chat/completions", ASK, waits))
            await server.arrived()
            waits.look(MUCH_LATER)
            if cancelled:
                sending.cancel()
            with pytest.raises(asyncio.CancelledError if cancelled else AttemptFailed):
                await sending
            async with asyncio.timeout(1):
                await server.abandoned()
        finally:
            await upstream.aclose()
    assert waits.late == "first_token"
