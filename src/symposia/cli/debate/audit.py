"""`symposia debate-audit`: does the captain choose by what answers say, or by where and how they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.cli.exits import DONE, terminable
from symposia.cli.world import World, guarded, this_world

from .replayoptions import AuditOptions

if TYPE_CHECKING:
    from symposia.evals.audit.measures import Audit, Correlation, Share

FILE = "audit.json"


def debate_audit(asked: AuditOptions) -> int:
    """Repeat the selections of a run's debates over all rotations of their candidates, and write audit.json."""
    world = this_world()

    def work() -> int:
        with terminable():
            return _audited(asked, world)

    return guarded(world, work)


def _audited(asked: AuditOptions, world: World) -> int:
    from symposia.core.files import write_atomic
    from symposia.core.value import canonical
    from symposia.evals.audit.auditing import audit_debates
    from symposia.talk import portal

    from .finished import finished

    with finished(asked.run, world, asked.endpoints) as run:
        done = portal.call(audit_debates(list(run.debates.items())))
    raw = canonical(done) + b"\n"
    write_atomic(asked.run / FILE, raw)
    if asked.json:
        world.out.piece(raw.decode())
    else:
        _show(done.audit, world)
    world.err.line(f"{done.calls} new calls; written to {asked.run / FILE}", "dim")
    return DONE


def _show(told: Audit, world: World) -> None:
    out = world.out
    out.line(f"{told.selections} selections of {told.debates} debates, {told.unreadable} unreadable")
    where = told.position
    if where.n:
        rates = ", ".join(f"{count / where.n:.2f}" for count in where.chosen)
        by_chance = ", ".join(f"{count / where.n:.2f}" for count in where.expected)
        out.line(f"chosen by position: {rates} (by chance {by_chance}; n = {where.n})")
    if where.test is not None:
        out.line(f"chi-square {where.test.statistic:.3f}, {where.test.freedom} df, p = {where.test.p:.4g}")
    out.line(f"flips across orders: {_share(told.flips)} pairs")
    out.line(f"length and choice: {_rho(told.length)}")
    out.line(f"length and choice at equal support: {_rho(told.length_at_equal_support)}")
    out.line(f"choices of the plurality: {_share(told.plurality)}")
    out.line(f"choices of the captain's own model: {_share(told.own_model)}")


def _share(one: Share) -> str:
    if one.share is None:
        return "- (n = 0)"
    chance = "" if one.chance is None else f", by chance {one.chance:.2f}"
    return f"{one.share:.2f} (n = {one.n}{chance})"


def _rho(one: Correlation) -> str:
    return f"{'-' if one.rho is None else f'rho {one.rho:+.2f}'} (n = {one.n} candidates)"
