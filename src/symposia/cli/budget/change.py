"""`symposia budget set`, `hard-limits`, `reset`: each says why, and running servers follow within a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from symposia.cli.exits import BAD_INPUT, DONE, FINDINGS
from symposia.cli.registry import Json, Store, Url
from symposia.cli.world import World, guarded, this_world

from .look import read_policy
from .places import Place, Shared, budgets

Reason = Annotated[str, typer.Option("--reason", help="Why. Kept in the audit.")]


@dataclass(frozen=True)
class SetOptions:
    """The flags of `symposia budget set`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy, TOML or JSON.")]
    reason: Reason
    revision: Annotated[
        int | None,
        typer.Option("--revision", metavar="N", help="Only if this one is in force (see `budget show`)."),
    ] = None
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class HardOptions:
    """The flags of `symposia budget hard-limits`."""

    state: Annotated[Literal["on", "off"], typer.Argument(metavar="on|off", help="Refuse, or only count.")]
    reason: Reason
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class ResetOptions:
    """The flags of `symposia budget reset`."""

    pool: Annotated[str, typer.Argument(metavar="POOL", help="As `budget usage` names it.")]
    reason: Reason
    store: Store = None
    url: Url = None
    ledger: Shared = None
    json: Json = False


def set_budget(asked: SetOptions) -> int:
    """Put a policy in force; exit 1 if another than the one you looked at is in force."""
    world = this_world()
    return guarded(world, lambda: _set(asked, world))


def hard_limits(asked: HardOptions) -> int:
    """Let budgets refuse, or only count and warn, from the next request on."""
    world = this_world()
    return guarded(world, lambda: _hard_limits(asked, world))


def reset(asked: ResetOptions) -> int:
    """Empty a pool: what it holds counts no more."""
    world = this_world()
    return guarded(world, lambda: _reset(asked, world))


def _set(asked: SetOptions, world: World) -> int:
    from symposia.cli.remote.client import Refused
    from symposia.core.store import Conflict

    policy = read_policy(asked.file, world)
    if policy is None:
        return BAD_INPUT
    with budgets(Place(asked.store, asked.url), world, make=True) as kept:
        revision = kept.policy()[1] if asked.revision is None else asked.revision
        try:
            made = kept.put(policy, revision=revision, reason=asked.reason)
        except (Conflict, Refused) as error:
            if isinstance(error, Refused) and error.code != "precondition_failed":
                raise
            world.err.always(f"error: {error}", "bold red")
            return FINDINGS
    return _revised(made, world, as_json=asked.json)


def _hard_limits(asked: HardOptions, world: World) -> int:
    with budgets(Place(asked.store, asked.url), world) as kept:
        made = kept.hard_limits(asked.state == "on", reason=asked.reason)
    return _revised(made, world, as_json=asked.json)


def _reset(asked: ResetOptions, world: World) -> int:
    from symposia.core.value import canonical

    with budgets(Place(asked.store, asked.url, asked.ledger), world) as kept:
        after = kept.reset(asked.pool, reason=asked.reason)
    world.out.piece(canonical(after).decode() + "\n" if asked.json else f"{asked.pool} is empty\n")
    return DONE


def _revised(revision: int, world: World, *, as_json: bool) -> int:
    from symposia.core.value import canonical

    told = canonical({"revision": revision}).decode() if as_json else f"revision {revision}"
    world.out.piece(f"{told}\n")
    return DONE
