"""Promises of opening ledgers: by their address, nothing asked yet; an unknown one names the forms there are."""

from __future__ import annotations

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput
from symposia.serve.ledger import Charge, LedgerUnreachable
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.ledger.opened import opened
from symposia.serve.ledger.postgres import PostgresLedger
from symposia.serve.ledger.redis import RedisLedger
from symposia.serve.ledger.sqlite import SqliteLedger
from tests.serve.ledger.places import ALL, TickClock, place

CHARGE = Charge(pool="p", field="tokens", amount=1, limit=10)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory", MemoryLedger),
        ("sqlite:some/ledger.db", SqliteLedger),
        ("postgresql://nobody@127.0.0.1:1/none", PostgresLedger),
        ("redis://127.0.0.1:1", RedisLedger),
    ],
)
def test_an_address_opens_its_ledger(url: str, kind: type) -> None:
    """Without a connection, a file or an event loop."""
    assert isinstance(opened(url, clock=VirtualClock()), kind)


@pytest.mark.parametrize("url", ["sqlite", "sqlite:", "memory:x", "mysql://x", ""])
def test_another_address_is_refused_with_the_forms_there_are(url: str) -> None:
    """No default stands in for it."""
    with pytest.raises(InvalidInput, match="expected memory, sqlite:PATH, postgresql://"):
        opened(url, clock=VirtualClock())


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none", "redis://127.0.0.1:1"])
async def test_a_ledger_nobody_serves_is_unreachable(url: str) -> None:
    """Every operation says so, in words that hold no password."""
    ledger = opened(url.replace("//", "//x:sentinel-secret@", 1).replace("nobody@", ""), clock=VirtualClock())
    for operation in (
        ledger.ping,
        lambda: ledger.reserve("l", (CHARGE,), ttl_s=1),
        ledger.expire,
        ledger.standings,
    ):
        with pytest.raises(LedgerUnreachable) as caught:
            await operation()
        assert "sentinel-secret" not in str(caught.value)
    await ledger.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_a_pool_charged_twice_is_refused(kind: str) -> None:
    """Each part would fit alone; together they might not."""
    with place(kind) as opening:
        ledger = opening(TickClock())
        with pytest.raises(InvalidInput, match="each pool and field once"):
            await ledger.reserve("l", (CHARGE, CHARGE), ttl_s=1)
        assert await ledger.standings() == ()
        await ledger.aclose()


def test_a_namespace_is_a_plain_word() -> None:
    """It becomes part of the names of tables."""
    with pytest.raises(InvalidInput, match="small letters"):
        opened("postgresql://x", clock=VirtualClock(), namespace='x"; DROP TABLE y')
