"""Rows of the endpoint table against the providers themselves. Never required; needs a key and a model's name."""

from __future__ import annotations

import os

import pytest

from symposia.backends.hosts import Hosts
from symposia.cli.held import check_rows

ASKED = os.environ.get("SYMPOSIA_CHECK", "")


@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not ASKED, reason="set SYMPOSIA_CHECK=openai:MODEL, and the endpoint's key, to ask a provider"
)
async def test_each_row_holds() -> None:
    """What `symposia endpoints check` prints for that model: every row holds."""
    name, _, _ = ASKED.partition(":")
    hosts = Hosts(os.environ)
    rows = await check_rows(hosts.backend(name, hosts.built_in()[name]), ASKED)
    assert [row for row in rows if not row.holds] == []
