"""Stores of every kind, each test with its own: in memory, a file, a schema of PostgreSQL that is dropped after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.store import Storage, opened
from tests.store.places import KINDS, place


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store of each kind."""
    with place(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS[1:])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store that several processes can open."""
    with place(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def storage(url: str, clock: VirtualClock) -> Iterator[Storage]:
    with opened(url, clock=clock) as storage:
        yield storage
