"""`symposia profile audit`: who changed what in a store; whether anything was changed behind its back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from symposia.cli.exits import DONE, FINDINGS
from symposia.cli.registry import Json, Store, Url, registry
from symposia.cli.world import World, guarded, this_world


@dataclass(frozen=True)
class AuditOptions:
    """The flags of `symposia profile audit`."""

    since: Annotated[int, typer.Option("--since", metavar="N", min=0, help="Acts after this number.")] = 0
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Hold every row against the chain of hashes; exit 1 if one differs."),
    ] = False
    store: Store = None
    url: Url = None
    json: Json = False


def audit(asked: AuditOptions) -> int:
    """List what was done to profiles, names, keys and budgets; or verify that nothing else was."""
    world = this_world()
    return guarded(world, lambda: _verify(asked, world) if asked.verify else _audit(asked, world))


def _audit(asked: AuditOptions, world: World) -> int:
    from symposia.cli.moments import moment
    from symposia.cli.table import Table
    from symposia.core.value import canonical

    with registry(asked.store, asked.url, world) as kept:
        rows = kept.audit(asked.since)
    if asked.json:
        world.out.piece(canonical(rows).decode() + "\n")
        return DONE
    table = Table(("act", "time", "by", "did", "to", "before", "after", "reason", "evidence"), left=9)
    for row in rows:
        before, after = (_brief(one) for one in (row.before, row.after))
        told = (row.actor, row.action, _brief(row.subject), before, after, row.reason, row.evidence)
        table.row(str(row.seq), moment(row.time), *told)
    if rows:
        table.print(world.out)
    return DONE


def _verify(asked: AuditOptions, world: World) -> int:
    from symposia.core.value import canonical

    with registry(asked.store, asked.url, world) as kept:
        seen = kept.verify()
    if asked.json:
        world.out.piece(canonical(seen).decode() + "\n")
    else:
        for flaw in seen.flaws:
            world.out.line(f"{flaw.table} {flaw.row}: {flaw.why}", "bold red")
        counted = f"{seen.audit} acts, {seen.profiles} profiles, {seen.aliases} moves, {seen.keys} keys"
        world.out.line(f"{counted}: {f'flaws: {len(seen.flaws)}' if seen.flaws else 'as they were written'}")
        world.out.line(f"last hash {seen.head or '-'}", "dim")
    return FINDINGS if seen.flaws else DONE


def _brief(text: str | None) -> str:
    from symposia.core.value import short

    if text is None:
        return "-"
    return short(text) if text.startswith("sha256:") else text if len(text) <= 40 else f"{text[:39]}…"
