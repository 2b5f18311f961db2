"""`symposia debate-replay`: one thing changed in a debate that was held, and what comes of it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from symposia.cli.exits import DONE, terminable
from symposia.cli.table import Table
from symposia.cli.world import World, guarded, this_world

from .replayoptions import ReplayOptions

if TYPE_CHECKING:
    from symposia.evals.replay.influence import Influence
    from symposia.evals.replay.replaying import Held, Replay

REPEATS, MOST_DEBATES = 8, 50


def debate_replay(asked: ReplayOptions) -> int:
    """Change one thing in a debate, with the seeds it had, and see what comes of it; what stays is not asked again."""
    world = this_world()

    def work() -> int:
        with terminable():
            return _replayed(asked, world)

    return guarded(world, work)


def _replayed(asked: ReplayOptions, world: World) -> int:
    from symposia.core.value import canonical
    from symposia.talk import portal

    from .finished import finished

    with finished(asked.run, world, asked.endpoints) as run:
        held = run.one(asked.debate)
        if asked.shapley:
            worth = portal.call(_worth(held, asked, world))
            raw, show = canonical(worth), partial(_show_influence, worth)
        else:
            edited = portal.call(_edited(held, asked, run.endpoints))
            raw, show = canonical(edited), partial(_show_replay, edited)
    if asked.json:
        world.out.line(raw.decode())
    else:
        show(world)
    return DONE


async def _edited(held: Held, asked: ReplayOptions, endpoints: Collection[str]) -> Replay:
    from symposia.evals.replay.replaying import greedy, replay

    from .edits import edits_of

    found = edits_of(asked, held.debate, endpoints)
    if found.vectors:
        from symposia.facade import engines

        for vector in found.vectors.values():
            engines().library.add(vector)
    default = 0 if not found.edits else 1 if greedy(held.debate) else REPEATS
    return await replay(held, found.edits, repeats=default if asked.repeats is None else asked.repeats)


async def _worth(held: Held, asked: ReplayOptions, world: World) -> Influence:
    from symposia.core.errors import InvalidInput
    from symposia.evals.replay.influence import cost, influence

    if asked.mute or asked.patch or asked.profile or asked.direct:
        raise InvalidInput("--shapley mutes every set of seats; it takes no other change")
    repeats = asked.repeats or 1
    planned = cost(held.debate, repeats)
    world.err.line(f"{planned.debates} debates, at most {planned.calls} calls; the journal answers some")
    if planned.debates > MOST_DEBATES and not asked.yes:
        raise InvalidInput(f"{planned.debates} debates are more than {MOST_DEBATES}; give --yes to hold them")
    return await influence(held, right=asked.answer, repeats=repeats)


def _show_replay(done: Replay, world: World) -> None:
    from .edits import texts

    out = world.out
    out.line(texts(done.edits))
    for name, answer in (("before", done.before), ("after", done.after)):
        said = "(none)" if answer.answer is None else answer.answer
        out.line(f"{name}: {said} [{answer.status}: {answer.reason}, {answer.rounds} rounds]")
    if done.seats:
        table = Table(("round", "seat", "before", "after"), left=4)
        for one in done.seats:
            table.row(str(one.round), one.seat, _said(one.before), _said(one.after))
        table.print(out)
    for shift in done.beliefs:
        out.line(f"round {shift.round}: the belief of {shift.seat} moved by {shift.distance:.3f}")
    effect = done.effect
    if effect is not None:
        out.line(
            f"effect: the answer changed in {effect.edited:.2f} of {effect.repeats} repeats with the change, "
            f"{effect.control:.2f} without; difference {effect.difference:+.2f} "
            f"[{effect.interval.low:+.2f}, {effect.interval.high:+.2f}]"
        )
    out.line(f"{done.calls} new calls; transcript {done.digest}")


def _show_influence(done: Influence, world: World) -> None:
    table = Table(("seat", "Shapley value"))
    for seat, value in done.values.items():
        table.row(seat, f"{value:+.3f}", style="bold")
    table.print(world.out)
    for seats, worth in done.worth:
        world.out.line(f"{worth:.2f}  {', '.join(seats) or '(nobody)'}")
    world.out.line(f"{done.debates} debates, {done.calls} new calls")


def _said(text: str | None) -> str:
    return "(none)" if text is None else " ".join(text.split())[:60]
