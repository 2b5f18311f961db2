"""`symposia budget show`, `check`, `usage`: the policy in force, a file before it is, how pools stand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.exits import BAD_INPUT, DONE
from symposia.cli.registry import Json, Store, Url
from symposia.cli.world import World, guarded, this_world

from .places import Place, Shared, budgets

if TYPE_CHECKING:
    from symposia.serve.admin.shown import PoolShown
    from symposia.serve.budget import CostPolicy, Rule

EVERY_S = 1.0
"""How often `usage --watch` looks."""


@dataclass(frozen=True)
class ShowOptions:
    """The flags of `symposia budget show`."""

    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class CheckOptions:
    """The flags of `symposia budget check`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy, TOML or JSON.")]
    json: Json = False


@dataclass(frozen=True)
class UsageOptions:
    """The flags of `symposia budget usage`."""

    pool: Annotated[str | None, typer.Option("--pool", metavar="POOL", help="This one only.")] = None
    watch: Annotated[bool, typer.Option("--watch", help="Again every second, until interrupted.")] = False
    store: Store = None
    url: Url = None
    ledger: Shared = None
    json: Json = False


def show(asked: ShowOptions) -> int:
    """The policy in force, rule by rule, and its revision."""
    world = this_world()
    return guarded(world, lambda: _show(asked, world))


def check(asked: CheckOptions) -> int:
    """Whether a file is a policy that reads one way only; exit 2 names both rules where it is not."""
    world = this_world()
    return guarded(world, lambda: _check(asked, world))


def usage(asked: UsageOptions) -> int:
    """How much of each pool is used, held and free."""
    world = this_world()
    return guarded(world, lambda: _usage(asked, world))


def read_policy(path: Path, world: World) -> CostPolicy | None:
    """The policy of a file; None once it was said that it is ambiguous. `InvalidInput` for what is none at all."""
    from symposia.serve.budget import AmbiguousBudget, read

    try:
        return read(path)
    except AmbiguousBudget as error:
        world.err.always(f"error: AmbiguousBudget: {path}: {error}", "bold red")
        return None


def _show(asked: ShowOptions, world: World) -> int:
    from symposia.core.value import canonical
    from symposia.serve.budget import form

    with budgets(Place(asked.store, asked.url), world) as kept:
        policy, revision = kept.policy()
    if asked.json:
        world.out.piece(canonical({"revision": revision, "policy": form(policy)}).decode() + "\n")
    else:
        world.out.line(f"revision {revision}", "dim")
        _print(policy, world)
    return DONE


def _check(asked: CheckOptions, world: World) -> int:
    from symposia.core.value import canonical
    from symposia.serve.budget import form

    policy = read_policy(asked.file, world)
    if policy is None:
        return BAD_INPUT
    if asked.json:
        world.out.piece(canonical(form(policy)).decode() + "\n")
    else:
        _print(policy, world)
    return DONE


def _usage(asked: UsageOptions, world: World) -> int:
    place = Place(asked.store, asked.url, asked.ledger)
    while True:
        with budgets(place, world) as kept:
            pools = [one for one in kept.usage() if asked.pool in (None, one.pool)]
        if asked.watch and world.out.tty:
            world.out.console.clear()
        _pools(pools, world, as_json=asked.json)
        if not asked.watch:
            return DONE
        asyncio.run(world.clock.sleep(EVERY_S))


def _pools(pools: list[PoolShown], world: World, *, as_json: bool) -> None:
    from symposia.cli.table import Table
    from symposia.core.value import canonical

    if as_json:
        world.out.piece(canonical(pools).decode() + "\n")
        return
    if not pools:
        world.out.line("no pool holds anything")
        return
    table = Table(("pool", "of", "used", "held", "free", "limit", "empty in"), left=2, whole=True)
    for one in pools:
        numbers = (one.used, one.reserved, one.free, one.limit)
        style = "bold red" if one.free <= 0 else ""
        table.row(one.pool, one.field, *map(str, numbers), f"{one.resets_s:.0f} s", style=style)
    table.print(world.out)


def _print(policy: CostPolicy, world: World) -> None:
    from symposia.cli.table import Table

    limits = "refuse" if policy.hard_limits else "warn only"
    shrink = ", requests are shrunk to fit" if policy.shrink_to_fit else ""
    world.out.line(f"limits {limits}; while the ledger is down: {policy.ledger_down}{shrink}")
    table = Table(("rule", "for", "a pool per", "tokens", "requests", "in", "warns at"), left=3)
    for kind, rule in policy.rules:
        matched = rule.shown if rule.match.named else rule.name or "all"
        table.row(kind, matched, *_cells(rule))
    table.print(world.out)


def _cells(rule: Rule) -> tuple[str, ...]:
    limits = rule.limits
    numbers = ("-" if one is None else f"{one:,}" for one in (limits.max_tokens, limits.max_requests))
    return (",".join(rule.per) or "-", *numbers, f"{limits.window_s:g} s", f"{limits.soft_fraction:.0%}")
