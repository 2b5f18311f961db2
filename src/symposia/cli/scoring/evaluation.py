"""A scorecard from the command line: planned, run through its journal, written, shown."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from symposia.backends import Endpoints, Journal
from symposia.cli.debate.assemble import prices_of
from symposia.cli.debate.report import THEIRS
from symposia.cli.endpointfile import read_endpoints
from symposia.cli.endpoints import backend_for_addresses
from symposia.cli.exits import DONE, ENDPOINT, FAILED
from symposia.cli.table import Table
from symposia.cli.world import World
from symposia.core.files import write_atomic
from symposia.core.value import content_digest, short
from symposia.evals.kept import Keeping
from symposia.evals.scorecard.card import Scorecard
from symposia.evals.scorecard.plan import Plan
from symposia.evals.scorecard.score import Scored, score
from symposia.evals.scorecard.tables import grids
from symposia.evals.scorecard.trial import Trial
from symposia.evals.scorecard.written import as_csv, as_html, as_json
from symposia.talk import portal
from symposia.talk.rules import Kit

from .options import EvalOptions
from .planned import items_of, planned, toolbox

CARD, CSV, TIMES, REPORT = "scorecard.json", "scorecard.csv", "times.json", "report.html"


def evaluation(asked: EvalOptions, world: World) -> int:
    """Score it; the exit code. Raises what was refused before any call."""
    items_of(asked)
    tools = toolbox(asked.tools)
    declared = read_endpoints(asked.endpoints)
    backend = backend_for_addresses(world.env, Path(), declared=declared, rpm=asked.rpm, tpm=asked.tpm)
    plan = portal.call(planned(asked, backend, tools))
    if plan.setup.profile.sampling.temperature == 0 and len(plan.methods) > 1:
        world.err.line(
            "temperature 0: every sample of an item is the same, so a vote of them says no more", "yellow"
        )
    kit = Kit(clock=world.clock, prices=prices_of(asked.prices, backend.names), tools=tools)
    progress, keeping = _Progress(plan, world), Keeping()
    with Journal.unkept() if asked.out is None else Journal.open(asked.out) as journal:
        if len(journal):
            world.err.line(
                f"{asked.out} holds {len(journal)} replies already; none is asked for again", "dim"
            )
        scored = portal.call(_scored(asked, plan, backend, journal, kit, Following(progress, keeping)))
    if asked.out is not None:
        keeping.write(asked.out)
        _write(scored, asked.out, world)
    _show(scored, asked, world)
    return _code(scored.card, world)


class _Progress:
    """A line a tenth of the way."""

    def __init__(self, plan: Plan, world: World) -> None:
        items = sum(map(len, plan.tasks.values()))
        self._all, self._world, self._grades = items * plan.repeats * len(plan.methods), world, Counter[str]()

    def tell(self, trial: Trial) -> None:
        """Count it; say so now and then."""
        self._grades[trial.grade] += 1
        done = self._grades.total()
        if done * 10 // self._all > (done - 1) * 10 // self._all:
            told = ", ".join(f"{n} {grade}" for grade, n in sorted(self._grades.items()))
            self._world.err.line(f"{done} of {self._all} trials: {told}", "dim")


@dataclass(frozen=True)
class Following:
    """Who hears of trials, and who keeps debates for a closer look."""

    progress: _Progress
    keeping: Keeping


async def _scored(
    asked: EvalOptions, plan: Plan, backend: Endpoints, journal: Journal, kit: Kit, by: Following
) -> Scored:
    """The run; connections are closed after it."""
    async with aclosing(backend):
        return await score(
            plan,
            backend,
            journal,
            kit=kit,
            concurrency=asked.concurrency,
            tell=by.progress.tell,
            keep=by.keeping,
        )


def _write(scored: Scored, folder: Path, world: World) -> None:
    """Everything but the journal, which is there. The figure needs matplotlib; without it, a line says so."""
    from symposia.core.value import canonical
    from symposia.interp.plot.style import PlotsNeedMatplotlib

    raw = as_json(scored.card)
    write_atomic(folder / CARD, raw)
    write_atomic(folder / CSV, as_csv(scored.card))
    write_atomic(folder / TIMES, canonical(scored.times) + b"\n")
    image: bytes | None = None
    try:
        image = _figures(scored.card, folder / "plots")
    except PlotsNeedMatplotlib as error:
        world.err.line(f"no figure: {error}", "yellow")
    write_atomic(folder / REPORT, as_html(scored.card, scored.times, image))
    told = f"{scored.calls} new calls, {scored.kept} kept ones; in {folder}: {CARD} ({short(content_digest(raw))})"
    world.err.line(f"{told}, {CSV}, {TIMES}, {REPORT}, plots", "dim")


def _figures(card: Scorecard, folder: Path) -> bytes:
    from symposia.interp.plot.style import save

    from .figure import accuracy_tokens, as_png

    drawn = accuracy_tokens(card)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "pdf"):
        save(drawn, folder / f"accuracy_tokens.{suffix}")
    return as_png(drawn)


def _show(scored: Scored, asked: EvalOptions, world: World) -> None:
    if asked.json:
        world.out.piece(as_json(scored.card).decode())
        return
    for at, grid in enumerate(grids(scored.card, scored.times)):
        if at:
            world.out.line()
        world.out.line(grid.title, "bold")
        table = Table(grid.heads, left=grid.left, whole=True)
        for row in grid.rows:
            table.row(*row)
        table.print(world.out)


def _code(card: Scorecard, world: World) -> int:
    """0 if anything was graded; 3 if all failed for what passes; 1 otherwise."""
    if any(trial.graded for trial in card.trials):
        return DONE
    causes = Counter(trial.tried.cause for trial in card.trials)
    told = ", ".join(f"{cause} {n}" for cause, n in causes.most_common())
    world.err.always(
        f"nothing could be graded: {told}; the same command asks again for what failed", "bold red"
    )
    first = {cause for cause in causes if cause != "no_quorum"}
    return ENDPOINT if first and first <= THEIRS else FAILED
