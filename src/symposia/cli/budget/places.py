"""Where budgets are looked after: a running server, or a store and a ledger that processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol, TypeVar

import typer

from symposia.cli.registry import served_here
from symposia.cli.world import World
from symposia.core.errors import InvalidInput

if TYPE_CHECKING:
    from symposia.cli.remote import Client
    from symposia.serve.admin.shown import PoolShown
    from symposia.serve.budget import CostPolicy
    from symposia.serve.ledger import Ledger
    from symposia.store import Storage

T = TypeVar("T")
Shared = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="LEDGER",
        help="What servers count in: sqlite:PATH, postgresql://…, redis://…; else that of `symposia serve` here.",
    ),
]


class Place(NamedTuple):
    """What the flags say of it."""

    store: str | None
    url: str | None
    ledger: str | None = None


class Budgets(Protocol):
    """What commands need of it. Changes say why; a revision names the policy that they replace."""

    def policy(self) -> tuple[CostPolicy, int]: ...

    def put(self, policy: CostPolicy, *, revision: int, reason: str) -> int: ...

    def hard_limits(self, enabled: bool, *, reason: str) -> int: ...

    def usage(self) -> tuple[PoolShown, ...]: ...

    def reset(self, pool: str, *, reason: str) -> tuple[PoolShown, ...]: ...


@contextmanager
def budgets(place: Place, world: World, *, make: bool = False) -> Iterator[Budgets]:
    """The budgets of a server if one is named, else of a store; `make` that if it is not there."""
    from symposia.cli.remote import Client
    from symposia.store import opened

    if place.url is not None:
        yield Remote(Client(place.url, world.env))
        return
    here = served_here(world, store=place.store, ledger=place.ledger)
    with opened(here.store, clock=world.clock, make=make) as storage:
        yield Kept(storage, here.ledger, world)


class Kept:
    """Budgets of a store and a ledger."""

    def __init__(self, storage: Storage, ledger: str, world: World) -> None:
        self._storage, self._ledger, self._world = storage, ledger, world

    def policy(self) -> tuple[CostPolicy, int]:
        """The policy in force and its revision."""
        from symposia.serve.policies import in_force

        return in_force(self._storage)

    def put(self, policy: CostPolicy, *, revision: int, reason: str) -> int:
        """Replace the policy of that revision; the new revision. `Conflict`."""
        from symposia.serve.policies import put_in_force

        return put_in_force(
            self._storage, policy, expect=revision, actor=self._actor, reason=reason, now=self._now
        )

    def hard_limits(self, enabled: bool, *, reason: str) -> int:
        """Refuse, or only count."""
        from symposia.serve.policies import switch_hard_limits

        return switch_hard_limits(self._storage, enabled, actor=self._actor, reason=reason, now=self._now)

    def usage(self) -> tuple[PoolShown, ...]:
        """How pools stand."""
        from symposia.serve.admin.shown import pool_shown

        found = self._with_ledger(lambda ledger: ledger.standings())
        return tuple(map(pool_shown, found))

    def reset(self, pool: str, *, reason: str) -> tuple[PoolShown, ...]:
        """Empty a pool; how it stands after."""
        from symposia.serve.admin.shown import pool_shown
        from symposia.serve.policies import emptied

        after = self._with_ledger(
            lambda ledger: emptied(
                self._storage, ledger, pool, actor=self._actor, reason=reason, now=self._now
            )
        )
        return tuple(map(pool_shown, after))

    def _with_ledger(self, ask: Callable[[Ledger], Awaitable[T]]) -> T:
        from symposia.serve.ledger.opened import opened

        if self._ledger == "memory":
            raise InvalidInput(
                "the memory ledger lives inside its server; expected --url of the server, "
                "or --ledger with what servers share"
            )

        async def asked() -> T:
            ledger = opened(self._ledger, clock=self._world.clock)
            try:
                return await ask(ledger)
            finally:
                await ledger.aclose()

        return asyncio.run(asked())

    @property
    def _actor(self) -> str:
        from symposia.cli.registry import actor

        return actor(self._world)

    @property
    def _now(self) -> float:
        return self._world.clock.time()


class Remote:
    """Budgets of a running server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def policy(self) -> tuple[CostPolicy, int]:
        """The policy in force and its revision."""
        import msgspec

        from symposia.serve.budget import policy_of

        answer = self._client.ask("GET", "/budget")
        return policy_of(msgspec.json.decode(answer.raw)), int(answer.etag)

    def put(self, policy: CostPolicy, *, revision: int, reason: str) -> int:
        """Replace the policy of that revision; the new revision. `Refused` 412."""
        from symposia.serve.admin.shown import Revised
        from symposia.serve.budget import form

        query = {"reason": reason}
        done = self._client.change(Revised, "PUT /budget", form(policy), query=query, revision=str(revision))
        return done.revision

    def hard_limits(self, enabled: bool, *, reason: str) -> int:
        """Refuse, or only count."""
        from symposia.serve.admin.shown import Revised

        told = {"enabled": enabled, "reason": reason}
        return self._client.change(Revised, "POST /budget/hard-limits", told).revision

    def usage(self) -> tuple[PoolShown, ...]:
        """How pools stand."""
        from symposia.serve.admin.shown import Usage

        return self._client.read(Usage, "/budget/usage").pools

    def reset(self, pool: str, *, reason: str) -> tuple[PoolShown, ...]:
        """Empty a pool; how it stands after."""
        from symposia.serve.admin.shown import Usage

        return self._client.change(Usage, "POST /budget/reset", {"pool": pool, "reason": reason}).pools
