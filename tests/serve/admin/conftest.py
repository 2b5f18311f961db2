"""One server a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.serve.admin.office import Office, office


@pytest.fixture
async def desk() -> AsyncIterator[Office]:
    """A server with a scripted model and a store in memory."""
    async with office() as made:
        yield made
