"""`symposia profile alias`, `history`: names of profiles, moved by compare-and-swap; where they have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.exits import DONE, FINDINGS
from symposia.cli.registry import Json, Store, Url, actor, registry
from symposia.cli.world import World, guarded, this_world

from .selectors import Model, digest_of, model_of

if TYPE_CHECKING:
    from symposia.cli.registry import Profiles

NONE = "none"
Name = Annotated[str, typer.Argument(metavar="NAME", help="champion, calm, …")]


@dataclass(frozen=True)
class AliasOptions:
    """The flags of `symposia profile alias`."""

    model: Model
    name: Name
    to: Annotated[
        str,
        typer.Argument(metavar="SEL", help="[MODEL@]ALIAS, a digest, or `none`: it names nothing."),
    ]
    expect: Annotated[
        str, typer.Option("--expect", metavar="DIGEST", help="What it names now; `none` if nothing.")
    ]
    reason: Annotated[str, typer.Option("--reason", help="Why. Kept in the audit.")]
    evidence: Annotated[str, typer.Option("--evidence", metavar="URL", help="What speaks for it.")] = ""
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class HistoryOptions:
    """The flags of `symposia profile history`."""

    model: Model
    name: Name
    store: Store = None
    url: Url = None
    json: Json = False


def alias(asked: AliasOptions) -> int:
    """Move a name to another profile, if it is where you expect it; exit 1 with where it is if it is not."""
    world = this_world()
    return guarded(world, lambda: _alias(asked, world))


def history(asked: HistoryOptions) -> int:
    """Every move of a name: when, from where, to where, by whom, why."""
    world = this_world()
    return guarded(world, lambda: _history(asked, world))


def moved(move: Callable[[], object], world: World, *, as_json: bool) -> int | None:
    """Move an alias; None if it was moved, else the exit code of having said where it is."""
    from symposia.core.value import canonical
    from symposia.store.refusals import AliasConflict

    try:
        move()
    except AliasConflict as error:
        world.err.always(f"error: AliasConflict: {error}", "bold red")
        if as_json:
            told = {
                "error": "alias_conflict",
                "model": error.model,
                "alias": error.alias,
                "expected": error.expected,
                "current": error.current,
            }
            world.out.piece(canonical(told).decode() + "\n")
        return FINDINGS
    return None


def _alias(asked: AliasOptions, world: World) -> int:
    from symposia.core.value import canonical, short

    model = model_of(asked.model)
    seqs: list[int] = []
    with registry(asked.store, asked.url, world) as kept:
        to = _target(kept.profiles, model, asked.to)
        expect = _expected(kept.profiles, asked.expect)
        code = moved(
            lambda: seqs.append(
                kept.profiles.move(
                    model,
                    asked.name,
                    to,
                    expect=expect,
                    actor=actor(world),
                    reason=asked.reason,
                    evidence=asked.evidence,
                )
            ),
            world,
            as_json=asked.json,
        )
    if code is not None:
        return code
    if asked.json:
        told = {"model": model, "alias": asked.name, "before": expect, "after": to, "seq": seqs[0]}
        world.out.piece(canonical(told).decode() + "\n")
    else:
        before, after = (NONE if one is None else short(one) for one in (expect, to))
        world.out.line(f"{model}@{asked.name}: {before} -> {after}")
    return DONE


def _target(profiles: Profiles, model: str, selector: str) -> str | None:
    """Where the alias is to point: an alias of the same model may be told without the model."""
    if selector == NONE:
        return None
    return digest_of(profiles, selector) if "@" in selector else profiles.resolve(model, selector)


def _expected(profiles: Profiles, text: str) -> str | None:
    """The digest that is meant; what names no profile stands as it is, for the conflict to show."""
    from symposia.core.errors import InvalidInput

    if text == NONE:
        return None
    try:
        return profiles.find(text, archived=True)
    except InvalidInput:
        return text


def _history(asked: HistoryOptions, world: World) -> int:
    from symposia.cli.moments import moment
    from symposia.cli.table import Table
    from symposia.core.errors import UnknownName
    from symposia.core.value import canonical, short

    model = model_of(asked.model)
    with registry(asked.store, asked.url, world) as kept:
        moves = kept.profiles.history(model, asked.name)
        if not moves:
            raise UnknownName(f"alias of {model}", asked.name, {a.name for a in kept.profiles.aliases(model)})
    if asked.json:
        world.out.piece(canonical(moves).decode() + "\n")
        return DONE
    table = Table(("time", "from", "to", "by", "reason", "evidence"), left=6)
    for move in moves:
        before, after = (NONE if one is None else short(one) for one in (move.before, move.after))
        table.row(moment(move.time), before, after, move.actor, move.reason, move.evidence)
    table.print(world.out)
    return DONE
